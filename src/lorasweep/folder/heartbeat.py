"""The heartbeat of a pack at work: a small file that tells other processes how far it is.

It outlives a process that is killed, and so tells the next one that, and when, that happened.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from lorasweep.folder.files import write_text
from lorasweep.folder.stored import Stored

SECONDS_BETWEEN = 2.0
DEATHS_THAT_TELL = 2
FILE = "heartbeat.json"
CHECKPOINTS = "step-*.safetensors"
VMSTAT, BOOT = Path("/proc/vmstat"), Path("/proc/sys/kernel/random/boot_id")


class Heartbeat(Stored):
    """How far a pack is; `is_over` is set when its process leaves it in an orderly way.

    `seconds` and `num_steps_fresh` count this process's work alone. `boot` and `memory_kills` are
    the system's when it began: its start, and how many processes it had killed for their memory.
    `free_bytes` were free then. `memory_deaths` is how many processes in a row had died before,
    each while the system killed for memory.
    """

    num_steps: int = 0
    num_steps_done: int = 0
    num_steps_fresh: int = 0
    seconds: float = 0.0
    is_over: bool = False
    boot: str = ""
    memory_kills: int | None = None
    free_bytes: int | None = None
    memory_deaths: int = 0


class Pulse:
    """Writes a pack's heartbeat, at most every two seconds; trouble with the disk is let pass."""

    def __init__(self, folder: Path, first: Heartbeat) -> None:
        self.folder, self.now = folder, first
        self.began = self.written = time.monotonic()
        self._write()

    def step(self, num_steps_done: int, num_steps: int, is_resumed: bool) -> None:
        """Tell that the pack's steps up to this one are done, by an earlier process or by this."""
        self.now = self.now.model_copy(
            update={
                "num_steps": num_steps,
                "num_steps_done": num_steps_done,
                "num_steps_fresh": self.now.num_steps_fresh + (not is_resumed),
                "seconds": time.monotonic() - self.began,
            }
        )
        if time.monotonic() - self.written >= SECONDS_BETWEEN or is_resumed:
            self._write()

    def end(self) -> None:
        """Tell that the process leaves the pack."""
        self.now = self.now.model_copy(update={"is_over": True})
        self._write()

    def _write(self) -> None:
        self.written = time.monotonic()
        with suppress(OSError):
            text = json.dumps(self.now.model_dump()) + "\n"
            write_text(self.folder / FILE, text, must_last=False)


@contextmanager
def beating(folder: Path, free_bytes: int | None = None) -> Iterator[Pulse]:
    """Let a pack's heartbeat be seen in its folder while the process is at work on it."""
    first = Heartbeat(
        boot=_boot(),
        memory_kills=_memory_kills(),
        free_bytes=free_bytes,
        memory_deaths=memory_deaths(folder),
    )
    pulse = Pulse(folder, first)
    try:
        yield pulse
    finally:
        pulse.end()


def read_heartbeat(folder: Path) -> Heartbeat:
    """Return a pack's last heartbeat; one that is over where there is none to be read."""
    try:
        return Heartbeat.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return Heartbeat(is_over=True)


def died_early(folder: Path) -> bool:
    """Say whether the last process at work on a pack died without a word and a checkpoint.

    To be asked by the process that holds the study's folder.
    """
    return not read_heartbeat(folder).is_over and not has_checkpoint(folder)


def has_checkpoint(folder: Path) -> bool:
    """Say whether a checkpoint has been written in a pack's folder, readable or not."""
    return any(folder.glob(CHECKPOINTS))


def memory_deaths(folder: Path) -> int:
    """Return how many processes in a row died early on a pack while the kernel killed for memory.

    Ctrl-C and SIGTERM end in an orderly way; what is left is SIGKILL by a person or by the kernel,
    a reboot, or a power loss. The kernel counts its kills for memory since it started: only where
    that count is known, of the same start, and has risen, memory can be the cause.
    """
    before, kills = read_heartbeat(folder), _memory_kills()
    if kills is None or before.memory_kills is None or not before.boot or before.boot != _boot():
        return 0
    return before.memory_deaths + 1 if died_early(folder) and kills > before.memory_kills else 0


def died_of_memory(folder: Path) -> bool:
    """Say whether early deaths are to be put down to memory, so that the pack is to be cut.

    The count does not tell whom the kernel killed: it may have been another program, and a person
    this process. Once may be chance, and the pack goes on uncut with the same bits; twice is not.
    """
    return memory_deaths(folder) >= DEATHS_THAT_TELL


def _memory_kills() -> int | None:
    """Return how many processes Linux has killed for their memory since it started."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""
