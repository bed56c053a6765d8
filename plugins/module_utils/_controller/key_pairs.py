# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a controller: an age identity, a signing key and the allowed signers. What is missing is made, what is there is checked and never replaced.

Nothing of a private key leaves this file: plans, findings and errors have paths and public keys only.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._readiness.readiness import signing_pair
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, escrow, signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# The name under which the key of this controller stands in the allowed signers, where nobody gave another.
DEFAULT_SIGNER = "backup"
_PRIVATE_DIRECTORY, _PRIVATE_FILE, _PUBLIC_FILE = 0o700, 0o600, 0o644


class KeyPairsError(LifeboatError):
    """A key of the controller cannot be made."""


@dataclass(frozen=True)
class Wish:
    """Where the keys of a controller are, and what the inventory says of them."""

    identity_file: str
    signing_key: str
    allowed_signers: str
    # Public keys that the inventory names. With any of them no identity is made: its private half may rightly be kept elsewhere.
    recipients: Sequence[str] = ()
    signer: str = ""


@dataclass(frozen=True)
class Plan:
    """What is missing and has to be made."""

    identity: bool
    signing_key: bool
    allowed_signers: bool

    def paths(self, wish: Wish) -> List[str]:
        """The files that are made."""
        wanted = ((self.identity, wish.identity_file), (self.signing_key, wish.signing_key), (self.allowed_signers, wish.allowed_signers))
        return [path for missing, path in wanted if missing]


class Finding(NamedTuple):
    """One thing that was checked."""

    id: str
    passed: bool
    found: str
    remedy: str = ""

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return self._asdict()


class Keys(NamedTuple):
    """What became of a wish; public halves only."""

    made: List[str]
    recipients: List[str]
    signing_key: str
    # Under which name the signing key stands in the allowed signers; empty where that is not known, or not one name.
    signer: str
    identity_here: bool
    findings: List[Finding]


def plan(wish: Wish) -> Plan:
    """What is missing. A signing key is not made beside allowed signers that are there: they would not have it."""
    identity, signing_key, signers = (not os.path.lexists(path) for path in (wish.identity_file, wish.signing_key, wish.allowed_signers))
    return Plan(identity and not wish.recipients, signing_key and signers, signers)


def prepare(wish: Wish, check_mode: bool = False) -> Keys:
    """Make what is missing, then look at everything."""
    missing = plan(wish)
    if not check_mode:
        _make(wish, missing)
        return examine(wish, missing.paths(wish))
    return examine(wish, missing.paths(wish), pending=missing)


def _make(wish: Wish, missing: Plan) -> None:
    """Carry out a plan. The order is such that a run that was killed is finished by the next one."""
    try:
        for path in missing.paths(wish):
            os.makedirs(os.path.dirname(path), mode=_PRIVATE_DIRECTORY, exist_ok=True)
        if missing.identity:
            _make_identity(wish.identity_file)
        if missing.signing_key:
            _make_signing_key(wish.signing_key, wish.signer or DEFAULT_SIGNER)
        if missing.allowed_signers:
            line = '%s namespaces="lifeboat-*" %s\n' % (wish.signer or DEFAULT_SIGNER, signing.public_half(wish.signing_key))
            _write_new(wish.allowed_signers, line.encode("utf-8"), _PUBLIC_FILE)
    except OSError as error:
        raise KeyPairsError(
            "A key of this controller cannot be written",
            tried="to make %s" % ", ".join(missing.paths(wish)),
            found=str(error),
            remedy="make the directory writable for the user that runs this, or name another one in lifeboat_controller_directory",
        ) from error


def _make_identity(path: str) -> None:
    """A file as age-keygen writes it."""
    identity = age_keys.age_library().x25519.Identity.generate()
    text = "# created: %s\n# public key: %s\n%s\n" % (names.format_time(names.now()), identity.to_public(), identity)
    _write_new(path, text.encode("ascii"), _PRIVATE_FILE)


def _make_signing_key(path: str, comment: str) -> None:
    """Made aside, so that a key with its name is a whole one."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(path)) as scratch:
        fresh = os.path.join(scratch, "key")
        signing.make_key(fresh, comment)
        with suppress(FileExistsError):
            os.link(fresh + ".pub", path + ".pub")
        os.link(fresh, path)


def _write_new(path: str, content: bytes, mode: int) -> None:
    """Write a file that is not there, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def private(recipients: Sequence[str]) -> List[str]:
    """What stands among recipients and is a private key: it is shown nowhere."""
    return [recipient for recipient in recipients if recipient.strip().startswith("AGE-SECRET-KEY-")]


