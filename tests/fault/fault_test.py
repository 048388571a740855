#!/usr/bin/env python3
"""modelguardd under faults: every file-changing system call of every operation, with every fault that can hit it.

SUITE: kill (before and after each call, writes torn; then recovery), errno (each call fails once, writes also end short; the daemon goes
on), errno-lasting (from each call on all fail for a while; the daemon comes back by itself), pairs (killed in the operation, and again inside
the recovery), power (what may be on the disk after the power went, see power.py). Default: every k-th state, from a seed that is printed;
`--all`, or MODELGUARD_ALL=1 in the environment, takes every state. `--operation`, `--fault`, `--at` repeat one. The daemon, the tracer and
the model server are the real ones; what is looked at is in promises.py.
Exit 1: a promise was broken.
"""
import argparse
import collections
import contextlib
import multiprocessing
import os
import queue
import random
import signal
import sys
import time
import traceback

import operations
import room
from lab import Lab
from runner import NOT_REACHED, Runner

ERRORS = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE"]
SUITES = {"kill": ["kill-before", "kill-after", "torn"], "errno": [*ERRORS, "short"], "errno-lasting": ERRORS, "pairs": ["kill twice"], "power": ["power loss"]}
STATES = {"kill": 200, "errno": 200, "errno-lasting": 60, "pairs": 100}  # of the default run, about
POWER_STEP = 250  # of all variants, about half of which are equal to others
SHARES = 32  # of all power losses of a slow operation: one worker would take hours
MOST_SECOND_CALLS = 70  # of a recovery; what is not reached is not counted

Done = collections.namedtuple("Done", "operation fault at hit wrong seconds")


def work(tasks, results, enough):
    with Lab() as lab:
        runner = Runner(lab)
        lab.tar("later")
        for what, *task in iter(tasks.get, None):
            if enough.is_set():
                continue
            try:
                if what == "count":
                    results.put(("count", task[0], runner.count(operations.find(task[0]))))
                elif what == "power":
                    name, wanted, step, seed, share = task
                    for state in runner.power_loss(operations.find(name), wanted, step, seed, share, enough.is_set):
                        if isinstance(state, int):
                            results.put(("total", (name, share), state))
                        else:
                            results.put(("done", Done(name, state[1], state[0], state[0], *state[2:])))
                elif what == "all pairs":
                    name, first, seed = task
                    number = 0
                    for second, *state in runner.all_pairs(operations.find(name), first, seed):
                        number += state[0] != NOT_REACHED
                        results.put(("done", Done(name, SUITES["pairs"][0], (first, second), *state)))
                        if enough.is_set():
                            break
                    results.put(("total", (name, first), number))
                else:
                    results.put(("done", Done(*task[:3], *runner.run(what, *task))))
            except Exception:
                results.put(("failed", task[0], traceback.format_exc()))
            results.put(("end",))


class Crew:
    """The workers, each with a device of its own."""

    def __enter__(self):
        number = room.workers()
        self.memory = room.Watch(number)
        self.tasks, self.results = multiprocessing.Queue(), multiprocessing.Queue()
        self.enough = multiprocessing.Event()
        self.workers = [multiprocessing.Process(target=work, args=(self.tasks, self.results, self.enough)) for _ in range(number)]
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.results.cancel_join_thread()
        for _ in self.workers:
            self.tasks.put(None)
        for worker in self.workers:
            while worker.is_alive():
                try:
                    self.results.get(timeout=0.1)  # a worker ends only after its results have been taken
                except Exception:
                    worker.join(timeout=0.1)

    def take(self, patience):
        """The next report; a crew that has died reports nothing more."""
        for _ in range(patience):
            with contextlib.suppress(queue.Empty):
                return self.results.get(timeout=1)
            if not any(worker.is_alive() for worker in self.workers):
                raise SystemExit("all workers have died")
        raise SystemExit(f"no report within {patience} s")

    def do(self, tasks):
        """What the workers report, until all tasks have ended."""
        left = 0
        for task in tasks:
            self.tasks.put(task)
            left += 1
        while left:
            result = self.take(600)
            self.memory.look()
            if result == ("end",):
                left -= 1
            else:
                yield result


def all_states(suite, names, faults, counts):
    """(operation, fault, at) of everything there is."""
    for name in names:
        for fault in faults:
            for at in range(1, counts[name]["kill-after" if suite == "pairs" else fault] + 1):
                if suite == "pairs":
                    yield from ((name, fault, (at, second)) for second in range(1, MOST_SECOND_CALLS))
                else:
                    yield name, fault, at


