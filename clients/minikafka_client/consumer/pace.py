"""How long a program has not asked for messages: a member of a group that does not, stops others from having them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pace:
    """Watches a program ask for messages.

    Args:
        clock: Seconds that only grow.
        progress: A value that changes when a message is taken without a word to :meth:`asking`.
    """

    def __init__(self, clock: Callable[[], float], progress: Callable[[], object]) -> None:
        self._clock = clock
        self._progress = progress
        self._seen: object = None
        self._asking = 0
        self._asked_at = clock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The program waits for messages as long as this lasts."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked_at = self._clock()

    def idle_ms(self) -> float:
        """The time since the program last asked, as far as that is known: progress is noticed when this is called."""
        progress = self._progress()
        if self._asking or progress != self._seen:
            self._seen = progress
            self._asked_at = self._clock()
        return (self._clock() - self._asked_at) * 1_000
