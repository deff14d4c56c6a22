"""The controller: the one place where topics, their settings and producer ids are made and changed.

A change is checked, written to the coordination store in one transaction, and put into this broker's cache; only then
does its caller carry it out on disk.  What another broker changed meanwhile is noticed by the version that the write
expects, and the change is thought over again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from minikafka.clock import Clock
from minikafka.cluster import membership, znodes
from minikafka.cluster.metadata import BrokerInfo, MetadataCache, PartitionState, TopicMetadata
from minikafka.cluster.placement import Assignment
from minikafka.cluster.shared_values import (
    ATTEMPTS,
    Settings,
    change_settings,
    contention,
    refuse_read_only,
    reserve_producer_ids,
    texts_of,
    without_nulls,
)
from minikafka.cluster.store import (
    BadVersion,
    CoordinationStore,
    Create,
    Delete,
    NodeExists,
    NoNode,
    NotEmpty,
    Operation,
    SetValue,
    StoreUnavailable,
)
from minikafka.cluster.topic_requests import (
    TopicDefaults,
    TopicSpec,
    check_name,
    check_settings,
    plan_growth,
    plan_topic,
)
from minikafka.cluster.znodes import ProducerIdBlock, TopicNode
from minikafka.config.alter import ConfigAlteration, altered
from minikafka.config.broker import BROKER_KEYS
from minikafka.config.describe import BrokerSettings
from minikafka.config.sources import LoadedConfig
from minikafka.config.topic import TOPIC_KEYS, TopicConfig
from minikafka.errors import CoordinatorNotAvailable, InvalidRequest, TopicAlreadyExists, UnknownTopicOrPartition
from minikafka.observability.logging import get_logger
from minikafka.types import new_uuid

_log = get_logger(__name__)


class Controller:
    """Changes the cluster's state.  :meth:`start` comes first."""

    def __init__(
        self,
        store: CoordinationStore,
        metadata: MetadataCache,
        loaded_config: LoadedConfig,
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._loaded_config = loaded_config
        self._clock = clock
        self._chance = chance if chance is not None else random.Random()
        self._broker_id = loaded_config.config.node_id
        self._controller_epoch = 0
        self._changing_topics = asyncio.Lock()

    async def start(self, cluster_id: str | None = None) -> None:
        """Read what the store has into the cache, and agree on the cluster's id.

        Args:
            cluster_id: The id that the data directories were made for; None when they are new.
        """
        await membership.ensure_layout(self._store)
        wanted = cluster_id or self._loaded_config.config.minikafka_cluster_id
        self._metadata.cluster_id = await membership.ensure_cluster_id(self._store, wanted)
        await membership.load(self._store, self._metadata)
        self._controller_epoch = await membership.controller_epoch(self._store)

    async def join(self, broker: BrokerInfo) -> None:
        """Register this broker, and become the controller if there is none.

        Raises:
            BrokerIdInUse: Another running broker has this one's id.
        """
        await membership.register_broker(self._store, broker, self._clock.now_ms())
        others = [known for known in self._metadata.brokers if known.broker_id != broker.broker_id]
        self._metadata.replace_brokers([*others, broker])
        self._metadata.controller_id = await membership.elect_controller(self._store, broker.broker_id, self._clock)
        self._controller_epoch = await membership.controller_epoch(self._store)
        _log.debug("controller_elected", controller_id=self._metadata.controller_id, epoch=self._controller_epoch)

    @property
    def broker_settings(self) -> BrokerSettings:
        """This broker's configuration in all its layers."""
        return self._settings_with(self._metadata.settings_for_all, self._metadata.settings_of)

    def topic_config(self, settings: Settings) -> TopicConfig:
        """What a topic with these settings of its own comes to on this broker.

        Raises:
            InvalidConfig: A setting is unknown or malformed.
        """
        return TopicConfig.from_overrides(settings, self.broker_settings.effective.topic_defaults())

    async def create_topic(self, spec: TopicSpec, *, validate_only: bool = False) -> TopicMetadata:
        """Make a topic, with a new id even if there was one of that name before.

        Raises:
            TopicAlreadyExists: There is one.
            InvalidTopic, InvalidConfig, InvalidPartitions, InvalidReplicationFactor, InvalidReplicaAssignment,
            InvalidRequest, PolicyViolation: It cannot be like that.
        """
        async with self._changing_topics:
            if self._metadata.topic(spec.name) is not None:
                raise _topic_exists(spec.name)
            topic = self._plan(spec)
            if validate_only:
                return topic
            try:
                await self._store.multi(self._creation_of(topic))
            except NodeExists:
                raise _topic_exists(spec.name) from None
            self._metadata.put_topic(topic)
            return topic

    async def delete_topic(self, name: str) -> TopicMetadata:
        """Take a topic out of the cluster, and return what it was: its logs are left to the caller.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        async with self._changing_topics:
            topic = self._existing(name)
            path = znodes.topic_path(name)
            for _ in range(ATTEMPTS):
                below = sorted(await self._store.tree(path), key=len, reverse=True)  # the deepest first
                try:
                    await self._store.multi([*map(Delete, below), Delete(path), Delete(znodes.topic_config_path(name))])
                except (NoNode, NotEmpty):
                    if await self._store.exists(path) is not None:
                        continue
                self._metadata.remove_topic(name)
                return topic
        raise contention(path)

    async def create_partitions(
        self,
        name: str,
        partition_count: int,
        manual: Sequence[tuple[int, ...]] | None = None,
        *,
        validate_only: bool = False,
    ) -> TopicMetadata:
        """Give a topic more partitions, ``partition_count`` in all, and return the topic as it then is.

        Args:
            name: The topic.
            partition_count: How many it shall have.
            manual: The replicas of the new partitions, where the client chose them.
            validate_only: Only check.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor, PolicyViolation: It cannot be done.
        """
        async with self._changing_topics:
            topic = self._existing(name)
            added = plan_growth(topic, partition_count, manual, self._broker_ids(), self._chance)
            grown = replace(topic, partitions=(*topic.partitions, *_first_states(added)))
            if validate_only:
                return grown
            try:
                await self._store.multi(await self._growth_of(topic, grown))
            except (BadVersion, NodeExists):
                raise InvalidRequest(f"The topic {name} was changed meanwhile.") from None
            self._metadata.put_topic(grown)
            return grown

    async def alter_topic_config(
        self, name: str, alterations: Sequence[ConfigAlteration], *, validate_only: bool = False
    ) -> TopicMetadata:
        """Change some of a topic's settings, and return the topic as it then is.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidConfig, InvalidRequest: The change makes no sense; nothing is changed.
        """
        defaults = texts_of(TOPIC_KEYS, self.broker_settings.effective.topic_defaults())
        return await self._change_topic_config(
            name, lambda current: altered(TOPIC_KEYS, current, alterations, defaults), validate_only=validate_only
        )

    async def replace_topic_config(
        self, name: str, settings: Mapping[str, str | None], *, validate_only: bool = False
    ) -> TopicMetadata:
        """Give a topic exactly these settings of its own, and return the topic as it then is.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidConfig, InvalidRequest: The settings make no sense; nothing is changed.
        """
        replacement = without_nulls(settings)
        return await self._change_topic_config(name, lambda _: replacement, validate_only=validate_only)

    async def alter_broker_config(
        self, broker_id: int | None, alterations: Sequence[ConfigAlteration], *, validate_only: bool = False
    ) -> BrokerSettings:
        """Change settings of a running broker, or of all when ``broker_id`` is None.

        Returns:
            This broker's configuration as it then is.

        Raises:
            InvalidConfig, InvalidRequest: The change makes no sense, or needs a restart; nothing is changed.
        """
        defaults = texts_of(BROKER_KEYS, self.broker_settings.effective)
        return await self._change_broker_config(
            broker_id, lambda current: altered(BROKER_KEYS, current, alterations, defaults), validate_only=validate_only
        )

    async def replace_broker_config(
        self, broker_id: int | None, settings: Mapping[str, str | None], *, validate_only: bool = False
    ) -> BrokerSettings:
        """Make exactly these the settings of a running broker, or of all when ``broker_id`` is None.

        Returns:
            This broker's configuration as it then is.

        Raises:
            InvalidConfig, InvalidRequest: The settings make no sense, or need a restart; nothing is changed.
        """
        replacement = without_nulls(settings)
        return await self._change_broker_config(broker_id, lambda _: replacement, validate_only=validate_only)

    async def begin_leader_epochs(self) -> None:
        """Begin a new leader epoch of every partition that this broker leads.

        To be called after an unclean stop, before anything is served: the logs may have lost records that consumers
        have seen, and the records that get their offsets now must not pass for them.
        """
        renewed: list[TopicMetadata] = []
        operations: list[Operation] = []
        for topic in self._metadata.topics:
            states = tuple(self._renewed(state) for state in topic.partitions)
            renewed.append(replace(topic, partitions=states))
            operations += [
                SetValue(znodes.state_path(topic.name, index), znodes.encode_state(state, self._controller_epoch))
                for index, state in enumerate(states)
                if state is not topic.partitions[index]
            ]
        if operations:
            await self._store.multi(operations)
        for topic in renewed:
            self._metadata.put_topic(topic)

    async def next_producer_id_block(self) -> ProducerIdBlock:
        """Producer ids that no broker has handed out, nor will.

        Raises:
            CoordinatorNotAvailable: The store cannot be used at the moment.
        """
        try:
            return await reserve_producer_ids(self._store, self._broker_id)
        except StoreUnavailable as error:
            raise CoordinatorNotAvailable(str(error)) from error

    async def _change_topic_config(
        self, name: str, change: Callable[[Settings], Settings], *, validate_only: bool
    ) -> TopicMetadata:
        self._existing(name)

        def check(settings: Settings) -> None:
            self.topic_config(settings)

        settings = await change_settings(
            self._store, znodes.topic_config_path(name), change, check, validate_only=validate_only
        )
        topic = replace(self._existing(name), settings=settings)
        if not validate_only:
            self._metadata.put_topic(topic)
        return topic

    async def _change_broker_config(
        self, broker_id: int | None, change: Callable[[Settings], Settings], *, validate_only: bool
    ) -> BrokerSettings:
        def check(settings: Settings) -> None:
            refuse_read_only(settings)
            _ = self._settings_if(broker_id, settings).effective

        settings = await change_settings(
            self._store, znodes.broker_config_path(broker_id), change, check, validate_only=validate_only
        )
        changed = self._settings_if(broker_id, settings)
        if not validate_only:
            if broker_id is None:
                self._metadata.settings_for_all = settings
            else:
                self._metadata.settings_of = {**self._metadata.settings_of, broker_id: settings}
        return changed

    def _plan(self, spec: TopicSpec) -> TopicMetadata:
        check_name(spec.name, [topic.name for topic in self._metadata.topics])
        settings = check_settings(spec.settings)
        self.topic_config(settings)
        config = self._loaded_config.config
        defaults = TopicDefaults(config.num_partitions, config.default_replication_factor)
        assignment = plan_topic(spec, self._broker_ids(), defaults, self._chance)
        return TopicMetadata(spec.name, new_uuid(), _first_states(assignment), settings)

    def _creation_of(self, topic: TopicMetadata) -> list[Operation]:
        assignment = tuple(state.replicas for state in topic.partitions)
        return [
            Create(znodes.topic_config_path(topic.name), znodes.encode_settings(topic.settings)),
            Create(znodes.topic_path(topic.name), znodes.encode_topic(TopicNode(topic.topic_id, assignment))),
            Create(znodes.partitions_path(topic.name)),
            *self._partition_nodes(topic, 0),
        ]

    async def _growth_of(self, topic: TopicMetadata, grown: TopicMetadata) -> list[Operation]:
        path = znodes.topic_path(topic.name)
        assignment = tuple(state.replicas for state in grown.partitions)
        value = znodes.encode_topic(TopicNode(topic.topic_id, assignment))
        read = await self._store.get(path)
        return [SetValue(path, value, read.stat.version), *self._partition_nodes(grown, len(topic.partitions))]

    def _partition_nodes(self, topic: TopicMetadata, first: int) -> list[Operation]:
        operations: list[Operation] = []
        for index, state in enumerate(topic.partitions[first:], first):
            operations.append(Create(znodes.partition_path(topic.name, index)))
            value = znodes.encode_state(state, self._controller_epoch)
            operations.append(Create(znodes.state_path(topic.name, index), value))
        return operations

    def _renewed(self, state: PartitionState) -> PartitionState:
        if state.leader_id != self._broker_id:
            return state
        return replace(state, leader_epoch=state.leader_epoch + 1)

    def _broker_ids(self) -> list[int]:
        return [broker.broker_id for broker in self._metadata.brokers]

    def _existing(self, name: str) -> TopicMetadata:
        topic = self._metadata.topic(name)
        if topic is None:
            raise UnknownTopicOrPartition(f"The topic '{name}' does not exist.")
        return topic

    def _settings_with(self, for_all: Settings, of_brokers: Mapping[int, Settings]) -> BrokerSettings:
        return BrokerSettings(self._loaded_config, for_all, of_brokers.get(self._broker_id, {}))

    def _settings_if(self, broker_id: int | None, settings: Settings) -> BrokerSettings:
        """This broker's settings if those of ``broker_id`` were ``settings``."""
        if broker_id is None:
            return self._settings_with(settings, self._metadata.settings_of)
        return self._settings_with(self._metadata.settings_for_all, {**self._metadata.settings_of, broker_id: settings})


def _first_states(assignment: Assignment) -> tuple[PartitionState, ...]:
    return tuple(PartitionState(replicas[0], 0, replicas, replicas) for replicas in assignment)


def _topic_exists(name: str) -> TopicAlreadyExists:
    return TopicAlreadyExists(f"Topic '{name}' already exists.")
