from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.broker.fetch_sessions import FetchSessionCache
from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse
from minikafka.records.builder import RecordBatchBuilder
from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer
from minikafka_client.consumer.fetch_session import FetchSession
from tests.clients.support.fake_cluster import FakeCluster
from tests.support.clock import ManualClock

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)
VERSION = 12

Wanted = Mapping[TopicPartition, int]
"""Partitions and the offset to read each from."""


class Broker:
    """The broker's side, and what it was told."""

    def __init__(self, max_sessions: int = 10) -> None:
        self.sessions = FetchSessionCache(ManualClock(), max_sessions, random_source=random.Random(7))
        self.requests: list[FetchRequest] = []

    def exchange(self, session: FetchSession, wanted: Wanted) -> Wanted:
        """One request and its answer; what the broker understood."""
        request = FetchRequest(max_wait_ms=0, min_bytes=0, topics=[])
        session.ask_for({where: asked(where, offset) for where, offset in wanted.items()}, request)
        self.requests.append(request)
        try:
            context = self.sessions.resolve(request, VERSION)
        except KafkaError as error:
            session.answered(FetchResponse(error_code=error.code, responses=[]))
            return {}
        understood = {
            TopicPartition(target.topic, target.asked.partition): target.asked.fetch_offset
            for target in context.targets
        }
        answer = context.answer([])
        session.answered(FetchResponse(session_id=answer.session_id, error_code=answer.error_code, responses=[]))
        return understood


def asked(where: TopicPartition, offset: int) -> FetchPartition:
    return FetchPartition(partition=where.partition, fetch_offset=offset, partition_max_bytes=1)


def named(request: FetchRequest) -> set[TopicPartition]:
    return {TopicPartition(topic.topic, p.partition) for topic in request.topics for p in topic.partitions}


def forgotten(request: FetchRequest) -> set[TopicPartition]:
    return {TopicPartition(topic.topic, n) for topic in request.forgotten_topics_data for n in topic.partitions}


places = st.builds(TopicPartition, st.sampled_from(["orders", "bills"]), st.integers(0, 4))


@given(st.lists(st.dictionaries(places, st.integers(0, 3), min_size=1), max_size=12), st.integers(0, 1))
def test_the_broker_always_understands_exactly_what_is_wanted(fetches: list[Wanted], max_sessions: int) -> None:
    broker, session = Broker(max_sessions), FetchSession()
    for wanted in fetches:
        assert broker.exchange(session, wanted) == wanted


def test_only_what_changed_is_named() -> None:
    broker, session = Broker(), FetchSession()
    broker.exchange(session, {ORDERS: 0, OTHER: 0})
    broker.exchange(session, {ORDERS: 5, OTHER: 0})
    broker.exchange(session, {ORDERS: 5})
    assert [named(request) for request in broker.requests] == [{ORDERS, OTHER}, {ORDERS}, set()]
    assert [forgotten(request) for request in broker.requests] == [set(), set(), {OTHER}]
    assert [request.session_epoch for request in broker.requests] == [0, 1, 2]


def test_a_broker_that_opens_no_session_is_asked_in_full() -> None:
    broker, session = Broker(max_sessions=0), FetchSession()
    for _ in range(3):
        assert broker.exchange(session, {ORDERS: 0, OTHER: 0}) == {ORDERS: 0, OTHER: 0}
    assert {(request.session_id, request.session_epoch) for request in broker.requests} == {(0, 0)}


def test_a_session_that_the_broker_forgot_is_opened_anew() -> None:
    session = FetchSession()
    Broker().exchange(session, {ORDERS: 0})
    restarted = Broker()
    assert restarted.exchange(session, {ORDERS: 0}) == {}
    assert restarted.exchange(session, {ORDERS: 0}) == {ORDERS: 0}
    assert len(restarted.sessions) == 1


def test_a_lost_answer_closes_the_session_so_that_it_takes_no_room() -> None:
    broker, session = Broker(), FetchSession()
    broker.exchange(session, {ORDERS: 0})
    session.ask_for({ORDERS: asked(ORDERS, 1)}, FetchRequest(max_wait_ms=0, min_bytes=0, topics=[]))
    session.lost()
    assert broker.exchange(session, {ORDERS: 2, OTHER: 0}) == {ORDERS: 2, OTHER: 0}
    assert len(broker.sessions) == 1


@pytest.mark.parametrize("is_remembered", [True, False], ids=["remembered", "forgotten"])
async def test_a_consumer_reads_by_session_and_goes_on_when_the_broker_forgot_it(
    cluster: FakeCluster, *, is_remembered: bool
) -> None:
    def store(where: TopicPartition, value: bytes) -> None:
        builder = RecordBatchBuilder()
        builder.append(0, None, value)
        cluster.partitions[where].append(builder.build())

    cluster.create("orders", 3)
    async with AsyncConsumer(cluster.bootstrap_servers, topics=["orders"], auto_offset_reset="earliest") as consumer:
        for number in range(5):
            store(TopicPartition("orders", number % 3), b"%d" % number)
            message = await asyncio.wait_for(anext(consumer), 10)
            assert message.value == b"%d" % number
            if not is_remembered:
                cluster.fetch_sessions.clear()
    fetches = [request for _, key, request in cluster.requests if key is ApiKey.FETCH]
    partitions = [named(request) for request in fetches if isinstance(request, FetchRequest)]
    incremental = [request for request in fetches if isinstance(request, FetchRequest) and request.session_epoch > 0]
    assert incremental
    if is_remembered:
        assert min(map(len, partitions)) < 3
    else:
        assert ErrorCode.FETCH_SESSION_ID_NOT_FOUND in cluster.refusals
