"""minikafka's Python client: a producer, a consumer and an admin for any Kafka broker.

Each comes in two faces, one for asyncio and one for programs without an event loop::

    AsyncProducer   Producer
    AsyncConsumer   Consumer
    AsyncAdmin      Admin
"""

from minikafka.errors import ErrorCode, KafkaError, ProducerFenced
from minikafka.records.record import Header
from minikafka.types import TimestampAndOffset, TopicPartition
from minikafka_client.admin.admin import AsyncAdmin
from minikafka_client.admin.types import (
    AlterConfig,
    AlterOperation,
    ClusterDescription,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConfigType,
    CreatedTopic,
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    LogDirDescription,
    MemberDescription,
    NewTopic,
    OffsetSpec,
    ProducerState,
    ReplicaDescription,
    TransactionDescription,
    TransactionListing,
    TransactionState,
)
from minikafka_client.consumer.assignors.assignor import Assignor, MemberSubscription
from minikafka_client.consumer.consumer import AsyncConsumer
from minikafka_client.consumer.group.listener import RebalanceListener
from minikafka_client.consumer.message import Message
from minikafka_client.errors import (
    ClientClosed,
    CommitFailed,
    DeserializationError,
    NoBrokersAvailable,
    NoOffsetForPartition,
    SerializationError,
    TransactionAborted,
)
from minikafka_client.metadata import BrokerInfo, PartitionInfo, TopicInfo
from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata
from minikafka_client.producer.batch import NotDelivered
from minikafka_client.producer.delivery import Delivery, RecordMetadata
from minikafka_client.producer.partitioner import (
    Partitioner,
    RoundRobinPartitioner,
    StickyPartitioner,
    partition_for_key,
)
from minikafka_client.producer.producer import AsyncProducer
from minikafka_client.serializers import (
    deserialize_json,
    deserialize_msgpack,
    deserialize_str,
    serialize,
    serialize_json,
)
from minikafka_client.sync import Admin, Consumer, Producer

__all__ = [
    "Admin",
    "AlterConfig",
    "AlterOperation",
    "Assignor",
    "AsyncAdmin",
    "AsyncConsumer",
    "AsyncProducer",
    "BrokerInfo",
    "ClientClosed",
    "ClusterDescription",
    "CommitFailed",
    "ConfigEntry",
    "ConfigResource",
    "ConfigSource",
    "ConfigType",
    "Consumer",
    "CreatedTopic",
    "Delivery",
    "DeserializationError",
    "ErrorCode",
    "GroupDescription",
    "GroupListing",
    "GroupMetadata",
    "GroupState",
    "GroupType",
    "Header",
    "KafkaError",
    "LogDirDescription",
    "MemberDescription",
    "MemberSubscription",
    "Message",
    "NewTopic",
    "NoBrokersAvailable",
    "NoOffsetForPartition",
    "NotDelivered",
    "OffsetAndMetadata",
    "OffsetSpec",
    "PartitionInfo",
    "Partitioner",
    "Producer",
    "ProducerFenced",
    "ProducerState",
    "RebalanceListener",
    "RecordMetadata",
    "ReplicaDescription",
    "RoundRobinPartitioner",
    "SerializationError",
    "StickyPartitioner",
    "TimestampAndOffset",
    "TopicInfo",
    "TopicPartition",
    "TransactionAborted",
    "TransactionDescription",
    "TransactionListing",
    "TransactionState",
    "deserialize_json",
    "deserialize_msgpack",
    "deserialize_str",
    "partition_for_key",
    "serialize",
    "serialize_json",
]
