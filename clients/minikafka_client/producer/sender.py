"""Sending batches to the leaders of their partitions, and sending them again until their time is up.

Order is kept through failures: after one, the partition sends nothing until everything that is on its way has been
answered, and then starts again with the first batch that was not stored.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

from minikafka.errors import ErrorCode, KafkaError, MessageTooLarge, RequestTimedOut
from minikafka.net.connection import Connection
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from minikafka.types import NO_LEADER, NO_OFFSET, NO_TIMESTAMP, TopicPartition
from minikafka_client.cluster import Cluster
from minikafka_client.connections import Lane
from minikafka_client.errors import NETWORK_ERRORS, error_from_code, is_retriable
from minikafka_client.producer.accumulator import Accumulator, PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.sequencer import PRODUCE_VERSION, Sequencer, is_lost_count

_log = logging.getLogger(__name__)

# While a batch is on its way, the next one gathers records for this long, whatever the linger: otherwise a partition
# under load would travel in batches of one.
_GATHER_S = 0.005

_REQUEST_OVERHEAD_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """What the sender needs of the producer's options."""

    acks: int
    linger_ms: float
    delivery_timeout_ms: int
    max_request_size: int
    max_in_flight_requests_per_connection: int


class _Request(NamedTuple):
    """Where batches go together."""

    node_id: int
    connection: Connection
    batches: list[ProducerBatch]


