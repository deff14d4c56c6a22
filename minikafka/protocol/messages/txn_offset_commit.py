"""TxnOffsetCommit (API key 28): store a group's offsets as part of a transaction.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   the leader epoch of the committed record (KIP-320)
    3   flexible encoding; the member and its generation, checked as in OffsetCommit (KIP-447)
    4   the error TRANSACTION_ABORTABLE (KIP-890)
    5   the commit may add the group to the transaction (KIP-890)

Source: https://kafka.apache.org/protocol#The_Messages_TxnOffsetCommit
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class TxnOffsetCommitRequestPartition:
    """The offset of one partition: the next one to be read."""

    partition_index: int = field(INT32)
    committed_offset: int = field(INT64)
    committed_leader_epoch: int = field(INT32, "2+", default=-1, ignorable=True)
    committed_metadata: str | None = field(STRING, nullable="0+")


@struct
class TxnOffsetCommitRequestTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[TxnOffsetCommitRequestPartition] = array(TxnOffsetCommitRequestPartition)


@message(api_key=28, valid="0-5", flexible="3+")
class TxnOffsetCommitRequest(Request["TxnOffsetCommitResponse"]):
    """The transaction, the group, its member and the offsets."""

    transactional_id: str = field(STRING)
    group_id: str = field(STRING)
    producer_id: int = field(INT64)
    producer_epoch: int = field(INT16)
    generation_id: int = field(INT32, "3+", default=-1)
    member_id: str = field(STRING, "3+", default="")
    group_instance_id: str | None = field(STRING, "3+", nullable="0+", default=None)
    topics: list[TxnOffsetCommitRequestTopic] = array(TxnOffsetCommitRequestTopic)


@struct
class TxnOffsetCommitResponsePartition:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class TxnOffsetCommitResponseTopic:
    """The results of one topic."""

    name: str = field(STRING)
    partitions: list[TxnOffsetCommitResponsePartition] = array(TxnOffsetCommitResponsePartition)


@message(api_key=28, valid="0-5", flexible="3+")
class TxnOffsetCommitResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    topics: list[TxnOffsetCommitResponseTopic] = array(TxnOffsetCommitResponseTopic)
