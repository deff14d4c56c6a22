"""A group of commands that imports a command when it is used, so that ``serve`` waits for no other's imports."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyCommand(NamedTuple):
    """Where a command is, as ``module:attribute``, and the line that the group's help has for it."""

    place: str
    short_help: str

    def load(self) -> click.Command:
        """Import it; no garbage is collected meanwhile, for what that makes stays."""
        module, _, attribute = self.place.partition(":")
        gc.disable()
        try:
            command: click.Command = getattr(import_module(module), attribute)
        finally:
            gc.enable()
        return command


class LazyGroup(click.Group):
    """A group of commands that are imported when they are run; without a command it prints its help."""

    def __init__(self, name: str | None = None, *, lazy_commands: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(name, invoke_without_command=True, no_args_is_help=False, **settings)
        self._lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order they are to be shown in."""
        return [*self._lazy_commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is no such one."""
        command = self._lazy_commands.get(cmd_name)
        return command.load() if command is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in self._lazy_commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin with ``incomplete``, again without importing them, and the options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=command.short_help)
            for name, command in self._lazy_commands.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return result
