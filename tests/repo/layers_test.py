#!/usr/bin/env python3
"""The layers of DESIGN: who may include whom, heavy headers only in .cpp files, every kind with its test, the fixed top level."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MAY_USE = {
    "supervisor/base": set(),
    "supervisor/core": {"supervisor/base"},
    "supervisor/sys": {"supervisor/base"},
    "supervisor/store": {"supervisor/base", "supervisor/core", "supervisor/sys"},
    "supervisor/api": {"supervisor/base", "supervisor/core"},
    "supervisor/delivery": {"supervisor/base", "supervisor/sys"},
    "supervisor/daemon": {"supervisor/base", "supervisor/core", "supervisor/sys", "supervisor/store", "supervisor/api", "checks", "rollback"},
    "supervisor/cli": {"supervisor/base", "supervisor/core", "supervisor/api"},
    "checks": {"supervisor/base", "supervisor/core", "supervisor/sys"},
    "rollback": {"supervisor/base", "supervisor/core", "supervisor/sys"},
}
# Core's machine is for the daemon; of core the other layers see values only (step.hpp has the events and decisions, which are values).
CORE_INSIDE = re.compile(r"supervisor/core/stepper\.hpp")
HEAVY = re.compile(r"<(nlohmann/json\.hpp|CLI/|spdlog/|yaml-cpp/)")
# Shared by the JSON writers of one folder and included by their .cpp files only.
HEAVY_ALLOWED = {"checks/protocol/answers.hpp", "supervisor/store/json_fields.hpp"}
PURE = ("supervisor/core", "supervisor/base", "checks/evidence")
IMPURE = re.compile(r"<(sys/|unistd\.h|fcntl\.h|fstream|iostream|filesystem|thread|ctime|systemd/|curl/|sqlite3)")
TOP = {"CMakeLists.txt", "CMakePresets.json", "supervisor", "checks", "rollback", "greenboot", "units", "tests", "bench", "packaging",
       "README.md", "LICENSE", "CHANGELOG.md"}


def layer_of(path):
    for layer in sorted(MAY_USE, key=len, reverse=True):
        if path.startswith(layer + "/"):
            return layer
    return None


def main():
    wrong = []
    files = 0
    for path in sorted([*ROOT.glob("supervisor/**/*.[ch]pp"), *ROOT.glob("checks/**/*.[ch]pp"), *ROOT.glob("rollback/**/*.[ch]pp")]):
        files += 1
        name = str(path.relative_to(ROOT))
        layer = layer_of(name)
        if layer is None:
            wrong.append(f"{name}: in no layer; see DESIGN section 4")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            quoted = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if quoted:
                used = layer_of(quoted[1])
                if used and used != layer and used not in MAY_USE[layer]:
                    wrong.append(f"{name}:{number}: {layer} may not use {used}")
                if CORE_INSIDE.search(quoted[1]) and layer != "supervisor/core":
                    wrong.append(f"{name}:{number}: the inside of core is not for {layer}")
            if name.endswith(".hpp") and name not in HEAVY_ALLOWED and HEAVY.search(line) and "#include" in line:
                wrong.append(f"{name}:{number}: heavy header in a header; move it to the .cpp file")
            if any(name.startswith(pure + "/") for pure in PURE) and "#include" in line and IMPURE.search(line):
                wrong.append(f"{name}:{number}: {layer} is pure; no {IMPURE.search(line)[1]}")
    kinds = 0
    for definition, prefix, tests in (("checks/kinds.def", "", "tests/checks"), ("checks/protocol/protocols.def", "", "tests/checks/protocol"),
                                      ("rollback/switches.def", "switch_", "tests/rollback"), ("rollback/thens.def", "then_", "tests/rollback"),
                                      ("rollback/os_backends.def", "os_", "tests/rollback")):
        for kind in re.findall(r"^MG_KIND\(([a-z0-9_]+)\)", (ROOT / definition).read_text(), re.M):
            kinds += 1
            if not (ROOT / tests / f"{prefix}{kind}_test.cpp").exists():
                wrong.append(f"{definition}: kind {kind} has no {tests}/{prefix}{kind}_test.cpp")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    for top in sorted({line.split("/")[0] for line in listed.stdout.splitlines()}):
        if not top.startswith(".") and top not in TOP:
            wrong.append(f"{top}: outside the fixed top level")
    promises = (ROOT / "tests/PROMISES.md").read_text()
    for test in re.findall(r"`([A-Za-z0-9_/.]+\.(?:cpp|py|hpp))`", promises):
        if not (ROOT / test).exists():
            wrong.append(f"tests/PROMISES.md names {test}, which does not exist")
    for number in range(1, 9):
        if not re.search(rf"^{number}\. ", promises, re.M):
            wrong.append(f"tests/PROMISES.md says nothing of promise {number}")
    print("\n".join(wrong))
    print(f"{files} files in {len(MAY_USE)} layers, {kinds} kinds: {len(wrong)} wrong")
    return 1 if wrong or files < 50 or kinds < 8 else 0


if __name__ == "__main__":
    sys.exit(main())
