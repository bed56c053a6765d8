# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine says of the platform's facts: the file of a platform has what is usual, people set flags.

Flags are those of the process that runs, or of the manifest that would start it. Paths are given as the host has them.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence
from urllib.parse import SplitResult, urlsplit

# From a path as the process sees it to the path on the host.
HostPath = Callable[[str], str]

# They listen for probes and metrics alone.
WATCHERS = ("kube-controller-manager", "kube-scheduler")
_ETCD_FILES = (("ca_cert", "trusted-ca-file"), ("client_cert", "cert-file"), ("client_key", "key-file"))


def _urls(text: str) -> List[SplitResult]:
    found = []
    for word in text.split(","):
        url = urlsplit(word.strip())
        try:
            usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port is not None
        except ValueError:
            usable = False
        if usable:
            found.append(url)
    return found


def _address(url: SplitResult) -> Optional[Any]:
    try:
        return ipaddress.ip_address(url.hostname or "")
    except ValueError:
        return None


def _host(address: Any) -> str:
    return "[%s]" % address if address.version == 6 else str(address)


def _local(url: SplitResult) -> str:
    """The URL under which this machine itself reaches what listens there."""
    address = _address(url)
    if address is None or not address.is_unspecified:
        return "%s://%s" % (url.scheme, url.netloc)
    own = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return "%s://%s:%d" % (url.scheme, _host(own), url.port or 0)


def _nearest(url: SplitResult) -> int:
    """Which of several URLs is asked first: loopback, then every address, then one of the machine."""
    address = _address(url)
    if address is not None and address.is_loopback or url.hostname == "localhost":
        return 0
    return 1 if address is not None and address.is_unspecified else 2


def _ports(urls: Sequence[SplitResult]) -> List[int]:
    return sorted({url.port for url in urls if url.port})


def _keeping_name(usual: str, told_by_flags: str) -> str:
    """Where the platform's facts name a host, its certificates hold that name: only the port is the machine's word."""
    known = _urls(usual)
    if not known or known[0].hostname == "localhost" or _address(known[0]) is not None:
        return told_by_flags
    new = urlsplit(told_by_flags)
    return "%s://%s:%d" % (new.scheme, known[0].hostname, new.port or 0)


def of_etcd(flags: Mapping[str, str], on_host: HostPath, usual: str) -> Dict[str, Any]:
    """Endpoint, ports and files of the local member. ``usual`` is the endpoint in the platform's facts."""
    clients, peers = _urls(flags.get("listen-client-urls", "")), _urls(flags.get("listen-peer-urls", ""))
    found: Dict[str, Any] = {}
    if clients:
        nearest = min(clients, key=_nearest)
        found.update(endpoint=_keeping_name(usual, _local(nearest)), client_port=nearest.port)
    if peers:
        found["peer_port"] = peers[0].port
    if clients and min(clients, key=_nearest).scheme == "https":
        found.update({name: on_host(flags[flag]) for name, flag in _ETCD_FILES if flags.get(flag, "").startswith("/")})
    return found


def of_api_server(flags: Mapping[str, str], usual: str) -> Dict[str, Any]:
    """Where the local API server answers. ``usual`` is its URL in the platform's facts."""
    port = flags.get("secure-port", "")
    if not port.isdigit() or port == "0":
        return {}
    bound = _urls("https://%s:%s" % (_bracketed(flags.get("bind-address", "")), port))
    address = _address(bound[0]) if bound else None
    # An API server that listens on [::] is reached by IPv4 as well.
    own = "127.0.0.1" if address is None or address.is_unspecified else _host(address)
    return {"port": int(port), "server": _keeping_name(usual, "https://%s:%s" % (own, port))}


def _bracketed(address: str) -> str:
    return "[%s]" % address if ":" in address and not address.startswith("[") else address


def told(flags: Mapping[str, Mapping[str, str]], data_dir: str, on_host: HostPath, platform: Mapping[str, Any]) -> Dict[str, Any]:
    """A part of the platform's facts, to be laid over them.

    ``flags`` are those of C(etcd), C(kube-apiserver) and the C(WATCHERS), where they are known; ``data_dir`` is where the local member keeps its data,
    empty without one.
    """
    etcd_flags, api_flags = flags.get("etcd") or {}, flags.get("kube-apiserver") or {}
    usual = {part: str((platform.get(part) or {}).get(name) or "") for part, name in (("etcd", "endpoint"), ("api", "server"))}
    etcd = dict(of_etcd(etcd_flags, on_host, usual["etcd"]), **({"data_dir": data_dir} if data_dir else {}))
    api = of_api_server(api_flags, usual["api"])
    services: Dict[str, Any] = {}
    ports = _ports(_urls(etcd_flags.get("listen-client-urls", "")) + _urls(etcd_flags.get("listen-peer-urls", "")))
    if ports:
        services["etcd"] = {"ports": ports}
    if api:
        services["kube-apiserver"] = {"ports": [api["port"]]}
    for name in WATCHERS:
        port = (flags.get(name) or {}).get("secure-port", "")
        if port.isdigit():
            # With 0 it listens nowhere.
            services[name] = {"ports": [int(port)] if int(port) else []}
    return {name: part for name, part in (("etcd", etcd), ("api", api), ("services", services)) if part}


def differences(said: Mapping[str, Any], platform: Mapping[str, Any], path: str = "") -> List[str]:
    """Where the machine says something else than the platform's facts, in words."""
    found: List[str] = []
    for name, value in sorted(said.items()):
        own, here = platform.get(name), "%s.%s" % (path, name) if path else name
        if isinstance(value, Mapping):
            found += differences(value, own if isinstance(own, Mapping) else {}, here)
        elif value != own:
            found.append("%s is %s%s" % (here, value, ", not %s" % own if own is not None else ""))
    return found
