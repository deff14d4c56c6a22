"""The decision table of advertised addresses, row by row."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from minikafka.broker.advertise import (
    AdvertiseSettings,
    Advice,
    HostFacts,
    Reason,
    decide,
    gather_facts,
    normalise_host,
)
from minikafka.net.handler import Address

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
