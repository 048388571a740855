#!/usr/bin/env python3
"""Seeded mistakes in the state machine, each of which the explorer or a scenario of tests/core must find.

Each mutant replaces one piece of text, which must occur exactly once in its file, so that this list cannot rot unseen.
By default every k-th is made, beginning at --seed (0); --all, or MODELGUARD_ALL=1, makes every one.
Exits 1 if one survives that is not said to be equivalent, or if a text is not found."""

import argparse
import collections
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutant_list import EQUIVALENT, MUTANTS

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "supervisor" / "core"
FLAGS = ["-std=c++23", "-O1", "-w", f"-I{ROOT}"]
EVERY = 27  # by default: a handful, so that a run stays short; --seed takes another handful
NEAR = "5000"  # states per configuration: what is wrong near the beginning is found in seconds
FAR = "300000"  # more than any has by default: a mistake that makes one grow without end is not found by waiting
SECONDS = 1200


def compile_object(cxx: str, source: Path, target: Path, extra: list[str] = []) -> None:
    subprocess.run([cxx, *extra, *FLAGS, "-c", str(source), "-o", str(target)], check=True)


class Bench:
    """The objects that no mutant changes, and what is linked from them."""

    def __init__(self, cxx: str, folder: Path, jobs: int):
        self.cxx, self.folder = cxx, folder
        parts = {
            "explorer": sorted(path for path in (ROOT / "tests/model").glob("*.cpp") if path.name != "boots.cpp"),
            "core_test": sorted((ROOT / "tests/core").glob("*.cpp")),
            "base": [ROOT / "supervisor/base" / name for name in ("ids.cpp", "time.cpp", "result.cpp")],
            "core": sorted(CORE.glob("*.cpp")),
        }
        self.objects = {part: {source: folder / f"{part}-{source.stem}.o" for source in sources} for part, sources in parts.items()}
        todo = [pair for sources in self.objects.values() for pair in sources.items()]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda pair: compile_object(cxx, *pair), todo))

    def link(self, program: str, mutated: Path, instead: Path, target: Path) -> None:
        core = [mutated if source == instead else built for source, built in self.objects["core"].items()]
        rest = [*self.objects[program].values(), *self.objects["base"].values()]
        libraries = ["-lgtest_main", "-lgtest", "-pthread"] if program == "core_test" else []
        subprocess.run([self.cxx, *map(str, [*rest, *core]), *libraries, "-o", str(target)], check=True)


def outcome(command: list[str]) -> str:
    """'' if the command succeeds, else the first thing it complains about."""
    environment = {name: value for name, value in os.environ.items() if name != "MODELGUARD_ALL"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return "does not end"
    if done.returncode == 0:
        return ""
    for line in done.stdout.splitlines():
        if line.startswith("BROKEN "):
            return line.split()[1]
        if line.startswith("[  FAILED  ]"):
            return line.split()[3]
    return f"exit {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"


def try_mutant(bench: Bench, number: int, name: str, file: str, text: str, replacement: str) -> tuple[str, str]:
    source = CORE / file
    original = source.read_text()
    if original.count(text) != 1:
        return "LOST", f"its text occurs {original.count(text)} times in {file}"
    place = bench.folder / f"mutant-{number}"
    place.mkdir()
    mutated = place / file
    mutated.write_text(original.replace(text, replacement))
    try:
        compile_object(bench.cxx, mutated, place / "mutated.o")
        bench.link("explorer", place / "mutated.o", source, place / "explorer")
        bench.link("core_test", place / "mutated.o", source, place / "core_test")
    except subprocess.CalledProcessError:
        return "LOST", "does not compile"
    for by, command in (("explorer", ["explorer", "--first", "--states", NEAR]), ("scenario", ["core_test"]),
                        ("explorer, far", ["explorer", "--first", "--states", FAR])):
        if found := outcome([str(place / command[0]), *command[1:]]):
            return "killed", f"{by}: {found}"
    return "SURVIVED", ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--seed", type=int, default=None, help="which of the k-th ones")
    parser.add_argument("--only", help="mutants whose name contains this")
    parser.add_argument("--cxx", default=os.environ.get("CXX", "c++"))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    everything = options.all or os.environ.get("MODELGUARD_ALL") == "1"

    begin = time.monotonic()
    seed = options.seed if options.seed is not None else 0
    numbered = list(enumerate(MUTANTS))
    if options.only:
        chosen = [entry for entry in numbered if options.only in entry[1][0]]
    else:
        chosen = numbered if everything else [entry for entry in numbered if entry[0] % EVERY == seed % EVERY]
        print(f"{len(chosen)} of {len(MUTANTS)} mutants" + ("" if everything else f", every {EVERY}th, --seed {seed}"))
    for number, (name, file, text, _) in numbered:  # lost ones are found even where they are not made
        if (CORE / file).read_text().count(text) != 1:
            print(f"LOST: {name}: its text does not occur exactly once in {file}")
            return 1

    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="modelguard-mutants-") as folder:
        bench = Bench(options.cxx, Path(folder), options.jobs)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            futures = [(name, pool.submit(try_mutant, bench, number, name, *rest)) for number, (name, *rest) in chosen]
            for name, future in futures:
                result, by = future.result()
                if result == "SURVIVED" and name in EQUIVALENT:
                    result, by = "equivalent", EQUIVALENT[name]
                elif result == "killed" and name in EQUIVALENT:
                    result, by = "LOST", f"said to be equivalent, and is killed by {by}"
                counts[result] += 1
                print(f"{result:10} {name:58} {by}", flush=True)
    print(f"mutants made {len(chosen)}, killed {counts['killed']}, equivalent {counts['equivalent']}, "
          f"survived {counts['SURVIVED']}, lost {counts['LOST']}, {time.monotonic() - begin:.0f} s")
    return 1 if counts["SURVIVED"] or counts["LOST"] or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
