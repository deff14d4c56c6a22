"""A controller over a store in memory, with one broker."""

import random

import pytest

from minikafka.cluster.controller import Controller
from minikafka.cluster.metadata import BrokerInfo, Endpoint, MetadataCache
from minikafka.cluster.sqlite_store import SqliteStore
from minikafka.config.sources import load
from tests.support.clock import ManualClock

BROKER = BrokerInfo(1, {"PLAINTEXT": Endpoint("localhost", 9092)})


@pytest.fixture
async def store():
    made = SqliteStore()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def metadata():
    return MetadataCache()


@pytest.fixture
def new_controller(store):
    def make(metadata, *overrides, at=store):
        return Controller(at, metadata, load(None, {}, overrides), ManualClock(), random.Random(1))

    return make


@pytest.fixture
async def controller(new_controller, metadata):
    made = new_controller(metadata)
    await made.start()
    await made.join(BROKER)
    return made
