"""What must be true of a device, looked at from outside: on disk at any instant, and once the daemon is at rest."""
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3

from lab import Wrong, digest_of

LINKED_WITHIN = 5.0  # seconds: a change that failed is tried again
BACKED_UP_WITHIN = 5.0
REMOVED_WITHIN = 5.0  # seconds: rubbish may be removed beside everything else
MOVING = {"switching", "trial", "soaking", "reverting"}
ENDS = {"accepted", "rejected", "undecided", "superseded"}


def demand(condition, text):
    if not condition:
        raise Wrong(text)


def version_of_link(lab, name, damaged=()):
    """The label (or digest) of what the link names; None: there is no link. Wrong: it names no whole version (or one of `damaged`)."""
    link = lab.models / name
    if not link.is_symlink():
        demand(not link.exists(), f"{name} is not a link")
        return None
    target = os.readlink(link)
    demand(target.startswith("versions/sha256-"), f"{name} -> {target}")
    if lab.name_of(target.removeprefix("versions/").replace("-", ":")) in damaged:
        return None
    digest = digest_of(lab.models / target) if (lab.models / target).is_dir() else None
    demand(digest == "sha256:" + target.removeprefix("versions/sha256-"), f"{name} names {target}, whose digest is {digest}")
    return lab.name_of(digest)


def check_disk(lab, operation, at_rest=False):
    """Also in the middle of everything, before any recovery."""
    current = version_of_link(lab, "current")
    # On the way back the link goes from version to version, and each is verified when its turn comes.
    version_of_link(lab, "known-good", () if at_rest else operation.damaged)
    demand(current or not operation.good, "current is gone")
    if operation.good:
        check_backup(lab)
    for label in operation.good:
        digest = lab.digests[label]
        tree = lab.models / "versions" / digest.replace(":", "-")
        demand(tree.is_dir() and digest_of(tree) == digest, f"known-good version {label} is damaged or gone")
    return current


def check_backup(lab):
    """One of the two copies of the state is whole, for when the daemon is dead; returns the model as the newer one tells it."""
    whole = []
    for number in (0, 1):
        file = lab.state / f"state.bak.{number}"
        lines = file.read_bytes().split(b"\n") if file.exists() else []
        if len(lines) == 3 and lines[1].startswith(b"sha256:" + hashlib.sha256(lines[0]).hexdigest().encode() + b" "):
            whole.append((int(lines[1].split()[1]), lines[0]))
    demand(whole, "neither state.bak.0 nor state.bak.1 is whole")
    return json.loads(max(whole)[1])["models"][0]


def check_durable(lab, ends, backed_up):
    """After a power loss, before any recovery: an operation that had come to its end is on the disk; `backed_up`: in state.bak, too."""
    linked = version_of_link(lab, "current")
    demand(linked in {label for _, label, _ in ends}, f"current names {linked} although the operation had ended with one of {ends}")
    if backed_up:
        found = seen_end(check_backup(lab))
        demand(found in {right[:2] for right in ends}, f"state.bak tells of {found} although it had been {ends} for long")


def seen_end(model):
    return model["phase"], model["current"]["label"] if model["current"] else None


def check_backup_follows(lab):
    """At rest state.bak soon tells what the API tells."""
    def told():
        return seen_end(check_backup(lab)) if (lab.state / "state.bak.0").exists() or (lab.state / "state.bak.1").exists() else None
    if not lab.wait_until(lambda: told() == seen_end(lab.model()), BACKED_UP_WITHIN):
        raise Wrong(f"state.bak tells of {told()} while it is {seen_end(lab.model())}")


def check_ledger_is_ahead(lab, operation):
    """Right after a kill: what is done is in the ledger before it is done. `current` leaves the version that the ledger names only where
    the ledger says that a switch is under way."""
    if operation.ledger_damaged:  # what it said is lost
        return
    copy = lab.starts / "looked at"  # SQLite writes where it reads
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in lab.state.glob("state.db*"):
        shutil.copy(file, copy)
    with contextlib.closing(sqlite3.connect(copy / "state.db")) as ledger:
        try:
            row = ledger.execute("SELECT json FROM state WHERE key='model/digits'").fetchone()
        except sqlite3.DatabaseError as error:
            demand("no such table" in str(error), f"the ledger cannot be read: {error}")
            return
    model = json.loads(row[0]) if row else {"phase": "empty", "current": ""}
    link = lab.models / "current"
    linked = os.readlink(link).removeprefix("versions/").replace("-", ":") if link.is_symlink() else ""
    demand(model["phase"] in MOVING or linked == model["current"],
           f"current names {lab.name_of(linked)}, the ledger says {model['phase']} with {lab.name_of(model['current'])}")


