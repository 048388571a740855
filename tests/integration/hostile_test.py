#!/usr/bin/env python3
"""Hostile bundles and wrong manifests through the real CLI and daemon: refused with a clear error, nothing left behind,
and a good deploy works afterwards. Prints what was refused and with which words."""
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import DAEMON, Device  # noqa: E402
from hostile_bundles import BUNDLES, NOT_APPLICABLE, WRONG_MODEL  # noqa: E402


GOOD_CHECKS = "checks:\n- {name: ready, kind: ready}\n"
SERVE = "serve: {switch: files, then: {oip_repository: {}}, endpoint: http://127.0.0.1:1, protocol: oip}\n"
# text of the manifest -> (line, a word that the error must say)
MANIFESTS = {
    "no YAML": ("model: [digits\n", None, ""),
    "unknown key": ("model: d\nserv: {}\n" + SERVE + GOOD_CHECKS, 2, "serve"),
    "bad name": ("model: Digits!\n" + SERVE + GOOD_CHECKS, 1, "Digits!"),
    "unknown check kind": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: accuracies}\n", 4, "accuracy"),
    "unknown parameter": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: ready, canry: x}\n", 4, "canary"),
    "duplicate key": ("model: d\nmodel: e\n" + SERVE + GOOD_CHECKS, 2, "model"),
    "duration without unit": ("model: d\n" + SERVE + GOOD_CHECKS + "trial: {soak: 30}\n", 5, "unit"),
    "share above one": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: accuracy, canary: c, min: 90}\n", 4, "min"),
    "anchor": ("model: &m d\n" + SERVE + GOOD_CHECKS, 1, "anchor"),
    "tag": ("model: !!python/object d\n" + SERVE + GOOD_CHECKS, 1, "tag"),
    "command that the device does not list": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: exec, run: rm}\n", 4, "modelguard.yaml"),
    "address beyond loopback": ("model: d\n" + SERVE.replace("127.0.0.1", "192.0.2.1") + GOOD_CHECKS, 2, "192.0.2.1"),
    "no checks": ("model: d\n" + SERVE, None, "check"),
    "two documents": ("model: d\n" + SERVE + GOOD_CHECKS + "---\nmodel: e\n", None, "document"),
    "alias": ("model: &m d\nserve: {model: *m}\n", 1, "anchor"),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi")), 1, "anchor"),
    "alias of nothing": ("model: *m\n", 1, ""),
    "alias of itself": ("model: &m [*m]\n", 1, ""),
    "merge key": ("model: d\n<<: {required: false}\n" + SERVE + GOOD_CHECKS, 2, "merge"),
    "tag of a set": ("model: d\n" + SERVE + "checks: !!set {a}\n", 3, "tag"),
    "tag of our own": ("model: !modelguard d\n" + SERVE + GOOD_CHECKS, 1, "tag"),
    "directive": ("%TAG ! tag:evil,2026:\n---\nmodel: !x d\n", None, ""),
    "100 levels": ("model: d\nserve: " + "{a: " * 100 + "1" + "}" * 100 + "\n", 2, "nested"),
    "a million brackets": ("[" * 1_000_000, 1, "nested"),
    "a million levels by indentation": ("\n".join(" " * i + "a:" for i in range(1400)) + "\n", None, ""),
    "100 levels of lists by dashes": ("model:\n" + "- " * 100 + "x\n", None, ""),
    "more than 1 MiB": ("# " + "x" * (1 << 20) + "\nmodel: d\n" + SERVE + GOOD_CHECKS, None, "too large"),
    "a million keys": ("".join(f"k{i}: 1\n" for i in range(80_000)), None, ""),
    "a key of 100 KiB": ("k" * 100_000 + ": 1\nmodel: d\n", 1, ""),
    "byte order mark of UTF-16": ("\ufeffmodel: d\n".encode("utf-16-le"), None, "UTF-8"),
    "surrogate": (b"model: d\nx: \"\xed\xa0\x80\"\n", 2, "UTF-8"),
    "escaped surrogate": ("model: d\nx: \"\\ud800\"\n", 2, ""),
    "overlong UTF-8": (b"model: d\nx: \xc0\xaf\n", 2, "UTF-8"),
    "written backwards": ("model: d\nx: \u202egpj\n", 2, "hidden"),
    "zero width": ("model: d\u200b\n", 1, "invisible"),
    "NUL": (b"model: d\0\n", 1, "NUL"),
    "escaped NUL": ("model: \"d\\0\"\n" + SERVE + GOOD_CHECKS, 1, "NUL"),
    "escape sequence": ("model: \"\\e[2J\"\n" + SERVE + GOOD_CHECKS, 1, "control"),
    "unknown escape, half a character": (b"model: \"a\\\xd0\x8b\"\n", 1, "escape"),
    "tabs": ("model: d\nserve:\n\tswitch: files\n", 3, "tab"),
    "duplicate key below": ("model: d\n" + SERVE.replace("switch: files", "switch: files, switch: files") + GOOD_CHECKS, 2, "twice"),
    "duplicate check": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: ready}\n- {name: a, kind: ready}\n", 5, "a"),
    "map where text belongs": ("model: {a: b}\n" + SERVE + GOOD_CHECKS, 1, "map"),
    "list where a map belongs": ("model: d\nserve: [files]\n" + GOOD_CHECKS, 2, "list"),
    "map as a key": ("? {a: b}\n: c\n", 1, ""),
    "list at the top": ("- model: d\n", 1, "list"),
    "nothing": ("", None, "empty"),
    "only comments": ("# model: d\n", None, "empty"),
    "quote that never ends": ("model: \"d\n" + SERVE + GOOD_CHECKS, 1, "quotes"),
    "no number": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: accuracy, canary: c, min: .nan}\n", 4, "min"),
    "infinity": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: latency, canary: c, percentile: 99, max: .inf}\n", 4, "max"),
    "number beyond 64 bits": (
        "model: d\n" + SERVE + "checks:\n- {name: a, kind: latency, canary: c, percentile: 99, max: 1s, samples: 99999999999999999999}\n",
        4, "samples"),
    "number below zero": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: latency, canary: c, percentile: -1, max: 1s}\n", 4, "percentile"),
    "percentile of 100": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: latency, canary: c, percentile: 100, max: 1s}\n", 4, "percentile"),
    "hexadecimal": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: latency, canary: c, percentile: 0x20, max: 1s}\n", 4, "percentile"),
    "duration below zero": ("model: d\n" + SERVE + GOOD_CHECKS + "trial: {soak: -5s}\n", 5, "soak"),
    "duration of a thousand years": ("model: d\n" + SERVE + GOOD_CHECKS + "trial: {soak: 400000d}\n", 5, "soak"),
    "duration beyond a double": ("model: d\n" + SERVE + GOOD_CHECKS + "trial: {soak: 1e999s}\n", 5, "soak"),
    "yes for true": ("model: d\nrequired: yes\n" + SERVE + GOOD_CHECKS, 2, "required"),
    "canary path out": ("model: d\n" + SERVE + "checks:\n- {name: a, kind: accuracy, canary: ../../etc/passwd, min: 0.9}\n", 4, "canary"),
    "unit of somebody else": ("model: d\nserve: {switch: files, then: {systemd: {unit: sshd.service}}}\n" + GOOD_CHECKS, 2, "sshd.service"),
    "endpoint with a password": ("model: d\n" + SERVE.replace("127.0.0.1", "127.0.0.1@192.0.2.1") + GOOD_CHECKS, 2, "192.0.2.1"),
    "endpoint that is a file": ("model: d\n" + SERVE.replace("http://127.0.0.1:1", "file:///etc/passwd") + GOOD_CHECKS, 2, "endpoint"),
    "loopback in decimal": ("model: d\n" + SERVE.replace("127.0.0.1", "2130706433") + GOOD_CHECKS, 2, "2130706433"),
    "name that is a path": ("model: ../d\n" + SERVE + GOOD_CHECKS, 1, "../d"),
    "name of 64 bytes": ("model: " + "d" * 64 + "\n" + SERVE + GOOD_CHECKS, 1, "model"),
}
ACCEPTED = {
    "UTF-8 with a mark, and carriage returns": ("\ufeffmodel: d\r\n" + SERVE + GOOD_CHECKS).encode(),
    "any language in a comment": ("# \u6a21\u578b \u0646\u0645\u0648\u0630\u062c\nmodel: d\n" + SERVE + GOOD_CHECKS).encode(),
    "a document mark": ("---\nmodel: d\n" + SERVE + GOOD_CHECKS + "...\n").encode(),
}


