"""The operations that faults are put into: where each starts, what is asked, and which ends are right.

An end is (phase, label of current, labels rejected). What is right depends on how many requests had been answered with 202
before the fault: an answered one must be carried out, one that was not may or may not have arrived.
"""
import dataclasses
import os
import sqlite3
import typing

import os_world
import other_release
from lab import ANOTHER_BOOT, PATIENCE, Wrong

WRONG = dict(mode="wrong_label")
LONG = dict(mode="slow", ms=40)


def end(current, *rejected, phase="steady"):
    return (phase, current, frozenset(rejected))


@dataclasses.dataclass
class Operation:
    name: str
    start: typing.Callable  # makes the start state on a running daemon; None: nothing is there
    act: typing.Callable  # the requests; appends to `acked` what was answered with 202
    ends: list  # by the number of answered requests: the set of right ends
    good: tuple = ()  # labels of versions that must stay whole whatever happens
    rarely: int = 1  # the default run takes so many times fewer of its states: it waits for seconds
    ready_within: str = "30s"  # where nothing waits for it: on a busy machine a trial must end with the verdict that is right
    sticky: dict = None  # how the model server misbehaves from the beginning
    fresh: bool = False  # counted from the first system call of the daemon
    boot_id: str = None  # of the daemon that is counted and of those after it
    first: typing.Callable = None  # on the running daemon, before anything is counted
    late: dict = None  # how it misbehaves from when the operation begins
    damaged: tuple = ()  # labels of versions whose files were damaged beforehand
    ledger_damaged: bool = False  # beforehand, so that it is to be set aside
    # (directory, name, label): this entry was not synced when its daemon died; on the disk it may still name that version, or be missing
    pending: tuple = None
    world: typing.Callable = None  # makes what plays the OS around it: who starts the daemon, and reboots the device when asked
    wanted: typing.Callable = None  # what rest must look like beyond being rest
    at_last: typing.Callable = None  # what else is to hold after the recovery; may end the daemon

    def right_ends(self, acked):
        return self.ends[min(len(acked), len(self.ends) - 1)]


def install(lab, *labels):
    for label in labels:
        document = lab.end_of(lab.deploy(label))
        if document.get("status") != "done":
            raise Wrong(f"the start state could not be made: {document}")
    lab.at_rest()


def asked(lab, answer, acked, refusals):
    """Notes whether the request was taken; an answer that it was not is kept with its reason."""
    status, document = answer
    (acked if status == 202 else refusals).append(document)
    if status == 202 and lab.marks:
        lab.mark()
    return status == 202


def deploying(label, **behaviour):
    def act(lab, acked, refusals):
        answer = lab.deploy(label, **behaviour)
        if asked(lab, answer, acked, refusals):
            lab.ended.append(lab.end_of(answer))
    return act


def superseding(lab, acked, refusals):
    asked(lab, lab.deploy("v2", **LONG), acked, refusals)
    answer = lab.deploy("v3")
    if asked(lab, answer, acked, refusals):
        lab.ended.append(lab.end_of(answer))


def rolling_back(lab, acked, refusals):
    answer = lab.rollback()
    if asked(lab, answer, acked, refusals):
        lab.ended.append(lab.end_of(answer))


def wait_for_rest(lab, acked, refusals):
    lab.at_rest(lambda model: model["current"] and model["current"]["label"] == "v1")


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(0o444)


def make_a_link(file):
    file.unlink()
    file.symlink_to("/dev/null")


def damage(lab, label, how=flip_a_bit):
    lab.halt()
    how(lab.models / "versions" / lab.digests[label].replace(":", "-") / "canary/digits.jsonl")


def damage_ledger(lab):
    """Its first page, which the log must not hold once more."""
    lab.ended_within(0.25)  # state.bak follows
    lab.halt()
    ledger = sqlite3.connect(lab.state / "state.db")
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    with open(lab.state / "state.db", "r+b") as file:
        file.write(bytes(16))


def reject(lab, label):
    lab.end_of(lab.deploy(label, **WRONG))
    lab.at_rest()


