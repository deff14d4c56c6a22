"""DescribeLogDirs (API key 35).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@struct
class DescribableLogDirTopic:
    """Describable log dir topic."""

    topic: str = field(STRING)
    partitions: list[int] = array(INT32)


@message(api_key=35, valid="1-5", flexible="2+")
class DescribeLogDirsRequest(Request["DescribeLogDirsResponse"]):
    """Describe log dirs request."""

    topics: list[DescribableLogDirTopic] | None = array(DescribableLogDirTopic, nullable="0+")


@struct
class DescribeLogDirsPartition:
    """Describe log dirs partition."""

    partition_index: int = field(INT32)
    partition_size: int = field(INT64)
    offset_lag: int = field(INT64)
    is_future_key: bool = field(BOOL)


@struct
class DescribeLogDirsTopic:
    """Describe log dirs topic."""

    name: str = field(STRING)
    partitions: list[DescribeLogDirsPartition] = array(DescribeLogDirsPartition)


@struct
class DescribeLogDirsResult:
    """Describe log dirs result."""

    error_code: int = field(INT16, default=0)
    log_dir: str = field(STRING)
    topics: list[DescribeLogDirsTopic] = array(DescribeLogDirsTopic)
    total_bytes: int = field(INT64, "4+", default=-1, ignorable=True)
    usable_bytes: int = field(INT64, "4+", default=-1, ignorable=True)
    is_cordoned: bool = field(BOOL, "5+", default=False, ignorable=True)


@message(api_key=35, valid="1-5", flexible="2+")
class DescribeLogDirsResponse(Message):
    """Describe log dirs response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, "3+", default=0, ignorable=True)
    results: list[DescribeLogDirsResult] = array(DescribeLogDirsResult)
