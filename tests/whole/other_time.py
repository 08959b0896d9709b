"""Programs whose clock shows another time (faketime)."""
import pathlib
import re

SHARED_MEMORY = pathlib.Path("/dev/shm")
NAMES = re.compile(r"(?:sem\.faketime_sem|faketime_shm)_(\d+)")


def forget_ended_clocks():
    """faketime names a semaphore after its process and leaves it behind when it is killed, and so does its library alone. The next faketime that
    is given the same process number says "sem_open: File exists" and runs nothing: one time in several hundred, CI's among them."""
    for path in SHARED_MEMORY.glob("*faketime_*"):
        match = NAMES.fullmatch(path.name)
        if match and not pathlib.Path("/proc", match[1]).exists():
            try:
                path.unlink(missing_ok=True)
            except PermissionError:
                pass  # somebody else's


def with_clock_at(when, *words):
    """The words that run `words` at `when`: faketime's, absolute or relative."""
    forget_ended_clocks()
    return ["faketime", "-m", "-f", when, *map(str, words)]

