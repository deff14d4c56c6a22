"""AddPartitionsToTxn (API key 24): the partitions that a transaction is about to write.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   the error PRODUCER_FENCED (KIP-588)
    3   flexible encoding
    4   several transactions at once, and verify_only; for brokers (KIP-890)
    5   the error TRANSACTION_ABORTABLE (KIP-890)

Clients use versions up to 3, brokers among themselves 4 and above.

Source: https://kafka.apache.org/protocol#The_Messages_AddPartitionsToTxn
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class AddPartitionsToTxnTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class AddPartitionsToTxnTransaction:
    """One transaction and its partitions, since v4."""

    transactional_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    verify_only: bool = field(BOOL, default=False)
    topics: list[AddPartitionsToTxnTopic] = array(AddPartitionsToTxnTopic)


@message(api_key=24, valid="0-5", flexible="3+")
class AddPartitionsToTxnRequest(Request["AddPartitionsToTxnResponse"]):
    """One transaction up to v3, several since v4."""

    transactions: list[AddPartitionsToTxnTransaction] = array(AddPartitionsToTxnTransaction, "4+", default_factory=list)
    v3_and_below_transactional_id: str = field(STRING, "0-3", default="")
    v3_and_below_producer_id: int = field(INT64, "0-3", default=0)
    v3_and_below_producer_epoch: int = field(INT16, "0-3", default=0)
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = array(AddPartitionsToTxnTopic, "0-3", default_factory=list)


@struct
class AddPartitionsToTxnPartitionResult:
    """The result of one partition."""

    partition_index: int = field(INT32)
    partition_error_code: int = field(INT16)


@struct
class AddPartitionsToTxnTopicResult:
    """The results of one topic."""

    name: str = field(STRING)
    results_by_partition: list[AddPartitionsToTxnPartitionResult] = array(AddPartitionsToTxnPartitionResult)


@struct
class AddPartitionsToTxnResult:
    """The results of one transaction, since v4."""

    transactional_id: str = field(STRING)
    topic_results: list[AddPartitionsToTxnTopicResult] = array(AddPartitionsToTxnTopicResult)


@message(api_key=24, valid="0-5", flexible="3+")
class AddPartitionsToTxnResponse(Message):
    """The results of one transaction up to v3, of several since v4."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, "4+", default=0, ignorable=True)
    results_by_transaction: list[AddPartitionsToTxnResult] = array(AddPartitionsToTxnResult, "4+", default_factory=list)
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = array(
        AddPartitionsToTxnTopicResult, "0-3", default_factory=list
    )
