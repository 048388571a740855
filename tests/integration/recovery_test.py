#!/usr/bin/env python3
"""A ledger that is lost, emptied, filled with garbage or set back, alone and with its backups: what the daemon makes of it.

The real daemon each time: killed, its files damaged, started. It has to serve again by itself, and status and history have to say what happened.
"""
import itertools
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from device import Device  # noqa: E402

DATABASE = ("state.db", "state.db-wal")
BACKUPS = ("state.bak.0", "state.bak.1")


def delete(file):
    file.unlink(missing_ok=True)


def empty(file):
    file.write_bytes(b"")


def garbage(file):
    file.write_bytes(os.urandom(max(5000, file.stat().st_size if file.exists() else 0)))


DAMAGES = {"deleted": delete, "emptied": empty, "garbage": garbage}


class Recovery(unittest.TestCase):
    def setUp(self):
        self.device = self.enterContext(Device(items=30, soak="100ms"))
        self.state = self.device.root / "var/lib/modelguard"
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v1"), "--wait", check=0)
        self.device.daemon.terminate()  # a clean end moves the log into the database; what follows stays in the log
        self.device.daemon.wait()
        self.early = self.snapshot()
        self.device.start()
        self.device.cli("deploy", "digits", self.device.bundle("v2"), "--wait", check=0)
        self.device.cli("deploy", "digits", self.device.bundle("bad", mode="wrong_label"), "--wait", check=1)
        self.wait_backup()
        self.device.kill()
        self.before = self.snapshot()

    def wait_backup(self):
        """Until a state.bak shows the newest decision: it is written 100 ms after each commit."""
        newest = f'"history":{self.device.last_number()},'
        self.device.wait_for(lambda _: any(newest in (self.state / name).read_text() for name in BACKUPS if (self.state / name).exists()),
                             "a backup of the newest commit")

    def snapshot(self):
        return {name: (self.state / name).read_bytes() for name in DATABASE + BACKUPS if (self.state / name).exists()}

    def set_files(self, files):
        for broken in self.state.glob("state.db*"):
            broken.unlink()
        for name in DATABASE + BACKUPS:
            delete(self.state / name)
        for name, content in files.items():
            (self.state / name).write_bytes(content)

    def started(self):
        if self.device.daemon.poll() is None:  # a subtest before this one failed
            self.device.kill()
        self.device.start()
        model = self.device.wait_phase("steady")
        self.device.check_promises()
        return model

    def test_a_backup_that_is_older_than_the_links_does_not_take_the_known_good_version_away(self):
        self.set_files({name: content for name, content in self.early.items() if name in BACKUPS})
        garbage(self.state / "state.db")
        model = self.started()
        self.assertEqual(self.device.linked(), "v2", model)
        self.assertEqual(self.device.serving(), "v2")
        self.assertTrue(self.told("older_backup"))
        self.assertIn("older than the known-good link", self.notes())

    def notes(self):
        return "\n".join(self.device.get("/v1/status").get("notes", []))

    def told(self, code):
        return [item for item in self.device.get("/v1/history", limit=1000)["items"] if item["kind"] == "rebuilt" and item["code"] == code]

    def assert_serves(self, label="v2"):
        self.assertEqual(self.device.linked(), label)
        self.assertEqual(self.device.serving(), label)

    def assert_whole(self):
        """Nothing of the state is lost: what was rejected and what is known-good."""
        versions = {item["label"]: item for item in self.device.get("/v1/models/digits/versions")["items"]}
        self.assertEqual(sorted(versions), ["bad", "v1", "v2"])
        self.assertTrue(versions["bad"]["rejected"])
        self.assertTrue(versions["v1"]["known_good"] and versions["v2"]["lkg"])
        done = self.device.cli("deploy", "digits", self.device.bundle("bad"), "--wait", check=1)
        self.assertIn("rejected", done.stdout + done.stderr)

    def test_a_lost_database_is_restored_whole_from_the_backup(self):
        for damage in DAMAGES:
            for also_log in (False, True):
                with self.subTest(database=damage, log_too=also_log):
                    self.set_files(self.before)
                    for name in DATABASE if also_log else DATABASE[:1]:
                        DAMAGES[damage](self.state / name)
                    self.started()
                    # The newest pages are in the log: with garbage under them the state may still be whole.
                    self.assertRegex(self.notes(), "restored from state.bak|the state was read whole and is carried over")
                    self.assertEqual(len(self.told("restored") + self.told("carried_over")), 1)
                    self.assert_serves()
                    self.assert_whole()
                    self.device.kill()
                    self.started()  # and the next start has nothing to say
                    self.assertEqual(self.notes(), "")
                    self.device.kill()

    def test_a_log_that_was_lost_or_cut_is_an_older_database_and_the_backup_wins(self):
        log = self.state / "state.db-wal"
        for damage in (*DAMAGES, "cut"):
            with self.subTest(log=damage):
                self.set_files(self.before)
                if damage == "cut":
                    os.truncate(log, log.stat().st_size - 4096)
                else:
                    DAMAGES[damage](log)
                self.started()
                self.assertIn("restored from state.bak", self.notes())
                self.assert_serves()
                self.assert_whole()
                self.device.kill()

    def test_bytes_behind_the_last_commit_are_said_and_nothing_else(self):
        with open(self.state / "state.db-wal", "ab") as log:
            log.write(b"x" * 777)
        self.started()
        self.assertIn("a write was interrupted", self.notes())
        self.assertFalse(self.told("restored"))
        self.assert_serves()
        self.assert_whole()

    def test_damaged_backups_are_said_and_written_anew(self):
        for one, two in itertools.product(("", *DAMAGES), DAMAGES):
            with self.subTest(first=one, second=two):
                self.set_files(self.before)
                for name, damage in zip(BACKUPS, (one, two)):
                    if damage:
                        DAMAGES[damage](self.state / name)
                self.started()
                self.assertFalse(self.told("restored"))
                if {one, two} & {"emptied", "garbage"}:
                    self.assertIn("it is written anew", self.notes())
                self.assert_serves()
                self.assert_whole()
                self.device.kill()

    def test_with_neither_database_nor_backup_it_is_rebuilt_from_the_links(self):
        for database, backup in itertools.product(DAMAGES, DAMAGES):
            with self.subTest(database=database, backups=backup):
                self.set_files(self.before)
                for name in DATABASE:
                    DAMAGES[database](self.state / name)
                for name in BACKUPS:
                    DAMAGES[backup](self.state / name)
                self.started()
                self.assertIn("the known-good link names", self.notes())
                self.assertEqual(len(self.told("rebuilt")), 1)
                self.assert_serves()
                labels = sorted(item["label"] for item in self.device.get("/v1/models/digits/versions")["items"])
                self.assertEqual(labels, ["bad", "v1", "v2"], "versions in doubt stay")
                self.device.kill()

    def lose_everything(self):
        self.set_files({})

    def test_rebuilding_goes_back_to_the_known_good_link_where_current_differs(self):
        self.lose_everything()
        bad = next(path for path in (self.device.models / "versions").iterdir() if (path / "behaviour.json").read_text().find("wrong_label") > 0)
        self.device.current.unlink()
        self.device.current.symlink_to(f"versions/{bad.name}")
        self.started()
        self.assert_serves("v2")

    def test_rebuilding_believes_no_known_good_that_does_not_verify(self):
        self.lose_everything()
        file = (self.device.models / "known-good").resolve() / "behaviour.json"
        subprocess.run(["chmod", "-R", "u+w", file.parent], check=True)
        file.write_text(file.read_text() + " ")
        self.device.start()
        self.device.wait_phase("empty")
        self.assertIsNone(self.device.linked())
        self.assertTrue([item for item in self.device.history() if item["kind"] == "corrupt"])
        self.device.cli("deploy", "digits", self.device.bundle("v3"), "--wait", check=0)
        self.assert_serves("v3")

    def test_rebuilding_without_a_known_good_link_believes_no_current(self):
        self.lose_everything()
        (self.device.models / "known-good").unlink()
        self.device.start()
        self.device.wait_phase("empty")
        self.assertIsNone(self.device.linked())
        self.assertIn("what served is not believed", self.notes())

    def test_two_damaged_ledgers_are_kept_and_no_more(self):
        for _ in range(4):
            garbage(self.state / "state.db")
            self.started()
            self.device.kill()
        self.assertEqual(sorted(path.name for path in self.state.glob("state.db.broken-*[0-9]")), ["state.db.broken-0", "state.db.broken-1"])

    def test_versions_that_nobody_needs_go_and_known_good_ones_stay(self):
        self.device.start()
        for number in range(6):
            self.device.cli("deploy", "digits", self.device.bundle(f"bad{number}", mode="wrong_label"), "--wait", check=1)
        folder = self.device.models / "versions"
        self.device.wait_for(lambda _: len(list(folder.iterdir())) <= 5, "two known-good and three spare versions are left")
        labels = {item["label"] for item in self.device.get("/v1/models/digits/versions")["items"]}
        self.assertEqual(labels, {"v1", "v2", "bad3", "bad4", "bad5"})
        self.assertEqual(len(list(folder.iterdir())), 5)
        self.assert_serves()
        self.device.cli("rollback", "digits", "--wait", check=0)
        self.assert_serves("v1")
        self.device.check_promises()

    def test_status_reads_the_newest_backup_of_a_dead_daemon(self):
        done = self.device.cli("status", "--json", check=4)
        self.assertNotIn('"ledger"', done.stdout)
        self.assertIn('"v2"', done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
