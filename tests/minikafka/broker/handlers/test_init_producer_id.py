from __future__ import annotations

from itertools import count

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.init_producer_id import InitProducerIdHandler
from minikafka.broker.producer_ids import ProducerIds
from minikafka.cluster.znodes import ProducerIdBlock
from minikafka.errors import CoordinatorNotAvailable, ErrorCode
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

VERSIONS = InitProducerIdRequest.VALID


def handler() -> InitProducerIdHandler:
    firsts = count(1000, 1000)

    async def reserve() -> ProducerIdBlock:
        first = next(firsts)
        return ProducerIdBlock(first, first + 999)

    return InitProducerIdHandler(ProducerIds(reserve))


async def ask(
    asked: InitProducerIdHandler,
    version: int,
    transactional_id: str | None = None,
    timeout_ms: int = 60_000,
    producer_id: int = -1,
    producer_epoch: int = -1,
) -> InitProducerIdResponse:
    """What the client reads: the request and the response both go through the codec of ``version``."""
    sent = bytearray()
    request = InitProducerIdRequest(
        transactional_id=transactional_id,
        transaction_timeout_ms=timeout_ms,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
    )
    encode(request, version, sent)
    client = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")
    received = decode(InitProducerIdRequest, version, bytes(sent))
    answered = bytearray()
    encode(await asked(received, RequestContext(client, version, "test", 1, 0.0)), version, answered)
    return decode(InitProducerIdResponse, version, bytes(answered))


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_idempotent_producer_gets_a_new_id_at_epoch_0(version: int) -> None:
    asked = handler()
    first, second = await ask(asked, version), await ask(asked, version)
    assert (first.error_code, first.producer_id, first.producer_epoch) == (0, 1000, 0)
    assert (second.error_code, second.producer_id, second.producer_epoch) == (0, 1001, 0)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v >= 3])
async def test_a_producer_without_transactions_that_names_its_id_gets_another(version: int) -> None:
    answered = await ask(handler(), version, producer_id=5, producer_epoch=3)
    assert (answered.error_code, answered.producer_id, answered.producer_epoch) == (0, 1000, 0)


@pytest.mark.parametrize(("producer_id", "producer_epoch"), [(5, -1), (-1, 0)])
async def test_an_id_without_its_epoch_is_an_invalid_request(producer_id: int, producer_epoch: int) -> None:
    answered = await ask(handler(), 4, producer_id=producer_id, producer_epoch=producer_epoch)
    assert (answered.error_code, answered.producer_id) == (ErrorCode.INVALID_REQUEST, -1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_transactional_id_finds_no_coordinator(version: int) -> None:
    answered = await ask(handler(), version, "id")
    assert (answered.error_code, answered.producer_id, answered.producer_epoch) == (
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        -1,
        -1,
    )


async def test_an_empty_transactional_id_is_an_invalid_request() -> None:
    assert (await ask(handler(), 4, "")).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001, 2**31 - 1])
async def test_a_transaction_time_out_beyond_the_limit_is_refused(timeout_ms: int) -> None:
    assert (await ask(handler(), 4, "id", timeout_ms)).error_code == ErrorCode.INVALID_TRANSACTION_TIMEOUT


async def test_a_time_out_means_nothing_without_a_transactional_id() -> None:
    assert (await ask(handler(), 4, None, 2**31 - 1)).error_code == 0


@pytest.mark.parametrize("trouble", [CoordinatorNotAvailable("no store"), RuntimeError("a bug")])
async def test_a_store_in_trouble_makes_the_client_ask_again(trouble: Exception) -> None:
    async def reserve() -> ProducerIdBlock:
        raise trouble

    answered = await ask(InitProducerIdHandler(ProducerIds(reserve)), 4)
    assert ErrorCode(answered.error_code).retriable
    assert answered.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
