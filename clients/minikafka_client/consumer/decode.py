"""From what a fetch brought to messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minikafka.errors import CorruptMessage, KafkaError
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.record import iter_records_as
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import PartitionState
from minikafka_client.errors import DeserializationError
from minikafka_client.serializers import Deserializer

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


@dataclass(frozen=True, slots=True)
class Decoder:
    """How a consumer makes messages of batches.

    Attributes:
        check_crcs: Verify the checksum of every batch.
        key_deserializer: Makes a message's key of its bytes; None leaves them as they are.
        value_deserializer: The same for values.
    """

    check_crcs: bool = True
    key_deserializer: Deserializer | None = None
    value_deserializer: Deserializer | None = None

    def decode_ahead(self, state: PartitionState) -> bool:
        """Decode some batches if no decoded messages are left; False when nothing was read ahead.

        Raises:
            CorruptMessage: The batch at the position fails its CRC.
            InvalidRecord: The batch at the position cannot be decoded.
            DeserializationError: A deserializer fails at the message at the position.
        """
        while not state.has_messages:
            if not state.chunks:
                return False
            self._decode_some(state)
        return True

    def _decode_some(self, state: PartitionState) -> None:
        """Decode batches at the start of the first chunk until there are enough messages, and cut them off.

        A failure comes after the messages before it: what it concerns is left there, to be met again at the position.
        """
        chunk = state.chunks[0]
        messages: list[Message] = []
        failure: KafkaError | None = None
        end_offset = state.position
        decoded_bytes = 0
        try:
            for batch in iter_batches(chunk.records):
                self._verify(batch, state)
                if not chunk.hides(batch) and batch.next_offset > state.position:
                    self._add_messages(messages, batch, state)
                end_offset = max(end_offset, batch.next_offset)
                decoded_bytes += batch.size
                if len(messages) >= _ENOUGH_MESSAGES:
                    break
        except KafkaError as error:
            failure = error
        if decoded_bytes:
            chunk.cut(decoded_bytes)
        elif failure is None:
            state.chunks.popleft()  # all decoded, or the beginning of a batch that the next fetch brings whole
        if failure is not None and messages:
            end_offset = max(end_offset, messages[-1].offset + 1)
        state.set_messages(messages, end_offset)
        if failure is not None and not messages:
            raise failure

    def _verify(self, batch: RecordBatch, state: PartitionState) -> None:
        if self.check_crcs:
            try:
                batch.verify_crc()
            except CorruptMessage as error:
                raise CorruptMessage(f"{state.topic_partition} at offset {batch.base_offset}: {error}") from None

    def _add_messages(self, messages: list[Message], batch: RecordBatch, state: PartitionState) -> None:
        position = state.position
        # All of the batch, or none if it is corrupt.
        decoded = list(iter_records_as(Message, state.topic_partition, batch, budget_bytes=MAX_DECOMPRESSED_BYTES))
        if batch.base_offset < position:
            decoded = [message for message in decoded if message.offset >= position]
        if self.key_deserializer is None and self.value_deserializer is None:
            messages += decoded
        else:
            self._add_deserialized(messages, decoded)

    def _add_deserialized(self, messages: list[Message], decoded: Iterable[Message]) -> None:
        for message in decoded:
            key, value = message.key, message.value
            part = "key"
            try:
                if self.key_deserializer is not None:
                    key = self.key_deserializer(key)
                part = "value"
                if self.value_deserializer is not None:
                    value = self.value_deserializer(value)
            except Exception as error:
                # Some errors tell all that they were given, which may be a megabyte.
                why = f"the {part} cannot be deserialized: {type(error).__name__}: {error!s:.200}"
                raise DeserializationError(message, why) from error
            messages.append(message._replace(key=key, value=value))
