from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from minikafka.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from minikafka.types import TopicPartition
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.commits import commit_offsets, fetch_offsets, first_error
from minikafka_client.coordinators import Coordinators
from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata
from tests.clients.support.fake_cluster import FakeCluster

FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)


class Ledger:
    """A coordinator that remembers what it is told, and answers with the errors that a test wants."""

    def __init__(self, cluster: FakeCluster, fetch_version: int) -> None:
        self.fetch_version = fetch_version
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self.codes: dict[TopicPartition, ErrorCode] = {}
        self.group_codes: list[ErrorCode] = []
        self.fetches: list[OffsetFetchRequest] = []
        cluster.serve(ApiKey.FIND_COORDINATOR, 3, self._find)
        cluster.serve(ApiKey.OFFSET_COMMIT, 9, self._commit)
        cluster.serve(ApiKey.OFFSET_FETCH, fetch_version, self._fetch)
        cluster.versions[ApiKey.OFFSET_COMMIT] = (2, 9)
        cluster.versions[ApiKey.OFFSET_FETCH] = (1, fetch_version)

    def _find(self, node_id: int, _request: FindCoordinatorRequest) -> FindCoordinatorResponse:
        return FindCoordinatorResponse(node_id=node_id)

    def _commit(self, _node_id: int, request: OffsetCommitRequest) -> OffsetCommitResponse:
        topics = []
        for topic in request.topics:
            answers = []
            for told in topic.partitions:
                where = TopicPartition(topic.name, told.partition_index)
                code = self.codes.get(where, ErrorCode.NONE)
                if not code:
                    self.committed[where] = OffsetAndMetadata(
                        told.committed_offset, told.committed_metadata or "", told.committed_leader_epoch
                    )
                answers.append(OffsetCommitResponsePartition(partition_index=told.partition_index, error_code=code))
            topics.append(OffsetCommitResponseTopic(name=topic.name, partitions=answers))
        return OffsetCommitResponse(topics=topics)

    def _fetch(self, _node_id: int, request: OffsetFetchRequest) -> OffsetFetchResponse:
        self.fetches.append(request)
        group_code = self.group_codes.pop() if self.group_codes else ErrorCode.NONE
        if request.groups:
            found = self._found(request.groups[0].topics)
            topics = [
                OffsetFetchResponseTopics(
                    name=name,
                    partitions=[
                        OffsetFetchResponsePartitions(
                            partition_index=index,
                            committed_offset=offset.offset,
                            committed_leader_epoch=offset.leader_epoch,
                            metadata=offset.metadata,
                            error_code=self.codes.get(TopicPartition(name, index), ErrorCode.NONE),
                        )
                        for index, offset in offsets.items()
                    ],
                )
                for name, offsets in found.items()
            ]
            group = OffsetFetchResponseGroup(group_id=request.groups[0].group_id, topics=topics, error_code=group_code)
            return OffsetFetchResponse(groups=[group])
        old = [
            OffsetFetchResponseTopic(
                name=name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=index,
                        committed_offset=offset.offset,
                        committed_leader_epoch=offset.leader_epoch,
                        metadata=offset.metadata,
                        error_code=self.codes.get(TopicPartition(name, index), ErrorCode.NONE),
                    )
                    for index, offset in offsets.items()
                ],
            )
            for name, offsets in self._found(request.topics).items()
        ]
        return OffsetFetchResponse(topics=old, error_code=group_code)

    def _found(
        self, wanted: list[OffsetFetchRequestTopics] | list[OffsetFetchRequestTopic] | None
    ) -> Mapping[str, dict[int, OffsetAndMetadata]]:
        if wanted is None:
            asked = sorted(self.committed)
        else:
            asked = [TopicPartition(topic.name, index) for topic in wanted for index in topic.partition_indexes]
        found: dict[str, dict[int, OffsetAndMetadata]] = {}
        for where in asked:
            offset = self.committed.get(where, OffsetAndMetadata(-1))
            found.setdefault(where.topic, {})[where.partition] = offset
        return found


