# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Globs on absolute paths: matching with everything beneath a match, and expansion on the live file system."""

from __future__ import annotations

import os
import re
from typing import Iterable, List, Pattern

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_MAGIC = re.compile(r"[*?\[]")


class GlobError(LifeboatError):
    """A path or glob that cannot be used."""


def has_magic(text: str) -> bool:
    """Whether the text contains glob characters."""
    return _MAGIC.search(text) is not None


def normal_path(path: str) -> str:
    """The path without double slashes and dots; it must be absolute."""
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise GlobError(
            "%r is not an absolute path." % path, tried="use it as a path on the host", found="a relative path, or one with '..'", remedy="Write it from / on."
        )
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _component(text: str) -> str:
    """Regular expression of one path component of a glob."""
    parts: List[str] = []
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            end = text.find("]", index + 2 if text[index : index + 1] in ("!", "^") else index + 1)
            if end < 0:
                parts.append(re.escape(character))
                continue
            members = text[index:end]
            negated = members[:1] in ("!", "^")
            members = (members[1:] if negated else members).replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            parts.append("(?!/)[%s%s]" % ("^" if negated else "", members))
            index = end + 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)


def _expression(pattern: str) -> str:
    expression = ""
    for part in normal_path(pattern).split("/")[1:]:
        if part == "**":
            expression += "(?:/[^/]+)*"
        elif part:
            expression += "/" + _component(part)
    return expression


class GlobSet:
    """A list of globs. ``*`` and ``?`` stay within one component, ``**`` spans any number; a match covers all that lies beneath it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = list(patterns)
        try:
            self._expressions: List[Pattern[str]] = [re.compile("(?s)%s(?:/.*)?\\Z" % _expression(pattern)) for pattern in self.patterns]
        except re.error as error:
            raise GlobError("A glob cannot be understood.", found=str(error), remedy="Check the character ranges in %s." % ", ".join(self.patterns)) from error

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, path: str) -> bool:
        """Whether the path, or a directory above it, matches one of the globs."""
        return any(expression.match(path) for expression in self._expressions)


def _names(directory: str) -> List[str]:
    try:
        return sorted(os.listdir(directory))
    except (NotADirectoryError, FileNotFoundError):
        return []


def _is_real_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def expand(pattern: str) -> List[str]:
    """Existing paths that the glob names; a path that exists literally is taken literally. Hidden names match like others."""
    pattern = normal_path(pattern)
    if os.path.lexists(pattern):
        return [pattern]
    if not has_magic(pattern):
        return []
    found = [""]
    parts = pattern.split("/")[1:]
    for position, part in enumerate(parts):
        step: List[str] = []
        for base in found:
            if part == "**":
                step.append(base)
                pending = [base]
                while pending:
                    directory = pending.pop()
                    for name in _names(directory or "/"):
                        child = directory + "/" + name
                        if _is_real_directory(child):
                            pending.append(child)
                            step.append(child)
                        elif position == len(parts) - 1:
                            step.append(child)
            elif has_magic(part):
                expression = re.compile("(?s)%s\\Z" % _component(part))
                step += [base + "/" + name for name in _names(base or "/") if expression.match(name)]
            elif os.path.lexists(base + "/" + part):
                step.append(base + "/" + part)
        found = sorted(set(step))
    return [path or "/" for path in found]
