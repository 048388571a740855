#!/usr/bin/env python3
"""Seeded mistakes in the code that stores things, each of which the fault suites (or a test of the ledger) must find.

A mutant is one file compiled anew and linked before the libraries of the build; the build itself is not touched, and must be up to date.
MODELGUARD_BIN names the build directory. Killed means that a promise was seen broken; a harness that stops for another reason kills
nothing. Exits 1 if one survives that is not said to be equivalent, if one that is said to be is killed, or if one cannot be tried.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

from storage_mutant_list import EQUIVALENT, MUTANTS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("MODELGUARD_BIN", ROOT / "build/dev")).resolve()
DAEMON = "supervisor/daemon/modelguardd"
TESTS = {"corruption": "tests/store/store_corruption_test", "ledger": "tests/store/store_ledger_test"}  # suites without operations
STEPS = {"power": 12, "kill": 1, "errno": 1, "errno-lasting": 12}  # of one operation
AT_ONCE = 2  # a build is work, a suite is waiting

Mutant = collections.namedtuple("Mutant", "name file old new suite operation")


def compile_command(source):
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    return next(shlex.split(entry["command"]) for entry in entries if entry["file"] == str(source))


def build(program, source, text, folder):
    """The program with this text in place of that file."""
    mutated, made, linked = folder / source.name, folder / "mutated.o", folder / pathlib.Path(program).name
    mutated.write_text(text)
    command = compile_command(source)
    command[command.index(str(source))] = str(mutated)
    command[command.index("-o") + 1] = str(made)
    subprocess.run([word for word in command if word != "-Werror"], cwd=BUILD, check=True, capture_output=True)
    commands = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", program], capture_output=True, text=True, check=True).stdout.splitlines()
    link = next(line for line in reversed(commands) if f"-o {program}" in line)
    words = shlex.split(link.removeprefix(": && ").split(" && ")[0])
    target = words.index("-o")
    words[target + 1] = str(linked)
    words.insert(target, str(made))
    subprocess.run(words, cwd=BUILD, check=True, capture_output=True)
    return linked


def run_suite(mutant, program, seed):
    """(exit status, the lines that say that a promise was broken, all lines)"""
    if mutant.suite in TESTS:
        command, environment, marks = [program], dict(os.environ, MODELGUARD_SEED=str(seed)), ("[  FAILED  ]",)
        environment.pop("MODELGUARD_ALL", None)
    else:
        command = [sys.executable, HERE / "fault_test.py", mutant.suite, "--first", "--operation", mutant.operation, "--seed", str(seed),
                   "--step", str(STEPS[mutant.suite])]
        environment, marks = dict(os.environ, MODELGUARD_DAEMON=str(program), MODELGUARD_BIN=str(BUILD), MODELGUARD_ALL="0"), ("BROKEN",)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=program.parent)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    return done.returncode, [line for line in lines if line.startswith(marks)], lines


def try_mutant(mutant, seed):
    """('killed' | 'survived' | 'not tried', what was seen)"""
    source = ROOT / mutant.file
    text = source.read_text()
    if text.count(mutant.old) != 1:
        return "not tried", f"its text occurs {text.count(mutant.old)} times"
    with tempfile.TemporaryDirectory(prefix="mg-mutant-", dir="/tmp") as folder:
        try:
            program = build(TESTS.get(mutant.suite, DAEMON), source, text.replace(mutant.old, mutant.new), pathlib.Path(folder))
        except subprocess.CalledProcessError as error:
            return "not tried", "not built: " + error.stderr.decode()[-600:]
        status, broken, lines = run_suite(mutant, program, seed)
    if broken and status == 1:
        return "killed", broken[0]
    return ("survived" if status == 0 else "not tried"), (lines or ["nothing said"])[-1]


def check_untouched(seed):
    """Without a mistake nothing is seen: otherwise it is the build that is out of date, and everything would pass for killed."""
    for suite, program, operation in [*((suite, program, "") for suite, program in TESTS.items()), ("kill", DAEMON, "good upgrade")]:
        file = MUTANTS[0][1]
        with tempfile.TemporaryDirectory(prefix="mg-mutant-", dir="/tmp") as folder:
            linked = build(program, ROOT / file, (ROOT / file).read_text(), pathlib.Path(folder))
            status, _, lines = run_suite(Mutant("", file, "", "", suite, operation), linked, seed)
        if status != 0:
            raise SystemExit(f"{program} fails without any mistake in it; build it anew first.\n" + "\n".join(lines[-15:]))


def judge(mutant, seed):
    """(mutant, outcome, what was seen, seconds)"""
    began = time.monotonic()
    outcome, seen = try_mutant(mutant, seed)
    if outcome == "survived" and mutant.name in EQUIVALENT:
        outcome, seen = "equivalent", EQUIVALENT[mutant.name]
    return mutant, outcome, seen, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="the mutants whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chosen = [mutant for mutant in map(Mutant._make, MUTANTS) if not arguments.only or arguments.only in mutant.name]
    check_untouched(arguments.seed)
    wrong, counts = [], collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, outcome, seen, seconds in pool.map(lambda mutant: judge(mutant, arguments.seed), chosen):
            if outcome in ("survived", "not tried") or (outcome == "killed" and mutant.name in EQUIVALENT):
                wrong.append(mutant.name)
            counts[outcome] += 1
            by = f"{mutant.suite}, {mutant.operation}".rstrip(", ")
            print(f"{outcome:<11}{mutant.name:<36}{by:<34}{seconds:>6.1f} s  {seen[:330]}", flush=True)
    print(f"{len(chosen)} mutants: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    if wrong:
        print("to be looked at: " + ", ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
