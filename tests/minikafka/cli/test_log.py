from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from minikafka.records.control import ControlType, EndTransactionMarker, build_marker
from minikafka.storage import producer_snapshot, transaction_index
from minikafka.storage.producer_state import BatchMetadata, ProducerState
from minikafka.storage.transaction_index import AbortedTransaction
from tests.minikafka.cli.support import Invoke, serving
from tests.support.storage import make_batch

SEGMENT = "00000000000000000000.log"


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    """A partition of two batches: two records, one of them no text."""
    directory = tmp_path / "orders-0"
    directory.mkdir()
    (directory / SEGMENT).write_bytes(
        make_batch(b"one", b"\xff\x00", base_offset=0, leader_epoch=3)
        + make_batch(b"three", base_offset=2, leader_epoch=3)
    )
    return directory


def test_dump_shows_a_line_for_each_batch(partition: Path, invoke: Invoke) -> None:
    outcome = invoke("log", "dump", str(partition))
    assert outcome.code == 0
    head, first, second = outcome.out.splitlines()
    assert head.startswith(str(partition / SEGMENT))
    assert first.startswith("position 0  offsets 0-1  2 records  ")
    assert "  epoch 3  " in first
    assert "(CreateTime)  codec none  crc 0x" in first
    assert first.endswith(" ok")
    assert "  offsets 2-2  1 records  " in second


def test_dump_shows_the_records_when_they_are_wanted(partition: Path, invoke: Invoke) -> None:
    lines = invoke("log", "dump", "--records", str(partition / SEGMENT)).out.splitlines()
    records = [line.split("  ")[2:] for line in lines if line.startswith("    offset")]
    assert [fields[0] for fields in records] == ["offset 0", "offset 1", "offset 2"]
    assert [fields[-1] for fields in records] == ["value=one", "value=0xff00", "value=three"]


def test_dump_as_json_is_one_object_a_line(partition: Path, invoke: Invoke) -> None:
    lines = [
        json.loads(line) for line in invoke("log", "dump", "-o", "json", "--records", str(partition)).out.splitlines()
    ]
    assert [(line["base_offset"], line["last_offset"], line["crc_ok"]) for line in lines] == [
        (0, 1, True),
        (2, 2, True),
    ]
    assert [record["value"] for line in lines for record in line["records"]] == ["one", {"base64": "/wA="}, "three"]
    assert "records" not in json.loads(invoke("log", "dump", "-o", "json", str(partition)).out.splitlines()[0])


def test_dump_shows_markers_of_transactions(partition: Path, invoke: Invoke) -> None:
    marker = build_marker(EndTransactionMarker(ControlType.ABORT, 7), producer_id=9, producer_epoch=1, timestamp_ms=5)
    (partition / SEGMENT).write_bytes(marker)
    text = invoke("log", "dump", "--records", str(partition)).out
    assert "producer 9 epoch 1 " in text
    assert "  transactional  control  " in text
    assert "marker abort, coordinator epoch 7" in text


def test_dump_shows_a_wrong_crc_and_unreadable_records(partition: Path, invoke: Invoke) -> None:
    content = bytearray((partition / SEGMENT).read_bytes())
    content[61] = 0xFF
    (partition / SEGMENT).write_bytes(content)
    text = invoke("log", "dump", "--records", str(partition)).out
    assert text.splitlines()[1].endswith(" WRONG")
    assert "    unreadable: " in text
    first = json.loads(invoke("log", "dump", "--records", "-o", "json", str(partition)).out.splitlines()[0])
    assert first["crc_ok"] is False
    assert first["records_error"]


def test_dump_stops_at_what_is_no_batch(partition: Path, invoke: Invoke) -> None:
    segment = partition / SEGMENT
    segment.write_bytes(segment.read_bytes() + b"garbage" * 20)
    outcome = invoke("log", "dump", str(segment))
    assert outcome.code == 1
    assert "offsets 2-2" in outcome.out
    assert "no whole batch at position" in outcome.err


@pytest.mark.parametrize("name", ["notes.txt", "00000000000000000000.unknown"])
def test_dump_refuses_other_files(name: str, tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / name).write_text("x")
    outcome = invoke("log", "dump", str(tmp_path / name))
    assert outcome.code == 1
    assert "not a segment" in outcome.err


def test_dump_and_verify_refuse_a_directory_without_segments(tmp_path: Path, invoke: Invoke) -> None:
    for command in ("dump", "verify"):
        outcome = invoke("log", command, str(tmp_path))
        assert outcome.code == 1
        assert "holds no segments" in outcome.err


