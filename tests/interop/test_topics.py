"""Topics, partitions and settings, by every client that administers them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from minikafka.errors import ErrorCode
from tests.interop.clients.client import Administrator, NewRecord, Refused, Sending, read_all
from tests.interop.clients.confluent import Confluent
from tests.interop.clients.everyone import BUT_THE_COMMAND_LINE, LIBRARIES, WITH_KCAT
from tests.interop.clients.kafka_python import KafkaPython, administering
from tests.interop.clients.kcat import Kcat
from tests.interop.clients.sdk import Sdk
from tests.interop.process import BrokerProcess

# fmt: off
TOPIC_KEYS = [
    "cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type",
    "compression.zstd.level", "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms",
    "index.interval.bytes", "local.retention.bytes", "local.retention.ms", "max.compaction.lag.ms",
    "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
    "message.timestamp.type", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas",
    "preallocate", "remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable",
    "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms",
    "unclean.leader.election.enable",
]
# fmt: on

administrators = pytest.mark.parametrize("admin", LIBRARIES)


@administrators
def test_a_topic_is_made_listed_and_deleted(broker: BrokerProcess, topic: str, admin: Administrator) -> None:
    admin.create_topic(broker.bootstrap, topic, 3, {"retention.ms": "1234567"})
    assert topic in admin.topics(broker.bootstrap)
    assert admin.partition_count(broker.bootstrap, topic) == 3
    assert admin.topic_configs(broker.bootstrap, topic)["retention.ms"] == "1234567"
    assert (broker.data_dir / f"{topic}-2").is_dir()
    admin.delete_topic(broker.bootstrap, topic)
    assert topic not in admin.topics(broker.bootstrap)
    assert not list(broker.data_dir.glob(f"{topic}-*"))


@administrators
def test_a_topic_grows(broker: BrokerProcess, topic: str, admin: Administrator) -> None:
    admin.create_topic(broker.bootstrap, topic, 1, {})
    admin.add_partitions(broker.bootstrap, topic, 4)
    assert admin.partition_count(broker.bootstrap, topic) == 4
    Sdk().send(broker.bootstrap, topic, [NewRecord(b"k", b"v", partition) for partition in range(4)])
    assert [record.partition for record in read_all(Confluent(), broker.bootstrap, topic)] == [0, 1, 2, 3]


@administrators
def test_a_setting_is_changed_and_the_others_stay(broker: BrokerProcess, topic: str, admin: Administrator) -> None:
    admin.create_topic(broker.bootstrap, topic, 1, {})
    before = admin.topic_configs(broker.bootstrap, topic)
    admin.set_topic_config(broker.bootstrap, topic, "cleanup.policy", "compact,delete")
    assert admin.topic_configs(broker.bootstrap, topic) == before | {"cleanup.policy": "compact,delete"}
    assert before["cleanup.policy"] == "delete"


@administrators
def test_every_setting_of_a_topic_is_described(broker: BrokerProcess, topic: str, admin: Administrator) -> None:
    admin.create_topic(broker.bootstrap, topic, 1, {})
    configs = admin.topic_configs(broker.bootstrap, topic)
    assert sorted(configs) == TOPIC_KEYS
    assert configs["retention.ms"] == "604800000"
    assert configs["max.message.bytes"] == "1048588"


@administrators
def test_records_are_deleted(broker: BrokerProcess, topic: str, admin: Administrator) -> None:
    admin.create_topic(broker.bootstrap, topic, 1, {})
    Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"%d" % number) for number in range(10)])
    assert admin.delete_records(broker.bootstrap, topic, 0, 4) == 4
    assert [record.offset for record in read_all(Confluent(), broker.bootstrap, topic)] == [4, 5, 6, 7, 8, 9]
    assert admin.delete_records(broker.bootstrap, topic, 0, -1) == 10
    with pytest.raises(Refused) as refused:
        admin.delete_records(broker.bootstrap, topic, 0, 11)
    assert refused.value.code == ErrorCode.OFFSET_OUT_OF_RANGE


REFUSALS: list[tuple[ErrorCode, str, Callable[[Administrator, str, str], object]]] = [
    (ErrorCode.TOPIC_ALREADY_EXISTS, "create", lambda admin, at, topic: admin.create_topic(at, topic, 1, {})),
    (ErrorCode.INVALID_PARTITIONS, "create none", lambda admin, at, topic: admin.create_topic(at, topic + "2", 0, {})),
    (ErrorCode.INVALID_PARTITIONS, "shrink", lambda admin, at, topic: admin.add_partitions(at, topic, 1)),
    (ErrorCode.INVALID_TOPIC_EXCEPTION, "create", lambda admin, at, topic: admin.create_topic(at, "a/b", 1, {})),
    (ErrorCode.INVALID_TOPIC_EXCEPTION, "describe", lambda admin, at, topic: admin.partition_count(at, "a/b")),
    (ErrorCode.INVALID_CONFIG, "key", lambda admin, at, topic: admin.create_topic(at, topic + "2", 1, {"no": "1"})),
    (
        ErrorCode.INVALID_CONFIG,
        "value",
        lambda admin, at, topic: admin.create_topic(at, topic + "2", 1, {"retention.ms": "soon"}),
    ),
    (
        ErrorCode.INVALID_CONFIG,
        "alter",
        lambda admin, at, topic: admin.set_topic_config(at, topic, "segment.bytes", "1"),
    ),
    (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "delete", lambda admin, at, topic: admin.delete_topic(at, topic + "2")),
]


@administrators
@pytest.mark.parametrize(
    ("code", "request_"),
    [pytest.param(code, request, id=f"{code.name.lower()}-{what}") for code, what, request in REFUSALS],
)
def test_what_cannot_be_done_is_refused_with_kafkas_error(
    broker: BrokerProcess,
    topic: str,
    admin: Administrator,
    code: ErrorCode,
    request_: Callable[[Administrator, str, str], object],
) -> None:
    admin.create_topic(broker.bootstrap, topic, 2, {})
    with pytest.raises(Refused) as refused:
        request_(admin, broker.bootstrap, topic)
    assert refused.value.code == code
    assert not {topic + "2", "a/b"} & admin.topics(broker.bootstrap)
    assert admin.partition_count(broker.bootstrap, topic) == 2


@pytest.mark.parametrize("admin", [admin for admin in LIBRARIES if admin.id != KafkaPython.name])  # it ignores that
def test_settings_of_a_topic_that_is_not_there_are_refused(
    broker: BrokerProcess, topic: str, admin: Administrator
) -> None:
    with pytest.raises(Refused) as refused:
        admin.topic_configs(broker.bootstrap, topic)
    assert refused.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("client", BUT_THE_COMMAND_LINE)
def test_the_cluster_is_described(broker: BrokerProcess, client: Administrator) -> None:
    assert client.nodes(broker.bootstrap) == {broker.bootstrap}


@WITH_KCAT
def test_kcat_lists_topics_and_their_partitions(broker: BrokerProcess, topic: str) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 2, {})
    kcat = Kcat()
    assert topic in kcat.topics(broker.bootstrap)
    only = {"leader": 1, "replicas": [{"id": 1}], "isrs": [{"id": 1}]}
    assert kcat.metadata(broker.bootstrap, topic) == [{"partition": 0, **only}, {"partition": 1, **only}]


def test_confluent_kafka_finds_the_special_offsets(broker: BrokerProcess, topic: str) -> None:
    Sdk().create_topic(broker.bootstrap, topic, 1, {"retention.ms": "-1"})
    Sdk().send(broker.bootstrap, topic, [NewRecord(None, b"v", 0, time) for time in (1_000, 3_000, 2_000)])
    Sdk().delete_records(broker.bootstrap, topic, 0, 1)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def ask(spec: OffsetSpec) -> int:
        (answer,) = admin.list_offsets({ConfluentPartition(topic, 0): spec}).values()
        return int(answer.result(20).offset)

    assert ask(OffsetSpec.earliest()) == 1
    assert ask(OffsetSpec.latest()) == 3
    assert ask(OffsetSpec.max_timestamp()) == 1
    assert ask(OffsetSpec.for_timestamp(1_500)) == 1


def test_kafka_python_describes_all_there_is(broker: BrokerProcess, topic: str) -> None:
    KafkaPython().create_topic(broker.bootstrap, topic, 2, {})
    configs = KafkaPython().broker_configs(broker.bootstrap, 1)
    assert "advertised.listeners" in configs
    assert configs["num.partitions"] == "2"
    with administering(broker.bootstrap) as admin:
        described = admin.describe_topic_partitions([topic])
        log_dirs = admin.describe_log_dirs()
    assert topic in str(described)
    assert topic in str(log_dirs)
    assert str(broker.data_dir) in str(log_dirs)


def test_librdkafka_learns_that_a_topic_name_is_illegal(broker: BrokerProcess) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    error = admin.list_topics("a/b", timeout=20).topics["a/b"].error
    assert error.code() == ErrorCode.INVALID_TOPIC_EXCEPTION
    with pytest.raises(Refused) as refused:
        Confluent().send(broker.bootstrap, "a/b", [NewRecord(None, b"v")], Sending(timeout_s=5))
    assert refused.value.code == ErrorCode.INVALID_TOPIC_EXCEPTION


def test_a_topic_that_is_not_there_is_not_made_by_looking_at_it(broker: BrokerProcess, topic: str) -> None:
    with pytest.raises(Refused) as refused:
        read_all(Confluent(), broker.bootstrap, topic)
    assert refused.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert topic not in Confluent().topics(broker.bootstrap)
