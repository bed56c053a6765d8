# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings in the environment file of a systemd unit (``EnvironmentFile=``): ``NAME=value`` or ``NAME="value"``, one a line.

Of a name that stands there twice systemd takes the last (systemd/systemd src/basic/env-file.c).
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_SETTING = re.compile(r"^\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a backslash protects inside of double quotes.
_SPECIAL = re.compile(r'["\\`$]')
_PROTECTED = re.compile(r'\\(["\\`$])')


class EnvironmentFileError(LifeboatError):
    """The file is not of the form that is understood, or cannot be read."""


def settings(text: str) -> Dict[str, str]:
    """All settings, as the unit's process gets them."""
    return {match.group("name"): _unquoted(match.group("value")) for match in map(_SETTING.match, text.splitlines()) if match}


def set_settings(text: str, wanted: Mapping[str, str], path: str) -> str:
    """The text with these settings; everything else stays as it is. ``path`` is for errors."""
    for name, value in wanted.items():
        if not _NAME.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise EnvironmentFileError(
                "%s cannot be set in %s" % (name, path), found="a name or a value that a line cannot hold", remedy="Give letters, digits and underscores."
            )
    lines = text.splitlines()
    if any(line.rstrip().endswith("\\") for line in lines if _SETTING.match(line)):
        raise EnvironmentFileError(
            "%s has a setting that goes on in the next line" % path,
            tried="read it line by line",
            remedy="Set these by hand: %s" % " ".join("%s=%s" % pair for pair in sorted(wanted.items())),
        )
    places: Dict[str, int] = {}
    for number, line in enumerate(lines):
        match = _SETTING.match(line)
        if match:
            places[match.group("name")] = number
    added: List[str] = []
    for name, value in sorted(wanted.items()):
        line = '%s="%s"' % (name, _SPECIAL.sub(r"\\\g<0>", value))
        if name not in places:
            added.append(line)
        elif settings(lines[places[name]])[name] != value:
            lines[places[name]] = line
    return "".join(line + "\n" for line in lines + added)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _PROTECTED.sub(r"\1", value[1:-1])
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value