class Sender:
    """Decides what goes out when, whenever something has happened that may change it."""

    def __init__(
        self, cluster: Cluster, accumulator: Accumulator, sequencer: Sequencer | None, options: SenderOptions
    ) -> None:
        self._cluster = cluster
        self._accumulator = accumulator
        self._sequencer = sequencer
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._is_woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._flushing = 0
        self._in_flight: Counter[int] = Counter()  # requests, by node
        self._connecting: set[int] = set()
        self._paused_until: dict[int, float] = {}  # by node, after a connection could not be opened
        self._is_acquiring = False
        self._tasks: set[asyncio.Task[None]] = set()
        cluster.on_update(self.wake)
        self.wake()

    def wake(self) -> None:
        """Look again at what is due; from any thread."""
        if self._is_woken:
            return
        self._is_woken = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._wake_up)
        else:
            self._loop.call_soon_threadsafe(self._wake_up)

    async def flush(self) -> None:
        """Send what is there without lingering, and wait until each batch is stored or given up."""
        self._flushing += 1
        try:
            self._send_what_is_due()
            for batch in list(self._accumulator.unfinished):
                await batch.finished()
        finally:
            self._flushing -= 1

    def forget_failures(self) -> None:
        """Report nothing of what was given up."""
        self._accumulator.take_failures()

    async def stop(self, reason: Exception, timeout_ms: int | None) -> None:
        """Flush, and stop; batches that are not stored within ``timeout_ms`` fail with ``reason``."""
        # Not in the producer: compiled, it would hold on to the cancellation that the time-out is made of.
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1_000):
                await self.flush()
        except TimeoutError:
            _log.warning("the producer was closed before everything was stored")
        finally:
            await self._close(reason)

    async def _close(self, reason: Exception) -> None:
        self._is_closed = True
        self._look_again_at(inf)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._accumulator.end(reason)

    # What is due

    def _wake_up(self) -> None:
        if self._is_woken:  # nobody has looked since
            self._send_what_is_due()

    def _send_what_is_due(self) -> None:
        """Start every request that can be, and see to it that somebody looks again in time."""
        if self._is_closed:
            return
        self._is_woken = False
        look_again_at = 0.0
        while look_again_at <= time.monotonic():
            look_again_at = self._look()
        self._look_again_at(look_again_at)

    def _look_again_at(self, when: float) -> None:
        """Whatever happens, and unless that changes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when < inf:
            self._timer = self._loop.call_later(max(0.0, when - time.monotonic()), self._send_what_is_due)

    def _look(self) -> float:
        """Send the next batch of each partition, if it is due; when to look again if nothing happens before."""
        queues = self._accumulator.look()
        if self._sequencer is not None:
            if self._sequencer.failure is not None:
                self._discard(queues, self._sequencer.failure)
            elif not self._sequencer.is_ready:
                return self._acquire_producer_id(self._sequencer)
        now = time.monotonic()
        look_again_at = inf
        requests: dict[int, _Request] = {}
        for queue in queues:
            due_at = self._due_at(queue, now)
            if due_at <= now:
                due_at = self._load(queue, requests, now)
            look_again_at = min(look_again_at, due_at)
        for request in requests.values():
            self._send(request)
        return look_again_at

    def _due_at(self, queue: PartitionQueue, now: float) -> float:
        """When the first batch that is not on its way should leave; never, when something else must happen before."""
        if not self._settle(queue, now):
            return inf
        oldest = queue.ready[0] if queue.ready else queue.open
        if oldest is None:
            self._accumulator.rest(queue)
            return inf
        expires_at = oldest.created_at + self._options.delivery_timeout_ms / 1_000
        if queue.not_before > now:
            return min(queue.not_before, expires_at)
        if queue.ready or self._flushing or self._accumulator.waiting_senders:
            return now
        wait_s = self._options.linger_ms / 1_000
        if queue.in_flight:
            wait_s = max(wait_s, _GATHER_S)
        return min(oldest.created_at + wait_s, expires_at)

    def _settle(self, queue: PartitionQueue, now: float) -> bool:
        """Line up again what failed, give up what is too old; False while answers must be waited for before."""
        if queue.failed:
            if queue.in_flight:
                return False
            queue.ready.extendleft(reversed(queue.failed))
            queue.failed.clear()
        self._expire(queue, now)
        if queue.must_renumber and self._sequencer is not None:
            if queue.in_flight:
                return False
            self._sequencer.start_over(queue)
        return True

    def _expire(self, queue: PartitionQueue, now: float) -> None:
        created_before = now - self._options.delivery_timeout_ms / 1_000
        if queue.open is not None and queue.open.created_at <= created_before:
            self._accumulator.close_open(queue)
        while queue.ready and queue.ready[0].created_at <= created_before:
            batch = queue.ready.popleft()
            self._give_up(batch, self._timed_out(batch))

    def _load(self, queue: PartitionQueue, requests: dict[int, _Request], now: float) -> float:
        """Put the next batch of ``queue`` on the request to its leader; when there may be more to do."""
        node_id = self._cluster.metadata.leader_of(queue.topic, queue.partition)
        if node_id == NO_LEADER:
            self._cluster.refresh_soon()
            return inf
        paused_until = self._paused_until.get(node_id, 0.0)
        if paused_until > now:
            return paused_until
        if self._in_flight[node_id] >= self._options.max_in_flight_requests_per_connection:
            return inf
        request = requests.get(node_id)
        if request is None:
            connection = self._cluster.ready_connection(node_id, Lane.DATA)
            if connection is None:
                self._connect(node_id)
                return inf
            request = _Request(node_id, connection, [])
        if self._sequencer is not None and not self._sequencer.may_send(queue):
            return inf
        if not queue.ready:
            self._accumulator.close_open(queue)
        if request.batches:
            size_bytes = queue.ready[0].builder.size_bytes + sum(batch.builder.size_bytes for batch in request.batches)
            if size_bytes > self._options.max_request_size - _REQUEST_OVERHEAD_BYTES:
                return now
        request.batches.append(queue.ready.popleft())
        requests[node_id] = request
        return now if queue.has_waiting else inf

    # Requests

    def _send(self, request: _Request) -> None:
        topics: defaultdict[str, list[PartitionProduceData]] = defaultdict(list)
        for batch in request.batches:
            queue = batch.queue
            if self._sequencer is not None and not batch.is_numbered:
                self._sequencer.number(batch)
            # What an attempt before may still be sending, must not change.
            records = batch.builder.build() if batch.attempts else batch.builder.build_in_place()
            batch.attempts += 1
            queue.in_flight.append(batch)
            topics[queue.topic].append(PartitionProduceData(index=queue.partition, records=records))
            self._accumulator.rest(queue)
        message = ProduceRequest(
            transactional_id=None if self._sequencer is None else self._sequencer.transactional_id,
            acks=self._options.acks,
            timeout_ms=self._cluster.options.request_timeout_ms,
            topic_data=[TopicProduceData(name=name, partition_data=data) for name, data in topics.items()],
        )
        self._in_flight[request.node_id] += 1
        max_version = PRODUCE_VERSION if self._sequencer is None else self._sequencer.produce_version
        timeout_ms = min(self._cluster.options.request_timeout_ms, self._options.delivery_timeout_ms)
        try:
            version = request.connection.pick(ApiKey.PRODUCE, max_version)
            if self._options.acks == 0:
                self._start(self._send_no_reply(request, message, version))
            else:
                answer = request.connection.send(message, version, timeout_ms=timeout_ms)
                answer.add_done_callback(partial(self._answered, request))
        except Exception as error:  # noqa: BLE001 - whoever waits for the records must hear of it
            self._unanswered(request, error)

    async def _send_no_reply(self, request: _Request, message: ProduceRequest, version: int) -> None:
        try:
            await request.connection.send_no_reply(message, version)
        except Exception as error:  # noqa: BLE001 - as in _send
            self._unanswered(request, error)
        else:
            for batch in request.batches:
                self._succeed(batch, NO_OFFSET, NO_TIMESTAMP)
            self._over(request)

    def _answered(self, request: _Request, answer: asyncio.Future[ProduceResponse]) -> None:
        if self._is_closed:
            answer.exception()  # it is heard, and of no interest any more
            return
        try:
            self._settle_all(request.batches, answer.result())
        except Exception as error:  # noqa: BLE001 - as in _send
            self._unanswered(request, error)
        else:
            self._over(request)

    def _unanswered(self, request: _Request, error: Exception) -> None:
        if isinstance(error, NETWORK_ERRORS):
            # A request that may still be carried out must not be overtaken by its own repetition.
            request.connection.close()
        else:
            _log.error("a produce request failed in a way that sending it again cannot mend", exc_info=error)
        for batch in request.batches:
            self._failed(batch, error)
        self._over(request)

    def _over(self, request: _Request) -> None:
        """A request is done with; look again only if there is something that this may have held up."""
        self._in_flight[request.node_id] -= 1
        for batch in request.batches:
            self._accumulator.rest(batch.queue)
        if self._accumulator.is_active:
            self.wake()
        else:
            self._look_again_at(inf)

    def _settle_all(self, batches: list[ProducerBatch], response: ProduceResponse) -> None:
        answers = {
            TopicPartition(topic.name, answer.index): answer
            for topic in response.responses
            for answer in topic.partition_responses
        }
        for batch in batches:
            answer = answers.get(TopicPartition(batch.queue.topic, batch.queue.partition))
            if answer is None:
                self._failed(batch, KafkaError(f"the broker did not answer for {batch.queue}"))
            elif answer.error_code == ErrorCode.NONE:
                self._succeed(batch, answer.base_offset, answer.log_append_time_ms)
            elif answer.error_code == ErrorCode.DUPLICATE_SEQUENCE_NUMBER:
                self._succeed(batch, NO_OFFSET, NO_TIMESTAMP)
            else:
                self._failed(batch, _error(answer))

    # Outcomes

    def _succeed(self, batch: ProducerBatch, base_offset: int, log_append_time_ms: int) -> None:
        batch.queue.in_flight.remove(batch)
        self._accumulator.succeed(batch, base_offset, log_append_time_ms)

    def _failed(self, batch: ProducerBatch, error: Exception) -> None:
        """Keep the batch for another attempt, if there is a point and time is left."""
        queue = batch.queue
        was_first = queue.in_flight[0] is batch and not queue.failed
        queue.in_flight.remove(batch)
        batch.last_error = error
        if is_lost_count(error) and batch.is_numbered:
            # Only when nothing before it failed is the count itself wrong.
            queue.must_renumber = queue.must_renumber or was_first
        elif isinstance(error, MessageTooLarge) and len(batch) > 1:
            queue.must_renumber = queue.must_renumber or batch.is_numbered
            queue.failed += self._accumulator.split(batch)
            return
        elif not is_retriable(error):
            self._give_up(batch, error)
            return
        now = time.monotonic()
        if now >= batch.created_at + self._options.delivery_timeout_ms / 1_000:
            self._give_up(batch, self._timed_out(batch))
            return
        queue.failed.append(batch)
        queue.not_before = now + self._cluster.options.backoff.delay_s(batch.attempts - 1)
        self._cluster.refresh_soon()

    def _give_up(self, batch: ProducerBatch, error: Exception) -> None:
        """Fail the batch; its number is then missing in the partition's count."""
        if batch.is_numbered:
            batch.queue.must_renumber = True
        if self._sequencer is not None:
            self._sequencer.gave_up(batch, error)
        self._accumulator.fail(batch, error)

    def _discard(self, queues: list[PartitionQueue], reason: Exception) -> None:
        """Give up everything that is not on its way."""
        for queue in queues:
            self._accumulator.close_open(queue)
            queue.ready.extendleft(reversed(queue.failed))
            queue.failed.clear()
            while queue.ready:
                self._give_up(queue.ready.popleft(), reason)

    def _timed_out(self, batch: ProducerBatch) -> RequestTimedOut:
        cause = batch.last_error or f"{batch.queue} has no leader that could be reached"
        return RequestTimedOut(
            f"{batch.queue}: not stored within {self._options.delivery_timeout_ms} ms, "
            f"{batch.attempts} attempts, last: {cause}"
        )

    # Preliminaries

    def _connect(self, node_id: int) -> None:
        if node_id not in self._connecting:
            self._connecting.add(node_id)
            self._start(self._open_connection(node_id))

    async def _open_connection(self, node_id: int) -> None:
        try:
            await self._cluster.connection(node_id, Lane.DATA)
        except NETWORK_ERRORS as error:
            _log.info("cannot connect to broker %d: %s", node_id, error)
            self._paused_until[node_id] = time.monotonic() + self._cluster.options.backoff.delay_s(2)
            self._cluster.refresh_soon()
        finally:
            self._connecting.discard(node_id)
            self.wake()

    def _acquire_producer_id(self, sequencer: Sequencer) -> float:
        if not self._is_acquiring and self._accumulator.unfinished:
            self._is_acquiring = True
            self._start(self._acquire(sequencer))
        return inf

    async def _acquire(self, sequencer: Sequencer) -> None:
        attempt = 0
        try:
            while not sequencer.is_ready:
                try:
                    await sequencer.acquire()
                except (KafkaError, *NETWORK_ERRORS) as error:
                    self._not_acquired(error)
                    await asyncio.sleep(self._cluster.options.backoff.delay_s(attempt))
                    attempt += 1
        finally:
            self._is_acquiring = False
            self.wake()

    def _not_acquired(self, error: Exception) -> None:
        """Without a producer id nothing can be sent: fail what is too old, or everything if asking again is no use."""
        is_final = not is_retriable(error)
        for batch in list(self._accumulator.unfinished):
            batch.last_error = error
        for queue in self._accumulator.look():
            if is_final:
                self._accumulator.close_open(queue)
                while queue.ready:
                    self._give_up(queue.ready.popleft(), error)
            else:
                self._expire(queue, time.monotonic())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the client ended by a mistake of its own", exc_info=error)


def _error(answer: PartitionProduceResponse) -> KafkaError:
    parts = [answer.error_message or ErrorCode(answer.error_code).name]
    parts += [f"record {e.batch_index}: {e.batch_index_error_message}" for e in answer.record_errors]
    return error_from_code(answer.error_code, "; ".join(parts))
