# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose signatures are believed, and how a signed record is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ObjectMissingError, SignatureUncheckedError, UnsignedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

TRUST_ARGUMENTS: Dict[str, Any] = {
    "allowed_signers": {"type": "path"},
    "signer": {"type": "str"},
    "accept_unsigned": {"type": "list", "elements": "str", "default": []},
}


@dataclass(frozen=True)
class Trust:
    """Whose manifests are believed."""

    allowed_signers: Optional[str] = None
    # Only this principal of the allowed signers, when given.
    signer: Optional[str] = None
    # Ids of points that are believed without anybody's signature. Never a general switch.
    accept_unsigned: Sequence[str] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Trust:
        """Out of the options in ``TRUST_ARGUMENTS``. A file that cannot be used is refused here, before any point is read: it is no point's fault."""
        if params.get("allowed_signers") is not None:
            signing.check_allowed_signers(params["allowed_signers"])
        return cls(params.get("allowed_signers"), params.get("signer"), tuple(params.get("accept_unsigned") or ()))


class Believed(NamedTuple):
    """The bytes of a record, and who signed them."""

    data: bytes
    signer: signing.Signer


def read_signed(location: Location, key: str, limit_bytes: int, namespace: str, trust: Trust, what: str) -> Believed:
    """Read a record that an allowed signer has to have signed for this purpose; its signature lies beside it, under ``<key>.sig``.

    ``what`` names the record in messages and begins with a capital letter. Unlike a point, no record is believed without a signature.
    """
    data = location.read(key, limit_bytes)
    if trust.allowed_signers is None:
        raise SignatureUncheckedError("%s cannot be believed: nobody said who may sign" % what, tried=key, remedy="give lifeboat_allowed_signers")
    try:
        signature = location.read(key + ".sig", signing.LARGEST_SIGNATURE_BYTES)
    except ObjectMissingError as error:
        raise UnsignedError("%s is not signed" % what, tried=key + ".sig", remedy="it proves nothing: set lifeboat_signing_key where it is written") from error
    return Believed(data, signing.verify(data, signature, namespace, trust.allowed_signers, what, trust.signer))
