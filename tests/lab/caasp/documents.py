# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make machines into a cluster of the product. Values in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..kubeadm import kubelet_configuration
from ..topology import API_PORT, CONTAINERD, NodePlan, Topology

CA = "/etc/pki/trust/anchors/SUSE_CaaSP_CA.crt"
SERVICES = "172.24.0.0/16"
DIRECTORY_SUFFIX = "dc=infra,dc=caasp,dc=local"
DIRECTORY_USER = "mail=captain@example.org"
KUBECONFIG = "/var/lib/kubelet/kubeconfig"

# Where the lab differs from the product: its programs run on the machines themselves, and pods in containerd.
PLATFORM: Mapping[str, object] = {
    "lifeboat_platform": "caasp3",
    "lifeboat_platform_overrides": {
        "salt": {"container": "", "programs": ["/opt/salt/bin"]},
        "velum_database": {"container": ""},
        "directory": {"container": ""},
        "runtime": {"unit": "containerd.service", "crictl": "crictl", "endpoint": CONTAINERD.endpoint},
        "services": {
            # Only the admin node does without one.
            "kubelet": {"kind": "{{ 'none' if 'admin' in group_names else 'unit' }}"},
            "velum-mariadb": {"kind": "unit", "unit": "mariadb.service"},
            "openldap": {"kind": "unit", "unit": "openldap.service"},
            "salt-master": {"kind": "unit", "unit": "salt-master.service"},
            "salt-minion-ca": {"kind": "unit", "unit": "salt-minion-ca.service"},
            **dict.fromkeys(("salt-api", "velum-dashboard", "velum-api", "velum-event-processor", "haproxy", "kube-proxy"), {"kind": "none"}),
        },
    },
}


def assignments(values: Mapping[str, object]) -> str:
    """A file below /etc/sysconfig, or one of variables for a unit."""
    return "".join(f'{name}="{value}"\n' for name, value in values.items())


# Salt


def grains(plan: NodePlan) -> str:
    """/etc/salt/grains: what a machine is."""
    roles = ["admin"] if plan.admin else ["kube-master" if plan.control_plane else "kube-minion", *(["etcd"] if plan.etcd else [])]
    # As Salt itself writes them.
    return "bootstrap_complete: true\nroles:\n" + "".join(f"- {role}\n" for role in roles)


def minion_files(topology: Topology, plan: NodePlan, minion: str) -> dict[str, str]:
    """The configuration of a machine's minion, by path."""
    name = "minion.conf" if plan.admin else "master.conf"
    return {
        f"/etc/salt/minion.d/{name}": f"master: {'localhost' if plan.admin else topology.admin[0].name}\n",
        "/etc/salt/minion.d/minion_id.conf": f"id: {minion}\n",
        # A pending minion asks again every ten seconds otherwise.
        "/etc/salt/minion.d/lab.conf": "acceptance_wait_time: 2\nfeatures:\n  x509_v2: True\n",
        "/etc/salt/grains": grains(plan),
    }


def returner(password: str) -> str:
    """55-returner-credentials.conf; the returner reads flat keys, the pillar nested ones."""
    values = {"host": "127.0.0.1", "user": "salt", "pass": password, "db": "velum_production"}
    return "".join(f"mysql.{name}: {value}\n" for name, value in values.items()) + f"mysql: {json.dumps(values)}\n"


# etcd


def etcd(topology: Topology, plan: NodePlan, machine_ids: Mapping[str, str], state: str) -> str:
    """/etc/sysconfig/etcd: a member is named by its machine id and reached by its host name."""
    pair = {"CERT_FILE": "/etc/pki/minion.crt", "KEY_FILE": "/etc/pki/minion.key", "TRUSTED_CA_FILE": CA, "CLIENT_CERT_AUTH": "true"}
    return assignments(
        {
            "ETCD_NAME": machine_ids[plan.name],
            "ETCD_DATA_DIR": "/var/lib/etcd",
            "ETCD_LISTEN_PEER_URLS": "https://0.0.0.0:2380",
            "ETCD_LISTEN_CLIENT_URLS": "https://0.0.0.0:2379",
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"https://{plan.name}:2380",
            "ETCD_ADVERTISE_CLIENT_URLS": f"https://{plan.name}:2379",
            "ETCD_INITIAL_CLUSTER": ",".join(f"{machine_ids[member.name]}=https://{member.name}:2380" for member in topology.etcd),
            "ETCD_INITIAL_CLUSTER_STATE": state,
            "ETCD_INITIAL_CLUSTER_TOKEN": "k8s",
            "ETCD_ENABLE_V2": "true",
            **{f"ETCD_{name}": value for name, value in pair.items()},
            **{f"ETCD_PEER_{name}": value for name, value in pair.items()},
        }
    )


