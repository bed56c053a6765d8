# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments in a static pod manifest as kubeadm writes it: one ``- --flag=value`` a line.

Hosts have no YAML parser, so only this form is understood and everything else is refused.
Source: kubernetes/kubernetes cmd/kubeadm/app/phases/etcd/local.go (the command is a flat list of strings).
"""

from __future__ import annotations

import json
import re
from typing import List, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_COMMAND = re.compile(r"^(\s*)- (?:command|args):\s*$|^(\s*)(?:command|args):\s*$")
_ARGUMENT = re.compile(r"""^(?P<indent>\s*)- (?P<quote>["']?)(?P<flag>--[a-z0-9-]+)(?:=(?P<value>.*?))?(?P=quote)\s*$""")
# Characters with which a plain YAML scalar stays a plain scalar in the middle of a flag.
_PLAIN = re.compile(r"^[A-Za-z0-9_.,:/=@%+-]*$")


class ManifestNotUnderstood(LifeboatError):
    """The manifest is not in the form that kubeadm writes."""


def _line(indent: str, flag: str, value: str) -> str:
    text = "%s=%s" % (flag, value)
    # JSON strings are YAML strings.
    return "%s- %s" % (indent, text if _PLAIN.match(text) and not text.endswith(":") else json.dumps(text))


def set_arguments(text: str, arguments: Mapping[str, str], path: str) -> str:
    """The manifest with these arguments set. ``arguments`` maps flags with their dashes to values; ``path`` is for errors.

    A flag that is there gets the value, one that is not comes at the end of the command. Raises ManifestNotUnderstood.
    """
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if _COMMAND.match(line)), None)
    found = [number for number in range(start + 1, len(lines)) if _ARGUMENT.match(lines[number])] if start is not None else []
    if start is None or not found:
        raise ManifestNotUnderstood(
            "The static pod manifest %s has no command in the form that kubeadm writes." % path,
            tried="looked for 'command:' followed by lines '- --flag=value'",
            remedy="Set these arguments by hand: %s" % " ".join("%s=%s" % item for item in sorted(arguments.items())),
        )
    indent = lines[found[0]][: len(lines[found[0]]) - len(lines[found[0]].lstrip())]
    # Only the list that begins here: a second container's arguments are not ours.
    ours: List[int] = []
    for number in range(found[0], len(lines)):
        match = _ARGUMENT.match(lines[number])
        if match is None or match.group("indent") != indent:
            break
        ours.append(number)
    missing = dict(arguments)
    for number in ours:
        match = _ARGUMENT.match(lines[number])
        if match is not None and match.group("flag") in arguments:
            flag = match.group("flag")
            missing.pop(flag, None)
            if match.group("value") != arguments[flag]:
                lines[number] = _line(indent, flag, arguments[flag])
    lines[ours[-1] + 1 : ours[-1] + 1] = [_line(indent, flag, value) for flag, value in sorted(missing.items())]
    return "\n".join(lines) + "\n"
