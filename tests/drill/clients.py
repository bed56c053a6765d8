# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of the cluster see from the outside: a watch that stays open, and when every API server answers again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import urllib3

from tests.workload.api import AnswerError, Api

GONE = 410
WATCH_SECONDS = 15


class WatchClient(threading.Thread):
    """A client with an open watch, as controllers have them: it goes on from its last revision, and lists again only when it is told to."""

    def __init__(self, kubeconfig: Path, path: str) -> None:
        super().__init__(name=f"watch {path}", daemon=True)
        self._api = Api(kubeconfig, connections=2)
        self._path = path
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.revision = ""
        self.seen: set[str] = set()
        self.told_to_relist: list[float] = []
        self.trouble = ""

    def run(self) -> None:
        """List, then watch for ever."""
        while not self._end.is_set():
            try:
                if not self.revision:
                    self._list()
                self._watch()
            except (AnswerError, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                self.trouble = f"{type(error).__name__}: {error}"
                self._end.wait(0.5)

    def _list(self) -> None:
        answer = self._api.get(self._path)
        with self._lock:
            self.seen = {item["metadata"]["name"] for item in answer["items"]}
            self.revision = answer["metadata"]["resourceVersion"]

    def _gone(self) -> None:
        self.told_to_relist.append(time.time())
        self.revision = ""

    def _watch(self) -> None:
        query = {"watch": 1, "resourceVersion": self.revision, "allowWatchBookmarks": "true", "timeoutSeconds": WATCH_SECONDS}
        response = self._api.open("GET", self._path, query=query, timeout=WATCH_SECONDS + 5)
        try:
            if response.status == GONE:
                self._gone()
                return
            if response.status >= 300:
                raise AnswerError("GET", self._path, response.status, response.read().decode(errors="replace"))
            pending = b""
            for chunk in response.stream(65536):
                pending += chunk
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    if not self._event(json.loads(line)):
                        return
                if self._end.is_set():
                    return
        finally:
            response.close()

    def _event(self, event: Mapping[str, dict[str, object]]) -> bool:
        thing = event["object"]
        if str(event["type"]) == "ERROR":
            if thing.get("code") == GONE:
                self._gone()
                return False
            raise ValueError(f"watch error {thing}")
        metadata = thing["metadata"]
        assert isinstance(metadata, dict)
        with self._lock:
            self.revision = metadata["resourceVersion"]
            if str(event["type"]) != "BOOKMARK":
                self.seen.add(metadata["name"])
        return True

    def close(self) -> None:
        """Stop; does not wait for a request under way."""
        self._end.set()


class ReadyClock(threading.Thread):
    """Notes when each API server answers /readyz for the first time after ``begin`` was called."""

    def __init__(self, kubeconfig: Path, servers: Mapping[str, str], interval_seconds: float = 0.1) -> None:
        super().__init__(name="readyz", daemon=True)
        self._apis = {name: Api(kubeconfig, server=server, connections=1) for name, server in servers.items()}
        self._interval = interval_seconds
        self._end = threading.Event()
        self.ready_at: dict[str, float] = {}

    def run(self) -> None:
        """Ask every server that has not answered yet."""
        while not self._end.is_set() and len(self.ready_at) < len(self._apis):
            for name, api in self._apis.items():
                if name not in self.ready_at and api.answers(timeout=1.0):
                    self.ready_at[name] = time.time()
            self._end.wait(self._interval)

    @property
    def all_ready_at(self) -> float | None:
        """When the last of them answered; None while one has not."""
        return max(self.ready_at.values()) if len(self.ready_at) == len(self._apis) else None

    def close(self) -> None:
        """Stop."""
        self._end.set()
