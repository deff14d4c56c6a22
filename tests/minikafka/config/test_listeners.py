import pytest

from minikafka.config.definition import ConfigError
from minikafka.config.listeners import Listener, parse_listeners, parse_protocol_map


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("PLAINTEXT://localhost:9092", Listener("PLAINTEXT", "localhost", 9092)),
        ("plaintext://:0", Listener("PLAINTEXT", "", 0)),
        ("INTERNAL_1://[::1]:9092", Listener("INTERNAL_1", "::1", 9092)),
        ("PLAINTEXT://0.0.0.0:65535", Listener("PLAINTEXT", "0.0.0.0", 65_535)),
    ],
)
def test_a_listener_is_read(text, listener):
    assert parse_listeners("listeners", [text]) == (listener,)


@pytest.mark.parametrize(
    "text", ["localhost:9092", "PLAINTEXT://::1:9092", "PLAINTEXT://h:65536", "PLAINTEXT://h:", "://h:1", "A://h:-1"]
)
def test_what_is_no_listener_is_refused(text):
    with pytest.raises(ConfigError, match="configuration listeners"):
        parse_listeners("listeners", [text])


def test_a_listener_is_printed_as_it_is_written():
    assert str(Listener("A", "::1", 1)) == "A://[::1]:1"
    assert str(Listener("A", "h", 1)) == "A://h:1"


def test_names_of_the_protocol_map_do_not_depend_on_case():
    assert parse_protocol_map(["a:plaintext", "B:SSL"]) == {"A": "PLAINTEXT", "B": "SSL"}