def check_story(lab):
    """Each trial that began has one end."""
    open_trial, proven = None, set()
    for item in lab.decisions:
        if item["kind"] == "trial_started":
            demand(open_trial is None, f"a trial of {item['label']} began while one of {open_trial} was open")
            open_trial = item["label"]
        elif item["kind"] in ENDS and item["label"] == open_trial:
            open_trial = None
        else:
            again = item["kind"] == "accepted" and item["label"] in proven  # deployed once more
            demand(again or item["kind"] not in {"accepted", "undecided"}, f"{item['kind']} {item['label']} without a trial")
        if item["kind"] == "accepted":
            proven.add(item["label"])
    demand(open_trial is None, f"the trial of {open_trial} has no end: {tell(lab.decisions)}")


def tell(decisions):
    """What was decided and why, in a line."""
    return "; ".join(f"{item['kind']} {item['label']} ({item.get('text', '')})" for item in decisions)


def check_rest(lab, operation, acked, ends=None, clean=True):
    """The daemon runs: it comes to rest, at a right end, with nothing left behind. `ends`: the only ones that are right. Not `clean`:
    the removal of what was staged has just failed, it is made good at the next start."""
    rights = ends or operation.right_ends(acked)
    model = lab.at_rest(operation.wanted or (lambda model: True))
    items = lab.ask("GET", "/v1/models/digits/versions")[1]["items"]
    rejected = frozenset(item["label"] for item in items if item["rejected"])
    found = (*seen_end(model), rejected)
    current = found[1]
    demand(found in rights, f"ends with {found}, right would be {sorted(map(str, rights))} ({len(acked)} requests answered): {tell(lab.decisions)}")
    check_known_good(lab, model)
    linked = check_disk(lab, operation, at_rest=True)
    demand(linked == current, f"current is {current}, the link names {linked}")
    serving = lab.serving()
    demand(serving == current, f"current is {current}, {serving} is served")
    gone = {item["label"] for item in items if not (lab.models / "versions" / item["digest"].replace(":", "-")).is_dir()}
    demand(gone <= set(operation.damaged), f"listed, but not in the store: {gone}")  # a damaged one is moved away first, then forgotten
    check_story(lab)
    if clean and not lab.wait_until(lambda: not any((lab.state / "staging").iterdir()), REMOVED_WITHIN):
        raise Wrong(f"left behind in staging: {[path.name for path in (lab.state / 'staging').iterdir()]}")
    broken = [path.name for path in lab.state.iterdir() if "broken" in path.name]
    demand(not broken or operation.ledger_damaged, f"the ledger was taken for damaged: {broken}")
    demand(broken or not operation.ledger_damaged, "the damaged ledger was not kept")
    inside = sorted(path.name for path in lab.root.iterdir())
    demand(inside == sorted(["bundles", "etc", "run", "var"]), f"in the root: {inside}")
    return found


def check_known_good(lab, model):
    """At rest the link names the last known-good version, soon also where setting it has failed."""
    link, good = lab.models / "known-good", model["known_good"]
    wanted = "versions/" + good["digest"].replace(":", "-") if good else None

    def found():
        return os.readlink(link) if link.is_symlink() else None
    if not lab.wait_until(lambda: found() == wanted, LINKED_WITHIN):
        raise Wrong(f"the last known-good version is {good and good['label']}, known-good names {found()}")


def check_outside(report):
    demand(not report["outside"], f"changed outside of the state directory: {report['outside'][:5]}")


def check_not_wedged(lab, label="later"):
    """A good version that is deployed afterwards is accepted."""
    document = lab.end_of(lab.deploy(label))
    demand(document.get("status") == "done", f"a later deploy ends with {document}")
    model = lab.at_rest()
    demand(model["current"] and model["current"]["label"] == label, f"after a later deploy current is {model['current']}")
