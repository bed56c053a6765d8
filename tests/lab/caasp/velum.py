# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard's database: tables as the product names them, and rows of a cluster that has been set up. Values in, SQL out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..topology import Topology

SCHEMA = "velum_production"
VERSION = "20182106194301"
# As the dashboard numbers them.
MASTER, WORKER = 0, 1
HIGHSTATE_APPLIED = 3
ORCHESTRATION_SUCCEEDED = 1

_STRING = "VARCHAR(255)"
_BOTH_TIMES = {"created_at": "DATETIME NOT NULL", "updated_at": "DATETIME NOT NULL"}
_EVENT_TIME = "DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP"

# Table to columns; every one has an id of its own, unless it is named here.
_WITHOUT_ID = ("jids", "salt_returns", "schema_migrations")
_TABLES: dict[str, dict[str, str]] = {
    "schema_migrations": {"version": f"{_STRING} NOT NULL UNIQUE"},
    "minions": {
        "minion_id": f"{_STRING} UNIQUE",
        "fqdn": f"{_STRING}, INDEX (fqdn)",
        "role": "INT",
        "highstate": "INT DEFAULT 0",
        "tx_update_reboot_needed": "BOOLEAN DEFAULT FALSE",
        "tx_update_failed": "BOOLEAN DEFAULT FALSE",
        "online": "BOOLEAN DEFAULT TRUE",
        **_BOTH_TIMES,
    },
    "pillars": {"minion_id": f"{_STRING}, INDEX (minion_id)", "pillar": f"{_STRING}, INDEX (pillar)", "value": "TEXT", **_BOTH_TIMES},
    "users": {
        "email": f"{_STRING} NOT NULL DEFAULT '' UNIQUE",
        "encrypted_password": f"{_STRING} NOT NULL DEFAULT ''",
        "sign_in_count": "INT NOT NULL DEFAULT 0",
        "last_sign_in_at": "DATETIME",
        "last_sign_in_ip": _STRING,
        **_BOTH_TIMES,
    },
    "certificates": {"certificate": "TEXT", **_BOTH_TIMES},
    "certificate_services": {
        "certificate_id": "INT",
        "service_id": "INT",
        "service_type": f"{_STRING}, UNIQUE (certificate_id, service_id, service_type)",
        **_BOTH_TIMES,
    },
    "system_certificates": {"name": _STRING, **_BOTH_TIMES},
    "registries": {"name": _STRING, "url": _STRING, **_BOTH_TIMES},
    "registry_mirrors": {
        "name": _STRING,
        "url": _STRING,
        "registry_id": "INT, CONSTRAINT fk_registry FOREIGN KEY (registry_id) REFERENCES registries (id)",
        **_BOTH_TIMES,
    },
    "kubelet_compute_resources_reservations": {
        "component": f"{_STRING} NOT NULL UNIQUE",
        "cpu": f"{_STRING} DEFAULT ''",
        "memory": f"{_STRING} DEFAULT ''",
        "ephemeral_storage": f"{_STRING} DEFAULT ''",
        **_BOTH_TIMES,
    },
    "dex_connectors_ldap": {
        "name": _STRING,
        "host": _STRING,
        "port": "SMALLINT",
        "start_tls": "BOOLEAN NOT NULL",
        "bind_anon": "BOOLEAN NOT NULL",
        "bind_dn": _STRING,
        "bind_pw": _STRING,
        "user_base_dn": _STRING,
        "user_filter": _STRING,
        "user_attr_email": f"{_STRING} NOT NULL",
        "group_base_dn": _STRING,
        **_BOTH_TIMES,
    },
    "dex_connectors_oidc": {
        "name": _STRING,
        "provider_url": "VARCHAR(2048)",
        "client_id": _STRING,
        "client_secret": _STRING,
        "callback_url": "VARCHAR(2048)",
        "basic_auth": "BOOLEAN NOT NULL DEFAULT TRUE",
        **_BOTH_TIMES,
    },
    "orchestrations": {
        "jid": f"{_STRING}, INDEX (jid)",
        "kind": "INT",
        "params": "TEXT",
        "status": "INT DEFAULT 0",
        "started_at": "DATETIME",
        "finished_at": "DATETIME",
        **_BOTH_TIMES,
    },
    "salt_events": {
        "tag": f"{_STRING} NOT NULL, INDEX (tag)",
        "data": "MEDIUMTEXT NOT NULL",
        "alter_time": _EVENT_TIME,
        "master_id": f"{_STRING} NOT NULL",
        "taken_at": "DATETIME",
        "processed_at": "DATETIME",
        "worker_id": _STRING,
    },
    "salt_returns": {
        "fun": "VARCHAR(50) NOT NULL, INDEX (fun)",
        "jid": f"{_STRING} NOT NULL, INDEX (jid)",
        "return": "MEDIUMTEXT NOT NULL",
        "id": f"{_STRING} NOT NULL, INDEX (id)",
        "success": "VARCHAR(10) NOT NULL",
        "full_ret": "MEDIUMTEXT NOT NULL",
        "alter_time": _EVENT_TIME,
    },
    "jids": {"jid": f"{_STRING} NOT NULL UNIQUE", "load": "MEDIUMTEXT NOT NULL"},
    "salt_jobs": {"jid": f"{_STRING}, INDEX (jid)", "retcode": "INT", "master_trace": "TEXT", "minion_trace": "TEXT", **_BOTH_TIMES},
}


