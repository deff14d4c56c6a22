"""AlterReplicaLogDirs (API key 34).

Source: https://kafka.apache.org/protocol#The_Messages_AlterReplicaLogDirs
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AlterReplicaLogDirTopic:
    """Alter replica log dir topic."""

    name: str = field(STRING)
    partitions: list[int] = array(INT32)


@struct
class AlterReplicaLogDir:
    """Alter replica log dir."""

    path: str = field(STRING)
    topics: list[AlterReplicaLogDirTopic] = array(AlterReplicaLogDirTopic)


@message(api_key=34, valid="1-2", flexible="2+")
class AlterReplicaLogDirsRequest(Request["AlterReplicaLogDirsResponse"]):
    """Alter replica log dirs request."""

    dirs: list[AlterReplicaLogDir] = array(AlterReplicaLogDir)


@struct
class AlterReplicaLogDirPartitionResult:
    """Alter replica log dir partition result."""

    partition_index: int = field(INT32)
    error_code: int = field(INT16, default=0)


@struct
class AlterReplicaLogDirTopicResult:
    """Alter replica log dir topic result."""

    topic_name: str = field(STRING)
    partitions: list[AlterReplicaLogDirPartitionResult] = array(AlterReplicaLogDirPartitionResult)


@message(api_key=34, valid="1-2", flexible="2+")
class AlterReplicaLogDirsResponse(Message):
    """Alter replica log dirs response."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AlterReplicaLogDirTopicResult] = array(AlterReplicaLogDirTopicResult)
