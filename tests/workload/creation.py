# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the workload into a cluster, many objects at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tests.workload import objects
from tests.workload.api import AnswerError, Api

WORKERS = 16
LIMIT_SECONDS = 180.0
CONFLICT = 409
BUSY = (429, 500, 503, 504)


@dataclass(frozen=True)
class Created:
    """What was made."""

    kinds: dict[str, int]
    seconds: float

    @property
    def total(self) -> int:
        """All objects."""
        return sum(self.kinds.values())


def wait_for(what: str, found: Callable[[], str], limit_seconds: float = LIMIT_SECONDS, interval_seconds: float = 0.3) -> None:
    """Wait until the function returns nothing; otherwise it says what is not so yet."""
    deadline = time.monotonic() + limit_seconds
    while problem := found():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_seconds:.0f} s until {what}: {problem}")
        time.sleep(interval_seconds)


def _post_all(api: Api, placed: Iterable[objects.Placed]) -> Counter[str]:
    kinds: Counter[str] = Counter()

    def post(one: objects.Placed) -> str:
        wait_for(f"{one.path} takes an object", lambda: _posted(api, one))
        return one.path.rpartition("/")[2]

    with ThreadPoolExecutor(WORKERS) as pool:
        kinds.update(pool.map(post, placed))
    return kinds


def _posted(api: Api, one: objects.Placed) -> str:
    """Post an object; a server that is busy or has just gone away is asked again, and may have made it the first time."""
    try:
        api.request("POST", one.path, body=one.body)
    except AnswerError as error:
        if error.status in BUSY:
            return str(error)
        if error.status != CONFLICT:
            raise
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def create(kubeconfig: Path, objects_wanted: int = 2000, planted: Mapping[str, str] | None = None) -> Created:
    """Make about so many objects in some forty kinds, wait until the pods among them run; ``planted`` values go into secret places."""
    api = Api(kubeconfig, connections=WORKERS)
    begin = time.monotonic()
    kinds = _post_all(api, objects.namespaces())
    wait_for("every namespace has its default service account", lambda: _without_account(api))
    kinds += _post_all(api, [objects.definition()])
    wait_for("the custom resource is served", lambda: "" if api.answers(f"/apis/{objects.GROUP}/v1/widgets") else "it is not", interval_seconds=0.1)
    running = list(objects.running())
    kinds += _post_all(api, running)
    kinds += _post_all(api, objects.planted(planted or {}))
    kinds += _post_all(api, objects.quiet(objects_wanted - kinds.total()))
    wait_for("the pods of the workload run", lambda: _not_ready(api))
    return Created(dict(kinds), time.monotonic() - begin)


def _without_account(api: Api) -> str:
    having = {account["metadata"]["namespace"] for account in api.items("/api/v1/serviceaccounts") if account["metadata"]["name"] == "default"}
    return " ".join(name for name in objects.NAMESPACES if name not in having)


def _not_ready(api: Api) -> str:
    deployments = [one for one in api.items(f"/apis/apps/v1/namespaces/{objects.RUNNING}/deployments") if one["spec"]["replicas"]]
    waiting = [one["metadata"]["name"] for one in deployments if one.get("status", {}).get("readyReplicas", 0) < one["spec"]["replicas"]]
    return f"not ready: {' '.join(waiting)}" if waiting else ""
