"""Bundles that mean harm, by name: the list of the fault matrix and what has hurt others. Each is a tar made entry by entry.

BUNDLES maps a name to Hostile(make, words, is_taken): `make()` gives the bytes, `words` are in the error (the entry's name, mostly), and
`is_taken` says why a bundle is harmless and accepted. NOT_APPLICABLE names what this release has no part for.
"""
import collections
import gzip
import io
import os
import subprocess
import tarfile

Hostile = collections.namedtuple("Hostile", "make words is_taken")


def entry(name, content=b"x", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content) if attributes.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def archive(*entries, form=tarfile.PAX_FORMAT, encoding="utf-8", compress="", tail=b"", cut=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:" + compress, format=form, encoding=encoding, errors="surrogateescape") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return (buffer.getvalue() + tail)[:cut]


OK = entry("model.bin", b"model")
USTAR, GNU = tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT


def raw_name(name):
    """An entry whose name bytes are as given, whatever they are."""
    return patched(archive(OK, entry("P" * len(name)), form=USTAR), b"P" * len(name), name)


def patched(data, old, new, offset=0):
    """Bytes of the header that holds `old` are replaced and its checksum is put right."""
    at = data.index(old, offset)
    start = at // 512 * 512
    header = bytearray(data[start:start + 512])
    header[at - start:at - start + len(old)] = new
    return data[:start] + right_checksum(header) + data[start + 512:]


def right_checksum(header):
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def field(data, entry_name, start, value):
    """One field of the ustar header of `entry_name`."""
    at = data.index(entry_name.encode()) // 512 * 512
    header = bytearray(data[at:at + 512])
    header[start:start + len(value)] = value
    return data[:at] + right_checksum(header) + data[at + 512:]


def pax(records, name="x", content=b"y"):
    info, content = entry(name, content)
    info.pax_headers = records
    return archive(OK, (info, content))


def many(count):
    """Written by hand: tarfile takes a minute for a million."""
    header = bytearray(archive(entry("f0000000"), form=USTAR)[:512])
    header[148:156] = b" " * 8
    others = sum(header) - sum(b"f0000000")
    middle, end = bytes(header[8:148]), bytes(header[156:]) + b"x" + bytes(511)
    names = (b"f%07d" % number for number in range(count))
    return b"".join(b"%b%b%06o\0 %b" % (name, middle, others + sum(name), end) for name in names) + bytes(1024)


def packed(data, command):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def flipped(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0xff]) + data[at + 1:]


def sparse():
    return pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes", "GNU.sparse.realsize": str(1 << 40)},
               content=b"1\n0\n512\n" + bytes(504) + b"y" * 512)


def old_sparse():
    data = archive(OK, entry("holes", b"y" * 512), form=GNU)
    data = field(data, "holes", 156, b"S")
    return field(data, "holes", 386, b"00000000000\0" + b"00000001000\0" + bytes(73) + b"77777777777\0")


