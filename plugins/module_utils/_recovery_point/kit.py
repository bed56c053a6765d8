# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a point holds from the controller, for the day on which the controller is gone too: the inventory without its secrets, the collection itself."""

from __future__ import annotations

import json
import os
import re
import tarfile
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import KitError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import HIDDEN, Redactor

# -- the inventory ----------------------------------------------------------------------------------------------------------------

# How a host is reached, and what Lifeboat is told; nothing else of an inventory is needed to recover, and nothing else leaves it.
_CONNECTION = re.compile(r"\Aansible_(host|port|user|connection|python_interpreter|become|become_(user|method|flags|exe))\Z")
_OWN = re.compile(r"\A(lifeboat_\w+|\w+_target_seconds)\Z")
# Facts of the run that makes the point.
_OF_THE_RUN = ("lifeboat_run",)
# Groups that a run makes while it goes on.
_GROUP_OF_THE_RUN = re.compile(r"\Alifeboat_")
_GROUPS_OF_ANSIBLE = ("all", "ungrouped")
_SECRET_NAME = re.compile(r"pass(wd|w|phrase)|(^|_)pass($|_)|secret|token|credential|private", re.IGNORECASE)
_KEY_NAME = re.compile(r"(?i:(^|[_-])keys?(_?data|_?material|_?id)?$)|[a-z]Keys?(Data|Material|Id)?$")
# A name that says where a secret lies, not what it is.
_PLACE_NAME = re.compile(r"_(file|files|path|directory)$")
_PLACE = re.compile(r"\A(/|~/|\./)[^\s]{1,1000}\Z")


class Group(NamedTuple):
    """One group of an inventory: its own hosts and its child groups."""

    hosts: Sequence[str]
    children: Sequence[str]


def wanted_on_host(name: str) -> bool:
    """Whether a host's variable of this name belongs into a point."""
    return bool(_CONNECTION.match(name)) or wanted_of_all(name)


def wanted_of_all(name: str) -> bool:
    """Whether a variable of all hosts, localhost among them, belongs into a point."""
    return bool(_OWN.match(name)) and name not in _OF_THE_RUN


def without_secrets(value: Any, name: str, redactor: Redactor) -> Any:
    """A value as it may lie in a point: nothing under a secret's name, no known secret, nothing of a secret's shape. A path to a key stays."""
    if isinstance(value, Mapping):
        return {redactor.text(str(key)): without_secrets(value[key], str(key), redactor) for key in value}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item, name, redactor) for item in value]
    if value is None or isinstance(value, bool):
        return value
    is_place = isinstance(value, str) and bool(_PLACE.match(value))
    if _SECRET_NAME.search(name) and not (_PLACE_NAME.search(name) and is_place):
        return HIDDEN
    if _KEY_NAME.search(name) and not is_place:
        return HIDDEN
    return value if isinstance(value, (int, float)) else redactor.text(str(value))


def inventory(
    groups: Mapping[str, Group], common: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]], redactor: Redactor
) -> Tuple[bytes, Dict[str, int]]:
    """The inventory as a file that ansible-inventory reads, and how much is in it. ``common`` is what localhost knows, ``variables`` what each host does."""
    shared = {name: without_secrets(common[name], name, redactor) for name in sorted(common) if wanted_of_all(name)}
    hosts: Dict[str, Dict[str, Any]] = {}
    for host in sorted(variables):
        own = {name: without_secrets(variables[host][name], name, redactor) for name in sorted(variables[host]) if wanted_on_host(name)}
        hosts[host] = {name: value for name, value in own.items() if name not in shared or shared[name] != value}
    kept = [name for name in sorted(groups) if name not in _GROUPS_OF_ANSIBLE and not _GROUP_OF_THE_RUN.match(name)]
    children: Dict[str, Any] = {}
    for name in kept:
        children[name] = {
            "hosts": {host: {} for host in sorted(groups[name].hosts) if host in hosts},
            "children": {child: {} for child in sorted(groups[name].children) if child in kept},
        }
    document = {"all": {"vars": shared, "hosts": hosts, "children": children}}
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("utf-8"), {"hosts": len(hosts), "groups": len(kept)}


