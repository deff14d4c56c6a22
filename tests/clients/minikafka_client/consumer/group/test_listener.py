from __future__ import annotations

import pytest

from minikafka.types import TopicPartition
from minikafka_client.consumer.group.listener import FunctionListener, Partitions, RebalanceListener, call_here

SOME = frozenset({TopicPartition("orders", 0)})


def test_lost_partitions_count_as_revoked_unless_the_program_tells_them_apart() -> None:
    told: list[str] = []
    FunctionListener(revoked=lambda _: told.append("revoked")).on_partitions_lost(SOME)
    FunctionListener(revoked=lambda _: told.append("revoked"), lost=lambda _: told.append("lost")).on_partitions_lost(
        SOME
    )
    assert told == ["revoked", "lost"]


def test_a_listener_overrides_what_it_wants() -> None:
    class OnlyRevoked(RebalanceListener):
        def __init__(self) -> None:
            self.told: list[Partitions] = []

        def on_partitions_revoked(self, partitions: Partitions) -> None:
            self.told.append(partitions)

    listener = OnlyRevoked()
    listener.on_partitions_assigned(SOME)
    listener.on_partitions_lost(SOME)
    assert listener.told == [SOME]


def test_functions_that_are_not_given_are_not_called() -> None:
    listener = FunctionListener()
    assert listener.on_partitions_assigned(SOME) is None
    assert listener.on_partitions_revoked(SOME) is None
    assert listener.on_partitions_lost(SOME) is None


async def test_plain_and_async_functions_are_called_alike() -> None:
    told: list[str] = []

    def plain() -> None:
        told.append("plain")

    async def later() -> None:
        told.append("async")

    await call_here(plain)
    await call_here(later)
    assert told == ["plain", "async"]
    with pytest.raises(ZeroDivisionError):
        await call_here(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
