# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which encryption keys of a snapshot a machine lacks that keeps its files, and a configuration that has them. On the controller only.

Keys of the snapshot go behind those in use, so that the first key, which writes, stays the first. Of AES-CBC, a key of the same name with another content goes
before that one: AES-CBC notices a wrong key in 255 of 256 values only, and after the restore all values are of the snapshot's key.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import (
    IDENTITY,
    KMS,
    Configuration,
    EncryptionConfigurationError,
    Key,
    Stored,
    load_document,
    unread_plain,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import EncryptionKey

MISSING, OTHER, ELSEWHERE, LOST, PLAIN = "missing", "other", "kms", "lost", "identity"
_ADDABLE = (MISSING, OTHER, PLAIN)


@dataclass(frozen=True)
class Difference:
    """One key of the snapshot that a configuration lacks for a resource."""

    key: EncryptionKey
    resource: str
    kind: str
    # What the point has under that name, and as what an entry there names the resource.
    keys: Tuple[Key, ...] = field(default=(), repr=False)
    named_as: str = ""

    @property
    def addable(self) -> bool:
        """Whether the point has what is lacking."""
        return self.kind in _ADDABLE

    def __str__(self) -> str:
        label = "%s (%s)" % (IDENTITY if self.kind == PLAIN else self.key, self.resource)
        return {
            MISSING: "%s is not here" % label,
            OTHER: "%s is another key here than in the recovery point" % label,
            ELSEWHERE: "%s is not here, and its key lies in no recovery point" % label,
            LOST: "%s is neither here nor in the recovery point" % label,
            PLAIN: "%s is not here, and the recovery point holds values that are not encrypted" % label,
        }[self.kind]

    def as_result(self) -> Dict[str, Any]:
        """For a module's result; names alone."""
        return {"provider": self.key.provider, "key_name": self.key.key_name, "resource": self.resource, "kind": self.kind, "addable": self.addable}


def compare(here: Configuration, points: Sequence[Configuration], stored: Stored) -> List[Difference]:
    """What a configuration lacks to read a snapshot. ``points`` are those in the recovery point, the machine's own first."""
    found: List[Difference] = []
    for key, resource in stored.keys:
        providers = here.providers_of(resource)
        fitting = [provider for provider in providers if provider.names(key)]
        if key.provider == KMS:
            found += [] if fitting else [Difference(key, resource, ELSEWHERE)]
            continue
        ours = _keys(here, key, resource)
        point = next((point for point in points if _keys(point, key, resource)), Configuration(()))
        theirs = _keys(point, key, resource)
        lacking = tuple(one for one in theirs if one.secret not in [own.secret for own in ours])
        if lacking:
            found.append(Difference(key, resource, OTHER if ours else MISSING, lacking, point.text_of(resource)))
        elif not theirs and not ours:
            found.append(Difference(key, resource, LOST))
    found += [Difference(EncryptionKey(IDENTITY, "", ""), resource, PLAIN) for resource, _count in unread_plain(here, stored)]
    return found


def _keys(configuration: Configuration, wanted: EncryptionKey, resource: str) -> List[Key]:
    providers = [provider for provider in configuration.providers_of(resource) if provider.type == wanted.provider]
    return [key for provider in providers for key in provider.keys if key.name == wanted.key_name]


def add(content: bytes, differences: Sequence[Difference], what: str) -> bytes:
    """The configuration with the keys that it lacks; read back before it is returned."""
    import yaml

    document = load_document(content)
    if document is None:
        raise EncryptionConfigurationError("%s cannot be read as an encryption configuration" % what, remedy="Repair the file first.")
    document = copy.deepcopy(document)
    for difference in differences:
        if difference.addable:
            _add(document, difference)
    changed = yaml.safe_dump(document, sort_keys=False, default_flow_style=False).encode()
    Configuration.parse(changed, what)
    return changed


def _add(document: Dict[str, Any], difference: Difference) -> None:
    entries = _entries_of(document, difference.resource)
    if difference.kind == PLAIN:
        if not any(IDENTITY in provider for entry in entries for provider in entry["providers"]):
            entries[-1]["providers"].append({IDENTITY: {}})
        return
    if not entries:
        # What no entry names is written as it is; so it stays.
        entries = [{"resources": [difference.named_as or difference.resource], "providers": [{IDENTITY: {}}]}]
        document["resources"] = list(document.get("resources") or []) + entries
    for key in difference.keys:
        _add_key(entries, difference, key)


def _add_key(entries: Sequence[Dict[str, Any]], difference: Difference, key: Key) -> None:
    record = {"name": key.name, "secret": base64.b64encode(key.secret).decode("ascii")}
    kind = difference.key.provider
    lists = [provider[kind]["keys"] for entry in entries for provider in entry["providers"] if kind in provider]
    if any(_same(one, record) for keys in lists for one in keys):
        return
    if difference.kind == OTHER and kind == "aescbc":
        for keys in lists:
            for position, one in enumerate(keys):
                if str(one.get("name")) == key.name:
                    keys.insert(position, record)
                    return
    if lists:
        lists[-1].append(record)
    else:
        entries[-1]["providers"].append({kind: {"keys": [record]}})


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (str(one.get("name")), str(one.get("secret")).strip()) == (other["name"], other["secret"])


def _entries_of(document: Mapping[str, Any], resource: str) -> List[Dict[str, Any]]:
    """Entries whose providers the API server tries for a resource."""
    records = document.get("resources") or []
    configuration = Configuration.of(document)
    return [records[number] for number in configuration.entries_of(resource)]


def summary(differences: Sequence[Difference]) -> str:
    """In words, each once."""
    return "; ".join(dict.fromkeys(map(str, differences)))
