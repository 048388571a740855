#!/usr/bin/env python3
"""A model server that misbehaves on request: the Open Inference Protocol in the dialects of real servers, plus faults.

For tests only. Standard library only. Prints `listening PORT` once it serves, and ends when its stdin is a pipe
that ends, so that it never outlives the test that started it.

The model: inputs of one item are numbers; its class is the index of the largest of the first ten (argmax). Output `predict` is
that class, INT64, shape [1, 1], as MLServer's scikit-learn runtime answers; `predict_proba` is ten FP32 numbers.

POST /control takes {"mode": MODE, ...} and counts from zero again; GET /control tells what was counted. Modes:
  ok  loading  missing  broken500  nan  nan_token  null  constant  wrong_label  wrong_version  slow  hang  rst  half_body  huge
  html  double_encoded  deep_json  slow_loris  refuse
and the options
  on: "ready", "infer" or "both"   where the fault shows (default: what is natural for the mode)
  after: N                         the first N matching requests are still served well
  every: N                         only each Nth of the rest is faulty
  count: N                         after N faulty answers the mode is ok again
  ms: N                            slow: delay; refuse: listens again after this long, with mode ok (0: never)
  version: TEXT                    wrong_version: the model_version to answer
"""
import argparse
import asyncio
import json
import math
import os
import socket
import stat
import struct
import sys
import urllib.parse

NATURAL_PLACE = {"loading": "both", "missing": "both", "refuse": "both"}  # the others: infer
HUGE_BYTES = 64 << 20
DEEP_LEVELS = 100_000


