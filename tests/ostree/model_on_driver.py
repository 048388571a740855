#!/usr/bin/env python3
"""The model server of os_rollback_test.py: repository_server.py on an accelerator that the OS has the driver for.

Every answer is an error while one of BROKEN is there: the OS that is booted has a broken driver, or the accelerator itself is gone.
A version with {"overheats": true} in its behaviour.json makes the latter so when it is loaded. After a reboot the first answers are errors
as well, for so long that the first verdict on each boot is a bad one."""
import asyncio
import json
import os
import pathlib
import sys

sys.path.insert(0, "/srv/test")
import repository_server  # noqa: E402

ACCELERATOR_GONE = pathlib.Path("/var/lib/digits/accelerator-gone")
BROKEN = (pathlib.Path("/run/booted-os/usr/lib/driver-broken"), ACCELERATOR_GONE)
BOOTS = pathlib.Path("/srv/disk/boots")  # a line for each
WARM = pathlib.Path("/run/digits/warm")
COLD_ANSWERS = 8


class ServerOnDriver(repository_server.RepositoryServer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cold = COLD_ANSWERS if len(BOOTS.read_text().split()) > 1 and not WARM.exists() else 0
        WARM.touch()

    def mode_for(self, place):
        mode = super().mode_for(place)
        if place != "infer":
            return mode
        self.cold -= 1
        return "broken500" if self.cold >= 0 or any(map(os.path.exists, BROKEN)) else mode

    async def repository(self, writer, name, what):
        if json.loads((self.current / "behaviour.json").read_text()).get("overheats"):
            ACCELERATOR_GONE.touch()
        return await super().repository(writer, name, what)


repository_server.RepositoryServer = ServerOnDriver
asyncio.run(repository_server.main())
