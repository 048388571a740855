#!/usr/bin/env python3
"""/metrics as a real Prometheus sees it: the page passes `promtool check metrics`, Prometheus scrapes it through a good and a bad
upgrade in the format that it prefers, and its API answers with the phase and the rollbacks. The textfile says the same."""
import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import PATIENCE, Device, UnixConnection  # noqa: E402

MISSING = [program for program in ("prometheus", "promtool") if not shutil.which(program)]
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# What DESIGN names and this release has data for; each must be on the page after one good and one bad upgrade.
FAMILIES = {"build_info", "model_info", "known_good_info", "model_available", "model_phase", "probes_total", "probe_duration_seconds",
            "accuracy_ratio", "verdicts_total", "trial_duration_seconds", "rollbacks_total", "rollback_duration_seconds"}


class TcpToUnix:
    """Prometheus scrapes TCP only: one connection of its own to the socket for each one that comes in on loopback."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                outside, _ = self.listener.accept()
            except OSError:
                return
            inside = socket.socket(socket.AF_UNIX)
            try:
                inside.connect(str(self.path))
            except OSError:
                outside.close()
                continue
            for ends in ((outside, inside), (inside, outside)):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Prometheus:
    def __init__(self, folder, target_port):
        folder.mkdir()
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"scrape_configs: [{{job_name: modelguard, static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]}}]\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = folder / "prometheus.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def query(self, expression):
        """[(labels, value)]; OSError where it does not answer yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"{response.status}: {response.read(200)!r}")
            return [(each["metric"], float(each["value"][1])) for each in json.loads(response.read())["data"]["result"]]
        finally:
            connection.close()

    def wait_for(self, expression, wanted):
        """Asks until the answer is `wanted`: scrapes are what passes the time."""
        deadline = time.monotonic() + PATIENCE
        seen = None
        while time.monotonic() < deadline:
            try:
                seen = self.query(expression)
            except OSError as error:
                if self.process.poll() is not None:
                    raise AssertionError(f"Prometheus ended:\n{self.log.read_text()[-2000:]}")
                seen = error
            if wanted(seen):
                return seen
        raise AssertionError(f"{expression}: {seen}\n{self.log.read_text()[-2000:]}")


@unittest.skipIf(MISSING, f"not here: {', '.join(MISSING)}")
class Metrics(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device())
        self.folder = self.device.root / "run/collector"
        self.folder.mkdir(parents=True)
        self.textfile = self.folder / "modelguard.prom"
        (self.device.root / "etc/modelguard/modelguard.yaml").write_text("metrics: {textfile: /run/collector/modelguard.prom}\n")
        self.device.start()

    def page(self, accept=None):
        connection = UnixConnection(self.device.root / "run/modelguard/api.sock", PATIENCE)
        try:
            connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            return response.headers["Content-Type"], response.read().decode()
        finally:
            connection.close()

    def lint(self, page):
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), page)

    def upgrade_well_and_badly(self):
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        self.device.cli("deploy", "digits", self.device.bundle("v2", seed=1), "--wait", check=0)
        self.device.cli("deploy", "digits", self.device.bundle("bad", mode="wrong_label"), "--wait", check=1)
        self.device.wait_phase("steady")

    def test_prometheus_scrapes_it_through_a_good_and_a_bad_upgrade(self):
        proxy = TcpToUnix(self.device.root / "run/modelguard/api.sock")
        self.addCleanup(proxy.close)
        prometheus = Prometheus(self.device.root / "prometheus", proxy.port)
        self.addCleanup(prometheus.stop)
        prometheus.wait_for("up", lambda seen: [value for _, value in seen] == [1] if isinstance(seen, list) else False)
        self.upgrade_well_and_badly()

        prometheus.wait_for("sum(modelguard_rollbacks_total)", lambda seen: [value for _, value in seen] == [1])
        [(labels, count)] = prometheus.query("modelguard_rollbacks_total")
        self.assertEqual((labels["scope"], labels["model"], labels["reason"], count), ("model", "digits", "failed_checks", 1))
        steady = prometheus.wait_for("modelguard_model_phase == 1", lambda seen: [each["phase"] for each, _ in seen] == ["steady"])
        self.assertEqual(steady[0][0]["model"], "digits")
        self.assertEqual(prometheus.query("count(modelguard_model_phase)")[0][1], 12)
        self.assertEqual(prometheus.query("modelguard_model_available")[0][1], 1)
        [(known_good, _)] = prometheus.query("modelguard_known_good_info")
        self.assertEqual(known_good["label"], "v2")
        self.assertEqual(prometheus.query("modelguard_trial_duration_seconds_count")[0][1], 3)
        # The good version answered all items right, and the histogram holds every inference that was answered.
        [(_, accuracy)] = prometheus.query(f'modelguard_accuracy_ratio{{version="{known_good["version"]}"}}')
        self.assertEqual(accuracy, 1)
        self.assertGreater(prometheus.query("histogram_quantile(0.5, sum by (le) (modelguard_probe_duration_seconds_bucket))")[0][1], 0)
        failing = prometheus.query('sum(modelguard_verdicts_total{subject="candidate",verdict="fail"})')
        self.assertEqual(failing[0][1], 1)
        print("series scraped:", prometheus.query('count({__name__=~"modelguard_.*"})')[0][1])

    def test_the_page_passes_promtool_in_every_state_and_names_what_there_is(self):
        self.lint(self.page()[1])  # nothing deployed
        self.upgrade_well_and_badly()
        content_type, page = self.page()
        self.assertEqual(content_type, TEXT)
        self.lint(page)
        named = set(re.findall(r"^# TYPE modelguard_(\w+) ", page, re.M))
        self.assertEqual(named, FAMILIES)
        for line in page.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) modelguard_|modelguard_\w+(\{.*\})? [0-9.e+-]+$)', line)

    def test_openmetrics_is_given_to_who_asks_for_it(self):
        content_type, page = self.page(accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        self.assertEqual(content_type, OPENMETRICS)
        self.assertTrue(page.endswith("# EOF\n"), page)
        self.assertEqual(self.page(accept="text/plain")[0], TEXT)

    def test_a_label_of_a_bundle_cannot_break_the_page(self):
        bundle = self.device.bundle("v1")
        self.device.cli("deploy", "digits", bundle, "--label", 'a"} 1\\', "--wait", check=0)
        page = self.page()[1]
        self.lint(page)
        self.assertIn('label="a\\"} 1\\\\"', page)

    def test_the_textfile_follows_and_goes_with_the_daemon(self):
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        deadline = time.monotonic() + PATIENCE
        while 'label="v1"' not in (self.textfile.read_text() if self.textfile.exists() else ""):
            self.assertLess(time.monotonic(), deadline)
        self.lint(self.textfile.read_text())
        self.assertEqual([each.name for each in self.folder.iterdir()], ["modelguard.prom"])
        self.device.daemon.terminate()
        self.device.daemon.wait(PATIENCE)
        self.assertFalse(self.textfile.exists())


if __name__ == "__main__":
    if MISSING:
        print(f"not run: {', '.join(MISSING)} not here (packaging/install-deps test)")
        sys.exit(77)
    unittest.main(verbosity=2)
