# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON records of a point: one canonical form, so that equal records are equal bytes; and readers that name the field that is wrong."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple, TypeVar

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, NameRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

LARGEST_REVISION = 1 << 62
_SHA256 = re.compile(r"\A[0-9a-f]{64}\Z")
T = TypeVar("T")


def canonical(value: Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces, ASCII, one line."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def parse(data: bytes, what: str) -> Dict[str, Any]:
    """Read a record; only the canonical form is accepted, so that every byte counts."""
    try:
        value = json.loads(data.decode("ascii"), object_pairs_hook=_no_twins)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        if canonical(value) != data:
            raise ValueError("not in canonical form: it was edited, or written by something else")
    except (ValueError, RecursionError) as error:
        raise ManifestError("%s cannot be read" % what, found=str(error)[:200], remedy="use another recovery point, or another copy of it") from error
    return value


def _no_twins(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value


class Fields:
    """The fields of one record, read one by one; every complaint names record and field."""

    def __init__(self, value: Any, what: str, path: str = "") -> None:
        self._what = what
        self._path = path
        if not isinstance(value, dict):
            self.refuse("", "is not an object")
        self._value: Dict[str, Any] = value

    def refuse(self, field: str, why: str) -> NoReturn:
        """Say that a field is wrong."""
        name = ".".join(part for part in (self._path, field) if part) or "the whole"
        raise ManifestError("%s is not valid: %s %s" % (self._what, name, why), remedy="use another recovery point, or another copy of it", field=name)

    def only(self, known: Sequence[str]) -> None:
        """Refuse fields that nobody knows."""
        unknown = sorted(set(self._value) - set(known))
        if unknown:
            self.refuse(str(unknown[0])[:60], "is not a known field")

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(field) is not None

    def take(self, field: str) -> Any:
        """The raw value."""
        if field not in self._value:
            self.refuse(field, "is missing")
        return self._value[field]

    def text(self, field: str, choices: Sequence[str] = ()) -> str:
        """A text, not empty, optionally one of a few."""
        value = self.take(field)
        if not isinstance(value, str) or not value or len(value) > 4096:
            self.refuse(field, "is not a text")
        if choices and value not in choices:
            self.refuse(field, "is not one of %s" % ", ".join(choices))
        return value

    def optional_text(self, field: str) -> Optional[str]:
        """A text or null."""
        return self.text(field) if self.has(field) else None

    def number(self, field: str, largest: int = LARGEST_REVISION) -> int:
        """A whole number from 0."""
        value = self.take(field)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
            self.refuse(field, "is not a whole number between 0 and %d" % largest)
        return value

    def sha256(self, field: str) -> str:
        """A SHA-256 in lower case hex."""
        value = self.text(field)
        if not _SHA256.match(value):
            self.refuse(field, "is not a SHA-256")
        return value

    def optional_sha256(self, field: str) -> Optional[str]:
        """A SHA-256 or null."""
        return self.sha256(field) if self.has(field) else None

    def time(self, field: str) -> str:
        """A time in UTC."""
        value = self.text(field)
        try:
            return names.format_time(names.parse_time(value))
        except NameRefusedError:
            self.refuse(field, "is not a time in UTC like 2026-11-20T13:35:00Z")

    def named(self, field: str, check: Callable[[str], str]) -> str:
        """A text that a check of ``names`` accepts."""
        value = self.text(field)
        try:
            return check(value)
        except LifeboatError as error:
            self.refuse(field, "cannot be: %s" % error.message)

    def mapping(self, field: str) -> Dict[str, Any]:
        """An object with whatever it holds."""
        value = self.take(field)
        if not isinstance(value, dict):
            self.refuse(field, "is not an object")
        return value

    def optional_mapping(self, field: str) -> Optional[Dict[str, Any]]:
        """An object or null."""
        return self.mapping(field) if self.has(field) else None

    def sequence(self, field: str, make: Callable[[Any, str], T]) -> List[T]:
        """A list, each item made by ``make(value, path)``."""
        value = self.take(field)
        if not isinstance(value, list):
            self.refuse(field, "is not a list")
        return [make(item, "%s[%d]" % (field, number)) for number, item in enumerate(value)]

    def texts(self, field: str) -> List[str]:
        """A list of texts."""

        def one(value: Any, path: str) -> str:
            if not isinstance(value, str) or not value:
                self.refuse(path, "is not a text")
            return value

        return self.sequence(field, one)

    def objects(self, field: str) -> List[Dict[str, Any]]:
        """A list of objects with whatever they hold."""

        def one(value: Any, path: str) -> Dict[str, Any]:
            if not isinstance(value, dict):
                self.refuse(path, "is not an object")
            return value

        return self.sequence(field, one)
