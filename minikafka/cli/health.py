"""``minikafka health``: ask a broker for ApiVersions, the one request that every Kafka answers to anybody.

It is run every few seconds by container engines, so it uses a blocking socket and the codec, and nothing else.
"""

from __future__ import annotations

import os
import socket
import time

import click

from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.options import DEFAULT_BOOTSTRAP, given_bootstrap, load_config
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.frame import FRAME_PREFIX
from minikafka.protocol.header import decode_response_header, encode_request_header
from minikafka.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

_VERSION = 0  # every broker speaks it, however old
_CORRELATION_ID = 1
_MAX_RESPONSE_BYTES = 1 << 20


@click.command()
@click.option("-b", "--bootstrap", metavar="HOST:PORT", help="The broker.  [default: the local one]")
@click.option("--timeout", "timeout_s", type=float, default=2.0, show_default=True, help="Seconds to wait for it.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@click.pass_context
def health(ctx: click.Context, bootstrap: str | None, timeout_s: float, quiet: bool) -> None:
    """Ask a broker what it serves, and succeed if it answers.

    Without -b it asks the broker of KAFKA_BOOTSTRAP_SERVERS, and in the container image the one that runs there.
    """
    address = (given_bootstrap(ctx, bootstrap) or _local_address()).split(",")[0]
    started = time.perf_counter()
    try:
        response = _ask(address, timeout_s)
    except (OSError, DecodeError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error
        raise Failure(f"no broker at {address}: {reason}", ExitCode.UNREACHABLE) from None
    if not quiet:
        milliseconds = (time.perf_counter() - started) * 1000
        click.echo(f"ok: {address} serves {len(response.api_keys)} APIs ({milliseconds:.0f} ms)")


def _local_address() -> str:
    """Where the broker of this container listens, since its port may be set there; else Kafka's usual address."""
    if not os.environ.get("MINIKAFKA_IMAGE"):
        return DEFAULT_BOOTSTRAP
    listener = load_config(None, ()).config.parsed_listeners()[0]
    host = "localhost" if listener.host in {"", "0.0.0.0", "::"} else listener.host
    return f"[{host}]:{listener.port}" if ":" in host else f"{host}:{listener.port}"


def _ask(address: str, timeout_s: float) -> ApiVersionsResponse:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Failure(f"{address!r} is not of the form HOST:PORT", ExitCode.USAGE)
    deadline = time.monotonic() + timeout_s
    with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as connection:
        connection.sendall(_request())
        (size,) = FRAME_PREFIX.unpack(_receive(connection, FRAME_PREFIX.size, deadline))
        if not 0 < size <= _MAX_RESPONSE_BYTES:
            raise DecodeError(f"an answer of {size} bytes; that is not Kafka's protocol")
        frame = memoryview(_receive(connection, size, deadline))
    _, position = decode_response_header(frame, ApiKey.API_VERSIONS, _VERSION)
    response = decode(ApiVersionsResponse, _VERSION, frame, position)
    if response.error_code:
        raise DecodeError(f"it answers with error {response.error_code}")
    return response


def _request() -> bytes:
    frame = encode_request_header(ApiKey.API_VERSIONS, _VERSION, _CORRELATION_ID, "minikafka-health")
    encode(ApiVersionsRequest(), _VERSION, frame)
    return FRAME_PREFIX.pack(len(frame)) + frame


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Exactly ``size`` bytes, whatever pieces they come in."""
    received = bytearray()
    while len(received) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(size - len(received))
        if not piece:
            raise ConnectionError("the connection was closed")
        received += piece
    return bytes(received)
