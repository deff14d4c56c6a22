from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.offset_commit import OffsetCommitRequest
from minikafka.types import TopicPartition
from minikafka_client import CommitFailed, GroupMetadata, OffsetAndMetadata
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.consumer.group.committer import Committer
from minikafka_client.coordinators import Coordinators
from tests.clients.support.fake_cluster import Drop, FakeCluster, Hold, Refuse

ORDERS, OTHER, BILLS = TopicPartition("orders", 0), TopicPartition("orders", 1), TopicPartition("bills", 0)
STALE = Refuse(ErrorCode.STALE_MEMBER_EPOCH)


class Member:
    """Who commits: a member of generation 3, who owns two partitions."""

    def __init__(self, cluster: Cluster) -> None:
        self.generation_id = 3
        self.refusals: list[ErrorCode] = []
        self.coordinators = Coordinators(cluster)
        self.committer = Committer(
            cluster, self.coordinators, "billing", claim=self._claim, owns=self._owns, refused=self._refused
        )

    def _claim(self) -> GroupMetadata:
        return GroupMetadata("billing", self.generation_id, "me", None)

    def _owns(self, partitions: Iterable[TopicPartition]) -> bool:
        return {ORDERS, OTHER}.issuperset(partitions)

    def _refused(self, error: KafkaError) -> None:
        self.refusals.append(error.code)


@pytest.fixture
async def member(cluster: FakeCluster) -> AsyncIterator[Member]:
    cluster.coordinator.member_id, cluster.coordinator.generation_id = "me", 3
    options = ClusterOptions("test", request_timeout_ms=5_000, backoff=Backoff(1, 5))
    client = Cluster(cluster.bootstrap_servers, options)
    await client.start()
    made = Member(client)
    yield made
    await made.coordinators.close()
    await client.close()


def at(offset: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(offset)


def commits(cluster: FakeCluster) -> list[OffsetCommitRequest]:
    return [request for _, _, request in cluster.requests if isinstance(request, OffsetCommitRequest)]


async def test_offsets_of_several_topics_go_together(member: Member, cluster: FakeCluster) -> None:
    await member.committer.commit({ORDERS: OffsetAndMetadata(5, "note", 2), OTHER: at(0), BILLS: at(7)})
    (request,) = commits(cluster)
    assert (request.generation_id_or_member_epoch, request.member_id) == (3, "me")
    first = request.topics[0].partitions[0]
    assert (first.committed_offset, first.committed_metadata, first.committed_leader_epoch) == (5, "note", 2)
    assert cluster.coordinator.offsets == {ORDERS: 5, OTHER: 0, BILLS: 7}


async def test_nothing_to_commit_is_no_request(member: Member, cluster: FakeCluster) -> None:
    await member.committer.commit({})
    assert not cluster.arrived[ApiKey.FIND_COORDINATOR].is_set()


async def test_no_commit_overtakes_another_that_has_to_be_tried_again(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, *[Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)] * 3)
    await asyncio.gather(*(member.committer.commit({ORDERS: at(offset)}) for offset in (1, 2)))
    offsets = [request.topics[0].partitions[0].committed_offset for request in commits(cluster)]
    assert offsets == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    "trouble",
    [Drop(carried_out=False), Drop(carried_out=True), Refuse(ErrorCode.NOT_COORDINATOR)],
    ids=str,
)
async def test_a_commit_survives_failures(member: Member, cluster: FakeCluster, trouble: Drop | Refuse) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, trouble)
    await member.committer.commit({ORDERS: at(5)})
    assert cluster.coordinator.offsets == {ORDERS: 5}
    assert not member.refusals


async def test_a_commit_claims_what_was_true_when_it_was_asked_for(member: Member, cluster: FakeCluster) -> None:
    may_go_on = asyncio.Event()
    cluster.next(ApiKey.OFFSET_COMMIT, Hold(may_go_on))
    first = asyncio.create_task(member.committer.commit({ORDERS: at(1)}))
    await cluster.arrived[ApiKey.OFFSET_COMMIT].wait()
    second = asyncio.create_task(member.committer.commit({ORDERS: at(2)}))
    await asyncio.sleep(0)
    member.generation_id = cluster.coordinator.generation_id = 4  # a rebalance passes meanwhile
    may_go_on.set()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(outcome, CommitFailed) for outcome in outcomes)
    assert not cluster.coordinator.offsets


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.FENCED_MEMBER_EPOCH,
    ],
    ids=str,
)
async def test_who_is_no_longer_the_owner_hears_why(member: Member, cluster: FakeCluster, code: ErrorCode) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, Refuse(code))
    with pytest.raises(CommitFailed, match=rf"'billing' went on without this consumer \({code.name}\)"):
        await member.committer.commit({ORDERS: at(5)})
    assert member.refusals == [code]


