# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read is what PyYAML reads; what is not understood is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.block_yaml import NotUnderstoodError, read, read_mapping

ROOT = Path(__file__).parents[5]

TEXTS = [
    "a: 1\nb:\n  c: x y # remark\n  d: 'it''s' \nlist:\n- one\n- two: 2\n  three:\n    - 3\n- - nested\n  - deeper\n",
    "---\na:\n- b: c\n  d: {e: [f, g h], 'i': \"j,k\", l: }\n  m: []\n  n: {}\n",
    "command:\n    # a remark\n    - etcd\n\n    - --name=cp1\n    - \"--x=a: b\"\n    - --y=http://h:1/#frag\n    - '--z'\n",
    "run: |\n  set -e\n  exec etcd \\\n    --name=x\n\n  # no comment\nafter: >-\n  folded\n  text\n\n  more\nkeep: |+\n  end\n\nnext: x\n",
    "a: |2\n    two more\nb: >\n  x\n  y\n",
    "a:   \nb: ~\nc: null\nd: ''\n",
    "url: https://h:6443\nport: 6443\ntime: 12:30:00\nkey with blanks: v\n\"quoted: key\": w\n",
    "a: {b: {c: d}, e: [1, 2,\n  3], # why\n  f: g}\nh: i\n",
    "- a\n-\n  b: c\n- d: e\n",
    "a: 'x # y'\nb: x#y\nc: \"tab\\there\"\n",
    "{\"a\": [1, true, null], \"b\": {\"c\": \"d\"}}",
    "[a, b, {c: d}]\n",
    "just text\n",
    "",
    "# nothing\n",
    "a: -1\nb: -\u00e4\nc: ?x\nd: :y\n",
]
REFUSED = [
    "a: &x 1\n",
    "a: *x\n",
    "a: !!str 1\n",
    "a: one\n  two\n",
    "a: 1\na: 2\n",
    "a: b: c\n",
    "a: 1\n---\nb: 2\n",
    "a: [1, 2\n",
    "a: 'open\n",
    "? complex\n: v\n",
    "a: 1\n   b: 2\n",
    "a:\n\t- x\n",
    "a: \"\\x41\"\n",
    "a: {b: c} d\n",
    "a: 1\n- b\n",
    "%YAML 1.2\n---\na: 1\n",
]


class Plain(yaml.SafeLoader):
    """Every scalar is a text, as here; null is None."""


Plain.yaml_implicit_resolvers = {
    key: [(tag, match) for tag, match in found if tag.endswith(":null")] for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def theirs(text: str) -> Any:
    """What PyYAML reads, with texts for scalars."""
    return yaml.load(text, Loader=Plain)


@pytest.mark.parametrize("text", TEXTS)
def test_it_reads_what_pyyaml_reads(text: str) -> None:
    assert _texts(read(text)) == theirs(text)


def _texts(value: Any) -> Any:
    """Of JSON, its own kinds as the texts that they are."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        read(text)
    assert str(caught.value) == ""
    assert read_mapping(text) is None


def test_only_a_mapping_is_one() -> None:
    assert read_mapping("a: b\n") == {"a": "b"}
    assert read_mapping("- a\n") is None


def test_every_form_that_pyyaml_writes_is_read_or_refused() -> None:
    """Never read as something else. Made by chance, the same each time."""
    chance = random.Random(1)
    words = ["a", "b c", "--x=y", "k: v", "#no", "it's", 'say "x"', "", "12", "true", "- d", "x:", "http://h:1/", "line\nbreak", "  lead", "\u00e4"]
    words += ["{x", "*y", "null", "end "]

    def make(depth: int) -> Any:
        kind = chance.random()
        if depth > 3 or kind < 0.4:
            return chance.choice(words)
        if kind < 0.7:
            return [make(depth + 1) for _number in range(chance.randint(0, 4))]
        return {chance.choice(words) or "e": make(depth + 1) for _number in range(chance.randint(0, 4))}

    understood = 0
    for _number in range(1500):
        value = {"top": make(0)}
        for style in (None, False, True):
            text = yaml.safe_dump(value, default_flow_style=style, allow_unicode=True, width=chance.choice((60, 1000)), sort_keys=False)
            found = read_mapping(text)
            assert found is None or _texts(found) == theirs(text), text
            understood += found is not None
        assert _texts(read(json.dumps(value))) == value
    assert understood > 3000


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.yaml")) + sorted((ROOT / "roles").rglob("meta/*.yml")), ids=str)
def test_files_of_this_repository(path: Path) -> None:
    text = path.read_text()
    found = read_mapping(text)
    assert found is None or _texts(found) == theirs(text)
