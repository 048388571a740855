"""Builds a preset and runs its tests; what ctest found goes into the report test by test."""

import collections
import json
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

from report import Report, Stop, run


WAITING = 2  # tests a core at once: those of whole devices mostly wait, and those that fill the machine say so by PROCESSORS


def build(report: Report, preset: str, jobs: int, targets: list[str] | None = None) -> None:
    log = f"build-{preset}"
    (report.logs / f"{log}.log").unlink(missing_ok=True)
    run(report, log, ["cmake", "--preset", preset])
    command = ["cmake", "--build", "--preset", preset, "--parallel", str(jobs)]
    run(report, log, command + (["--target", *targets] if targets else []))
    report.stage_done("build", f"preset {preset}")


def labels_of(folder: Path) -> dict[str, list[str]]:
    listed = subprocess.run(["ctest", "--test-dir", folder, "--show-only=json-v1"], capture_output=True, text=True, check=True)
    found = {}
    for test in json.loads(listed.stdout)["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
        found[test["name"]] = properties.get("LABELS", [])
    return found


def run_tests(report: Report, preset: str, jobs: int, *, labels: list[str] = [], without: str = "", everything: bool = False,
              folder: str = "", prefix: str = "") -> bool:
    """Runs the tests of build/PRESET/FOLDER; true if none failed. `prefix` tells the runs of one test apart in the report."""
    build_folder = Path("build") / preset / folder
    name = f"ctest-{preset}" + (f"-{folder.replace('/', '-')}" if folder else "")
    result = report.logs.resolve() / f"{name}.xml"
    result.unlink(missing_ok=True)
    (report.logs / f"{name}.log").unlink(missing_ok=True)
    chosen = ["--preset", preset] if not folder else ["--test-dir", str(build_folder), "--no-tests=error"]
    command = ["ctest", *chosen, "--output-on-failure", "--parallel", str(jobs), "--output-junit", str(result)]
    if labels:
        command += ["--label-regex", "^(" + "|".join(labels) + ")$"]
    if without:
        command += ["--label-exclude", without]
    environment = {"MODELGUARD_ALL": "1"} if everything else {}
    done = run(report, name, command, may_fail=True, environment=environment)
    if not result.exists():
        raise Stop(name, f"ctest exit {done.returncode} without results\n" + (report.logs / f"{name}.log").read_text(errors="replace")[-4000:])
    return count(report, result, labels_of(build_folder), done.returncode, preset, prefix)


def count(report: Report, result: Path, labels: dict[str, list[str]], returncode: int, preset: str, prefix: str) -> bool:
    by_label: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    failed = 0
    for case in xml.parse(result).getroot().iter("testcase"):
        name, status = case.get("name", "?"), case.get("status", "")
        skipped = case.find("skipped")
        if status == "run":
            outcome = "passed"
            report.passed()
        elif status in ("notrun", "disabled") and skipped is not None and "unable" not in (skipped.get("message") or "").lower():
            outcome = "skipped"
            report.skipped(prefix + name, skipped.get("message") or "not run")
        else:
            outcome = "failed"
            failed += 1
            output = case.findtext("system-out") or ""
            report.failed(prefix + name, output)
        for label in labels.get(name) or ["unlabelled"]:
            by_label[label][outcome] += 1
    summary = ", ".join(f"{label} " + "/".join(f"{number} {outcome}" for outcome, number in sorted(counts.items(), key=lambda item: item[0] != "passed"))
                        for label, counts in sorted(by_label.items()))
    if returncode != 0 and failed == 0:
        report.failed(f"ctest-{preset}", f"ctest exit {returncode} although no test failed: see {report.logs}")
        failed = 1
    report.stage_done("ctest", f"{preset}: {summary}")
    return failed == 0
