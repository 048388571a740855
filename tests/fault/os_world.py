"""A device with two deployments, played: what the daemon's OS backend reads and writes, and the reboots that it asks for."""
import json

from lab import PATIENCE, Wrong

OLD, NEW = "iot-aaaa.0", "iot-bbbb.0"
BOOTS = [f"b007b007-0000-4000-8000-00000000010{number}" for number in range(8)]
BROKEN_ON_NEW = dict(mode="broken500", sticks_to="v1")


def view(booted, order, boot):
    deployments = [{"id": name, "identity": name.split(".")[0], "bootable": True, "os_pinned": False, "newness": int(name == NEW)} for name in order]
    return {"schema": "modelguard.os_view/1", "boot_id": BOOTS[boot], "deployments": deployments, "booted": booted, "default": order[0],
            "staged": "", "fell_back": False, "boot_trial": "", "reboot_asked": False, "boot": boot, "log": []}


class World:
    """Kept below the root's var, so that it goes back and forth with the state directory."""

    def __init__(self, lab):
        self.lab = lab
        self.file = lab.os_file

    def put(self, document):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(document))
        new.replace(self.file)

    def change(self, **values):
        """As another program on the device would."""
        self.put(dict(self.look(), **values))

    def look(self):
        return json.loads(self.file.read_text())

    def launch(self, trace=()):
        self.serve()
        return self.lab.launch(trace, BOOTS[self.look()["boot"]])

    def serve(self):
        """The model server as it is on the OS that is booted: the new one breaks its driver."""
        lab = self.lab
        lab.control(mode="ok", sticks_to=None)
        if self.look()["booted"] == NEW:
            lab.control(**BROKEN_ON_NEW)

    def reboot(self):
        """What was asked for: everything ends, and the default comes up."""
        self.lab.halt()
        was = self.look()
        self.put(dict(was, booted=was["default"], boot=was["boot"] + 1, boot_id=BOOTS[was["boot"] + 1], reboot_asked=False))

    def settled(self):
        """Whether a reboot is asked for, or the old OS serves."""
        if self.look()["reboot_asked"]:
            return True
        try:
            model = self.lab.model()
        except OSError:
            return False
        return self.look()["booted"] == OLD and model["phase"] == "steady"

    def go_on(self):
        """The running daemon until it wants no reboot any more; reboots are carried out."""
        for _ in range(3):
            if not self.lab.wait_until(self.settled, PATIENCE):
                raise Wrong(f"neither a reboot nor rest: {self.look()}\n{self.lab.errors.decode()[-1500:]}")
            if not self.look()["reboot_asked"]:
                return
            self.reboot()
            if not self.launch():
                raise Wrong(f"no start after a reboot: {self.lab.errors.decode()}")
        raise Wrong(f"reboots without end: {self.look()}")


def install(lab):
    """v1 is known-good on the old OS; then an update of the OS was booted, and the daemon has not run there yet."""
    world = World(lab)
    lab.halt()
    world.put(view(OLD, [OLD], 0))
    if not world.launch():
        raise Wrong(lab.errors.decode())
    document = lab.end_of(lab.deploy("v1"))
    if document.get("status") != "done":
        raise Wrong(f"the start state could not be made: {document}")
    lab.at_rest()
    lab.ended_within(0.25)  # state.bak follows
    lab.halt()
    world.put(view(NEW, [NEW, OLD], 1))


def install_and_roll_back(lab):
    """The same, as far as the first boot of the old OS after the rollback."""
    install(lab)
    world = World(lab)
    if not world.launch() or not lab.wait_until(lambda: world.look()["reboot_asked"], PATIENCE):
        raise Wrong(f"no rollback of the OS: {lab.errors.decode()[-1500:]}")
    world.reboot()


def check(lab):
    """The old OS is booted and stays the default, the new one is rejected, nothing else was ever ordered, and one reboot was enough."""
    found = World(lab).look()
    orders = {line for line in found["log"] if not line.startswith("reboot")}
    if found["booted"] != OLD or found["default"] != OLD or not orders <= {f"order_os {OLD}"} or found["boot"] != 2:
        raise Wrong(f"the OS: {found}")
    os_status = lab.ask("GET", "/v1/status")[1]["os"]
    if os_status["rejected"] != [NEW]:
        raise Wrong(f"the OS as the daemon sees it: {os_status}")