class Server:
    def __init__(self, dialect, model, version):
        self.dialect, self.model, self.version = dialect, model, version
        self.fault = {"mode": "ok"}
        self.matching = 0
        self.faulty = 0
        self.counts = {"requests": 0, "connections": 0, "ready": 0, "infer": 0, "in_flight_max": 0}
        self.ids = set()
        self.in_flight = 0
        self.listener = None
        self.port = 0

    # ---- answers of each dialect -------------------------------------------------------------------------------

    def loading(self, place):
        if self.dialect == "kserve":
            return 503, {"error": f"Model with name {self.model} is not ready."}
        if self.dialect == "triton":
            if place == "ready":
                return 400, {"error": "Model version not ready"}
            return 404, {"error": f"Request for unknown model: '{self.model}' has no available versions"}
        if self.dialect == "ovms":
            return 404, {"error": "Model with requested version is not loaded yet"}
        return (400, None) if place == "ready" else (400, {"error": f"Model {self.model} is not ready yet."})

    def missing(self, name):
        if self.dialect == "kserve":
            return 404, {"error": f"Model with name {name} does not exist."}
        if self.dialect == "triton":
            return 400, {"error": f"Request for unknown model: '{name}' is not found"}
        if self.dialect == "ovms":
            return 404, {"error": "Model with requested name is not found"}
        return 404, {"error": f"Model {name} not found"}

    def ready(self):
        if self.dialect == "kserve":
            return 200, {"name": self.model, "ready": True}
        return 200, ({} if self.dialect == "ovms" else None)

    # ---- the model ---------------------------------------------------------------------------------------------

    def infer(self, body, mode):
        try:
            request = json.loads(body)
            tensor = request["inputs"][0]
            data = list(flatten(tensor["data"]))
            if math.prod(tensor["shape"]) != len(data):
                return 400, {"error": f"shape {tensor['shape']} does not fit {len(data)} elements"}
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return 400, {"error": f"malformed request: {error!r}"}
        if "id" in request:
            self.ids.add(request["id"])
        scores = [float(x) for x in data[:10]]
        label = max(range(len(scores)), key=scores.__getitem__)
        if mode == "wrong_label":
            label = (label + 1) % 10
        elif mode == "constant":
            label = 7
        asked = [output["name"] for output in request.get("outputs", [])] or ["predict"]
        outputs = []
        for name in asked:
            if name == "predict":
                outputs.append({"name": name, "shape": [1, 1], "datatype": "INT64", "data": [label]})
            elif name == "predict_proba":
                probabilities = [0.91 if i == label else 0.01 for i in range(10)]
                outputs.append({"name": name, "shape": [1, 10], "datatype": "FP32", "data": probabilities})
            else:
                return 400, {"error": f"unknown output {name}"}
        if mode == "nan":  # what Python's json makes of it: a bare NaN
            outputs[0]["data"][0] = float("nan")
        elif mode == "null":
            outputs[0]["data"][0] = None
        return 200, {"model_name": self.model, "model_version": self.version, "id": request.get("id", ""),
                     "parameters": {}, "outputs": outputs}

    # ---- faults ------------------------------------------------------------------------------------------------

    def mode_for(self, place):
        """The mode of this request, after `on`, `after`, `every` and `count`."""
        fault = self.fault
        where = fault.get("on", NATURAL_PLACE.get(fault["mode"], "infer"))
        if fault["mode"] == "ok" or where not in (place, "both"):
            return "ok"
        self.matching += 1
        past = self.matching - fault.get("after", 0)
        if past <= 0 or past % fault.get("every", 1) != 0:
            return "ok"
        if "count" in fault and self.faulty >= fault["count"]:
            return "ok"
        self.faulty += 1
        return fault["mode"]

    async def control(self, method, body):
        if method == "POST":
            self.fault = json.loads(body)
            self.matching = self.faulty = 0
            self.counts = dict.fromkeys(self.counts, 0)
            self.ids.clear()
            if self.fault["mode"] == "refuse":
                self.listener.close()
                if self.fault.get("ms", 0) > 0:
                    asyncio.get_running_loop().call_later(self.fault["ms"] / 1000, self.listen_again)
        return 200, dict(self.counts, ids=len(self.ids), mode=self.fault["mode"])

    def listen_again(self):
        async def listen():
            self.fault = {"mode": "ok"}
            await self.listen(self.port)
        self.again = asyncio.ensure_future(listen())

    # ---- HTTP --------------------------------------------------------------------------------------------------

    async def listen(self, port):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", port, reuse_address=True)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.counts["connections"] += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (request := await read_request(reader)) is not None:
                self.in_flight += 1
                self.counts["in_flight_max"] = max(self.counts["in_flight_max"], self.in_flight)
                try:
                    keep = await self.answer(writer, *request)
                finally:
                    self.in_flight -= 1
                if not keep:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, writer, method, path, body):
        if path == "/control":
            return await reply(writer, *await self.control(method, body))
        self.counts["requests"] += 1
        parts = urllib.parse.unquote(path).strip("/").split("/")
        if parts[:2] == ["v2", "health"]:
            return await reply(writer, 200, None)
        if len(parts) < 4 or parts[:2] != ["v2", "models"] or parts[-1] not in ("ready", "infer"):
            return await reply(writer, 404, {"detail": "Not Found"})
        name, place = "/".join(parts[2:-1]), parts[-1]
        self.counts[place] += 1
        mode = self.mode_for(place)
        if mode == "missing" or name != self.model:
            return await reply(writer, *self.missing(name))
        if mode == "refuse":  # the listening socket is closed, the kept connections go too
            writer.transport.abort()
            return False
        if mode == "loading":
            return await reply(writer, *self.loading(place))
        if mode == "broken500":
            return await reply(writer, 500, {"error": "CUDA error: an illegal memory access was encountered"})
        if mode == "wrong_version":
            status, content = self.infer(body, mode)
            content["model_version"] = self.fault.get("version", "other")
            return await reply(writer, status, content)
        status, content = self.ready() if place == "ready" else self.infer(body, mode)
        return await self.deliver(writer, mode, status, content)

    async def deliver(self, writer, mode, status, content):
        """Sends a good answer, or spoils its delivery."""
        text = "" if content is None else json.dumps(content)
        if mode == "slow":
            await asyncio.sleep(self.fault.get("ms", 100) / 1000)
        elif mode == "hang":
            await asyncio.Event().wait()  # until the client goes away or the process ends
        elif mode == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif mode == "half_body":
            writer.write(head(status, len(text)) + text.encode()[: len(text) // 2])
            await writer.drain()
            return False
        elif mode == "huge":
            writer.write(head(200, HUGE_BYTES))
            for _ in range(HUGE_BYTES >> 16):
                writer.write(b" " * (1 << 16))
                await writer.drain()
            return True
        elif mode == "html":
            return await reply_text(writer, 200, "<!DOCTYPE html><html><body>It works!</body></html>", "text/html")
        elif mode == "double_encoded":
            text = json.dumps(text)
        elif mode == "deep_json":
            text = "[" * DEEP_LEVELS + "]" * DEEP_LEVELS
        elif mode == "nan_token":
            text = text.replace('"data": [', '"data": [-Infinity, ')
        elif mode == "slow_loris":
            for byte in head(status, len(text)) + text.encode():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
            return True
        return await reply_text(writer, status, text)


def flatten(value):
    for element in value:
        if isinstance(element, list):
            yield from flatten(element)
        else:
            yield element


async def read_request(reader):
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    length = 0
    while (header := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return method, path, await reader.readexactly(length)


def head(status, length, content_type="application/json"):
    return (f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


async def reply_text(writer, status, text, content_type="application/json"):
    encoded = text.encode()
    writer.write(head(status, len(encoded), content_type) + encoded)
    await writer.drain()
    return True


async def reply(writer, status, content):
    return await reply_text(writer, status, "" if content is None else json.dumps(content))


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--dialect", choices=["mlserver", "kserve", "triton", "ovms"], default="mlserver")
    parser.add_argument("--model", default="digits", help="the name it serves")
    parser.add_argument("--version", default="1", help="the model_version it answers")
    arguments = parser.parse_args()
    server = Server(arguments.dialect, arguments.model, arguments.version)
    await server.listen(arguments.port)
    print(f"listening {server.port}", flush=True)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or os._exit(0))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