def test_dump_shows_the_producers_of_a_snapshot(tmp_path: Path, invoke: Invoke) -> None:
    snapshot = tmp_path / "00000000000000000100.snapshot"
    state = ProducerState(7, 2, last_timestamp_ms=5, batches=[BatchMetadata(9, 99, 3, 5)], transaction_first_offset=80)
    snapshot.write_bytes(producer_snapshot.encode([state]))
    assert invoke("log", "dump", str(snapshot)).out == (
        "producer_id 7  epoch 2  last_sequence 9  last_offset 99  last_timestamp_ms 5  coordinator_epoch -1  "
        "transaction_first_offset 80\n"
    )
    assert json.loads(invoke("log", "dump", "-o", "json", str(snapshot)).out)["last_offset"] == 99
    snapshot.write_bytes(b"x" * 20)
    assert "can be removed" in invoke("log", "dump", str(snapshot)).err


def test_dump_shows_the_aborted_transactions_of_a_segment(tmp_path: Path, invoke: Invoke) -> None:
    index = tmp_path / "00000000000000000100.txnindex"
    index.write_bytes(transaction_index.encode(AbortedTransaction(7, 110, 120, 121)))
    expected = {"producer_id": 7, "first_offset": 110, "last_offset": 120, "last_stable_offset": 121}
    assert json.loads(invoke("log", "dump", "-o", "json", str(index)).out) == expected


def test_dump_shows_the_entries_of_an_index(tmp_path: Path, invoke: Invoke) -> None:
    index = tmp_path / "00000000000000000100.index"
    index.write_bytes(bytes([0, 0, 0, 5, 0, 0, 16, 0]))
    assert invoke("log", "dump", str(index)).out == "offset 105  position 4096\n"
    assert json.loads(invoke("log", "dump", "-o", "json", str(index)).out) == {"offset": 105, "position": 4096}
    index.write_bytes(bytes([0, 0, 0, 5, 0, 0, 16, 0]) * 2)
    assert "out of order" in invoke("log", "dump", str(index)).err
    unnamed = tmp_path / "a.timeindex"
    unnamed.write_bytes(b"")
    assert "not named as an index" in invoke("log", "dump", str(unnamed)).err


def test_verify_says_ok_or_what_is_wrong(partition: Path, invoke: Invoke) -> None:
    outcome = invoke("log", "verify", str(partition))
    assert outcome.code == 0
    assert outcome.out.startswith(f"ok  {partition}  offsets 0 to 3 (exclusive), 1 segment, 2 batches, ")
    segment = partition / SEGMENT
    segment.write_bytes(segment.read_bytes()[:-1])
    outcome = invoke("log", "verify", str(partition))
    assert outcome.code == 1
    assert outcome.out.startswith(f"DAMAGED  {partition}  offsets 0 to 2 ")
    assert f"    torn: {SEGMENT} at position " in outcome.out
    (report,) = json.loads(invoke("log", "verify", "-o", "json", str(segment)).out)
    assert (report["end_offset"], report["problems"][0]["kind"]) == (2, "torn")


def test_repair_asks_first_and_then_cuts(partition: Path, invoke: Invoke) -> None:
    segment = partition / SEGMENT
    segment.write_bytes(segment.read_bytes()[:-1])
    size = segment.stat().st_size
    assert invoke("log", "verify", "--repair", str(partition), stdin=b"n\n").code == 1
    assert segment.stat().st_size == size
    repaired = invoke("log", "verify", "--repair", str(partition), stdin=b"y\n")
    assert repaired.code == 0
    assert "ends at offset 2 now" in repaired.err
    assert invoke("log", "verify", str(partition)).code == 0


def test_repair_of_a_single_file_is_wrong_usage(partition: Path, invoke: Invoke) -> None:
    outcome = invoke("log", "verify", "--repair", str(partition / SEGMENT))
    assert outcome.code == 2
    assert "directory of a partition" in outcome.err


def test_a_broker_serves_what_repair_left_of_a_log_that_it_refused(tmp_path: Path, invoke: Invoke) -> None:
    data = tmp_path / "data"
    segment = data / "orders-0" / SEGMENT
    with serving(tmp_path, "--data-dir", str(data)) as broker:
        for value in (b"one", b"two", b"three", b"four"):
            invoke("produce", "orders", "-b", broker.bootstrap, stdin=value)
        broker.end(signal.SIGKILL)
    content = bytearray(segment.read_bytes())
    content[content.index(b"two")] ^= 0xFF
    segment.write_bytes(content)

    assert invoke("log", "verify", str(data)).code == 1
    with serving(tmp_path, "--data-dir", str(data)) as broker:
        assert "another process holds it" in invoke("log", "verify", "--repair", "-y", str(data)).err
        broker.end(signal.SIGKILL)
    assert invoke("log", "verify", "--repair", "--yes", str(data)).code == 0
    with serving(tmp_path, "--data-dir", str(data)) as broker:
        read = invoke("consume", "orders", "-e", "-o", "raw", "-b", broker.bootstrap)
        assert (read.code, read.out) == (0, "one\n")
