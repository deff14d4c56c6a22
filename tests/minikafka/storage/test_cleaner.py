from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from minikafka.errors import StorageError
from minikafka.storage.cleaner import RETRY_AFTER_S, Cleaner
from minikafka.storage.log import Log
from minikafka.storage.log_manager import LogManager
from minikafka.types import TopicPartition
from tests.support.clock import ManualClock
from tests.support.compaction import put
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA, SMALL

COMPACT = replace(SMALL, cleanup_policy=frozenset({"compact"}), min_cleanable_dirty_ratio=0.5)


class Broker:
    """Some logs, and a cleaner for them; every record is committed."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.manager = LogManager((DATA,), MemoryFileSystem(), self.clock, COMPACT)
        self.manager.lock()
        self.manager.claim("cluster", 1)
        self.committed: dict[TopicPartition, int] = {}
        self.cleaner = Cleaner(self.manager.logs, self.committed.get, self.clock)

    def log(self, topic: str, *, dirty: int, clean: int = 0, policy: str = "compact") -> Log:
        """A log of so many segments that have been compacted, and so many that have not."""
        config = replace(COMPACT, cleanup_policy=frozenset(policy.split(",")))
        log = self.manager.create(TopicPartition(topic, 0), bytes(16), config)
        for number in range(clean + dirty):
            put(log, (b"%d" % number, bytes(100)))
            log.roll()
        self.manager.directories[0].cleaned_offsets[log.topic_partition] = clean
        self.committed[log.topic_partition] = log.log_end_offset
        return log


@pytest.fixture
def broker() -> Broker:
    return Broker()


def test_the_log_with_the_largest_dirty_share_is_next(broker: Broker) -> None:
    broker.log("half", dirty=2, clean=2)
    third = broker.log("a third is clean", dirty=4, clean=2)
    assert broker.cleaner.choose() is third


def test_others_have_their_turn(broker: Broker) -> None:
    first = broker.log("first", dirty=3)
    second = broker.log("second", dirty=3, clean=1)
    assert broker.cleaner.choose() is first
    assert broker.cleaner.choose(but_not={first.topic_partition}) is second
    assert broker.cleaner.choose(but_not={first.topic_partition, second.topic_partition}) is None


def test_logs_that_are_not_compacted_are_none_of_its_business(broker: Broker) -> None:
    broker.log("deleted", dirty=5, policy="delete")
    assert broker.cleaner.choose() is None
    both = broker.log("both", dirty=5, policy="compact,delete")
    assert broker.cleaner.choose() is both


def test_what_is_not_committed_is_not_compacted(broker: Broker) -> None:
    log = broker.log("orders", dirty=4)
    broker.committed[log.topic_partition] = 2
    assert broker.cleaner.end_offset_of(log) == 2
    assert len(log.find_cleanable(2).segments) == 2
    del broker.committed[log.topic_partition]
    assert broker.cleaner.end_offset_of(log) == log.log_start_offset
    assert broker.cleaner.choose() is None


def test_a_log_that_could_not_be_compacted_is_left_alone_for_some_time(broker: Broker) -> None:
    log = broker.log("orders", dirty=4)
    broker.cleaner.failed(log, StorageError("the disk is full"))
    assert broker.cleaner.choose() is None
    broker.clock.advance(round(RETRY_AFTER_S * 1000) - 1)
    assert broker.cleaner.choose() is None
    broker.clock.advance(1)
    assert broker.cleaner.choose() is log
    assert broker.cleaner.choose() is log


def test_an_offline_log_is_not_looked_at(broker: Broker) -> None:
    broker.log("orders", dirty=4).mark_offline("for a test")
    assert broker.cleaner.choose() is None


def test_a_log_that_cannot_be_measured_does_not_keep_the_others_from_it(broker: Broker) -> None:
    damaged = broker.log("damaged", dirty=4)
    other = broker.log("other", dirty=4)
    find_cleanable = Log.find_cleanable

    def fail(self: Log, end_offset: int) -> object:
        if self is damaged:
            raise StorageError("it is damaged")
        return find_cleanable(self, end_offset)

    with patch.object(Log, "find_cleanable", fail):
        assert broker.cleaner.choose() is other
    assert broker.cleaner.choose(but_not={other.topic_partition}) is None
