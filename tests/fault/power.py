"""What may be on the disk after the power went, computed from the log of file operations that fault_tracer recorded.

Rules, stricter than any one file system: what a file holds (writes, size, mode) is durable once that file was synced; an entry of a
directory (create, remove, rename, link) once that directory was; syncing a file does not make its name durable. A rename is atomic and
belongs to the directory it goes to, whatever became of the name that it takes away. What was not synced may be there or not, each for
itself, in any order.
"""
import hashlib
import itertools
import json
import os
import pathlib
import re

CUTS = (512, 4096)
ONLY_SYNCED = "only what was synced"
MOST_PAIRS = 14  # unsynced operations of which every pair is dropped; beyond it pairs of neighbours
INODE = re.compile(r"\b(write|resize|mode|sync) \d+")  # as text() has them
MOST_REMEMBERED = 200  # contents whose hash is kept: a run of all states makes a hundred thousand


class Node:
    __slots__ = ("kind", "mode", "content")

    def __init__(self, kind, mode, content):
        self.kind, self.mode, self.content = kind, mode, content  # content: bytes, dict of name -> inode, target

    def copy(self):
        return Node(self.kind, self.mode, dict(self.content) if self.kind == "dir" else self.content)


def scan(top):
    """{inode: Node} of what is on disk; the last key is `top`."""
    nodes = {}

    def take(path):
        found = os.lstat(path)
        if path.is_symlink():
            nodes[found.st_ino] = Node("link", 0, os.readlink(path))
        elif path.is_dir():
            nodes[found.st_ino] = Node("dir", found.st_mode & 0o7777, {entry.name: take(entry) for entry in sorted(path.iterdir())})
        else:
            nodes[found.st_ino] = Node("file", found.st_mode & 0o7777, path.read_bytes())
        return found.st_ino
    take(pathlib.Path(top))
    return nodes


def read_log(file):
    """Operations in their order, marks apart: (operations, [how many operations came before each mark])."""
    log, marks = [], []
    for line in file.read_text().splitlines():
        entry = json.loads(line)
        if entry["op"] == "mark":
            marks.append(len(log))
            continue
        if "data" in entry:
            entry["data"] = bytes.fromhex(entry["data"])
        log.append(entry)
    return log, marks


def with_pending_entry(nodes, log, directory, name, target):
    """(files, log) as where a daemon died between making or replacing this entry and its sync: on the disk it may still be missing, or be
    the link to `target`."""
    nameless_inode = 0
    entry = {"op": "link", "dir": directory, "name": name, "ino": nodes[directory].content[name]}
    before = {nameless_inode: Node("link", 0, target), **nodes}
    before[directory] = before[directory].copy()
    before[directory].content.pop(name)
    if target:
        before[directory].content[name] = nameless_inode
    return before, [entry, *log]


def apply(nodes, entry, owned):
    """`owned`: inodes whose node belongs to this state alone."""
    def node(ino):
        if ino not in owned and ino in nodes:
            nodes[ino] = nodes[ino].copy()
            owned.add(ino)
        return nodes.get(ino)

    def entries(ino):
        found = node(ino)
        return found.content if found else {}
    op = entry["op"]
    if op in ("create", "mkdir", "symlink"):
        kind = {"create": "file", "mkdir": "dir", "symlink": "link"}[op]
        if entry["ino"] not in nodes:
            nodes[entry["ino"]] = Node(kind, entry.get("mode", 0), {"file": b"", "dir": {}, "link": entry.get("target")}[kind])
            owned.add(entry["ino"])
        if not entry.get("nameless"):
            entries(entry["dir"])[entry["name"]] = entry["ino"]
    elif op == "link":
        entries(entry["dir"])[entry["name"]] = entry["ino"]
    elif op == "remove":
        entries(entry["dir"]).pop(entry["name"], None)
    elif op == "rename":
        source, target = entries(entry["dir"]), entries(entry["dir2"])
        if source.get(entry["name"]) == entry["ino"]:
            del source[entry["name"]]
        target[entry["name2"]] = entry["ino"]
        if entry["back"]:  # the two were exchanged
            source[entry["name"]] = entry["back"]
    elif op == "mode" and node(entry["ino"]):
        node(entry["ino"]).mode = entry["mode"]
    elif op in ("write", "resize") and node(entry["ino"]):
        held = node(entry["ino"])
        if op == "resize":
            held.content = held.content[:entry["size"]].ljust(entry["size"], b"\0")
        else:
            begin = entry["offset"]
            held.content = held.content[:begin].ljust(begin, b"\0") + entry["data"] + held.content[begin + len(entry["data"]):]