async def test_a_rebalance_is_an_error_of_its_own(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, Refuse(ErrorCode.REBALANCE_IN_PROGRESS))
    with pytest.raises(KafkaError, match="rebalances: poll, and then commit again") as raised:
        await member.committer.commit({ORDERS: at(5)})
    assert raised.value.code is ErrorCode.REBALANCE_IN_PROGRESS
    assert member.refusals == [ErrorCode.REBALANCE_IN_PROGRESS]


async def test_an_epoch_that_a_heartbeat_has_not_brought_yet_is_waited_for(
    member: Member, cluster: FakeCluster
) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, STALE, STALE)
    await member.committer.commit({ORDERS: at(5)})
    assert len(commits(cluster)) == 3
    assert cluster.coordinator.offsets == {ORDERS: 5}


async def test_a_stale_epoch_is_final_for_what_others_own(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, STALE)
    with pytest.raises(CommitFailed, match="STALE_MEMBER_EPOCH"):
        await member.committer.commit({BILLS: at(5)})
    assert len(commits(cluster)) == 1


async def test_other_refusals_are_raised_by_name(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, Refuse(ErrorCode.OFFSET_METADATA_TOO_LARGE))
    with pytest.raises(KafkaError, match="cannot commit offsets of group 'billing': OFFSET_METADATA_TOO_LARGE"):
        await member.committer.commit({ORDERS: at(5)})


async def test_a_coordinator_that_stays_away_is_given_up(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_COMMIT, *[Drop(carried_out=False)] * 1_000)
    with pytest.raises(RequestTimedOut, match="billing"):
        await member.committer.commit({ORDERS: at(5)}, timeout_ms=50)


async def test_partitions_without_a_committed_offset_have_none(member: Member, cluster: FakeCluster) -> None:
    cluster.coordinator.offsets = {ORDERS: 5}
    assert await member.committer.committed([ORDERS, BILLS]) == {ORDERS: at(5), BILLS: None}


async def test_offsets_of_a_transaction_that_is_about_to_end_are_waited_for(
    member: Member, cluster: FakeCluster
) -> None:
    unstable = Refuse(ErrorCode.UNSTABLE_OFFSET_COMMIT)
    cluster.next(ApiKey.OFFSET_FETCH, unstable, unstable)
    cluster.coordinator.offsets = {ORDERS: 5}
    assert await member.committer.committed([ORDERS]) == {ORDERS: at(5)}
    assert cluster.count(ApiKey.OFFSET_FETCH) == 3


async def test_reading_offsets_survives_a_coordinator_that_loads_or_moves(member: Member, cluster: FakeCluster) -> None:
    cluster.next(
        ApiKey.OFFSET_FETCH,
        Refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
        Drop(carried_out=True),
        Refuse(ErrorCode.NOT_COORDINATOR),
    )
    cluster.coordinator.offsets = {ORDERS: 5}
    assert await member.committer.committed([ORDERS]) == {ORDERS: at(5)}


async def test_a_group_that_moves_to_an_older_broker_is_asked_in_its_words(
    member: Member, cluster: FakeCluster
) -> None:
    cluster.coordinator.offsets = {ORDERS: 5}
    await member.committer.committed([ORDERS])
    cluster.versions[ApiKey.OFFSET_FETCH] = (1, 7)  # as told on the next connection
    assert await member.committer.committed([ORDERS]) == {ORDERS: at(5)}


async def test_a_refusal_to_tell_offsets_is_raised(member: Member, cluster: FakeCluster) -> None:
    cluster.next(ApiKey.OFFSET_FETCH, Refuse(ErrorCode.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaError, match="cannot read the offsets of group 'billing': GROUP_AUTHORIZATION_FAILED"):
        await member.committer.committed([ORDERS])
