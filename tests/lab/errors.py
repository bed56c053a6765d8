# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the lab: what was tried, where, what was found, what to do."""

from __future__ import annotations


class LabError(Exception):
    """A failure a person can act on."""

    def __init__(self, tried: str, found: str, advice: str = "", where: str = "") -> None:
        super().__init__(tried)
        self.tried = tried
        self.found = found
        self.advice = advice
        self.where = where

    def __str__(self) -> str:
        """Four labelled lines."""
        lines = [f"tried:  {self.tried}"]
        if self.where:
            lines.append(f"where:  {self.where}")
        lines.append("found:  " + self.found.strip().replace("\n", "\n        "))
        if self.advice:
            lines.append("do:     " + self.advice.replace("\n", "\n        "))
        return "\n".join(lines)
