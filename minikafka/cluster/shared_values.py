"""Values in the store that several brokers may change at once: read, change, write if nobody was faster, or again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minikafka.cluster import znodes
from minikafka.cluster.store import BadVersion, CoordinationStore, NodeExists, NoNode, StoreUnavailable
from minikafka.cluster.znodes import ProducerIdBlock
from minikafka.config.broker import BROKER_KEYS, BrokerConfig
from minikafka.config.definition import ConfigKey, UpdateMode, to_text, unknown_key
from minikafka.config.topic import TopicConfig
from minikafka.errors import InvalidConfig, InvalidRequest

PRODUCER_IDS_PER_BLOCK = 1000
ATTEMPTS = 20
"""How often a change is thought over again before the contention is taken for a fault."""

Settings = Mapping[str, str]


async def reserve_producer_ids(store: CoordinationStore, broker_id: int) -> ProducerIdBlock:
    """Producer ids that no broker has handed out, nor will.

    Raises:
        StoreUnavailable: Others were faster, again and again.
    """
    path = znodes.PRODUCER_ID_BLOCK
    for _ in range(ATTEMPTS):
        value, version = await _read(store, path)
        first = 0 if value is None else znodes.decode_producer_id_block(value).last + 1
        block = ProducerIdBlock(first, first + PRODUCER_IDS_PER_BLOCK - 1)
        if await _write(store, path, znodes.encode_producer_id_block(broker_id, block), version):
            return block
    raise contention(path)


async def change_settings(
    store: CoordinationStore,
    path: str,
    change: Callable[[Settings], Settings],
    check: Callable[[Settings], None],
    *,
    validate_only: bool,
) -> Settings:
    """Change the settings at ``path``, and return them as they then are.

    Args:
        store: Where they stand.
        path: Their node; it is made if there is none.
        change: Makes the new settings of the current ones.
        check: Raises if the new ones make no sense.
        validate_only: Write nothing.

    Raises:
        StoreUnavailable: Others were faster, again and again.
    """
    for _ in range(ATTEMPTS):
        value, version = await _read(store, path)
        settings = change({} if value is None else znodes.decode_settings(value))
        check(settings)
        if validate_only or await _write(store, path, znodes.encode_settings(settings), version):
            return settings
    raise contention(path)


def refuse_read_only(settings: Settings) -> None:
    """Check that a running broker can take ``settings``.

    Raises:
        InvalidConfig: There is no such key.
        InvalidRequest: The key needs a restart.
    """
    for name in settings:
        if name not in BROKER_KEYS:
            raise InvalidConfig(unknown_key(name, BROKER_KEYS))
    fixed = sorted(name for name in settings if BROKER_KEYS[name].update_mode is UpdateMode.READ_ONLY)
    if fixed:
        raise InvalidRequest(f"Cannot update these configs dynamically: {','.join(fixed)}")


def without_nulls(settings: Mapping[str, str | None]) -> dict[str, str]:
    """``settings``, none of them None.

    Raises:
        InvalidRequest: One is.
    """
    nulls = sorted(name for name, value in settings.items() if value is None)
    if nulls:
        raise InvalidRequest(f"Null value not supported for : {','.join(nulls)}")
    return {name: value for name, value in settings.items() if value is not None}


def texts_of(keys: Mapping[str, ConfigKey], config: BrokerConfig | TopicConfig) -> dict[str, str | None]:
    """Every value of ``config`` as text, by key."""
    return {known.name: to_text(getattr(config, known.attribute)) for known in keys.values()}


def contention(path: str) -> StoreUnavailable:
    """The error for a node that others change faster than it can be read and written."""
    return StoreUnavailable(path, f"{path} was changed by others {ATTEMPTS} times in a row")


async def _read(store: CoordinationStore, path: str) -> tuple[bytes | None, int | None]:
    try:
        node = await store.get(path)
    except NoNode:
        return None, None
    return node.value, node.stat.version


async def _write(store: CoordinationStore, path: str, value: bytes, version: int | None) -> bool:
    """Whether ``value`` was written: not if there is another version, or a node where None was read."""
    try:
        if version is None:
            await store.create(path, value)
        else:
            await store.set(path, value, version)
    except (NodeExists, NoNode, BadVersion):
        return False
    return True
