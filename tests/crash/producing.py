"""Idempotent and transactional producers in the crash states: what they write, and what a log has to know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from minikafka.records.batch import RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.control import ControlType, EndTransactionMarker, marker_of
from minikafka.storage.append import PreparedBatch, prepare_marker
from minikafka.storage.log import Log

_PRODUCERS = (1, 2, 3)


def some_producers_batch(random: Random, log: Log, values: Sequence[bytes], now_ms: int) -> PreparedBatch:
    """The next batch of one of the producers: of its transaction when one is open, and now and then of a new epoch."""
    states = log.producers.states
    producer_id = random.choice(_PRODUCERS)
    state = states.get(producer_id)
    epoch = sequence = 0
    is_transactional = random.random() < 0.5
    if state is not None:
        is_transactional = is_transactional or state.has_transaction
        epoch, sequence = max(state.epoch, 0), state.next_sequence
        if not state.has_transaction and random.random() < 0.1:
            epoch, sequence = epoch + 1, 0
    builder = RecordBatchBuilder(
        producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence, is_transactional=is_transactional
    )
    for number, value in enumerate(values):
        builder.append(now_ms + number, None, value)
    batch = RecordBatch.parse(memoryview(builder.build()))
    guard = states.begin_verification(batch, bumps_epochs=False, now_ms=now_ms) if is_transactional else None
    return PreparedBatch(batch, guard=guard)


def some_marker(random: Random, log: Log, now_ms: int) -> PreparedBatch | None:
    """The end of one of the open transactions; None when none is open."""
    found = [state for state in log.producers.states.all if state.has_transaction]
    if not found:
        return None
    state = random.choice(found)
    end = EndTransactionMarker(random.choice((ControlType.ABORT, ControlType.COMMIT)), coordinator_epoch=0)
    return prepare_marker(end, producer_id=state.producer_id, producer_epoch=state.epoch, now_ms=now_ms)


@dataclass
class _Producer:
    """What the batches say of a producer, read one after another."""

    epoch: int
    last_sequence: int | None = None
    transaction_at: int | None = None


def producer_faults(log: Log, batches: Iterable[RecordBatch]) -> Iterator[str]:
    """Where what a log knows of its producers is not what its batches say."""
    producers, aborted = _what_batches_say(batches)
    for producer_id, producer in producers.items():
        state = log.producers.states.get(producer_id)
        if state is None:
            yield f"producer {producer_id} is not known"
        elif state.epoch != producer.epoch or producer.last_sequence not in {None, state.last_sequence}:
            yield f"producer {producer_id} is {state!r}, its batches say {producer}"
        elif state.has_transaction != (producer.transaction_at is not None):
            yield f"the transaction of producer {producer_id} is open, or it is not"
    start_offset = log.log_start_offset
    known = {(one.producer_id, one.last_offset): one for one in log.find_aborted(start_offset, log.log_end_offset)}
    for key, first_offset in aborted.items():
        # A transaction may have begun before the first batch that is left.
        if key not in known or known[key].first_offset > first_offset:
            yield f"the abort at {key[1]} is not known"
    for key, one in known.items():
        if key not in aborted and one.first_offset >= start_offset:
            yield f"an abort at {key[1]} is known that nobody wrote"


def _what_batches_say(
    batches: Iterable[RecordBatch],
) -> tuple[dict[int, _Producer], dict[tuple[int, int], int]]:
    """The producers by id; and of the aborted transactions producer id and offset of the marker, to first offset."""
    producers: dict[int, _Producer] = {}
    aborted: dict[tuple[int, int], int] = {}
    for batch in batches:
        if not batch.has_producer_id:
            continue
        producer = producers.get(batch.producer_id)
        if producer is None or producer.epoch != batch.producer_epoch:
            producer = producers[batch.producer_id] = _Producer(batch.producer_epoch)
        if batch.is_control:
            marker = marker_of(batch)
            if marker is not None and marker.type is ControlType.ABORT and producer.transaction_at is not None:
                aborted[batch.producer_id, batch.base_offset] = producer.transaction_at
            producer.transaction_at = None
            continue
        producer.last_sequence = batch.last_sequence
        if batch.is_transactional and producer.transaction_at is None:
            producer.transaction_at = batch.base_offset
    return producers, aborted
