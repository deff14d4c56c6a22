"""What the shell offers for the name of a topic, a group or a transactional id: those that the broker has.

A shell that completes must not wait, nor show errors: whoever presses Tab has not asked a question yet.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from minikafka.cli.options import DEFAULT_BOOTSTRAP, given_bootstrap

if TYPE_CHECKING:
    from minikafka_client.admin.admin import AsyncAdmin

_PATIENCE_S = 1.0


def topic_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The topics that begin with ``incomplete``; internal ones only for those who begin with their underscores."""

    async def names(admin: AsyncAdmin) -> list[str]:
        topics = await admin.list_topics(include_internal=incomplete.startswith("_"))
        return [topic.name for topic in topics]

    return _matching(_ask(ctx, names), incomplete)


def group_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The groups that begin with ``incomplete``."""

    async def names(admin: AsyncAdmin) -> list[str]:
        return [group.group_id for group in await admin.list_groups()]

    return _matching(_ask(ctx, names), incomplete)


def transactional_ids(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The transactional ids that begin with ``incomplete``."""

    async def names(admin: AsyncAdmin) -> list[str]:
        return [found.transactional_id for found in await admin.list_transactions()]

    return _matching(_ask(ctx, names), incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _ask(ctx: click.Context, names: Callable[[AsyncAdmin], Awaitable[list[str]]]) -> list[str]:
    """What the broker says; nothing, when it says nothing in time."""
    import asyncio

    from minikafka_client.admin.admin import AsyncAdmin

    async def ask() -> list[str]:
        async with asyncio.timeout(_PATIENCE_S), AsyncAdmin(_bootstrap(ctx)) as admin:
            return await names(admin)

    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(ask())
    except Exception:  # noqa: BLE001 - whatever is wrong, the command itself will say it
        return []
    finally:
        logging.disable(logging.NOTSET)


def _bootstrap(ctx: click.Context) -> str:
    """As the command would have it, of what has been typed so far."""
    return given_bootstrap(ctx, ctx.params.get("bootstrap")) or DEFAULT_BOOTSTRAP
