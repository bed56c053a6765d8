# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys of a host, checked with nothing but the standard library's TLS: by using them."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import kubeconfig as kubeconfigs
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import pem
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.in_memory import as_file
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError, resolve
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

KEY_PAIR, CHAIN, AUTHORITY, KUBECONFIG, SAME_KEY = "key_pair", "chain", "authority", "kubeconfig", "same_key"
TYPES = (KEY_PAIR, CHAIN, AUTHORITY, KUBECONFIG, SAME_KEY)
SERVER, CLIENT = "server", "client"

# Flags of OpenSSL that the ssl module of Python 3.8 has no names for: trust any certificate that is given as trusted; do not look at the clock.
_PARTIAL_CHAIN = 0x80000
_NO_CHECK_TIME = 0x200000
_HANDSHAKE_ROUNDS = 20
_LARGEST_FILE = 4 << 20
_SECONDS_PER_DAY = 86400
_CONNECT_SECONDS = 10
_VERIFY_REASONS = {
    7: "is not signed by this CA: the signature does not fit",
    9: "is not valid yet: compare the host's clock with not_before",
    10: "has expired, or a certificate above it has",
    18: "is self-signed and not trusted by this CA",
    19: "is signed by another CA",
    20: "is not signed by this CA: its issuer is missing there",
    21: "is not signed by this CA",
    24: "is signed by a certificate that is no CA",
    26: "may not be used for this purpose",
    62: "is for another name",
    64: "is for another address",
}


class TlsCheckError(LifeboatError):
    """A check that is not described correctly."""


@dataclass
class Check:
    """One thing to check."""

    id: str
    type: str
    certificate: str = ""
    key: str = ""
    ca: str = ""
    server_name: str = ""
    purpose: str = SERVER
    kubeconfig: str = ""
    server: str = ""
    root: str = "/"
    days: int = 0


@dataclass
class Finding:
    """What a check found. Never holds key material."""

    id: str
    ok: bool = True
    reason: str = ""
    subject: str = ""
    not_before: Optional[str] = None
    not_after: Optional[str] = None
    days_left: Optional[int] = None
    sans: List[str] = field(default_factory=list)
    fingerprint_sha256: Optional[str] = None
    fingerprints_sha256: List[str] = field(default_factory=list)
    server: Optional[str] = None
    connection: Optional[Dict[str, Any]] = None
    digests: Optional[Dict[str, Optional[str]]] = None
    matches: Optional[bool] = None
    # An authority whose key is not on this machine: Kubernetes can do without (kubeadm's external CA mode).
    keyless: bool = False
    # Whether the file could be read as what it is said to be. What cannot be understood is no proof that it does not work.
    understood: bool = True


class _FailedError(Exception):
    """The reason why a check is not met."""


class _EncryptedError(Exception):
    """The key asks for a pass phrase."""


def _fail(reason: str) -> NoReturn:
    raise _FailedError(reason)


def _read(path: str, what: str) -> bytes:
    """A file that is expected to be there and to be small."""
    if not path:
        _fail("%s is not given" % what)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        _fail("%s is missing: %s" % (what, path))
    except OSError as error:
        _fail("%s cannot be read: %s (%s)" % (what, path, error.strerror))
    if not data or len(data) > _LARGEST_FILE:
        _fail("%s is %s: %s" % (what, "too large" if data else "empty", path))
    return data


