import io
import json
import subprocess
import sys

import pytest

from minikafka.observability.logging import configure, get_logger


@pytest.fixture
def stream():
    made = io.StringIO()
    yield made
    configure("pretty", "warning")


def test_json_lines_carry_the_event_its_fields_and_where_they_come_from(stream):
    configure("json", "info", stream)
    get_logger("a.module").info("segment_rolled", topic="orders", base_offset=7)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "segment_rolled",
        "level": "info",
        "logger": "a.module",
        "topic": "orders",
        "base_offset": 7,
    }


def test_what_is_below_the_level_is_not_logged(stream):
    configure("json", "warning", stream)
    log = get_logger("a.module")
    log.info("no")
    log.warning("yes")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_a_logger_follows_a_later_configuration(stream):
    configure("json", "error", stream)
    log = get_logger("a.module")
    log.info("before")
    configure("json", "debug", stream)
    log.debug("after")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["after"]


def test_an_exception_is_logged_with_its_traceback(stream):
    configure("json", "info", stream)
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("a.module").exception("it_failed")
    line = json.loads(stream.getvalue())
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("style", ["json", "pretty"])
def test_control_characters_of_a_client_reach_no_terminal(stream, style):
    configure(style, "info", stream)
    get_logger("a.module").info("hello", client_id="x\x1b[2J\nfaked line")
    text = stream.getvalue()
    assert "\x1b[2J" not in text
    assert text.count("\n") == 1


def test_values_that_json_does_not_know_are_logged_as_text(stream):
    configure("json", "info", stream)
    get_logger("a.module").info("hello", path=object)
    assert json.loads(stream.getvalue())["path"] == repr(object)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="unknown log level loud"):
        configure("json", "loud")


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_nothing_is_imported_before_the_first_line_and_rich_never():
    code = """
import sys
from minikafka.observability.logging import configure, get_logger
log = get_logger("m")
configure("pretty", "info")
log.debug("not logged")
assert "structlog" not in sys.modules
log.info("started")
assert "structlog" in sys.modules
assert "rich" not in sys.modules
import rich
"""
    assert "started" in run(code).stderr


def test_an_unconfigured_process_logs_warnings_to_standard_error():
    result = run(
        "from minikafka.observability.logging import get_logger; log = get_logger('m'); log.info('a'); log.warning('b')"
    )
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
