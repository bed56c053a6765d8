#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Check certificates, keys and kubeconfigs of a host by using them
version_added: "0.1.0"
description:
  - Checks key pairs, chains, names, purposes and dates with the standard library's TLS, in a handshake that never leaves the process.
  - What is wrong is a finding with a reason, not a failure of the module.
  - Results never hold key material.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  checks:
    description: What to check.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the check in the result.
        type: str
        required: true
      type:
        description:
          - V(key_pair) - key and certificate belong together, and the certificate is valid today.
          - V(chain) - also, it is signed by O(checks[].ca), for O(checks[].purpose) and, if given, for O(checks[].server_name).
          - V(authority) - the file holds nothing but valid CA certificates; with O(checks[].key), the key belongs to the first.
          - V(kubeconfig) - its client certificate and key belong together and are signed by its CA. Only the form that kubeadm writes is understood.
          - V(same_key) - digests by which key files of several hosts can be compared; when both are given, whether O(checks[].certificate) (a public
            key) and O(checks[].key) belong together. Without O(checks[].certificate) the digest is of what O(checks[].key) shows in its public key.
        type: str
        required: true
        choices: [key_pair, chain, authority, kubeconfig, same_key]
      certificate:
        description: File with the certificate, or the public key.
        type: str
        default: ""
      key:
        description: File with the private key. Default is the file with the certificate.
        type: str
        default: ""
      ca:
        description: File with the CA certificates.
        type: str
        default: ""
      server_name:
        description: DNS name or address that the certificate must be for.
        type: str
        default: ""
      purpose:
        description: What the certificate is used for.
        type: str
        choices: [server, client]
        default: server
      kubeconfig:
        description: File with the kubeconfig.
        type: str
        default: ""
      server:
        description: For a kubeconfig, URL of a running API server that must accept it; its certificate is verified for the kubeconfig's own server.
        type: str
        default: ""
      root:
        description: Directory that absolute paths in a kubeconfig are relative to, for staged files.
        type: str
        default: /
      days:
        description: Fewest days that the certificate must be valid for.
        type: int
        default: 0
  salt:
    description: The same random text for all hosts of one comparison. Without it, private keys have no digest.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Check the API server's certificate and the administrator's kubeconfig
  lifeboat.cluster.certificate_info:
    checks:
      - id: apiserver
        type: chain
        certificate: /etc/kubernetes/pki/apiserver.crt
        key: /etc/kubernetes/pki/apiserver.key
        ca: /etc/kubernetes/pki/ca.crt
        server_name: api.example.org
        days: 30
      - id: admin
        type: kubeconfig
        kubeconfig: /etc/kubernetes/admin.conf
      - id: service_account
        type: same_key
        certificate: /etc/kubernetes/pki/sa.pub
        key: /etc/kubernetes/pki/sa.key
    salt: "{{ run_salt }}"
"""

RETURN = r"""
certificates:
  description: One finding for each check, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: Name of the check., type: str}
    ok: {description: Whether it is met., type: bool}
    reason: {description: Why it is not., type: str}
    subject: {description: Subject of the certificate., type: str}
    not_before: {description: When its validity begins., type: str}
    not_after: {description: When it expires., type: str}
    days_left: {description: Whole days until then., type: int}
    sans: {description: "Names, such as C(DNS:localhost) or C(IP:127.0.0.1).", type: list, elements: str}
    fingerprint_sha256: {description: SHA-256 of the certificate., type: str}
    fingerprints_sha256: {description: "For an authority, those of all certificates in the file.", type: list, elements: str}
    server: {description: "For a kubeconfig, the server that it names.", type: str}
    connection: {description: "For a connection C(ok), C(reason), C(status), C(fingerprint_sha256); else null.", type: dict}
    digests: {description: "For C(same_key), C(public_sha256) and C(key_salted_sha256).", type: dict}
    keyless:
      description: For C(authority), whether the key is not on this machine. Kubernetes can do without, and no recovery point holds it then.
      type: bool
    understood: {description: Whether the file could be read as what it is said to be; nothing is proven of one that could not., type: bool}
    matches: {description: "For C(same_key), whether the two belong together; null when that cannot be told.", type: bool}
ok:
  description: Whether all checks are met.
  returned: success
  type: bool
"""

from dataclasses import asdict
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.tls import TYPES, Check, examine
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "checks": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "id": {"type": "str", "required": True},
            "type": {"type": "str", "required": True, "choices": list(TYPES)},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": False},
            "ca": {"type": "str", "default": ""},
            "server_name": {"type": "str", "default": ""},
            "purpose": {"type": "str", "choices": ["server", "client"], "default": "server"},
            "kubeconfig": {"type": "str", "default": ""},
            "server": {"type": "str", "default": ""},
            "root": {"type": "str", "default": "/"},
            "days": {"type": "int", "default": 0},
        },
    },
    "salt": {"type": "str", "default": "", "no_log": False},
}


def body(call: Call) -> Dict[str, Any]:
    """Do all checks."""
    findings = [asdict(examine(Check(**item), call.params["salt"])) for item in call.params["checks"]]
    return {"certificates": findings, "ok": all(finding["ok"] for finding in findings)}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