def _password() -> str:
    raise _EncryptedError


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason, without file names and line numbers of its source."""
    return (error.reason or "unknown error").lower().replace("_", " ")


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate with its key; they must belong together."""
    with as_file(certificate) as certificate_path, as_file(key) as key_path:
        try:
            context.load_cert_chain(certificate_path, key_path, password=_password)
        except _EncryptedError:
            _fail("the key is encrypted")
        except ssl.SSLError as error:
            # OpenSSL says the first for keys of one kind, one of the others for keys of two kinds.
            if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
                _fail("the key does not belong to the certificate")
            _fail("certificate or key cannot be loaded (%s)" % _reason(error))


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    # Whether keys are long enough is not the question here; old clusters have to be checked too.
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _require(context: ssl.SSLContext, authority: Sequence[bytes], flags: int = 0) -> None:
    """Make a side of the handshake demand a certificate of these authorities."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=b"".join(authority))
    context.verify_flags = ssl.VerifyFlags(int(context.verify_flags) | flags)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, server_name: Optional[str]) -> Tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a connection that never leaves this process."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_side=False, server_hostname=server_name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    for _round in range(_HANDSHAKE_ROUNDS):
        for end in list(waiting):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                waiting.remove(end)
        if not waiting:
            return ends
    return _fail("the handshake does not come to an end")


Presented = Tuple[Dict[str, Any], bytes]


def _present(certificate: bytes, key: bytes, authority: Sequence[bytes], purpose: str, server_name: str = "", flags: int = 0) -> Presented:
    """Let one end of a connection show the certificate and the other verify it; returns what the other end saw."""
    server, client = _context(ssl.PROTOCOL_TLS_SERVER), _context(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    _load_pair(server, certificate, key)
    if purpose == SERVER:
        _require(client, authority, flags)
        client.check_hostname = bool(server_name)
        # What Kubernetes itself accepts: names in the subject alone are not enough.
        client.hostname_checks_common_name = False
        observer = _handshake(server, client, server_name or None)[0]
    else:
        _load_pair(client, certificate, key)
        _require(server, authority, flags)
        observer = _handshake(server, client, None)[1]
    return observer.getpeercert() or {}, observer.getpeercert(True) or b""


def _describe(certificate: bytes, key: bytes) -> Presented:
    """What a certificate says, whoever signed it and whenever it expires: it is its own authority for that."""
    leaf = pem.certificates(certificate)[:1]
    if not leaf or not leaf[0]:
        _fail("there is no certificate in the file")
    for purpose in (SERVER, CLIENT):
        with contextlib.suppress(ssl.SSLError, OSError):
            return _present(certificate, key, leaf, purpose, flags=_PARTIAL_CHAIN | _NO_CHECK_TIME)
    return next((item for item in _authorities(leaf) if item[0]), ({}, leaf[0]))


def _authorities(certificates: Sequence[bytes]) -> List[Presented]:
    """What certificates of authorities say; those that are no authorities have an empty description."""
    found: List[Presented] = []
    for der in certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=der)
        except ssl.SSLError as error:
            _fail("a certificate cannot be loaded (%s)" % _reason(error))
        described = context.get_ca_certs()
        found.append((described[0] if described else {}, der))
    return found


def _name(item: Tuple[str, str]) -> str:
    """A subject alternative name, such as DNS:localhost or IP:127.0.0.1."""
    kind, value = item
    if kind != "IP Address":
        return "%s:%s" % (kind, value)
    with contextlib.suppress(ValueError):
        value = str(ipaddress.ip_address(value.strip()))
    return "IP:%s" % value


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _fill(finding: Finding, presented: Presented) -> None:
    """Put what a certificate says into a finding."""
    described, der = presented
    finding.fingerprint_sha256 = hashlib.sha256(der).hexdigest()
    finding.subject = ", ".join("%s=%s" % (_SHORT.get(name, name), value) for part in described.get("subject", ()) for name, value in part)
    finding.sans = [_name(item) for item in described.get("subjectAltName", ())]
    if "notAfter" in described:
        try:
            begin, expiry = ssl.cert_time_to_seconds(described["notBefore"]), ssl.cert_time_to_seconds(described["notAfter"])
        except ValueError:
            _fail("its dates cannot be read here")
        finding.not_before, finding.not_after = _iso(begin), _iso(expiry)
        finding.days_left = int((expiry - time.time()) // _SECONDS_PER_DAY)


_SHORT = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C", "localityName": "L", "stateOrProvinceName": "ST"}


def _check_dates(finding: Finding, days: int) -> None:
    if finding.days_left is None or finding.not_before is None:
        _fail("its dates cannot be read here")
    if finding.days_left < 0:
        _fail("expired on %s" % finding.not_after)
    if finding.not_before > _iso(time.time()):
        _fail("not valid before %s; the clock of this host says %s" % (finding.not_before, _iso(time.time())))
    if finding.days_left < days:
        _fail("expires in %d days" % finding.days_left)


def _verify(certificate: bytes, key: bytes, authority: bytes, purpose: str, server_name: str) -> None:
    """The certificate is signed by the authority, for this purpose and this name, and is valid today."""
    trusted = [der for der in pem.certificates(authority) if der]
    if not trusted:
        _fail("there is no certificate in the CA file")
    try:
        _present(certificate, key, trusted, purpose, server_name)
    except ssl.SSLCertVerificationError as error:
        reason = _VERIFY_REASONS.get(error.verify_code, "is refused: %s" % error.verify_message)
        _fail("the certificate %s" % reason + (" (wanted: %s)" % server_name if error.verify_code in (62, 64) else ""))
    except ssl.SSLError as error:
        _fail("the certificate cannot be used for TLS (%s)" % _reason(error))


def _in_order(certificate: bytes, key: bytes, authority: Callable[[], bytes], purpose: str, server_name: str) -> Optional[Presented]:
    """What a certificate says that passes ``_verify``, by the one handshake of it. None where anything is wrong: what, is found out step by step."""
    with contextlib.suppress(ssl.SSLError, OSError, _FailedError):
        trusted = [der for der in pem.certificates(authority()) if der]
        return _present(certificate, key, trusted, purpose, server_name) if trusted else None
    return None


def _key_pair(check: Check, finding: Finding) -> None:
    certificate = _read(check.certificate, "the certificate")
    key = _read(check.key or check.certificate, "the key")

    def authority() -> bytes:
        return _read(check.ca, "the CA")

    shown = _in_order(certificate, key, authority, check.purpose, check.server_name) if check.type == CHAIN else None
    if shown is None:
        _load_pair(_context(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    _fill(finding, shown or _describe(certificate, key))
    if check.type == CHAIN and shown is None:
        if finding.days_left is not None:
            _check_dates(finding, 0)
        _verify(certificate, key, authority(), check.purpose, check.server_name)
    _check_dates(finding, check.days)


def _check_authority_key(certificates: Sequence[bytes], key: bytes) -> None:
    """While authorities are rotated the file holds an old one and a new one, in any order: the key is that of one of them."""
    for position, der in enumerate(certificates, 1):
        try:
            _load_pair(_context(ssl.PROTOCOL_TLS_SERVER), ssl.DER_cert_to_PEM_cert(der).encode("ascii"), key)
            return
        except _FailedError:
            if position == len(certificates):
                raise


def _authority(check: Check, finding: Finding) -> None:
    data = _read(check.certificate, "the certificate")
    found = _authorities([der for der in pem.certificates(data) if der])
    if not found:
        _fail("there is no certificate in the file")
    _fill(finding, found[0])
    finding.fingerprints_sha256 = [hashlib.sha256(der).hexdigest() for _described, der in found]
    if check.key and not os.path.lexists(check.key):
        finding.keyless = True
    elif check.key:
        _check_authority_key([der for _described, der in found], _read(check.key, "the key"))
    if any(not described for described, _der in found):
        _fail("a certificate in the file is no CA")
    for item in found:
        one = Finding(check.id)
        _fill(one, item)
        _check_dates(one, check.days)


def _same_key(check: Check, finding: Finding, salt: str) -> None:
    public = pem.public_key(_read(check.certificate, "the public key")) if check.certificate else None
    private = pem.private_key(_read(check.key, "the key")) if check.key else None
    if (check.certificate and public is None) or (check.key and private is None) or (public is None and private is None):
        _fail("there is no key in the file")
    finding.digests = {
        # Some platforms keep no file with the public key: what of it the private one shows tells them apart as well.
        "public_sha256": hashlib.sha256(public.der).hexdigest() if public else pem.public_half_sha256(private.der) if private else None,
        # Salted, so that it says nothing outside the run that compares hosts with each other.
        "key_salted_sha256": hashlib.sha256(salt.encode("utf-8") + b"\0" + private.der).hexdigest() if private and private.der and salt else None,
    }
    if public and private:
        finding.matches = pem.belong_together(public.der, private.der)
        if finding.matches is False:
            _fail("public and private key do not belong together")


def _credential(check: Check, credential: kubeconfigs.Credential, what: str) -> bytes:
    """Data of a kubeconfig, or the file that it names (relative to its own directory, as client-go does)."""
    if credential.data:
        return credential.data
    path = credential.path
    if not path.startswith("/"):
        return _read(os.path.join(os.path.dirname(check.kubeconfig), path), what)
    try:
        return _read(resolve(check.root, path), what)
    except DiskError:
        _fail("%s is a link that leads in a circle: %s" % (what, path))


def _kubeconfig_check(check: Check, finding: Finding) -> None:
    try:
        config = kubeconfigs.parse(_read(check.kubeconfig, "the kubeconfig").decode("utf-8"))
    except (kubeconfigs.NotUnderstoodError, UnicodeDecodeError):
        finding.understood = False
        _fail("not understood: it is not of the form that kubeadm writes, with a CA and a client certificate")
    finding.server = config.server
    certificate = _credential(check, config.certificate, "the client certificate")
    key = _credential(check, config.key, "the client key")
    authority = _credential(check, config.authority, "the CA")
    shown = _in_order(certificate, key, lambda: authority, CLIENT, "")
    if shown is None:
        _load_pair(_context(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    _fill(finding, shown or _describe(certificate, key))
    _check_dates(finding, 0)
    if shown is None:
        _verify(certificate, key, authority, CLIENT, "")
    if check.server:
        name = check.server_name or config.server_name or urlsplit(config.server).hostname or ""
        finding.connection = _connect(check.server, name, certificate, key, authority)
        if not finding.connection["ok"]:
            _fail("the connection to %s failed: %s" % (check.server, finding.connection["reason"]))
    _check_dates(finding, check.days)


def _connect(server: str, name: str, certificate: bytes, key: bytes, authority: bytes) -> Dict[str, Any]:
    """Ask a running server for its version with these credentials: it must accept them, and be whom the authority says."""
    parts = urlsplit(server if "//" in server else "https://" + server)
    result: Dict[str, Any] = {"ok": False, "reason": "", "status": None, "fingerprint_sha256": None}
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    _require(context, [der for der in pem.certificates(authority) if der])
    context.hostname_checks_common_name = False
    _load_pair(context, certificate, key)
    try:
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_CONNECT_SECONDS))
            connection = stack.enter_context(context.wrap_socket(plain, server_hostname=name or parts.hostname))
            result["fingerprint_sha256"] = hashlib.sha256(connection.getpeercert(True) or b"").hexdigest()
            # With TLS 1.3 the server's opinion of our certificate comes with its answer.
            connection.sendall(b"GET /version HTTP/1.1\r\nHost: lifeboat\r\nConnection: close\r\n\r\n")
            status = connection.recv(64).split(b" ")
    except ssl.SSLCertVerificationError as error:
        result["reason"] = "the server's certificate %s" % _VERIFY_REASONS.get(error.verify_code, "is refused: %s" % error.verify_message)
    except ssl.SSLError as error:
        result["reason"] = "TLS failed (%s)" % _reason(error)
    except (OSError, ValueError) as error:
        result["reason"] = "no connection (%s)" % (getattr(error, "strerror", None) or "timed out")
    else:
        result["status"] = int(status[1]) if len(status) > 1 and status[1].isdigit() else None
        result["ok"] = result["status"] is not None and result["status"] != 401
        result["reason"] = "" if result["ok"] else "the server does not accept the client certificate" if result["status"] else "the server did not answer"
    return result


def examine(check: Check, salt: str = "") -> Finding:
    """Do one check. What is wrong with files is a finding, never an exception."""
    checks: Dict[str, Callable[[Check, Finding], None]] = {
        KEY_PAIR: _key_pair,
        CHAIN: _key_pair,
        AUTHORITY: _authority,
        KUBECONFIG: _kubeconfig_check,
        SAME_KEY: lambda one, found: _same_key(one, found, salt),
    }
    if check.type not in checks or check.purpose not in (SERVER, CLIENT):
        raise TlsCheckError(
            "The check %s is of no known type." % check.id,
            found="type %s, purpose %s" % (check.type, check.purpose),
            remedy="Use one of %s." % ", ".join(TYPES),
        )
    finding = Finding(check.id)
    try:
        checks[check.type](check, finding)
    except _FailedError as failure:
        finding.ok, finding.reason = False, str(failure)
    return finding
