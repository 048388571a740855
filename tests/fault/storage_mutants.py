#!/usr/bin/env python3
"""Seeded mistakes in the code that stores things, each of which the fault suites must find.

A mutant is one file compiled anew and linked before the libraries of the build; the build itself is not touched. MODELGUARD_BIN names the
build directory. Exits 1 if one survives that is not said to be equivalent, or whose text is not found once.
"""
import argparse
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
PROGRAM = "supervisor/daemon/modelguardd"
STEP = {"power": "15", "kill": "6"}


def compile_command(source):
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    return next(shlex.split(entry["command"]) for entry in entries if entry["file"] == str(source))


def build(source, text, folder):
    """The daemon with this text in place of that file."""
    mutated, made, program = folder / source.name, folder / "mutated.o", folder / "modelguardd"
    mutated.write_text(text)
    command = compile_command(source)
    command[command.index(str(source))] = str(mutated)
    command[command.index("-o") + 1] = str(made)
    subprocess.run([word for word in command if word != "-Werror"], cwd=BUILD, check=True, capture_output=True)
    link = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", PROGRAM], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    words = shlex.split(link.removeprefix(": && ").removesuffix(" && :"))
    target = words.index("-o")
    words[target + 1] = str(program)
    words.insert(target, str(made))
    subprocess.run(words, cwd=BUILD, check=True, capture_output=True)
    return program


def try_mutant(mutant, seed, folder):
    """('killed' | 'survived' | 'not built', what was seen)"""
    _, name, old, new, suite, operation = mutant
    source = ROOT / "supervisor" / name
    text = source.read_text()
    if text.count(old) != 1:
        return "not built", f"its text occurs {text.count(old)} times"
    try:
        program = build(source, text.replace(old, new), folder)
    except subprocess.CalledProcessError as error:
        return "not built", error.stderr.decode()[-600:]
    environment = dict(os.environ, MODELGUARD_DAEMON=str(program), MODELGUARD_BIN=str(BUILD), MODELGUARD_ALL="0")
    done = subprocess.run([sys.executable, HERE / "fault_test.py", suite, "--first", "--operation", operation, "--seed", str(seed),
                           "--step", STEP[suite]], capture_output=True, text=True, env=environment)
    seen = [line for line in done.stdout.splitlines() if line.startswith(("BROKEN", "COULD NOT"))]
    return ("killed" if done.returncode == 1 else "survived"), (seen or done.stdout.splitlines()[-1:] or [done.stderr[-300:]])[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="the mutants whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not arguments.only or arguments.only in mutant[0]]
    wrong, counts = [], {"killed": 0, "survived": 0, "equivalent": 0, "not built": 0}
    for mutant in chosen:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mg-mutant-") as folder:
            outcome, seen = try_mutant(mutant, arguments.seed, pathlib.Path(folder))
        name = mutant[0]
        if outcome == "survived" and name in EQUIVALENT:
            outcome, seen = "equivalent", EQUIVALENT[name]
        elif outcome != "killed" or name in EQUIVALENT:
            wrong.append(name)
        counts[outcome] += 1
        print(f"{outcome:<11}{name:<34}{time.monotonic() - began:>6.1f} s  {seen[:330]}", flush=True)
    print(f"{len(chosen)} mutants: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    if wrong:
        print("to be looked at: " + ", ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
