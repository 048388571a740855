#!/usr/bin/env python3
"""The man pages name each command and option that --help has, and no other; those made from descriptors name every kind with every
parameter, and every section of the manifest; groff has nothing to say about them."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1])
PAGES = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/man"
OPTION = re.compile(r"--[a-z][a-z-]*")


def help_of(*command):
    return subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout


def commands_of(text):
    return re.findall(r"^  ([a-z]+) ", text.split("Subcommands:")[1].split("Exit codes:")[0], re.M)


def options_of(*texts):
    return {option for text in texts for option in OPTION.findall(text)}


def page(name):
    return (PAGES / name).read_text().replace("\\-", "-")


def generated(daemon, name):
    done = subprocess.run([daemon, "--man", PAGES / f"{name}.in"], capture_output=True, text=True, check=True)
    return done.stdout


def missing_of_descriptors(checks, model, daemon):
    """What the daemon's descriptors have and the two generated pages do not."""
    wrong = [f"a line of a template was left: {line}" for line in (checks + model).splitlines() if line.startswith("@")]
    for kind in json.loads(subprocess.run([daemon, "--kinds"], capture_output=True, text=True, check=True).stdout)["kinds"]:
        section = re.search(rf"^\.SS {re.escape(kind['name'])}$(.*?)(?=^\.S[SH] |\Z)", checks, re.M | re.S)
        if not section:
            wrong.append(f"modelguard-checks(7) lacks the {kind['category']} {kind['name']}")
            continue
        for param in [*kind["params"], *(field for param in kind["params"] for field in param.get("fields", []))]:
            if f"\n\\fB{param['name']}\\fR: " not in section[1]:
                wrong.append(f"modelguard-checks(7) lacks {kind['name']}.{param['name']}")
    schema = json.loads(subprocess.run([daemon, "--schema"], capture_output=True, text=True, check=True).stdout)["properties"]
    keys = {*schema, *(key for section in schema.values() for key in section.get("properties", {}))}
    return wrong + [f"modelguard-model(5) lacks the key {key}" for key in sorted(keys) if not re.search(rf"(?<![a-z_]){key}(?![a-z_])", model.replace("\\fB", ""))]


def differences(name, what, there, told):
    return [f"packaging/man/{name} lacks the {what} {one}" for one in sorted(there - told)] + \
           [f"packaging/man/{name} has the {what} {one}, --help does not" for one in sorted(told - there)]


def main():
    cli, daemon = BUILD / "supervisor/cli/modelguard", BUILD / "supervisor/daemon/modelguardd"
    top = help_of(cli)
    commands = commands_of(top)
    user, admin = page("modelguard.1"), page("modelguardd.8")
    told = set(re.findall(r'^\.(?:BI|BR|B) "?([a-z]+)(?: |$|")', user.split(".SH COMMANDS")[1].split(".SH OPTIONS")[0], re.M))
    wrong = differences("modelguard.1", "command", set(commands), told)
    wrong += differences("modelguard.1", "option", options_of(top, *(help_of(cli, command) for command in commands)), options_of(user))
    wrong += differences("modelguardd.8", "option", options_of(help_of(daemon)), options_of(admin))
    pages = {name: (PAGES / name).read_text() for name in ("modelguard.1", "modelguardd.8")}
    pages.update({name: generated(daemon, name) for name in ("modelguard-checks.7", "modelguard-model.5")})
    wrong += missing_of_descriptors(pages["modelguard-checks.7"].replace("\\-", "-"), pages["modelguard-model.5"].replace("\\-", "-"), daemon)
    wrong += [f"{file.name}: no test looks at it" for file in PAGES.iterdir() if file.name.removesuffix(".in") not in pages]
    if shutil.which("groff"):
        for name, text in pages.items():
            said = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, capture_output=True, text=True, check=False)
            wrong += [f"{name}: {line}" for line in said.stderr.splitlines()]
    else:
        print("groff is not here: how the pages look was not checked")
    print("\n".join(wrong))
    print(f"{len(commands)} commands, {len(pages)} pages: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