def examine(wish: Wish, made: Sequence[str] = (), pending: Plan = Plan(False, False, False)) -> Keys:
    """Look at what is there; what is only going to be made (check mode) has no faults yet."""
    here = os.path.lexists(wish.identity_file)
    own, readable = _identity(wish, here, pending)
    recipients = [recipient for recipient in wish.recipients if not private([recipient])] or own
    findings = [readable, _recipients(wish, wish.recipients or own, pending), _among(wish, own, recipients), _private_files(wish), _private_directories(wish)]
    signer, trusted = _signing(wish, pending)
    findings.append(trusted)
    public = ""
    if os.path.isfile(wish.signing_key):
        with suppress(LifeboatError):
            public = signing.public_half(wish.signing_key)
    return Keys(list(made), recipients, public, signer, here, findings)


def _identity(wish: Wish, here: bool, pending: Plan) -> Tuple[List[str], Finding]:
    """The public keys of the identity, and whether it can be used."""
    name = "identity_usable"
    if not here:
        text = "%s is made" % wish.identity_file if pending.identity else "no %s; the private key is kept elsewhere" % wish.identity_file
        return [], Finding(name, True, text)
    try:
        own = [key.recipient for key in escrow.keys_in([wish.identity_file])]
    except LifeboatError as error:
        remedy = "%s. Or move %s away: then another one is made, if the inventory names no recipients" % (error.remedy, wish.identity_file)
        return [], Finding(name, False, "%s: %s (%s)" % (error.message, error.found, wish.identity_file), remedy)
    return own, Finding(name, True, "%s is the private key of %s" % (wish.identity_file, ", ".join(own)))


def _recipients(wish: Wish, recipients: Sequence[str], pending: Plan) -> Finding:
    name = "recipients_usable"
    if pending.identity:
        return Finding(name, True, "the public key of %s, which is made" % wish.identity_file)
    try:
        age_keys.parse_recipients(recipients)
    except LifeboatError as error:
        return Finding(name, False, "%s%s" % (error.message, ": " + error.found if error.found else ""), error.remedy)
    return Finding(name, True, ", ".join(recipients))


def _among(wish: Wish, own: Sequence[str], recipients: Sequence[str]) -> Finding:
    """Whether what is sealed can be opened with the identity that is here."""
    name = "identity_recipient"
    strangers = sorted(set(own) - {escrow.normal(recipient) for recipient in recipients})
    if strangers:
        return Finding(
            name,
            False,
            "%s has the private key of %s; the recipients are %s" % (wish.identity_file, ", ".join(strangers), ", ".join(recipients)),
            "Put this public key into lifeboat_recipients, or move %s away, if it belongs to another cluster" % wish.identity_file,
        )
    return Finding(name, True, "it is one of them" if own else "there is no identity on this controller")


def _private_files(wish: Wish) -> Finding:
    """Private keys that others can read are no secret."""
    open_to_others = [path for path in (wish.identity_file, wish.signing_key) if _mode(path) & 0o077]
    return Finding(
        "files_private",
        not open_to_others,
        ", ".join("%s has mode %04o" % (path, _mode(path)) for path in open_to_others) or "mode 0600",
        "Run chmod 0600 %s. If others use this machine, replace the key" % " ".join(open_to_others) if open_to_others else "",
    )


def _private_directories(wish: Wish) -> Finding:
    """Who may write into the directory of a key may replace it."""
    directories = sorted({os.path.dirname(path) for path in (wish.identity_file, wish.signing_key, wish.allowed_signers)})
    strange = [path for path in directories if _mode(path) & 0o022]
    return Finding(
        "directories_private",
        not strange,
        ", ".join("%s has mode %04o" % (path, _mode(path)) for path in strange) or "no other user may write into it",
        "Run chmod 0700 %s, then look whether the keys in it are still yours" % " ".join(strange) if strange else "",
    )


def _signing(wish: Wish, pending: Plan) -> Tuple[str, Finding]:
    """Under which name, and whether, what is signed here is trusted by the allowed signers that are here."""
    name = "signing_key_allowed"
    if pending.signing_key or pending.allowed_signers:
        return wish.signer or DEFAULT_SIGNER, Finding(name, True, "%s is made" % wish.allowed_signers)
    if not os.path.lexists(wish.signing_key):
        return wish.signer, Finding(
            name,
            False,
            "%s is there, and %s is not" % (wish.allowed_signers, wish.signing_key),
            "Bring the signing key back from where it is kept. If it is lost: ssh-keygen -t ed25519 -N '' -f %s, then add a line with its public half to %s"
            % (wish.signing_key, wish.allowed_signers),
        )
    state = signing_pair(wish.signing_key, Trust(wish.allowed_signers, wish.signer or None))
    remedy = str(state["remedy"])
    signer = wish.signer or str(state["signer"] or "")
    return "" if "/" in signer else signer, Finding(name, bool(state["fits"]), str(state["text"]), remedy[:1].upper() + remedy[1:])


def _mode(path: str) -> int:
    """The permissions of a file; 0 when there is none."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0


def shown(made: Sequence[str]) -> Dict[str, str]:
    """What a run changes, for a diff: paths only."""
    return {"before": "".join("%s: absent\n" % path for path in made), "after": "".join("%s: made\n" % path for path in made)}
