#!/usr/bin/env python3
"""What README.md shows is true: its manifest is valid, and every command that it names is one that modelguard has.

usage: readme_test.py MODELGUARD MODELGUARDD
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def main(modelguard: str, modelguardd: str) -> int:
    text = (TREE / "README.md").read_text()
    wrong = []

    manifests = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for manifest in manifests:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(manifest)
            file.flush()
            answer = run(modelguardd, "--validate", file.name)
            if answer.returncode != 0:
                wrong.append(f"the manifest is not valid: {answer.stdout}{answer.stderr}")

    commands = set(re.findall(r"`modelguard ([a-z]+)", text))
    for command in sorted(commands):
        if run(modelguard, command, "--help").returncode != 0:
            wrong.append(f"`modelguard {command}` is no command")

    links = re.findall(r"\]\(([^)#:]+)\)", text)
    scripts = re.findall(r"^\./(\S+)", text, re.MULTILINE)
    wrong += [f"{path} does not exist" for path in links + scripts if not (TREE / path).exists()]

    print("\n".join(wrong))
    print(f"{len(manifests)} manifests, {len(commands)} commands, {len(links + scripts)} files: {len(wrong)} wrong")
    return 1 if wrong or not manifests or len(commands) < 8 or len(scripts) < 2 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
