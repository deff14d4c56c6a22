from __future__ import annotations

import warnings

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocol
from hypothesis import given
from hypothesis import strategies as st

from minikafka.protocol.errors import DecodeError
from minikafka.types import TopicPartition
from minikafka_client.consumer.assignors.assignor import MemberSubscription
from minikafka_client.consumer.group.payloads import (
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with importlib.resources.read_text
    from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

SOME = frozenset({TopicPartition("orders", 0), TopicPartition("orders", 2), TopicPartition("bills", 1)})
partitions = st.frozensets(st.builds(TopicPartition, st.sampled_from(["orders", "bills", "ü"]), st.integers(0, 99)))
subscriptions = st.builds(
    MemberSubscription,
    st.frozensets(st.text(max_size=9)),
    partitions,
    st.integers(-1, 2**31 - 1),
    st.none() | st.binary(max_size=30),
    rack=st.none() | st.text(max_size=9),
)


@given(subscriptions)
def test_a_subscription_comes_back_whole(member: MemberSubscription) -> None:
    assert decode_subscription(encode_subscription(member), None) == member


@given(partitions)
def test_an_assignment_comes_back_whole(assigned: frozenset[TopicPartition]) -> None:
    assert decode_assignment(encode_assignment(assigned)) == assigned


def test_no_assignment_assigns_nothing() -> None:
    assert decode_assignment(b"") == frozenset()


def test_the_name_of_a_static_member_comes_from_the_coordinator() -> None:
    assert decode_subscription(encode_subscription(MemberSubscription(frozenset())), "s").group_instance_id == "s"


@pytest.mark.parametrize("damaged", [b"\0", b"\0\1\0\0\0\5", b"nonsense"])
def test_what_no_consumer_wrote_is_an_error(damaged: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_assignment(damaged)


def test_aiokafka_reads_and_writes_the_same() -> None:
    member = MemberSubscription(frozenset({"orders", "bills"}), user_data=b"note")
    read = ConsumerProtocol.METADATA.decode(encode_subscription(member))
    assert (read.subscription, read.user_data) == (["bills", "orders"], b"note")
    theirs = ConsumerProtocol.METADATA(0, ["orders", "bills"], b"note").encode()
    assert decode_subscription(theirs, None) == member
    assigned = ConsumerProtocol.ASSIGNMENT.decode(encode_assignment(SOME))
    assert {TopicPartition(*where) for where in assigned.partitions()} == SOME
    theirs = ConsumerProtocol.ASSIGNMENT(0, [("orders", [0, 2]), ("bills", [1])], b"").encode()
    assert decode_assignment(theirs) == SOME


def test_kafka_python_reads_and_writes_the_same() -> None:
    member = MemberSubscription(frozenset({"orders"}), SOME, 5, rack="r")
    read = ConsumerProtocolSubscription.decode(encode_subscription(member))
    assert (read.topics, read.generation_id, read.rack_id) == (["orders"], 5, "r")
    owned = {TopicPartition(there.topic, number) for there in read.owned_partitions for number in there.partitions}
    assert owned == SOME
    assert decode_subscription(read.encode(), None) == member
    assigned = ConsumerProtocolAssignment.decode(encode_assignment(SOME))
    assert decode_assignment(assigned.encode()) == SOME
