"""The project's frame: what is around the code and gets it running on somebody's machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.frame.container import Image, built_image, why_not

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """What the Dockerfile builds, built once."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no image can be built here: {reason}")
    with TemporaryDirectory() as space, built_image(ROOT, Path(space)) as built:
        yield built
