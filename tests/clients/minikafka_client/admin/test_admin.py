from __future__ import annotations

from minikafka_client import AsyncAdmin, ConfigResource, NewTopic


async def test_an_admin_needs_no_with(bootstrap: str) -> None:
    admin = AsyncAdmin(bootstrap)
    (broker,) = (await admin.describe_cluster()).brokers
    resource = ConfigResource.broker(broker.node_id)
    assert (await admin.describe_configs([resource]))[resource]
    await admin.create_topics([NewTopic("orders")])
    await admin.close()
