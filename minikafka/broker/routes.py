"""The APIs that are served, and in which versions: the only list.

Dispatch, the answer to ApiVersions and the table in the README all come from it.  A route's handler is
``minikafka.broker.handlers.<name of the API in lower case>``.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.protocol.api_keys import ApiKey


@dataclass(frozen=True, slots=True)
class Route:
    """One API and its versions, ``last_version`` inclusive.

    Versions from ``first_version`` are told to clients; those below ``first_parsed`` are told but not served.
    """

    api_key: ApiKey
    first_version: int
    last_version: int
    first_parsed: int

    @property
    def handler_module(self) -> str:
        """The module whose ``build`` makes the handler."""
        return f"minikafka.broker.handlers.{self.api_key.name.lower()}"

    def serves(self, version: int) -> bool:
        """Whether a request of ``version`` is answered."""
        return self.first_parsed <= version <= self.last_version


def _route(api_key: ApiKey, first_version: int, last_version: int, *, first_parsed: int | None = None) -> Route:
    return Route(api_key, first_version, last_version, first_version if first_parsed is None else first_parsed)


ROUTES: tuple[Route, ...] = (
    # librdkafka before 2.11.1 compresses only for a broker that offers Produce v0, which nobody sends; Kafka 4 offers
    # and refuses it too (KAFKA-18659).
    _route(ApiKey.PRODUCE, 0, 13, first_parsed=3),
    _route(ApiKey.FETCH, 4, 18),
    _route(ApiKey.LIST_OFFSETS, 1, 11),
    _route(ApiKey.METADATA, 0, 13),
    _route(ApiKey.OFFSET_COMMIT, 2, 10),
    _route(ApiKey.OFFSET_FETCH, 1, 10),
    _route(ApiKey.FIND_COORDINATOR, 0, 6),
    _route(ApiKey.JOIN_GROUP, 0, 9),
    _route(ApiKey.HEARTBEAT, 0, 4),
    _route(ApiKey.LEAVE_GROUP, 0, 5),
    _route(ApiKey.SYNC_GROUP, 0, 5),
    _route(ApiKey.DESCRIBE_GROUPS, 0, 6),
    _route(ApiKey.LIST_GROUPS, 0, 5),
    _route(ApiKey.API_VERSIONS, 0, 4),
    _route(ApiKey.CREATE_TOPICS, 2, 7),
    _route(ApiKey.DELETE_TOPICS, 1, 6),
    _route(ApiKey.DELETE_RECORDS, 0, 2),
    _route(ApiKey.INIT_PRODUCER_ID, 0, 5),
    _route(ApiKey.OFFSET_FOR_LEADER_EPOCH, 2, 4),
    _route(ApiKey.ADD_PARTITIONS_TO_TXN, 0, 5),
    _route(ApiKey.ADD_OFFSETS_TO_TXN, 0, 4),
    _route(ApiKey.END_TXN, 0, 5),
    _route(ApiKey.WRITE_TXN_MARKERS, 1, 2),
    _route(ApiKey.TXN_OFFSET_COMMIT, 0, 5),
    _route(ApiKey.DESCRIBE_CONFIGS, 1, 4),
    _route(ApiKey.ALTER_CONFIGS, 0, 2),
    _route(ApiKey.DESCRIBE_LOG_DIRS, 1, 5),
    _route(ApiKey.CREATE_PARTITIONS, 0, 3),
    _route(ApiKey.DELETE_GROUPS, 0, 2),
    _route(ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, 1),
    _route(ApiKey.OFFSET_DELETE, 0, 0),
    _route(ApiKey.DESCRIBE_CLUSTER, 0, 2),
    _route(ApiKey.DESCRIBE_PRODUCERS, 0, 0),
    _route(ApiKey.DESCRIBE_TRANSACTIONS, 0, 0),
    _route(ApiKey.LIST_TRANSACTIONS, 0, 2),
    _route(ApiKey.CONSUMER_GROUP_HEARTBEAT, 0, 1),
    _route(ApiKey.CONSUMER_GROUP_DESCRIBE, 0, 1),
    _route(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, 0),
)
