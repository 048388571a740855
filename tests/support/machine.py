"""A machine of its own: systemd as PID 1 in namespaces, over an overlay of this root. What it writes lands in a directory that a
"reboot" keeps and that goes with the object. Needs root, overlayfs and cgroup2; Missing says what is not there."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 60.0

BOOT = r"""
set -e
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount -t cgroup2 cgroup2 sys/fs/cgroup
# what is not on the overlay: `disk` beside it, where a test has made one
[ ! -d "$1/disk" ] || { mkdir -p srv/disk; mount --bind "$1/disk" srv/disk; }
ip link set lo up
exec env -i container=modelguard-test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system --log-target=journal
"""
# Nothing of this host's own services is wanted inside.
MASKED = ("console-getty.service", "prometheus.service", "podman.service", "podman.socket", "podman-auto-update.service", "podman-restart.service",
          "docker.service", "docker.socket", "containerd.service")


class Missing(Exception):
    """What this host cannot do."""


class Machine(contextlib.AbstractContextManager):
    def __init__(self):
        if os.geteuid() != 0:
            raise Missing("root, to make namespaces with systemd in them")
        if not pathlib.Path("/lib/systemd/systemd").exists():
            raise Missing("systemd")
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="mg-machine-"))
        self.upper = self.place / "upper"
        self.boots = 0
        self.init = self.shell = None
        # An overlay's upper directory may not itself be on an overlay.
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.place], capture_output=True, check=False).returncode:
            self.place.rmdir()
            raise Missing("the right to mount")
        for name in ("upper", "work", "root"):
            (self.place / name).mkdir()
        for name in MASKED:
            link = self.upper / "etc/systemd/system" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/dev/null")

    def __exit__(self, *_):
        self.power_off()
        subprocess.run(["umount", "-l", self.place], check=False)
        with contextlib.suppress(OSError):
            self.place.rmdir()

    def write(self, path, text, mode=0o644):
        """A file inside, before the boot or while it runs."""
        at = (self.place / "root" if self.init else self.upper) / path.lstrip("/")
        if self.init:
            self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, given=text)
            return
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        at.chmod(mode)

    def bring(self, *programs):
        """Copies, before the boot, for the inside has a /tmp of its own; their places there."""
        folder = self.upper / "srv/programs"
        folder.mkdir(parents=True, exist_ok=True)
        return ["/" + str(pathlib.Path(shutil.copy(program, folder)).relative_to(self.upper)) for program in programs]

    def boot(self):
        deadline = time.monotonic() + PATIENCE
        self.power_on()
        # "degraded" is a boot that ended as well
        while time.monotonic() < deadline:
            if self.run("systemctl", "is-system-running", "--wait", check=None).stdout.strip() in ("running", "degraded"):
                return self
        raise AssertionError("it does not boot")

    def power_on(self):
        """Its systemd runs; how the boot ends is not waited for."""
        self.boots += 1
        with open(self.place / f"boot{self.boots}.log", "wb") as log:
            self.shell = subprocess.Popen(["unshare", "--pid", "--mount", "--ipc", "--uts", "--cgroup", "--net", "--fork", "--kill-child",
                                           "bash", "-c", BOOT, "boot", self.place], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # one of them may just have ended
                children = pathlib.Path(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children").read_text().split()
                if children and pathlib.Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
                    self.init = int(children[0])
                    return
            if self.shell.poll() is not None:
                raise Missing((self.place / f"boot{self.boots}.log").read_text()[-300:])
        raise AssertionError("it does not boot")

    def wait_until_down(self):
        """It reboots or powers off by itself."""
        self.shell.wait(timeout=PATIENCE)
        self.init = None

    def run(self, *command, check=0, given=None, user=None, timeout=PATIENCE):
        """A command inside; as another user with `user`."""
        if user:
            command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *command)
        done = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-p", "-i", "-u", "-n", "-C", "-r", "-w", *map(str, command)],
                              input=given, capture_output=True, text=True, timeout=timeout, check=False)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}, expected {check}\n{done.stdout}{done.stderr}")
        return done

    def power_cut(self):
        """Everything ends at once; what was written stays."""
        if self.init:
            os.kill(self.init, signal.SIGKILL)
            self.shell.wait()
            self.init = None
            shutil.rmtree(self.place / "work/work", ignore_errors=True)

    def power_off(self):
        """An orderly end."""
        if not self.init:
            return
        os.kill(self.init, signal.SIGRTMIN + 3)
        try:
            self.shell.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        if self.shell.poll() is None:
            return self.power_cut()
        self.init = None

    def reboot(self):
        self.power_off()
        return self.boot()


def skip_unless_possible(test, *programs):
    """Ends the program with 77, and says so by the test's name, where such a machine cannot be made or a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            print(f"SKIPPED {test}: {program} is missing")
            sys.exit(77)
    try:
        with Machine() as probe:
            probe.boot()
    except Missing as missing:
        print(f"SKIPPED {test}: this needs {missing}")
        sys.exit(77)
