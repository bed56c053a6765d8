# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait hardened: what guides such as the CIS benchmark ask of an API server and a kubelet, in files that kubeadm knows nothing of."""

from __future__ import annotations

from .yamltext import documents

AUDIT_POLICY = "/etc/kubernetes/audit/policy.yaml"
AUDIT_LOG = "/var/log/kubernetes/audit/audit.log"
ADMISSION = "/etc/kubernetes/admission/configuration.yaml"
POD_SECURITY = "/etc/kubernetes/admission/podsecurity.yaml"
AUTHENTICATION = "/etc/kubernetes/authn/configuration.yaml"
AUTHORIZATION = "/etc/kubernetes/authz/configuration.yaml"
ENCRYPTION = "/etc/kubernetes/secrets/at-rest.yaml"
KUBELET_DIRECTORY = "/etc/kubernetes/kubelet.conf.d"
KUBELET_DROP_IN = f"{KUBELET_DIRECTORY}/10-lab.conf"
# Unlike the default of 110, so that one sees in the node's status whether the drop-in was read.
MOST_PODS = 97
_SERVER = "apiserver.config.k8s.io/v1"
_PROBES = ("/livez", "/readyz", "/healthz")


def server_files() -> dict[str, str]:
    """Path to content of what the API server of each control plane reads."""
    return {
        AUDIT_POLICY: documents(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": [
                    # Renewed every few seconds by every component.
                    {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}, {"group": "", "resources": ["events"]}]},
                    {"level": "None", "nonResourceURLs": [*_PROBES, "/version", "/metrics"]},
                    {"level": "None", "verbs": ["watch", "list"]},
                    {"level": "Metadata"},
                ],
            }
        ),
        ADMISSION: documents(
            {"apiVersion": _SERVER, "kind": "AdmissionConfiguration", "plugins": [{"name": "PodSecurity", "path": POD_SECURITY}]},
        ),
        POD_SECURITY: documents(
            {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {"enforce": "baseline", "enforce-version": "latest", "audit": "restricted", "audit-version": "latest"},
                "exemptions": {"namespaces": ["kube-system"]},
            }
        ),
        # Probes of kubelet and load balancer come without credentials; nobody else may.
        AUTHENTICATION: documents(
            {"apiVersion": _SERVER, "kind": "AuthenticationConfiguration", "anonymous": {"enabled": True, "conditions": [{"path": path} for path in _PROBES]}}
        ),
        AUTHORIZATION: documents(
            {"apiVersion": _SERVER, "kind": "AuthorizationConfiguration", "authorizers": [{"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}]}
        ),
    }


def node_files() -> dict[str, str]:
    """Path to content of what the kubelet of each node reads."""
    return {KUBELET_DROP_IN: documents({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxPods": MOST_PODS})}


def server_arguments() -> dict[str, str]:
    """Of kube-apiserver. kubeadm leaves --authorization-mode out when it sees --authorization-config."""
    return {
        "audit-policy-file": AUDIT_POLICY,
        "audit-log-path": AUDIT_LOG,
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
        "admission-control-config-file": ADMISSION,
        "authentication-config": AUTHENTICATION,
        "authorization-config": AUTHORIZATION,
        "profiling": "false",
    }


def server_volumes() -> list[dict[str, object]]:
    """Of kube-apiserver: single files and whole directories, as people have them."""
    return [
        volume("audit-policy", AUDIT_POLICY, "File"),
        {**volume("audit-log", AUDIT_LOG.rpartition("/")[0], "DirectoryOrCreate"), "readOnly": False},
        volume("admission", ADMISSION.rpartition("/")[0], "Directory"),
        volume("authentication", AUTHENTICATION, "File"),
        volume("authorization", AUTHORIZATION.rpartition("/")[0], "Directory"),
    ]


def volume(name: str, path: str, kind: str) -> dict[str, object]:
    """A volume of a static pod as kubeadm's configuration has it: the same path inside."""
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": True, "pathType": kind}
