"""Groups of several clients: at every moment each partition has at most one owner, and in the end exactly one.

Each life of a group is drawn from a seed; a failure prints what happened and names the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.interop.clients.sdk import Sdk
from tests.interop.groups.schedules import Life, Mix
from tests.interop.groups.view import looking_at
from tests.interop.process import BrokerProcess

LIVES = 50
STEPS = 2
AT_ONCE = 8

EAGER = Mix(
    "eager",
    [("confluent-kafka", "classic"), ("aiokafka", "classic"), ("kafka-python", "classic"), ("sdk", "classic")],
    ["range", "roundrobin"],
)
COOPERATIVE = Mix(
    "cooperative",
    [("confluent-kafka", "classic"), ("kafka-python", "classic"), ("sdk", "classic")],
    ["cooperative-sticky"],
)
CONSUMER_PROTOCOL = Mix("consumer", [("confluent-kafka", "consumer"), ("sdk", "consumer")], ["range"])
BOTH_PROTOCOLS = Mix(
    "both",
    [("confluent-kafka", "classic"), ("confluent-kafka", "consumer"), ("sdk", "classic"), ("sdk", "consumer")],
    ["range", "cooperative-sticky"],
)


@pytest.fixture(scope="module")
def group_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker whose sessions are short, so that a crash is noticed soon."""
    settings = [
        "group.min.session.timeout.ms=1000",
        "group.consumer.min.session.timeout.ms=1000",
        "group.consumer.session.timeout.ms=3000",
        "group.consumer.min.heartbeat.interval.ms=100",
        "group.consumer.heartbeat.interval.ms=300",
        "log.flush.on.acks.all=never",
    ]
    with BrokerProcess(tmp_path_factory.mktemp("groups"), *settings) as process:
        yield process


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mix", [EAGER, COOPERATIVE, CONSUMER_PROTOCOL, BOTH_PROTOCOLS], ids=lambda mix: mix.name)
def test_each_partition_has_one_owner_whoever_comes_and_goes(group_broker: BrokerProcess, mix: Mix) -> None:
    def live(seed: int) -> None:
        topic, partition_count = f"{mix.name}-{seed}", 1 + seed % 6
        Sdk().create_topic(group_broker.bootstrap, topic, partition_count, {})
        with looking_at(group_broker.bootstrap, topic) as view:
            life = Life(
                mix,
                seed,
                bootstrap=group_broker.bootstrap,
                topic=topic,
                partition_count=partition_count,
                view=view,
            )
            try:
                life.live(STEPS)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(live, range(LIVES)))
