from __future__ import annotations

import socket

import pytest

from minikafka.net.listen import bind


def test_port_0_is_the_same_free_port_at_every_address() -> None:
    sockets = bind("localhost", 0, 10)
    try:
        ports = {sock.getsockname()[1] for sock in sockets}
        assert len(ports) == 1
        assert ports != {0}
    finally:
        for sock in sockets:
            sock.close()


def test_an_empty_host_is_every_interface() -> None:
    (listening,) = bind("", 0, 10)
    port = listening.getsockname()[1]
    for host in ("127.0.0.1", "127.0.0.2"):
        socket.create_connection((host, port)).close()
    listening.close()


def test_without_ipv6_every_interface_is_every_one_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    (listening,) = bind("", 0, 10)
    assert listening.family == socket.AF_INET
    listening.close()


def test_a_port_that_is_taken_is_an_error_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1], 10)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="of this machine"):
        bind("192.0.2.1", 0, 10)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(OSError):
        bind("host.invalid", 0, 10)


def test_a_family_without_support_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*arguments: object, **more: object) -> list[object]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    (listening,) = bind("a-name", 0, 10)
    assert listening.family == socket.AF_INET
    listening.close()