def die_in_bad_trial(lab):
    """A device whose power went while a bad candidate was being tried."""
    install(lab, "v1")
    lab.control(every_load_ms=300)
    lab.deploy("bad", **WRONG)
    bad = lab.digests["bad"].replace(":", "-")
    if not lab.wait_until(lambda: os.readlink(lab.current) == f"versions/{bad}", PATIENCE):  # always at the same place
        raise Wrong(f"current was not moved: {lab.errors.decode()[-800:]}")
    lab.halt()
    lab.control(every_load_ms=0)


def die_after(lab, call, label, **behaviour):
    """A daemon that was killed in a deploy, right after the system call of this text (and this number)."""
    lab.halt()
    lab.launch(["--do", "kill-after", "--named", call[0], "--at", call[1]])
    lab.at_rest()
    try:
        lab.deploy(label, **behaviour)
    except OSError:
        pass  # it died over the request
    if not lab.ended_within(PATIENCE):
        raise Wrong(f"not reached: {call}")
    lab.halt()


def until_settled(lab, acked, refusals):
    lab.wait_until(os_world.World(lab).settled, PATIENCE)


def is_steady(model):
    return model["phase"] == "steady"


def nothing(lab, acked, refusals):
    lab.at_rest()


KEPT = 8 + 3  # known-good versions, and those that nobody needs
GENERATIONS = [f"v{number}" for number in range(1, KEPT + 3)]


def is_collected(lab):
    return len(list((lab.models / "versions").iterdir())) == KEPT and not list((lab.state / "staging").iterdir())


def wait_for_collection(lab, acked, refusals):
    lab.wait_until(lambda: is_collected(lab), 2.5)  # a second after the last decision; where it failed it is made good later


def check_collected(lab):
    """After one more version the store holds what is kept, as the API lists it, and nothing besides."""
    install(lab, "last")
    in_time = lab.wait_until(lambda: is_collected(lab), 5)
    held = {path.name.replace("-", ":") for path in (lab.models / "versions").iterdir()}
    listed = {item["digest"] for item in lab.ask("GET", "/v1/models/digits/versions")[1]["items"]}
    left = [path.name for path in (lab.state / "staging").iterdir()]
    if not in_time or held != listed:
        names = [sorted(map(lab.name_of, digests)) for digests in (held, listed)]
        raise Wrong(f"not collected: {KEPT} are kept, the store holds {names[0]}, listed are {names[1]}, in staging: {left}")


def from_release(change, *labels):
    """The ledger of another release."""
    def start(lab):
        install(lab, *labels)
        lab.ended_within(0.25)  # state.bak follows
        lab.halt()
        change(lab.state)
    return start


def check_left_alone(lab):
    lab.halt()
    lost = other_release.lost_of_newer(lab.state)
    if lost:
        raise Wrong(f"of a newer release, not left alone: {', '.join(lost)}")


