"""``minikafka completion``: what teaches a shell to complete command lines."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from minikafka.cli.exits import ExitCode, Failure

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "minikafka"
_VARIABLE = "_MINIKAFKA_COMPLETE"  # as click names it after the program


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print what makes SHELL complete commands, options, topics and groups.

    Put the line of your shell into its file:

    \b
    bash   eval "$(minikafka completion bash)"     ~/.bashrc
    zsh    eval "$(minikafka completion zsh)"      ~/.zshrc, after compinit
    fish   minikafka completion fish | source      ~/.config/fish/config.fish

    Topics and groups are asked of the broker of -b or KAFKA_BOOTSTRAP_SERVERS.
    """  # noqa: D301 - click keeps the lines of a paragraph apart that begins with a backspace
    kind = get_completion_class(shell or _own_shell())
    assert kind is not None, "click knows all of these"
    click.echo(kind(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source())


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise Failure(f"which shell? 'minikafka completion' takes one of {', '.join(_SHELLS)}", ExitCode.USAGE)
    return name
