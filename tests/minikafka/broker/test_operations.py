"""The bit fields of operations, against the numbers that Kafka's own clients decode."""

from __future__ import annotations

from minikafka.broker.operations import CLUSTER_OPERATIONS, TOPIC_OPERATIONS, AclOperation, operation_bits


def test_bit_n_stands_for_the_operation_numbered_n() -> None:
    assert operation_bits([]) == 0
    assert operation_bits([AclOperation.READ, AclOperation.WRITE, AclOperation.READ]) == 0b11000


def test_kafka_without_access_rules_answers_the_same_bits() -> None:
    assert TOPIC_OPERATIONS == 0x0DF8
    assert CLUSTER_OPERATIONS == 0x1FA0