SLOW = ["100,001 entries"]  # the million says the same at the same entry


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


class WatchedDevice(Device):
    def wait_status(self, condition):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            status = self.get("/v1/status")
            if condition(status):
                return status
        raise AssertionError(f"not reached; last seen {status}")


def snapshot(device):
    state = device.root / "var/lib/modelguard"
    return sorted(str(path.relative_to(state)) for part in ("models", "staging", "incoming") for path in (state / part).rglob("*"))


def strays(device):
    """Whatever a bundle could have written outside of its version."""
    return [path for place in (device.root, device.root.parent) for path in place.glob("outside*")] + list(device.root.rglob("outside"))


def wrong_in_tree(device, digest):
    """What a version on disk must not have, whatever the bundle said of it."""
    tree = device.models / "versions" / digest.replace(":", "-")
    for path in tree.rglob("*"):
        status = path.lstat()
        if path.is_symlink() or status.st_mode & 0o7777 not in (0o444, 0o555) or status.st_uid != os.getuid() or os.listxattr(path):
            return f"{path.name}: mode {status.st_mode:o}, owner {status.st_uid}, {os.listxattr(path)}"
    return ""


def deploy(device, name, bundle):
    """What was wrong about it, and a line to print."""
    path = device.root / "hostile.tar"
    content = bundle.make()
    if bundle.is_taken and not content.startswith(b"\x1f\x8b"):
        content = WRONG_MODEL + content
    path.write_bytes(content)
    before = snapshot(device)
    began = time.monotonic()
    done = device.cli("deploy", "digits", path, *([] if bundle.is_taken else ["--wait"]))
    seconds = time.monotonic() - began
    said = (done.stdout + done.stderr).strip()
    wrong = []
    if bundle.is_taken:
        if done.returncode != 0:
            wrong.append("refused")
        else:
            digest = device.get("/v1/models/digits/versions")["items"]
            wrong += [text for item in digest if (text := wrong_in_tree(device, item["digest"]))]
    else:
        if done.returncode not in (1, 6):
            wrong.append(f"exit {done.returncode}")
        wrong += [f"does not say {word!r}" for word in bundle.words if word not in said]
        if snapshot(device) != before:
            wrong.append("left something behind")
    device.wait_phase("steady")  # the model in a harmless one is refused by its checks
    if device.linked() != "v1" or strays(device):
        wrong.append(f"current is {device.linked()}, strays {strays(device)}")
    if any(ord(c) < 0x20 and c != "\n" or ord(c) in range(0x7f, 0xa0) for c in said):
        wrong.append(f"control characters in {said!r}")
    result = "WRONG   " if wrong else "accepted" if bundle.is_taken else "refused "
    words = bundle.is_taken or (said.splitlines()[-1] if said else "(nothing said)")
    return wrong, f"{result} {seconds:5.1f} s  {name}: {'; '.join(wrong)}{' | ' if wrong else ''}{words[:170]}"


