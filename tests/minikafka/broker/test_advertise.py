"""The decision table of advertised addresses, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from minikafka.broker.advertise import (
    Advertiser,
    AdvertiseSettings,
    Advice,
    BrokerAddress,
    HostFacts,
    Reason,
    decide,
    gather_facts,
    log_lost_client,
    normalise_host,
)
from minikafka.broker.reachability import Reachability
from minikafka.broker.reconnects import LostClient, ReconnectWatch
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache
from minikafka.config.sources import load
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.observability.logging import configure

NATIVE = HostFacts()
CONTAINER = HostFacts(in_container=True, gateways=frozenset({"172.17.0.1"}), networks=(IPv4Network("172.17.0.0/16"),))
NOTHING_SET = AdvertiseSettings()


def advice(
    peer: str, arrival: str, facts: HostFacts, settings: AdvertiseSettings = NOTHING_SET, listener: str = "PLAINTEXT"
) -> Advice:
    return decide(listener, peer, arrival, 9092, settings=settings, facts=facts)


@pytest.mark.parametrize(
    ("peer", "arrival", "facts", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", NATIVE, Address("127.0.0.1", 9092)),
        ("192.168.1.7", "192.168.1.2", NATIVE, Address("192.168.1.2", 9092)),
        ("::1", "::1", NATIVE, Address("::1", 9092)),
        ("::ffff:192.168.1.7", "::ffff:192.168.1.2", NATIVE, Address("192.168.1.2", 9092)),
        ("fe80::7%eth0", "fe80::2%eth0", NATIVE, Address("fe80::2", 9092)),
        ("127.0.0.1", "127.0.0.1", CONTAINER, Address("127.0.0.1", 9092)),
        ("172.17.0.3", "172.17.0.2", CONTAINER, Address("172.17.0.2", 9092)),
        ("fd00::3", "fd00::2", CONTAINER, Address("fd00::2", 9092)),
    ],
)
def test_a_client_is_told_the_address_it_arrived_at(
    peer: str, arrival: str, facts: HostFacts, expected: Address
) -> None:
    assert advice(peer, arrival, facts) == Advice(expected, Reason.ARRIVAL)


def test_advertised_listeners_are_never_overridden() -> None:
    settings = AdvertiseSettings(
        listeners={"EXTERNAL": Address("kafka.lab", 19092)}, published_port=1, host="ignored.lab"
    )
    told = advice("172.17.0.1", "172.17.0.2", CONTAINER, settings, listener="EXTERNAL")
    assert told == Advice(Address("kafka.lab", 19092), Reason.CONFIGURED)


def test_a_listener_without_an_advertised_address_follows_the_table() -> None:
    settings = AdvertiseSettings(listeners={"EXTERNAL": Address("kafka.lab", 19092)})
    assert advice("10.0.0.9", "10.0.0.2", NATIVE, settings).address == Address("10.0.0.2", 9092)


def test_the_gateway_of_a_container_is_the_host_that_published_the_port() -> None:
    assert advice("172.17.0.1", "172.17.0.2", CONTAINER) == Advice(Address("localhost", 9092), Reason.PUBLISHED_PORT)
    assert advice("::ffff:172.17.0.1", "::ffff:172.17.0.2", CONTAINER).address == Address("localhost", 9092)


def test_the_published_port_is_told_to_the_host() -> None:
    settings = AdvertiseSettings(published_port=29092)
    assert advice("172.17.0.1", "172.17.0.2", CONTAINER, settings).address == Address("localhost", 29092)


def test_the_gateway_of_a_machine_that_is_no_container_is_an_ordinary_peer() -> None:
    router = HostFacts(gateways=frozenset({"192.168.1.1"}), networks=(IPv4Network("192.168.1.0/24"),))
    assert advice("192.168.1.1", "192.168.1.2", router).reason is Reason.ARRIVAL


def test_a_client_outside_the_networks_of_a_container_is_told_the_advertised_host() -> None:
    settings = AdvertiseSettings(host="lab-7.example.org", published_port=29092)
    told = advice("192.168.1.7", "172.17.0.2", CONTAINER, settings)
    assert told == Advice(Address("lab-7.example.org", 29092), Reason.ADVERTISED_HOST)


def test_a_client_outside_a_container_without_advertised_host_is_marked() -> None:
    told = advice("192.168.1.7", "172.17.0.2", CONTAINER)
    assert told == Advice(Address("172.17.0.2", 9092), Reason.OUTSIDE_CONTAINER)


def test_nobody_is_outside_when_no_network_is_known() -> None:
    assert advice("192.168.1.7", "172.17.0.2", HostFacts(in_container=True)).reason is Reason.ARRIVAL


def test_only_addresses_are_normalised() -> None:
    assert normalise_host("::ffff:10.1.2.3") == "10.1.2.3"
    assert normalise_host("::1") == "::1"
    with pytest.raises(ValueError, match="not-an-address"):
        normalise_host("not-an-address")


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0

"""


