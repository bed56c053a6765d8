# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes secrets out of text before it reaches a journal, a report or a screen."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from typing import Any, Dict, Iterable, List, Optional, Pattern, Set, Tuple
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"

# Values shorter than this can't be told from ordinary text, so they can't be looked for.
SHORTEST_SECRET = 6

# Base64 of fewer characters than this would match by accident.
_SHORTEST_ENCODED = 8

# Evidence is a line in a report, not a dump.
LONGEST_TEXT = 4000
_MOST_ITEMS = 200
_DEEPEST = 8

_PEM_BASE64 = re.compile(r"LS0tLS1CRUdJT[A-Za-z0-9+/\s]*={0,2}")

_PEM_NAME = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?"
_SHAPES: List[Tuple[Pattern[str], str]] = [
    # A private key in PEM, with real or escaped line ends; one whose end was cut off is hidden to the end of the text.
    (re.compile(r"-----BEGIN %s-----.*?(?:-----END %s-----|\Z)" % (_PEM_NAME, _PEM_NAME), re.DOTALL), "[hidden private key]"),
    (re.compile(r"AGE-(?:SECRET-KEY|PLUGIN)-[A-Z0-9-]{8,}", re.IGNORECASE), "[hidden age key]"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"), "[hidden token]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*[0-9=])[A-Za-z0-9._~+/=-]{12,}"), r"\1 [hidden token]"),
    (re.compile(r"\b(?:hvs|hvb|hvr)\.[A-Za-z0-9_-]{12,}"), "[hidden token]"),
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), "[hidden bootstrap token]"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,200}):[^\s/@]{1,500}@"), r"\1:[hidden]@"),
]


def _hide_base64_keys(found: re.Match[str]) -> str:
    """Hide base64 text that decodes to a private key; certificates stay."""
    text = re.sub(r"\s", "", found.group(0)).rstrip("=")
    whole = text[: len(text) - len(text) % 4]
    try:
        plain = base64.b64decode(whole)
    except ValueError:
        return HIDDEN
    return "[hidden private key]" if b"PRIVATE KEY" in plain else found.group(0)


def base64_forms(secret: str) -> List[str]:
    """The parts of any base64 text that stand for ``secret`` wherever it begins: at offset 0, 1 and 2 of a group, in both alphabets."""
    plain = secret.encode("utf-8")
    forms: Set[str] = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain).decode("ascii")
        # The first characters also carry the bytes before the secret, the last ones those behind it.
        first = (0, 2, 3)[offset]
        remainder = (offset + len(plain)) % 3
        last = len(encoded) - (0, 3, 2)[remainder]
        for text in (encoded[first:last], encoded[first:last].replace("+", "-").replace("/", "_")):
            if len(text) >= _SHORTEST_ENCODED:
                forms.add(text)
    return sorted(forms)


def encodings(secret: str) -> List[str]:
    """Every form in which a secret may stand in text as a whole: raw, hex, URL- and JSON-escaped."""
    hexadecimal = secret.encode("utf-8").hex()
    forms = {secret, hexadecimal, hexadecimal.upper(), quote(secret, safe=""), quote(secret), quote_plus(secret)}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return sorted(forms, key=len, reverse=True)


class Redactor:
    """Hides known secret values in all their encodings, and text that has the shape of a secret."""

    def __init__(self, secrets: Iterable[str] = (), salt: bytes = b"") -> None:
        self._salt = salt
        self._known: Set[str] = set()
        self._pattern: Optional[Pattern[str]] = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these values too from now on; a text of several lines is also looked for line by line."""
        for secret in secrets:
            for text in [secret.strip()] + [line.strip() for line in secret.splitlines()]:
                if len(text) >= SHORTEST_SECRET:
                    self._known.add(text)
        plain = sorted({form for secret in self._known for form in encodings(secret)}, key=len, reverse=True)
        # The first and last characters of base64 belong to the secret in part, so they go with it.
        packed = sorted({form for secret in self._known for form in base64_forms(secret)}, key=len, reverse=True)
        forms = [re.escape(form) for form in plain] + ["[A-Za-z0-9+/_-]{0,2}%s[A-Za-z0-9+/_-]{0,2}={0,2}" % re.escape(form) for form in packed]
        self._pattern = re.compile("|".join(forms)) if forms else None

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        if self._pattern:
            text = self._pattern.sub(HIDDEN, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return _PEM_BASE64.sub(_hide_base64_keys, text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """A JSON value without secrets and of a size that fits into a report; other types become text."""
        if value is None or isinstance(value, (bool, int, float)):
            # NaN and infinity are not JSON.
            return str(value) if isinstance(value, float) and not math.isfinite(value) else value
        if isinstance(value, dict):
            if depth >= _DEEPEST:
                return "{%d entries}" % len(value)
            result: Dict[str, Any] = {}
            for key in list(value)[:_MOST_ITEMS]:
                result[self.text(str(key))] = self.value(value[key], depth + 1)
            if len(value) > _MOST_ITEMS:
                result["..."] = "%d more" % (len(value) - _MOST_ITEMS)
            return result
        if isinstance(value, (list, tuple, set, frozenset)):
            if depth >= _DEEPEST:
                return "[%d items]" % len(value)
            items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
            kept = [self.value(item, depth + 1) for item in items[:_MOST_ITEMS]]
            return kept + ["... %d more" % (len(items) - _MOST_ITEMS)] if len(items) > _MOST_ITEMS else kept
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        length = len(text)
        # Searched beyond what is kept, so that no secret is cut in two before it is found.
        text = self.text(text[: 16 * LONGEST_TEXT])
        return text if length <= LONGEST_TEXT else "%s ... (%d characters)" % (text[:LONGEST_TEXT], length)

    def fingerprint(self, value: Any) -> str:
        """What stands for a value that must not be shown: equal values of one run have equal fingerprints, and only within that run."""
        if isinstance(value, str):
            plain = value.encode("utf-8", "surrogatepass")
        elif isinstance(value, bytes):
            plain = value
        else:
            plain = json.dumps(value, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
        return "sha256:" + hashlib.sha256(self._salt + plain).hexdigest()


def shaped_like_secrets(text: str) -> List[str]:
    """The parts of a text that have the shape of a secret: private keys, age identities, tokens, passwords in addresses."""
    return [found.group(0) for shape, _replacement in _SHAPES for found in shape.finditer(text)]


def strings_in(value: Any) -> List[str]:
    """All texts inside a value: what has to be hidden when the value is secret."""
    if isinstance(value, dict):
        return [text for key in value for text in strings_in(value[key])]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for item in value for text in strings_in(item)]
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace")]
    if value is None or isinstance(value, bool):
        return []
    return [str(value)]
