# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images a machine lacks, by their full names: manifests and runtimes write one image in several ways."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

from ansible.errors import AnsibleFilterError

_HUB = "docker.io"


def full_name(reference: str) -> str:
    """A reference as a runtime lists it: with registry, path, and tag or digest. With both, the digest alone decides.

    Rules of distribution/reference (C(normalize.go)): a first part without a dot or a colon that is not C(localhost) is no registry; Docker Hub keeps images
    without a path below C(library); a reference without tag and digest means C(latest).
    """
    name, _at, digest = reference.partition("@")
    head, slash, _rest = name.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost"):
        name = "%s/%s" % (_HUB, name if slash else "library/" + name)
    elif head == "index." + _HUB:
        name = _HUB + name[len(head) :]
    if name.startswith(_HUB + "/") and name.count("/") == 1:
        name = "%s/library/%s" % (_HUB, name[len(_HUB) + 1 :])
    path, colon, tag = name.rpartition(":")
    tagged = bool(colon) and "/" not in tag
    if digest:
        return "%s@%s" % (path if tagged else name, digest)
    return name if tagged else name + ":latest"


def missing_images(wanted: Sequence[str], present: Sequence[str]) -> List[str]:
    """Those of the wanted references that none of the present ones is."""
    for what, value in (("wanted", wanted), ("present", present)):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise AnsibleFilterError("missing_images: %s is no list of references, but %s" % (what, type(value).__name__))
    there = {full_name(str(reference)) for reference in present}
    return [str(reference) for reference in wanted if full_name(str(reference)) not in there]


class FilterModule:
    """Filters of this collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"missing_images": missing_images}
