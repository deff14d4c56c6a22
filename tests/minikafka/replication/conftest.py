"""A partition on a log in memory, whose flushes run when a test says so."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future

import pytest

from minikafka.cluster.metadata import PartitionState
from minikafka.errors import StorageError
from minikafka.replication.flusher import Sweeper
from minikafka.replication.group_commit import GroupCommit
from minikafka.replication.partition import Partition
from minikafka.replication.state import DurabilityPolicy
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import LogHarness

ALONE = PartitionState(1, 0, (1,), (1,))
"""Broker 1 leads in epoch 0, and no other has a replica."""


class HeldExecutor(Executor):
    """Runs what it is given when it is told to: a disk as slow as the test needs it."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future, Callable]] = deque()
        self.is_given_work = asyncio.Event()

    def submit(self, function, /, *arguments, **options):
        future = Future()
        self.waiting.append((future, lambda: function(*arguments, **options)))
        self.is_given_work.set()
        return future

    def run_next(self) -> None:
        future, function = self.waiting.popleft()
        try:
            future.set_result(function())
        except StorageError as error:
            future.set_exception(error)


@pytest.fixture
def fs():
    return MemoryFileSystem()


@pytest.fixture
def harness(fs):
    return LogHarness(fs)


@pytest.fixture
def log(harness):
    return harness.log


@pytest.fixture
def disk():
    return HeldExecutor()


@pytest.fixture
def group_commit(disk):
    return GroupCommit(disk)


@pytest.fixture
def new_partition(log, group_commit):
    def make(state=ALONE, *, flush_on_acks_all="auto", max_unflushed_bytes=2**40):
        durability = DurabilityPolicy(flush_on_acks_all, max_unflushed_bytes)
        sweeper = Sweeper(group_commit, durability.max_unflushed_bytes_of_all)
        return Partition(log, state, 1, group_commit=group_commit, sweeper=sweeper, durability=durability)

    return make


@pytest.fixture
def partition(new_partition):
    return new_partition()
