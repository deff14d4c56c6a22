"""Write the source of a decoder: straight-line Python for one class in one version.

The whole tree of nested structs is one function.  Neighbouring fields of fixed size, and the length that follows them,
are read with one ``unpack_from``:

    def decode(buf, pos, end, room):
        o = new(ProduceRequest)
        ...
        o.acks, o.timeout_ms, n = unpack_from_hiB(buf, pos)
        pos += 7
        if n > 127: n, pos = read_uvarint(buf, pos - 1)

``end`` bounds every length; where a tagged field is read, it is the end of that field.  ``room`` is how many more
elements the message may have: those of its arrays, whichever they are in, and its tagged fields.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import NamedTuple

from minikafka.protocol import primitives
from minikafka.protocol.emitter import Emitter, default_source, minimum_size
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import UUID, Field, FieldSpec, Message, Wire, fields_of

_NAMES = {
    "new": object.__new__,
    "utf8": codecs.utf_8_decode,  # half the time of str(view, "utf-8")
    "array_struct": primitives.array_struct,
    "read_uvarint": primitives.read_uvarint,
    "read_string_uvarint": primitives.read_string_uvarint,
    "read_tag_count": primitives.read_tag_count,
    "read_tag": primitives.read_tag,
    "skip_counted_tags": primitives.skip_counted_tags,
    "too_many": primitives.too_many,
    "too_short": primitives.too_short,
    "DecodeError": DecodeError,
}


class Place(NamedTuple):
    """Where a value goes, what to call it in an error, and the name of the position it must end before."""

    target: str
    label: str
    end: str


class DecoderWriter:
    """Writes ``decode(buf, pos, end, room) -> (message, pos)``."""

    def __init__(self, cls: type[Message], version: int) -> None:
        self.emit = Emitter(_NAMES)
        self._version = version
        self._flexible = version in cls.FLEXIBLE
        self._targets: list[str] = []  # the run of fixed-size values to be read at once
        self._codes = ""
        with self.emit.block("def decode(buf, pos, end, room):"):
            self._struct(cls, "o", "end")
            self.emit("return o, pos")

    def _struct(self, cls: type, target: str, end: str) -> None:
        self.emit(f"{target} = new({self.emit.bind(cls.__name__, cls)})")
        tagged = []
        for declared in fields_of(cls):
            place = Place(f"{target}.{declared.name}", f"{cls.__name__}.{declared.name}", end)
            if self._version not in declared.spec.versions:
                self._default(declared, place.target)
            elif declared.spec.tag is not None:
                self._default(declared, place.target)
                tagged.append((declared.spec, place))
            else:
                self._field(declared.spec, place)
        if self._flexible:
            self._tagged_fields(tagged, end)
        self._flush()

    def _field(self, spec: FieldSpec, place: Place) -> None:
        nullable = self._version in spec.nullable
        if spec.is_array:
            self._array(spec, place, nullable)
        elif spec.wire is not None:
            self._primitive(spec.wire, place, nullable)
        elif nullable:
            self._nullable_struct(spec, place)
        else:
            self._nested_struct(spec, place)

    def _default(self, declared: Field, target: str) -> None:
        spec = declared.spec
        assert declared.default is not None, declared.name
        value = declared.default()
        if spec.struct is None or spec.is_array or value is None:
            self.emit(f"{target} = {default_source(declared)}")
            return
        made = self.emit.variable("o")
        self.emit(f"{target} = {made} = new({self.emit.bind(spec.struct.__name__, spec.struct)})")
        for nested in fields_of(spec.struct):
            self._default(nested.with_default(getattr(value, nested.name)), f"{made}.{nested.name}")

    def _fixed(self, target: str, code: str) -> None:
        self._targets.append(target)
        self._codes += code

    def _flush(self) -> None:
        if not self._targets:
            return
        if self._codes == "B":
            self.emit(f"{self._targets[0]} = buf[pos]")
            self.emit("pos += 1")
        else:
            self._unpack()
        self._targets.clear()
        self._codes = ""

    def _unpack(self) -> None:
        method = self.emit.struct_method("unpack_from", self._codes)
        self.emit(f"{', '.join(self._targets)}{',' * (len(self._targets) == 1)} = {method}(buf, pos)")
        self.emit(f"pos += {struct.calcsize('>' + self._codes)}")

    def _length(self, code: str, reader: str = "read_uvarint") -> None:
        """Read a length into ``n``; in flexible versions that is the length plus one."""
        self._fixed("n", "B" if self._flexible else code)
        self._flush()
        if self._flexible:
            self.emit(f"if n > 127: n, pos = {reader}(buf, pos - 1)")

    @contextmanager
    def _unless_null(self, nullable: bool, target: str, null: str) -> Iterator[None]:
        """What is emitted inside is done when ``null`` does not hold, or always when None is not allowed."""
        if not nullable:
            yield
            return
        self.emit(f"if {null}: {target} = None")
        with self.emit.block("else:"):
            yield

    def _nested_struct(self, spec: FieldSpec, place: Place) -> None:
        assert spec.struct is not None
        self._flush()
        made = self.emit.variable("o")
        self._struct(spec.struct, made, place.end)
        self.emit(f"{place.target} = {made}")

    def _nullable_struct(self, spec: FieldSpec, place: Place) -> None:
        self._fixed("n", "b")
        self._flush()
        with self._unless_null(True, place.target, "n < 0"):
            self._nested_struct(spec, place)

    def _null_length(self) -> str:
        return "n == 0" if self._flexible else "n == -1"

    def _primitive(self, wire: Wire[object], place: Place, nullable: bool) -> None:
        if wire.code:
            self._fixed(place.target, wire.code)
            return
        is_string = wire.name == "string"
        self._length("h" if is_string else "i", "read_string_uvarint" if is_string else "read_uvarint")
        with self._unless_null(nullable, place.target, self._null_length()):
            stop, bad = ("pos + n - 1", "n == 0") if self._flexible else ("pos + n", "n < 0")
            self.emit(f"stop = {stop}")
            self._refuse(f"stop > {place.end} or {bad}", place, "stop - pos")
            taken = "utf8(buf[pos:stop], 'strict', True)[0]" if is_string else "buf[pos:stop]"
            self.emit(f"{place.target} = {taken}")
            self.emit("pos = stop")

    def _refuse(self, condition: str, place: Place, length: str) -> None:
        self.emit(f"if {condition}: raise too_short({place.label!r}, {length}, pos, {place.end})")

    def _array(self, spec: FieldSpec, place: Place, nullable: bool) -> None:
        self._length("i")
        with self._unless_null(nullable, place.target, self._null_length()):
            if self._flexible:
                self.emit("n -= 1")
            least = minimum_size(spec.wire, spec.struct, self._version, self._flexible)
            self._refuse(f"n < 0 or n * {least} > {place.end} - pos", place, "n")
            self.emit("room -= n")
            self.emit(f"if room < 0: raise too_many({place.label!r})")
            if spec.wire is UUID:
                self.emit("stop = pos + n * 16")
                self.emit(f"{place.target} = [bytes(buf[at : at + 16]) for at in range(pos, stop, 16)]")
                self.emit("pos = stop")
            elif spec.wire is not None and spec.wire.code:
                self.emit(f"{place.target} = list(array_struct({spec.wire.code!r}, n).unpack_from(buf, pos))")
                self.emit(f"pos += n * {least}")
            else:
                self._elements(spec, place)

    def _elements(self, spec: FieldSpec, place: Place) -> None:
        """Read ``n`` elements, one by one."""
        items, item = self.emit.variable("items"), self.emit.variable("o")
        self.emit(f"{place.target} = {items} = []")
        with self.emit.block("for _ in range(n):"):
            if spec.struct is not None:
                self._struct(spec.struct, item, place.end)
            else:
                assert spec.wire is not None
                self._primitive(spec.wire, Place(item, place.label, place.end), nullable=False)
            self.emit(f"{items}.append({item})")

    def _tagged_fields(self, tagged: list[tuple[FieldSpec, Place]], end: str) -> None:
        self._fixed("n", "B")
        self._flush()
        if not tagged:
            with self.emit.block("if n:"):
                self._tag_count(end)
                self.emit(f"pos = skip_counted_tags(buf, pos, {end}, n)")
            return
        tag, stop = self.emit.variable("tag"), self.emit.variable("end")
        with self.emit.block("if n:"):
            self._tag_count(end)
            self.emit(f"{tag} = -1")
            with self.emit.block("for _ in range(n):"):
                self.emit(f"{tag}, pos, {stop} = read_tag(buf, pos, {tag}, {end})")
                for word, (spec, place) in zip(chain(["if"], repeat("elif")), tagged, strict=False):
                    with self.emit.block(f"{word} {tag} == {spec.tag}:"):
                        self._field(spec, place._replace(end=stop))
                        self._flush()
                self.emit(f"else: pos = {stop}")
                self.emit(f"if pos != {stop}: raise DecodeError(f'tag {{{tag}}} ends at {{pos}}, not {{{stop}}}')")

    def _tag_count(self, end: str) -> None:
        self.emit(f"n, pos = read_tag_count(buf, pos - 1, {end}, room)")
        self.emit("room -= n")
