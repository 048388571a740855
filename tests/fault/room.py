"""How much of the machine the fault tests take: their workers, and the memory that the devices in it fill."""
import os

PER_CORE = 4  # they wait far more than they compute
PER_WORKER = 256 << 20  # bytes: three programs, a device and its start states, with room to spare
MOST_KEPT = 50 << 20  # bytes of one start state: some versions of a few kB, and what is held for the way back
PLACE = "/dev/shm"


def free_memory():
    with open("/proc/meminfo", encoding="ascii") as lines:
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    if not os.path.isdir(PLACE):
        return available
    place = os.statvfs(PLACE)
    return min(available, place.f_bavail * place.f_frsize)


def workers():
    return max(1, min(PER_CORE * (os.cpu_count() or 1), free_memory() // PER_WORKER))


def bytes_below(folder):
    return sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for top, _, names in os.walk(folder) for name in names)


def demand_small(folder):
    """Before it is copied: what grows from copy to copy once filled the memory of the machine."""
    found = bytes_below(folder)
    if found > MOST_KEPT:
        raise RuntimeError(f"{folder} holds {found >> 20} MiB, a start state has at most {MOST_KEPT >> 20}; see what grew in it")


class Watch:
    """Ends a run that fills the memory of everybody on this machine."""

    def __init__(self, number):
        self.most = number * PER_WORKER
        self.before = self.used()

    @staticmethod
    def used():
        if not os.path.isdir(PLACE):
            return 0
        place = os.statvfs(PLACE)
        return (place.f_blocks - place.f_bfree) * place.f_frsize

    def look(self):
        grown = self.used() - self.before
        if grown > self.most:
            raise SystemExit(f"{PLACE} holds {grown >> 20} MiB more than when this run began, {self.most >> 20} were expected at most; "
                             f"ended before the memory is full. See {PLACE}/mg-*")
