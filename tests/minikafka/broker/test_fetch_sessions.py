from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.broker.fetch_sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    MIN_EVICTION_AGE_SECONDS,
    NO_SESSION,
    FetchContext,
    FetchResult,
    FetchSessionCache,
    SessionAnswer,
    next_epoch,
)
from minikafka.errors import (
    ErrorCode,
    FetchSessionIdNotFound,
    FetchSessionTopicIdError,
    InvalidFetchSessionEpoch,
)
from minikafka.protocol.messages.fetch import (
    EpochEndOffset,
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
)

BY_NAME, BY_ID = 12, 13
TOPIC_ID = bytes(range(16))


class HandClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class Bytes:
    def __init__(self, size: int) -> None:
        self.size = size

    def read(self) -> bytes:
        return bytes(self.size)


def asked(partition: int, fetch_offset: int = 0, max_bytes: int = 1000) -> FetchPartition:
    return FetchPartition(partition=partition, fetch_offset=fetch_offset, partition_max_bytes=max_bytes)


def fetch(
    *partitions: FetchPartition, session_id: int = NO_SESSION, epoch: int = FINAL_EPOCH, forget: tuple[int, ...] = ()
) -> FetchRequest:
    return FetchRequest(
        max_wait_ms=0,
        min_bytes=1,
        session_id=session_id,
        session_epoch=epoch,
        topics=[FetchTopic(topic="t", topic_id=TOPIC_ID, partitions=list(partitions))] if partitions else [],
        forgotten_topics_data=[ForgottenTopic(topic="t", topic_id=TOPIC_ID, partitions=list(forget))] if forget else [],
    )


def answer(
    context: FetchContext,
    *,
    records: dict[int, int] | None = None,
    high_watermarks: dict[int, int] | None = None,
    errors: dict[int, ErrorCode] | None = None,
    log_start_offset: int = 0,
    diverging: frozenset[int] = frozenset(),
) -> SessionAnswer:
    """Answer a context as a broker would: each partition with a high watermark, and records where some are named."""
    results = []
    for target in context.targets:
        number = target.asked.partition
        data = PartitionData(
            partition_index=number,
            error_code=(errors or {}).get(number, ErrorCode.NONE),
            high_watermark=(high_watermarks or {}).get(number, 5),
            log_start_offset=log_start_offset,
            aborted_transactions=None,
            records=b"",
        )
        if number in diverging:
            data.diverging_epoch = EpochEndOffset(epoch=1, end_offset=2)
        results.append(FetchResult(target, data, Bytes((records or {}).get(number, 0))))
    return context.answer(results)


def partitions_of(answered: SessionAnswer) -> list[int]:
    return [result.target.asked.partition for result in answered.results]


def targets_of(context: FetchContext) -> list[int]:
    return [target.asked.partition for target in context.targets]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def sessions(clock: HandClock) -> FetchSessionCache:
    return FetchSessionCache(clock, 3, random_source=random.Random(7))


def opened(sessions: FetchSessionCache, *partitions: int, version: int = BY_NAME) -> int:
    context = sessions.resolve(fetch(*(asked(p) for p in partitions), epoch=INITIAL_EPOCH), version)
    return answer(context).session_id


class TestWithoutASession:
    def test_a_client_that_knows_no_sessions_gets_everything_and_id_0(self, sessions: FetchSessionCache) -> None:
        answered = answer(sessions.resolve(fetch(asked(0), asked(1)), BY_NAME))
        assert answered.session_id == NO_SESSION
        assert partitions_of(answered) == [0, 1]
        assert len(sessions) == 0

    def test_of_a_partition_listed_twice_the_last_parameters_count_in_the_first_place(
        self, sessions: FetchSessionCache
    ) -> None:
        context = sessions.resolve(fetch(asked(0, 1), asked(1), asked(0, 9)), BY_NAME)
        assert [(t.asked.partition, t.asked.fetch_offset) for t in context.targets] == [(0, 9), (1, 0)]


