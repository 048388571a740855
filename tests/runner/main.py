"""tests/run after the packages are there: builds, runs ctest, then the other gates, and sums up.

Every test of ctest counts as one (once more in the sanitizer and coverage builds), every gate (format, coverage, with --all tidy) as one. The
exit code is 0 only if nothing failed. Logs are in build/logs/.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import ctest
import gates
from report import Report, Stop, run

TREE = Path(__file__).resolve().parents[2]


def cache_folder() -> Path:
    """Outside of the tree, so that a second run is quick even in a fresh clone. Root's is readable by everybody."""
    if os.geteuid() == 0:
        return Path("/var/cache/modelguard")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelguard"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="full enumerations, and clang-tidy over the whole tree")
    parser.add_argument("--fast", action="store_true", help="the dev build and its quick tests only (not those labelled slow or realserver)")
    parser.add_argument("--label", action="append", default=[], help="the dev build and the tests with this label only; may be repeated")
    parser.add_argument("--gate", action="append", default=[], choices=["ctest", *gates.GATES], help="this part only; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="default: the number of cores")
    return parser.parse_args()


def chosen_parts(options: argparse.Namespace) -> list[str]:
    if options.gate:
        return options.gate
    if options.fast or options.label:
        return ["ctest"]
    # clang-tidy over the whole tree takes longer than everything else together: with --all, or by --gate tidy
    return ["ctest", *(gate for gate in gates.GATES if gate != "tidy" or options.all)]


def main() -> int:
    options = parse()
    os.chdir(TREE)
    report = Report(TREE / "build/logs", float(os.environ.get("MODELGUARD_RUN_BEGAN", time.time())))
    report.stage_done("install", "Debian packages (packaging/apt-packages)")
    try:
        parts = chosen_parts(options)
        if "ctest" in parts:
            ctest.build(report, "dev", options.jobs)
            if not (options.fast or options.label) or "realserver" in options.label:
                # made here, so that its time is not that of a test
                run(report, "venv", ["packaging/quickstart.d/venv", "packaging/quickstart.d/requirements.txt", str(cache_folder())])
                report.stage_done("venv", "MLServer and scikit-learn from PyPI")
            ctest.run_tests(report, "dev", options.jobs * ctest.WAITING, labels=options.label, without="slow|realserver" if options.fast else "",
                            everything=options.all)
        for part in parts:
            if part != "ctest":
                gates.GATES[part](report, options, cache_folder())
    except Stop as stop:
        report.failed(stop.what, stop.detail)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
