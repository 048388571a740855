"""Which folder may include which, and where heavy headers may stand. The table is that of the design, section 4."""

import functools
import re
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

# folder → what it may include besides itself. The longest folder name that fits counts.
MAY_USE = {
    "supervisor/base": set(),
    "supervisor/core": {"supervisor/base"},
    "supervisor/sys": {"supervisor/base"},
    "supervisor/store": {"supervisor/base", "supervisor/core", "supervisor/sys"},
    "supervisor/api": {"supervisor/base", "supervisor/core"},
    "supervisor/delivery": {"supervisor/base", "supervisor/sys"},
    "supervisor/cli": {"supervisor/base", "supervisor/core", "supervisor/api"},
    "supervisor/daemon": {"supervisor/base", "supervisor/core", "supervisor/sys", "supervisor/store", "supervisor/api", "checks", "rollback"},
    "checks": {"supervisor/base", "supervisor/core", "supervisor/sys"},
    "checks/evidence": {"supervisor/base"},
    "rollback": {"supervisor/base", "supervisor/core", "supervisor/sys"},
}
# Seconds per translation unit: never in a header, but for one that only .cpp files of its own folder include.
HEAVY = ("nlohmann/", "CLI/", "spdlog/", "yaml-cpp/")
# Libraries that one place wraps for all.
ONLY_IN = {
    "sqlite3.h": ("supervisor/store", "tests/"),
    "archive.h": ("supervisor/store", "tests/", "supervisor/cli"),
    "curl/curl.h": ("supervisor/sys", "tests/"),
    "microhttpd.h": ("supervisor/daemon", "tests/"),
    "yaml-cpp/": ("supervisor/daemon", "supervisor/store", "tests/"),
    "systemd/": ("supervisor/sys", "supervisor/daemon", "rollback", "tests/"),
    "CLI/": ("supervisor/cli", "supervisor/daemon", "tests/", "bench/"),
    "ostree": ("rollback",),
}
# core is a pure function: none of these has a place in it
NOT_IN_CORE = ("<chrono>", "<thread>", "<mutex>", "<fstream>", "<iostream>", "<filesystem>", "<random>", "<ctime>", "<atomic>")


@functools.cache
def read_includes(file: Path) -> tuple[tuple[str, str], ...]:
    return tuple(INCLUDE.findall(file.read_text()))


def includes(file: Path) -> list[str]:
    """The names that `file` includes in quotes."""
    return [name for mark, name in read_includes(file) if mark == '"']


def folder_of(path: str) -> str:
    fitting = [folder for folder in MAY_USE if path.startswith(folder + "/")]
    return max(fitting, key=len, default="")


def problems(files: list[Path]) -> list[str]:
    users: dict[str, list[Path]] = {}
    for file in files:
        for name in includes(file):
            users.setdefault(name, []).append(file)
    private = {name for name, by in users.items() if all(user.suffix == ".cpp" and user.parent == Path(name).parent for user in by)}
    return [f"{file}: {problem}" for file in files for problem in problems_of(file, str(file) in private)]


def problems_of(file: Path, is_private: bool) -> list[str]:
    found, own = [], folder_of(str(file))
    for mark, name in read_includes(file):
        if mark == '"' and own:
            target = folder_of(name)
            inside = target == own or target.startswith(own + "/") or own.startswith(target + "/") if target else True
            allowed = any(name == entry or name.startswith(entry + "/") for entry in MAY_USE[own])
            if not inside and not allowed:
                found.append(f"{own} must not include {name}")
        if mark == '"' and not name.startswith(tuple(f"{folder}/" for folder in ("supervisor", "checks", "rollback", "tests", "bench"))):
            found.append(f'"{name}": our own headers are named from the top of the tree, others stand in <>')
        for library, places in ONLY_IN.items():
            if mark == "<" and name.startswith(library) and not str(file).startswith(places):
                found.append(f"<{name}> belongs into {' and '.join(places)} only")
        if mark == "<" and file.suffix == ".hpp" and name.startswith(HEAVY) and not is_private:
            found.append(f"<{name}> in a header costs every file that includes it seconds")
        if own == "supervisor/core" and f"<{name}>" in NOT_IN_CORE:
            found.append(f"<{name}>: core does no I/O and knows no clock")
    return found
