# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of etcd that check each other's data before they serve must start one after the other.

With the initial corruption check (kubeadm switches it on) a starting member asks each other member for its hash, and answers nobody until it
has the answers or seven seconds have passed, for each. Members that start at the same moment wait for each other: up to seven seconds times
their number. One that starts when its predecessor serves is answered at once.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# More than a member needs to start; one whose predecessors are dead must not wait for ever.
SECONDS_PER_PREDECESSOR = 5.0
_PROBE_SECONDS = 0.5
_CORRUPTION_CHECK = re.compile(r"(?:InitialCorruptCheck|initial-corrupt-check)(?:=true\b|\s*[\"']?\s*$)", re.M)


@dataclass
class Turn:
    """After which members this one starts, and why not, if after none."""

    after: List[str] = field(default_factory=list)
    reason: str = ""


def checks_others(manifest: str) -> bool:
    """Whether a member with this manifest asks the others before it serves."""
    return bool(_CORRUPTION_CHECK.search(manifest))


def predecessors(data_dir: str, own_name: str) -> Turn:
    """The peer URLs of the members that come before this one by name, as its own data directory has them. All members come to the same order."""

    database = os.path.join(data_dir, "member", "snap", "db")
    try:
        with BoltFile(database) as bolt:
            members = [json.loads(bytes(value).decode("utf-8")) for _key, value in bolt.items("members")]
    except (OSError, ValueError, LifeboatError) as error:
        return Turn(reason="%s can't be read: %s" % (database, error.message if isinstance(error, LifeboatError) else error))
    names = {str(member.get("name", "")): [str(url) for url in member.get("peerURLs") or []] for member in members}
    if own_name not in names:
        return Turn(reason="%s is not among the members of %s: %s" % (own_name or "no name", database, ", ".join(sorted(names)) or "none"))
    return Turn(after=[names[name][0] for name in sorted(names) if name < own_name and names[name]])


def own_name(manifest: str) -> str:
    """The name that a manifest gives its member."""
    found = re.search(r"--name[= ][\"']?([^\s\"']+)", manifest)
    return found.group(1) if found else ""


class Predecessors:
    """Questions to the members before this one whether they serve."""

    def __init__(self, urls: List[str], facts: Mapping[str, Any]) -> None:
        self.waiting = list(urls)
        self._facts = facts
        self._context: Optional[ssl.SSLContext] = None
        self._end = time.monotonic() + SECONDS_PER_PREDECESSOR * len(urls)

    @property
    def patience_over(self) -> bool:
        """Whether this member should start all the same."""
        return time.monotonic() >= self._end

    def missing(self) -> List[str]:
        """Members that do not serve yet."""
        while self.waiting and self._serves(self.waiting[0]):
            del self.waiting[0]
        return ["etcd at %s does not serve yet" % url for url in self.waiting]

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # Who signed it is what counts: certificates of peers need not name the address under which they are registered.
            context.check_hostname = False
            context.load_verify_locations(str(self._facts.get("ca_cert")))
            context.load_cert_chain(str(self._facts.get("client_cert")), str(self._facts.get("client_key")))
            self._context = context
        return self._context

    def _serves(self, url: str) -> bool:
        address = urlsplit(url)
        connection: http.client.HTTPConnection
        try:
            if address.scheme == "https":
                connection = http.client.HTTPSConnection(str(address.hostname), address.port or 2380, timeout=_PROBE_SECONDS, context=self._tls())
            else:
                connection = http.client.HTTPConnection(str(address.hostname), address.port or 2380, timeout=_PROBE_SECONDS)
            try:
                connection.request("GET", "/version")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False
