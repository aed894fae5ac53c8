"""Ctrl-C and SIGTERM: the first asks to stop at the next safe place, the second stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSwitch:
    """Whether somebody has asked for a stop; the first time, `say` is told what happens now."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.requested = False
        self.say = say

    def ask(self) -> bool:
        """Say whether a stop has been asked for."""
        return self.requested

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one is noted, the second one interrupts."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self.say("stopping after this step, which is kept; once more to stop at once")


@contextmanager
def stop_switch(say: Callable[[str], None]) -> Iterator[StopSwitch]:
    """Handle both signals by a switch; outside the main thread signals are left as they are."""
    switch = StopSwitch(say)
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    before = {number: signal.signal(number, switch) for number in SIGNALS}
    try:
        yield switch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
