# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol buffers without a library: fields on the wire, and messages by schema, from and to the wire and JSON."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Union

Buffer = Union[bytes, memoryview]
Message = Dict[str, Any]

_MASK = (1 << 64) - 1


class Malformed(ValueError):
    """The bytes are not a protobuf message (or not the one that was expected)."""


def read_varint(buffer: Buffer, position: int) -> Tuple[int, int]:
    """The number at ``position`` and the position after it."""
    result = shift = 0
    while True:
        try:
            byte = buffer[position]
        except IndexError:
            raise Malformed("a number runs over the end of the message") from None
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK, position
        shift += 7
        if shift > 63:
            raise Malformed("a number is longer than ten bytes")


def varint(number: int) -> bytes:
    """A number on the wire; negative ones as 64-bit two's complement."""
    number &= _MASK
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def fields(buffer: Buffer) -> Iterator[Tuple[int, Union[int, Buffer]]]:
    """The fields of one message in their order: (number, an int or the bytes of it)."""
    position, end = 0, len(buffer)
    while position < end:
        tag, position = read_varint(buffer, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = read_varint(buffer, position)
            yield number, value
            continue
        if kind == 2:
            size, position = read_varint(buffer, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Malformed("field %d has the unknown wire type %d" % (number, kind))
        if position + size > end:
            raise Malformed("field %d runs over the end of the message" % number)
        yield number, buffer[position : position + size]
        position += size


@dataclass(frozen=True)
class Field:
    """One field of a message. ``kind``: int, uint, bool, string, bytes, enum or message."""

    number: int
    name: str
    kind: str
    repeated: bool = False
    schema: Optional[Schema] = None
    names: Tuple[str, ...] = ()

    @property
    def inner(self) -> Schema:
        """The schema of a field that is a message itself."""
        if self.schema is None:
            raise Malformed("%s is not a message" % self.name)
        return self.schema

    def default(self) -> Any:
        """What a missing field means."""
        if self.repeated:
            return []
        return {"int": 0, "uint": 0, "bool": False, "string": "", "bytes": b"", "enum": self.names[0] if self.names else "", "message": {}}[self.kind]


class Schema:
    """The fields of one message type, by number and by name."""

    def __init__(self, *members: Field) -> None:
        self.by_number = {member.number: member for member in members}
        self.by_name = {member.name: member for member in members}

    def empty(self) -> Message:
        """A message with every field at its default."""
        return {name: field.default() for name, field in self.by_name.items()}

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """The message on the wire; defaults are left out."""
        result = bytearray()
        for name, value in message.items():
            field = self.by_name[name]
            for item in value if field.repeated else [value]:
                if item == field.default() and not field.repeated and field.kind != "message":
                    continue
                result += _encode_one(field, item)
        return bytes(result)

    def decode(self, buffer: Buffer) -> Message:
        """The message from the wire; unknown fields are left out, missing ones get their default."""
        message = self.empty()
        for number, raw in fields(buffer):
            field = self.by_number.get(number)
            if field is None:
                continue
            if field.repeated and field.kind in ("int", "uint", "bool", "enum") and not isinstance(raw, int):
                position = 0
                while position < len(raw):
                    item, position = read_varint(raw, position)
                    message[field.name].append(_decode_one(field, item))
            elif field.repeated:
                message[field.name].append(_decode_one(field, raw))
            else:
                message[field.name] = _decode_one(field, raw)
        return message

    def to_json(self, message: Mapping[str, Any]) -> Message:
        """The message as the JSON gateway wants it; defaults are left out, so that old servers meet no unknown name."""
        result: Message = {}
        for name, value in message.items():
            field = self.by_name[name]
            if value == field.default() and field.kind != "message":
                continue
            items = [_to_json_one(field, item) for item in (value if field.repeated else [value])]
            result[name] = items if field.repeated else items[0]
        return result

    def from_json(self, document: Any) -> Message:
        """The message from JSON of the gateway (numbers as text) or of etcdctl (numbers as numbers)."""
        message = self.empty()
        if not isinstance(document, dict):
            raise Malformed("a JSON object was expected, not %s" % type(document).__name__)
        for name, value in document.items():
            field = self.by_name.get(name)
            if field is None or value is None:
                continue
            if field.repeated:
                if not isinstance(value, list):
                    raise Malformed("%s is not a list" % name)
                message[name] = [_from_json_one(field, item) for item in value]
            else:
                message[name] = _from_json_one(field, value)
        return message


def _encode_one(field: Field, value: Any) -> bytes:
    if field.kind in ("int", "uint", "bool"):
        return varint(field.number << 3) + varint(int(value))
    if field.kind == "enum":
        return varint(field.number << 3) + varint(field.names.index(value))
    if field.kind == "message":
        content = field.inner.encode(value)
    else:
        content = value.encode() if field.kind == "string" else bytes(value)
    return varint(field.number << 3 | 2) + varint(len(content)) + content


def _decode_one(field: Field, raw: Union[int, Buffer]) -> Any:
    if field.kind in ("int", "uint", "bool", "enum"):
        if not isinstance(raw, int):
            raise Malformed("%s is not a number" % field.name)
        if field.kind == "bool":
            return bool(raw)
        if field.kind == "enum":
            return field.names[raw] if raw < len(field.names) else str(raw)
        return raw - (1 << 64) if field.kind == "int" and raw >> 63 else raw
    if isinstance(raw, int):
        raise Malformed("%s is a number" % field.name)
    if field.kind == "message":
        return field.inner.decode(raw)
    return bytes(raw) if field.kind == "bytes" else bytes(raw).decode("utf-8", "replace")


def _to_json_one(field: Field, value: Any) -> Any:
    if field.kind == "message":
        return field.inner.to_json(value)
    if field.kind == "bytes":
        return base64.b64encode(value).decode()
    return str(value) if field.kind in ("int", "uint") else value


def _from_json_one(field: Field, value: Any) -> Any:
    try:
        if field.kind == "message":
            return field.inner.from_json(value)
        if field.kind in ("int", "uint"):
            return int(value)
        if field.kind == "enum":
            return field.names[value] if isinstance(value, int) and value < len(field.names) else str(value)
        if field.kind == "bytes":
            return base64.b64decode(value)
    except (ValueError, TypeError, binascii.Error) as error:
        raise Malformed("%s: %s" % (field.name, error)) from None
    return bool(value) if field.kind == "bool" else str(value)
