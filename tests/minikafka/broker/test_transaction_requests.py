from __future__ import annotations

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.transaction_requests import check_transactional_id, code_for
from minikafka.errors import ConcurrentTransactions, ErrorCode, InvalidRequest, ProducerFenced
from minikafka.net.handler import Address, ConnectionInfo


def context(version: int) -> RequestContext:
    client = ConnectionInfo(1, Address("127.0.0.1", 5000), Address("127.0.0.1", 9092), "PLAINTEXT")
    return RequestContext(client, version, "test", 1, 0.0)


def test_a_transaction_has_a_name() -> None:
    check_transactional_id("payments")
    with pytest.raises(InvalidRequest):
        check_transactional_id("")


@pytest.mark.parametrize(("version", "code"), [(1, ErrorCode.INVALID_PRODUCER_EPOCH), (2, ErrorCode.PRODUCER_FENCED)])
def test_clients_of_old_know_being_fenced_by_another_name(version: int, code: ErrorCode) -> None:
    assert code_for(ProducerFenced("replaced"), context(version), first_version_with_fenced=2) == code


def test_every_other_error_has_one_name() -> None:
    for version in (0, 9):
        code = code_for(ConcurrentTransactions("busy"), context(version), first_version_with_fenced=2)
        assert code == ErrorCode.CONCURRENT_TRANSACTIONS