class Table:
    def __init__(self, suite):
        self.suite = suite
        self.rows = {}
        self.broken = []
        self.began = time.monotonic()

    def add(self, done):
        if done.hit == NOT_REACHED:
            return False
        states, broken, seconds = self.rows.get(done[:2], (0, 0, 0))
        self.rows[done[:2]] = (states + 1, broken + (done.wrong is not None), seconds + done.seconds)
        if done.wrong is not None:
            at = ",".join(map(str, done.at)) if isinstance(done.at, tuple) else done.at
            fault = "" if self.suite == "power" else f" --fault '{done.fault}'"
            self.broken.append(f"BROKEN: {self.suite} --operation '{done.operation}'{fault} --at '{at}': {done.wrong}")
            print(self.broken[-1], flush=True)
        return True

    def print(self, total):
        print(f"\n{'operation':<26}{'fault':<24}{'states':>8}{'violations':>12}{'seconds':>9}")
        for (name, fault), (states, broken, seconds) in sorted(self.rows.items()):
            print(f"{name:<26}{fault:<24}{states:>8}{broken:>12}{seconds:>9.1f}")
        states = sum(row[0] for row in self.rows.values())
        print(f"{self.suite + ': total, of ' + str(total):<50}{states:>8}{len(self.broken):>12}{time.monotonic() - self.began:>9.1f}")
        for line in self.broken[-5:]:  # again, for who sees only the end
            print(line)


class Progress:
    """A line a minute where a run takes hours."""

    def __init__(self, wanted):
        self.next = time.monotonic() + 60 if wanted else float("inf")

    def __call__(self, table):
        if time.monotonic() >= self.next:
            self.next += 60
            states = sum(row[0] for row in table.rows.values())
            print(f"{time.monotonic() - table.began:.0f} s: {states} states, {len(table.broken)} violations", flush=True)


def plan(crew, arguments, names, faults):
    """(tasks, how many states there are or None where that is not known yet)"""
    suite, at = arguments.suite, arguments.at
    if suite == "power":
        step = 1 if arguments.all or at else arguments.step or POWER_STEP
        print(f"power: every {step}. state (of slow operations fewer), seed {arguments.seed}", flush=True)
        steps = {name: step if step == 1 else step * operations.find(name).rarely for name in names}
        shares = {name: SHARES if arguments.all and operations.find(name).rarely > 1 else 1 for name in names}
        return [("power", name, at, steps[name], arguments.seed, (share, shares[name]))
                for name in sorted(names, key=shares.get, reverse=True) for share in range(shares[name])], None
    if at:
        return [(suite, names[0], faults[0], tuple(map(int, at.split(","))) if suite == "pairs" else int(at), True)], 1
    counts = {}
    for what, name, counted in crew.do(("count", name) for name in names):
        if what == "failed":
            raise SystemExit(f"{name} could not be counted:\n{counted}")
        counts[name] = counted
    if suite == "pairs" and arguments.all:
        firsts = [("all pairs", name, first, arguments.seed) for name in names for first in range(1, counts[name]["kill-after"] + 1)]
        print(f"pairs: every kill in the recovery from each of {len(firsts)} kills, seed {arguments.seed}", flush=True)
        return firsts, None
    states = list(all_states(suite, names, faults, counts))
    total = len(states)
    step = 1 if arguments.all else arguments.step or max(1, total // STATES[suite])
    if step > 1:
        states = [state for number, state in enumerate(states) if (number + arguments.seed) % (step * operations.find(state[0]).rarely) == 0]
    print(f"{suite}: {len(states)} of {total} states, every {step}. (of slow operations fewer), seed {arguments.seed}", flush=True)
    generator = random.Random(arguments.seed)
    return [(suite, *state, generator.random() < 0.2) for state in states], total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--all", action="store_true", default=os.environ.get("MODELGUARD_ALL") == "1")
    parser.add_argument("--first", action="store_true", help="end at the first broken promise")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--step", type=int, help="take every so manieth state")
    parser.add_argument("--operation")
    parser.add_argument("--fault")
    parser.add_argument("--at", help="as a broken promise names it")
    arguments = parser.parse_args()
    names = [arguments.operation] if arguments.operation else [operation.name for operation in operations.OPERATIONS]
    if arguments.suite == "power":  # what is played of the OS is no part of the log of operations
        for name in [name for name in names if operations.find(name).world]:
            print(f"not run under power loss: {name}")
            names.remove(name)
    faults = [arguments.fault] if arguments.fault else SUITES[arguments.suite]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # devices are cleared away, in the workers too
    table, failed = Table(arguments.suite), False
    with Crew() as crew:
        tasks, total = plan(crew, arguments, names, faults)
        found = {}
        print_progress = Progress(arguments.all)
        try:
            for what, *result in crew.do(tasks):
                if what == "failed":
                    failed = True
                    print(f"COULD NOT RUN: {result[0]}:\n{result[1]}", flush=True)
                elif what == "total":
                    found[result[0]] = result[1]
                elif not table.add(result[0]) and total:
                    total -= 1
                if arguments.at and what == "done" and result[0].hit:
                    print(f"hit: {result[0].hit}")
                print_progress(table)
                if arguments.first and (table.broken or failed):
                    break
        except (KeyboardInterrupt, SystemExit) as stop:
            print(f"\nSTOPPED: not all states were run: {stop!r}")
            failed = True
    table.print(total or sum(found.values()))
    return 1 if failed or table.broken or not table.rows else 0


if __name__ == "__main__":
    sys.exit(main())
