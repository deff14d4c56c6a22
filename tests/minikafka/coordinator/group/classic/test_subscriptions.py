import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.classic.member import Member
from minikafka.coordinator.group.classic.subscriptions import subscribed_topics
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolSubscription
from minikafka.protocol.payloads.versioned import encode_versioned
from tests.minikafka.coordinator.group.classic.harness import join_attempt


def member(metadata: bytes) -> Member:
    return Member.from_attempt("m", join_attempt(protocols={"range": metadata}))


def consumer(*topics: str, version: int = 0) -> Member:
    return member(encode_versioned(ConsumerProtocolSubscription(topics=list(topics)), version))


@pytest.mark.parametrize("version", range(4))
def test_the_topics_of_all_members_are_known(version: int) -> None:
    members = [consumer("a", "b", version=version), consumer("b", "c")]
    assert subscribed_topics("consumer", "range", members) == {"a", "b", "c"}


def test_a_group_without_members_reads_nothing() -> None:
    assert subscribed_topics("consumer", None, []) == frozenset()


def test_what_others_than_consumers_read_is_not_known() -> None:
    assert subscribed_topics("connect", "range", [consumer("a")]) is None
    assert subscribed_topics(None, None, []) is None


@pytest.mark.parametrize("metadata", [b"", b"\0", b"\0\0", b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\1\0\5abc"])
def test_when_one_member_says_something_else_nothing_is_known(metadata: bytes) -> None:
    assert subscribed_topics("consumer", "range", [consumer("a"), member(metadata)]) is None


def test_a_later_version_begins_as_version_0() -> None:
    known = encode_versioned(ConsumerProtocolSubscription(topics=["a"]), 0)
    assert subscribed_topics("consumer", "range", [member(b"\x00\x63" + known[2:] + b"of the future")]) == {"a"}


@given(st.binary(max_size=40))
def test_no_bytes_of_a_member_break_the_group(metadata: bytes) -> None:
    topics = subscribed_topics("consumer", "range", [member(metadata)])
    assert topics is None or all(isinstance(topic, str) for topic in topics)
