# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection for tests: the same machine as another user, who may do little. What needs root, or reads through become, fails."""

from __future__ import annotations

import subprocess
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: login_user
short_description: The same machine as the user nobody
description: For tests.
author: Lifeboat contributors (@lifeboat)
extends_documentation_fragment: connection_pipelining
"""

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


class Connection(ConnectionBase):
    """login_user"""

    transport = "login_user"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        done = subprocess.run([*AS_NOBODY, "sh", "-c", cmd], input=in_data or b"", capture_output=True, cwd="/", check=False)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        with open(in_path, "rb") as source:
            self._copy(["sh", "-c", 'cat > "$1"', "sh", out_path], stdin=source, stdout=subprocess.DEVNULL)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        with open(out_path, "wb") as target:
            self._copy(["cat", in_path], stdin=subprocess.DEVNULL, stdout=target)

    def _copy(self, command: list[str], **streams: Any) -> None:
        done = subprocess.run([*AS_NOBODY, *command], stderr=subprocess.PIPE, cwd="/", check=False, **streams)
        if done.returncode != 0:
            raise AnsibleError(f"transfer failed: {done.stderr.decode()}")

    def close(self) -> None:
        self._connected = False
