# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A minimal client of the Kubernetes API for the lab's own waits: starting kubectl costs more than the request."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from pathlib import Path

from .errors import LabError
from .topology import API_PORT, bracketed


class NotAnswering(Exception):
    """The API does not answer, or not with success."""


def readyz(address: str, port: int = API_PORT) -> str:
    """Empty when the API server at this address is ready, otherwise what it said instead."""
    context = ssl.create_default_context()
    # Only asks a server of this lab for its health; nothing is sent that could be stolen.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(address, port, timeout=2, context=context)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return "" if response.status == 200 else f"HTTP {response.status}: {text[:300]}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


class Api:
    """The API as seen with a kubeconfig of kubeadm's making (one cluster, one client certificate)."""

    def __init__(self, address: str, kubeconfig: str, scratch: Path) -> None:
        self._address = address
        certificate = scratch / "admin.pem"
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.touch(mode=0o600)
        certificate.write_text(_field(kubeconfig, "client-certificate-data") + "\n" + _field(kubeconfig, "client-key-data"))
        self._context = ssl.create_default_context(cadata=_field(kubeconfig, "certificate-authority-data"))
        self._context.load_cert_chain(certificate)

    def request(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """One request; raises NotAnswering on anything but success."""
        connection = http.client.HTTPSConnection(self._address, API_PORT, timeout=10, context=self._context)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json", "Accept": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status >= 300:
                raise NotAnswering(f"{method} {path}: HTTP {response.status}: {text[:300].decode(errors='replace')}")
            data = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotAnswering(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if not isinstance(data, dict):
            raise NotAnswering(f"{method} {path}: not an object")
        return data

    def items(self, path: str) -> list[dict[str, object]]:
        """The items of a list."""
        found = self.request("GET", path).get("items")
        return found if isinstance(found, list) else []


def _field(kubeconfig: str, name: str) -> str:
    found = re.search(rf"^\s*{name}:\s*(\S+)\s*$", kubeconfig, flags=re.MULTILINE)
    if not found:
        raise LabError("read the administrator's kubeconfig", f"no {name} in it")
    return base64.b64decode(found.group(1)).decode()


def with_server(kubeconfig: str, address: str) -> str:
    """The kubeconfig with the API server reached by address: this machine does not know the names of the lab."""
    return re.sub(r"^(\s*server:).*$", rf"\1 https://{bracketed(address)}:{API_PORT}", kubeconfig, flags=re.MULTILINE)
