"""Groups of several clients: at every moment each partition has at most one owner, and in the end exactly one.

Each life of a group is drawn from a seed; a failure prints what happened and names the seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.clients.sdk import Sdk
from tests.interop.groups.schedules import Life, Mix
from tests.interop.groups.view import looking_at
from tests.interop.process import BrokerProcess
from tests.support.broker import ROOT

LIVES = 50
STEPS = 2
AT_ONCE = 10
ROUND = 8

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

WAITS_FOR_NOBODY = """
from minikafka.coordinator.group.classic.members import Members

Members.all_joined = property(lambda members: any(member.joining is not None for member in members.values()))
"""
WAITS_FOR_NO_RELEASE = """
from minikafka.coordinator.group.consumer import reconciliation

reconciliation._still_owns = lambda owned, revoked: False
"""

# Sessions are short, so that a crash is noticed soon; a busy machine holds those up who live for less than that.
SETTINGS = (
    "group.min.session.timeout.ms=1000",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=300",
    "log.flush.on.acks.all=never",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def group_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("groups"), *SETTINGS) as process:
        yield process


def faults(broker: BrokerProcess, mix: Mix, seeds: Iterable[int]) -> list[str]:
    """What went wrong in the lives of groups that these seeds decide."""

    def live(seed: int) -> str | None:
        topic, partition_count = f"{mix.name}-{seed}", 1 + seed % 6
        Sdk().create_topic(broker.bootstrap, topic, partition_count, {})
        with looking_at(broker.bootstrap, topic) as view:
            life = Life(mix, seed, bootstrap=broker.bootstrap, topic=topic, partition_count=partition_count, view=view)
            try:
                life.live(STEPS)
            except AssertionError as error:
                return f"seed {seed}: {error}"
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [fault for fault in pool.map(live, seeds) if fault is not None]


@pytest.mark.parametrize("mix", [EAGER, COOPERATIVE, CONSUMER_PROTOCOL, BOTH_PROTOCOLS], ids=lambda mix: mix.name)
def test_each_partition_has_one_owner_whoever_comes_and_goes(group_broker: BrokerProcess, mix: Mix) -> None:
    found = faults(group_broker, mix, range(LIVES))
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize(
    ("mix", "fault"),
    [(EAGER, WAITS_FOR_NOBODY), (COOPERATIVE, WAITS_FOR_NOBODY), (CONSUMER_PROTOCOL, WAITS_FOR_NO_RELEASE)],
    ids=lambda value: value.name if isinstance(value, Mix) else "",
)
def test_a_coordinator_that_gives_a_partition_to_two_is_found_out(tmp_path: Path, mix: Mix, fault: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(fault)
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "clients")])
    with BrokerProcess(tmp_path, *SETTINGS, environ={"PYTHONPATH": path}) as broker:
        found: list[str] = []
        for first in range(0, LIVES, ROUND):  # who is fast enough lets go in time all the same
            found += faults(broker, mix, range(first, first + ROUND))
            if any(" when " in line and " had it from " in line for line in found):
                return
    pytest.fail(f"not found out; what went wrong: {found}")
