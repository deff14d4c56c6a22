"""Damaged data directories: what is served was written, and nothing but the damaged partition suffers.

``DAMAGES`` asks for more than the 300 of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from random import Random
from unittest.mock import patch

import pytest

from minikafka.observability import logging
from minikafka.records.batch import RecordBatch
from tests.reliability.damage import damage_and_start, directories

DAMAGES = int(os.environ.get("DAMAGES", "300"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))
_EACH = 25

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(120 + DAMAGES // 10)]


@pytest.fixture(autouse=True)
def _no_log_lines() -> Iterator[None]:
    """A start says what it finds."""
    logging.configure("pretty", "critical")
    yield
    logging.configure("pretty", "warning")


def damage(number: int, seed: int) -> int:
    """Damage so many directories, and return how many it were."""
    done = 0
    for here in count(seed):
        random = Random(f"damage {here}")
        for policy, image in directories(here):
            for _ in range(_EACH):
                damage_and_start(policy, image, random)
                done += 1
        if done >= number:
            return done
    raise AssertionError("not reached")


def test_damage_is_told_from_records_and_stays_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    done = damage(DAMAGES, SEED)
    with capsys.disabled():
        print(f"\n{done} damaged directories, from seed {SEED}: nothing made up, no other partition touched")


def test_records_that_nobody_wrote_would_be_noticed() -> None:
    def believe(_batch: RecordBatch) -> None:
        """Check nothing."""

    with patch.object(RecordBatch, "verify_crc", believe), pytest.raises(AssertionError, match="nobody wrote"):
        damage(2_000, SEED)
