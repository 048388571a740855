"""Runs one fault state after the other on one device: the start, the fault, the way back, what is promised."""
import dataclasses
import itertools
import random
import time
import traceback

import operations
import power
import promises
from lab import ANOTHER_BOOT, PATIENCE, Wrong

REASONS = {"ENOSPC": ["space"], "EDQUOT": ["quota", "space"], "EIO": ["put/output", "I/O", "i/o"], "EROFS": ["ead-only", "written"],
           "EMFILE": ["any open files", "descriptors"], "short": []}
GONE = ["ledger"]  # what the daemon may say instead: its ledger waits for the storage
NOT_REACHED = "not reached"
AFTER_FIRST = "after the first kill"
BLOCK = 4  # neighbouring prefixes in one share: equal states are neighbours
LASTS_MS = 1300  # the ledger is tried again after 1 s, so that this fails as well
QUIET, COMES_BACK = 2.0, 3.0  # seconds
THIRD_BOOT = ANOTHER_BOOT[:-1] + "2"


class Runner:
    """Runs states one after the other on one device."""

    def __init__(self, lab):
        self.lab = lab
        self.prepared = set()

    def begin(self, operation, trace, look=lambda: None):
        """The start state, and the daemon under the tracer at the point where the operation begins; look() is called right there."""
        lab = self.lab
        lab.write_manifest(ready_within=operation.ready_within)
        if operation.name not in self.prepared:
            operations.prepare(lab, operation)
            self.prepared.add(operation.name)
        operations.reset(lab, operation)
        if operation.fresh:
            look()
        ready = self.launch(operation, trace if operation.fresh else [*trace, "--wait-for-signal"])
        if not operation.fresh:
            promises.demand(ready, f"the daemon does not start: {lab.errors.decode()}")
            lab.at_rest()
            if operation.first:
                operation.first(lab)
            lab.count_from_here()
            look()
        return ready

    def launch(self, operation, trace=(), boot_id=None):
        """The daemon; after a reboot that was asked for, where there is an OS around it."""
        if not operation.world:
            return self.lab.launch(trace, boot_id or operation.boot_id)
        world = operation.world(self.lab)
        if world.look()["reboot_asked"]:
            world.reboot()
        return world.launch(trace)

    def act(self, operation, acked, refusals):
        """The operation, until its end or until the daemon is gone."""
        self.lab.ended = []
        try:
            if operation.late:
                operations.misbehave(self.lab, operation.late)
            operation.act(self.lab, acked, refusals)
        except OSError as error:
            refusals.append({"gone": str(error)})

    def count(self, operation):
        self.begin(operation, ["--log", "/dev/null"])
        self.act(operation, [], [])
        self.lab.ended_within(0.3)
        self.lab.halt()
        return self.lab.report()["counts"]

    def struck(self, operation, fault, at):
        """The operation until the fault ends the daemon: (what was hit, or nothing, which requests had been answered)."""
        acked = []
        if self.begin(operation, ["--do", fault, "--at", at]):
            self.act(operation, acked, [])
            self.lab.ended_within(0.4)
        return self.stop(), acked

    def stop(self):
        """Ends the daemon; what the fault hit, or nothing."""
        self.lab.halt()
        report = self.lab.report()
        promises.check_outside(report)
        return report["hit"]

    def come_back(self, operation, acked, thorough, boot_id=None, ends=None):
        """The next start, and everything that is promised from before it until rest."""
        lab = self.lab
        promises.check_disk(lab, operation)
        promises.demand(self.launch(operation, boot_id=boot_id), f"the daemon does not start again: {lab.errors.decode()}")
        if operation.world:
            operation.world(lab).go_on()
        promises.check_rest(lab, operation, acked, ends)
        promises.check_backup_follows(lab)
        if thorough:
            self.behave(operation)
            promises.check_not_wedged(lab)
        if operation.at_last:
            operation.at_last(lab)
        lab.halt()

    def behave(self, operation):
        if operation.sticky or operation.late:
            self.lab.control(mode="ok", sticks_to=None)

    def ended(self, operation, hit, acked, thorough):
        """The end of each state: what was hit, once the way back has been gone."""
        if not hit:
            return NOT_REACHED
        promises.check_ledger_is_ahead(self.lab, operation)
        self.come_back(operation, acked, thorough)
        return hit

    def kill(self, operation, fault, at, thorough):
        hit, acked = self.struck(operation, fault, at)
        return self.ended(operation, hit, acked, thorough)

    def pairs(self, operation, fault, at, thorough):
        hit, acked = self.struck(operation, "kill-after", at[0])
        return self.struck_again(operation, hit, acked, at[1], thorough) if hit else NOT_REACHED

    def all_pairs(self, operation, first, seed):
        """Yields (second call, hit, wrong or None, seconds) of every kill in the recovery from a kill after the first call, which is
        made once: its disk and its model server are put back for each."""
        generator = random.Random(f"{seed} {operation.name} {first}")
        hit, acked = self.struck(operation, "kill-after", first)
        if not hit:
            return
        self.lab.save(AFTER_FIRST)
        self.lab.control(keep=True)
        missed = 0
        for second in itertools.count(1):
            began = time.monotonic()
            self.lab.restore(AFTER_FIRST)
            self.lab.control(put_back=True)
            try:
                again, wrong = self.struck_again(operation, hit, acked, second, generator.random() < 0.2), None
            except (Wrong, OSError, AssertionError) as error:
                again, wrong = "", str(error)
            missed = missed + 1 if again == NOT_REACHED else 0
            if missed == 2:  # the length of a recovery differs by a call now and then
                return
            yield second, again, wrong, time.monotonic() - began

    def struck_again(self, operation, hit, acked, second, thorough):
        """The recovery after a first kill, killed before its second call, and the next one."""
        lab = self.lab
        if self.launch(operation, ["--do", "kill-before", "--at", second]):
            try:
                if operation.world:
                    lab.wait_until(operation.world(lab).settled, PATIENCE)
                else:
                    lab.at_rest(operation.wanted or (lambda model: True))
            except OSError:
                pass
            lab.ended_within(0.3)
        again = self.stop()
        return self.ended(operation, again and f"{hit}; then {again}", acked, thorough)

    def errno(self, operation, fault, at, thorough, lasting=()):
        lab = self.lab
        acked, refusals, hit = [], [], None
        ready = self.begin(operation, ["--do", fault, "--at", at, *lasting])
        if ready:
            self.act(operation, acked, refusals)
            promises.demand(lab.daemon and lab.daemon.poll() is None, f"the daemon ended: {lab.errors.decode()[-800:]}")
            for refusal in refusals:
                text = str(refusal)
                promises.demand(any(word in text for word in REASONS[fault] + GONE), f"refused without the reason: {text}")
            if operation.world and operation.world(lab).look()["reboot_asked"]:  # which ends the daemon that is traced
                hit = self.stop()
                promises.demand(self.launch(operation), f"the daemon does not start: {lab.errors.decode()}")
                operation.world(lab).go_on()
            found = promises.check_rest(lab, operation, acked, operation.right_ends(acked) | operation.right_ends([]), clean=False)
            if found not in operation.right_ends(acked):  # then it must have been said, with the reason
                told = str(lab.ended) + str(lab.decisions)
                promises.demand(any(word in told for word in REASONS[fault]), f"ends with {found} without the reason: {told}")
                acked = []
            lab.ended_within(0.15)
            if fault == "short":  # which is no failure
                promises.check_backup_follows(lab)
            if lasting:
                lab.quiet = 0.0
                lab.ended_within(COMES_BACK)
                self.behave(operation)
                try:
                    promises.check_not_wedged(lab)
                except Wrong:  # the fault may have begun only now
                    lab.ended_within(COMES_BACK)
                    promises.check_not_wedged(lab)
                operation = dataclasses.replace(operation, ends=[{("steady", "later", found[2])}], wanted=None)
        else:  # it could not start, and said so
            promises.demand(operation.fresh, "the daemon did not start")
            promises.demand(any(word in lab.errors.decode() for word in REASONS[fault] + GONE), f"ended without the reason: {lab.errors.decode()}")
        hit = self.stop() if hit is None else hit
        self.lab.halt()
        return self.ended(operation, hit, acked, thorough)

    def errno_lasting(self, operation, fault, at, thorough):
        self.lab.quiet = QUIET
        try:
            return self.errno(operation, fault, at, thorough, ["--lasting", LASTS_MS])
        finally:
            self.lab.quiet = 0.0

    # ---- power loss ----------------------------------------------------------------------------------------------

    def record(self, operation):
        """(files before, log, [operations before each answer], operations before its end, what must stay so) of one run."""
        lab, before = self.lab, {}

        def look():
            lab.state.mkdir(parents=True, exist_ok=True)
            before.update(power.scan(lab.state))
        self.begin(operation, ["--log", lab.log_file], look)
        lab.marks, acked = True, []
        self.act(operation, acked, [])
        lab.marks = False
        found = promises.check_rest(lab, operation, acked)
        ends = {right for right in operation.right_ends(acked) if right[1:] == found[1:]}  # degraded may have become held
        lab.mark()
        lab.ended_within(0.3)
        lab.halt()
        log, marks = power.read_log(lab.log_file)
        promises.demand(len(marks) == len(acked) + 1, f"{len(marks)} marks for {len(acked)} answers and an end")
        if operation.pending:
            folder, name, label = operation.pending
            target = label and "versions/" + lab.digests[label].replace(":", "-")
            before, log = power.with_pending_entry(before, log, (lab.state / folder).stat().st_ino, name, target)
            marks = [mark + 1 for mark in marks]
        return before, log, marks[:-1], marks[-1], ends

    def power_states(self, before, log, chosen):
        """Of the chosen variants those that differ, each with its files. Chosen first: building one takes as long as running one."""
        top, seen, known = next(reversed(before)), set(), {}
        for variant in filter(chosen, power.variants(log)):
            nodes = power.build(before, log, variant)
            mark = power.fingerprint(nodes, top, known)
            if mark not in seen:
                seen.add(mark)
                yield variant, nodes

    def power_loss(self, operation, wanted, step, seed, share, enough):
        """Yields (variant as text, kind, wrong or None, seconds) of every step-th state, or of the one whose text is `wanted`; at last
        the number of states there are (with a step: of variants, of which some are equal). `share`: (which, of how many); each records
        the operation itself, so that a state at its edge may be in two or in none where the recordings differ by a call."""
        before, log, answers, ended, ends = self.record(operation)
        top, total = next(reversed(before)), 0
        generator = random.Random(seed)
        numbers = itertools.count(seed)

        def chosen(variant):
            if variant[0] // BLOCK % share[1] != share[0]:
                return False
            turn = next(numbers) % step == 0
            most_telling = variant[:2] == (len(log), power.ONLY_SYNCED)
            return power.is_same(power.text(log, variant), wanted) if wanted else turn or most_telling
        for variant, nodes in self.power_states(before, log, chosen):
            total += 1
            text = power.text(log, variant)
            if enough():
                return
            began, prefix = time.monotonic(), variant[0]
            acked = [answer for answer in answers if answer <= prefix]
            try:
                self.power_back(operation, nodes, top)
                if prefix >= ended:
                    promises.check_durable(self.lab, ends, prefix == len(log))
                self.come_back(operation, acked, generator.random() < 0.2, THIRD_BOOT, ends if prefix >= ended else None)
                wrong = None
            except (Wrong, OSError, AssertionError) as error:
                wrong = str(error)
            yield text, variant[1], wrong, time.monotonic() - began
        yield total if step == 1 else next(numbers) - seed

    def power_back(self, operation, nodes, top):
        """These files, and the model server as after its own start."""
        lab = self.lab
        lab.restore("")
        lab.state.parent.mkdir(parents=True)
        power.put(nodes, top, lab.state)
        operations.restart_server(lab, operation)

    def run(self, suite, name, fault, at, thorough):
        """(what was hit, what was wrong, seconds)"""
        began = time.monotonic()
        try:
            hit, wrong = getattr(self, suite.replace("-", "_"))(operations.find(name), fault, at, thorough), None
        except (Wrong, OSError, AssertionError) as error:
            hit, wrong = "", f"{error}"
        except Exception:
            hit, wrong = "", traceback.format_exc()
        return hit, wrong, time.monotonic() - began
