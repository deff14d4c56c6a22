"""Write the source of an encoder: straight-line Python for one class in one version.

    def encode(o, out, cuts):
        ...
        out += pack_ihqqq(o1.index, o1.error_code, o1.base_offset, o1.log_append_time_ms, o1.log_start_offset)

``cuts`` is None, or the list that collects the records too large to copy (see :func:`.primitives.put_records`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from minikafka.protocol import primitives
from minikafka.protocol.emitter import Emitter, non_default_source
from minikafka.protocol.errors import EncodeError
from minikafka.protocol.schema import RECORDS, UUID, Field, FieldSpec, Message, Wire, fields_of

_ONE_BYTE = 1 << 7
"""A smaller number takes a single byte as a varint."""

_NAMES = {
    "array_struct": primitives.array_struct,
    "put_records": primitives.put_records,
    "records_size": primitives.records_size,
    "write_uvarint": primitives.write_uvarint,
    "EncodeError": EncodeError,
}


class EncoderWriter:
    """Writes ``encode(message, out, cuts)``."""

    def __init__(self, cls: type[Message], version: int) -> None:
        self.emit = Emitter(_NAMES)
        self._version = version
        self._flexible = version in cls.FLEXIBLE
        self._values: list[str] = []  # the run of fixed-size values to be written at once
        self._codes = ""
        with self.emit.block("def encode(o, out, cuts):"):
            self._struct(cls, "o")
            self.emit("return out")

    def _struct(self, cls: type, source: str) -> None:
        tagged = []
        for declared in fields_of(cls):
            place = f"{source}.{declared.name}"
            if self._version not in declared.spec.versions:
                self._refuse_unless_ignorable(cls, declared, place)
            elif declared.spec.tag is not None:
                tagged.append((declared, place))
            else:
                self._field(declared.spec, place)
        if self._flexible:
            self._tagged_fields(tagged)
        self._flush()

    def _refuse_unless_ignorable(self, cls: type, declared: Field, place: str) -> None:
        if declared.spec.ignorable:
            return
        problem = f"{cls.__name__}.{declared.name} is not part of v{self._version}"
        self.emit(f"if {non_default_source(declared, place)}: raise EncodeError({problem!r})")

    def _field(self, spec: FieldSpec, place: str) -> None:
        nullable = self._version in spec.nullable
        if spec.is_array:
            self._array(spec, place, nullable)
        elif spec.wire is not None:
            self._primitive(spec.wire, place, nullable)
        else:
            assert spec.struct is not None
            self._nested_struct(spec.struct, place, nullable)

    def _fixed(self, value: str, code: str) -> None:
        self._values.append(value)
        self._codes += code

    def _flush(self) -> None:
        if not self._values:
            return
        self.emit(f"out += {self.emit.struct_method('pack', self._codes)}({', '.join(self._values)})")
        self._values.clear()
        self._codes = ""

    def _length(self, value: str, code: str) -> None:
        """Write ``value`` as a length, in flexible versions plus one."""
        if not self._flexible:
            self._fixed(value, code)
            self._flush()
            return
        self._flush()
        self.emit(f"n = {value} + 1")
        self.emit("if n < 128: out.append(n)")
        self.emit("else: write_uvarint(out, n)")

    @contextmanager
    def _unless_null(self, nullable: bool, value: str, code: str) -> Iterator[None]:
        """Write a null length when ``value`` is None, else do what is emitted inside."""
        if not nullable:
            yield
            return
        self._flush()
        minus_one = struct.pack(">" + code, -1)
        null = "out.append(0)" if self._flexible else f"out += {minus_one!r}"
        self.emit(f"if {value} is None: {null}")
        with self.emit.block("else:"):
            yield

    def _nested_struct(self, cls: type, place: str, nullable: bool) -> None:
        made = self.emit.variable("o")
        self.emit(f"{made} = {place}")
        if not nullable:
            self._struct(cls, made)
            return
        self._flush()
        self.emit(f"if {made} is None: out.append(255)")
        with self.emit.block("else:"):
            self.emit("out.append(1)")
            self._struct(cls, made)

    def _primitive(self, wire: Wire[object], place: str, nullable: bool) -> None:
        if wire.code:
            if wire is UUID:  # struct would pad or cut it silently
                self.emit(f"if len({place}) != 16: raise EncodeError(f'UUID of {{len({place})}} bytes')")
            self._fixed(place, wire.code)
            return
        code = "h" if wire.name == "string" else "i"
        value = self.emit.variable("v")
        self.emit(f"{value} = {place}")
        with self._unless_null(nullable, value, code):
            if wire is RECORDS:
                self.emit(f"size = records_size({value})")
                self._length("size", code)
                self.emit(f"put_records(out, cuts, {value}, size)")
                return
            if wire.name == "string":
                self.emit(f"{value} = {value}.encode()")
            self._length(f"len({value})", code)
            self.emit(f"out += {value}")

    def _array(self, spec: FieldSpec, place: str, nullable: bool) -> None:
        items = self.emit.variable("items")
        self.emit(f"{items} = {place}")
        with self._unless_null(nullable, items, "i"):
            self._length(f"len({items})", "i")
            if spec.wire is not None and spec.wire.code and spec.wire is not UUID:
                self.emit(f"out += array_struct({spec.wire.code!r}, len({items})).pack(*{items})")
                return
            item = self.emit.variable("o")
            with self.emit.block(f"for {item} in {items}:"):
                if spec.struct is not None:
                    self._struct(spec.struct, item)
                else:
                    assert spec.wire is not None
                    self._primitive(spec.wire, item, nullable=False)
                    self._flush()

    def _tagged_fields(self, tagged: list[tuple[Field, str]]) -> None:
        """Write the tagged fields that do not hold their default.

        librdkafka before 2.2 cannot skip the others (its ``rd_kafka_buf_skip_tags`` loses a byte for each).
        """
        self._flush()
        if not tagged:
            self.emit("out.append(0)")
            return
        tagged.sort(key=lambda entry: entry[0].spec.tag or 0)
        conditions = {declared.name: self.emit.variable("tagged") for declared, _ in tagged}
        for declared, place in tagged:
            self.emit(f"{conditions[declared.name]} = bool({non_default_source(declared, place)})")
        self.emit(f"out.append({' + '.join(conditions.values())})")
        for declared, place in tagged:
            with self.emit.block(f"if {conditions[declared.name]}:"):
                self._tagged_field(declared.spec, place)

    def _tagged_field(self, spec: FieldSpec, place: str) -> None:
        """Write the content aside, since its size goes before it, unless that is known."""
        assert spec.tag is not None
        code = spec.wire.code if spec.wire is not None and not spec.is_array else ""
        if code and spec.tag < _ONE_BYTE:
            self._fixed(f"{spec.tag}", "B")
            self._fixed(f"{struct.calcsize('>' + code)}", "B")
            self._field(spec, place)
            self._flush()
            return
        outer = self.emit.variable("outer")
        self.emit(f"{outer} = out")
        self.emit("out = bytearray()")
        self._field(spec, place)
        self._flush()
        self.emit(f"write_uvarint({outer}, {spec.tag})")
        self.emit(f"write_uvarint({outer}, len(out))")
        self.emit(f"{outer} += out")
        self.emit(f"out = {outer}")
