#!/usr/bin/env python3
"""Real containers: modelguardd --root with the switch `container` and the check `container`, on podman, in a network namespace
without any network. Each way in which an image can be bad, an image and a registry that are gone, and the way back: prints the
table of outcomes. Needs root, podman, runc and busybox-static; where they cannot run it is skipped.
"""
import contextlib
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import PATIENCE, Device, UnixConnection  # noqa: E402

SKIP = 77
NEEDED = ("podman", "runc", "busybox", "unshare")
PORT = 8080  # nobody else is in this network namespace
REGISTRY = "127.0.0.1:5000"
SERVE = f"""#!/bin/busybox sh
[ -e /crash ] && exit 3
[ -e /hungry ] && {{ x=aaaaaaaa; while :; do x=$x$x; done; }}
exec /bin/busybox httpd -f -p 127.0.0.1:{PORT} -h /www
"""
# What the model's unit would do: the container of the tag, made anew.
UNIT = """#!/bin/sh
podman rm -f -t 0 digits >/dev/null 2>&1
[ -z "$MODELGUARD_VERSION" ] && exit 0
image=localhost/modelguard/digits:current
[ -e "$MODELGUARD_VERSION_DIR/pinned" ] && image=$(cat "$MODELGUARD_VERSION_DIR/pinned")
set --
[ -e "$MODELGUARD_VERSION_DIR/restart" ] && set -- "$@" --restart=always
[ -e "$MODELGUARD_VERSION_DIR/health" ] && set -- "$@" --health-cmd "$(cat "$MODELGUARD_VERSION_DIR/health")" --health-interval=disable --health-retries=2
exec podman run -d --pull=never --name digits -m 48m "$@" "$image" /serve
"""
MANIFEST = f"""\
model: digits
serve:
  switch: container
  then: {{exec: unit}}
  ready_within: 5s
  period: 200ms
checks:
- {{name: container, kind: container, container: digits, stable_for: 400ms}}
- {{name: answers, kind: http, url: "http://127.0.0.1:{PORT}/version", contains: digits}}
trial: {{deadline: 30s, soak: 300ms}}
"""


def why_not():
    if os.geteuid() != 0:
        return "it needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14s", b"lo", 0x1 | 0x40, b"")  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


