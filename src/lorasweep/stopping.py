"""Ctrl-C and SIGTERM: the first asks to stop at the next safe place, the second stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSwitch:
    """Whether somebody has asked for a stop."""

    def __init__(self) -> None:
        self.requested = False

    def ask(self) -> bool:
        """Say whether a stop has been asked for."""
        return self.requested

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one is noted, the second one interrupts."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_switch() -> Iterator[StopSwitch]:
    """Handle both signals by a switch; outside the main thread signals are left as they are."""
    switch = StopSwitch()
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    before = {number: signal.signal(number, switch) for number in SIGNALS}
    try:
        yield switch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