OPERATIONS = [
    Operation("first install", None, deploying("v1"), fresh=True,
              ends=[{end(None, phase="empty"), end("v1")}, {end("v1")}]),
    Operation("bad first install", None, deploying("bad", **WRONG), fresh=True,
              ends=[{end(None, phase="empty"), end(None, "bad", phase="empty")}, {end(None, "bad", phase="empty")}]),
    Operation("good upgrade", lambda lab: install(lab, "v1"), deploying("v2"), good=("v1",),
              ends=[{end("v1"), end("v2")}, {end("v2")}]),
    Operation("bad upgrade", lambda lab: install(lab, "v1"), deploying("bad", **WRONG), good=("v1",),
              ends=[{end("v1"), end("v1", "bad")}, {end("v1", "bad")}]),
    Operation("same digest again", lambda lab: install(lab, "v1"), deploying("v1"), good=("v1",), ends=[{end("v1")}]),
    Operation("superseded candidate", lambda lab: install(lab, "v1"), superseding, good=("v1",),
              ends=[{end("v1"), end("v2"), end("v3")}, {end("v2"), end("v3")}, {end("v3")}]),
    Operation("manual rollback", lambda lab: install(lab, "v1", "v2"), rolling_back, good=("v1", "v2"),
              ends=[{end("v2"), end("v1", "v2")}, {end("v1", "v2")}]),
    Operation("late rollback", lambda lab: install(lab, "v1", "v2"), wait_for_rest, good=("v1", "v2"), late=dict(mode="broken500", sticks_to="v2"), rarely=8, ready_within="2s",
              ends=[{end("v1", "v2")}], wanted=lambda model: model["current"]["label"] == "v1"),
    Operation("rollback, target corrupt", lambda lab: (install(lab, "v1", "v2", "v3"), damage(lab, "v2")), rolling_back, good=("v1", "v3"), damaged=("v2",),
              ends=[{end("v3"), end("v1", "v3")}, {end("v1", "v3")}]),
    Operation("both versions bad", lambda lab: install(lab, "v1"), deploying("bad", **WRONG), good=("v1",),
              rarely=8, ready_within="2s", sticky=dict(mode="broken500", sticks_to="v1"),
              ends=[{end("v1"), end("v1", phase="degraded"), end("v1", phase="held")},
                    {end("v1", phase="degraded"), end("v1", phase="held")}]),
    Operation("recovery after reboot", die_in_bad_trial, nothing, fresh=True, boot_id=ANOTHER_BOOT, good=("v1",),
              ends=[{end("v1", "bad")}]),
    Operation("killed on the way back", lambda lab: (install(lab, "v1"), die_after(lab, (" to current", 2), "bad", **WRONG)), nothing, fresh=True,
              good=("v1",), pending=("models/digits", "current", "bad"), ends=[{end("v1", "bad")}]),
    Operation("killed in first install", lambda lab: die_after(lab, ("mkdir digits", 1), "v1"), deploying("v1"), fresh=True,
              pending=("models", "digits", None), ends=[{end(None, phase="empty"), end("v1")}, {end("v1")}]),
    Operation("garbage collection", lambda lab: install(lab, *GENERATIONS[:-1]), wait_for_collection, good=tuple(GENERATIONS[-8:]),
              first=lambda lab: install(lab, GENERATIONS[-1]), ends=[{end(GENERATIONS[-1])}], at_last=check_collected),
    Operation("damaged version again", lambda lab: (install(lab, "v1", "v2"), damage(lab, "v1", make_a_link)), deploying("v1"), good=("v2",), damaged=("v1",),
              ends=[{end("v2"), end("v1")}, {end("v1")}]),
    Operation("damaged ledger", lambda lab: (install(lab, "v1"), reject(lab, "bad"), install(lab, "v2"), damage_ledger(lab)), nothing, fresh=True,
              good=("v1", "v2"), ledger_damaged=True, ends=[{end("v2", "bad")}]),
    Operation("from an older release", from_release(other_release.as_older, "v1", "v2"), deploying("v3"), good=("v1", "v2"), fresh=True,
              ends=[{end("v2"), end("v3")}, {end("v3")}]),
    Operation("from a newer release", from_release(other_release.as_newer, "v1", "v2"), rolling_back, good=("v1", "v2"), fresh=True,
              ends=[{end("v2"), end("v1", "v2")}, {end("v1", "v2")}], at_last=check_left_alone),
    Operation("OS rollback", os_world.install, until_settled, fresh=True, good=("v1",), world=os_world.World, rarely=4, ready_within="1s",
              ends=[{end("v1")}], wanted=is_steady, at_last=os_world.check),
    Operation("boot after OS rollback", os_world.install_and_roll_back, until_settled, fresh=True, good=("v1",), world=os_world.World, rarely=2,
              ends=[{end("v1")}], wanted=is_steady, at_last=os_world.check),
]


def find(name):
    return next(operation for operation in OPERATIONS if operation.name == name)


def prepare(lab, operation):
    """Makes and keeps the start state of the operation."""
    lab.restore("")
    lab.serve_current()
    if operation.start:
        if not operation.world and not lab.launch():
            raise Wrong(lab.errors.decode())
        operation.start(lab)
        if lab.daemon:
            lab.ended_within(0.25)  # state.bak follows a decision after 100 ms
    lab.halt()
    if operation.start:
        lab.save(operation.name)


def reset(lab, operation):
    """The start state again, on disk and in the model server."""
    lab.restore(operation.name)
    lab.serve_current()
    if operation.sticky:
        misbehave(lab, operation.sticky)
        lab.control(mode="ok")  # until that version is loaded again


def misbehave(lab, how):
    """From now on the model server does so with one version, also right now if that is served."""
    lab.control(**how)
    if lab.serving() != how["sticks_to"]:
        lab.control(mode="ok")


def restart_server(lab, operation):
    """The model server after the power came back: with one version it still misbehaves, with the others as they do."""
    lab.serve_current(**(operation.sticky or operation.late or {}))
