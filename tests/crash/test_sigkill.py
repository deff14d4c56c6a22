"""A broker that is killed again and again under load, with acks=all: nothing that it acknowledged is lost.

``CRASH_KILLS`` asks for more kills than the 25 of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.crash.kills import kill_again_and_again

KILLS = int(os.environ.get("CRASH_KILLS", "25"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(60 + 5 * KILLS)]


async def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = await kill_again_and_again(tmp_path, KILLS, Random(SEED))
    with capsys.disabled():
        print(f"\n{KILLS} kills, seed {SEED}: {outcome}")