def machine(root: Path, *, routes: str = "", mark: str | None = None, cgroup: str = "") -> Path:
    (root / "proc/net").mkdir(parents=True)
    (root / "proc/self").mkdir()
    (root / "proc/net/route").write_text(routes)
    (root / "proc/self/cgroup").write_text(cgroup)
    if mark is not None:
        (root / mark).parent.mkdir(exist_ok=True)
        (root / mark).touch()
    return root


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_is_known_by_its_mark(tmp_path: Path, mark: str) -> None:
    facts = gather_facts(machine(tmp_path, routes=ROUTES, mark=mark))
    assert facts == CONTAINER


def test_a_container_is_known_by_its_cgroup(tmp_path: Path) -> None:
    assert gather_facts(machine(tmp_path, cgroup="0::/kubepods/besteffort/pod1")).in_container


def test_a_machine_is_no_container(tmp_path: Path) -> None:
    facts = gather_facts(machine(tmp_path, routes=ROUTES, cgroup="0::/user.slice"))
    assert not facts.in_container
    assert facts.gateways == {"172.17.0.1"}


def test_a_machine_without_proc_has_no_facts(tmp_path: Path) -> None:
    assert gather_facts(tmp_path) == HostFacts()


# The advertiser: the table applied to the brokers of a cluster.

DIALLED = Address("172.17.0.2", 9092)


@pytest.fixture
def json_logs() -> Iterator[None]:
    configure("json", "warning")
    yield
    configure("pretty", "warning")


class Watched:
    """Remembers what a watch was told."""

    def __init__(self) -> None:
        self.lost: list[LostClient] = []
        self.waiting: list[Callable[[], None]] = []
        self.watch = ReconnectWatch(lambda _, callback: self.waiting.append(callback), self.lost.append)

    def pass_time(self) -> None:
        for callback in self.waiting:
            callback()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def connection(peer: str = "172.17.0.1", arrival: Address = DIALLED, listener: str = "PLAINTEXT") -> ConnectionInfo:
    return ConnectionInfo(1, Address(peer, 50_000), arrival, listener)


def advertiser(
    watched: Watched,
    *brokers: BrokerInfo,
    facts: HostFacts = CONTAINER,
    settings: AdvertiseSettings = NOTHING_SET,
) -> Advertiser:
    metadata = MetadataCache()
    metadata.replace_brokers(brokers or [registered(1, "c0ffee", 9092)])
    return Advertiser(1, metadata, settings, facts, watched.watch)


def registered(broker_id: int, host: str, port: int, listener: str = "PLAINTEXT") -> BrokerInfo:
    return BrokerInfo(broker_id, {listener: Endpoint(host, port)})


def test_this_broker_is_told_by_the_port_that_the_client_came_to(watched: Watched) -> None:
    told = advertiser(watched, facts=NATIVE).address_of(1, connection("10.0.0.9", Address("10.0.0.2", 31_000)))
    assert told == Address("10.0.0.2", 31_000)


def test_a_broker_that_is_not_alive_has_no_address(watched: Watched) -> None:
    assert advertiser(watched).address_of(2, connection()) is None


