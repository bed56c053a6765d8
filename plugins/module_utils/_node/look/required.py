# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a restore would bring to this host: which of them are there, and whether what is there works."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.tls import AUTHORITY, SERVER, Check, examine
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing

# What cannot be judged here is no fault: a kubeconfig of another form than kubeadm's, a clock that is behind. Nor is what has expired: an older one out of a
# recovery point is of no more use.
_UNDECIDED = ("not understood", "its dates cannot be read here", "not valid before", "the certificate is not valid yet", "expired on")
_EXPIRED = "has expired"
_FILES = ("certificate", "key", "ca", "kubeconfig")


def present(paths: Sequence[str]) -> List[str]:
    """Those that are there. A directory without a file below it is not."""
    return [path for path in paths if probing.holds_something(path)]


def look(paths: Sequence[str], certificates: Sequence[Mapping[str, Any]]) -> Dict[str, List[str]]:
    """Which of the files are there, and what is wrong with the certificates of a machine that has some of them."""
    there = present(paths)
    missing = [path for path in paths if path not in there]
    return {"expected": list(paths), "present": there, "missing": missing, "faults": faults(certificates) if there else []}


def faults(certificates: Sequence[Mapping[str, Any]]) -> List[str]:
    """Certificates, keys and kubeconfigs that do not load or do not belong together.

    For which name a certificate is made is another question: a machine may have come back under another one.
    """
    found = []
    for facts in certificates:
        check = Check(str(facts["id"]), str(facts["type"]), purpose=str(facts.get("purpose") or SERVER))
        for name in _FILES:
            setattr(check, name, str(facts.get(name) or ""))
            probing.can_be_read(getattr(check, name))
        if check.type == AUTHORITY and check.key and probing.status(check.certificate) is not None and probing.status(check.key) is None:
            # An external authority keeps its key elsewhere.
            check.key = ""
        finding = examine(check)
        if not finding.ok and not finding.reason.startswith(_UNDECIDED) and _EXPIRED not in finding.reason:
            found.append("%s: %s" % (check.id, finding.reason))
    return found
