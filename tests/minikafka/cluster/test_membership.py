import json

import pytest

from minikafka.cluster import membership
from minikafka.cluster.membership import BrokerIdInUse
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache
from minikafka.cluster.sqlite_store import SqliteStore
from tests.minikafka.cluster.conftest import BROKER
from tests.support.clock import ManualClock


@pytest.fixture
async def laid_out(store):
    await membership.ensure_layout(store)
    return store


@pytest.fixture
async def other(laid_out: SqliteStore):
    session = laid_out.another_session()
    await session.open()
    yield session
    await session.close()


async def test_the_cluster_keeps_the_id_that_it_was_given_first(laid_out):
    assert await membership.ensure_cluster_id(laid_out, "first") == "first"
    assert await membership.ensure_cluster_id(laid_out, "second") == "first"
    assert json.loads((await laid_out.get("/cluster/id")).value) == {"version": "1", "id": "first"}


async def test_a_cluster_without_a_wanted_id_draws_one(laid_out):
    drawn = await membership.ensure_cluster_id(laid_out, None)
    assert len(drawn) == 22
    assert await membership.ensure_cluster_id(laid_out, None) == drawn


async def test_a_broker_is_registered_as_long_as_its_session_lives(laid_out, other):
    await membership.register_broker(other, BROKER, 5)
    metadata = MetadataCache()
    await membership.load(laid_out, metadata)
    assert list(metadata.brokers) == [BROKER]
    await other.close()
    await membership.load(laid_out, metadata)
    assert list(metadata.brokers) == []


async def test_a_broker_may_register_again_with_other_addresses(laid_out):
    await membership.register_broker(laid_out, BROKER, 5)
    moved = BrokerInfo(1, {"PLAINTEXT": Endpoint("localhost", 9999)})
    await membership.register_broker(laid_out, moved, 6)
    metadata = MetadataCache()
    await membership.load(laid_out, metadata)
    assert list(metadata.brokers) == [moved]


async def test_a_broker_id_belongs_to_one_session(laid_out, other):
    await membership.register_broker(other, BROKER, 5)
    with pytest.raises(BrokerIdInUse, match=r"has the id 1: give node\.id another value"):
        await membership.register_broker(laid_out, BROKER, 6)


async def test_the_first_broker_is_the_controller_until_it_is_gone(laid_out, other):
    clock = ManualClock()
    assert await membership.elect_controller(other, 2, clock) == 2
    assert await membership.elect_controller(laid_out, 1, clock) == 2
    assert (await laid_out.get("/controller_epoch")).value == b"1"
    await other.close()
    assert await membership.elect_controller(laid_out, 1, clock) == 1
    assert (await laid_out.get("/controller_epoch")).value == b"2"


async def test_laying_out_twice_changes_nothing(laid_out):
    before = await laid_out.tree("/")
    await membership.ensure_layout(laid_out)
    assert await laid_out.tree("/") == before
