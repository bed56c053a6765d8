# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that all database modules share; documented in the fragment database_connection."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import Server, User
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import INSIDE_ARGUMENTS, Inside
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import read_password
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.scratch import DEFAULT_DIRECTORY

CONNECTION_ARGUMENTS: Dict[str, Any] = {
    **INSIDE_ARGUMENTS,
    "socket": {"type": "path", "required": True},
    "schema": {"type": "str", "required": True},
    "root_user": {"type": "str", "default": "root"},
    "root_password_file": {"type": "path", "required": True, "no_log": False},
    "timeout_seconds": {"type": "int", "default": 600},
}
CONTENTS_ARGUMENTS: Dict[str, Any] = {
    "state_tables": {"type": "list", "elements": "str", "required": True},
    "volatile_tables": {"type": "list", "elements": "str", "default": []},
    "busy_query": {"type": "str", "default": ""},
    "version_query": {"type": "str", "default": ""},
}
CREDENTIALS_ARGUMENTS: Dict[str, Any] = {
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "host": {"type": "str", "default": "localhost"},
            "password_file": {"type": "path", "required": True, "no_log": False},
            "privileges": {"type": "list", "elements": "str", "required": True},
        },
    },
    "returner_file": {"type": "path", "default": ""},
}
SCRATCH_ARGUMENTS: Dict[str, Any] = {"scratch_directory": {"type": "path", "default": DEFAULT_DIRECTORY}}


def server_of(params: Mapping[str, Any]) -> Server:
    """The server out of a module's parameters. It may not answer."""
    password = read_password(params["root_password_file"])
    return Server(Inside.of_params(params), params["socket"], params["root_user"], password, params["timeout_seconds"])


def open_server(params: Mapping[str, Any]) -> Server:
    """The server out of a module's parameters; refuses when its administrator can't log in."""
    server = server_of(params)
    server.require(params["root_password_file"])
    return server


def users_of(params: Mapping[str, Any]) -> List[User]:
    """The users of the schema."""
    return [User.from_params(entry) for entry in params["users"]]