def nameless(entry):
    """What is left of an operation whose effect was lost: an inode that nothing names, for later operations to go to."""
    return dict(entry, nameless=True) if entry["op"] in ("create", "mkdir", "symlink") else None


def domain(entry):
    """The inode whose sync makes the operation durable."""
    op = entry["op"]
    if op in ("create", "mkdir", "symlink", "link", "remove"):
        return entry["dir"]
    return entry["dir2"] if op == "rename" else entry.get("ino")


def unsynced(log, prefix):
    """The numbers of the operations before `prefix` that no sync before it has made durable."""
    pending = []
    for number, entry in enumerate(log[:prefix]):
        if entry["op"] == "sync_all":
            pending = []
        elif entry["op"] == "sync":
            pending = [other for other in pending if domain(log[other]) != entry["ino"]]
        else:
            pending.append(number)
    return pending


def variants(log):
    """(prefix, what, numbers lost, cut of the last write) of everything that may be on the disk."""
    for prefix in range(len(log) + 1):
        pending = unsynced(log, prefix)
        yield prefix, "all applied", (), None
        if pending:
            yield prefix, ONLY_SYNCED, tuple(pending), None
        for lost in pending:
            yield prefix, "one dropped", (lost,), None
            yield prefix, "one ahead of the others", tuple(other for other in pending if other != lost), None
        pairs = itertools.combinations(pending, 2) if len(pending) <= MOST_PAIRS else itertools.pairwise(pending)
        for pair in pairs:
            yield prefix, "two dropped", pair, None
        last = log[prefix - 1] if prefix else None
        if last and last["op"] == "write":
            cuts = [cut for cut in CUTS if cut < len(last["data"])] or [len(last["data"]) // 2]
            for cut in cuts:
                yield prefix, "torn", (), cut
                yield prefix, "torn, the rest lost", tuple(other for other in pending if other != prefix - 1), cut
            yield prefix, "torn", (), 0  # the new size, and nothing in it


def build(before, log, variant):
    """The files after this variant."""
    prefix, _, lost, cut = variant
    nodes, owned = dict(before), set()
    for number, entry in enumerate(log[:prefix]):
        if number in lost:
            entry = nameless(entry)
        elif cut is not None and number == prefix - 1:
            kept = entry["data"][:cut]
            entry = dict(entry, data=kept if cut else bytes(len(entry["data"])))
        if entry and entry["op"] not in ("sync", "sync_all"):
            apply(nodes, entry, owned)
    return nodes


def fingerprint(nodes, top, known):
    """Of the tree below the inode `top`; `known` remembers the hash of contents."""
    def of(ino):
        node = nodes[ino]
        if node.kind == "dir":
            inside = [(name, of(child)) for name, child in sorted(node.content.items())]
            return hashlib.sha256(repr((node.mode, inside)).encode()).hexdigest()
        if node.kind == "link":
            return "-> " + node.content
        key = id(node.content)
        if key not in known:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            known[key] = (hashlib.sha256(node.content).hexdigest(), node.content)  # kept, so that the id stays its own
        return f"{node.mode} {known[key][0]}"
    return of(top)


def put(nodes, top, path):
    """Makes these files on disk; `path` must not be there."""
    node = nodes[top]
    if node.kind == "link":
        os.symlink(node.content, path)
    elif node.kind == "file":
        path.write_bytes(node.content)
        path.chmod(node.mode)
    else:
        path.mkdir()
        for name, child in node.content.items():
            put(nodes, child, path / name)
        path.chmod(node.mode)


def is_same(text, other):
    """Of two runs, in which the files have other inodes."""
    return INODE.sub(r"\1", text) == INODE.sub(r"\1", other)


def text(log, variant):
    """For people, and for --at."""
    prefix, what, lost, cut = variant

    def short(number):
        entry = log[number]
        return " ".join(str(entry[key]) for key in ("op", "name", "name2", "ino", "offset") if key in entry)
    words = f"{prefix} of {len(log)} operations, {what}"
    if lost and len(lost) <= 2:
        words += ": " + ", ".join(short(number) for number in lost)
    if cut is not None:
        words += f" at {cut}"
    return words + (f"; the last: {short(prefix - 1)}" if prefix else "")
