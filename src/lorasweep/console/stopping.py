"""Ctrl-C and SIGTERM: the first asks to stop at the next safe place, the second stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSwitch:
    """Whether somebody has asked for a stop; the first time, `say` is told what happens now.

    What is at work says by `until` where it can stop with all that it did kept, or by `at_once`
    that nothing of it is kept anyway: then the first signal interrupts.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.requested = False
        self.say = say
        self._until, self._at_once = "what is at work", False

    def ask(self) -> bool:
        """Say whether a stop has been asked for."""
        return self.requested

    @contextmanager
    def until(self, what: str) -> Iterator[None]:
        """Let the first signal be heard behind this, by who asks."""
        with self._during(what, at_once=False):
            yield

    @contextmanager
    def at_once(self, what: str) -> Iterator[None]:
        """Let the first signal interrupt this, which leaves nothing that is half done."""
        if self.requested:
            raise KeyboardInterrupt
        with self._during(what, at_once=True):
            yield

    @contextmanager
    def _during(self, what: str, at_once: bool) -> Iterator[None]:
        before = self._until, self._at_once
        self._until, self._at_once = what, at_once
        try:
            yield
        finally:
            self._until, self._at_once = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one is noted, or interrupts; the second one interrupts."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._at_once:
            self.say(f"stopping {self._until}; the next call makes that anew")
            raise KeyboardInterrupt
        self.say(f"stopping after {self._until}, which is kept; once more to stop at once")


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
