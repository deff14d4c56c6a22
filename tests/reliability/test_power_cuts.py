"""Real power cuts: nothing that was acknowledged with acks=all is lost, and without flushes nothing is made up.

``POWER_CUTS`` asks for more than the six of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.reliability.loop_disk import NoLoopDisk
from tests.reliability.power_cuts import Cut, cut_power

CUTS = int(os.environ.get("POWER_CUTS", "6"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(60 + 20 * CUTS)]


async def test_nothing_acknowledged_is_lost_when_the_power_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED)
    acknowledged = 0
    for number in range(CUTS):
        directory = tmp_path / str(number)
        directory.mkdir()
        cut = Cut.some(random, number)
        try:
            outcome = await cut_power(directory, cut, random)
        except NoLoopDisk as error:
            pytest.skip(f"{CUTS} power cuts skipped: {error}")
        if cut.is_flushing:
            acknowledged += outcome.acknowledged
        (directory / "disk.img").unlink()
        (directory / "left.img").unlink(missing_ok=True)
    with capsys.disabled():
        print(f"\n{CUTS} power cuts, seed {SEED}: {acknowledged} records acknowledged by the disk, 0 lost")
