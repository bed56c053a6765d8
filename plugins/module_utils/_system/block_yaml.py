# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the YAML of manifests and kubeconfigs with the standard library: hosts have no parser of their own.

Read are mappings and sequences in block style and in flow style, plain and quoted scalars, literal and folded blocks, comments, and JSON. What else YAML has
(anchors, tags, plain scalars over several lines, complex keys, a second document) is refused and never guessed. Every scalar is a text; null is None.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Tuple

_HEADER = re.compile(r"[|>](?:([1-9])?([+-])?|([+-])([1-9]))(?:\s+#.*)?\Z")
# With these a plain scalar does not begin; a dash, a colon or a question mark may, where no blank follows.
_NOT_PLAIN = frozenset("&*!|>%@`\"'#,[]{}")
_NOTHING = frozenset(("", "~", "null", "Null", "NULL"))
_DEEPEST = 64


class NotUnderstoodError(Exception):
    """The text is not of the form that is read here. Never holds anything of the text."""


def read(text: str) -> Any:
    """The one document: dicts, lists, texts and None. Raises NotUnderstoodError."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            pass
    return _Reader(text).document()


def read_mapping(text: str) -> Optional[Dict[str, Any]]:
    """The document when it is a mapping that could be read; None for everything else."""
    try:
        found = read(text)
    except NotUnderstoodError:
        return None
    return found if isinstance(found, dict) else None


class _Reader:
    """Line by line, from the outside in."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._next = 0
        self._depth = 0

    def document(self) -> Any:
        """All of it."""
        first = self._peek()
        if first is not None and first[1].rstrip() == "---":
            self._next += 1
        value = self._node(0)
        following = self._peek()
        if following is not None and following[1].rstrip() in ("---", "..."):
            self._next += 1
            following = self._peek()
        if following is not None:
            raise NotUnderstoodError
        return value

    def _peek(self) -> Optional[Tuple[int, str]]:
        """Number of leading blanks, and the text of the next line that says something."""
        while self._next < len(self._lines):
            line = self._lines[self._next]
            stripped = line.strip(" ")
            if stripped and not stripped.startswith("#"):
                if "\t" in line[: len(line) - len(line.lstrip())] or not stripped.replace("\t", " ").isprintable():
                    raise NotUnderstoodError
                return len(line) - len(line.lstrip(" ")), stripped
            self._next += 1
        return None

    def _node(self, least: int) -> Any:
        """The value that begins in the next line, when that stands deep enough."""
        found = self._peek()
        if found is None or found[0] < least or found[1].rstrip() in ("---", "..."):
            return None
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotUnderstoodError
        indent, text = found
        if _is_item(text):
            value: Any = self._sequence(indent)
        elif _key(text) is not None:
            value = self._mapping(indent)
        else:
            self._next += 1
            value = self._value(text, indent - 1)
        self._depth -= 1
        return value

    def _sequence(self, indent: int) -> List[Any]:
        items: List[Any] = []
        while True:
            found = self._peek()
            if found is None or found[0] != indent or not _is_item(found[1]):
                break
            rest = found[1][1:]
            inner = indent + 1 + len(rest) - len(rest.lstrip(" "))
            rest = rest.lstrip(" ")
            if rest and not rest.startswith("#") and (_is_item(rest) or _key(rest) is not None):
                # What stands behind the dash begins a value of its own, as deep as it stands.
                self._lines[self._next] = " " * inner + rest
                items.append(self._node(inner))
            else:
                self._next += 1
                items.append(self._node(indent + 1) if not rest or rest.startswith("#") else self._value(rest, indent))
        self._ends(indent)
        return items

    def _mapping(self, indent: int) -> Dict[str, Any]:
        values: Dict[str, Any] = {}
        while True:
            found = self._peek()
            if found is None or found[0] != indent or _is_item(found[1]) or found[1].rstrip() in ("---", "..."):
                break
            pair = _key(found[1])
            if pair is None or pair[0] in values:
                raise NotUnderstoodError
            self._next += 1
            name, rest = pair
            if rest and not rest.startswith("#"):
                values[name] = self._value(rest, indent)
                continue
            following = self._peek()
            # A sequence may stand at the indentation of its key.
            sequence = following is not None and following[0] == indent and _is_item(following[1])
            values[name] = self._node(indent if sequence else indent + 1)
        self._ends(indent)
        return values

    def _ends(self, indent: int) -> None:
        """Nothing may go on deeper than what was just read."""
        found = self._peek()
        if found is not None and found[0] > indent:
            raise NotUnderstoodError

    def _value(self, text: str, indent: int) -> Any:
        """A value that begins behind a key or a dash at this depth."""
        if text[0] in "|>":
            return self._block(text, indent)
        if text[0] in "[{":
            while not _balanced(text):
                found = self._peek()
                if found is None:
                    raise NotUnderstoodError
                self._next += 1
                text += " " + _without_comment(found[1])
            value, end = _flow(text, 0, 0)
            if _without_comment(text[end:]).strip():
                raise NotUnderstoodError
            return value
        value = _scalar(text)
        following = self._peek()
        if following is not None and following[0] > indent:
            # A plain scalar goes on in the next line.
            raise NotUnderstoodError
        return value

    def _block(self, header: str, indent: int) -> str:
        """A literal or folded block."""
        match = _HEADER.match(header)
        if match is None:
            raise NotUnderstoodError
        lines: List[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            if line.strip(" ") and len(line) - len(line.lstrip(" ")) <= max(indent, -1):
                break
            lines.append(line)
            self._next += 1
        own = int(match.group(1) or match.group(4) or 0)
        first = next((line for line in lines if line.strip(" ")), "")
        depth = max(indent, 0) + own if own else len(first) - len(first.lstrip(" "))
        content = [line[depth:] if line.strip(" ") else "" for line in lines]
        text = "\n".join(content) if header[0] == "|" else _folded(content)
        keep = match.group(2) or match.group(3)
        return text + "\n" if keep == "+" else text.rstrip("\n") + ("" if keep == "-" or not text.strip("\n") else "\n")


def _folded(lines: List[str]) -> str:
    """Line breaks between lines of text are blanks; empty lines are line breaks; a line that is indented more stays as it is."""
    text, before, empty = "", None, 0
    for line in lines:
        if not line:
            empty += 1
            continue
        if before is None:
            text = "\n" * empty + line
        elif line.startswith(" ") or before.startswith(" "):
            text += "\n" * (empty + 1) + line
        else:
            text += ("\n" * empty or " ") + line
        before, empty = line, 0
    return text + "\n" * empty


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _quoted(text: str, start: int) -> Tuple[str, int]:
    """A quoted text and where it ends."""
    quote, position = text[start], start + 1
    while position < len(text):
        if quote == '"' and text[position] == "\\":
            position += 2
        elif text[position] == quote:
            if quote == "'" and text[position + 1 : position + 2] == "'":
                position += 2
                continue
            raw = text[start : position + 1]
            if quote == "'":
                return raw[1:-1].replace("''", "'"), position + 1
            try:
                return str(json.loads(raw)), position + 1
            except ValueError:
                break
        else:
            position += 1
    raise NotUnderstoodError


def _quote_begins(text: str, position: int) -> bool:
    """Whether a quote in flow style begins a text; in the middle of a word it is a character."""
    return text[position] in "\"'" and text[:position].rstrip(" ")[-1:] in ("", "[", "{", ",", ":")


def _key(text: str) -> Optional[Tuple[str, str]]:
    """Key and the rest of a line that is a pair; None for one that is not."""
    if text[0] in "\"'":
        try:
            name, end = _quoted(text, 0)
        except NotUnderstoodError:
            return None
        rest = text[end:].lstrip(" ")
        return (name, rest[1:].strip(" ")) if rest == ":" or rest.startswith(": ") else None
    if text[0] in _NOT_PLAIN or text.startswith("? "):
        return None
    # Quotes and brackets in a value do not matter: the first colon before a blank ends the key.
    found = re.match(r"([^#]*?(?:[^\s#]#[^#]*?)*)\s*:(?:\s+(.*))?\Z", text)
    if found is None or not found.group(1):
        return None
    return found.group(1), (found.group(2) or "").strip(" ")


def _without_comment(text: str) -> str:
    """A line of flow style without the comment at its end."""
    position = 0
    while position < len(text):
        if _quote_begins(text, position):
            try:
                _value, position = _quoted(text, position)
                continue
            except NotUnderstoodError:
                return text
        if text[position] == "#" and (not position or text[position - 1] == " "):
            return text[:position]
        position += 1
    return text


def _scalar(text: str) -> Optional[str]:
    if text[0] in "\"'":
        value, end = _quoted(text, 0)
        rest = text[end:].strip(" ")
        if rest and not (rest.startswith("#") and text[end] == " "):
            raise NotUnderstoodError
        return value
    if text[0] in _NOT_PLAIN or (text[0] in "-?:" and text[1:2] in ("", " ")):
        raise NotUnderstoodError
    plain = re.split(r"\s+#", text, maxsplit=1)[0].strip()
    if ": " in plain or plain.endswith(":"):
        raise NotUnderstoodError
    return None if plain in _NOTHING else plain


def _balanced(text: str) -> bool:
    depth = position = 0
    while position < len(text):
        if _quote_begins(text, position):
            _value, position = _quoted(text, position)
            continue
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text[position], 0)
        position += 1
    return depth <= 0


