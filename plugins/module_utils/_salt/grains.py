# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grains file of a CaaSP node, and single settings of Salt's configuration, without a YAML library.

Salt writes grains with PyYAML's block style: a mapping of plain or quoted scalars, lists of scalars, and mappings of the same kind. Exactly
that is understood; anything else is said to be not understood, never guessed.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import SaltError

_KEY = re.compile(r"""([A-Za-z0-9_][A-Za-z0-9_.:/-]*|'(?:[^']|'')+'|"[^"\\]+"):(?: +(.*))?$""")
# YAML 1.1, as PyYAML reads it.
_TRUE = ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON")
_FALSE = ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF")
_NULL = ("null", "Null", "NULL", "~")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?")
# What YAML 1.1 takes for other numbers, times and dates; Salt quotes texts that look so.
_OTHER = re.compile(
    r"[-+]?0(?:b[01_]+|x[0-9A-Fa-f_]+|[0-7_]+)|[-+]?[0-9][0-9_]*(?:(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|\.[0-9_]*(?:[eE][-+][0-9]+)?|_[0-9_]*)"
    r"|\.[0-9_]+|[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"
)
# A plain scalar that is nothing but its own text. A leading digit is allowed: ids, dates and versions stay text where they are no whole number.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-](?:[^#:{}\[\]&*!|>'\"%@`]|:(?=\S)|(?<=\S)#)*")

_Line = Tuple[int, int, str]


class NotUnderstood(SaltError):
    """A file has YAML beyond the part that is read here."""


def _refuse(path: str, number: int, what: str) -> NotUnderstood:
    return NotUnderstood(
        "%s is not understood." % path,
        tried="read it as Salt writes it: names with plain values, lists and mappings of them",
        found="line %d: %s" % (number, what),
        remedy="Write it as Salt does (salt-call --local grains.setval), or look at it by eye.",
    )


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.lines: List[_Line] = []
        for number, line in enumerate(text.splitlines(), 1):
            content = line.strip()
            if not content or content.startswith("#") or (content in ("---", "...") and not self.lines):
                continue
            if "\t" in line[: len(line) - len(line.lstrip())]:
                raise self.error(number, "a tab before the text")
            self.lines.append((number, len(line) - len(line.lstrip(" ")), content))
        self.position = 0

    def error(self, number: int, what: str) -> NotUnderstood:
        return _refuse(self.path, number, what)

    def scalar(self, number: int, text: str) -> Any:
        text = text.strip()
        if text in ("[]", "{}"):
            return [] if text == "[]" else {}
        quoted = re.fullmatch(r"'((?:[^']|'')*)'|\"([^\"\\]*)\"", text)
        if quoted:
            return quoted.group(1).replace("''", "'") if quoted.group(1) is not None else quoted.group(2)
        text = re.sub(r"\s+#.*$", "", text)
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text in _NULL or not text:
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _PLAIN.fullmatch(text) and not _OTHER.fullmatch(text) and not text.startswith("- "):
            return text
        raise self.error(number, "a value that is no plain one")

    def block(self, indent: int) -> Any:
        """The mapping or list that begins at the current line."""
        number, _indent, content = self.lines[self.position]
        if content == "-" or content.startswith("- "):
            return self.sequence(indent)
        if _KEY.match(content):
            return self.mapping(indent)
        raise self.error(number, "neither a name with a value nor an item of a list")

    def sequence(self, indent: int) -> List[Any]:
        found: List[Any] = []
        while self.position < len(self.lines):
            number, depth, content = self.lines[self.position]
            if depth < indent or (depth == indent and not content.startswith("-")):
                break
            if depth != indent or not content.startswith("- ") or _KEY.match(content[2:].strip()):
                raise self.error(number, "a list of other things than plain values")
            found.append(self.scalar(number, content[2:]))
            self.position += 1
        return found

    def mapping(self, indent: int) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        while self.position < len(self.lines):
            number, depth, content = self.lines[self.position]
            if depth < indent:
                break
            match = _KEY.match(content)
            if depth != indent or match is None:
                raise self.error(number, "not a name with a value")
            name = match.group(1).strip("'\"")
            if name in found:
                raise self.error(number, "%s is there twice" % name)
            self.position += 1
            found[name] = self.value(number, depth, (match.group(2) or "").strip())
        return found

    def value(self, number: int, depth: int, text: str) -> Any:
        if text and not text.startswith("#"):
            return self.scalar(number, text)
        if self.position == len(self.lines):
            return None
        _number, following, content = self.lines[self.position]
        # PyYAML does not indent the lists of a mapping.
        if following > depth or (following == depth and content.startswith("- ")):
            return self.block(following)
        return None


def parse(text: str, path: str) -> Dict[str, Any]:
    """The grains of a file. Raises NotUnderstood, with the line, for everything that is not as Salt writes it."""
    reader = _Reader(text, path)
    if not reader.lines or [line[2] for line in reader.lines] == ["{}"]:
        return {}
    number, indent, _content = reader.lines[0]
    found = reader.block(indent)
    if not isinstance(found, dict) or reader.position != len(reader.lines):
        raise _refuse(path, reader.lines[min(reader.position, len(reader.lines) - 1)][0] if isinstance(found, dict) else number, "not one mapping")
    return found


def setting(text: str, name: str, path: str) -> Any:
    """One setting at the top level of a configuration file, whatever else is in there; None when it is not set."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if re.match(re.escape(name) + r":(\s|$)", line)]
    if not begins:
        return None
    end = next((number for number in range(begins[-1] + 1, len(lines)) if re.match(r"[^\s#-]", lines[number])), len(lines))
    return parse("\n" * begins[-1] + "\n".join(lines[begins[-1] : end]), path)[name]