class TestOpening:
    def test_epoch_0_opens_a_session_and_answers_everything(self, sessions: FetchSessionCache) -> None:
        answered = answer(sessions.resolve(fetch(asked(0), asked(1), epoch=INITIAL_EPOCH), BY_NAME))
        assert answered.session_id > 0
        assert partitions_of(answered) == [0, 1]
        assert (len(sessions), sessions.cached_partitions) == (1, 2)

    def test_opening_anew_closes_the_session_that_is_named(self, sessions: FetchSessionCache) -> None:
        first = opened(sessions, 0)
        context = sessions.resolve(fetch(asked(0), session_id=first, epoch=INITIAL_EPOCH), BY_NAME)
        assert len(sessions) == 0
        assert answer(context).session_id not in {NO_SESSION, first}
        assert (len(sessions), sessions.cached_partitions) == (1, 1)

    def test_epoch_minus_1_closes_the_session_that_is_named(self, sessions: FetchSessionCache) -> None:
        first = opened(sessions, 0, 1)
        answered = answer(sessions.resolve(fetch(asked(0), session_id=first, epoch=FINAL_EPOCH), BY_NAME))
        assert (answered.session_id, partitions_of(answered)) == (NO_SESSION, [0])
        assert (len(sessions), sessions.cached_partitions) == (0, 0)

    def test_closing_a_session_that_is_not_there_is_no_error(self, sessions: FetchSessionCache) -> None:
        assert answer(sessions.resolve(fetch(asked(0), session_id=77), BY_NAME)).session_id == NO_SESSION


class TestIncremental:
    def test_what_did_not_change_is_left_out_of_the_answer(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0, 1)
        context = sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME)
        assert targets_of(context) == [0, 1]
        assert answer(context) == SessionAnswer(session_id, [])

    @pytest.mark.parametrize(
        "change",
        [
            {"records": {1: 10}},
            {"high_watermarks": {1: 6}},
            {"errors": {1: ErrorCode.NOT_LEADER_OR_FOLLOWER}},
            {"diverging": frozenset({1})},
        ],
        ids=["records", "high watermark", "error", "diverging epoch"],
    )
    def test_what_changed_is_answered(self, sessions: FetchSessionCache, change: dict[str, object]) -> None:
        session_id = opened(sessions, 0, 1)
        context = sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME)
        assert partitions_of(answer(context, **change)) == [1]  # type: ignore[arg-type]

    def test_a_moved_log_start_is_answered_once(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0)
        moved = answer(sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME), log_start_offset=3)
        still = answer(sessions.resolve(fetch(session_id=session_id, epoch=2), BY_NAME), log_start_offset=3)
        assert (partitions_of(moved), partitions_of(still)) == ([0], [])

    def test_after_an_error_the_partition_is_answered_again(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0)
        failed = sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME)
        answer(failed, errors={0: ErrorCode.KAFKA_STORAGE_ERROR})
        healed = sessions.resolve(fetch(session_id=session_id, epoch=2), BY_NAME)
        assert partitions_of(answer(healed)) == [0]

    def test_partitions_are_added_changed_and_forgotten(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0, 1)
        context = sessions.resolve(fetch(asked(0, 42), asked(2), session_id=session_id, epoch=1, forget=(1,)), BY_NAME)
        assert [(t.asked.partition, t.asked.fetch_offset) for t in context.targets] == [(0, 42), (2, 0)]
        assert sessions.cached_partitions == 2

    def test_a_session_that_forgets_everything_ends(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0)
        context = sessions.resolve(fetch(session_id=session_id, epoch=1, forget=(0,)), BY_NAME)
        assert answer(context) == SessionAnswer(NO_SESSION, [])
        assert (len(sessions), sessions.cached_partitions) == (0, 0)

    def test_a_partition_that_had_records_is_read_last_the_next_time(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0, 1, 2)
        answer(sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME), records={0: 10})
        assert targets_of(sessions.resolve(fetch(session_id=session_id, epoch=2), BY_NAME)) == [1, 2, 0]

    def test_an_unknown_session_is_refused(self, sessions: FetchSessionCache) -> None:
        with pytest.raises(FetchSessionIdNotFound):
            sessions.resolve(fetch(session_id=5, epoch=1), BY_NAME)

    @pytest.mark.parametrize("epoch", [2, 3, -2, 2**31 - 1])
    def test_an_epoch_out_of_step_is_refused_and_changes_nothing(self, sessions: FetchSessionCache, epoch: int) -> None:
        session_id = opened(sessions, 0)
        with pytest.raises(InvalidFetchSessionEpoch):
            sessions.resolve(fetch(asked(9), session_id=session_id, epoch=epoch), BY_NAME)
        assert targets_of(sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME)) == [0]

    @pytest.mark.parametrize(("first", "then"), [(BY_NAME, BY_ID), (BY_ID, BY_NAME)])
    def test_a_session_cannot_change_between_names_and_ids(
        self, sessions: FetchSessionCache, first: int, then: int
    ) -> None:
        session_id = opened(sessions, 0, version=first)
        with pytest.raises(FetchSessionTopicIdError):
            sessions.resolve(fetch(session_id=session_id, epoch=1), then)

    def test_a_request_sent_twice_is_answered_to_one_of_the_two(self, sessions: FetchSessionCache) -> None:
        session_id = opened(sessions, 0)
        waiting = sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME)
        answer(sessions.resolve(fetch(session_id=session_id, epoch=2), BY_NAME))
        assert answer(waiting) == SessionAnswer(session_id, [], ErrorCode.INVALID_FETCH_SESSION_EPOCH)

    def test_epochs_wrap_to_1(self) -> None:
        assert next_epoch(2**31 - 1) == 1
        assert next_epoch(1) == 2


