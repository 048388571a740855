#!/usr/bin/env python3
"""Hostile bundles and wrong manifests through the real CLI and daemon: refused with a clear error, nothing left behind,
and a good deploy works afterwards. Prints what was refused and with which words."""
import io
import os
import pathlib
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402


def entry(name, content=b"x", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content) if attributes.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def archive(*entries, compress="", tail=b"", cut=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:" + compress, format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return (buffer.getvalue() + tail)[:cut]


OK = entry("model.bin", b"model")
# name -> (archive, a word that the error must say)
BUNDLES = {
    "parent path": (archive(OK, entry("../outside")), "../outside"),
    "parent path inside": (archive(OK, entry("a/../../outside")), "outside"),
    "absolute path": (archive(OK, entry("/etc/passwd")), "/etc/passwd"),
    "symbolic link": (archive(OK, entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "link"),
    "hard link": (archive(OK, entry("hard", type=tarfile.LNKTYPE, linkname="model.bin")), "hard"),
    "character device": (archive(OK, entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)), "dev"),
    "named pipe": (archive(OK, entry("pipe", type=tarfile.FIFOTYPE)), "pipe"),
    "setuid file": (archive(OK, entry("su", mode=0o4755)), "su"),
    "the same name twice": (archive(OK, OK), "model.bin"),
    "names that differ in case": (archive(OK, entry("MODEL.bin")), "MODEL.bin"),
    "control character in a name": (archive(OK, entry("a\nb")), "name"),
    "ratio bomb": (archive(OK, entry("zeros", bytes(64 << 20)), compress="gz"), "1000 times"),
    "over-long name": (archive(OK, entry("d/" * 40 + "f")), "d/"),
    "truncated": (archive(OK, entry("big", os.urandom(1 << 20)), cut=400_000), ""),
    "no archive at all": (b"<html>404 not found</html>" * 40, ""),
    "empty": (archive(), ""),
    "trailing data": (archive(OK, tail=b"#!/bin/sh\necho hello\n" * 600), ""),
    "wrong label file": (archive(OK, entry("modelguard-version.yaml", b"label: [\n")), "modelguard-version.yaml"),
}

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
}


def snapshot(device):
    state = device.root / "var/lib/modelguard"
    return sorted(str(path.relative_to(state)) for part in ("models", "staging", "incoming") for path in (state / part).rglob("*"))


def main():
    began = time.monotonic()
    failures = 0
    with Device() as device:
        device.start()
        device.cli("deploy", "digits", device.bundle("v1"), "--wait", check=0)
        device.wait_phase("steady")
        before = snapshot(device)
        for name, (content, word) in BUNDLES.items():
            path = device.root / "hostile.tar"
            path.write_bytes(content)
            done = device.cli("deploy", "digits", path, "--wait")
            said = (done.stdout + done.stderr).strip()
            ok = done.returncode in (1, 6) and word in said and snapshot(device) == before and device.linked() == "v1"
            failures += not ok
            print(f"{'refused' if ok else 'WRONG  '} exit {done.returncode}  {name}: {said.splitlines()[-1][:200] if said else '(nothing said)'}")
        for name, (text, line, word) in MANIFESTS.items():
            path = device.root / "wrong.yaml"
            path.write_text(text)
            done = device.cli("validate", path)
            said = done.stdout + done.stderr
            at = f"wrong.yaml:{line}:" if line else "wrong.yaml"
            ok = done.returncode == 1 and at in said and word in said
            failures += not ok
            print(f"{'refused' if ok else 'WRONG  '} exit {done.returncode}  {name}: {said.strip().splitlines()[0][:200] if said.strip() else '(nothing said)'}")
        # A wrong manifest in models.d stops neither the daemon nor the model that it describes.
        good = device.root / "etc/modelguard/models.d/digits.yaml"
        kept = good.read_text()
        good.write_text("model: digits\nserv: {}\n")
        device.kill()
        device.start()
        status = device.cli("status", check=0)
        ok = "digits.yaml:2" in status.stdout and device.linked() == "v1"
        failures += not ok
        print(f"{'kept   ' if ok else 'WRONG  '} wrong manifest in models.d: the model is served on, status names the line")
        good.write_text(kept)
        device.daemon.send_signal(1)
        device.cli("deploy", "digits", device.bundle("v2"), "--wait", check=0)
        device.wait_phase("steady")
        assert device.linked() == "v2" and device.serving() == "v2"
        device.check_promises()
    print(f"{len(BUNDLES)} bundles, {len(MANIFESTS)} manifests, {failures} not refused as they should; a good deploy works afterwards; "
          f"{time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
