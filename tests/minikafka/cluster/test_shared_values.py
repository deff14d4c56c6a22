import pytest

from minikafka.cluster import shared_values
from minikafka.cluster.shared_values import change_settings, reserve_producer_ids
from minikafka.cluster.store import SetValue, StoreUnavailable
from minikafka.cluster.znodes import encode_settings


async def test_a_change_is_thought_over_when_another_was_faster(store):
    await store.create("/settings", encode_settings({"count": "1"}))
    others = [5, 6]
    seen = []

    def change(current):
        seen.append(current["count"])
        return {"count": current["count"] + "!"}

    class Racing:
        """Another broker writes between the read and the write, twice."""

        async def get(self, path):
            node = await store.get(path)
            if others:
                await store.multi([SetValue(path, encode_settings({"count": str(others.pop())}))])
            return node

        async def set(self, path, value, version):
            return await store.set(path, value, version)

    result = await change_settings(Racing(), "/settings", change, lambda _: None, validate_only=False)
    assert seen == ["1", "6", "5"]
    assert result == {"count": "5!"}


async def test_endless_contention_is_given_up(store, monkeypatch):
    monkeypatch.setattr(shared_values, "ATTEMPTS", 3)
    await store.create("/latest_producer_id_block", b'{"block_start":"0","block_end":"999"}')

    class AlwaysBeaten:
        async def get(self, path):
            node = await store.get(path)
            await store.set(path, node.value)
            return node

        async def set(self, path, value, version):
            return await store.set(path, value, version)

    with pytest.raises(StoreUnavailable, match="3 times in a row"):
        await reserve_producer_ids(AlwaysBeaten(), 1)


async def test_ids_go_on_after_the_last_block(store):
    assert await reserve_producer_ids(store, 1) == (0, 999)
    assert await reserve_producer_ids(store, 2) == (1000, 1999)