def text(value: object) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def schema() -> str:
    """The tables."""
    statements = [f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8", f"USE {SCHEMA}"]
    for table, columns in _TABLES.items():
        identity = [] if table in _WITHOUT_ID else ["id INT NOT NULL AUTO_INCREMENT PRIMARY KEY"]
        body = [*identity, *(f"`{name}` {kind}" for name, kind in columns.items())]
        statements.append(f"CREATE TABLE `{table}` ({', '.join(body)}) ENGINE=InnoDB")
    return _script(statements)


def _insert(table: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    found = []
    for row in rows:
        values = {name: text(value) for name, value in row.items()}
        values.update({name: "NOW()" for name in _BOTH_TIMES if name in _TABLES[table]})
        found.append(f"INSERT INTO `{table}` ({', '.join(f'`{name}`' for name in values)}) VALUES ({', '.join(values.values())})")
    return found


def pillars(topology: Topology) -> dict[str, str]:
    """The settings of the cluster, for all minions."""
    return {
        "dashboard": topology.admin[0].name,
        "dashboard_external_fqdn": "caasp.example.org",
        "api:server:external_fqdn": "api.example.org",
        # The load balancer of the lab, where clients outside of it reach the API.
        "api:server:extra_ips": topology.api_address,
        "cluster_cidr": "10.244.0.0/16",
        "services_cidr": "172.24.0.0/16",
        "dns:cluster_ip": "172.24.0.2",
        "cri:chosen": "containerd",
        "ldap:host": f"ldap.{topology.domain}",
        "kubelet:eviction-hard": "memory.available<5%",
        "flag": "set by the dashboard",
    }


def rows(topology: Topology, machine_ids: Mapping[str, str], authority: str) -> str:
    """What the dashboard keeps of a cluster that has been set up."""
    nodes = [node for node in topology.nodes if not node.admin]
    tables: dict[str, Sequence[Mapping[str, object]]] = {
        "schema_migrations": [{"version": version} for version in ("20160923124012", "20170613143012", VERSION)],
        "minions": [
            {
                "minion_id": machine_ids[node.name],
                "fqdn": f"{node.name}.{topology.domain}",
                "role": MASTER if node.control_plane else WORKER,
                "highstate": HIGHSTATE_APPLIED,
            }
            for node in nodes
        ],
        "pillars": [
            *({"pillar": name, "value": value} for name, value in pillars(topology).items()),
            *({"minion_id": machine_ids[node.name], "pillar": "label", "value": f"the node {node.name}"} for node in nodes),
        ],
        # No password has this hash.
        "users": [{"email": "captain@example.org", "encrypted_password": "$2a$10$" + "lifeboat." * 5 + "lifeboat", "sign_in_count": 3}],
        "certificates": [{"certificate": authority}],
        "system_certificates": [{"name": 'Example authority, "quoted" and with an apostrophe\'s sign'}],
        "certificate_services": [{"certificate_id": 1, "service_id": 1, "service_type": "SystemCertificate"}],
        "registries": [{"name": "SUSE", "url": "https://registry.example.org"}, {"name": "Zürich", "url": "https://registry.zuerich.example.org"}],
        "registry_mirrors": [{"name": "mirror", "url": "https://mirror.example.org", "registry_id": 1}],
        "kubelet_compute_resources_reservations": [{"component": "kube", "cpu": "100m", "memory": "100M"}, {"component": "system", "cpu": "200m"}],
        "dex_connectors_ldap": [
            {
                "name": "people",
                "host": "ldap.example.org",
                "port": 389,
                "start_tls": True,
                "bind_anon": False,
                "bind_dn": "cn=reader,dc=example,dc=org",
                "bind_pw": "not a real one",
                "user_base_dn": "ou=People,dc=example,dc=org",
                "user_attr_email": "mail",
            }
        ],
        "dex_connectors_oidc": [
            {"name": "single sign-on", "provider_url": "https://login.example.org", "client_id": "caasp", "client_secret": "not a real one"}
        ],
        "orchestrations": [{"jid": "20180801120000000000", "kind": 0, "params": "--- {}", "status": ORCHESTRATION_SUCCEEDED}],
    }
    return _script([f"USE {SCHEMA}", *(statement for table, found in tables.items() for statement in _insert(table, found))])


def grants(velum_password: str, salt_password: str) -> str:
    """The dashboard's own user and Salt's."""
    return _script(
        [
            f"CREATE USER velum@localhost IDENTIFIED BY {text(velum_password)}",
            f"GRANT ALL ON {SCHEMA}.* TO velum@localhost",
            f"CREATE USER salt@localhost IDENTIFIED BY {text(salt_password)}",
            f"GRANT SELECT, INSERT, DELETE ON {SCHEMA}.* TO salt@localhost",
        ]
    )


def _script(statements: Sequence[str]) -> str:
    return ";\n".join(statements) + ";\n"
