"""Checking records one by one, whatever their shapes.

Every record of a produced batch is checked, so that this is a broker's hottest loop: a call costs as much as five of
its lines, and varints of one and two bytes are decoded in line.
"""

from __future__ import annotations

from minikafka.errors import InvalidRecord
from minikafka.records.varint import decode_varint, decode_zigzag


def walk_records(  # noqa: C901, PLR0912, PLR0915 - in line, see above
    data: bytes | memoryview, pos: int, start_index: int, end_index: int, keyless: list[int] | None
) -> int:
    """Check the records from ``start_index`` up to ``end_index`` (exclusive), the first of them at ``pos``.

    Args:
        data: All records of the batch, not compressed.
        pos: Where the first record to be checked starts.
        start_index: Its index in the batch, which its offset delta must be.
        end_index: Of the first record not to be checked.
        keyless: Where to note the indices of records that have no key; None when nobody asks.

    Returns:
        The position after the last record.

    Raises:
        InvalidRecord: A record lies about its length, its parts or its offset.
    """
    index = start_index
    try:
        for index in range(start_index, end_index):
            length = data[pos]
            if length < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                length += (following << 7) - 0x80  # less the bit that says that another byte follows
                pos += 2
            else:
                length, pos = decode_zigzag(data, pos, 32)
            end = pos + (length >> 1)

            pos += 1  # the attributes
            if data[pos] < 0x80:
                pos += 1
            elif data[pos + 1] < 0x80:
                pos += 2
            else:
                _, pos = decode_zigzag(data, pos, 64)

            offset = data[pos]
            if offset < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                offset += (following << 7) - 0x80
                pos += 2
            else:
                offset, pos = decode_zigzag(data, pos, 32)
            if offset != index << 1:
                raise InvalidRecord(f"the offset delta of record {index} is not {index}")

            size = data[pos]
            if size < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                size += (following << 7) - 0x80
                pos += 2
            else:
                size, pos = decode_zigzag(data, pos, 32)
            if size & 1:
                if size != 1:
                    raise InvalidRecord(f"the length of the key of record {index} is negative")
                if keyless is not None:
                    keyless.append(index)
            pos += size >> 1  # which is 0 for null

            size = data[pos]
            if size < 0x80:
                pos += 1
            elif (following := data[pos + 1]) < 0x80:
                size += (following << 7) - 0x80
                pos += 2
            else:
                size, pos = decode_zigzag(data, pos, 32)
            if size & 1 and size != 1:
                raise InvalidRecord(f"the length of the value of record {index} is negative")
            pos += size >> 1  # which is 0 for null

            if data[pos]:
                pos = skip_headers(data, pos, end)
            else:
                pos += 1
            if pos != end or length & 1:
                raise InvalidRecord(f"record {index} does not end where its length says")
    except IndexError:
        raise InvalidRecord(f"record {index} goes on after the end of its batch") from None
    return pos


def skip_headers(data: bytes | memoryview, pos: int, end: int) -> int:
    """Check the headers of a record, whose count is at ``pos``.

    Returns:
        The position after the last header, never after ``end``.

    Raises:
        InvalidRecord: The count or a length is negative, or more than is left before ``end``.
        IndexError: ``data`` ends within a length.
    """
    count, pos = decode_varint(data, pos)
    if not 0 <= count <= end - pos:
        raise InvalidRecord(f"a record claims {count} headers, {end - pos} bytes are left")
    for _ in range(count):
        size, pos = decode_varint(data, pos)
        if not 0 <= size <= end - pos:
            raise InvalidRecord(f"the key of a header claims {size} bytes, {end - pos} are left")
        size, pos = decode_varint(data, pos + size)
        if not -1 <= size <= end - pos:
            raise InvalidRecord(f"the value of a header claims {size} bytes, {end - pos} are left")
        pos += max(size, 0)
    return pos
