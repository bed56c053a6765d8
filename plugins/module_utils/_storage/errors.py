# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with recovery points; each kind has its own class so that callers and tests can tell them apart."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


class NameRefusedError(LifeboatError):
    """A name, key or id that cannot be part of a recovery point."""


class LocationError(LifeboatError):
    """The place where recovery points lie did not do what was asked."""


class LocationFullError(LocationError):
    """No space (or quota) is left at the location."""


class LocationReadOnlyError(LocationError):
    """The location refuses writes."""


class LocationVanishedError(LocationError):
    """The location is not there, or is no longer the one that it was."""


class ObjectExistsError(LocationError):
    """The key exists already and holds other bytes; nothing is ever rewritten."""


class ObjectMissingError(LocationError):
    """There is no object under the key."""


class ObjectDamagedError(LocationError):
    """The location gives other bytes than were stored, by its own checksum."""


class ObjectLockedError(LocationError):
    """The object may not be removed yet."""


class ServerRefusedError(LocationError):
    """The server refused this one request, for a reason of its own: that says nothing of the object."""


class ServerUnfitError(LocationError):
    """The server lacks what is relied upon."""


class HiddenError(LocationError):
    """Something that is there is in no listing, because an object has the name of its directory."""


class NotEncryptedError(LocationError):
    """Encryption by the server was demanded, and the object has none."""


class NotLockableError(LocationError):
    """A lock was demanded, and the location has none, or a shorter one."""


class AccessDeniedError(LocationError):
    """The credentials do not allow this."""


class CredentialsExpiredError(LocationError):
    """There are no credentials, or they are no longer, or never were, valid."""


class ClockSkewError(LocationError):
    """The clocks of controller and location are too far apart."""


class LocationSlowError(LocationError):
    """The location answers that it is overloaded, or too slowly."""


class DependencyMissingError(LifeboatError):
    """A Python package or program of the controller is not installed."""


class ManifestError(LifeboatError):
    """The manifest, or another record of a point, is not what it must be."""


class SignatureError(LifeboatError):
    """The signature does not prove who wrote the bytes."""


class UnsignedError(SignatureError):
    """There is no signature."""


class SignedByStrangerError(SignatureError):
    """The signature is sound, but its key is not among the allowed signers."""


class SignedBytesEditedError(SignatureError):
    """The signature does not belong to these bytes."""


class SigningUnavailableError(SignatureError):
    """Nothing can be signed or checked here: a key or the allowed signers file is missing, or ssh-keygen does not work."""


class SignatureUncheckedError(SignatureError):
    """Nobody said who may sign, so nothing in the manifest can be believed."""


class SealingError(LifeboatError):
    """Sealing or opening an artifact failed."""


class RecipientRefusedError(SealingError):
    """A recipient is not one that can be sealed to."""


class IdentityRefusedError(SealingError):
    """An identity file cannot be used."""


class WrongIdentityError(SealingError):
    """None of the identities opens the artifact."""


class ArtifactDamagedError(SealingError):
    """The bytes are not the ones that were sealed."""


class SourceDamagedError(SealingError):
    """The plain bytes that arrived for sealing are not the ones that were announced."""


class PointError(LifeboatError):
    """The point is not in the state that the request needs."""


class NoRecoveryPointError(PointError):
    """There is no such recovery point."""


class OtherClusterError(PointError):
    """The point belongs to another cluster."""


class PointIncompleteError(PointError):
    """Something that a recovery point must hold is not there."""


class PointRefusedError(PointError):
    """A verification of the point failed."""


class TombstoneError(PointError):
    """A record that a point was pruned is not to be believed."""


class KitError(PointError):
    """Something that a point holds to help whoever opens it could not be made."""


def hidden(what: str, where: str, above: Sequence[str]) -> HiddenError:
    """The error of whoever meets something that is there and in no listing."""
    return HiddenError(
        "%s is hidden by an object that has the name of its directory" % what,
        tried="to find it in a listing of %s" % where,
        found=", ".join(above),
        remedy="nothing is lost: remove every version of the object named, with the credentials of the bucket's owner (a delete marker over it does not help), "
        "and find out whose credentials wrote it",
    )