@pytest.fixture(params=[3, 5, 7, 9])
def ledger(request: pytest.FixtureRequest, cluster: FakeCluster) -> Ledger:
    """Brokers of several ages."""
    return Ledger(cluster, request.param)


@pytest.fixture
async def coordinators(cluster: FakeCluster, ledger: Ledger) -> AsyncIterator[Coordinators]:
    way = Cluster(cluster.bootstrap_servers, ClusterOptions("test", 5_000, backoff=Backoff(1, 5)))
    await way.start()
    made = Coordinators(way)
    yield made
    await made.close()
    await way.close()


async def fetch(
    coordinators: Coordinators, *partitions: TopicPartition, require_stable: bool = False
) -> dict[TopicPartition, OffsetAndMetadata]:
    wanted = partitions or None
    return await fetch_offsets(coordinators, "billing", wanted, require_stable=require_stable, timeout_ms=5_000)


async def test_what_is_committed_is_fetched(coordinators: Coordinators, ledger: Ledger) -> None:
    offsets = {FIRST: OffsetAndMetadata(3, "note"), SECOND: OffsetAndMetadata(4)}
    codes = await commit_offsets(coordinators, GroupMetadata("billing"), offsets, timeout_ms=5_000)
    assert codes == {FIRST: ErrorCode.NONE, SECOND: ErrorCode.NONE}
    assert ledger.committed == offsets
    assert await fetch(coordinators) == offsets
    assert await fetch(coordinators, FIRST) == {FIRST: offsets[FIRST]}


async def test_nothing_committed_is_minus_one(coordinators: Coordinators) -> None:
    assert (await fetch(coordinators, FIRST))[FIRST].offset == -1
    assert await fetch(coordinators) == {}


async def test_each_partition_has_its_own_outcome(coordinators: Coordinators, ledger: Ledger) -> None:
    ledger.codes[SECOND] = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    offsets = {FIRST: OffsetAndMetadata(3), SECOND: OffsetAndMetadata(4)}
    codes = await commit_offsets(coordinators, GroupMetadata("billing"), offsets, timeout_ms=5_000)
    assert codes == {FIRST: ErrorCode.NONE, SECOND: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    assert first_error(codes.values()) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert list(ledger.committed) == [FIRST]
    with pytest.raises(KafkaError, match="orders-1: UNKNOWN_TOPIC_OR_PARTITION"):
        await fetch(coordinators, FIRST, SECOND)


async def test_a_partition_whose_transaction_is_about_to_end_is_left_out(
    coordinators: Coordinators, ledger: Ledger
) -> None:
    ledger.codes[SECOND] = ErrorCode.UNSTABLE_OFFSET_COMMIT
    assert list(await fetch(coordinators, FIRST, SECOND, require_stable=True)) == [FIRST]
    assert await fetch(coordinators, SECOND, require_stable=True) == {}
    assert ledger.fetches[0].require_stable is (ledger.fetch_version >= 7)


async def test_a_coordinator_that_starts_is_asked_again(coordinators: Coordinators, ledger: Ledger) -> None:
    ledger.group_codes = [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]
    assert await fetch(coordinators, FIRST)
    assert len(ledger.fetches) == 2


async def test_what_the_coordinator_has_against_the_group_is_raised(coordinators: Coordinators, ledger: Ledger) -> None:
    ledger.group_codes = [ErrorCode.GROUP_AUTHORIZATION_FAILED]
    with pytest.raises(KafkaError, match="group 'billing': GROUP_AUTHORIZATION_FAILED"):
        await fetch(coordinators, FIRST)
    ledger.codes = dict.fromkeys((FIRST, SECOND), ErrorCode.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaError, match="group 'billing': GROUP_AUTHORIZATION_FAILED"):
        await fetch(coordinators, FIRST, SECOND)
