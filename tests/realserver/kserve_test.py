#!/usr/bin/env python3
"""KServe's SDK, asked in each of its three ways (V2 over REST, V2 over gRPC, V1), and MLServer over gRPC: good, mislabelled, slow and
unloadable versions of a classifier of real images. Prints the table. MODELGUARD_BIN names the build directory."""
import dataclasses
import http.client
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from upgrades import Server, Upgrade, Upgrades, free_port, venv, write_bundle, TREE

HERE = pathlib.Path(__file__).resolve().parent
UPGRADES = [Upgrade("1", "trained on 150 images", "accepted"), Upgrade("2", "better, trained on all of them", "accepted"),
            Upgrade("3", "trained on labels off by one", "rejected", "accuracy"), Upgrade("4", "asks itself 20,000 times", "rejected", "p90"),
            Upgrade("5", "does not load", "rejected", "ready"), Upgrade("6", "as 2, with another file beside", "accepted")]
# Each way has a server of its own: one would serve all three in one loop, and a slow version of one would slow the others.
SERVERS = {"rest": "KServe SDK, oip", "grpc": "KServe SDK, oip_grpc", "v1": "KServe SDK, v1", "mlserver": "MLServer, oip_grpc"}
PROTOCOLS = {"rest": "oip", "grpc": "oip_grpc", "v1": "v1", "mlserver": "oip_grpc"}
MANIFEST = """\
model: {model}
serve:
  switch: files
  then: {then}
  endpoint: http://127.0.0.1:{port}
  protocol: {protocol}
  ready_within: 3s
  period: 2s
checks:
- {{name: ready, kind: ready, canary: canary/set.jsonl, input: {{shape: ["1", "64"]}}}}
- {{name: p90, kind: latency, canary: canary/set.jsonl, percentile: 90, samples: 20, max: 60ms, input: {{shape: ["1", "64"]}}}}
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


def mlserver_folder(device: Upgrades, rest: int, grpc: int) -> pathlib.Path:
    """What MLServer starts from: its settings, and one model that it loads when it is told to."""
    folder = device.root / "mlserver"
    (folder / "model").mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "http_port": rest, "grpc_port": grpc, "metrics_endpoint": None,
                                                      "parallel_workers": 0, "debug": False, "load_models_at_startup": False}))
    (folder / "model/model-settings.json").write_text(json.dumps({"name": "mlserver", "implementation": "mlserver_digits.Digits"}))
    shutil.copy(HERE / "mlserver_digits.py", folder / "model")
    return folder


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
            # KServe's SDK answers 500 where a model does not load; the command leaves that to `ready`
            then = "{exec: reload-%s}" % model if model != "mlserver" else "{oip_repository: {url: 'http://127.0.0.1:%d'}}" % ports[model][0]
            for label, content in files.items():
                write_bundle(device.bundles / model / label, content, canary)
            device.manifest(model, MANIFEST.format(model=model, port=ports[model][PROTOCOLS[model] == "oip_grpc"],
                                                   protocol=PROTOCOLS[model], then=then))
            argv = [sys.executable, "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', %d); c.request('POST', "
                    "'/v2/repository/models/%s/load'); c.getresponse()" % (ports[model][0], model)]
            commands += f"  reload-{model}: {{argv: {json.dumps(argv)}}}\n"
        (device.root / "etc/modelguard/modelguard.yaml").write_text("commands:\n" + commands)
        servers = []
        for model, (rest, grpc) in ports.items():
            command = [python, HERE / "kserve_server.py", rest, grpc, device.root / "var/lib/modelguard/models", model]
            if model == "mlserver":
                command = [trainer.parent / "mlserver", "start", mlserver_folder(device, rest, grpc)]
            servers.append(Server(command, device.root / f"{model}.log", lambda port=rest: ask(port, "GET", "/v2/health/live")[0] == 200,
                                  DIGITS_CURRENT=str(device.current_of(model))))
        try:
            device.start()
            for server in servers:
                server.wait()
            held_out = [json.loads(line) for line in canary.splitlines()[:20]]

            def right(model: str) -> bool:
                hits = 0
                for item in held_out:
                    if model == "mlserver":
                        _, text = ask(ports[model][0], "POST", f"/v2/models/{model}/infer",
                                      {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": item["input"]}]})
                        shares = json.loads(text)["outputs"][0]["data"]
                    else:
                        _, text = ask(ports[model][0], "POST", f"/v1/models/{model}:predict", {"instances": [item["input"]]})
                        shares = json.loads(text)["predictions"][0]
                    hits += shares.index(max(shares)) == item["label"]
                return hits >= 16

            # MLServer goes on with the version that it had where another does not load, but says so: the switch is refused.
            device.go({model: (server, [dataclasses.replace(upgrade, because="switch") if (model, upgrade.label) == ("mlserver", "5") else upgrade
                                        for upgrade in UPGRADES]) for model, server in SERVERS.items()}, right)
        finally:
            for server in servers:
                server.stop()
        return device.conclude()


if __name__ == "__main__":
    sys.exit(main())