class Podman:
    """podman with a storage, a configuration and an API socket of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "podman.sock"
        (folder / "containers.conf").write_text(
            '[containers]\nnetns = "host"\npids_limit = 0\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            f'[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "{folder}/tmp"\n')
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n')
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.environment = dict(os.environ, CONTAINERS_CONF=str(folder / "containers.conf"), CONTAINERS_STORAGE_CONF=str(folder / "storage.conf"))
        self.service = None

    def __call__(self, *arguments, check=True):
        done = subprocess.run(["podman", *map(str, arguments)], env=self.environment, capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout.strip()

    def start_service(self):
        with open(self.folder / "service.log", "a") as log:
            self.service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{self.socket}"], env=self.environment, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with contextlib.closing(UnixConnection(self.socket, 5)) as connection:
                    connection.request("GET", "/v4.0.0/libpod/_ping")
                    connection.getresponse().read()
                    return
            except OSError:
                if self.service.poll() is not None:
                    break
        raise AssertionError((self.folder / "service.log").read_text()[-2000:])

    def stop_service(self):
        self.service.kill()
        self.service.wait()
        self.socket.unlink(missing_ok=True)

    def image(self, name, **files):
        """An image of busybox and one script; `files` are its other files."""
        tree = self.folder / "trees" / name
        for folder in ("bin", "tmp", "proc", "sys", "dev", "etc", "www"):
            (tree / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
        (tree / "serve").write_text(SERVE)
        (tree / "serve").chmod(0o755)
        (tree / "www/version").write_text(f"digits {name}\n")
        for file, text in files.items():
            (tree / file).write_text(text)
        archive = self.folder / f"{name}.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tree, arcname=".")
        self("import", archive, f"registry.invalid/digits:{name}")
        return f"registry.invalid/digits:{name}"

    def digest(self, image):
        return self("image", "inspect", "--format", "{{.Digest}}", image)


def registry_of(folder):
    """A registry for pulling (OCI Distribution) of what `podman push dir:` wrote."""

    class Registry(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rsplit("/", 1)[-1].removeprefix("sha256:")
            manifest = (folder / "manifest.json").read_bytes()
            if self.path == "/v2/":
                return self.answer(b"{}", "application/json")
            if "/manifests/" in self.path:
                return self.answer(manifest, json.loads(manifest).get("mediaType", "application/vnd.oci.image.manifest.v1+json"))
            if (folder / name).is_file():
                return self.answer((folder / name).read_bytes(), "application/octet-stream")
            self.send_error(404)

        do_HEAD = do_GET

        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Registry


class RealContainers(unittest.TestCase):
    table = []

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mg-podman-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.podman = Podman(cls.folder)
        cls.podman.image("probe")
        try:
            said = cls.podman("run", "--rm", "registry.invalid/digits:probe", "/bin/busybox", "echo", "works")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"podman cannot run a container here: {error}")
            sys.exit(SKIP)
        assert said == "works", said
        cls.podman.start_service()
        cls.addClassCleanup(cls.podman.stop_service)
        cls.addClassCleanup(cls.podman, "rm", "-a", "-f", "-t", "0", check=False)
        cls.device = Device(model_server=False)
        cls.addClassCleanup(cls.device.__exit__, None, None, None)
        unit = cls.device.root / "unit"
        unit.write_text(UNIT)
        unit.chmod(0o755)
        environment = [f"{name}={cls.podman.environment[name]}" for name in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")]
        (cls.device.root / "etc/modelguard/modelguard.yaml").write_text(
            f"commands: {{unit: {{argv: [/usr/bin/env, {', '.join(environment)}, {unit}], timeout: 30s}}}}\n"
            f"images: [registry.invalid/digits, '{REGISTRY}/digits']\npodman: {{socket: {cls.podman.socket}}}\n")
        (cls.device.root / "etc/modelguard/models.d/digits.yaml").write_text(MANIFEST)
        cls.device.start()
        cls.deploy("good", cls.podman.image("good"), expected=0)
        print(f"\n{'version':<12} {'what is wrong':<34} {'outcome':<10} {'because':<14} served then")

    @classmethod
    def tearDownClass(cls):
        if cls.table:
            print("\n".join(cls.table))

    @classmethod
    def bundle(cls, name, image, digest=None):
        bundle = cls.device.root / "bundles" / name
        bundle.mkdir(parents=True)
        (bundle / "modelguard-version.yaml").write_text(f'label: "{name}"\n')
        (bundle / "image.json").write_text(json.dumps({"reference": image, "digest": digest or cls.podman.digest(image)}))
        return bundle

    @classmethod
    def deploy(cls, name, image, expected, digest=None, **files):
        """Deploys a version of this image and waits for what becomes of it; the decision that
        ended it, and the check that failed first."""
        bundle = cls.bundle(name, image, digest)
        for file, content in files.items():
            if isinstance(content, pathlib.Path):
                shutil.copy(content, bundle / "image.tar")
            else:
                (bundle / file).write_text(content)
        before = cls.device.last_number()
        cls.device.cli("deploy", "digits", bundle, "--wait", check=expected)
        decisions = cls.device.history(after=before)
        ends = [item for item in decisions if item["kind"] in ("accepted", "rejected", "undecided")]
        failing = [report for item in decisions for report in item.get("checks", []) if report["verdict"] == "fail"]
        return dict(ends[-1], failing=failing[0] if failing else {})

    def served(self):
        """What really answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/version", timeout=10) as answer:
            return answer.read().decode().strip()

    def tags(self):
        """Of the model's images. podman cannot list while one goes."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                return self.podman("images", "--format", "{{.Tag}}", "--filter", "reference=localhost/modelguard/digits").split()
        raise AssertionError("podman does not list its images")

    def conclude(self, name, wrong, decision):
        """One line of the table. The version before is served, by the link, by the tag and in fact."""
        code = decision["failing"].get("code", "")
        self.device.wait_phase("steady")
        served = self.served()
        self.table.append(f"{name:<12} {wrong:<34} {decision['kind']:<10} {code:<14} {served}")
        current = json.loads((self.device.current / "image.json").read_text())
        tagged = self.podman("image", "inspect", "--format", "{{.Id}} {{.Digest}}", "localhost/modelguard/digits:current")
        self.assertIn(current["digest"].removeprefix("sha256:"), tagged)
        self.assertEqual(self.podman("inspect", "--format", "{{.Image}}", "digits"), tagged.split()[0])
        return code, decision["failing"].get("text", ""), served

    def bad(self, name, wrong, image, expected_codes, **more):
        decision = self.deploy(name, image, 1, **more)
        code, text, served = self.conclude(name, wrong, decision)
        self.assertEqual(decision["kind"], "rejected", decision)
        self.assertIn(code, expected_codes, text)
        self.assertEqual(served, "digits good")

    def test_a_crash_loop_is_rejected(self):
        self.bad("crash-loop", "exits with 3, podman restarts it", self.podman.image("crash-loop", crash=""), ("restarting",), restart="")

    def test_b_a_crash_is_rejected(self):
        self.bad("crash", "exits with 3", self.podman.image("crash", crash=""), ("exited",))

    def test_c_what_takes_too_much_memory_is_rejected(self):
        # cgroups v1 tells podman too late: then the signal is all that it knows.
        self.bad("hungry", "more than its 48 MiB", self.podman.image("hungry", hungry=""), ("oom", "exited"))

    def test_d_an_unhealthy_container_is_rejected(self):
        ended = threading.Event()

        def timer():  # systemd's, which is not here
            while not ended.is_set():
                self.podman("healthcheck", "run", "digits", check=False)

        thread = threading.Thread(target=timer)
        thread.start()
        try:
            self.bad("unhealthy", "its health check says no", self.podman.image("unhealthy"), ("unhealthy",), health="/bin/busybox false")
        finally:
            ended.set()
            thread.join()

    def test_e_another_image_than_the_versions_is_rejected(self):
        good = self.podman("image", "inspect", "--format", "{{.Id}}", "registry.invalid/digits:good")
        self.bad("wrong-image", "its unit runs another image", self.podman.image("wrong-image"), ("wrong_image",), pinned=good)

    def test_f_an_image_that_is_nowhere_is_undecided_and_changes_nothing(self):
        decision = self.deploy("image-gone", "registry.invalid/digits:gone", 1, digest="sha256:" + "0" * 64)
        code, text, served = self.conclude("image-gone", "its image is not on the device", decision)
        self.assertEqual((decision["kind"], code, served), ("undecided", "switch_failed", "digits good"))
        self.assertIn("podman pull registry.invalid/digits:gone", text)

    def test_g_a_podman_that_does_not_answer_rolls_nothing_back(self):
        self.podman.stop_service()
        try:
            said = self.device.cli("check", "digits")
            self.assertEqual(said.returncode, 1, said.stdout + said.stderr)
            self.assertIn("podman", said.stdout)
            self.assertIn("inconclusive", said.stdout)
            model = self.device.model()
            self.table.append(f"{'good':<12} {'podman does not answer':<34} {'-':<10} {'inconclusive':<14} {self.served()}")
            self.assertEqual(model["phase"], "steady")
        finally:
            self.podman.start_service()
        self.assertEqual(self.device.cli("check", "digits").returncode, 0)

    def test_h_an_image_in_the_bundle_needs_no_registry_and_survives_pruning(self):
        image = self.podman.image("bundled")
        digest = "sha256:" + self.podman("image", "inspect", "--format", "{{.Id}}", image)
        archive = self.folder / "bundled.image.tar"
        self.podman("save", "--format", "oci-archive", "-o", archive, image)
        self.podman("rmi", image)
        decision = self.deploy("bundled", image, 0, digest=digest, archive=archive)
        self.assertEqual(self.conclude("bundled", "nothing; image.tar in the bundle", decision)[2], "digits bundled")
        self.podman("rmi", "registry.invalid/digits:good")
        self.podman("image", "prune", "-f")
        self.device.cli("rollback", "digits", "--wait", check=0)
        self.device.wait_phase("steady")
        self.assertEqual(self.served(), "digits good")
        self.table.append(f"{'good':<12} {'rolled back, offline, after a prune':<34} {'rolled_back':<10} {'':<14} digits good")

    def test_i_a_registry_that_is_gone_is_not_missed(self):
        image = self.podman.image("pulled")
        folder = self.folder / "registry"
        self.podman("push", image, f"dir:{folder}")
        self.podman("rmi", image)
        remote = f"{REGISTRY}/digits:pulled"
        with http.server.ThreadingHTTPServer(("127.0.0.1", int(REGISTRY.split(":")[1])), registry_of(folder)) as registry:
            threading.Thread(target=registry.serve_forever).start()
            try:
                self.podman("pull", "--tls-verify=false", remote)
            finally:
                registry.shutdown()
        decision = self.deploy("pulled", remote, 0)
        self.assertEqual(self.conclude("pulled", "nothing; its registry is gone", decision)[2], "digits pulled")
        self.podman("rmi", remote)
        decision = self.deploy("crash-2", self.podman.image("crash-2", crash=""), 1)
        code, _, served = self.conclude("crash-2", "exits with 3; its registry is gone", decision)
        self.assertEqual((code, served), ("exited", "digits pulled"))

    def test_j_kills_while_it_switches_leave_tag_and_link_agreed(self):
        before = self.served()
        for number in range(4):
            crashes = {"crash": ""} if number % 2 else {}
            image = self.podman.image(f"killed-{number}", **crashes)
            bundle = self.bundle(f"killed-{number}", image)
            seen = self.device.last_number()
            self.device.cli("deploy", "digits", bundle, check=0)
            # From the decision to switch on, a few milliseconds more each time.
            self.device.wait_decision("baseline_measured", after=seen)
            time.sleep(0.004 * number)
            self.device.kill()
            self.device.start()
            end = self.device.wait_decision("rejected" if crashes else "accepted", after=seen)
            before = before if crashes else f"digits killed-{number}"
            self.conclude(f"killed-{number}", "the supervisor is killed" + (", exits with 3" if crashes else ""), dict(end, failing={}))
            self.assertEqual(self.served(), before)

    def test_k_versions_that_are_gone_keep_no_image(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            versions = set(os.listdir(self.device.models / "versions"))
            tags = self.tags()
            kept = {tag for tag in tags if tag.startswith("sha256-")}
            if kept <= versions:
                break
        self.assertLessEqual(kept, versions)
        for link in ("current", "known-good"):
            self.assertIn(os.readlink(self.device.models / link).removeprefix("versions/"), kept)

    def test_l_a_removed_model_keeps_no_image(self):
        (self.device.root / "etc/modelguard/models.d/digits.yaml").unlink()
        before = self.device.last_number()
        self.device.daemon.send_signal(signal.SIGHUP)
        self.device.wait_decision("unmanaged", after=before)
        self.device.cli("remove", "digits", "--yes", check=0)
        deadline = time.monotonic() + PATIENCE
        tags = ["unknown"]
        while time.monotonic() < deadline and tags:
            tags = self.tags()
        self.assertEqual(tags, [], self.device.log.read_text()[-2000:])


if __name__ == "__main__":
    reason = why_not()
    if not reason and os.environ.get("MODELGUARD_PODMAN_TEST") != "inside":
        done = subprocess.run(["unshare", "--net", "--mount", sys.executable, __file__, *sys.argv[1:]], env=dict(os.environ, MODELGUARD_PODMAN_TEST="inside"))
        sys.exit(done.returncode)
    if not reason:
        try:
            raise_loopback()
        except OSError as error:
            reason = f"no network namespace of its own: {error}"
    if reason:
        print(f"skipped, real containers: {reason}")
        sys.exit(SKIP)
    unittest.main(verbosity=2)
