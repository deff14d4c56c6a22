"""A broker whose disk fails once, at any call: nothing that it acknowledged is lost, and it starts again.

Every run fails some of the calls of each kind; ``IO_ERRORS=all`` every one, ``CRASH_SEED`` chooses others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from minikafka.errors import StorageError
from minikafka.observability import logging
from minikafka.storage.log import Log
from tests.reliability.failing_fs import Fault
from tests.reliability.io_errors import KINDS, fail_once

ALL = os.environ.get("IO_ERRORS") == "all"
SEED = int(os.environ.get("CRASH_SEED", "2026"))
_SOME = 4
_USUALLY_REACHED = 24

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600 if ALL else 120)]


@pytest.fixture(autouse=True)
def _no_log_lines() -> Iterator[None]:
    """A broker says what fails, and what it does about it."""
    logging.configure("pretty", "critical")
    yield
    logging.configure("pretty", "warning")


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_nothing_acknowledged_is_lost_whatever_call_fails(
    kind: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(f"{SEED} {kind}")
    numbers = count(1) if ALL else [1, *sorted(random.sample(range(2, _USUALLY_REACHED), _SOME - 1))]
    reached = 0
    for nth in numbers:
        if not await fail_once(tmp_path / str(nth), Fault(kind.operation, nth, kind.errno)):
            break
        reached += 1
    assert reached
    with capsys.disabled():
        print(f"\n{kind.operation} failed {reached} times, seed {SEED}: 0 lost")


async def test_an_acknowledgement_after_a_failed_sync_would_be_noticed(tmp_path: Path) -> None:
    def hope(_log: Log, _error: StorageError) -> bool:
        return False

    with patch.object(Log, "_on_flush_error", hope), pytest.raises(AssertionError, match="had lost data"):
        for nth in range(1, 8):
            await fail_once(tmp_path / str(nth), Fault("fdatasync", nth, errno.EIO))
