# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""versitygw, as the other tests use it."""

from __future__ import annotations

from pathlib import Path

from tests.s3_server import VERSION, S3Server
from tests.servers.real import RealServer


class VersityGateway(RealServer):
    """`versitygw posix` with versions."""

    name = "versitygw"

    def __init__(self, directory: Path, **tls: Path) -> None:
        super().__init__(directory, **tls)
        self._server = S3Server(directory, **tls)

    def version(self) -> str:
        """Its release."""
        return VERSION

    def start(self) -> None:
        """Start it."""
        self._server.start()
        self.port = self._server.port
        owner = self._server.environment()
        self.access_key, self.secret = owner["AWS_ACCESS_KEY_ID"], owner["AWS_SECRET_ACCESS_KEY"]
        self.wait("versitygw", self.serves)

    def stop(self) -> None:
        """End it."""
        self._server.stop()
