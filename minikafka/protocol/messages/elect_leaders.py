"""ElectLeaders (API key 43): choose new leaders for partitions.

Versions:
    1   unclean elections too (KIP-460)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_ElectLeaders
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class TopicPartitions:
    """The partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(api_key=43, valid="0-2", flexible="2+")
class ElectLeadersRequest(Request["ElectLeadersResponse"]):
    """The partitions; null stands for all."""

    election_type: int = field(INT8, "1+", default=0)  # 0 the preferred replica, 1 unclean
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+")
    timeout_ms: int = field(INT32, default=60000)


@struct
class PartitionResult:
    """The result of one partition."""

    partition_id: int = field(INT32)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@struct
class ReplicaElectionResult:
    """The results of one topic."""

    topic: str = field(STRING)
    partition_result: list[PartitionResult] = array(PartitionResult)


@message(api_key=43, valid="0-2", flexible="2+")
class ElectLeadersResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, "1+", default=0)
    replica_election_results: list[ReplicaElectionResult] = array(ReplicaElectionResult)
