#!/usr/bin/env python3
"""llama.cpp's own server over the OpenAI API: a tiny random llama (completions, streamed, behind a key) and all-MiniLM-L6-v2
(embeddings), through good, wrong, slow and unloadable versions. Prints the table. MODELGUARD_BIN names the build directory.

The server loads one file for good, so a new version is a restart of it: a device command asks this test for that.
"""
import http.client
import json
import pathlib
import socketserver
import subprocess
import sys
import tempfile
import threading

from upgrades import Server, Upgrade, Upgrades, free_port, venv, write_bundle

HERE = pathlib.Path(__file__).resolve().parent
KEY = "a-key-that-no-manifest-holds"
PROMPTS = ["hello", "a b c", "once upon a time", "the quick brown fox", "zzz", "modelguard", "to be or not", "x y", "lorem ipsum", "42",
           "good morning", "why"]
SENTENCES = ["That is a happy person", "That is a happy dog", "Today is a sunny day", "The pump on line four is vibrating",
             "A bearing is about to fail", "Nothing unusual was measured", "The gasket leaks oil", "Der Motor wird heiss",
             "Restart the conveyor belt", "Temperature above the limit", "The operator pressed stop", "All systems are normal"]
KNOWN_SIMILARITY = 0.6945  # of the first two sentences, as its authors publish it
UPGRADES = {
    "llama": [Upgrade("1", "random weights", "accepted"), Upgrade("2", "the same, another file beside", "accepted"),
              Upgrade("3", "other weights: other words", "rejected", "words"), Upgrade("4", "400 layers that add only time", "rejected", "per_token"),
              Upgrade("5", "a file that breaks off", "rejected", "ready")],
    "minilm": [Upgrade("1", "as published", "accepted"), Upgrade("2", "the same, another file beside", "accepted"),
               Upgrade("3", "noise on every weight", "rejected", "meaning"), Upgrade("5", "a file that breaks off", "rejected", "ready")],
}
MANIFEST = """\
model: {model}
serve:
  switch: files
  then: {{exec: restart-{model}}}
  endpoint: http://127.0.0.1:{port}
  key: llama
  protocol: {protocol}
  ready_within: 5s
  period: 2s
checks:
- {{name: ready, kind: ready, canary: canary/set.jsonl}}
{checks}
trial: {{deadline: 30s, soak: 200ms}}
"""
CHECKS = {
    "llama": """\
- {name: first_token, kind: latency, of: first_token, canary: canary/set.jsonl, percentile: 50, samples: 20, max: 2s}
- {name: per_token, kind: latency, of: per_token, canary: canary/set.jsonl, percentile: 50, samples: 20, max: 4ms}
- {name: words, kind: accuracy, canary: canary/set.jsonl, score: exact, min: 0.9, max_drop: 0.05}""",
    "minilm": """\
- {name: time, kind: latency, canary: canary/set.jsonl, percentile: 90, samples: 20, max: 2s}
- {name: meaning, kind: accuracy, canary: canary/set.jsonl, score: tolerance, tolerance: 0.01, min: 0.95, max_drop: 0}""",
}
PROTOCOLS = {"llama": "{openai: {api: completions, stream: true}}", "minilm": "{openai: {api: embeddings}}"}


def ask(port: int, path: str, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None,
                           {"Content-Type": "application/json", "Authorization": "Bearer " + KEY})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    except (OSError, ValueError):
        return 0, {}
    finally:
        connection.close()


class Llamas:
    """One server for each model, restarted on request."""

    def __init__(self, python: pathlib.Path, models: pathlib.Path, logs: pathlib.Path):
        self.python, self.models, self.logs = python, models, logs
        self.ports = {name: free_port() for name in PROTOCOLS}
        self.servers: dict[str, Server] = {}

    def restart(self, name: str, file: pathlib.Path | None = None) -> Server:
        self.stop(name)
        port = self.ports[name]
        file = file or self.models / name / "current/model.gguf"
        self.servers[name] = Server([self.python, HERE / "llama_server.py", port, file, name, "embeddings" if name == "minilm" else "chat", KEY],
                                    self.logs / f"{name}.log", lambda: ask(port, "/v1/models")[0] == 200)
        return self.servers[name]

    def stop(self, name: str) -> None:
        if name in self.servers:
            self.servers.pop(name).stop()

    def words(self, prompt: str) -> str:
        _, answer = ask(self.ports["llama"], "/v1/completions",
                        {"model": "llama", "prompt": prompt, "max_tokens": 16, "temperature": 0, "seed": 1})
        return answer["choices"][0]["text"]

    def meaning(self, sentence: str) -> list[float]:
        _, answer = ask(self.ports["minilm"], "/v1/embeddings", {"model": "minilm", "input": sentence})
        return answer["data"][0]["embedding"]


