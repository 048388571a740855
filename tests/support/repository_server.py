#!/usr/bin/env python3
"""The misbehaving model server, with a repository: what it serves and how it misbehaves comes with the version.

`--current LINK` names modelguard's `current`. POST v2/repository/models/M/load reads LINK/behaviour.json, a mode as of
model_server.py plus {"version": TEXT, "load": "refuse"|"crash"|"hang", "load_ms": N}; unload forgets the model. What was
loaded is remembered as a real server would: moving the link alone changes nothing.

POST /control takes {"every_load_ms": N} and, with a mode, {"sticks_to": VERSION}: that version behaves so after each load.
{"keep": true} remembers what is loaded and how it misbehaves, {"put_back": true} makes it so again.
GET /control also tells `serving` (the version loaded) and `last_infer_usec` (CLOCK_MONOTONIC when the newest answer began).
"""
import argparse
import asyncio
import copy
import json
import os
import pathlib
import sys
import time

import model_server


REMEMBERED = ("version", "serving", "fault", "sticky", "matching", "faulty", "load_delay")


class RepositoryServer(model_server.Server):
    def __init__(self, dialect, model, current):
        super().__init__(dialect, model, "")
        self.current = pathlib.Path(current)
        self.serving = None
        self.loads = 0
        self.load_delay = 0.0
        self.last_infer = 0
        self.sticky = {}
        self.kept = {}

    async def control(self, method, body):
        if method == "POST":
            asked = json.loads(body)
            self.load_delay = asked.pop("every_load_ms", self.load_delay * 1000) / 1000
            if asked.pop("keep", False):
                self.kept = {name: copy.deepcopy(getattr(self, name)) for name in REMEMBERED}
            if asked.pop("put_back", False):
                self.__dict__.update(copy.deepcopy(self.kept))
            if "sticks_to" in asked:
                self.sticky = asked
            if "mode" in asked:
                await super().control(method, json.dumps(asked).encode())
        status, told = await super().control("GET", b"")
        return status, dict(told, serving=self.serving, loads=self.loads, last_infer_usec=self.last_infer)

    async def answer(self, writer, method, path, body):
        parts = path.strip("/").split("/")
        if parts[:3] == ["v2", "repository", "models"] and len(parts) == 5 and method == "POST":
            return await self.repository(writer, parts[3], parts[4])
        if self.serving is None and path != "/control":
            return await model_server.reply(writer, *self.missing(self.model))
        return await super().answer(writer, method, path, body)

    async def deliver(self, writer, mode, status, content):
        self.last_infer = time.monotonic_ns() // 1000
        return await super().deliver(writer, mode, status, content)

    async def repository(self, writer, model, verb):
        if verb == "unload":
            self.serving = None
            return await model_server.reply(writer, 200, None)
        self.loads += 1
        await asyncio.sleep(self.load_delay)
        try:
            behaviour = json.loads((self.current / "behaviour.json").read_text())
        except (OSError, ValueError) as error:
            return await model_server.reply(writer, 404, {"error": f"Model {model} not found: {error}"})
        await asyncio.sleep(behaviour.pop("load_ms", 0) / 1000)
        load = behaviour.pop("load", "ok")
        if load == "refuse":
            return await model_server.reply(writer, 400, {"error": "Failed to load: pickle data was truncated"})
        if load == "crash":
            os._exit(1)
        if load == "hang":
            await asyncio.Event().wait()
        self.version = self.serving = behaviour.pop("version")
        self.fault = behaviour if "mode" in behaviour else {"mode": "ok"}
        if self.serving == self.sticky.get("sticks_to"):
            self.fault = dict(self.sticky)
        self.matching = self.faulty = 0
        return await model_server.reply(writer, 200, None)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dialect", choices=["mlserver", "kserve", "triton", "ovms"], default="mlserver")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--current", required=True)
    arguments = parser.parse_args()
    server = RepositoryServer(arguments.dialect, arguments.model, arguments.current)
    await server.listen(arguments.port)
    if (server.current / "behaviour.json").exists():  # a server that starts serves what is there
        class Nowhere:
            def write(self, _):
                pass

            async def drain(self):
                pass
        await server.repository(Nowhere(), arguments.model, "load")
    print(f"listening {server.port}", flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or os._exit(0))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