def etcdctl(plan: NodePlan) -> str:
    """/etc/sysconfig/etcdctl: the variables of both APIs."""
    endpoint = f"https://{plan.name}:2379"
    return assignments(
        {
            "ETCDCTL_API": "2",
            "ETCDCTL_ENDPOINT": endpoint,
            "ETCDCTL_CA_FILE": CA,
            "ETCDCTL_CERT_FILE": "/etc/pki/minion.crt",
            "ETCDCTL_KEY_FILE": "/etc/pki/minion.key",
            "ETCDCTL_ENDPOINTS": endpoint,
            "ETCDCTL_CACERT": CA,
            "ETCDCTL_CERT": "/etc/pki/minion.crt",
            "ETCDCTL_KEY": "/etc/pki/minion.key",
        }
    )


# Kubernetes


def kubeconfig(topology: Topology, user: str, pair: str) -> str:
    """One of the files below /var/lib/kubelet: certificates by path, the API by its name."""
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "default",
            "contexts": [{"name": "default", "context": {"cluster": "local", "user": user}}],
            "clusters": [{"name": "local", "cluster": {"certificate-authority": CA, "server": f"https://{topology.api_name}:{API_PORT}"}}],
            "users": [{"name": user, "user": {"client-certificate": f"/etc/pki/{pair}.crt", "client-key": f"/etc/pki/{pair}.key"}}],
        }
    )


def kubeconfigs(topology: Topology, plan: NodePlan) -> dict[str, str]:
    """The kubeconfigs of a machine, by path."""
    wanted: list[tuple[str, str, str]] = []
    if plan.admin or plan.control_plane:
        wanted.append(("kubeconfig", "cluster-admin", "kubectl-client-cert"))
    if not plan.admin:
        wanted += [("kubelet-config", f"system:node:{plan.name}", "kubelet"), ("kube-proxy-config", "system:kube-proxy", "kube-proxy")]
    if plan.control_plane:
        wanted += [
            ("kube-controller-mgr-config", "system:kube-controller-manager", "kube-controller-mgr"),
            ("kube-scheduler-config", "system:kube-scheduler", "kube-scheduler"),
        ]
    return {f"/var/lib/kubelet/{name}": kubeconfig(topology, user, pair) for name, user, pair in wanted}


def node_files(topology: Topology, plan: NodePlan) -> dict[str, str]:
    """What is below /etc/kubernetes on a node of the cluster, by path."""
    found = {
        "config": assignments({"KUBE_LOG_LEVEL": "--v=1"}),
        "kubelet": assignments(
            {
                "KUBELET_HOSTNAME": f"--hostname-override={plan.name}",
                "KUBELET_ARGS": f"--config=/etc/kubernetes/kubelet-config.yaml --kubeconfig=/var/lib/kubelet/kubelet-config --node-ip={plan.address}",
            }
        ),
        "kubelet-config.yaml": _json(_kubelet(plan)),
    }
    if plan.control_plane:
        found["apiserver"] = assignments(_apiserver(topology, plan))
        found["controller-manager"] = assignments({"KUBE_CONTROLLER_MANAGER_ARGS": _flags(_CONTROLLER_MANAGER)})
        found["scheduler"] = assignments({"KUBE_SCHEDULER_ARGS": _flags(_SCHEDULER)})
    return {f"/etc/kubernetes/{name}": text for name, text in found.items()}


def _kubelet(plan: NodePlan) -> dict[str, object]:
    configuration: dict[str, object] = {
        **kubelet_configuration(),
        "containerRuntimeEndpoint": CONTAINERD.endpoint,
        "staticPodPath": "/etc/kubernetes/manifests",
        "clusterDomain": "cluster.local",
        "tlsCertFile": "/etc/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/pki/kubelet.key",
        "authentication": {"x509": {"clientCAFile": CA}},
    }
    if plan.control_plane:
        configuration["registerWithTaints"] = [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]
    return configuration


def _apiserver(topology: Topology, plan: NodePlan) -> dict[str, object]:
    arguments = {
        "storage-backend": "etcd3",
        "etcd-cafile": CA,
        "etcd-certfile": "/etc/pki/kube-apiserver.crt",
        "etcd-keyfile": "/etc/pki/kube-apiserver.key",
        "client-ca-file": CA,
        "tls-cert-file": "/etc/pki/kube-apiserver.crt",
        "tls-private-key-file": "/etc/pki/kube-apiserver.key",
        "kubelet-client-certificate": "/etc/pki/kube-apiserver-kubelet-client.crt",
        "kubelet-client-key": "/etc/pki/kube-apiserver-kubelet-client.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": "/etc/pki/sa.key",
        "service-account-signing-key-file": "/etc/pki/sa.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
    }
    return {
        "KUBE_API_ADDRESS": f"--advertise-address={plan.address}",
        "KUBE_API_PORT": f"--secure-port={topology.server_port}",
        "KUBE_ETCD_SERVERS": "--etcd-servers=" + ",".join(f"https://{member.name}:2379" for member in topology.etcd),
        "KUBE_SERVICE_ADDRESSES": f"--service-cluster-ip-range={SERVICES}",
        "KUBE_API_ARGS": _flags(arguments),
    }


