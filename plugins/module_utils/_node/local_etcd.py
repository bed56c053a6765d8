# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the member of etcd that this machine has, or would start, keeps its data: what a look at a node asks of it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import image_release
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_data, etcd_directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import Directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Service, etcd_service
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import static_pod
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import Process
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit


class LocalEtcd:
    """The local member. ``own_processes`` and ``unit`` are the look's own; ``captured_dir`` is where a recovery point says that the data
    were, ``captured_link`` where that path led to when it was a link."""

    def __init__(
        self,
        platform: Mapping[str, Any],
        services: Mapping[str, Service],
        own_processes: Callable[[Service], List[Process]],
        unit: Callable[[str], Unit],
        captured_dir: str,
        captured_link: str = "",
    ) -> None:
        self._platform = platform
        self._facts: Mapping[str, Any] = platform.get("etcd") or {}
        self._own_processes = own_processes
        self._unit = unit
        self._captured_dir, self._captured_link = captured_dir, captured_link
        self.service = etcd_service(self._facts, services)

    def describe(self, aside: str) -> Dict[str, Any]:
        """What lies in its data directory, and what etcd itself says of that."""
        directories = self._directories()
        data_dir = self._data_dir(directories)
        used = directories.leads_to(directories.data, data_dir) if directories.root else None
        link = self._captured_link if data_dir == self._captured_dir else ""
        found = etcd_data.add_directories(etcd_data.describe(data_dir, aside, link=link), directories, used)
        return dict(found, release=self._release(), would_start=self._would_start(directories, data_dir))

    def _would_start(self, directories: Directories, data_dir: str) -> Optional[str]:
        """Where the manifest of a member that runs says another data directory than the one in which it works: that one would be used at its next start."""
        if not directories.root or self.service is None or not self.service.manifest:
            return None
        written = etcd_directories.of_manifest(self._manifests(self.service), {})
        return None if not written.data or written.leads_to(written.data, data_dir) else str(written)

    def _release(self) -> str:
        """Of the etcd that its manifest would start, where the tag of its image says it."""
        return image_release(static_pod.images(self.manifest(self.service))) if self.service is not None else ""

    def on_host(self, path: str) -> str:
        """Where a path of etcd's pod lies on this host."""
        return static_pod.host_path(self.manifest(self.service), path, etcd_directories.PROGRAM) if self.service is not None else path

    def manifest(self, service: Service) -> str:
        """The text of a static pod's manifest, live or parked; empty without one."""
        return etcd_directories.first_there(self._manifests(service), {})[0] or ""

    def _manifests(self, service: Service) -> List[str]:
        directories = [str(self._platform.get(name) or "") for name in ("manifests_dir", "manifests_parking")]
        return [os.path.join(directory, service.manifest) for directory in directories if directory and service.manifest]

    def _directories(self) -> Directories:
        """Which directories etcd names: its process says it, or else what would start it."""
        if self.service is None:
            return Directories()
        for process in self._own_processes(self.service):
            with suppress(FileNotFoundError, ProcessLookupError):
                return etcd_directories.of_process(process.pid)
        if self.service.unit:
            return etcd_directories.of_unit(self._unit(self.service.unit), str(self._facts.get("environment_file") or ""), {})
        return etcd_directories.of_manifest(self._manifests(self.service), {})

    def _data_dir(self, directories: Directories) -> str:
        """Where the data are on this host: what the inventory names; what a running etcd works in; what would start it; what the recovery point says."""
        usual = str(self._facts.get("data_dir") or "/var/lib/etcd")
        if self._facts.get("data_dir_given"):
            return usual
        if not directories.data:
            return self._captured_dir or usual
        for path in (usual, self.on_host(directories.data), directories.data):
            if directories.leads_to(directories.data, path):
                return path
        return usual
