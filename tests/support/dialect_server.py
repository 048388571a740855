#!/usr/bin/env python3
"""Answers as one of the model servers does, in one of the states that a model can be in. For tests only, standard library only.

Prints `listening PORT` once it serves, and ends when its stdin ends. POST /control takes {"server": NAME, "state": STATE} and
  count: N    after N answers in this state it is `ready`
  ms: N       with the state `unreachable`: listens again after this long, as `ready`
  stream: {"first_ms": N, "token_ms": N, "tokens": N, "end": "done" | "cut" | "error"}    how a streamed answer comes
GET /control tells how many requests came, and how many of them named a version in their path.

The model classifies: the answer to ten numbers is the index of the largest; to a text, its last word. It serves version 2.
Each server's answers are after its own sources, as of 2026:
  the Open Inference Protocol's inference_rest.md; kserve python/kserve/kserve/{errors.py,protocol/rest}; MLServer mlserver/{errors.py,rest};
  Triton src/http_server.cc and core's model_lifecycle.cc; OpenVINO Model Server src/http_server.cpp; TensorFlow Serving api_rest.md and
  get_model_status.proto; TorchServe docs/{inference,management}_api.md; vLLM entrypoints; llama.cpp tools/server; mlc_llm serve/entrypoints.
"""
import argparse
import asyncio
import json
import os
import stat
import sys
import urllib.parse

import model_server

STATES = ["ready", "loading", "missing", "not_loadable", "broken", "wrong_version", "nan", "hung", "unreachable"]
MODEL = "digits"
CRASH = "CUDA error: an illegal memory access was encountered"



class Oip:
    """The Open Inference Protocol over REST, as its text has it; the servers that speak it differ in what follows."""

    told_version = "2"  # what an answer's model_version says; None: nothing

    def asked(self, path):
        """Which model a path asks about, and for what; None: the path is nobody's."""
        parts = path.strip("/").split("/")
        if len(parts) == 4 and parts[:2] == ["v2", "models"] and parts[3] in ("ready", "infer"):
            return urllib.parse.unquote(parts[2]), parts[3]
        return None

    def answer(self, place, state, request, version):
        """(status, body) for the state; `version` is the one it would tell."""
        if state in ("loading", "missing", "not_loadable"):
            return getattr(self, state)(place)
        if place == "ready":
            return self.ready()
        if state == "broken":
            return self.broken()
        return self.infer(request, state, version)

    def infer(self, request, state, version):
        data = list(model_server.flatten(request["inputs"][0]["data"]))
        value = float("nan") if state == "nan" else data.index(max(data))
        answer = {"model_name": MODEL, "id": request.get("id", ""),
                  "outputs": [{"name": "predict", "shape": [1, 1], "datatype": "FP32", "data": [value]}]}
        if self.told_version is not None:
            answer["model_version"] = version
        return 200, answer

    def ready(self):
        return 200, {"name": MODEL, "ready": True}

    def loading(self, place):
        return 400, {"error": "model is not ready"}

    def missing(self, place):
        return 400, {"error": f"model {MODEL} does not exist"}

    not_loadable = missing

    def broken(self):
        return 500, {"error": CRASH}


class KServe(Oip):
    told_version = None

    def loading(self, place):
        return 503, {"error": f"Model with name {MODEL} is not ready."}

    def missing(self, place):
        return 404, {"error": f"Model with name {MODEL} does not exist."}

    not_loadable = loading  # `load()` failed: the model stays registered and never becomes ready

    def broken(self):
        return 500, {"error": f"RuntimeError : {CRASH}"}


class MlServer(Oip):
    def ready(self):
        return 200, None

    def loading(self, place):
        return (400, None) if place == "ready" else (400, {"error": f"Model {MODEL} is not ready yet."})

    def missing(self, place):
        return 404, {"error": f"Model {MODEL} not found"}

    not_loadable = missing  # a load that failed leaves nothing behind

    def infer(self, request, state, version):
        status, answer = super().infer(request, state, version)
        if state == "nan":
            answer["outputs"][0]["data"] = [None]  # orjson
        return status, answer


class MlServerUnversioned(MlServer):
    told_version = None


class Triton(Oip):
    def ready(self):
        return 200, None

    def loading(self, place):
        if place == "ready":
            return 400, {"error": "Model version not ready"}
        return 404, {"error": f"Request for unknown model: '{MODEL}' has no available versions"}

    not_loadable = loading

    def missing(self, place):
        return 400, {"error": f"Request for unknown model: '{MODEL}' is not found"}

    def broken(self):
        return 500, {"error": f"onnx runtime error 1: {CRASH}"}


class TritonStrict(Triton):
    """An older Triton, whose refusal on the ready endpoint has no body."""

    def loading(self, place):
        return (400, None) if place == "ready" else (503, {"error": "Request for unknown model: version 2 is not at ready state"})

    not_loadable = loading


