# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people give: lists and dictionaries, also as the text that surveys and ``-e name=value`` make of everything; and paths, from where they stand."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Mapping, Union

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import shaped_like_secrets


def given_list(value: Any) -> List[Any]:
    """The items. Of text: those of a list in brackets, else what stands between commas and line ends; blanks around items and empty items do not count."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str):
        raise AnsibleFilterError("given_list needs a list, or text with commas between its items, not %s" % type(value).__name__)
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        # As JSON has it, or as a shell has left it of that: -e 'recipients=[age1first, age1second]'.
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list):
            return found
        text = text[1:-1]
    return [item for item in (_bare(part) for part in re.split(r"[,\n]", text)) if item]


def _bare(item: str) -> str:
    """Without blanks and quotes around it."""
    item = item.strip()
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] and item[0] in "'\"" else item


def given_dict(value: Any) -> Dict[str, Any]:
    """The dictionary. Text is read as an option of that type of a module reads it: JSON, or ``name=value`` with commas or blanks between; empty text: none."""
    if value is None or isinstance(value, str) and not value.strip():
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    try:
        found: Dict[str, Any] = check_type_dict(value)
    except (TypeError, ValueError):
        # What is in it is not repeated: it may be a credential.
        raise AnsibleFilterError("given_dict needs a dictionary, or text as JSON has it, not other %s" % type(value).__name__) from None
    return found


def given_path(value: Any) -> Union[str, List[str]]:
    """The absolute path, or those of a list; nothing stays nothing.

    A module on localhost runs in the directory of the playbook, which is one of the collection. This runs in the process of ansible-playbook, and so in the
    directory in which it was called.
    """
    if isinstance(value, (list, tuple)):
        return [_absolute(item) for item in value]
    return _absolute(value)


def _absolute(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AnsibleFilterError("given_path needs a path, or a list of paths, not %s" % type(value).__name__)
    if shaped_like_secrets(value):
        # Names of files are shown wherever they are used, and in the command that goes on with a run.
        raise AnsibleFilterError(
            "A private key is given where the name of a file is meant.\n"
            "Tried: read the variables that name files: lifeboat_identity_files, lifeboat_signing_key, lifeboat_allowed_signers\n"
            "Found: a text that has the form of a private key\n"
            "What to do: put the key into a file that only you can read, give the name of that file, and take the key out of where it was written."
        )
    return os.path.abspath(os.path.expanduser(os.path.expandvars(value))) if value else ""
