from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.protocol.errors import DecodeError
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned, version_of
from tests.wire.values import random_message


@given(random=st.randoms(use_true_random=False), version=st.sampled_from(ConsumerProtocolSubscription.VALID))
def test_a_payload_is_read_in_the_version_it_was_written_in(random: Random, version: int) -> None:
    subscription = random_message(ConsumerProtocolSubscription, version, random)

    payload = encode_versioned(subscription, version)

    assert version_of(payload) == version
    assert decode_versioned(ConsumerProtocolSubscription, payload) == subscription


def test_what_a_later_version_appends_is_ignored() -> None:
    subscription = ConsumerProtocolSubscription(topics=["orders"], rack_id="r1")
    payload = encode_versioned(subscription, 3)

    assert decode_versioned(ConsumerProtocolSubscription, b"\x00\x07" + payload[2:] + b"news") == subscription


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\x00\x00", b"\xff\xff\x00\x00\x00\x00", b"\x00\x01\x7f\xff\xff\xff"]
)
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_versioned(ConsumerProtocolAssignment, payload)