class Ovms(Oip):
    def ready(self):
        return 200, {}

    def loading(self, place):
        return 404, {"error": "Model with requested version is not loaded yet"}

    not_loadable = loading

    def missing(self, place):
        return 404, {"error": "Model with requested name is not found"}

    def broken(self):
        return 500, {"error": "Internal inference error"}


class V1:
    def asked(self, path):
        path = urllib.parse.unquote(path)
        if path == f"/v1/models/{MODEL}":
            return MODEL, "ready"
        return (MODEL, "infer") if path == f"/v1/models/{MODEL}:predict" else None

    def answer(self, place, state, request, version):
        if place == "ready":
            return self.status(state, version)
        if state in ("loading", "missing", "not_loadable"):
            return 404, {"error": f"Servable not found for request: Latest({MODEL})"}
        if state == "broken":
            return 500, {"error": CRASH}
        instance = request["instances"][0]
        return 200, {"predictions": [float("nan") if state == "nan" else instance.index(max(instance))]}


class TfServing(V1):
    def status(self, state, version):
        if state == "missing":
            return 404, {"error": f"Could not find any versions of model {MODEL}"}
        told = {"loading": "LOADING", "not_loadable": "END"}.get(state, "AVAILABLE")
        wrong = {"error_code": "NOT_FOUND", "error_message": "Could not find SavedModel .pb or .pbtxt"} if told == "END" else {}
        return 200, {"model_version_status": [{"version": version, "state": told, "status": wrong or {"error_code": "OK", "error_message": ""}}]}


class KServeV1(V1):
    def status(self, state, version):
        if state == "missing":
            return 404, {"error": f"Model with name {MODEL} does not exist."}
        if state in ("loading", "not_loadable"):
            return 503, {"error": f"Model with name {MODEL} is not ready."}
        return 200, {"name": MODEL, "ready": True}

    def answer(self, place, state, request, version):
        if state in ("loading", "missing", "not_loadable"):
            return self.status(state, version)
        return super().answer(place, state, request, version)


class TorchServe:
    def asked(self, path):
        return {"/ping": (MODEL, "ready"), f"/predictions/{MODEL}": (MODEL, "infer")}.get(path)

    def answer(self, place, state, request, version):
        if place == "ready":
            return (500, {"status": "Unhealthy"}) if state == "broken" else (200, {"status": "Healthy"})
        if state in ("loading", "not_loadable"):
            return 503, {"code": 503, "type": "ServiceUnavailableException",
                         "message": f'Model "{MODEL}" Version 2 has no worker to serve inference request. Please use scale workers API to add workers.'}
        if state == "missing":
            return 404, {"code": 404, "type": "ModelNotFoundException", "message": f"Model not found: {MODEL}"}
        if state == "broken":
            return 507, {"code": 507, "type": "InternalServerException", "message": "Worker died: out of memory"}
        return 200, {"class": float("nan") if state == "nan" else request["data"].index(max(request["data"]))}


class OpenAi:
    prefix = "/v1"

    def asked(self, path):
        return {self.prefix + "/models": (MODEL, "ready"), self.prefix + "/chat/completions": (MODEL, "infer")}.get(path)

    def listed(self, state):
        return [] if state in ("missing", "loading", "not_loadable") else [MODEL]

    def answer(self, place, state, request, version):
        if place == "ready":
            return 200, {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "x"} for name in self.listed(state)]}
        if state == "missing":
            return self.missing()
        if state == "broken":
            return self.broken()
        return 200, {"object": "chat.completion", "model": MODEL, "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": request["messages"][-1]["content"].split()[-1]}}]}


class Vllm(OpenAi):
    def missing(self):
        return 404, {"error": {"message": f"The model `{MODEL}` does not exist.", "type": "NotFoundError", "param": None, "code": 404}}

    def broken(self):
        return 500, {"error": {"message": "EngineCore encountered an issue.", "type": "Internal Server Error", "param": None, "code": 500}}


class LlamaCpp2025(OpenAi):
    """Listed its model while it loaded; only a completion said 503 then."""

    def listed(self, state):
        return [] if state == "missing" else [MODEL]

    def answer(self, place, state, request, version):
        if place == "infer" and state in ("loading", "not_loadable"):
            return 503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
        return super().answer(place, state, request, version)

    def missing(self):
        return 400, {"error": {"code": 400, "message": f"model '{MODEL}' not found", "type": "invalid_request_error"}}

    def broken(self):
        return 500, {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}


class LlamaCpp(LlamaCpp2025):
    def answer(self, place, state, request, version):
        return super().answer("infer" if state == "loading" else place, state, request, version)


class Mlc(OpenAi):
    def twice(self, status, message):
        return status, json.dumps({"object": "error", "message": message, "code": status})  # a string: it is encoded again

    def missing(self):
        return self.twice(400, f'The requested model "{MODEL}" is not served.')

    def broken(self):
        return self.twice(500, "TVMError: " + CRASH)