class TestEviction:
    def test_a_full_cache_opens_no_session(self, sessions: FetchSessionCache) -> None:
        for _ in range(3):
            assert opened(sessions, 0) > 0
        assert opened(sessions, 0, 1, 2) == NO_SESSION
        assert len(sessions) == 3

    def test_an_idle_session_makes_room_for_any(self, sessions: FetchSessionCache, clock: HandClock) -> None:
        idle = opened(sessions, 0, 1, 2)
        clock.seconds += MIN_EVICTION_AGE_SECONDS + 1
        opened(sessions, 0)
        opened(sessions, 0)
        assert opened(sessions, 0) > 0
        with pytest.raises(FetchSessionIdNotFound):
            sessions.resolve(fetch(session_id=idle, epoch=1), BY_NAME)

    def test_an_old_session_in_use_makes_room_for_a_larger_one_only(
        self, sessions: FetchSessionCache, clock: HandClock
    ) -> None:
        ids = [opened(sessions, 0, 1), opened(sessions, 0, 1, 2), opened(sessions, 0, 1, 2)]
        clock.seconds += MIN_EVICTION_AGE_SECONDS + 1
        for session_id in ids:
            answer(sessions.resolve(fetch(session_id=session_id, epoch=1), BY_NAME))
        assert opened(sessions, 0, 1) == NO_SESSION
        assert opened(sessions, 0, 1, 2) > 0
        with pytest.raises(FetchSessionIdNotFound):
            sessions.resolve(fetch(session_id=ids[0], epoch=2), BY_NAME)

    def test_a_young_session_is_not_evicted_by_a_larger_one(self, sessions: FetchSessionCache) -> None:
        for _ in range(3):
            opened(sessions, 0)
        assert opened(sessions, *range(50)) == NO_SESSION

    def test_no_slots_means_no_sessions(self, clock: HandClock) -> None:
        assert opened(FetchSessionCache(clock, 0), 0) == NO_SESSION

    def test_a_flood_of_partitions_is_bounded_by_their_number(self, clock: HandClock) -> None:
        sessions = FetchSessionCache(clock, 100, max_partitions=50)
        assert opened(sessions, *range(40)) > 0
        assert opened(sessions, *range(11)) == NO_SESSION
        assert opened(sessions, *range(10)) > 0
        assert sessions.cached_partitions == 50

    def test_a_session_that_grows_past_the_bound_is_dropped(self, clock: HandClock) -> None:
        sessions = FetchSessionCache(clock, 100, max_partitions=50)
        session_id = opened(sessions, *range(40))
        with pytest.raises(FetchSessionIdNotFound):
            sessions.resolve(fetch(*(asked(n) for n in range(40, 60)), session_id=session_id, epoch=1), BY_NAME)
        assert (len(sessions), sessions.cached_partitions) == (0, 0)


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), max_size=4),
            st.lists(st.integers(0, 5), max_size=3),
            st.dictionaries(st.integers(0, 5), st.integers(0, 9), max_size=6),
        ),
        max_size=12,
    )
)
def test_a_client_that_applies_the_answers_always_knows_every_high_watermark(
    steps: list[tuple[list[int], list[int], dict[int, int]]],
) -> None:
    """The point of a session: leaving things out loses nothing."""
    sessions = FetchSessionCache(HandClock(), 10)
    watermarks = dict.fromkeys(range(6), 0)
    session_id = opened(sessions, 0)
    wanted = {0}
    known = {0: 5}
    for epoch, (added, forgotten, moved) in enumerate(steps, start=1):
        wanted = (wanted | set(added)) - set(forgotten)
        known = {partition: seen for partition, seen in known.items() if partition in wanted}
        watermarks.update(moved)
        request = fetch(
            *(asked(partition) for partition in added), session_id=session_id, epoch=epoch, forget=tuple(forgotten)
        )
        answered = answer(sessions.resolve(request, BY_NAME), high_watermarks=watermarks)
        if not wanted:
            assert answered.session_id == NO_SESSION
            return
        known.update({result.target.asked.partition: result.data.high_watermark for result in answered.results})
        assert known == {partition: watermarks[partition] for partition in wanted}
        assert sessions.cached_partitions == len(wanted)
