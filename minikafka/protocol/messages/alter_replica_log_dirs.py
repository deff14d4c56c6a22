"""AlterReplicaLogDirs (API key 34): move replicas between the directories of a broker.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding

Source: https://kafka.apache.org/protocol#The_Messages_AlterReplicaLogDirs
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AlterReplicaLogDirTopic:
    """The partitions of one topic."""

    name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class AlterReplicaLogDir:
    """A directory and the replicas it shall hold."""

    path: str = field(STRING)
    topics: list[AlterReplicaLogDirTopic] = array(AlterReplicaLogDirTopic)


@message(api_key=34, valid="1-2", flexible="2+")
class AlterReplicaLogDirsRequest(Request["AlterReplicaLogDirsResponse"]):
    """The moves."""

    dirs: list[AlterReplicaLogDir] = array(AlterReplicaLogDir)


@struct
class AlterReplicaLogDirPartitionResult:
    """The result of one partition."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class AlterReplicaLogDirTopicResult:
    """The results of one topic."""

    topic_name: str = field(STRING)
    partitions: list[AlterReplicaLogDirPartitionResult] = array(AlterReplicaLogDirPartitionResult)


@message(api_key=34, valid="1-2", flexible="2+")
class AlterReplicaLogDirsResponse(Message):
    """One result per partition."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AlterReplicaLogDirTopicResult] = array(AlterReplicaLogDirTopicResult)
