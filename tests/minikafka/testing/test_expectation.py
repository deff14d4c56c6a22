import asyncio
import json

import pytest

from minikafka.testing import running_broker
from minikafka_client import AsyncProducer, Producer


@pytest.fixture(scope="module")
def broker():
    with running_broker() as running:
        yield running


@pytest.fixture
def topic(broker):
    return broker.topic()


def test_the_expected_messages_are_handed_out(broker, topic):
    broker.produce(topic, "before")
    with broker.assert_produces(topic, b"a", "b", None) as messages:
        assert messages == []
        broker.produce(topic, "a", "b", None, key="k")
    assert [(message.key, message.value) for message in messages] == [(b"k", b"a"), (b"k", b"b"), (b"k", None)]


def test_messages_may_come_after_the_last_line(broker, topic):
    with Producer(broker.bootstrap_servers, linger_ms=100) as producer, broker.assert_produces(topic, "late"):
        producer.send(topic, "late")


def test_a_topic_may_be_made_by_its_first_message(broker):
    with broker.assert_produces("orders", "first"):
        broker.produce("orders", "first")


@pytest.mark.parametrize("sent", [["a"], ["a", "c"], ["a", "b", "c"], ["b", "a"], []])
def test_other_messages_fail(broker, topic, sent):
    with (
        pytest.raises(AssertionError, match="2 messages expected"),
        broker.assert_produces(topic, "a", "b", timeout_ms=50),
    ):
        broker.produce(topic, *sent)


def test_a_topic_that_is_never_made_fails(broker):
    with (
        pytest.raises(AssertionError, match="1 messages expected, 0 received"),
        broker.assert_produces("never-made", "a", timeout_ms=50),
    ):
        pass


def test_nothing_can_be_expected(broker, topic):
    with broker.assert_produces(topic):
        pass
    with broker.assert_produces("never-made"):
        pass
    with pytest.raises(AssertionError, match="0 messages expected, 1 received"), broker.assert_produces(topic):
        broker.produce(topic, "a")


def test_objects_are_compared_as_objects(broker, topic):
    with broker.assert_produces(topic, {"n": 1, "m": [2]}, "text", deserialize=json.loads):
        broker.produce(topic, b'{"m": [2], "n": 1}', b'"text"')


def test_a_value_that_cannot_be_deserialized_is_named(broker, topic):
    with pytest.raises(json.JSONDecodeError) as failed, broker.assert_produces(topic, 1, deserialize=json.loads):
        broker.produce(topic, b"nonsense")
    assert failed.value.__notes__ == [f"{topic}, partition 0, offset 0: b'nonsense'"]


def test_the_codes_own_error_comes_first(broker, topic):
    with pytest.raises(ZeroDivisionError), broker.assert_produces(topic, "a"):
        raise ZeroDivisionError


async def test_the_loop_goes_on_while_messages_are_waited_for(broker, topic):
    async with AsyncProducer(broker.bootstrap_servers) as producer, broker.assert_produces(topic, "a") as messages:
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(producer.send(topic, "a")))
    assert [message.value for message in messages] == [b"a"]


async def test_an_asynchronous_context_fails_as_the_plain_one_does(broker, topic):
    with pytest.raises(AssertionError, match="1 messages expected, 0 received"):
        async with broker.assert_produces(topic, "a", timeout_ms=50):
            pass
    with pytest.raises(ZeroDivisionError):
        async with broker.assert_produces(topic, "a"):
            raise ZeroDivisionError
