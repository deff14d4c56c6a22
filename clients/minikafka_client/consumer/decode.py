"""From what a fetch brought to messages."""

from __future__ import annotations

from minikafka.errors import CorruptMessage, KafkaError
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.record import iter_records
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import PartitionState

# Batches may hold one record each; so many messages are decoded at a time, for each time costs something too.
_ENOUGH_MESSAGES = 500

# What a batch may grow to when decompressed: beyond any that a sane producer writes, and short of a machine's memory.
MAX_DECOMPRESSED_BYTES = 512 * 1024 * 1024


def end_offset_of(records: memoryview) -> int | None:
    """The offset after the last whole batch; None when there is none.

    Raises:
        CorruptMessage: A batch has an impossible length.
        InvalidRecord: There is a message set of an old format.
    """
    end_offset = None
    for batch in iter_batches(records):
        end_offset = batch.next_offset
    return end_offset


def decode_ahead(state: PartitionState, *, check_crcs: bool) -> bool:
    """Decode some batches if no decoded messages are left; False when nothing was read ahead.

    Raises:
        CorruptMessage: The batch at the position fails its CRC.
        InvalidRecord: The batch at the position cannot be decoded.
    """
    while not state.has_messages:
        if not state.chunks:
            return False
        _decode_some(state, check_crcs=check_crcs)
    return True


def _decode_some(state: PartitionState, *, check_crcs: bool) -> None:
    """Decode batches at the start of the first chunk until there are enough messages, and cut them off."""
    chunk = state.chunks[0]
    messages: list[Message] = []
    end_offset = state.position
    decoded_bytes = 0
    for batch in iter_batches(chunk):
        if batch.next_offset > state.position and not batch.is_control:
            try:
                messages += _decode(batch, state, check_crcs=check_crcs)
            except KafkaError:
                if not messages:
                    raise
                break  # first the messages before it; the next call meets it again
        end_offset = max(end_offset, batch.next_offset)
        decoded_bytes += batch.size
        if len(messages) >= _ENOUGH_MESSAGES:
            break
    if decoded_bytes and decoded_bytes < len(chunk):
        state.chunks[0] = chunk[decoded_bytes:]
    else:
        state.chunks.popleft()  # all decoded, or the beginning of a batch that the next fetch brings whole
    state.set_messages(messages, end_offset)


def _decode(batch: RecordBatch, state: PartitionState, *, check_crcs: bool) -> list[Message]:
    where = state.topic_partition
    if check_crcs:
        try:
            batch.verify_crc()
        except CorruptMessage as error:
            raise CorruptMessage(f"{where} at offset {batch.base_offset}: {error}") from None
    make = tuple.__new__
    records = iter_records(batch, budget_bytes=MAX_DECOMPRESSED_BYTES)
    position = state.position
    if batch.base_offset >= position:
        return [make(Message, where + record) for record in records]
    return [make(Message, where + record) for record in records if record.offset >= position]
