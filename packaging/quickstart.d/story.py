"""The story of the quick start: seven deliveries, told while they happen, each outcome compared with the right one.

usage: story.py --work DIR --programs DIR --venv DIR [--began SECONDS] [--stage NAME=SECONDS]...
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from lab import MODEL, Lab, LabError, wait_for


class Told:
    """What has been found wrong, and when things happened."""

    def __init__(self, began: float):
        self.began = began
        self.wrong: list[str] = []

    def check(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(what)
            print(f"    WRONG      {what}", flush=True)


def say(word: str, text: str, end: str = "\n") -> None:
    print(f"    {word:<11}{text}", end=end, flush=True)


def stage(name: str, text: str, seconds: float) -> None:
    print(f"  {name:<10} {text:<58} {seconds:6.1f} s", flush=True)


def describe(report: dict) -> str:
    """One check's result: the daemon's own line, which holds the numbers."""
    return f"{report['check']}: {report.get('text') or report['verdict']}"


def follow(lab: Lab, process, seconds: float = 150) -> float:
    """Prints each phase as it is entered, until the deploy ends. Returns its seconds."""
    started, last = time.monotonic(), None
    say("phases", "", end="")
    while process.poll() is None:
        phase = lab.model_status().get("phase")
        if phase and phase != last:
            print(("" if last is None else " → ") + phase, end="", flush=True)
            last = phase
        if time.monotonic() - started > seconds:
            process.kill()
            print()
            raise LabError(f"the deploy has not ended in {seconds:.0f} s")
        time.sleep(0.03)
    phase = lab.model_status().get("phase")
    print((" → " if last else "") + phase if phase and phase != last else "", flush=True)
    return time.monotonic() - started


def outcome_of(lab: Lab, label: str) -> dict:
    """The newest decision that ends a deploy of this label."""
    ends = ("accepted", "rejected", "undecided", "superseded", "refused")
    return next((item for item in lab.history() if item["kind"] in ends and item.get("label") == label), {})


def conclude(lab: Lab, told: Told, label: str, expected: str, serves: str, floor: float, seconds: float, code: int) -> None:
    """Prints what was decided and why, then looks at the world itself: link, known-good, and the server's own answers."""
    decision = outcome_of(lab, label)
    kind = decision.get("kind", "nothing")
    say("decided", f"{kind} after {seconds:.1f} s" + (f": {decision['text']}" if decision.get("text") else ""))
    for report in decision.get("checks", []):
        if kind == "accepted" or report["verdict"] != "pass":
            say("measured", describe(report))
    told.check(kind == expected, f"version {label} should have been {expected}, it was {kind}")
    right_code = 0 if expected == "accepted" else 1
    told.check(code == right_code, f"`deploy --wait` exited {code} instead of {right_code}")

    status = lab.model_status()
    current = status.get("current", {}).get("label", "")
    good = status.get("known_good", {}).get("label", "")
    served = lab.ask_server()
    say("serves", f"version {lab.linked_label() or 'none'}: MLServer itself answers {served.right} of {served.items} held-out images right, "
                  f"{served.median_ms:.1f} ms each")
    told.check(lab.linked_label() == serves and current == serves, f"version {serves} should serve, {lab.linked_label() or current or 'none'} does")
    told.check(good == serves, f"version {serves} should be known-good, {good or 'none'} is")
    told.check(status.get("healthy") is True, "the model should be healthy")
    told.check(served.accuracy >= floor and served.not_numbers == 0,
               f"the server's own answers should be at least {floor:.3f} right, all of them numbers; {served.accuracy:.3f}, {served.not_numbers} not")


def deploy(lab: Lab, told: Told, label: str, title: str, expected: str, serves: str, floor: float) -> None:
    print(f"\nversion {label}: {title}", flush=True)
    process = lab.begin_deploy(f"v{label}")
    seconds = follow(lab, process)
    conclude(lab, told, label, expected, serves, floor, seconds, process.returncode)


