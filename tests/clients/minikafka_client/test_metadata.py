from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from minikafka_client.metadata import BrokerAddress, ClusterMetadata, metadata_from, parse_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:9092", [("localhost", 9092)]),
        ("kafka", [("kafka", 9092)]),
        ("a:1,b:2 , c", [("a", 1), ("b", 2), ("c", 9092)]),
        ("[::1]:9093", [("::1", 9093)]),
        ("[::1]", [("::1", 9092)]),
        ("::1", [("::1", 9092)]),
    ],
)
def test_addresses_are_read(text: str, expected: list[tuple[str, int]]) -> None:
    assert parse_addresses(text) == [BrokerAddress(*address) for address in expected]


@pytest.mark.parametrize("text", ["", " , ", "host:port", "host:0", "host:65536", ":9092", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_addresses(text)


def test_an_ipv6_address_is_printed_in_brackets() -> None:
    assert str(BrokerAddress("::1", 9092)) == "[::1]:9092"


def response(leader_id: int, leader_epoch: int, topic_id: bytes = b"t" * 16, error: int = 0) -> MetadataResponse:
    partition = MetadataResponsePartition(
        partition_index=0, leader_id=leader_id, leader_epoch=leader_epoch, replica_nodes=[1, 2], isr_nodes=[1]
    )
    topic = MetadataResponseTopic(name="orders", topic_id=topic_id, partitions=[partition], error_code=error)
    broker = MetadataResponseBroker(node_id=1, host="kafka", port=9092)
    return MetadataResponse(brokers=[broker], cluster_id="c", controller_id=1, topics=[topic])


def test_the_cluster_is_described() -> None:
    metadata = metadata_from(response(1, 5), ClusterMetadata())
    assert metadata.cluster_id == "c"
    assert metadata.brokers[1].address == BrokerAddress("kafka", 9092)
    assert metadata.leader_of("orders", 0) == 1
    assert metadata.topics["orders"].partitions[0].replicas == (1, 2)


def test_what_is_not_known_has_no_leader() -> None:
    metadata = metadata_from(response(1, 5), ClusterMetadata())
    assert metadata.leader_of("orders", 1) == -1
    assert metadata.leader_of("orders", -1) == -1
    assert metadata.leader_of("other", 0) == -1


def test_an_older_leader_epoch_does_not_replace_a_newer_one() -> None:
    newer = metadata_from(response(1, 5), ClusterMetadata())
    assert metadata_from(response(2, 4), newer).leader_of("orders", 0) == 1
    assert metadata_from(response(2, 6), newer).leader_of("orders", 0) == 2


def test_a_topic_that_was_created_again_starts_with_any_epoch() -> None:
    before = metadata_from(response(1, 5), ClusterMetadata())
    assert metadata_from(response(2, 0, topic_id=b"u" * 16), before).leader_of("orders", 0) == 2


def test_a_topic_that_cannot_be_described_is_an_error() -> None:
    metadata = metadata_from(response(1, 0, error=3), ClusterMetadata())
    assert not metadata.topics
    assert metadata.errors == {"orders": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}


def test_an_error_code_of_the_future_is_an_unknown_error() -> None:
    assert metadata_from(response(1, 0, error=9999), ClusterMetadata()).errors == {
        "orders": ErrorCode.UNKNOWN_SERVER_ERROR
    }