def test_brokers_of_one_machine_differ_by_their_ports(watched: Watched) -> None:
    mine, beside = registered(1, "c0ffee", 9092), registered(2, "c0ffee", 9093)
    told = advertiser(watched, mine, beside).brokers(connection())
    assert told == [BrokerAddress(1, Address("localhost", 9092)), BrokerAddress(2, Address("localhost", 9093))]


def test_a_broker_of_another_machine_is_told_as_it_registered_itself(watched: Watched) -> None:
    mine, far = registered(1, "c0ffee", 9092), registered(2, "decaf", 9092)
    assert advertiser(watched, mine, far).address_of(2, connection()) == Address("decaf", 9092)


def test_a_broker_without_the_listener_of_the_client_has_no_address(watched: Watched) -> None:
    mine, inner = registered(1, "c0ffee", 9092), registered(2, "c0ffee", 9093, "INTERNAL")
    assert advertiser(watched, mine, inner).brokers(connection()) == [BrokerAddress(1, Address("localhost", 9092))]
    assert advertiser(watched, mine, inner).reachability(connection()) == Reachability(
        alive=frozenset({1, 2}), reachable=frozenset({1})
    )


def test_with_advertised_listeners_the_other_brokers_are_told_by_theirs(watched: Watched) -> None:
    settings = AdvertiseSettings(listeners={"PLAINTEXT": Address("kafka.lab", 19_092)})
    mine, beside = registered(1, "kafka.lab", 19_092), registered(2, "kafka.lab", 19_093)
    told = advertiser(watched, mine, beside, settings=settings).brokers(connection())
    assert told == [BrokerAddress(1, Address("kafka.lab", 19_092)), BrokerAddress(2, Address("kafka.lab", 19_093))]


def test_the_settings_are_those_of_the_configuration() -> None:
    loaded = load(
        None,
        {"MINIKAFKA_PUBLISHED_PORT": "29092", "MINIKAFKA_ADVERTISED_HOST": "lab-7"},
        [
            "listeners=A://:1,B://:2",
            "advertised.listeners=B://[2001:db8::1]:9094",
            "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        ],
    )
    assert AdvertiseSettings.of(loaded.config) == AdvertiseSettings(
        {"B": Address("2001:db8::1", 9094)}, published_port=29_092, host="lab-7"
    )


def test_a_client_that_never_comes_to_the_address_it_was_told_is_reported(watched: Watched) -> None:
    told = advertiser(watched)
    told.metadata_answered(connection())
    watched.pass_time()
    assert watched.lost == [LostClient("172.17.0.1", Address("localhost", 9092), DIALLED)]


def test_a_client_that_comes_is_not_reported(watched: Watched) -> None:
    told = advertiser(watched)
    told.metadata_answered(connection("::ffff:172.17.0.1"))
    told.connection_opened(connection("172.17.0.1"))
    watched.pass_time()
    assert watched.lost == []


def test_a_client_that_was_told_where_it_is_already_is_not_watched(watched: Watched) -> None:
    told = advertiser(watched, facts=NATIVE)
    told.metadata_answered(connection("::ffff:10.0.0.9", Address("::ffff:10.0.0.2", 9092)))
    assert watched.waiting == []


@pytest.mark.usefixtures("json_logs")
def test_a_client_outside_the_container_is_warned_of_once(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    told = advertiser(watched)
    for _ in range(2):
        told.metadata_answered(connection("192.168.1.7"))
    (line,) = capsys.readouterr().err.splitlines()
    warning = json.loads(line)
    assert (warning["event"], warning["client"], warning["told"]) == (
        "client_outside_container",
        "192.168.1.7",
        "172.17.0.2:9092",
    )


@pytest.mark.usefixtures("json_logs")
def test_the_line_about_a_lost_client_names_the_address_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    log_lost_client(LostClient("172.17.0.1", Address("localhost", 9092), DIALLED))
    (line,) = capsys.readouterr().err.splitlines()
    warning = json.loads(line)
    assert (warning["client"], warning["told"], warning["arrived_at"]) == (
        "172.17.0.1",
        "localhost:9092",
        "172.17.0.2:9092",
    )
    assert "KAFKA_ADVERTISED_LISTENERS" in warning["hint"]