def _flow(text: str, position: int, depth: int) -> Tuple[Any, int]:
    """A value in flow style, and where it ends."""
    if depth > _DEEPEST:
        raise NotUnderstoodError
    position = _blanks(text, position)
    opening = text[position : position + 1]
    if opening == "[":
        return _flow_items(text, position + 1, depth)
    if opening == "{":
        return _flow_pairs(text, position + 1, depth)
    if opening and opening in "\"'":
        return _quoted(text, position)
    found = re.compile(r"(?:[^,\[\]{}:#\s]|:(?![\s,\[\]{}])|(?<!\s)#|\s+(?=[^\s,\[\]{}:#]))+").match(text, position)
    if found is None or opening in _NOT_PLAIN or (opening in "-?:" and found.group(0)[1:2] in ("", " ")):
        raise NotUnderstoodError
    plain = found.group(0).strip()
    return (None if plain in _NOTHING else plain), found.end()


def _blanks(text: str, position: int) -> int:
    while text[position : position + 1] == " ":
        position += 1
    return position


def _flow_items(text: str, position: int, depth: int) -> Tuple[List[Any], int]:
    items: List[Any] = []
    while True:
        position = _blanks(text, position)
        if text[position : position + 1] == "]":
            return items, position + 1
        value, position = _flow(text, position, depth + 1)
        items.append(value)
        position = _blanks(text, position)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "]":
            raise NotUnderstoodError


def _flow_pairs(text: str, position: int, depth: int) -> Tuple[Dict[str, Any], int]:
    values: Dict[str, Any] = {}
    while True:
        position = _blanks(text, position)
        if text[position : position + 1] == "}":
            return values, position + 1
        name, position = _flow(text, position, depth + 1)
        position = _blanks(text, position)
        if not isinstance(name, str) or name in values or text[position : position + 1] != ":":
            raise NotUnderstoodError
        position = _blanks(text, position + 1)
        if text[position : position + 1] in (",", "}"):
            values[name] = None
        else:
            values[name], position = _flow(text, position, depth + 1)
        position = _blanks(text, position)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "}":
            raise NotUnderstoodError
