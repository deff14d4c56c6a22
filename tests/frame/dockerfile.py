"""The parts of Dockerfile and .dockerignore syntax that the project's own files use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction; ``text`` is all that follows the keyword, its continuation lines joined."""

    keyword: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A FROM and what follows it."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str) -> str:
        """The text of the last ``keyword``, which is the one that counts."""
        return [found.text for found in self.instructions if found.keyword == keyword][-1]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    stages: list[Stage] = []
    collected: list[Instruction] = []
    for keyword, rest in _instructions(text):
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            collected = []
            stages.append(Stage(base.strip(), name.strip() or str(len(stages)), ()))
        else:
            collected.append(Instruction(keyword, rest))
            stages[-1] = Stage(stages[-1].base, stages[-1].name, tuple(collected))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        yield Instruction(keyword.upper(), rest.strip())


def exec_form(text: str) -> list[str]:
    """The words of ``["minikafka", "serve"]``; the shell form, which puts a shell in between, is refused."""
    words = json.loads(text)
    assert isinstance(words, list), text
    assert all(isinstance(word, str) for word in words), text
    return words


def context_files(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files below ``root`` that a .dockerignore with these lines lets into the build, relative to ``root``."""
    rules = [(line.removeprefix("!"), line.startswith("!")) for line in patterns if line and not line.startswith("#")]
    exceptions = [pattern for pattern, wanted in rules if wanted]

    def visit(directory: Path) -> Iterator[Path]:
        for path in sorted(directory.iterdir()):
            name = path.relative_to(root).as_posix()
            wanted = _is_wanted(name, rules)
            if path.is_dir() and (wanted or any(pattern.startswith(f"{name}/") for pattern in exceptions)):
                yield from visit(path)
            elif wanted and path.is_file():
                yield Path(name)

    return visit(root)


def _is_wanted(name: str, rules: Sequence[tuple[str, bool]]) -> bool:
    """What the last rule says that matches the path or a folder that it is in."""
    parts = name.split("/")
    prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    verdicts = [wanted for pattern, wanted in rules if any(_regex(pattern).fullmatch(prefix) for prefix in prefixes)]
    return verdicts[-1] if verdicts else True


def _regex(pattern: str) -> re.Pattern[str]:
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    return re.compile("".join(meaning.get(piece, re.escape(piece)) for piece in pieces))
