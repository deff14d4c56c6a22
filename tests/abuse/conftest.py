from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.abuse.healthy", "tests.abuse.wire")

from tests.abuse.victim import Victim, complaints  # noqa: E402

FETCH_SESSION_SLOTS = 100


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """The broker that most tests share; that one of them harms it is what they would show."""
    yield from _running(tmp_path_factory, "log.flush.on.acks.all=never")


@pytest.fixture(scope="session")
def impatient_victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A broker that waits a second for the rest of a request, and has few fetch sessions."""
    yield from _running(
        tmp_path_factory,
        "log.flush.on.acks.all=never",
        "minikafka.request.read.timeout.ms=1000",
        f"max.incremental.fetch.session.cache.slots={FETCH_SESSION_SLOTS}",
    )


def _running(tmp_path_factory: pytest.TempPathFactory, *overrides: str) -> Iterator[Victim]:
    made = Victim(tmp_path_factory.mktemp("victim"), *overrides)
    try:
        yield made
    finally:
        code = made.stop()
    assert code == 0
    assert complaints(made.log_since()) == []
