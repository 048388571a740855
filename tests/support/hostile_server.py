#!/usr/bin/env python3
"""The repository server with answers that no honest server gives, byte by byte: broken HTTP, bodies without an end, lies.

As repository_server.py, with more modes in behaviour.json (`on` and the other options as there), see MODES below; and
"load_answer": MODE, by which the load itself is answered so. GET /control also tells `sentinel`: requests that came to the
address that redirects point to, which nobody must follow.
"""
import argparse
import asyncio
import gzip
import json
import os
import pathlib
import socket
import struct
import sys

import model_server
import repository_server

MEGABYTE = 1 << 20
NEVER = []
OK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answer_of(data, **more):
    return json.dumps(dict({"model_name": "digits", "model_version": "", "outputs": [
        {"name": "predict", "shape": [1, 1], "datatype": "INT64", "data": data}]}, **more))


def sized(text, status="200 OK", headers=""):
    body = text if isinstance(text, bytes) else text.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


# mode -> all the bytes of the answer; the connection stays open
WHOLE = {
    "no_http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "http_0_9": b"<html>It works!</html>",
    "http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "status_0": b"HTTP/1.1 000 \r\nContent-Length: 2\r\n\r\n{}",
    "status_999": sized("{}", "999 What"),
    "status_204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "status_text": b"HTTP/1.1 ok\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "redirect_file": sized("", "302 Found", "Location: file:///etc/passwd\r\n"),
    "redirect_relative": sized("", "307 Temporary Redirect", "Location: /v2/models/digits/ready\r\n"),
    "huge_header": (OK + "X: " + "x" * (8 * MEGABYTE) + "\r\nContent-Length: 2\r\n\r\n{}").encode(),
    "nul_in_header": OK.encode() + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "bad_chunk": (OK + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n").encode(),
    "chunk_overflow": (OK + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}").encode(),
    "huge_length": (OK + "Content-Length: 99999999999999999999\r\n\r\n{}").encode(),
    "negative_length": (OK + "Content-Length: -1\r\n\r\n{}").encode(),
    "length_too_long": (OK + "Content-Length: 1000\r\n\r\n{}").encode(),
    "gzip_bomb": sized(gzip.compress(b"[" + b"0," * (8 * MEGABYTE) + b"0]"), headers="Content-Encoding: gzip\r\n"),
    "half_open": (OK + "Content-Le").encode(),
    "deep_json": sized("[" * 100_000 + "]" * 100_000),
    "deep_in_outputs": sized('{"outputs": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001),
    "deep_in_error": sized('{"error": ' + "[" * 400_000 + "]" * 400_000 + "}", "400 Bad Request"),
    "many_values": sized('{"outputs": [' + "0," * (5 * MEGABYTE) + "0]}"),
    "html": sized("<!DOCTYPE html><html>It works!</html>"),
    "null": sized("null"),
    "empty": sized(""),
    "list": sized("[1, 2, 3]"),
    "number": sized("7"),
    "no_outputs": sized('{"model_name": "digits"}'),
    "outputs_object": sized('{"outputs": {"data": [1]}}'),
    "empty_outputs": sized('{"outputs": []}'),
    "no_data": sized('{"outputs": [{"name": "predict", "shape": [1, 1], "datatype": "INT64"}]}'),
    "data_object": sized(answer_of({"a": 1})),
    "data_text": sized(answer_of(["seven"])),
    "data_empty": sized(answer_of([])),
    "data_null": sized(answer_of([None])),
    "data_many": sized(answer_of(list(range(1000)))),
    "shape_lies": sized(answer_of([1]).replace("[1, 1]", "[99999999999999999999, -5]")),
    "nan": sized(answer_of([float("nan")])),
    "infinity": sized(answer_of([float("-inf")])),
    "huge_number": sized(answer_of([1]).replace("[1]", "[1e999]")),
    "long_number": sized(answer_of([1]).replace('"data": [1]', '"data": [' + "9" * 100_000 + "]")),
    "not_utf8": sized(answer_of([1]).encode().replace(b"predict", b"pre\xff\xfedict")),
    "error_in_200": sized('{"error": "out of memory"}'),
    "controls": sized(json.dumps({"error": "\x1b[2J\x1b]0;owned\x07 \u202egnorw"}), "500 Broken"),
    "cut_json": sized(answer_of([1])[:-20]),
}


async def write(writer, data):
    writer.write(data)
    await writer.drain()


async def slow_loris(writer, _text):
    for byte in sized(answer_of([1])):
        await write(writer, bytes([byte]))
        await asyncio.sleep(0.1)


async def slow_headers(writer, _text):
    await write(writer, OK.encode())
    while True:
        await write(writer, b"X: y\r\n")
        await asyncio.sleep(0.1)


async def endless(writer, start, piece):
    await write(writer, start)
    while True:
        await write(writer, piece)


async def forever():
    never = asyncio.Event()
    NEVER.append(never)  # or the collector takes it, and the connection with it
    await never.wait()


async def hang(_writer, _text):
    await forever()


async def stall_body(writer, text):
    await write(writer, sized(text)[:-5])
    await forever()


async def continue_storm(writer, _text):
    await endless(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20)


async def reset(writer, text):
    await write(writer, sized(text)[:80])
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def fin(_writer, _text):
    pass


async def length_too_short(writer, text):
    await write(writer, sized(text)[:-5].replace(b"Content-Length: ", b"Content-Length: 1\r\nX: ") + b"HTTP/1.1 200 OK\r\n")


# mode -> a coroutine that talks for as long as it likes; then the connection is closed
TALKING = {
    "slow_loris": slow_loris,
    "slow_headers": slow_headers,
    "hang": hang,
    "stall_body": stall_body,
    "continue_storm": continue_storm,
    "reset": reset,
    "fin": fin,
    "length_too_short": length_too_short,
    "flood": lambda writer, _text: endless(writer, (OK + "\r\n").encode(), b" " * 65536),
    "flood_chunked": lambda writer, _text: endless(
        writer, (OK + "Transfer-Encoding: chunked\r\n\r\n").encode(), b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "many_headers": lambda writer, _text: endless(writer, OK.encode(), b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000),
    "huge": lambda writer, _text: endless(writer, (OK + f"Content-Length: {64 * MEGABYTE}\r\n\r\n").encode(), b" " * 65536),
}
MODES = [*WHOLE, *TALKING, "redirect_host", "closes_each", "other_name"]


class HostileServer(repository_server.RepositoryServer):
    def __init__(self, dialect, model, current):
        super().__init__(dialect, model, current)
        self.sentinel_hits = 0
        self.sentinel_port = 0

    async def listen_sentinel(self):
        async def count(_reader, writer):
            self.sentinel_hits += 1
            writer.close()
        listener = await asyncio.start_server(count, "127.0.0.1", 0)
        self.sentinel_port = listener.sockets[0].getsockname()[1]
        self.sentinel = listener

    async def control(self, method, body):
        status, told = await super().control(method, body)
        return status, dict(told, sentinel=self.sentinel_hits)

    async def deliver(self, writer, mode, status, content):
        text = "" if content is None else json.dumps(content)
        if mode == "redirect_host":
            await write(writer, sized("", "302 Found", f"Location: http://127.0.0.1:{self.sentinel_port}/\r\n"))
            return True
        if mode == "closes_each":  # says that it keeps the connection, and does not
            await write(writer, sized(text))
            return False
        if mode == "other_name":
            content["model_name"] = "somebody-else"
            return await super().deliver(writer, "ok", status, content)
        return await self.say(writer, mode, text) if mode in WHOLE or mode in TALKING else await super().deliver(writer, mode, status, content)

    async def say(self, writer, mode, text):
        if mode in WHOLE:
            await write(writer, WHOLE[mode])
            return True
        await TALKING[mode](writer, text)
        return False

    async def repository(self, writer, model, verb):
        try:
            said = json.loads((self.current / "behaviour.json").read_text()).get("load_answer") if verb == "load" else None
        except OSError:
            said = None
        if said:
            self.serving = None
            return await self.say(writer, said, "{}")
        return await super().repository(writer, model, verb)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--current", required=True)
    arguments = parser.parse_args()
    server = HostileServer("mlserver", arguments.model, arguments.current)
    await server.listen(arguments.port)
    await server.listen_sentinel()
    print(f"listening {server.port}", flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or os._exit(0))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
