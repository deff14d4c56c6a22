"""``minikafka topic``: create, list, describe, alter and delete topics, and where keys go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

import click

from minikafka.cli.complete import topic_names
from minikafka.cli.console import JsonValue, confirm, plural, print_json, print_table
from minikafka.cli.exits import Failure
from minikafka.cli.options import CLIENT_ID, bootstrap_option, key_values, output_option
from minikafka.cli.upkeep import compact, expire, roll, trim
from minikafka.net.loop import run
from minikafka.types import NO_LEADER, TopicPartition, uuid_text
from minikafka_client.admin.admin import AsyncAdmin
from minikafka_client.admin.types import (
    AlterConfig,
    AlterOperation,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
)
from minikafka_client.consumer.consumer import AsyncConsumer
from minikafka_client.metadata import TopicInfo
from minikafka_client.producer.partitioner import partition_for_key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Description:
    """Everything that ``topic describe`` tells; partitions that nobody leads have no offsets."""

    info: TopicInfo
    begins: dict[TopicPartition, int]
    ends: dict[TopicPartition, int]
    settings: dict[str, ConfigEntry]


@click.group()
def topic() -> None:
    """Create, list, describe, alter, delete and look after topics."""


for _upkeep in (trim, roll, expire, compact):
    topic.add_command(_upkeep)


@topic.command()
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), help="How many partitions.  [default: the broker's]")
@click.option("--replication-factor", type=click.IntRange(min=1), help="How many copies.  [default: the broker's]")
@click.option("--config", "configs", metavar="KEY=VALUE", multiple=True, callback=key_values, help="A topic setting.")
@click.option("--if-not-exists", is_flag=True, help="Succeed when there is such a topic already.")
@bootstrap_option
def create(
    *,
    name: str,
    partitions: int | None,
    replication_factor: int | None,
    configs: dict[str, str],
    if_not_exists: bool,
    bootstrap: str,
) -> None:
    """Create the topic NAME."""
    new = NewTopic(name, partitions or -1, replication_factor or -1, configs)

    async def work(admin: AsyncAdmin) -> str:
        if if_not_exists and any(known.name == name for known in await admin.list_topics(include_internal=True)):
            return f"topic {name} exists already"
        created = (await admin.create_topics([new]))[name]
        if created.num_partitions < 0:
            return f"created topic {name}"
        shape = f"{plural(created.num_partitions, 'partition')}, {_copies(created.replication_factor)}"
        return f"created topic {name}: {shape}"

    click.echo(_administer(bootstrap, work))


@topic.command("list")
@click.option("--internal", is_flag=True, help="Also those that brokers keep for themselves.")
@bootstrap_option
@output_option
def list_(bootstrap: str, output: str, internal: bool) -> None:
    """List all topics."""
    topics = _administer(bootstrap, lambda admin: admin.list_topics(include_internal=internal))
    if output == "json":
        print_json([_summary(info) for info in topics])
    elif topics:
        rows = [(info.name, len(info.partitions), _replication_factor(info)) for info in topics]
        print_table(("NAME", "PARTITIONS", "REPLICAS"), rows)
    else:
        click.echo("no topics; 'minikafka topic create NAME' makes one", err=True)


@topic.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=topic_names)
@bootstrap_option
@output_option
def describe(names: Sequence[str], bootstrap: str, output: str) -> None:
    """Show the partitions, offsets and settings of topics."""
    descriptions = run(_describe(bootstrap, list(dict.fromkeys(names))))
    if output == "json":
        print_json([_as_json(description) for description in descriptions])
        return
    for description in descriptions:
        _print_description(description)


@topic.command()
@click.argument("name", shell_complete=topic_names)
@click.option("--partitions", type=click.IntRange(min=1), help="Grow to so many partitions.")
@click.option("--config", "configs", metavar="KEY=VALUE", multiple=True, callback=key_values, help="Set a setting.")
@click.option("--delete-config", "deleted", metavar="KEY", multiple=True, help="Go back to a setting's default.")
@bootstrap_option
def alter(
    *, name: str, partitions: int | None, configs: dict[str, str], deleted: Sequence[str], bootstrap: str
) -> None:
    """Give the topic NAME more partitions or other settings."""
    changes = [AlterConfig(key, value) for key, value in configs.items()]
    changes += [AlterConfig(key, operation=AlterOperation.DELETE) for key in deleted]
    if not changes and partitions is None:
        raise click.UsageError("Nothing to alter: give --partitions, --config or --delete-config")

    async def work(admin: AsyncAdmin) -> None:
        if changes:
            await admin.alter_configs({ConfigResource.topic(name): changes})
        if partitions is not None:
            await admin.create_partitions({name: partitions})

    _administer(bootstrap, work)
    click.echo(f"altered topic {name}")


@topic.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=topic_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@bootstrap_option
def delete(names: Sequence[str], yes: bool, bootstrap: str) -> None:
    """Delete topics and everything in them."""
    if not yes:
        question = f"Delete {plural(len(names), 'topic')} ({', '.join(names)}) and all records?"
        if not confirm(question):
            raise Failure("nothing was deleted")
    _administer(bootstrap, lambda admin: admin.delete_topics(names))
    for name in names:
        click.echo(f"deleted topic {name}")


@topic.command("which-partition")
@click.argument("name", metavar="TOPIC", shell_complete=topic_names)
@click.argument("key")
@bootstrap_option
@output_option
def which_partition(name: str, key: str, bootstrap: str, output: str) -> None:
    """Show which partition of TOPIC the records with KEY go to.

    Most clients hash a key with murmur2, as Kafka's own do; those built on librdkafka with CRC-32, unless their
    partitioner is set to murmur2_random.
    """
    count = len(_administer(bootstrap, lambda admin: admin.describe_topics([name]))[name].partitions)
    by_hash = {"murmur2": partition_for_key(key.encode(), count), "crc32": crc32(key.encode()) % count}
    if output == "json":
        print_json({"topic": name, "partitions": count, "key": key, **by_hash})
        return
    rows = [
        (f"{name}[{by_hash['murmur2']}]", "murmur2", "minikafka, Java, aiokafka, kafka-python and most others"),
        (f"{name}[{by_hash['crc32']}]", "crc32", "librdkafka: confluent-kafka, kcat and others, by default"),
    ]
    print_table(("PARTITION", "HASH", "CLIENTS"), rows)


def _administer(bootstrap: str, work: Callable[[AsyncAdmin], Coroutine[Any, Any, T]]) -> T:
    async def connected() -> T:
        async with AsyncAdmin(bootstrap, client_id=CLIENT_ID) as admin:
            return await work(admin)

    return run(connected())


async def _describe(bootstrap: str, names: Sequence[str]) -> list[_Description]:
    async with (
        AsyncAdmin(bootstrap, client_id=CLIENT_ID) as admin,
        AsyncConsumer(bootstrap, client_id=CLIENT_ID, allow_auto_create_topics=False) as consumer,
    ):
        topics = await admin.describe_topics(names)
        resources = [ConfigResource.topic(name) for name in names]
        partitions = [
            TopicPartition(info.name, partition.partition)
            for info in topics.values()
            for partition in info.partitions
            if partition.leader_id != NO_LEADER
        ]
        configs, begins, ends = await asyncio.gather(
            admin.describe_configs(resources), consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        )
    return [
        _Description(topics[resource.name], begins, ends, _set_on_topic(configs[resource])) for resource in resources
    ]


def _set_on_topic(entries: dict[str, ConfigEntry]) -> dict[str, ConfigEntry]:
    return {name: entry for name, entry in entries.items() if entry.source is ConfigSource.DYNAMIC_TOPIC}


def _print_description(description: _Description) -> None:
    info = description.info
    count = sum(end - description.begins[where] for where, end in description.ends.items() if where.topic == info.name)
    click.echo(
        f"TOPIC {click.style(info.name, bold=True)}  id {uuid_text(info.topic_id)}  "
        f"{plural(len(info.partitions), 'partition')}, {_copies(_replication_factor(info))}, {plural(count, 'record')}"
    )
    rows = [
        (
            partition.partition,
            partition.leader_id if partition.leader_id != NO_LEADER else "none",
            partition.leader_epoch,
            _ids(partition.replicas),
            _ids(partition.isr),
            description.begins.get(where, "-"),
            description.ends.get(where, "-"),
        )
        for where, partition in zip(_partitions(info), info.partitions, strict=True)
    ]
    print_table(("PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END"), rows)
    for name, entry in description.settings.items():
        click.echo(f"  {name}={entry.value}")
    click.echo()


def _as_json(description: _Description) -> dict[str, JsonValue]:
    info = description.info
    partitions: list[JsonValue] = [
        {
            "partition": partition.partition,
            "leader": partition.leader_id,
            "leader_epoch": partition.leader_epoch,
            "replicas": partition.replicas,
            "isr": partition.isr,
            "start_offset": description.begins.get(where),
            "end_offset": description.ends.get(where),
        }
        for where, partition in zip(_partitions(info), info.partitions, strict=True)
    ]
    configs = {name: entry.value for name, entry in description.settings.items()}
    return {**_summary(info), "configs": configs, "partition_list": partitions}


def _summary(info: TopicInfo) -> dict[str, JsonValue]:
    return {
        "name": info.name,
        "topic_id": uuid_text(info.topic_id),
        "partitions": len(info.partitions),
        "replication_factor": _replication_factor(info),
        "internal": info.is_internal,
    }


def _partitions(info: TopicInfo) -> list[TopicPartition]:
    return [TopicPartition(info.name, partition.partition) for partition in info.partitions]


def _replication_factor(info: TopicInfo) -> int:
    return max((len(partition.replicas) for partition in info.partitions), default=0)


def _copies(count: int) -> str:
    return plural(count, "replica")


def _ids(node_ids: Sequence[int]) -> str:
    return ",".join(map(str, node_ids))
