"""Requests as bytes, and the plain blocking socket they go through.

Every request of a load is encoded before the clock starts.  Only its correlation id is written anew each time, so that
the load costs far less than the broker it is put on; and every broker gets the same bytes.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TypeVar

from minikafka.errors import ErrorCode
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.frame import FRAME_PREFIX
from minikafka.protocol.header import decode_response_header, encode_request_header
from minikafka.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from minikafka.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from minikafka.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from minikafka.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from minikafka.protocol.schema import Message, Request
from minikafka.records.builder import RecordBatchBuilder

Buffer = bytes | bytearray | memoryview
R = TypeVar("R", bound=Message)

PRODUCE_VERSION = 9
FETCH_VERSION = 12
"""The flexible encoding, and topics by name: every broker here has these versions."""

CORRELATION_ID = struct.Struct(">i")
CORRELATION_ID_AT = 8
"""Its place in the frame of a request, behind size, API key and version."""

_CLIENT_ID = "benchmark"
_CREATE_TOPICS_VERSION = 5
_DELETE_TOPICS_VERSION = 4
_METADATA_VERSION = 9
_REQUEST_TIMEOUT_MS = 30_000
_SOCKET_TIMEOUT_S = 60.0
_RECORDS_PER_MS = 10
_LEADERS_TIMEOUT_S = 60.0


class WrongAnswer(Exception):
    """A broker answered with an error, or with what cannot be: the run counts for nothing."""


def record_batch(records: int, record_bytes: int) -> bytes:
    """A batch as a producer makes it: records without key, of equal size and different content."""
    now_ms = int(time.time() * 1000)
    builder = RecordBatchBuilder()
    for i in range(records):
        value = (f"{i:08d}".encode() * (record_bytes // 8 + 1))[:record_bytes]
        builder.append(now_ms + i // _RECORDS_PER_MS, None, value)
    return builder.build()


def request_frame(request: Message, version: int, correlation_id: int = 0) -> bytearray:
    """A request with its header, and its size in front."""
    body = encode_request_header(request.API_KEY, version, correlation_id, _CLIENT_ID)
    encode(request, version, body)
    return bytearray(FRAME_PREFIX.pack(len(body))) + body


def produce_frame(topic: str, partition: int, batch: bytes) -> list[Buffer]:
    """The request to append ``batch`` to one partition with acks=all, as buffers: the first can be written to."""
    data = PartitionProduceData(index=partition, records=batch)
    request = ProduceRequest(
        acks=-1, timeout_ms=_REQUEST_TIMEOUT_MS, topic_data=[TopicProduceData(name=topic, partition_data=[data])]
    )
    frame = request_frame(request, PRODUCE_VERSION)
    start = frame.index(batch)
    return [frame[:start], batch, bytes(frame[start + len(batch) :])]


def produce_answer_layout(topic: str, frame_bytes: int) -> struct.Struct:
    """How to unpack size, correlation id, error code and base offset from an answer of ``frame_bytes``.

    Brokers differ only in what follows these fields.
    """
    partition = PartitionProduceResponse(index=0, error_code=0x0102, base_offset=0)
    answer = ProduceResponse(responses=[TopicProduceResponse(name=topic, partition_responses=[partition])])
    body = bytearray()
    encode(answer, PRODUCE_VERSION, body)
    tags_of_header = 1
    before = tags_of_header + body.index(b"\x01\x02")
    layout = f">ii{before}xhq"
    return struct.Struct(f"{layout}{frame_bytes - struct.calcsize(layout)}x")


def fetch_frame(topic: str, offsets: dict[int, int], partition_max_bytes: int) -> bytearray:
    """The request of a consumer with Kafka's defaults, for some partitions and from these offsets."""
    partitions = [
        FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=partition_max_bytes)
        for partition, offset in offsets.items()
    ]
    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=50 * 1024 * 1024,
        topics=[FetchTopic(topic=topic, partitions=partitions)],
    )
    return request_frame(request, FETCH_VERSION)


def connect(host: str, port: int) -> socket.socket:
    """A blocking socket that sends at once."""
    sock = socket.create_connection((host, port), timeout=_SOCKET_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive_exactly(sock: socket.socket, target: memoryview) -> None:
    """Fill ``target``.

    Raises:
        WrongAnswer: The broker has closed the connection.
    """
    received = 0
    while received < len(target):
        n_bytes = sock.recv_into(target[received:])
        if n_bytes == 0:
            raise WrongAnswer("the broker closed the connection")
        received += n_bytes


def receive_frame(sock: socket.socket) -> memoryview:
    """The next answer, with its size."""
    prefix = bytearray(FRAME_PREFIX.size)
    receive_exactly(sock, memoryview(prefix))
    frame = memoryview(prefix + bytes(FRAME_PREFIX.unpack(prefix)[0]))
    receive_exactly(sock, frame[FRAME_PREFIX.size :])
    return frame


def ask(sock: socket.socket, request: Request[R], version: int, response_class: type[R]) -> R:
    """Send one request and wait for its answer."""
    sock.sendall(request_frame(request, version))
    frame = receive_frame(sock)[FRAME_PREFIX.size :]
    _, body_at = decode_response_header(frame, request.API_KEY, version)
    return decode(response_class, version, frame, body_at)


def create_topic(host: str, port: int, topic: str, partitions: int) -> None:
    """Make a topic, and wait until every partition of it has a leader.

    Raises:
        WrongAnswer: It could not be made.
    """
    with connect(host, port) as sock:
        wanted = CreatableTopic(name=topic, num_partitions=partitions, replication_factor=1, assignments=[], configs=[])
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=_REQUEST_TIMEOUT_MS)
        answer = ask(sock, request, _CREATE_TOPICS_VERSION, CreateTopicsResponse)
        check(answer.topics[0].error_code, f"creating {topic}")
        give_up_at = time.monotonic() + _LEADERS_TIMEOUT_S
        while not is_led(sock, topic, partitions):
            if time.monotonic() > give_up_at:
                raise WrongAnswer(f"{topic} has no leaders")
            time.sleep(0.01)


def delete_topic(host: str, port: int, topic: str) -> None:
    """Remove a topic.

    Raises:
        WrongAnswer: It could not be removed.
    """
    request = DeleteTopicsRequest(topic_names=[topic], timeout_ms=_REQUEST_TIMEOUT_MS)
    with connect(host, port) as sock:
        answer = ask(sock, request, _DELETE_TOPICS_VERSION, DeleteTopicsResponse)
    check(answer.responses[0].error_code, f"deleting {topic}")


def is_led(sock: socket.socket, topic: str, partitions: int) -> bool:
    """Whether the broker says that it leads ``partitions`` partitions of a topic."""
    request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
    answer = ask(sock, request, _METADATA_VERSION, MetadataResponse)
    found = answer.topics[0]
    return found.error_code == 0 and sum(each.error_code == 0 for each in found.partitions) == partitions


def check(error_code: int, what: str) -> None:
    """Pass only success.

    Raises:
        WrongAnswer: ``error_code`` is not 0.
    """
    if error_code:
        name = ErrorCode(error_code).name if error_code in set(ErrorCode) else str(error_code)
        raise WrongAnswer(f"{what}: {name}")
