"""Lines of one generated function, and the names it closes over."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minikafka.protocol.schema import Field, Wire, fields_of


class Emitter:
    """Collects source lines; :meth:`compile` turns them into the function.

    The source is made of our own class definitions alone, never of anything that came over a wire.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self._names = dict(names)
        self._depth = 0
        self._made = 0

    def __call__(self, line: str) -> None:  # noqa: D102 - see the class
        self.lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent what is emitted inside, under ``head``."""
        self(head)
        self._depth += 1
        yield
        self._depth -= 1

    def variable(self, hint: str) -> str:
        """A name not used so far."""
        self._made += 1
        return f"{hint}{self._made}"

    def bind(self, name: str, value: Any) -> str:
        """Make ``value`` visible to the function as ``name``, which must always mean the same."""
        if self._names.setdefault(name, value) is not value:
            raise ValueError(f"{name} means two things")
        return name

    def struct_method(self, verb: str, codes: str) -> str:
        """``pack`` or ``unpack_from`` of the big-endian struct of ``codes``, bound to a name that tells it."""
        name = f"{verb}_{codes.replace('?', 'o')}"
        if name not in self._names:
            self._names[name] = getattr(struct.Struct(">" + codes), verb)
        return name

    def compile(self, function: str, title: str) -> Callable[..., Any]:
        """The function that the lines define; ``title`` stands for the file in tracebacks."""
        exec(compile("\n".join(self.lines), f"<{title}>", "exec"), self._names)
        made: Callable[..., Any] = self._names[function]
        return made


def default_source(declared: Field) -> str:
    """The default of a field as an expression, for anything but a struct."""
    assert declared.default is not None, declared.name
    value = declared.default()
    return "[]" if declared.spec.is_array and value is not None else repr(value)


def non_default_source(declared: Field, expression: str) -> str:
    """A condition that holds when ``expression`` is not the default of ``declared``."""
    assert declared.default is not None, declared.name
    spec, value = declared.spec, declared.default()
    if value is None:
        return f"{expression} is not None"
    if spec.is_array:
        return f"{expression}" if not spec.nullable else f"({expression} is None or {expression})"
    if spec.struct is not None:
        inner = (
            non_default_source(nested.with_default(getattr(value, nested.name)), f"{expression}.{nested.name}")
            for nested in fields_of(spec.struct)
        )
        return "(" + " or ".join(inner) + ")"
    return f"{expression} != {value!r}"


def minimum_size(wire: Wire[object] | None, struct_class: type | None, version: int, flexible: bool) -> int:
    """The fewest bytes one element of an array can take, at least 1."""
    if wire is not None:
        if wire.code:
            return struct.calcsize(">" + wire.code)
        return 1 if flexible else (2 if wire.name == "string" else 4)
    assert struct_class is not None
    size = 1 if flexible else 0
    for declared in fields_of(struct_class):
        spec = declared.spec
        if version not in spec.versions or spec.tag is not None:
            continue
        if spec.is_array:
            size += 1 if flexible else 4
        elif spec.struct is not None and version in spec.nullable:
            size += 1
        else:
            size += minimum_size(spec.wire, spec.struct, version, flexible)
    return max(size, 1)
