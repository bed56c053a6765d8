# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are taken out of everything that is written, in every form; other text stays as it is."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import LONGEST_TEXT, Redactor, strings_in
from tests.secrets_search import Search

SECRET = 'Tr0ub4dor & "3"/\u00e4+x\\n'
RSA = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "z", "zz", "zzz"])
def test_a_known_secret_in_all_encodings(before: str, after: str) -> None:
    """Raw, in base64 at each offset, hex, URL- and JSON-escaped: nothing is left of it."""
    search = Search({"secret": SECRET.encode()})
    redactor = Redactor([SECRET])
    whole = f"{before}{SECRET}{after}"
    packed = base64.b64encode(whole.encode()).decode()
    forms = {
        "raw": whole,
        "base64": packed,
        "base64 for URLs": base64.urlsafe_b64encode(whole.encode()).decode(),
        "hex": whole.encode().hex(),
        "HEX": whole.encode().hex().upper(),
        "URL": quote(whole, safe=""),
        "path": quote(whole),
        "form": quote_plus(whole),
        "JSON": json.dumps({"x": whole}),
        "Unicode JSON": json.dumps([whole], ensure_ascii=False),
        "Python": repr(whole),
    }
    for name, form in forms.items():
        assert search.in_bytes(form.encode(), name), f"the test plants nothing in {name}"
        hidden = redactor.text(f"<{form}>")
        assert not search.in_bytes(hidden.encode(), name), hidden
        assert "[hidden]" in hidden
    # What base64 shares with its neighbours goes too: no character of the secret can be computed.
    left = redactor.text(packed).replace("[hidden]", "")
    assert len(left) <= len(base64.b64encode((before + after).encode())) + 4
    assert "=" not in left or after


def test_lines_of_a_secret() -> None:
    """A secret of several lines is found when only one of its lines is shown."""
    assert Redactor(["first-line\nsecond-line\n"]).text("got second-line here") == "got [hidden] here"


def test_short_values_stay() -> None:
    """A value that is too short to be told from other text would blank the whole report."""
    assert Redactor(["abc", "", "   "]).text("abcdef") == "abcdef"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"key: {RSA} end", "key: [hidden private key] end"),
        (RSA.replace("\n", "\\n"), "[hidden private key]"),
        (RSA[:60], "[hidden private key]"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----\n", "[hidden private key]\n"),
        ("AGE-SECRET-KEY-1QQPQYQZQYQZQYQZQYQZQYQZQYQZQ", "[hidden age key]"),
        ("age-secret-key-1qqpqyqzqyqz", "[hidden age key]"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.sig-na_ture", "token [hidden token]"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [hidden token]"),
        ("hvs.CAESIJ1234567890", "[hidden token]"),
        ("abcdef.0123456789abcdef", "[hidden bootstrap token]"),
        ("postgres://app:geheim@db:5432/x", "postgres://app:[hidden]@db:5432/x"),
        (f"client-key-data: {base64.b64encode(RSA.encode()).decode()}", "client-key-data: [hidden private key]"),
    ],
)
def test_shapes_of_secrets(text: str, hidden: str) -> None:
    """What looks like a key or a token is hidden although nobody named it."""
    assert Redactor().text(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "a bearer authentication header is needed",
        "basic authentication is off",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----").decode(),
        "https://127.0.0.1:2379/health",
        "sha256:9f8a41c0b7d2e55ab0c13",
        "cp1.prod-eu1.example",
        "key eyJ is short",
    ],
)
def test_other_text_stays(text: str) -> None:
    """Evidence is not mangled."""
    assert Redactor().text(text) == text


def test_values() -> None:
    """Values of any type become JSON of bounded size, also inside of containers and in their keys."""
    redactor = Redactor([SECRET])
    assert redactor.value({SECRET: [SECRET, 1, None, True, 1.5, {"a": {SECRET}}]}) == {"[hidden]": ["[hidden]", 1, None, True, 1.5, {"a": ["[hidden]"]}]}
    assert redactor.value(float("nan")) == "nan"
    assert redactor.value(b"bytes") == "bytes"
    assert redactor.value("x" * (LONGEST_TEXT + 10)).endswith("... (4010 characters)")
    assert len(redactor.value(list(range(1000)))) == 201
    assert redactor.value(dict.fromkeys(map(str, range(1000)), 1))["..."] == "800 more"
    deep: object = "end"
    for _level in range(20):
        deep = [deep]
    json.dumps(redactor.value(deep))
    assert "end" not in json.dumps(redactor.value(deep))


def test_long_text_is_quick() -> None:
    """No pattern takes time that grows faster than the text."""
    redactor = Redactor([SECRET])
    begin = time.process_time()
    for text in ("x" * 60000, "a." * 30000, "eyJ" * 20000, "-----BEGIN " * 6000, "http://" * 8000, "A B " * 15000):
        redactor.text(text)
    assert time.process_time() - begin < 5


def test_fingerprints() -> None:
    """Equal values have equal fingerprints, in one run only."""
    one, other = Redactor(salt=b"1"), Redactor(salt=b"2")
    assert one.fingerprint({"a": 1, "b": 2}) == one.fingerprint({"b": 2, "a": 1})
    assert one.fingerprint("a") != one.fingerprint("b")
    assert one.fingerprint("a") != other.fingerprint("a")
    assert one.fingerprint("a") == one.fingerprint(b"a")


def test_strings_in() -> None:
    """All texts inside a value, for hiding them elsewhere."""
    assert strings_in({"a": ["b", {"c": ("d", 7)}], "e": None, "f": True, "g": b"h"}) == ["b", "d", "7", "h"]
