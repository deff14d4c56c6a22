"""Where records come in: the part of a producer that runs in the threads that send.

Sending is a matter of some hundred nanoseconds, so that there is no lock, no call and no object here that could be
spared.  A thread appends to the :class:`Inbox` of a topic, a list; the loop now and then takes everything out at its
front.  Either is one step that no other thread can come in between.  What is left to the loop, it does for many
records at once: choosing partitions in turn, measuring, dating, encoding.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import Any, Final, NamedTuple

from minikafka.clock import Clock
from minikafka.errors import MessageTooLarge
from minikafka_client.errors import SerializationError
from minikafka_client.producer.delivery import Delivery, DeliveryCallback, Headers
from minikafka_client.producer.partitioner import Partitioner, RoundRobinPartitioner
from minikafka_client.serializers import Serializer, serialize

GivenHeaders = Mapping[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]]

# What a record takes beside its key and value, as a rule: lengths, deltas and the count of headers.
RECORD_OVERHEAD_BYTES: Final = 12
_HEADER_OVERHEAD_BYTES = 4


class Extras(NamedTuple):
    """What a record has beside a value and the time at which it was sent."""

    partition: int | None
    """Where it goes; None: to the next in turn."""
    timestamp_ms: int | None
    key: bytes | None
    headers: Headers
    size_bytes: int
    """What the record counts for, all in all."""


class Records(NamedTuple):
    """Records in columns: as many of each."""

    deliveries: list[Delivery]
    values: list[bytes | None]
    sent_at: list[float]
    """Seconds since 1970."""
    extras: list[Extras | None]
    """Empty when none of them has any."""

    def part(self, where: slice) -> Records:
        """Some of them."""
        return Records(self.deliveries[where], self.values[where], self.sent_at[where], self.extras[where])

    def pick(self, indices: Sequence[int]) -> Records:
        """Some others of them."""
        deliveries, values, sent_at, extras = self
        return Records(
            [deliveries[index] for index in indices],
            [values[index] for index in indices],
            [sent_at[index] for index in indices],
            [extras[index] for index in indices] if extras else [],
        )


class Inbox:
    """The records of one topic that the loop has not taken yet.

    ``entries`` is ``[delivery, value, sent_at, extras, delivery, value, ...]``: one list, so that a record is there as
    a whole or not at all, and no object for each record.
    """

    __slots__ = ("entries", "is_watched", "partition_count", "topic")

    def __init__(self, topic: str, partition_count: int) -> None:
        self.topic = topic
        self.partition_count = partition_count
        self.entries: list[Delivery | bytes | float | Extras | None] = []
        self.is_watched = False  # whether the loop looks here without being told

    def take(self) -> Records:
        """Take out what is there; by one thread at a time."""
        taken = self.entries[:]
        del self.entries[: len(taken)]
        extras = taken[3::4]
        if extras.count(None) == len(extras):
            extras = []
        return Records(taken[0::4], taken[1::4], taken[2::4], extras)  # type: ignore[arg-type]  # the columns


class Intake:
    """Takes records from any number of threads.

    Bytes are counted twice, on their way in here and on their way out by the loop, so that neither waits for the
    other.  Threads that send at the very same moment may exceed the limit by a record each.

    Args:
        buffer_memory: The most bytes that may be here or on their way.
        max_record_size: The most in one record.
        partitioner: Chooses the partition of a record whose sender does not.
        key_serializer: Makes bytes of keys.
        value_serializer: Makes bytes of values.
        clock: Dates the records; None for the machine's.
    """

    def __init__(
        self,
        *,
        buffer_memory: int,
        max_record_size: int,
        partitioner: Partitioner,
        key_serializer: Serializer = serialize,
        value_serializer: Serializer = serialize,
        clock: Clock | None = None,
    ) -> None:
        self.inboxes: dict[str, Inbox] = {}
        self.in_bytes = 0
        self.out_bytes = 0  # the loop counts them
        self.limit_bytes = buffer_memory  # what in_bytes may grow to until somebody thinks about it again
        self.is_full = False  # so much was sent since the loop looked that it should look again
        self.woken: deque[Inbox] = deque()
        self.on_work: Callable[[], None] = _nobody  # there is something new to send; from any thread
        self.refuse: Callable[[Records, Inbox], None] | None = None  # set for good when nobody looks any more
        self._refusing = threading.Lock()
        self._buffer_memory = buffer_memory
        self._max_record_size = max_record_size
        self._partitioner = partitioner
        self._takes_turns = isinstance(partitioner, RoundRobinPartitioner)
        self._key_serializer = key_serializer
        self._value_serializer = value_serializer
        self._clock = clock
        self._has_plain_records = value_serializer is serialize and clock is None and self._takes_turns

    def try_send(  # noqa: PLR0917 - the order is the one that everybody knows, and naming arguments takes time
        self,
        topic: str,
        value: object,
        key: object = None,
        partition: int | None = None,
        headers: GivenHeaders | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> Delivery | None:
        """Send a record if that needs no waiting, else do nothing and return None; callable from any thread.

        Raises:
            SerializationError: Key or value has no bytes.
            MessageTooLarge: The record exceeds ``max_request_size`` or ``buffer_memory``.
        """
        inbox = self.inboxes.get(topic)
        if inbox is None:
            return None
        extras: Extras | None = None
        if (
            type(value) is bytes
            and key is None
            and partition is None
            and timestamp_ms is None
            and not headers
            and self._has_plain_records
        ):
            size_bytes = len(value) + RECORD_OVERHEAD_BYTES
        else:
            if partition is not None and not 0 <= partition < inbox.partition_count:
                return None
            value = self._serialize("value", self._value_serializer, value, topic, key)
            extras = self._extras(topic, value, key, partition, headers, timestamp_ms)
            size_bytes = extras.size_bytes
        if size_bytes > self._max_record_size:
            raise MessageTooLarge(f"a record of {size_bytes} bytes exceeds the limit of {self._max_record_size}")
        if self.in_bytes + size_bytes > self.limit_bytes and not self._has_room_in_fact(size_bytes):
            return None
        if extras is not None and extras.partition is None and not (self._takes_turns and extras.key is None):
            # Only now: a partitioner that counts would otherwise count again when the sender comes back.
            extras = extras._replace(partition=self._choose(topic, extras.key, inbox.partition_count))
        self.in_bytes += size_bytes
        # Made a million times a second, a delivery has no __init__, whose call would cost as much as all this.
        delivery = Delivery()
        delivery.callback = on_delivery
        delivery.batch = None
        entries = inbox.entries
        entries += (delivery, value, time(), extras)
        if not inbox.is_watched:  # asked after the record is there: the loop does the two in the other order
            self.wake(inbox)
        return delivery

    def wake(self, inbox: Inbox) -> None:
        """Have the loop look here, or refuse what is here when it does not look any more."""
        if self.refuse is None:
            self.woken.append(inbox)
            inbox.is_watched = True
            self.on_work()
        if self.refuse is not None:  # perhaps only now
            inbox.is_watched = False
            with self._refusing:
                self.refuse(inbox.take(), inbox)

    def limit(self, news_bytes: int) -> None:
        """Let senders go on until the memory is full, or so much is new: then the loop is told to look."""
        self.limit_bytes = min(self.out_bytes + self._buffer_memory, self.in_bytes + news_bytes)

    def close(self) -> None:
        """Take no more records: there is no room any more."""
        self._buffer_memory = -1
        self.limit_bytes = -1

    def _has_room_in_fact(self, size_bytes: int) -> bool:
        limit_bytes = self.out_bytes + self._buffer_memory
        if self.in_bytes + size_bytes > limit_bytes:
            return False
        # Only the limit up to which the loop need not look was reached.
        self.limit_bytes = limit_bytes
        self.is_full = True
        self.on_work()
        return True

    def _extras(  # noqa: PLR0917 - as try_send
        self,
        topic: str,
        value: bytes | None,
        key: object,
        partition: int | None,
        headers: GivenHeaders | None,
        timestamp_ms: int | None,
    ) -> Extras:
        size_bytes = RECORD_OVERHEAD_BYTES if value is None else RECORD_OVERHEAD_BYTES + len(value)
        key_bytes = None if key is None else self._serialize("key", self._key_serializer, key, topic, key)
        if key_bytes is not None:
            size_bytes += len(key_bytes)
        given: Headers = ()
        if headers:
            given = _header_list(headers)
            size_bytes += headers_size(given)
        if timestamp_ms is None and self._clock is not None:
            timestamp_ms = self._clock.now_ms()
        return Extras(partition, timestamp_ms, key_bytes, given, size_bytes)

    def _serialize(
        self, what: str, serializer: Callable[[Any], object], content: object, topic: str, key: object
    ) -> bytes | None:
        try:
            data = serializer(content)
        except Exception as error:
            raise SerializationError(f"the {what} of a record for topic {topic!r}, key {key!r}: {error}") from error
        if data is not None and not isinstance(data, bytes):
            raise SerializationError(
                f"the {what} of a record for topic {topic!r}, key {key!r}: the serializer made no bytes of it, "
                f"but {type(data).__name__}"
            )
        return data

    def _choose(self, topic: str, key: bytes | None, partition_count: int) -> int:
        partition = self._partitioner.partition(topic, key, partition_count)
        if not 0 <= partition < partition_count:
            raise ValueError(f"the partitioner chose partition {partition} of the {partition_count} that {topic} has")
        return partition


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """About how many bytes headers take."""
    return sum(_HEADER_OVERHEAD_BYTES + len(name) + len(content or b"") for name, content in headers)


def _header_list(headers: GivenHeaders) -> list[tuple[str, bytes | None]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


def _nobody() -> None:
    """Who is to be told is not there yet."""
