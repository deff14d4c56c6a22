"""Declare Kafka's messages as typed dataclasses.

One class describes every version of a message; each field says which versions carry it, and how:

    @message(api_key=3, valid="0-13", flexible="9+")
    class MetadataRequest(Request["MetadataResponse"]):
        topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, nullable="1+")
        allow_auto_topic_creation: bool = field(BOOL, "4+", default=True)

Version ranges are written as Kafka writes them: ``"3+"``, ``"1-4"``, ``"2"``.  A field that some version lacks must
state its default, which is what such a version's reader sees.  Nothing here touches bytes: see
:mod:`minikafka.protocol.codec`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar, cast, dataclass_transform, overload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Buffer: TypeAlias = bytes | bytearray | memoryview
Records: TypeAlias = Buffer | Sequence[Buffer]
"""Record batches: decoded as one memoryview of the frame; encoded from one buffer or several in a row."""

MAX_VERSION: Final = 0x7FFF
ALL_VERSIONS: Final = range(MAX_VERSION + 1)
NO_VERSIONS: Final = range(0)


@dataclass(frozen=True, slots=True)
class Wire(Generic[T_co]):
    """A primitive of the wire whose values are ``T_co``.

    ``code`` is its :mod:`struct` code, empty for those of variable length.
    """

    name: str
    code: str = ""


BOOL: Final[Wire[bool]] = Wire("bool", "?")
INT8: Final[Wire[int]] = Wire("int8", "b")
INT16: Final[Wire[int]] = Wire("int16", "h")
INT32: Final[Wire[int]] = Wire("int32", "i")
INT64: Final[Wire[int]] = Wire("int64", "q")
UINT16: Final[Wire[int]] = Wire("uint16", "H")
UINT32: Final[Wire[int]] = Wire("uint32", "I")
FLOAT64: Final[Wire[float]] = Wire("float64", "d")
UUID: Final[Wire[bytes]] = Wire("uuid", "16s")
STRING: Final[Wire[str]] = Wire("string")
BYTES: Final[Wire[Buffer]] = Wire("bytes")
RECORDS: Final[Wire[Records]] = Wire("records")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """How one field travels: what it is, in which versions, and where."""

    wire: Wire[object] | None  # None for a struct
    struct: type | None
    is_array: bool
    versions: range
    nullable: range
    tag: int | None
    ignorable: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a declared class; ``default`` makes its default value, None for a field that has none."""

    name: str
    spec: FieldSpec
    default: Callable[[], Any] | None

    def with_default(self, value: object) -> Field:
        """The same field with another default."""
        return Field(self.name, self.spec, lambda: value)


def versions(text: str) -> range:
    """The versions that ``"3+"``, ``"1-4"``, ``"2"`` or ``"none"`` stands for."""
    if text == "none":
        return NO_VERSIONS
    if text.endswith("+"):
        return range(int(text[:-1]), MAX_VERSION + 1)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@overload
def field(
    wire: Wire[T] | type[T],
    present: str = "0+",
    *,
    nullable: str,
    default: T | None = ...,
    tag: int | None = ...,
    ignorable: bool = ...,
) -> T | None: ...
@overload
def field(
    wire: Wire[T] | type[T],
    present: str = "0+",
    *,
    default: T = ...,
    default_factory: Callable[[], T] = ...,
    tag: int | None = ...,
    ignorable: bool = ...,
) -> T: ...
def field(
    wire: Wire[Any] | type,
    present: str = "0+",
    *,
    nullable: str = "none",
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    tag: int | None = None,
    ignorable: bool = False,
) -> Any:
    """A primitive or a nested struct.

    Args:
        wire: a :class:`Wire` or a class declared with :func:`struct`.
        present: the versions that carry it.
        nullable: the versions in which it may be None.
        default: its value in versions without it; a tagged field is written only when it differs.
        default_factory: makes the default of a struct.
        tag: its number among the tagged fields, for one that travels as such.
        ignorable: whether encoding may drop a value that the version has no room for.
    """
    spec = FieldSpec(*_split(wire), False, versions(present), versions(nullable), tag, ignorable)
    return _declare(spec, default, default_factory)


