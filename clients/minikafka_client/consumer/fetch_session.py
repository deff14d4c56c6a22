"""The client's side of incremental fetch sessions (KIP-227): a broker remembers what was asked for, and hears the rest.

In a session a request names only the partitions whose offset or leader changed, and those that are no longer wanted;
its answer names only those that have news.  Brokers that open no session answer id 0, and are asked in full again.

Source: Kafka, clients/FetchSessionHandler.java.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic
from minikafka.types import TopicPartition

SESSION_ERRORS = frozenset(
    {
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    }
)
"""The broker and this client do not know the same session: to be asked in full, which opens another."""

_NO_SESSION = 0
_INITIAL_EPOCH = 0
_MAX_EPOCH = 2**31 - 1


class FetchSession:
    """What one broker knows of the fetches of one connection; one request at a time."""

    __slots__ = ("_epoch", "_id", "_told")

    def __init__(self) -> None:
        self._id = _NO_SESSION
        self._epoch = _INITIAL_EPOCH
        self._told: dict[TopicPartition, FetchPartition] = {}

    def ask_for(self, wanted: Mapping[TopicPartition, FetchPartition], request: FetchRequest) -> None:
        """Make ``request`` one for exactly these partitions, in as few words as the broker understands."""
        request.session_id, request.session_epoch = self._id, self._epoch
        if self._epoch == _INITIAL_EPOCH:
            request.topics = _topics(wanted.items())
        else:
            told = self._told
            request.topics = _topics((where, asked) for where, asked in wanted.items() if told.get(where) != asked)
            request.forgotten_topics_data = _forgotten(told.keys() - wanted.keys())
        self._told = dict(wanted)

    def answered(self, response: FetchResponse) -> None:
        """The broker answered the last request."""
        if response.error_code != ErrorCode.NONE:
            self.lost()
        elif response.session_id == _NO_SESSION:
            self._id, self._epoch = _NO_SESSION, _INITIAL_EPOCH
        else:
            self._id = response.session_id
            self._epoch = 1 if self._epoch == _MAX_EPOCH else self._epoch + 1

    def lost(self) -> None:
        """It is not known what the broker knows: the next request closes the session and opens another."""
        self._epoch = _INITIAL_EPOCH


def _topics(partitions: Iterable[tuple[TopicPartition, FetchPartition]]) -> list[FetchTopic]:
    by_topic: defaultdict[str, list[FetchPartition]] = defaultdict(list)
    for where, asked in partitions:
        by_topic[where.topic].append(asked)
    return [FetchTopic(topic=name, partitions=asked) for name, asked in by_topic.items()]


def _forgotten(partitions: Iterable[TopicPartition]) -> list[ForgottenTopic]:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for where in partitions:
        by_topic[where.topic].append(where.partition)
    return [ForgottenTopic(topic=name, partitions=numbers) for name, numbers in by_topic.items()]
