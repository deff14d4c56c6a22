from __future__ import annotations

import pytest

from minikafka.protocol.emitter import Emitter, minimum_size, non_default_source
from minikafka.protocol.messages.fetch import FetchPartition, PartitionData
from minikafka.protocol.schema import INT32, STRING, UUID, array, field, fields_of, struct


@struct
class Inner:
    """One number."""

    number: int = field(INT32, default=5)


@struct
class Outer:
    """Every kind of default."""

    plain: str = field(STRING, default="x")
    perhaps: str | None = field(STRING, nullable="0+", default=None)
    some: list[int] = array(INT32, default_factory=list)
    nested: Inner = field(Inner, default_factory=Inner)


def test_emitted_lines_become_a_function() -> None:
    emit = Emitter({"double": lambda value: 2 * value})
    with emit.block("def f(values):"):
        emit("total = 0")
        with emit.block("for value in values:"):
            emit("total += double(value)")
        emit("return total")

    assert emit.compile("f", "test")([1, 2]) == 6


def test_a_name_means_one_thing() -> None:
    emit = Emitter({})
    emit.bind("Inner", Inner)
    emit.bind("Inner", Inner)
    with pytest.raises(ValueError, match="Inner means two things"):
        emit.bind("Inner", Outer)


def test_variables_are_never_reused() -> None:
    emit = Emitter({})

    assert len({emit.variable("o"), emit.variable("o"), emit.variable("items")}) == 3


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ({}, set()),
        ({"plain": "y"}, {"plain"}),
        ({"perhaps": ""}, {"perhaps"}),
        ({"some": [0]}, {"some"}),
        ({"nested": Inner(number=6)}, {"nested"}),
    ],
)
def test_a_condition_holds_for_what_is_not_the_default(changed: dict[str, object], differing: set[str]) -> None:
    o = Outer(**changed)  # type: ignore[arg-type]
    held = {
        declared.name
        for declared in fields_of(Outer)
        if eval(non_default_source(declared, f"o.{declared.name}"), {"o": o})
    }

    assert held == differing


def test_the_minimum_size_counts_what_cannot_be_left_out() -> None:
    assert minimum_size(INT32, None, 0, flexible=False) == 4
    assert minimum_size(UUID, None, 0, flexible=True) == 16
    assert minimum_size(STRING, None, 0, flexible=True) == 1
    assert minimum_size(STRING, None, 0, flexible=False) == 2
    assert minimum_size(None, FetchPartition, 4, flexible=False) == 16
    assert minimum_size(None, FetchPartition, 17, flexible=True) == 33  # its tagged fields take nothing
    assert minimum_size(None, PartitionData, 12, flexible=True) == 4 + 2 + 8 + 8 + 8 + 1 + 4 + 1 + 1