@overload
def array(
    item: Wire[T] | type[T],
    present: str = "0+",
    *,
    nullable: str,
    default: None = ...,
    default_factory: Callable[[], list[T]] = ...,
    tag: int | None = ...,
    ignorable: bool = ...,
) -> list[T] | None: ...
@overload
def array(
    item: Wire[T] | type[T],
    present: str = "0+",
    *,
    default_factory: Callable[[], list[T]] = ...,
    tag: int | None = ...,
    ignorable: bool = ...,
) -> list[T]: ...
def array(
    item: Wire[Any] | type,
    present: str = "0+",
    *,
    nullable: str = "none",
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    tag: int | None = None,
    ignorable: bool = False,
) -> Any:
    """An array of primitives or of structs; the arguments are those of :func:`field`."""
    spec = FieldSpec(*_split(item), True, versions(present), versions(nullable), tag, ignorable)
    return _declare(spec, default, default_factory)


def _split(wire: Wire[Any] | type) -> tuple[Wire[Any] | None, type | None]:
    return (wire, None) if isinstance(wire, Wire) else (None, wire)


def _declare(spec: FieldSpec, default: Any, default_factory: Any) -> Any:
    if default is not dataclasses.MISSING:
        return dataclasses.field(default=default, metadata={"kafka": spec})
    return dataclasses.field(default_factory=default_factory, metadata={"kafka": spec})


class Message:
    """What every request and response is; :func:`message` fills these in."""

    __slots__ = ()

    API_KEY: ClassVar[int]
    VALID: ClassVar[range]
    FLEXIBLE: ClassVar[range]


R_co = TypeVar("R_co", bound=Message, covariant=True)


class Request(Message, Generic[R_co]):
    """A message that is answered with an ``R_co``."""

    __slots__ = ()


@dataclass_transform(kw_only_default=True, field_specifiers=(field, array))
def struct(cls: type[T]) -> type[T]:
    """Declare a nested structure: a slotted dataclass with keyword arguments only."""
    # Comparison and repr are shared: dataclass would compile its own for each class, half of a message's import time.
    cls.__eq__, cls.__hash__, cls.__repr__ = _equal, None, _show  # type: ignore[assignment, method-assign]
    made: type = dataclass(slots=True, kw_only=True, eq=False, repr=False)(cls)
    for declared in fields_of(made):
        _check(made, declared)
    return cast("type[T]", made)


@dataclass_transform(kw_only_default=True, field_specifiers=(field, array))
def message(*, valid: str, flexible: str, api_key: int = -1) -> Callable[[type[T]], type[T]]:
    """Declare a request, a response, or (without ``api_key``) a structure that is stored rather than sent.

    Args:
        valid: the versions that exist.
        flexible: the versions with compact lengths and tagged fields.
        api_key: the number of the API.
    """

    def declare(cls: type[T]) -> type[T]:
        made = cast("type[Message]", struct(cls))
        made.API_KEY = api_key
        made.VALID = versions(valid)
        made.FLEXIBLE = versions(flexible)
        return cast("type[T]", made)

    return declare


def _equal(self: Any, other: object) -> bool:
    if type(self) is not type(other):
        return False
    names = (declared.name for declared in fields_of(type(self)))
    return all(getattr(self, name) == getattr(other, name) for name in names)


def _show(self: Any) -> str:
    values = (f"{declared.name}={getattr(self, declared.name)!r}" for declared in fields_of(type(self)))
    return f"{type(self).__name__}({', '.join(values)})"


def _check(cls: type, declared: Field) -> None:
    """Refuse a declaration that some version could not be decoded with."""
    spec, where = declared.spec, f"{cls.__name__}.{declared.name}"
    if spec.versions != ALL_VERSIONS and declared.default is None:
        raise TypeError(f"{where} is absent in some versions: state its default")
    if spec.tag is not None and declared.default is None:
        raise TypeError(f"{where} is a tagged field: state its default")


_fields: dict[type, tuple[Field, ...]] = {}


def fields_of(cls: type) -> tuple[Field, ...]:
    """The fields of a declared class, in wire order."""
    if cls not in _fields:
        _fields[cls] = tuple(
            Field(declared.name, declared.metadata["kafka"], _default_maker(declared))
            for declared in dataclasses.fields(cls)
        )
    return _fields[cls]


def _default_maker(declared: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if declared.default_factory is not dataclasses.MISSING:
        return declared.default_factory
    if declared.default is not dataclasses.MISSING:
        value = declared.default
        return lambda: value
    return None


def as_view(records: Records) -> memoryview:
    """Records as one view: itself when they were decoded, joined when they are several buffers."""
    if isinstance(records, memoryview):
        return records
    if isinstance(records, bytes | bytearray):
        return memoryview(records)
    return memoryview(b"".join(records))
