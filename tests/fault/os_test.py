#!/usr/bin/env python3
"""The daemon and its OS over time: a reboot that waits for its window, deployments that somebody else holds, and an updater that insists.
The deployments are played (os_played.cpp), the rest is real."""
import json
import time
import unittest

import os_world
from lab import PATIENCE, Lab

HOUR = 3600
LOOKS_WITHIN = 15.0  # seconds: the daemon looks at the deployments every ten


class Os(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(ready_within="1s"))
        self.world = os_world.World(self.lab)
        os_world.install(self.lab)

    def window(self, begins, ends):
        """Hours from now."""
        begin, end = (time.strftime("%H:%M", time.localtime(time.time() + hours * HOUR)) for hours in (begins, ends))
        (self.lab.root / "etc/modelguard/modelguard.yaml").write_text(f'os: {{reboot_window: "{begin}-{end}"}}\n')

    def os_status(self):
        return self.lab.ask("GET", "/v1/status")[1]["os"]

    def reaches(self, condition, patience=PATIENCE):
        self.assertTrue(self.lab.wait_until(condition, patience), f"{self.world.look()}\n{self.lab.errors.decode()[-1500:]}")

    def history(self):
        """The device's own decisions too."""
        return [(item["kind"], item.get("code", "")) for item in self.lab.ask("GET", "/v1/history", limit=1000)[1]["items"]]

    def test_a_reboot_waits_prepared_for_its_window_and_says_until_when(self):
        self.window(2, 3)
        self.assertTrue(self.world.launch())
        self.reaches(lambda: self.os_status()["reboot_wall_usec"] > 0)
        left = self.os_status()["reboot_wall_usec"] / 1e6 - time.time()
        self.assertLess(abs(left - 2 * HOUR), 120)
        self.assertEqual((self.world.look()["default"], self.world.look()["reboot_asked"]), (os_world.OLD, False))
        told = self.lab.cli("status").stdout
        print(told)
        self.assertIn("reboot", told)
        decided = len(self.lab.history())
        self.lab.ended_within(1.0)
        self.assertEqual(len(self.lab.history()), decided, "a reboot that waits decides nothing")

        self.lab.halt()  # the window opens while the daemon is away
        self.window(-1, 1)
        self.assertTrue(self.world.launch())
        self.reaches(lambda: self.world.look()["reboot_asked"])
        self.world.go_on()
        os_world.check(self.lab)

    def test_deployments_that_somebody_else_holds_are_waited_for_and_cost_no_attempt(self):
        self.world.change(busy=True)
        self.assertTrue(self.world.launch())
        self.reaches(lambda: b"order_os waits: somebody else writes the deployments" in self.lab.errors)
        pending = self.os_status()
        self.assertEqual((pending["pending_target"], pending["pending_step"]), (os_world.OLD, "ordering"))
        self.world.change(busy=False)
        self.reaches(lambda: self.world.look()["reboot_asked"], LOOKS_WITHIN)
        self.world.go_on()
        os_world.check(self.lab)
        self.assertNotIn("os_rollback_failed", [kind for kind, _ in self.history()])

    def test_the_rejected_os_staged_again_is_dropped_each_time(self):
        self.assertTrue(self.world.launch())
        self.world.go_on()
        os_world.check(self.lab)
        for serial in (1, 2):
            again = dict(self.world.look()["deployments"][-1], id=os_world.NEW.replace(".0", f".{serial}"), identity=os_world.NEW.split(".")[0])
            self.world.change(deployments=[again, *self.world.look()["deployments"]], staged=again["id"])
            self.reaches(lambda: not self.world.look()["staged"], LOOKS_WITHIN)
            self.assertEqual(self.world.look()["log"][-1], f"drop_staged {again['id']}")
        self.assertEqual(self.history().count(("staged_dropped", "dropped")), 2)
        another = dict(again, id="iot-cccc.0", identity="iot-cccc")
        self.world.change(deployments=[another, *self.world.look()["deployments"]], staged=another["id"])
        self.reaches(lambda: self.os_status()["staged"] == another["id"], LOOKS_WITHIN)
        self.assertEqual(self.world.look()["staged"], another["id"], "another OS is nobody's business")

    def test_an_operator_may_ask_and_asks_once(self):
        self.world.put(os_world.view(os_world.NEW, [os_world.NEW, os_world.OLD], 1))
        self.lab.control(mode="ok", sticks_to=None)
        self.assertTrue(self.lab.launch(boot_id=os_world.BOOTS[1]))  # nothing is wrong with this OS
        self.lab.at_rest()
        status, asked = self.lab.ask("POST", "/v1/os/rollback", "")
        self.assertEqual(status, 202)
        self.reaches(lambda: self.world.look()["reboot_asked"])
        self.world.go_on()
        os_world.check(self.lab)
        self.assertEqual(self.lab.ask("GET", f"/v1/operations/{asked['id']}")[1]["status"], "done")
        refused = self.lab.cli("rollback", "--os", check=1)
        print(refused.stdout + refused.stderr)
        self.assertIn("not rejected", refused.stdout + refused.stderr)
        document = json.loads(self.lab.cli("history", "--json").stdout)
        self.assertEqual(document["items"][0]["kind"], "refused")


if __name__ == "__main__":
    unittest.main()
