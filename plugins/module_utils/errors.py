# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that the whole domain raises: what was tried, what was found, what to do."""

from __future__ import annotations

import sys
from typing import Any, Dict


class LifeboatError(Exception):
    """A failure that a person can act on.

    ``message`` says what went wrong and where. ``tried``, ``found`` and ``remedy`` complete it; further keyword arguments are
    machine-readable fields of the result (never secret values). Subclasses name the kind of failure.
    """

    def __init__(self, message: str, *, tried: str = "", found: str = "", remedy: str = "", **details: Any) -> None:
        self.message = message
        self.tried = tried
        self.found = found
        self.remedy = remedy
        self.details: Dict[str, Any] = details
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.message]
        parts += ["%s: %s" % (label, text) for label, text in (("Tried", self.tried), ("Found", self.found), ("What to do", self.remedy)) if text]
        return "\n".join(parts)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's failed result: ``msg`` for people, ``error`` for machines."""
        error: Dict[str, Any] = {"kind": type(self).__name__, "message": self.message, "tried": self.tried, "found": self.found, "remedy": self.remedy}
        error.update(self.details)
        return {"msg": str(self), "error": error}


def how_to_install(package: str) -> str:
    """What to do where a Python package of the controller is missing. A module runs out of an archive, so it cannot say where the collection lies."""
    return (
        "%s -m pip install %s. meta/ee-requirements.txt of the collection has all that the controller needs: ansible-galaxy collection list says where it is"
        % (
            sys.executable or "python3",
            package,
        )
    )
