#!/usr/bin/env python3
"""The man pages name each command and option that --help has, and no other; groff has nothing to say about them."""
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
    if shutil.which("groff"):
        for file in sorted(PAGES.iterdir()):
            said = subprocess.run(["groff", "-man", "-Tutf8", "-ww", file], capture_output=True, text=True, check=False)
            wrong += [f"{file.name}: {line}" for line in said.stderr.splitlines()]
    else:
        print("groff is not here: how the pages look was not checked")
    print("\n".join(wrong))
    print(f"{len(commands)} commands, {len(list(PAGES.iterdir()))} pages: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
