"""The gates besides ctest: format, branch coverage of core, sanitizers, fuzzing, clang-tidy. Each adds one line to GATES."""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import ctest
from report import Report, run, tail

OURS = ("supervisor", "checks", "rollback", "tests", "bench")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
PRODUCT = ("supervisor", "checks", "rollback")
CORE_BRANCH_PERCENT = 90.0
# What has not been looked at when this is over is named and counted as skipped; cold, two cores do some 40 files in it.
TIDY_BUDGET_SECONDS = 300.0
# Seconds per fuzz target: in the default run enough for the kept inputs and a few thousand mutations of each.
FUZZ_SECONDS = 4
FUZZ_SECONDS_ALL = 600


def sources(folders: tuple[str, ...], *suffixes: str) -> list[Path]:
    return sorted(file for folder in folders for suffix in suffixes for file in Path(folder).rglob(f"*{suffix}"))


def format_gate(report: Report, options, cache: Path) -> None:
    files = sources(OURS, ".cpp", ".hpp")
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *map(str, files)], capture_output=True, text=True)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "clang-format-violations" in line})
    report.gate("format", done.returncode == 0, f"clang-format-19 over {len(files)} files",
                "to be set right by: clang-format-19 -i " + " ".join(wrong) if wrong else done.stderr)


def tidy_key(file: Path, fingerprint: bytes) -> str:
    """Of all that clang-tidy's answer depends on: the file, our headers under it, the checks, the tool and the libraries."""
    seen: set[Path] = set()
    pending = [file]
    digest = hashlib.sha256(fingerprint)
    while pending:
        current = pending.pop()
        if current in seen or not current.is_file():
            continue
        seen.add(current)
        pending += [target for include in INCLUDE.findall(current.read_text()) for target in (Path(include), current.parent / include)]
    for path in sorted(seen):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def tidy_gate(report: Report, options, cache: Path) -> None:
    run(report, "tidy", ["cmake", "--preset", "tidy"])
    known = {entry["file"] for entry in json.loads(Path("build/tidy/compile_commands.json").read_text())}
    files = [file for file in sources(OURS if options.all else PRODUCT, ".cpp") if str(file.resolve()) in known]
    packages = subprocess.run(["dpkg-query", "-W"], capture_output=True, check=True).stdout
    fingerprint = hashlib.sha256(packages + Path(".clang-tidy").read_bytes()
                                 + b"".join(path.read_bytes() for path in sorted(Path("packaging/cmake").glob("*.cmake")))).digest()
    clean = cache / "tidy-clean"
    clean.mkdir(parents=True, exist_ok=True)
    pending = [(file, clean / tidy_key(file, fingerprint)) for file in files]
    pending = [(file, mark) for file, mark in pending if not mark.exists()]
    # the largest first, so that the two cores end together
    pending.sort(key=lambda entry: entry[0].stat().st_size, reverse=True)
    deadline = time.monotonic() + (3600.0 if options.all else TIDY_BUDGET_SECONDS)
    findings, late = [], []

    def check(entry: tuple[Path, Path]) -> None:
        file, mark = entry
        if time.monotonic() > deadline:
            late.append(file)
            return
        done = subprocess.run(["clang-tidy-19", "--quiet", "-p", "build/tidy", str(file)], capture_output=True, text=True)
        if done.returncode == 0:
            mark.touch()
        else:
            findings.append(f"{file}:\n{done.stdout}{done.stderr if not done.stdout else ''}")

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(check, pending))
    for file in late:
        report.skipped(f"tidy {file}", f"the time for clang-tidy ({TIDY_BUDGET_SECONDS:.0f} s) was over")
    (report.logs / "tidy.log").write_text("\n".join(findings))
    text = f"clang-tidy-19 over {len(files)} files, {len(files) - len(pending)} of them known to be clean"
    report.gate("tidy", not findings, text, "\n".join(findings)[-8000:])


