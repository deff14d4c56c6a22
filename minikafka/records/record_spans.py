"""Where the records of a batch are, and their keys: what compaction looks at, without decoding the rest.

A record that stays is copied byte for byte, so that nothing is lost of it that is not understood here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from minikafka.errors import InvalidRecord
from minikafka.records.record_columns import WALK_AT_ONCE, Run, find_run
from minikafka.records.varint import decode_varint, decode_varlong, decode_zigzag, encode_varint, encode_varlong


@dataclass(slots=True)
class RecordSpans:
    """The records of one batch, by columns: the n-th entry of each is about the n-th record."""

    data: bytes
    """All records, not compressed."""
    starts: list[int] = field(default_factory=list)
    """Where each record begins in ``data``, and at last where they end."""
    offset_deltas: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    tombstones: list[int] = field(default_factory=list)
    """The numbers of the records that have no value, in order."""

    def __len__(self) -> int:
        return len(self.keys)

    def slice(self, number: int) -> bytes:
        """A record as it stands there, its length included."""
        return self.data[self.starts[number] : self.starts[number + 1]]

    def timestamp_delta(self, number: int) -> int:
        """The time of a record, to the base timestamp of the batch."""
        _, body = decode_zigzag(self.data, self.starts[number], 32)
        return decode_varlong(self.data, body + 1)[0]

    def shifted(self, number: int, shift_ms: int) -> bytes:
        """A record as :meth:`slice` gives it, for a batch whose base timestamp is ``shift_ms`` earlier."""
        data = self.data
        _, body = decode_zigzag(data, self.starts[number], 32)
        delta_ms, rest = decode_varlong(data, body + 1)
        record = b"".join(
            (data[body : body + 1], encode_varlong(delta_ms + shift_ms), data[rest : self.starts[number + 1]])
        )
        return encode_varint(len(record)) + record


def find_spans(data: bytes, count: int) -> RecordSpans:
    """Find ``count`` records, one after another.

    Raises:
        InvalidRecord: A record lies about its length or its parts, or something follows the last one.
    """
    spans = RecordSpans(data)
    pos = 0
    while (number := len(spans)) < count:
        run = find_run(data, pos, number, count - number)
        pos = _take_run(spans, pos, run) if run else _walk(spans, pos, min(count, number + WALK_AT_ONCE))
    if pos != len(data):
        raise InvalidRecord(f"{len(data) - pos} bytes follow the last record of a batch")
    spans.starts.append(pos)
    return spans


def _take_run(spans: RecordSpans, pos: int, run: Run) -> int:
    shape, data = run.shape, spans.data
    number = len(spans)
    end = pos + run.length * shape.stride
    spans.starts += range(pos, end, shape.stride)
    spans.offset_deltas += range(number, number + run.length)
    if shape.value_size < 0:
        spans.tombstones += range(number, number + run.length)
    size = shape.key_size
    keys: Sequence[bytes | None] = (
        [None] * run.length
        if size < 0
        else [data[start : start + size] for start in range(pos + shape.key_at, end, shape.stride)]
    )
    spans.keys += keys
    return end


def _walk(spans: RecordSpans, pos: int, end_number: int) -> int:
    """Find the records up to ``end_number``, the next of them at ``pos``; the position after the last one."""
    data = spans.data
    try:
        while (number := len(spans)) < end_number:
            spans.starts.append(pos)
            length, body = decode_varint(data, pos)
            end = body + length
            offset_delta, pos = decode_varint(data, decode_zigzag(data, body + 1, 64)[1])
            key_size, pos = decode_varint(data, pos)
            key = None
            if key_size >= 0:
                key = data[pos : pos + key_size]
                pos += key_size
            value_size, pos = decode_varint(data, pos)
            if length < 0 or key_size < -1 or value_size < -1 or pos + max(value_size, 0) >= end or end > len(data):
                raise InvalidRecord(f"record {number} does not end where its length says")
            if value_size < 0:
                spans.tombstones.append(number)
            spans.offset_deltas.append(offset_delta)
            spans.keys.append(key)
            pos = end
    except IndexError:
        raise InvalidRecord(f"record {len(spans)} goes on after the end of its batch") from None
    return pos
