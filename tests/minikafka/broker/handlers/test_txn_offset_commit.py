"""TxnOffsetCommit over the wire, and what OffsetFetch says of such offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.types import ProducerIdAndEpoch
from tests.support.broker import running_broker
from tests.support.control_plane import versions_of
from tests.support.group_client import Fetched
from tests.support.transaction_client import TransactionClient, transaction_client

VERSIONS = versions_of(ApiKey.TXN_OFFSET_COMMIT)
WITH_MEMBERS = [version for version in VERSIONS if version >= 3]

UNSTABLE = Fetched(-1, -1, "", ErrorCode.UNSTABLE_OFFSET_COMMIT)


async def with_offsets(client: TransactionClient, version: int, **options: object) -> ProducerIdAndEpoch:
    """A producer whose transaction has committed offset 41 of partition 0 for the group ``billing``."""
    producer = await client.begin("payments")
    if version < 5:
        assert await client.add_offsets("payments", producer, "billing") == 0
    codes = await client.commit_in_transaction(
        "payments",
        producer,
        "billing",
        {0: 41},
        version=version,
        **options,  # type: ignore[arg-type]
    )
    assert codes == {0: 0}
    return producer


@pytest.mark.parametrize("version", VERSIONS)
async def test_offsets_are_visible_when_the_transaction_is_committed_and_not_before(
    transactional: TransactionClient, version: int
) -> None:
    await transactional.commit("billing", {0: 7, 1: 8})
    producer = await with_offsets(transactional, version, metadata="why", leader_epoch=5)
    assert await transactional.offset("billing") == 7
    stable = await transactional.fetch("billing", [0, 1], require_stable=True)
    assert stable == {0: UNSTABLE, 1: Fetched(8, -1, "", 0)}
    await transactional.end("payments", producer, version=5 if version >= 5 else 4)
    found = Fetched(41, 5 if version >= 2 else -1, "why", 0)
    assert await transactional.fetch("billing", [0], require_stable=True) == {0: found}


@pytest.mark.parametrize("version", VERSIONS)
async def test_offsets_vanish_when_the_transaction_is_aborted(transactional: TransactionClient, version: int) -> None:
    await transactional.commit("billing", {0: 7})
    producer = await with_offsets(transactional, version)
    await transactional.end("payments", producer, commit=False, version=5 if version >= 5 else 4)
    assert (await transactional.fetch("billing", require_stable=True))[0].offset == 7


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_transaction_that_does_not_know_the_group_commits_nothing_or_learns_of_it(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    codes = await transactional.commit_in_transaction("payments", producer, "billing", {0: 41}, version=version)
    expected = {3: ErrorCode.INVALID_TXN_STATE, 4: ErrorCode.TRANSACTION_ABORTABLE, 5: 0}[max(version, 3)]
    assert codes == {0: expected}
    assert await transactional.state_of("payments") == ("Ongoing" if version >= 5 else "Empty")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_producer_that_was_replaced_commits_nothing(transactional: TransactionClient, version: int) -> None:
    before = await with_offsets(transactional, version)
    await transactional.ask_for_id("payments")
    await transactional.begin("payments")
    codes = await transactional.commit_in_transaction("payments", before, "billing", {0: 42}, version=version)
    assert codes == {0: ErrorCode.INVALID_PRODUCER_EPOCH}
    assert await transactional.offset("billing") == -1


@pytest.mark.parametrize("version", WITH_MEMBERS)
async def test_a_producer_commits_for_a_member_of_the_present_generation(
    transactional: TransactionClient, version: int
) -> None:
    joined = await transactional.enter("billing")
    producer = await transactional.begin("payments")
    await transactional.add_offsets("payments", producer, "billing")
    claims = [
        (joined.member_id, joined.generation_id),
        (joined.member_id, joined.generation_id + 1),
        ("nobody", joined.generation_id),
        ("", -1),
    ]
    codes = [
        await transactional.commit_in_transaction(
            "payments", producer, "billing", {0: 41}, claim=claim, version=version
        )
        for claim in claims
    ]
    assert [of_partition[0] for of_partition in codes] == [
        ErrorCode.NONE,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.NONE,
    ]


@pytest.mark.parametrize("version", WITH_MEMBERS)
async def test_a_member_of_a_group_that_is_not_there_is_of_no_generation(
    transactional: TransactionClient, version: int
) -> None:
    producer = await transactional.begin("payments")
    await transactional.add_offsets("payments", producer, "billing")
    codes = await transactional.commit_in_transaction(
        "payments", producer, "billing", {0: 41}, claim=("a", 3), version=version
    )
    assert codes == {0: ErrorCode.ILLEGAL_GENERATION}


@pytest.mark.parametrize("version", WITH_MEMBERS)
async def test_a_producer_commits_for_a_member_of_a_consumer_group_in_its_epoch(
    transactional: TransactionClient, version: int
) -> None:
    joined = await transactional.consumer_join("billing", "member", "orders")
    producer = await transactional.begin("payments")
    await transactional.add_offsets("payments", producer, "billing")
    codes = [
        await transactional.commit_in_transaction(
            "payments", producer, "billing", {0: 41}, claim=claim, version=version
        )
        for claim in [("member", joined.member_epoch), ("member", joined.member_epoch + 1), ("", -1)]
    ]
    assert [of_partition[0] for of_partition in codes] == [0, ErrorCode.ILLEGAL_GENERATION, 0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_partitions_that_are_not_there_are_refused_and_the_others_are_committed(
    transactional: TransactionClient, version: int
) -> None:
    producer = await with_offsets(transactional, version)
    codes = await transactional.commit_in_transaction(
        "payments", producer, "billing", {1: 1, 4: 1, -1: 1}, version=version
    )
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert codes == {1: 0, 4: unknown, -1: unknown}
    long = {2: 1}
    codes = await transactional.commit_in_transaction(
        "payments", producer, "billing", long, metadata="x" * 4097, version=version
    )
    assert codes == {2: ErrorCode.OFFSET_METADATA_TOO_LARGE}
    await transactional.end("payments", producer, version=5 if version >= 5 else 4)
    assert [await transactional.offset("billing", index) for index in (0, 1, 2)] == [41, 1, -1]


async def test_groups_and_transactions_have_names(transactional: TransactionClient) -> None:
    producer = await transactional.begin("payments")
    codes = await transactional.commit_in_transaction("payments", producer, "", {0: 41})
    assert codes == {0: ErrorCode.INVALID_GROUP_ID}
    codes = await transactional.commit_in_transaction("", producer, "billing", {0: 41})
    assert codes == {0: ErrorCode.INVALID_REQUEST}


@pytest.mark.parametrize("commit", [True, False])
async def test_offsets_are_decided_over_a_restart(tmp_path: Path, commit: bool) -> None:
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        await client.create_topic("orders", 4)
        await client.find_coordinator("billing")
        await client.commit("billing", {0: 7})
        producer = await with_offsets(client, 4)
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        assert await client.fetch("billing", require_stable=True) == {0: UNSTABLE}
        assert (await client.end("payments", producer, commit=commit)).error_code == 0
        assert (await client.fetch("billing", require_stable=True))[0].offset == (41 if commit else 7)
    async with running_broker(tmp_path / "data") as broker, transaction_client(broker) as client:
        assert (await client.fetch("billing", require_stable=True))[0].offset == (41 if commit else 7)