def asan_gate(report: Report, options, cache: Path) -> None:
    ctest.build(report, "asan", options.jobs)
    # the real programs under sanitizers take minutes: with --all only
    labels = ["unit", "model", "integration"] if options.all else ["unit", "model"]
    ctest.run_tests(report, "asan", options.jobs, labels=labels, prefix="asan: ")


def coverage_gate(report: Report, options, cache: Path) -> None:
    for counts in Path("build/coverage").rglob("*.gcda"):
        counts.unlink()
    folders = [folder for folder in ("tests/core", "tests/model") if Path(folder, "CMakeLists.txt").exists()]
    if not folders:
        report.gate("coverage", False, "no tests of core to measure")
        return
    ctest.build(report, "coverage", options.jobs, [f"{folder}/all" for folder in folders])
    right = all([ctest.run_tests(report, "coverage", options.jobs, folder=folder, prefix="coverage: ") for folder in folders])
    summary = report.logs / "coverage.json"
    # comparisons that the compiler writes, one branch a member, are not ours to cover
    run(report, "coverage", ["gcovr", "--root", ".", "--filter", "supervisor/core/", "--exclude-throw-branches", "--exclude-unreachable-branches",
                             "--exclude-lines-by-pattern", ".*operator==.*= default;.*", "--json-summary", str(summary), "--txt", str(report.logs / "coverage.txt"), "--branches", "build/coverage"])
    found = json.loads(summary.read_text())
    percent = found["branch_percent"]
    report.gate("coverage", right and percent >= CORE_BRANCH_PERCENT,
                f"core: {percent:.1f} % of {found['branch_total']} branches (at least {CORE_BRANCH_PERCENT:.0f} %), {found['line_percent']:.1f} % of lines",
                tail(report.logs / "coverage.txt", 30))


def fuzz_gate(report: Report, options, cache: Path) -> None:
    """Every kept input, then mutations for a while; what was found interesting stays in the cache for the next run."""
    ctest.build(report, "asan", options.jobs, ["fuzz"])
    seconds = FUZZ_SECONDS_ALL if options.all else FUZZ_SECONDS
    targets = sorted(folder.name for folder in Path("tests/fuzz/corpus").iterdir())
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1:external_symbolizer_path=/usr/bin/addr2line",
                   "ASAN_OPTIONS": "external_symbolizer_path=/usr/bin/addr2line:detect_leaks=1"}

    def fuzz(target: str) -> tuple[str, int, int]:
        grown = cache / "fuzz" / target
        grown.mkdir(parents=True, exist_ok=True)
        log = report.logs / f"fuzz-{target}.log"
        with open(log, "wb") as out:
            # a short run takes the same way each time, so that what it finds is there for the next one to see
            done = subprocess.run([f"build/asan/tests/fuzz/fuzz_{target}", grown, f"tests/fuzz/corpus/{target}", f"-max_total_time={seconds}",
                                   *([] if options.all else ["-seed=1"]),
                                   "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={report.logs}/fuzz-{target}-"],
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)
        counted = re.search(r"number_of_executed_units: (\d+)", log.read_text(errors="replace"))
        return target, done.returncode, int(counted[1]) if counted else 0

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(fuzz, targets))
    print("           " + ", ".join(f"{target} {count:,}" for target, _, count in results), flush=True)
    # a target that ran nothing has shown nothing
    wrong = [target for target, code, count in results if code != 0 or count == 0]
    report.gate("fuzz", not wrong and bool(results),
                f"{len(results)} targets, {sum(count for _, _, count in results):,} executions, {seconds} s each; seeds in tests/fuzz/corpus/",
                "\n".join(f"{target}: the input is build/logs/fuzz-{target}-*\n" + tail(report.logs / f"fuzz-{target}.log", 25) for target in wrong))


GATES = {
    "format": format_gate,
    "coverage": coverage_gate,
    "asan": asan_gate,
    "fuzz": fuzz_gate,
    "tidy": tidy_gate,
}
