"""The consumer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from types import TracebackType
from typing import Final, Self

from minikafka.errors import ErrorCode
from minikafka.types import TopicPartition
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import Cluster, ClusterOptions
from minikafka_client.consumer.assignors.assignor import Assignor
from minikafka_client.consumer.beginnings import say_what_is_missing
from minikafka_client.consumer.committing import Committing
from minikafka_client.consumer.decode import Decoder
from minikafka_client.consumer.fetcher import Fetcher, FetchOptions
from minikafka_client.consumer.group.classic import ClassicMembership
from minikafka_client.consumer.group.epochs import ConsumerMembership
from minikafka_client.consumer.group.group import Group, ReadingParts
from minikafka_client.consumer.group.listener import (
    Caller,
    FunctionListener,
    RebalanceCallback,
    RebalanceListener,
    call_here,
)
from minikafka_client.consumer.group.membership import GroupOptions, Membership, Surroundings
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.options import (
    AutoOffsetReset,
    GroupProtocol,
    IsolationLevelName,
    assignors_value,
    isolation_level_value,
    start_value,
)
from minikafka_client.consumer.pace import Pace
from minikafka_client.consumer.positions import Assignment, Start
from minikafka_client.consumer.reader import Reader
from minikafka_client.consumer.subscription import Subscription, subscription_to, wanted_topics
from minikafka_client.errors import ClientClosed
from minikafka_client.serializers import Deserializer

_CLOSE_TIMEOUT_S = 5.0
_MISSING = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

_MEMBERSHIPS: Final[dict[str, Callable[[GroupOptions, Surroundings], Membership]]] = {
    "classic": ClassicMembership,
    "consumer": ConsumerMembership,
}


class AsyncConsumer(Committing):
    """Reads the messages of topics: alone, or as a member of a group that shares their partitions.

    >>> async def first_ten(bootstrap_servers: str) -> list[bytes | None]:
    ...     consumer = AsyncConsumer(bootstrap_servers, topics=["orders"], auto_offset_reset="earliest")
    ...     async with consumer:
    ...         messages = await consumer.poll(timeout_ms=1_000, max_records=10)
    ...         return [message.value for message in messages]

    ``async for message in consumer`` goes on for ever.  Polling and iterating may be mixed: the next message is always
    the one at the position.

    With a ``group_id`` the group remembers how far it has come (:meth:`commit`, or ``enable_auto_commit``), and its
    members divide the partitions.  Rebalances happen inside :meth:`poll` and iteration.  A message counts as processed
    when the next is asked for, or the consumer is closed: only then is it committed automatically, so that a crash
    brings it again.  So does an exception that ends the ``async with`` block.

    Args:
        bootstrap_servers: ``HOST:PORT`` of a broker, or several with commas between them.
        topics: Topics to read, or to share with the group.  Without, use :meth:`subscribe` or :meth:`assign`.
        topic_pattern: Instead, a regular expression for their whole names; topics that appear later count too.
        group_id: The group to be a member of, or with :meth:`assign`, to remember offsets in.
        group_instance_id: A name that this consumer keeps when it starts again: coming back within the session
            time-out it gets its partitions back, without a rebalance.
        group_protocol: "classic", where members divide the partitions, or "consumer" (KIP-848), where the broker does.
        group_remote_assignor: How the broker is to do that, "uniform" or "range"; None leaves it the choice.
        partition_assignment_strategy: How the members do it, the preferred one first: "range", "roundrobin", "sticky",
            "cooperative-sticky", or assignors of one's own.  If all are cooperative, members keep during a rebalance
            what stays theirs.
        session_timeout_ms: Without heartbeats for so long, the group goes on without this consumer (classic only).
        heartbeat_interval_ms: How often it says that it is alive (classic only).
        max_poll_interval_ms: A consumer that does not ask for messages for so long leaves the group.
        enable_auto_commit: Commit what was processed every ``auto_commit_interval_ms``, before partitions are given
            back, and when closing.
        auto_commit_interval_ms: See there.
        on_partitions_assigned: A plain or async function, called with the partitions that came; see
            :class:`RebalanceListener`.
        on_partitions_revoked: The same for those that go, before they do.
        on_partitions_lost: The same for those that are gone already; without, ``on_partitions_revoked`` is called.
        poll_interval_ms: Iterating is a loop that polls this often; it wakes at once when there is a message.
        client_rack: Where this consumer is, for assignors and brokers that care.
        client_id: How the brokers' logs name this client.
        auto_offset_reset: Where to begin in a partition that has no committed offset and that nobody has sought, and
            where to go on when its position is no longer (or not yet) there: "earliest", "latest", or "none" for an
            error.  Partitions that appear while the consumer runs are read from their beginning.
        fetch_min_bytes: A broker answers a fetch when it has so much ...
        fetch_max_wait_ms: ... or when this has passed.
        fetch_max_bytes: The most that one answer should hold; a single larger batch is read all the same.
        max_partition_fetch_bytes: The same for each partition in it.
        max_poll_records: The most messages that :meth:`poll` returns, unless it is told otherwise.
        check_crcs: Verify the checksum of every batch.
        request_timeout_ms: How long to wait for the answer to one request.
        retry_backoff_ms: The first pause after a failure; pauses double up to ``retry_backoff_max_ms``.
        retry_backoff_max_ms: The longest pause after a failure.
        metadata_max_age_ms: How old the metadata may grow before it is asked for again.
        allow_auto_create_topics: Let the broker create a topic that does not exist, if it is configured to.
        isolation_level: "read_committed" leaves out the messages of transactions that were aborted, and waits for
            those that are not decided yet.
        key_deserializer: Makes :attr:`Message.key` of a key's bytes (None: no key); without, keys stay bytes.
        value_deserializer: The same for values.  When a deserializer fails, polling raises DeserializationError until
            somebody seeks past the message: none is skipped silently.
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        topics: Iterable[str] = (),
        topic_pattern: str | re.Pattern[str] | None = None,
        group_id: str | None = None,
        group_instance_id: str | None = None,
        group_protocol: GroupProtocol = "classic",
        group_remote_assignor: str | None = None,
        partition_assignment_strategy: Iterable[str | Assignor] = ("range", "cooperative-sticky"),
        session_timeout_ms: int = 45_000,
        heartbeat_interval_ms: int = 3_000,
        max_poll_interval_ms: int = 300_000,
        enable_auto_commit: bool = True,
        auto_commit_interval_ms: int = 5_000,
        on_partitions_assigned: RebalanceCallback | None = None,
        on_partitions_revoked: RebalanceCallback | None = None,
        on_partitions_lost: RebalanceCallback | None = None,
        poll_interval_ms: int = 100,
        client_rack: str | None = None,
        client_id: str = "minikafka-consumer",
        auto_offset_reset: AutoOffsetReset = "latest",
        fetch_min_bytes: int = 1,
        fetch_max_wait_ms: int = 500,
        fetch_max_bytes: int = 50 * 1024 * 1024,
        max_partition_fetch_bytes: int = 1024 * 1024,
        max_poll_records: int = 500,
        check_crcs: bool = True,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 50,
        retry_backoff_max_ms: int = 1_000,
        metadata_max_age_ms: int = 300_000,
        allow_auto_create_topics: bool = True,
        isolation_level: IsolationLevelName = "read_uncommitted",
        key_deserializer: Deserializer | None = None,
        value_deserializer: Deserializer | None = None,
    ) -> None:
        self._cluster = Cluster(
            bootstrap_servers,
            ClusterOptions(
                client_id,
                request_timeout_ms=request_timeout_ms,
                metadata_max_age_ms=metadata_max_age_ms,
                allow_auto_create_topics=allow_auto_create_topics,
                backoff=Backoff(retry_backoff_ms, retry_backoff_max_ms),
            ),
        )
        self._fetch_options = FetchOptions(
            fetch_min_bytes,
            fetch_max_wait_ms,
            fetch_max_bytes,
            max_partition_fetch_bytes,
            start_value(auto_offset_reset),
            isolation_level_value(isolation_level),
        )
        self._group_options: GroupOptions | None = None
        if group_id is not None:
            self._group_options = GroupOptions(
                group_id,
                group_instance_id,
                session_timeout_ms,
                heartbeat_interval_ms,
                max_poll_interval_ms,
                assignors_value(partition_assignment_strategy),
                group_remote_assignor,
                client_rack,
                auto_commit_interval_ms if enable_auto_commit else None,
            )
        if group_protocol not in _MEMBERSHIPS:
            raise ValueError(f"group_protocol is one of {', '.join(_MEMBERSHIPS)}, not {group_protocol!r}")
        self._join = _MEMBERSHIPS[group_protocol]
        self._listener: RebalanceListener = FunctionListener(
            on_partitions_assigned, on_partitions_revoked, on_partitions_lost
        )
        self._subscription = wanted_topics(topics, topic_pattern)
        self._poll_interval_s = poll_interval_ms / 1_000
        self._max_poll_records = max_poll_records
        self._request_timeout_ms = request_timeout_ms
        self._assignment = Assignment()
        self._reader = Reader(self._assignment, Decoder(check_crcs, key_deserializer, value_deserializer), self._wake)
        self.call_listener: Caller = call_here
        # The reader's own: a program that iterates without an event loop calls it for every message.
        self.next_decoded = self._reader.next_decoded
        self._pace = Pace(monotonic, self._reader.progress)
        self._fetcher: Fetcher | None = None
        self._group: Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._said_to_be_missing: set[str] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close(is_done=error is None)

    async def start(self) -> None:
        """Find the cluster, and the partitions of ``topics``.  Anything that needs a broker does it if need be.

        Raises:
            NoBrokersAvailable: No broker answered.
            KafkaError: A topic does not exist or may not be read; a member of a group waits for it instead.
            ClientClosed: The consumer was closed.
        """
        if self._is_closed:
            raise ClientClosed("the consumer was closed")
        if self._fetcher is not None:
            return
        self._track(self._subscription)
        await self._cluster.start()
        if self._group_options is None:
            for topic in self._subscription.names:
                await self._cluster.topic(topic, self._request_timeout_ms)
        if self._fetcher is None:
            self._fetcher = Fetcher(self._cluster, self._assignment, self._fetch_options)
            self._cluster.on_update(self._metadata_changed)
            self._group = self._make_group(self._fetcher)
            self._begin(self._fetch_options.start)
            self._say_what_is_missing()

    async def close(self) -> None:
        """Commit what was handed out, if that is to be done by itself, leave the group, and stop reading.

        Closing again does nothing.
        """
        await self._close(is_done=True)

    async def _close(self, *, is_done: bool) -> None:
        """Close; ``is_done`` says whether the program is done with the messages that it has."""
        if self._is_closed:
            return
        self._is_closed = True
        if is_done:
            self._reader.asked_for_more()
        try:
            if self._fetcher is not None:
                self._fetcher.tell()
            if self._group is not None:
                await self._wait_for_commits(_CLOSE_TIMEOUT_S)
                await self._group.close()
        finally:
            self._group = None
            if self._fetcher is not None:
                await self._fetcher.close()
            await self._cluster.close()

    # What to read

    def subscribe(self, topics: Iterable[str] | re.Pattern[str], listener: RebalanceListener | None = None) -> None:
        """Read these topics instead of those before: as a member of the group, or without one, all their partitions.

        Without a group, partitions that were read already go on where they are.

        Args:
            topics: Their names, or a pattern for whole names; topics that appear later count too.
            listener: Told of rebalances, instead of the ``on_partitions_...`` functions.

        Raises:
            ValueError: There are none.
        """
        subscription = subscription_to(topics)
        if not subscription:
            raise ValueError("subscribe to at least one topic; unsubscribe() ends a subscription")
        self._listener = listener or self._listener
        if not self._is_member:
            topics = subscription.topics(self._cluster.metadata.topics) if self._group_options is None else ()
            self._read_only([where for where in self.assignment if where.topic in topics])
        self._subscription = subscription
        self._track(subscription)
        if self._fetcher is not None:
            self._begin(self._fetch_options.start)
            self._cluster.refresh_soon()

    async def unsubscribe(self) -> None:
        """Leave the group, having committed what was handed out if that is to be done by itself; read nothing."""
        self._subscription = Subscription()
        self._reader.asked_for_more()
        if self._group is not None and self._group.is_member:
            await self._group.leave()
        self.assign([])

    @property
    def subscription(self) -> frozenset[str]:
        """The topics subscribed to; of a pattern, those that match now."""
        return self._subscription.topics(self._cluster.metadata.topics)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions; those that were read already go on where they are.

        Where to begin in the others is looked up by the next poll, unless they are sought before.  What was handed out
        of those that go is committed, if that is to be done by itself.

        Raises:
            RuntimeError: The group assigns partitions; :meth:`unsubscribe` first.
        """
        if self._subscription and self._group_options is not None:
            raise RuntimeError("a consumer that subscribed gets its partitions from its group: unsubscribe first")
        self._subscription = Subscription()
        wanted = list(partitions)
        before = self._assignment.partitions
        self._cluster.track(partition.topic for partition in wanted)
        self._read_only(wanted)
        if self._fetcher is not None:
            self._fetcher.assigned()
            if self._group is not None:
                self._group.begin(self._assignment[where] for where in wanted if where not in before)
            missing = {partition.topic for partition in wanted} - self._cluster.metadata.topics.keys()
            if missing:
                self._cluster.refresh_soon()

    # Reading

    async def poll(self, timeout_ms: float | None = 1_000, max_records: int | None = None) -> list[Message]:
        """The next messages, as soon as there are any.

        Args:
            timeout_ms: How long to wait for the first; None waits for ever.  Then the list is empty.
            max_records: The most messages to return instead of ``max_poll_records``.

        Raises:
            OffsetOutOfRange: The position is not there, and ``auto_offset_reset`` is "none".
            NoOffsetForPartition: There is no position, and ``auto_offset_reset`` is "none".
            DeserializationError: A deserializer fails at the message at the position; :meth:`seek` past it to go on.
            CorruptMessage: What is stored at the position is damaged; :meth:`seek` past it to go on.
            KafkaError: A partition cannot be read, or the group refuses this consumer.
            NoBrokersAvailable: No broker answered, at the first poll.
            ClientClosed: The consumer was closed.
            Exception: What a rebalance callback raised.
        """
        self._reader.asked_for_more()
        await self._want()
        loop = asyncio.get_running_loop()
        deadline = inf if timeout_ms is None else loop.time() + timeout_ms / 1_000
        with self._pace.asking():
            while True:
                messages: list[Message] = []
                if await self._attend(deadline - loop.time()):
                    messages = self._reader.take(max_records or self._max_poll_records)
                remaining_s = deadline - loop.time()
                if messages or remaining_s <= 0:
                    return messages
                await self._wait(remaining_s)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = self.next_decoded()
        if message is not None:
            return message
        self._reader.asked_for_more()
        try:
            await self._want()
            with self._pace.asking():
                while True:
                    if await self._attend(self._poll_interval_s):
                        message = self._reader.serve_next()
                    if message is not None:
                        return message
                    await self._wait(self._poll_interval_s)
        except ClientClosed:
            raise StopAsyncIteration from None

    async def _attend(self, timeout_s: float) -> bool:
        """Let the group do what it can only do now; False if that takes longer."""
        if self._group is None or not self._group.needs_poll:
            return True
        is_done = await self._group.attend(timeout_s)
        if is_done and self._fetcher is not None:
            self._fetcher.want()
        return is_done

    # Assignment and positions

    def _make_group(self, fetcher: Fetcher) -> Group | None:
        if self._group_options is None:
            return None
        start = self._fetch_options.start
        parts = ReadingParts(self._cluster, self._assignment, self._reader, fetcher, start, self.call_listener)
        return Group(self._group_options, parts, self._join, self._pace.idle_ms)

    def _track(self, subscription: Subscription) -> None:
        if subscription.pattern is not None:
            self._cluster.track_all()
        self._cluster.track(subscription.names)

    def _begin(self, start: Start | None) -> None:
        """Read what was subscribed to, or assigned, by the way that the options tell."""
        if self._group is None:
            self._assign_topics(start)
        elif self._subscription:
            self._group.subscribe(self._subscription, self._listener)
        else:
            self._group.begin(self._assignment)
        if self._subscription and self._fetcher is not None:
            self._fetcher.want()

    def _read_only(self, wanted: list[TopicPartition]) -> None:
        """Give up all other partitions, and begin with those of these that are new."""
        gone = self.assignment.difference(wanted)
        self._commit_what_goes(gone)
        self._assignment.replace(wanted, self._fetch_options.start)
        self._reader.sought(gone)
        self._reader.interrupt()

    def _assign_topics(self, start: Start | None) -> None:
        known = self._cluster.metadata.topics
        for topic in sorted(self._subscription.topics(known) & known.keys()):
            for partition in known[topic].partitions:
                self._assignment.add(TopicPartition(topic, partition.partition), start)
        self._wake()

    def _metadata_changed(self) -> None:
        """Partitions that were added to a topic are read from their beginning: they began after this consumer did."""
        if self._group is None:
            self._assign_topics(Start.EARLIEST)
        self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        errors = self._cluster.metadata.errors
        missing = {name for name in self._subscription.names if errors.get(name) is _MISSING}
        say_what_is_missing(missing - self._said_to_be_missing)
        self._said_to_be_missing = missing
