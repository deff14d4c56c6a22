"""Saying, once, where reading begins, what is skipped and what is missing: nothing puzzles more than silence."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from minikafka.types import TopicPartition

_log = logging.getLogger(__name__)


class Beginning(NamedTuple):
    """Where reading begins in a partition that had no position, by what ``auto_offset_reset`` or a seek says.

    ``why`` is what led to it, if that is worth a word; ``skipped`` counts the offsets before ``offset`` that are there.
    """

    where: TopicPartition
    offset: int
    skipped: int
    why: str


def say_where_it_begins(beginnings: Iterable[Beginning]) -> None:
    """One line for each topic, a warning if older messages are skipped."""
    by_topic: defaultdict[tuple[str, str], list[Beginning]] = defaultdict(list)
    for beginning in sorted(beginnings):
        by_topic[beginning.where.topic, beginning.why].append(beginning)
    for (topic, why), begun in by_topic.items():
        reason = f"{why} on {topic}" if why else topic
        offsets = ", ".join(f"{topic}[{there.where.partition}] at {there.offset}" for there in begun)
        skipped = sum(there.skipped for there in begun)
        if skipped:
            _log.warning(
                'consumer: %s, starting at LATEST (%s). %d older messages are skipped; auto_offset_reset="earliest" or '
                "seek_to_beginning() reads them",
                reason,
                offsets,
                skipped,
            )
        else:
            _log.info("consumer: %s, starting at %s", reason, offsets)


def say_what_is_missing(topics: Iterable[str]) -> None:
    """One warning for each topic that was subscribed to and does not exist."""
    for topic in sorted(topics):
        _log.warning("consumer: there is no topic %s; it will be read as soon as there is", topic)