_CONTROLLER_MANAGER = {
    "kubeconfig": "/var/lib/kubelet/kube-controller-mgr-config",
    "root-ca-file": CA,
    "service-account-private-key-file": "/etc/pki/sa.key",
    "use-service-account-credentials": "true",
    "allocate-node-cidrs": "false",
}
_SCHEDULER = {"kubeconfig": "/var/lib/kubelet/kube-scheduler-config"}


def _flags(values: Mapping[str, str]) -> str:
    return " ".join(f"--{name}={value}" for name, value in values.items())


def _json(value: object) -> str:
    # JSON is YAML.
    return json.dumps(value, indent=2) + "\n"


# The directory


def directory_configuration(password_hash: str) -> str:
    """The configuration of slapd as LDIF, for slapadd -n 0."""
    schemas = "\n".join(f"include: file:///etc/ldap/schema/{name}.ldif" for name in ("core", "cosine", "inetorgperson"))
    return f"""\
dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: /run/slapd/slapd.pid
olcTLSCACertificateFile: /etc/pki/ca.crt
olcTLSCertificateFile: /etc/pki/ldap.crt
olcTLSCertificateKeyFile: /etc/pki/private/ldap.key

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

{schemas}

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcRootDN: cn=admin,cn=config
olcRootPW: {password_hash}

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcDbDirectory: /var/lib/misc/ldap
olcSuffix: {DIRECTORY_SUFFIX}
olcRootDN: cn=admin,{DIRECTORY_SUFFIX}
olcRootPW: {password_hash}
olcDbIndex: objectClass eq
olcDbIndex: mail eq
"""


def directory_tree(user_password_hash: str) -> str:
    """The tree as LDIF, for slapadd -n 1: people, groups, one administrator."""
    person = f"{DIRECTORY_USER},ou=People,{DIRECTORY_SUFFIX}"
    return f"""\
dn: {DIRECTORY_SUFFIX}
objectClass: dcObject
objectClass: organization
dc: infra
o: CaaSP

dn: ou=People,{DIRECTORY_SUFFIX}
objectClass: organizationalUnit
ou: People

dn: ou=Groups,{DIRECTORY_SUFFIX}
objectClass: organizationalUnit
ou: Groups

dn: {person}
objectClass: inetOrgPerson
cn: A User
sn: User
mail: {DIRECTORY_USER.partition("=")[2]}
userPassword: {user_password_hash}

dn: cn=Administrators,ou=Groups,{DIRECTORY_SUFFIX}
objectClass: groupOfUniqueNames
cn: Administrators
uniqueMember: {person}
"""


# Host configuration; little of it is read by a program of the lab


def host_files(topology: Topology, plan: NodePlan) -> dict[str, str]:
    """Host configuration of any machine, by path."""
    return {
        "/etc/caasp/hosts": f"127.0.0.1 localhost\n{topology.host_address} storage.example.org\n",
        "/etc/sysconfig/network/config": 'NETCONFIG_DNS_STATIC_SEARCHLIST="example.org"\n',
        "/etc/sysconfig/network/ifcfg-eth0": f"BOOTPROTO='static'\nIPADDR='{plan.address}/24'\nSTARTMODE='auto'\n",
        "/etc/sysconfig/proxy": 'PROXY_ENABLED="no"\nNO_PROXY="localhost, 127.0.0.1"\n',
        "/etc/sysconfig/docker": 'DOCKER_OPTS=""\n',
        "/etc/sysconfig/keyboard": 'KEYTABLE="us"\n',
    }


def admin_files(topology: Topology) -> dict[str, str]:
    """What the admin node has besides, by path."""
    servers = "\n".join(f"    server {node.name} {node.name}:{topology.server_port} check" for node in topology.control_plane)
    return {
        "/etc/caasp/haproxy/haproxy.cfg": f"""\
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen velum
    bind 0.0.0.0:443 ssl crt /etc/pki/private/velum-bundle.pem
    server velum unix@/var/run/puma/dashboard.sock
listen kubernetes-master
    bind 127.0.0.1:{API_PORT} ssl crt /etc/pki/private/kube-apiserver-proxy-bundle.pem
{servers}
""",
        "/etc/caasp/salt-master-custom.conf": "# Settings of people for the Salt master.\nlog_level: warning\n",
        "/etc/caasp/cpi/openstack.conf": "[Global]\nauth-url=https://cloud.example.org:5000/v3\nusername=caasp\npassword=not a real one\n",
        "/etc/caasp/pillar-seeds/dashboard": f"dashboard: {topology.admin[0].name}\n",
        "/etc/salt/pillar/custom.sls": "# Pillar of people.\ncustom:\n  owner: operations\n",
    }


def administrators_kubeconfig(topology: Topology, authority: str, certificate: str, key: str) -> str:
    """For clients outside of the lab: the certificates are in it, in base 64."""
    return f"""\
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    certificate-authority-data: {authority}
    server: https://{topology.api_address}:{API_PORT}
contexts:
- name: lab
  context:
    cluster: lab
    user: cluster-admin
users:
- name: cluster-admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""