# -- the collection ---------------------------------------------------------------------------------------------------------------

_MANIFEST, _FILES, _SOURCE = "MANIFEST.json", "FILES.json", "galaxy.yml"
# Of a checkout: what is run and read. Tests, caches and build products stay out.
_OF_CHECKOUT = (
    _SOURCE,
    "README.md",
    "LICENSE",
    "bindep.txt",
    "changelogs",
    "docs",
    "execution-environment.yml",
    "extensions",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "requirements",
    "requirements.txt",
    "requirements.yml",
    "roles",
)


def collection_names(root: str) -> List[str]:
    """Files and directories of the collection as it runs, relative to its root."""
    if os.path.isfile(os.path.join(root, _MANIFEST)):
        return _names_of_installed(root)
    if os.path.isfile(os.path.join(root, _SOURCE)):
        return _names_of_checkout(root)
    raise KitError(
        "%s is not a collection" % root,
        tried="looked for %s (an installed one) and %s (a checkout)" % (_MANIFEST, _SOURCE),
        remedy="install lifeboat.cluster with ansible-galaxy, or run it from a checkout",
    )


def _names_of_installed(root: str) -> List[str]:
    try:
        with open(os.path.join(root, _FILES), encoding="utf-8") as stream:
            entries = json.load(stream)["files"]
        names = sorted({str(entry["name"]) for entry in entries} - {"."} | {_MANIFEST, _FILES})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise KitError(
            "The list of the collection's files cannot be read",
            tried=os.path.join(root, _FILES),
            found="%s: %s" % (type(error).__name__, error),
            remedy="install the collection again (ansible-galaxy collection install --force)",
        ) from error
    outside = [name for name in names if name.startswith("/") or ".." in name.split("/")]
    missing = [name for name in names if not os.path.exists(os.path.join(root, name))]
    if outside or missing:
        raise KitError(
            "The collection is not installed as a whole",
            tried=os.path.join(root, _FILES),
            found="outside of it: %s" % ", ".join(outside[:5]) if outside else "missing: %s" % ", ".join(missing[:5]),
            remedy="install the collection again (ansible-galaxy collection install --force)",
        )
    return names


def _names_of_checkout(root: str) -> List[str]:
    names: List[str] = []
    for top in _OF_CHECKOUT:
        path = os.path.join(root, top)
        if os.path.isfile(path):
            names.append(top)
        for directory, directories, files in os.walk(path):
            directories[:] = sorted(name for name in directories if name != "__pycache__" and not name.startswith("."))
            place = os.path.relpath(directory, root)
            names += [place] + [os.path.join(place, name) for name in sorted(files) if not name.startswith(".") and not name.endswith(".pyc")]
    return sorted(names)


def write_collection(root: str, target: IO[bytes]) -> int:
    """Write the collection as a tar archive, the same bytes for the same files; returns the number of entries."""
    names = collection_names(root)
    try:
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as archive:
            for name in names:
                _add(archive, os.path.join(root, name), name)
    except OSError as error:
        raise KitError(
            "The collection could not be packed", tried=root, found=str(error), remedy="look at its files and at the space in the run directory"
        ) from error
    return len(names)


def _add(archive: tarfile.TarFile, path: str, name: str) -> None:
    entry = tarfile.TarInfo(name)
    state = os.stat(path)
    entry.mtime = int(state.st_mtime)
    entry.mode = 0o755 if os.path.isdir(path) or state.st_mode & 0o100 else 0o644
    if os.path.isdir(path):
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        return
    with open(path, "rb") as content:
        entry.size = os.fstat(content.fileno()).st_size
        archive.addfile(entry, content)
