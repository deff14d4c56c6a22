"""Offsets in transactions, in a shard: when they are visible, and that nothing forgets them before."""

from __future__ import annotations

import asyncio

import pytest

from minikafka.coordinator.group.values import CommittedOffset
from minikafka.errors import IllegalGeneration, KafkaError, StorageError, UnknownMemberId
from minikafka.types import ProducerIdAndEpoch
from tests.minikafka.coordinator.group.test_shard import DAY_MS, NOBODY, ORDERS, RETURNS, Shard

PRODUCER = ProducerIdAndEpoch(7, 0)


def commit(shard: Shard, offset: int, group_id: str = "g", **options: object) -> asyncio.Future[None] | None:
    """Commit in the producer's transaction."""
    committed = CommittedOffset(offset, commit_timestamp_ms=shard.clock.now_ms())
    claim = options.pop("claim", NOBODY)
    return shard.shard.commit(group_id, claim, {ORDERS: committed}, producer=PRODUCER)  # type: ignore[arg-type]


def end(shard: Shard, *, is_commit: bool = True) -> asyncio.Future[None] | None:
    return shard.shard.end_transaction(
        PRODUCER.producer_id,
        lambda: shard.log.append_marker(PRODUCER.producer_id, is_commit=is_commit),
        is_commit=is_commit,
    )


def offset(shard: Shard, group_id: str = "g") -> int | None:
    found = shard.shard.offsets.get(group_id, ORDERS)
    return None if found is None else found.offset


@pytest.mark.parametrize("is_commit", [True, False])
async def test_offsets_are_visible_after_the_commit_and_gone_after_the_abort(is_commit: bool) -> None:
    shard = Shard()
    assert commit(shard, 5) is None
    assert shard.shard.offsets.is_pending("g", ORDERS)
    assert offset(shard) is None
    assert end(shard, is_commit=is_commit) is None
    assert offset(shard) == (5 if is_commit else None)
    assert offset(shard.restarted()) == (5 if is_commit else None)


async def test_neither_offsets_nor_their_end_count_before_they_are_durable_and_in_their_order() -> None:
    shard = Shard()
    shard.log.is_held = True
    written, ended = commit(shard, 5), end(shard)
    assert written is not None
    assert ended is not None
    assert not shard.shard.offsets.is_pending("g", ORDERS)
    await shard.log.flush()
    assert written.done()
    assert ended.done()
    assert offset(shard) == 5


async def test_a_marker_that_may_be_lost_has_the_state_loaded_again() -> None:
    shard = Shard()
    commit(shard, 5)
    shard.log.is_held = True
    ended = end(shard)
    assert ended is not None
    await shard.log.break_down(StorageError("the disk"))
    with pytest.raises(KafkaError):
        await ended
    assert offset(shard) is None
    assert len(shard.failures) == 1


async def test_a_marker_that_cannot_be_written_changes_nothing() -> None:
    shard = Shard()
    commit(shard, 5)

    def refuse() -> None:
        raise StorageError("the disk")

    with pytest.raises(StorageError):
        shard.shard.end_transaction(PRODUCER.producer_id, refuse, is_commit=True)
    assert shard.shard.offsets.is_pending("g", ORDERS)
    end(shard)
    assert offset(shard) == 5


async def test_a_group_with_pending_offsets_is_not_forgotten() -> None:
    shard = Shard()
    commit(shard, 5)
    shard.commit(1, where=RETURNS)
    shard.clock.advance(10 * DAY_MS)
    shard.shard.forget_what_expired(DAY_MS)
    assert [group.group_id for group in shard.shard.listings()] == ["g"]
    end(shard, is_commit=False)
    shard.shard.forget_what_expired(DAY_MS)
    assert shard.shard.listings() == []


async def test_a_group_that_is_deleted_takes_its_pending_offsets_along() -> None:
    shard = Shard()
    commit(shard, 5)
    shard.shard.delete("g")
    end(shard)
    assert offset(shard) is None
    assert offset(shard.restarted()) is None


async def test_a_producer_commits_for_members_in_any_state_of_their_group() -> None:
    shard = Shard()
    claim = shard.enter()
    commit(shard, 5, claim=claim)
    commit(shard, 6)
    later = claim.__class__(claim.member_id, None, claim.generation_id + 1)
    with pytest.raises(IllegalGeneration):
        commit(shard, 7, claim=later)
    with pytest.raises(UnknownMemberId):
        commit(shard, 7, claim=claim.__class__("nobody", None, claim.generation_id))
    end(shard)
    assert offset(shard) == 6
