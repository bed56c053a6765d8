# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gates share: running a tool, collecting problems, the interpreters of this machine, the project's files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import environment

ROOT = environment.ROOT
PYTHON_VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
TAIL_CHARACTERS = 20_000


def run_tool(
    command: Sequence[str | Path],
    advice: str,
    *,
    directory: Path = ROOT,
    variables: Mapping[str, str] | None = None,
    timeout_seconds: int = 900,
    noise: re.Pattern[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a tool; the gate fails with what the tool said (less the noise) and with the advice when it is not content."""
    words = [str(word) for word in command]
    result = subprocess.run(
        words,
        cwd=directory,
        env={**os.environ, **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout_seconds,
    )
    if result.returncode:
        said = "\n".join(text.strip() for text in (result.stdout, result.stderr) if text.strip())
        said = noise.sub("", said) if noise else said
        pytest.fail(f"{' '.join(words)} ended with status {result.returncode}:\n{said[-TAIL_CHARACTERS:]}\nWhat to do: {advice}", pytrace=False)
    return result


def refuse(problems: Iterable[str], advice: str) -> None:
    """Fail with all problems at once."""
    found = list(dict.fromkeys(problems))
    if found:
        pytest.fail("\n".join([*found, f"What to do: {advice}"]), pytrace=False)


def need(found: Sequence[Any], what: str) -> None:
    """A gate that looked at nothing proves nothing."""
    if not found:
        pytest.fail(f"found no {what}: this gate would prove nothing", pytrace=False)


@cache
def interpreters() -> dict[str, Path]:
    """Every Python of this machine that cluster hosts may have: from the PATH, or from pyenv's versions."""
    found: dict[str, Path] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    for version in PYTHON_VERSIONS:
        candidates = [Path(part) / f"python{version}" for part in os.environ["PATH"].split(os.pathsep)]
        candidates += sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
        probe = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2])"
        for candidate in candidates:
            if os.access(candidate, os.X_OK):
                answer = subprocess.run([candidate, "-I", "-c", probe], capture_output=True, text=True, check=False)
                if answer.stdout.strip() == version:
                    found[version] = candidate
                    break
    assert found, f"no Python out of {PYTHON_VERSIONS} runs here, not even {sys.executable}"
    return found


@cache
def project_files() -> tuple[Path, ...]:
    """The project's files relative to its root, as git would commit them."""
    return tuple(Path(name) for name in environment.project_files())


def files_under(*parts: str, suffixes: Sequence[str] = ()) -> list[Path]:
    """Project files below some directories or with some endings; absolute."""
    return [
        ROOT / path
        for path in project_files()
        if (not parts or any(Path(part) in path.parents for part in parts)) and (not suffixes or path.suffix in suffixes) and (ROOT / path).is_file()
    ]


def shown(path: Path) -> str:
    """A path as messages show it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class _Tagged(yaml.SafeLoader):
    """Reads Ansible's own tags (!unsafe, !vault) as plain values."""


def _plain(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Tagged.add_multi_constructor("!", _plain)


def read_yaml(path: Path) -> Any:
    """A YAML file's content; None when it is empty."""
    try:
        return yaml.load(path.read_text(), Loader=_Tagged)
    except yaml.YAMLError as error:
        pytest.fail(f"{shown(path)} is not YAML: {error}", pytrace=False)


def walk(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def tasks_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every task and block in a file of plays or tasks, at any depth."""
    return (item for item in walk(value) if isinstance(item, dict))
