import pytest

from minikafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    ErrorCode,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    NotCoordinator,
    ProducerFenced,
    TransactionAbortable,
)
from minikafka.replication.verification import NoTransactions, produce_error
from minikafka.types import TopicPartition


@pytest.mark.parametrize(
    "error",
    [
        ConcurrentTransactions("x"),
        CoordinatorLoadInProgress("x"),
        CoordinatorNotAvailable("x"),
        NotCoordinator("x"),
    ],
)
def test_what_may_soon_be_otherwise_is_tried_again(error):
    assert produce_error(error, knows_abortable=True).code is ErrorCode.NOT_ENOUGH_REPLICAS


def test_a_fenced_producer_is_one_of_an_old_epoch():
    assert produce_error(ProducerFenced("x"), knows_abortable=True).code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_only_clients_that_know_it_are_told_to_abort():
    error = TransactionAbortable("x")
    assert produce_error(error, knows_abortable=True) is error
    assert produce_error(error, knows_abortable=False).code is ErrorCode.INVALID_TXN_STATE


@pytest.mark.parametrize("error", [InvalidProducerEpoch("x"), InvalidProducerIdMapping("x"), InvalidTxnState("x")])
def test_other_errors_are_told_as_they_are(error):
    assert produce_error(error, knows_abortable=False) is error


async def test_without_a_coordinator_nothing_is_confirmed():
    errors = await NoTransactions().verify("id", 1, 0, [TopicPartition("t", 0)], adds_partitions=True)
    assert errors[TopicPartition("t", 0)].code is ErrorCode.TRANSACTION_ABORTABLE