def main():
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if os.access("/dev/shm", os.W_OK):  # 100,000 files are written, each with its fsync, before a bundle has too many
            tempfile.tempdir = stack.enter_context(tempfile.TemporaryDirectory(prefix="modelguard-hostile-", dir="/dev/shm"))
        failures = run()
    print(f"{len(BUNDLES)} bundles, {len(MANIFESTS) + len(ACCEPTED)} manifests, {failures} not as they should be; a good deploy works afterwards; "
          f"{time.monotonic() - began:.0f} s")
    return 1 if failures else 0


def run():
    failures = 0
    with WatchedDevice(items=12, soak="50ms") as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
        device.wait_phase("steady")
        for name, bundle in BUNDLES.items():
            if name in SLOW and not os.environ.get("MODELGUARD_ALL"):
                print(f"with MODELGUARD_ALL=1 only: {name}")
                continue
            wrong, line = deploy(device, name, bundle)
            failures += bool(wrong)
            print(line)
        for name in NOT_APPLICABLE:
            print(f"not applicable, no signatures in this release: {name}")
        for name, (text, line, word) in MANIFESTS.items():
            path = device.root / "wrong.yaml"
            path.write_bytes(as_bytes(text))
            asked = time.monotonic()
            done = subprocess.run([DAEMON, "--root", device.root, "--validate", path], capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
            seconds = time.monotonic() - asked
            said = (done.stdout + done.stderr).decode()
            at = f"wrong.yaml:{line}:" if line else "wrong.yaml"
            ok = done.returncode in (1, 6) and at in said and word in said and seconds < 5 and "\x1b" not in said
            failures += not ok
            first = said.strip().splitlines()[0][:170] if said.strip() else "(nothing said)"
            print(f"{'refused' if ok else 'WRONG  '} exit {done.returncode} {seconds:4.1f} s  {name}: {first}")
        for name, text in ACCEPTED.items():
            path = device.root / "right.yaml"
            path.write_bytes(text)
            done = device.cli("validate", path)
            failures += done.returncode != 0
            print(f"{'accepted' if done.returncode == 0 else 'WRONG   '} {name}")
        # All of them in models.d of the running daemon: each is told, and the good model goes on.
        folder = device.root / "etc/modelguard/models.d"
        names = {f"h{number:02}.yaml": name for number, name in enumerate(MANIFESTS)}
        for file, name in names.items():
            (folder / file).write_bytes(as_bytes(MANIFESTS[name][0]))
        before = device.last_number()
        device.daemon.send_signal(1)
        seen = device.wait_status(lambda status: any("h00.yaml" in note for note in status["notes"]))
        untold = [name for file, name in names.items() if not any(file in note for note in seen["notes"])]
        model = device.wait_phase("steady")
        ok = not untold and len(seen["models"]) == 1 and model["healthy"] and device.last_number() == before
        failures += not ok
        print(f"{'kept   ' if ok else 'WRONG  '} {len(names)} wrong manifests in models.d: each is told, digits goes on undisturbed {untold}")
        for file in names:
            (folder / file).unlink()
        # A wrong manifest in models.d stops neither the daemon nor the model that it describes.
        good = device.root / "etc/modelguard/models.d/digits.yaml"
        kept = good.read_text()
        good.write_text("model: digits\nserv: {}\n")
        device.kill()
        device.start()
        status = device.cli("status", check=0)
        ok = "digits.yaml:2" in status.stdout.replace("\n", "") and device.linked() == "v1"
        failures += not ok
        print(f"{'kept   ' if ok else 'WRONG  '} wrong manifest in models.d: the model is served on, status names the line"
              f"{'' if ok else ': ' + status.stdout}")
        good.write_text(kept)
        device.daemon.send_signal(1)
        device.cli("deploy", "digits", device.bundle("v2"), "--wait", check=0)
        device.wait_phase("steady")
        assert device.linked() == "v2" and device.serving() == "v2"
        device.check_promises()
    return failures


if __name__ == "__main__":
    sys.exit(main())
