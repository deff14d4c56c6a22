"""Named places in the code where a test can make the process die, fail or dawdle.

MINIKAFKA_FAILPOINT=log.after_append:kill@3;checkpoint.before_rename:error

name:kill        SIGKILL to this process
name:error       OSError(EIO), as from a dying disk
name:delay=MS    sleep, in the thread that came by
...@N            at the Nth time (kill, error), or from the Nth time on (delay); N is 1 when left out
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

VARIABLE = "MINIKAFKA_FAILPOINT"

_SPECIFICATION = re.compile(
    r"(?P<name>[\w.]+):(?:(?P<action>kill|error)|delay=(?P<delay_ms>\d+))(?:@(?P<nth>[1-9]\d*))?"
)


class Action(Enum):
    """What happens at a failpoint."""

    KILL = "kill"
    ERROR = "error"
    DELAY = "delay"


class _Failpoint:
    __slots__ = ("action", "delay_ms", "hits", "name", "nth")

    def __init__(self, name: str, action: Action, delay_ms: int, nth: int) -> None:
        self.name = name
        self.action = action
        self.delay_ms = delay_ms
        self.nth = nth
        self.hits = 0

    def hit(self) -> None:
        self.hits += 1
        if self.action is Action.DELAY and self.hits >= self.nth:
            time.sleep(self.delay_ms / 1000)
        if self.hits != self.nth:
            return
        if self.action is Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action is Action.ERROR:
            raise OSError(errno.EIO, f"failpoint {self.name}")


_active: dict[str, _Failpoint] = {}


def hit(name: str) -> None:
    """Come by the failpoint ``name``.

    Raises:
        OSError: The failpoint is set to fail.
    """
    if _active and name in _active:
        _active[name].hit()


def parse(text: str) -> dict[str, _Failpoint]:
    """The failpoints that ``text`` sets, by name.

    Raises:
        ValueError: ``text`` is not ``name:action[@N]``, several of them with ``;`` between.
    """
    failpoints: dict[str, _Failpoint] = {}
    for specification in filter(None, (part.strip() for part in text.split(";"))):
        match = _SPECIFICATION.fullmatch(specification)
        if match is None:
            raise ValueError(
                f"failpoint {specification!r} is not name:kill, name:error or name:delay=MS, with @N or not"
            )
        action = Action(match["action"]) if match["action"] else Action.DELAY
        failpoints[match["name"]] = _Failpoint(
            match["name"], action, int(match["delay_ms"] or 0), int(match["nth"] or 1)
        )
    return failpoints


@contextmanager
def active(text: str) -> Iterator[None]:
    """Set the failpoints of ``text`` and nothing else, for as long as the block runs."""
    before = dict(_active)
    _active.clear()
    _active.update(parse(text))
    try:
        yield
    finally:
        _active.clear()
        _active.update(before)


_active.update(parse(os.environ.get(VARIABLE, "")))
