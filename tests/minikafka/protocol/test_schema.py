from __future__ import annotations

import pytest

from minikafka.protocol.schema import (
    ALL_VERSIONS,
    INT16,
    INT32,
    NO_VERSIONS,
    STRING,
    Message,
    array,
    as_view,
    field,
    fields_of,
    message,
    struct,
    versions,
)


@struct
class Point:
    """Two numbers, the second only since v2."""

    x: int = field(INT32)
    y: int = field(INT32, "2+", default=7)


@message(api_key=9, valid="1-4", flexible="3+")
class Drawing(Message):
    """A title and points."""

    title: str | None = field(STRING, nullable="2+")
    points: list[Point] = array(Point, "2+", default_factory=list)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3+", range(3, 0x8000)), ("1-4", range(1, 5)), ("2", range(2, 3)), ("0+", ALL_VERSIONS), ("none", NO_VERSIONS)],
)
def test_versions_are_written_as_kafka_writes_them(text: str, expected: range) -> None:
    assert versions(text) == expected


def test_a_message_carries_its_key_and_versions() -> None:
    assert (9, range(1, 5), range(3, 0x8000)) == (Drawing.API_KEY, Drawing.VALID, Drawing.FLEXIBLE)


def test_a_message_takes_keywords_and_has_no_dictionary() -> None:
    drawing = Drawing(title="dots")

    assert drawing.points == []
    assert not hasattr(drawing, "__dict__")
    with pytest.raises(TypeError):
        Drawing("dots")  # type: ignore[misc]
    with pytest.raises(AttributeError):
        drawing.colour = 1  # type: ignore[attr-defined]


def test_each_message_has_a_list_of_its_own() -> None:
    one, other = Drawing(title=None), Drawing(title=None)
    one.points.append(Point(x=1))

    assert other.points == []


def test_messages_are_equal_when_their_fields_are() -> None:
    assert Drawing(title="a", points=[Point(x=1)]) == Drawing(title="a", points=[Point(x=1, y=7)])
    assert Drawing(title="a", points=[Point(x=1)]) != Drawing(title="a", points=[Point(x=2)])
    assert Point(x=1) != Drawing(title=None)


def test_messages_show_every_field() -> None:
    assert repr(Drawing(title="a", points=[Point(x=1)])) == "Drawing(title='a', points=[Point(x=1, y=7)])"


def test_messages_change_and_so_have_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))


def test_fields_are_listed_in_wire_order() -> None:
    title, points = fields_of(Drawing)

    assert (title.name, title.spec.wire, title.spec.versions, title.default) == ("title", STRING, ALL_VERSIONS, None)
    assert title.spec.nullable == range(2, 0x8000)
    assert (points.spec.struct, points.spec.is_array, points.spec.versions) == (Point, True, range(2, 0x8000))
    assert points.default is not None
    assert points.default() == []


def test_a_field_with_another_default_is_a_new_field() -> None:
    title = fields_of(Drawing)[0].with_default("none")

    assert title.default is not None
    assert title.default() == "none"
    assert fields_of(Drawing)[0].default is None


def test_a_field_absent_from_some_version_must_state_its_default() -> None:
    class Forgetful:
        """Says nothing about v0."""

        code: int = field(INT16, "1+")

    with pytest.raises(TypeError, match=r"Forgetful\.code is absent in some versions"):
        struct(Forgetful)


def test_a_tagged_field_must_state_its_default() -> None:
    class Forgetful:
        """Has a tag and no default."""

        code: int = field(INT16, tag=0)

    with pytest.raises(TypeError, match=r"Forgetful\.code is a tagged field"):
        struct(Forgetful)


def test_records_become_one_view() -> None:
    view = memoryview(b"abc")

    assert as_view(view) is view
    assert as_view(bytearray(b"abc")) == view
    assert as_view([b"a", memoryview(b"bc")]) == view