class OvmsOpenAi(OpenAi):
    prefix = "/v3"

    def answer(self, place, state, request, version):
        if place == "infer" and state in ("loading", "not_loadable"):
            return 500, {"error": "Mediapipe graph definition with requested name is not loaded yet: MEDIAPIPE_DEFINITION_NOT_LOADED_YET"}
        return super().answer(place, state, request, version)

    def missing(self):
        return 404, {"error": "Model with requested name is not found"}

    def broken(self):
        return 500, {"error": "Internal inference error"}


class KServeOpenAi(OpenAi):
    prefix = "/openai/v1"

    def missing(self):
        return 404, {"error": {"message": f"Model with name {MODEL} does not exist.", "type": "ModelNotFound", "param": "", "code": "404"}}

    def broken(self):
        return 500, {"error": {"message": CRASH, "type": "OpenAIError", "param": "", "code": "500"}}


SERVERS = {"oip": Oip(), "kserve": KServe(), "mlserver": MlServer(), "mlserver_unversioned": MlServerUnversioned(), "triton": Triton(),
           "triton_strict": TritonStrict(), "ovms": Ovms(), "tfserving": TfServing(), "kserve_v1": KServeV1(), "torchserve": TorchServe(),
           "vllm": Vllm(), "llamacpp": LlamaCpp(), "llamacpp_2025": LlamaCpp2025(), "mlc": Mlc(), "ovms_openai": OvmsOpenAi(), "kserve_openai": KServeOpenAi()}


class DialectServer(model_server.Server):
    def __init__(self, server):
        super().__init__("", MODEL, "2")
        self.server, self.state, self.left = server, "ready", None
        self.versioned = 0
        self.stream = {}

    async def control(self, method, body):
        if method == "POST":
            asked = json.loads(body)
            self.server, self.state, self.left = asked.get("server", self.server), asked.get("state", "ready"), asked.get("count")
            assert self.state in STATES, self.state
            self.stream = asked.get("stream", {})
            self.counts["requests"] = self.versioned = 0
            self.fault = {"mode": "refuse" if self.state == "unreachable" else "ok"}
            if self.state == "unreachable":
                self.listener.close()
                asyncio.get_running_loop().call_later(asked["ms"] / 1000, self.listen_again)
        return 200, {"requests": self.counts["requests"], "versioned": self.versioned}

    def listen_again(self):
        self.state = "ready"
        super().listen_again()

    def next_state(self):
        if self.left is not None:
            if self.left == 0:
                return "ready"
            self.left -= 1
        return self.state

    async def answer(self, writer, method, path, body):
        if path == "/control":
            return await model_server.reply(writer, *await self.control(method, body))
        if self.state == "unreachable":
            writer.transport.abort()
            return False
        self.counts["requests"] += 1
        if "/versions/" in path:  # the KServe SDK's answer; nobody else is asked so either
            self.versioned += 1
            return await model_server.reply(writer, 501, {"error": "Model versioning not supported yet."})
        server = SERVERS[self.server]
        asked = server.asked(path)
        if asked is None:
            return await model_server.reply(writer, 404, {"detail": "Not Found"})
        name, place = asked
        state = self.next_state()
        if state == "hung" and place == "infer":
            await asyncio.Event().wait()  # until the client goes away
        version = "1" if state == "wrong_version" else "2"
        request = json.loads(body) if body else None
        status, content = server.answer(place, state, request, version)
        if status == 200 and place == "infer" and request.get("stream"):
            return await self.send_stream(writer, content["choices"][0]["message"]["content"])
        return await model_server.reply(writer, status, content)

    async def send_stream(self, writer, word):
        """The word letter by letter, each its token, after a first event that says nothing and a comment."""
        how = {"first_ms": 0, "token_ms": 0, "tokens": len(word), "end": "done", **self.stream}

        async def send(event):
            text = f"data: {event}\n\n" if event else ": still there\n\n"
            writer.write(f"{len(text):x}\r\n{text}\r\n".encode())
            await writer.drain()

        def event(content, finish=None):
            return json.dumps({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": content, "finish_reason": finish}]})

        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await send(event({"role": "assistant", "content": ""}))
        await send(None)
        for number in range(how["tokens"]):
            await asyncio.sleep((how["token_ms"] if number else how["first_ms"]) / 1000)
            last = how["tokens"] - 1
            await send(event({"content": word[number:] if number == last else word[number:number + 1]}))
        if how["end"] == "error":
            await send(json.dumps({"error": {"message": "EngineCore encountered an issue.", "code": 500}}))
        if how["end"] == "done":
            await send(event({}, "stop"))
            await send("[DONE]")
        writer.write(b"0\r\n\r\n")
        return True


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=SERVERS, default="oip", help="whose answers it gives first")
    server = DialectServer(parser.parse_args().dialect)
    await server.listen(0)
    print(f"listening {server.port}", flush=True)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or os._exit(0))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