def deploy_through_a_kill(lab: Lab, told: Told, label: str, title: str, serves: str, floor: float) -> None:
    print(f"\nversion {label}: {title}", flush=True)
    started = time.monotonic()
    process = lab.begin_deploy(f"v{label}")
    status = wait_for("a trial", 60, lambda: (now := lab.model_status()).get("phase") in ("trial", "soaking") and now,
                      lab.logs / "modelguardd.log")
    lab.kill_daemon()
    say("killed", f"modelguardd by SIGKILL in phase {status['phase']}, candidate {status.get('candidate', {}).get('label', '?')}")
    served = lab.ask_server()
    say("meanwhile", f"MLServer goes on: {served.right} of {served.items} right")
    dead = lab.cli("status")
    told.check(dead.returncode == 4, f"`status` should exit 4 while the daemon is dead, it exited {dead.returncode}")
    say("status", f"exit {dead.returncode}; the last known state, from the daemon's own copy:")
    for line in filter(None, (dead.stdout + dead.stderr).splitlines()):
        print(f"        | {line}", flush=True)

    lab.start_daemon()
    say("started", "modelguardd again, on the same directory")
    # the client that asked for the deploy has waited its daemon's absence out
    follow(lab, process)
    told.check(any(item["kind"] == "resumed" for item in lab.history()), "the history should tell of the resumption")
    conclude(lab, told, label, "accepted", serves, floor, time.monotonic() - started, process.returncode)


def show(lab: Lab, told: Told, *arguments: str) -> None:
    print(f"\n$ modelguard --root {lab.root} {' '.join(arguments)}", flush=True)
    answer = lab.cli(*arguments)
    print(answer.stdout.rstrip(), flush=True)
    told.check(answer.returncode == 0, f"`{arguments[0]}` should exit 0, it exited {answer.returncode}: {answer.stderr.strip()}")


def tell(lab: Lab, told: Told) -> None:
    started = time.monotonic()
    lab.train()
    stage("training", "7 versions of `digits` from 1,797 real images", time.monotonic() - started)
    started = time.monotonic()
    lab.start_server()
    stage("server", f"MLServer on 127.0.0.1:{lab.port}, with nothing to serve", time.monotonic() - started)
    lab.write_manifest()
    started = time.monotonic()
    lab.start_daemon()
    stage("daemon", "modelguardd --root, unprivileged", time.monotonic() - started)

    deploy(lab, told, "1", "the first one, trained on 90 images", "accepted", "1", 0.85)
    deploy(lab, told, "2", "better, trained on all of them", "accepted", "2", 0.95)
    deploy(lab, told, "3", "trained on labels in the wrong order", "rejected", "2", 0.95)
    deploy(lab, told, "4", "as right as version 2, but asks itself hundreds of times", "rejected", "2", 0.95)
    deploy(lab, told, "5", "a hand-written softmax in half precision answers NaN", "rejected", "2", 0.95)
    deploy(lab, told, "5b", "does not load", "rejected", "2", 0.95)
    deploy_through_a_kill(lab, told, "6", "a small neural network; the supervisor is killed in mid-trial", "6", 0.95)

    show(lab, told, "status")
    show(lab, told, "history", MODEL)
    show(lab, told, "explain", MODEL)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("work", "programs", "venv"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--began", type=float, default=time.time(), help="when the whole run began, in seconds of wall time")
    parser.add_argument("--stage", action="append", default=[], help="NAME=SECONDS of what was done before")
    options = parser.parse_args()
    before = {name: float(seconds) for name, seconds in (entry.split("=") for entry in options.stage)}

    def stop(*_):
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    told, lab = Told(options.began), Lab(options.work, options.programs, options.venv)
    try:
        tell(lab, told)
    except LabError as error:
        told.check(False, str(error))
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 130
    finally:
        lab.stop()
    total = time.time() - told.began
    print(f"\n{total:.0f} s in all" + "".join(f", {name} {seconds:.0f} s" for name, seconds in before.items())
          + f". Everything is in {lab.work}", flush=True)
    (lab.work / "result.json").write_text(json.dumps({"wrong": told.wrong, "seconds": total, **before}) + "\n")
    if told.wrong:
        print(f"{len(told.wrong)} of the outcomes were wrong:", *told.wrong, sep="\n  ", file=sys.stderr)
        print(f"The logs are in {lab.logs}", file=sys.stderr)
        return 1
    print("Every outcome was the right one.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
