from __future__ import annotations

import pytest

from minikafka.types import TopicPartition
from minikafka_client.consumer.group.handover import Handover
from minikafka_client.consumer.group.listener import FunctionListener, Partitions, call_here

A, B, C = (TopicPartition("orders", number) for number in range(3))


class Steps:
    """What happens, in its order, and a handover to make it happen."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, set[TopicPartition]]] = []
        listener = FunctionListener(
            lambda partitions: self._note("assigned", partitions),
            lambda partitions: self._note("revoked", partitions),
            lambda partitions: self._note("lost", partitions),
        )
        self.handover = Handover("billing", self, listener, call_here)

    def add(self, partitions: Partitions) -> None:
        self._note("add", partitions)

    def remove(self, partitions: Partitions) -> None:
        self._note("remove", partitions)

    async def commit_processed(self, partitions: Partitions) -> None:
        self._note("commit", partitions)

    def _note(self, what: str, partitions: Partitions) -> None:
        self.taken.append((what, set(partitions)))

    def since(self) -> list[tuple[str, set[TopicPartition]]]:
        taken, self.taken = self.taken, []
        return taken


async def test_what_comes_is_read_before_the_program_is_told_so_that_it_can_seek() -> None:
    steps = Steps()
    await steps.handover.assign([A, B])
    assert steps.since() == [("add", {A, B}), ("assigned", {A, B})]
    await steps.handover.assign([A, B, C])
    assert steps.since() == [("add", {C}), ("assigned", {C})]
    assert steps.handover.owns([A, C])


async def test_a_rebalance_that_brings_nothing_is_told_as_well() -> None:
    steps = Steps()
    await steps.handover.assign([])
    assert steps.since() == [("add", set()), ("assigned", set())]


async def test_what_goes_is_committed_then_told_then_taken_away() -> None:
    steps = Steps()
    await steps.handover.assign([A, B])
    steps.since()
    await steps.handover.revoke([A, C])
    assert steps.since() == [("commit", {A}), ("revoked", {A}), ("remove", {A})]
    assert steps.handover.owned == {B}


async def test_giving_back_nothing_is_no_step() -> None:
    steps = Steps()
    await steps.handover.revoke([A])
    await steps.handover.lose_all()
    assert steps.since() == []


async def test_what_is_lost_is_taken_away_before_the_program_is_told_and_never_committed() -> None:
    steps = Steps()
    await steps.handover.assign([A, B])
    steps.since()
    await steps.handover.lose_all()
    assert steps.since() == [("remove", {A, B}), ("lost", {A, B})]
    assert not steps.handover.owned


async def test_a_step_is_finished_although_the_program_fails_and_the_failure_is_raised_once() -> None:
    steps = Steps()
    await steps.handover.assign([A])

    def fail(_: Partitions) -> None:
        raise ValueError("the program's")

    steps.handover.listener = FunctionListener(fail, fail, fail)
    await steps.handover.revoke([A])
    assert not steps.handover.owned
    await steps.handover.assign([B])
    assert steps.handover.owned == {B}
    with pytest.raises(ValueError, match="the program's"):
        steps.handover.raise_failure()
    steps.handover.raise_failure()
