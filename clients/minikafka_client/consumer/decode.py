"""From what a fetch brought to messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice

from minikafka.errors import CorruptMessage, KafkaError
from minikafka.records.batch import RecordBatch, iter_batches
from minikafka.records.record import iter_records_as
from minikafka_client.consumer.message import Message
from minikafka_client.consumer.positions import PartitionState
from minikafka_client.errors import DeserializationError
from minikafka_client.serializers import Deserializer

# So many messages are decoded at a time.  Batches may hold one record each, and each time costs something; but of more
# than the garbage collector lets come into being before it has a look (700), it would look at every single one.
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
        state.set_messages([], end_offset)  # let go of the last ones first: the next will be in their memory
        decoded_bytes = 0
        try:
            for batch in iter_batches(chunk.records):
                if chunk.rest is None:
                    self._verify(batch, state)
                    is_seen = not chunk.hides(batch) and batch.next_offset > state.position
                    chunk.rest = self._messages_of(batch, state) if is_seen else iter(())
                messages += islice(chunk.rest, _ENOUGH_MESSAGES - len(messages))
                if len(messages) >= _ENOUGH_MESSAGES:
                    end_offset = messages[-1].offset + 1
                    break
                chunk.rest = None
                end_offset = max(end_offset, batch.next_offset)
                decoded_bytes += batch.size
        except KafkaError as error:
            chunk.rest = None
            failure = error
        if decoded_bytes:
            chunk.cut(decoded_bytes)
        elif failure is None and chunk.rest is None:
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

    def _messages_of(self, batch: RecordBatch, state: PartitionState) -> Iterator[Message]:
        """The messages of a batch from the position on."""
        position = state.position
        messages = iter_records_as(Message, state.topic_partition, batch, budget_bytes=MAX_DECOMPRESSED_BYTES)
        if batch.base_offset < position:
            messages = dropwhile(lambda message: message.offset < position, messages)
        if self.key_deserializer is None and self.value_deserializer is None:
            return messages
        return map(self._deserialized, messages)

    def _deserialized(self, message: Message) -> Message:
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
        return message._replace(key=key, value=value)
