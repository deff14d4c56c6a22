from __future__ import annotations

import pytest

from minikafka.errors import InvalidConfig
from minikafka_client import (
    AlterConfig,
    AlterOperation,
    AsyncAdmin,
    ConfigResource,
    ConfigSource,
    ConfigType,
    NewTopic,
)

ORDERS = ConfigResource.topic("orders")


async def test_a_topics_configuration_is_altered_key_by_key(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders", configs={"retention.ms": "1000", "cleanup.policy": "delete"})])
    await admin.alter_configs(
        {
            ORDERS: [
                AlterConfig("max.message.bytes", "2000"),
                AlterConfig("retention.ms", operation=AlterOperation.DELETE),
                AlterConfig("cleanup.policy", "compact", AlterOperation.APPEND),
            ]
        }
    )
    configs = (await admin.describe_configs([ORDERS]))[ORDERS]
    assert configs["max.message.bytes"].value == "2000"
    assert configs["max.message.bytes"].source is ConfigSource.DYNAMIC_TOPIC
    assert configs["max.message.bytes"].type is ConfigType.INT
    assert configs["retention.ms"].is_default
    assert set((configs["cleanup.policy"].value or "").split(",")) == {"delete", "compact"}
    assert configs["retention.ms"].documentation


async def test_a_bad_value_is_refused_and_checking_only_changes_nothing(admin: AsyncAdmin) -> None:
    await admin.create_topics([NewTopic("orders")])
    with pytest.raises(InvalidConfig, match="topic 'orders'"):
        await admin.alter_configs({ORDERS: [AlterConfig("retention.ms", "soon")]})
    await admin.alter_configs({ORDERS: [AlterConfig("retention.ms", "5")]}, validate_only=True)
    assert (await admin.describe_configs([ORDERS]))[ORDERS]["retention.ms"].is_default


async def test_a_brokers_configuration_is_described_by_itself(admin: AsyncAdmin) -> None:
    (broker,) = (await admin.describe_cluster()).brokers
    resource = ConfigResource.broker(broker.node_id)
    configs = (await admin.describe_configs([resource], keys=["num.partitions"]))[resource]
    assert list(configs) == ["num.partitions"]
    assert configs["num.partitions"].value == "1"
