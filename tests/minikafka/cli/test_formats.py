from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.cli.formats import FORMATS, formatter, shown
from minikafka.records.record import Header
from minikafka_client.consumer.message import Message

CONTENT = st.none() | st.binary(max_size=80) | st.text(max_size=30).map(str.encode)
HEADERS = st.lists(st.builds(Header, st.text(max_size=8), CONTENT), max_size=3).map(tuple)
MESSAGES = st.builds(
    Message,
    topic=st.from_regex(r"[a-z.]{1,8}", fullmatch=True),
    partition=st.integers(0, 99),
    offset=st.integers(0, 2**62),
    timestamp_ms=st.integers(-1, 4_102_444_800_000),
    key=CONTENT,
    value=CONTENT,
    headers=HEADERS,
)


def written(name: str, *messages: Message) -> bytes:
    return formatter(name, is_colored=False)(messages)


def content(value: Any) -> bytes | None:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return None if value is None else value.encode()


@given(MESSAGES)
def test_json_holds_every_byte_of_a_message(message: Message) -> None:
    line = json.loads(written("json", message))
    headers = tuple(Header(header["key"], content(header["value"])) for header in line["headers"])
    assert (line["topic"], line["partition"], line["offset"]) == message[:3]
    assert line["timestamp_ms"] == message.timestamp_ms
    assert (content(line["key"]), content(line["value"]), headers) == message[4:]


@given(st.lists(MESSAGES, max_size=4), st.sampled_from(["json", "pretty"]))
def test_every_message_is_one_line_without_control_characters(messages: list[Message], name: str) -> None:
    text = written(name, *messages).decode()
    assert text.count("\n") == len(messages)
    if name == "pretty":
        assert text.replace("\n", "").isprintable()


def test_raw_is_the_value_and_a_line_end() -> None:
    messages = [Message("t", 0, 0, 0, b"k", value) for value in (b"\xff\x00", None, b"", b"text")]
    assert written("raw", *messages) == b"\xff\x00\n\n\ntext\n"


def test_pretty_shows_place_key_value_and_headers() -> None:
    message = Message(
        "orders", 1, 4211, 0, b"alice", b'{"item": "tea"}', (Header("trace", b"00-4b"), Header("n", None))
    )
    line = written("pretty", message).decode()
    assert 'orders[1] @ 4211  key=alice  {"item": "tea"}   headers: trace=00-4b n=null\n' in line
    assert written("pretty", message._replace(key=None, value=None, headers=())).decode().endswith("4211  null\n")


def test_colors_are_only_put_on_when_they_are_asked_for() -> None:
    message = Message("t", 0, 0, 0, b"k", b"v")
    assert "\x1b[" not in written("pretty", message).decode()
    assert "\x1b[" in formatter("pretty", is_colored=True)([message]).decode()


@pytest.mark.parametrize("name", FORMATS)
def test_no_messages_are_no_bytes(name: str) -> None:
    assert written(name) == b""


def test_bytes_that_are_no_text_are_shown_in_hexadecimal_up_to_a_length() -> None:
    assert shown(b"\xff\x01") == "0xff01"
    assert shown(b"\xff" * 65) == "0x" + "ff" * 64 + "... (65 bytes)"
