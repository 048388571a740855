#!/usr/bin/env python3
"""KServe's SDK, asked in each of its three ways (V2 over REST, V2 over gRPC, V1): good, mislabelled, slow and unloadable versions of
a classifier of real images. Prints the table. MODELGUARD_BIN names the build directory."""
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile

from upgrades import Server, Upgrade, Upgrades, free_port, venv, write_bundle, TREE

HERE = pathlib.Path(__file__).resolve().parent
UPGRADES = [Upgrade("1", "trained on 150 images", "accepted"), Upgrade("2", "better, trained on all of them", "accepted"),
            Upgrade("3", "trained on labels off by one", "rejected", "accuracy"), Upgrade("4", "asks itself 50,000 times", "rejected", "p90"),
            Upgrade("5", "does not load", "rejected", "ready"), Upgrade("6", "as 2, with another file beside", "accepted")]
# Each way has a server of its own: one would serve all three in one loop, and a slow version of one would slow the others.
SERVERS = {"rest": "KServe SDK, oip", "grpc": "KServe SDK, oip_grpc", "v1": "KServe SDK, v1"}
MANIFEST = """\
model: {model}
serve:
  switch: files
  then: {{exec: reload-{model}}}
  endpoint: http://127.0.0.1:{port}
  protocol: {protocol}
  ready_within: 3s
  period: 2s
checks:
- {{name: ready, kind: ready, canary: canary/set.jsonl, input: {{shape: ["1", "64"]}}}}
- {{name: p90, kind: latency, canary: canary/set.jsonl, percentile: 90, samples: 20, max: 100ms, input: {{shape: ["1", "64"]}}}}
- {{name: accuracy, kind: accuracy, canary: canary/set.jsonl, min: 0.8, max_drop: 0.02, input: {{shape: ["1", "64"]}}, output: {{reduce: argmax}}}}
trial: {{deadline: 30s, soak: 200ms}}
"""


def ask(port: int, method: str, path: str, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def main() -> int:
    python = venv(HERE / "kserve.txt") / "bin/python"
    trainer = venv(TREE / "packaging/quickstart.d/requirements.txt") / "bin/python"
    with Upgrades() as device, tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder)
        subprocess.run([trainer, HERE / "digits.py", made], check=True)
        canary = (made / "set.jsonl").read_text()
        files = {label: {"model.npz": made / f"{name}.npz"} for label, name in
                 (("1", "first"), ("2", "better"), ("3", "mislabelled"), ("4", "slow"), ("6", "better"))}
        files["5"] = {"model.npz": (made / "better.npz").read_bytes()[:500]}
        files["6"]["README"] = b"the same weights\n"
        ports = {model: (free_port(), free_port()) for model in SERVERS}
        commands = ""
        for model in SERVERS:
            for label, content in files.items():
                write_bundle(device.bundles / model / label, content, canary)
            device.manifest(model, MANIFEST.format(model=model, port=ports[model][model == "grpc"],
                                                   protocol={"rest": "oip", "grpc": "oip_grpc", "v1": "v1"}[model]))
            # whether it loads is for `ready` to find out, so the command does not fail on a refusal
            argv = [sys.executable, "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', %d); c.request('POST', "
                    "'/v2/repository/models/%s/load'); c.getresponse()" % (ports[model][0], model)]
            commands += f"  reload-{model}: {{argv: {json.dumps(argv)}}}\n"
        (device.root / "etc/modelguard/modelguard.yaml").write_text("commands:\n" + commands)
        servers = [Server([python, HERE / "kserve_server.py", rest, grpc, device.root / "var/lib/modelguard/models", model],
                          device.root / f"{model}.log", lambda port=rest: ask(port, "GET", "/v2/health/live")[0] == 200)
                   for model, (rest, grpc) in ports.items()]
        try:
            device.start()
            for server in servers:
                server.wait()
            held_out = [json.loads(line) for line in canary.splitlines()[:20]]

            def right(model: str) -> bool:
                hits = 0
                for item in held_out:
                    _, text = ask(ports[model][0], "POST", f"/v1/models/{model}:predict", {"instances": [item["input"]]})
                    shares = json.loads(text).get("predictions", [[0]])[0]
                    hits += shares.index(max(shares)) == item["label"]
                return hits >= 16

            device.go(SERVERS, UPGRADES, right)
        finally:
            for server in servers:
                server.stop()
        return device.conclude()


if __name__ == "__main__":
    sys.exit(main())