def record(llamas: Llamas, good: dict[str, pathlib.Path]) -> dict[str, str]:
    """The canary sets: what the good versions answer."""
    for name, file in good.items():
        llamas.restart(name, file).wait()
    meanings = [llamas.meaning(sentence) for sentence in SENTENCES]
    similarity = sum(a * b for a, b in zip(meanings[0], meanings[1]))
    assert abs(similarity - KNOWN_SIMILARITY) < 0.002, f"this is not all-MiniLM-L6-v2: {similarity}"
    answers = {"llama": [(prompt, llamas.words(prompt)) for prompt in PROMPTS], "minilm": list(zip(SENTENCES, meanings))}
    for name in good:
        llamas.stop(name)
    return {name: "".join(json.dumps({"id": str(number), "input": asked, "label": label}) + "\n" for number, (asked, label) in enumerate(pairs))
            for name, pairs in answers.items()}


def main() -> int:
    python = venv(HERE / "llama.txt") / "bin/python"
    with Upgrades() as device, tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder)
        for script, *arguments in (["tiny_llama.py", "words.gguf", 1], ["tiny_llama.py", "other_words.gguf", 2],
                                   ["tiny_llama.py", "slow.gguf", 1, 400], ["minilm.py", "minilm.gguf"], ["minilm.py", "noisy.gguf", 0.3]):
            subprocess.run([python, HERE / script, *map(str, arguments)], cwd=made, check=True)
        llamas = Llamas(python, device.root / "var/lib/modelguard/models", device.root)
        canary = record(llamas, {"llama": made / "words.gguf", "minilm": made / "minilm.gguf"})
        same = {"README": b"the same weights\n"}
        versions = {"llama": {"1": ("words", {}), "2": ("words", same), "3": ("other_words", {}), "4": ("slow", {}), "5": ("words", {})},
                    "minilm": {"1": ("minilm", {}), "2": ("minilm", same), "3": ("noisy", {}), "5": ("minilm", {})}}

        class Restart(socketserver.StreamRequestHandler):
            def handle(self):
                llamas.restart(self.rfile.readline().decode().strip())

        door = socketserver.ThreadingUnixStreamServer(str(device.root / "restart.sock"), Restart)
        threading.Thread(target=door.serve_forever, daemon=True).start()
        commands = ""
        for model, labels in versions.items():
            for label, (name, more) in labels.items():
                whole = made / f"{name}.gguf"
                content = whole.read_bytes()[:100_000] if label == "5" else whole
                write_bundle(device.bundles / model / label, {"model.gguf": content, **more}, canary[model])
            device.manifest(model, MANIFEST.format(model=model, port=llamas.ports[model], protocol=PROTOCOLS[model], checks=CHECKS[model]))
            argv = [sys.executable, "-c", "import socket as s; c = s.socket(s.AF_UNIX); c.connect('%s'); c.sendall(b'%s\\n'); c.recv(1)"
                    % (door.server_address, model)]
            commands += f"  restart-{model}: {{argv: {json.dumps(argv)}}}\n"
        (device.root / "key").write_text(KEY + "\n")
        (device.root / "etc/modelguard/modelguard.yaml").write_text(f"keys: {{llama: {device.root / 'key'}}}\ncommands:\n{commands}")

        def right(model: str) -> bool:
            """Of the server itself, without modelguard: a version that serves answers as the good one."""
            items = [json.loads(line) for line in canary[model].splitlines()]
            if model == "llama":
                return all(llamas.words(item["input"]) == item["label"] for item in items)
            return all(max(abs(a - b) for a, b in zip(llamas.meaning(item["input"]), item["label"])) < 0.01 for item in items)

        try:
            device.start()
            device.go({model: (f"llama.cpp, {model}", UPGRADES[model]) for model in versions}, right)
            assert KEY not in device.cli("status", "--json").stdout
        finally:
            door.shutdown()
            for model in versions:
                llamas.stop(model)
        return device.conclude()


if __name__ == "__main__":
    sys.exit(main())
