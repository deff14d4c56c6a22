"""DescribeLogDirs (API key 35): the directories of a broker and what lies in them.

Versions:
    1   throttled requests are answered first and delayed afterwards (KIP-219)
    2   flexible encoding
    3   a top-level error (KIP-784)
    4   the size of the volume and what is free of it (KIP-827)
    5   is_cordoned: the directory takes no new replicas (KIP-1066)

Source: https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class DescribableLogDirTopic:
    """The partitions of one topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(api_key=35, valid="1-5", flexible="2+")
class DescribeLogDirsRequest(Request["DescribeLogDirsResponse"]):
    """What to look for; null asks for everything."""

    topics: list[DescribableLogDirTopic] | None = array(DescribableLogDirTopic, nullable="0+")


@struct
class DescribeLogDirsPartition:
    """One replica."""

    partition_index: int = field(INT32)
    partition_size: int = field(INT64)
    offset_lag: int = field(INT64)  # how far it is behind, in records
    is_future_key: bool = field(BOOL)  # it is being moved here and will replace the replica elsewhere


@struct
class DescribeLogDirsTopic:
    """The replicas of one topic."""

    name: str = field(STRING)
    partitions: list[DescribeLogDirsPartition] = array(DescribeLogDirsPartition)


@struct
class DescribeLogDirsResult:
    """One directory."""

    error_code: int = field(INT16, default=0)
    log_dir: str = field(STRING)
    topics: list[DescribeLogDirsTopic] = array(DescribeLogDirsTopic)
    total_bytes: int = field(INT64, "4+", default=-1, ignorable=True)  # of the volume, -1 when unknown
    usable_bytes: int = field(INT64, "4+", default=-1, ignorable=True)
    is_cordoned: bool = field(BOOL, "5+", default=False, ignorable=True)


@message(api_key=35, valid="1-5", flexible="2+")
class DescribeLogDirsResponse(Message):
    """The directories."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, "3+", default=0, ignorable=True)
    results: list[DescribeLogDirsResult] = array(DescribeLogDirsResult)