def without_end(data):
    return data[:(len(data.rstrip(b"\0")) + 511) // 512 * 512]


def refused(make, *words):
    return Hostile(make, words, None)


def taken(make, why):
    return Hostile(make, (), why)


# Goes before a harmless one: a model that is then refused by its checks, in a moment.
WRONG_MODEL = without_end(archive(
    entry("behaviour.json", b'{"version": "harmless", "mode": "wrong_label"}'),
    entry("canary/digits.jsonl", b"".join(
        b'{"id": %d, "input": [%s], "label": %d}\n' % (n, b", ".join(b"1" if i == n else b"0" for i in range(10)), n) for n in range(10)))))
NORMAL = archive(OK, entry("b.bin", os.urandom(20_000)))
BUNDLES = {
    # ---- paths that lead out
    "parent path": refused(lambda: archive(OK, entry("../outside")), "../outside"),
    "parent path inside": refused(lambda: archive(OK, entry("a/../../outside")), "outside"),
    "parent path at the end": refused(lambda: archive(OK, entry("a/..")), "a/.."),
    "parent path of a directory": refused(lambda: archive(OK, entry("../d", type=tarfile.DIRTYPE)), "../d"),
    "parent path by a pax header": refused(lambda: pax({"path": "../../outside"}), "outside"),
    "parent path by a GNU long name": refused(lambda: archive(OK, entry("../" * 60 + "outside"), form=GNU), "../../.."),
    "absolute path": refused(lambda: archive(OK, entry("/etc/passwd")), "/etc/passwd"),
    "absolute path by a pax header": refused(lambda: pax({"path": "/etc/passwd"}), "/etc/passwd"),
    "double slash": refused(lambda: archive(OK, entry("a//b")), "a//b"),
    "dot inside": refused(lambda: archive(OK, entry("a/./b")), "a/./b"),
    "backslashes": refused(lambda: archive(OK, entry("..\\..\\outside")), "backslash"),
    "drive letter": taken(lambda: archive(OK, entry("C:outside")), "an ordinary name here"),
    # ---- what is no file
    "symbolic link": refused(lambda: archive(OK, entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "link", "symbolic"),
    "symbolic link inside": refused(lambda: archive(OK, entry("link", type=tarfile.SYMTYPE, linkname="model.bin")), "link"),
    "symbolic link, then a file through it": refused(
        lambda: archive(OK, entry("d", type=tarfile.SYMTYPE, linkname="/tmp"), entry("d/outside")), "'d'"),
    "hard link": refused(lambda: archive(OK, entry("hard", type=tarfile.LNKTYPE, linkname="model.bin")), "hard"),
    "hard link out": refused(lambda: archive(OK, entry("hard", type=tarfile.LNKTYPE, linkname="/etc/shadow")), "hard"),
    "GNU long link": refused(lambda: archive(OK, entry("long", type=tarfile.SYMTYPE, linkname="../" * 100 + "etc"), form=GNU), "long"),
    "character device": refused(lambda: archive(OK, entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)), "dev", "device"),
    "block device": refused(lambda: archive(OK, entry("blk", type=tarfile.BLKTYPE, devmajor=8, devminor=0)), "blk", "device"),
    "named pipe": refused(lambda: archive(OK, entry("pipe", type=tarfile.FIFOTYPE)), "pipe"),
    "entry of an unknown type": taken(lambda: field(archive(OK, entry("odd"), form=USTAR), "odd", 156, b"Q"), "POSIX has it read as a file"),
    "setuid file": refused(lambda: archive(OK, entry("su", mode=0o4755)), "su", "setuid"),
    "setgid file": refused(lambda: archive(OK, entry("sg", mode=0o2755)), "sg", "setgid"),
    "setuid directory": refused(lambda: archive(OK, entry("sd", type=tarfile.DIRTYPE, mode=0o4755)), "sd"),
    "setgid and sticky directory": taken(lambda: archive(OK, entry("sd", type=tarfile.DIRTYPE, mode=0o3755)), "the bits are dropped"),
    "mode 0": taken(lambda: archive(OK, entry("hidden", mode=0)), "modes become 0444 and 0555"),
    "owner root": taken(lambda: archive(OK, entry("owned", uid=0, gid=0, uname="root", gname="root")), "the owner is dropped"),
    "extended attributes, capabilities and ACLs": taken(
        lambda: pax({"SCHILY.xattr.security.capability": "\1\0\0\2", "LIBARCHIVE.xattr.user.x": "eA==", "SCHILY.acl.access": "user::rwx"}),
        "they are dropped"),
    # ---- names
    "the same name twice": refused(lambda: archive(OK, OK), "model.bin", "twice"),
    "the same name twice, once with ./": refused(lambda: archive(OK, entry("./model.bin")), "model.bin"),
    "names that differ in case": refused(lambda: archive(OK, entry("MODEL.bin")), "MODEL.bin", "case"),
    "directories that differ in case": refused(lambda: archive(entry("D/a"), entry("d/b")), "case"),
    "name in two normal forms": refused(lambda: archive(entry("\u00e4"), entry("a\u0308")), "combining"),
    "Kelvin sign for K": refused(lambda: archive(entry("k"), entry("\u212a")), "NFC"),
    "a file and a directory of one name": refused(lambda: archive(OK, entry("model.bin/x")), "model.bin"),
    "a directory and a file of one name": refused(lambda: archive(entry("d/x"), entry("d")), "'d'"),
    "name that is not UTF-8": refused(lambda: raw_name(b"a\xff\xfeb"), "UTF-8"),
    "name in overlong UTF-8": refused(lambda: raw_name(b"\xc0\xae\xc0\xae/x"), "UTF-8"),
    "name with a surrogate": refused(lambda: raw_name(b"\xed\xa0\x80x"), "UTF-8"),
    "name with a line break": refused(lambda: archive(OK, entry("a\nb")), "control character"),
    "name with an escape sequence": refused(lambda: archive(OK, entry("\x1b[2Jx")), "control character"),
    "name written backwards": refused(lambda: archive(OK, entry("\u202egpj.exe")), "invisible"),
    "name with zero width": refused(lambda: archive(OK, entry("mo\u200bdel.bin")), "invisible"),
    "empty name": refused(lambda: field(archive(OK, entry("P"), form=USTAR), "P\0", 0, b"\0"), ""),
    "name of 300 bytes": refused(lambda: archive(OK, entry("n" * 300)), "255"),
    "path of 2,000 bytes": refused(lambda: archive(OK, entry("/".join(["d" * 50] * 40))), "dddd"),
    "40 levels": refused(lambda: archive(OK, entry("d/" * 40 + "f")), "d/", "32"),
    "path of 1 MiB by a pax header": refused(lambda: pax({"path": "p" * (1 << 20)}), ""),
    # ---- sizes
    "sparse bomb, pax": refused(sparse, "holes", "sparse"),
    "sparse bomb, old GNU": refused(old_sparse, ""),
    "negative size": refused(lambda: field(archive(OK, entry("neg"), form=USTAR), "neg", 124, b"\xff" * 12), ""),
    "huge size": refused(lambda: field(archive(OK, entry("big"), form=USTAR), "big", 124, b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7), "model.bin"),
    "huge size by a pax header": refused(lambda: pax({"size": "9223372036854775807"}), ""),
    "size of 1e9 by a pax header": taken(lambda: pax({"size": "1e9"}), "the digits before the letter are read, and they fit"),
    "pax header of 8 MiB": refused(lambda: pax({"comment": "c" * (8 << 20)}), ""),
    "pax header with a broken record": refused(lambda: archive(OK, entry("x", b"99999 path=y\n", type=b"x", size=13), entry("y"), form=USTAR), ""),
    "100,001 entries": refused(lambda: many(100_001), "100000"),
    "1,000,000 entries": refused(lambda: many(1_000_000), "100000"),
    "gzip, 1000 : 1": refused(lambda: archive(OK, entry("zeros", bytes(64 << 20)), compress="gz"), "1000 times"),
    "zstd, 1000 : 1": refused(lambda: packed(archive(OK, entry("zeros", bytes(64 << 20))), ["zstd", "-c"]), "1000 times"),
    "packed twice": refused(lambda: gzip.compress(gzip.compress(NORMAL)), "more than once"),
    "larger than the disk": refused(lambda: field(archive(OK, entry("big"), form=USTAR), "big", 124, b"77777777777\0"), "big"),
    # ---- streams
    "empty stream": refused(lambda: b"", ""),
    "archive without entries": refused(lambda: archive(), "no file"),
    "only directories": refused(lambda: archive(entry("a", type=tarfile.DIRTYPE), entry("b", type=tarfile.DIRTYPE)), "no file"),
    "HTML": refused(lambda: b"<html>404 not found</html>" * 40, "not a tar archive"),
    "zip": refused(lambda: b"PK\x03\x04" + bytes(2000), "zip"),
    "xz": refused(lambda: packed(NORMAL, ["xz", "-c"]), "xz"),
    "bzip2": refused(lambda: packed(NORMAL, ["bzip2", "-c"]), "bzip2"),
    "truncated tar": refused(lambda: NORMAL[:10_000], "b.bin"),
    "truncated tar between entries": refused(lambda: NORMAL[:1024], "end mark"),
    "truncated gzip": refused(lambda: gzip.compress(NORMAL)[:9_000], ""),
    "truncated zstd": refused(lambda: packed(NORMAL, ["zstd", "-c"])[:9_000], ""),
    "gzip without its trailer": refused(lambda: gzip.compress(NORMAL)[:-8], ""),
    "flipped byte in gzip": refused(lambda: flipped(gzip.compress(archive(OK, entry("t", b"text " * 4000))), 60), ""),
    "flipped byte in zstd": refused(lambda: flipped(packed(NORMAL, ["zstd", "--check", "-c"]), 10_000), ""),
    "gzip with a wrong checksum": taken(
        lambda: flipped(gzip.compress(WRONG_MODEL + NORMAL, mtime=0), -8),
        "libarchive does not compare it: what arrived is a version of its own, and its digest tells, where `version.digest` states one"),
    "header with a wrong checksum": refused(lambda: flipped(NORMAL, 148), ""),
    "trailing data": refused(lambda: archive(OK, tail=b"#!/bin/sh\necho hello\n" * 600), "trailing data"),
    "trailing data after gzip": refused(lambda: gzip.compress(NORMAL) + b"more" * 300, "trailing data"),
    "a second archive behind the first": refused(lambda: archive(OK) + archive(entry("second")), "trailing data"),
    "2 MiB of zeros behind it": refused(lambda: archive(OK, tail=bytes(2 << 20)), "1 MiB"),
    # ---- what the bundle says of itself
    "version file that is no YAML": refused(lambda: archive(OK, entry("modelguard-version.yaml", b"label: [\n")), "modelguard-version.yaml"),
    "version file with an alias": refused(
        lambda: archive(OK, entry("modelguard-version.yaml", b"label: &a x\nserved_version: *a\n")), "modelguard-version.yaml:1"),
    "version file with another key": refused(
        lambda: archive(OK, entry("modelguard-version.yaml", b"label: x\ndigest: y\n")), "modelguard-version.yaml:2", "digest"),
    "version file with an escape sequence": refused(
        lambda: archive(OK, entry("modelguard-version.yaml", b'label: "\\e[2J"\n')), "modelguard-version.yaml:1"),
    "version file with a long label": refused(lambda: archive(OK, entry("modelguard-version.yaml", b"label: " + b"x" * 200 + b"\n")), "128"),
    "version file of 1 MiB": refused(lambda: archive(OK, entry("modelguard-version.yaml", b"#" * (1 << 20))), "64 KiB"),
    "version file of a million brackets": refused(lambda: archive(OK, entry("modelguard-version.yaml", b"[" * 60_000)), "modelguard-version.yaml"),
    "version file that is a link": refused(
        lambda: archive(OK, entry("modelguard-version.yaml", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "modelguard-version.yaml"),
    "version file that is a directory": taken(lambda: archive(OK, entry("modelguard-version.yaml/x")), "then the bundle says nothing of itself"),
    "names of the store itself": taken(lambda: archive(OK, entry("current"), entry("versions/sha256-" + "0" * 64 + "/x"), entry("state.db")),
                                       "they are names inside of the version"),
}

# Signatures, sequence numbers and delivered manifests come in a later release: there is no code that such a case could reach.
NOT_APPLICABLE = ["wrong key", "expired key", "unknown key", "truncated signature", "signature of another manifest", "replay of an older sequence"]
