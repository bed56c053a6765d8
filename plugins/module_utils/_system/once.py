# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something that several threads need and that is looked at once."""

from __future__ import annotations

import threading
from typing import Callable, Generic, List, Optional, TypeVar

_Value = TypeVar("_Value")


class Once(Generic[_Value]):
    """What a function answered when it was first asked; what it raised is raised again."""

    def __init__(self, work: Callable[[], _Value]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._value: List[_Value] = []
        self._error: Optional[Exception] = None

    def __call__(self) -> _Value:
        with self._lock:
            if self._error is None and not self._value:
                try:
                    self._value.append(self._work())
                except Exception as error:
                    self._error = error
            if self._error is not None:
                raise self._error
            return self._value[0]
