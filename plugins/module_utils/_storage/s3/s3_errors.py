# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What S3 and the way to it answer when they refuse, in our own errors: what was tried, what was found, what to do.

Only the code and the message of an answer are shown, and of failures on the way only those texts that are known to hold no header: a
session token is part of a header.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, Tuple, Type

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    LocationError,
    LocationFullError,
    LocationSlowError,
    LocationVanishedError,
    NotLockableError,
    ObjectDamagedError,
    ObjectLockedError,
    ObjectMissingError,
    ServerRefusedError,
    ServerUnfitError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import HOW_TO_CREATE

_LONGEST = 300
_USER_IN_URL = re.compile(r"//[^/@\s]+@")

_RENEW = "renew the credentials of this controller (environment, profile, or the role of its machine), and start the run again"
_CA = "give the certificate of the authority that signed the server's in the location's option ca_bundle, and reach it by the name in its certificate"
_NETWORK = "look at the server, the network between, and the location's option endpoint_url; then start the run again"

_Meaning = Tuple[Type[LocationError], str, str]

_CREDENTIALS: _Meaning = (CredentialsExpiredError, "The S3 credentials are not, or no longer, valid", _RENEW)
_DENIED: _Meaning = (
    AccessDeniedError,
    "The S3 credentials do not allow this",
    "give their user the right to do it in this bucket (its policy and the user's); a lock or a policy of the bucket can forbid it too",
)
_CLOCK: _Meaning = (
    ClockSkewError,
    "The clocks of this controller and of the S3 server are too far apart",
    "set the clock of the one that is wrong (chronyc tracking, timedatectl), and start the run again",
)
_SLOW: _Meaning = (
    LocationSlowError,
    "The S3 server is overloaded, and stayed so over all attempts",
    "try again later, let fewer runs use it at once, or ask its owner to raise the limit",
)
_FULL: _Meaning = (
    LocationFullError,
    "No space is left in the S3 location",
    "prune old recovery points, or give the location more space; what is there is unharmed",
)
_BUCKET: _Meaning = (LocationVanishedError, "The S3 bucket is not there", HOW_TO_CREATE)
_OBJECT: _Meaning = (ObjectMissingError, "The object is missing", "use another recovery point, or another copy of it")
_REGION: _Meaning = (LocationError, "The S3 bucket is in another region", "correct the location's options region and endpoint_url")
_UNKNOWN: _Meaning = (ServerRefusedError, "The S3 server refused", "look up the code in the server's documentation, and at its log")
_LOCK: _Meaning = (
    NotLockableError,
    "The S3 bucket has no object lock",
    "create another bucket with object lock, or set the location's option object_lock_mode to none and know what that means",
)

_TABLE = "docs/locations.md has a table of servers, and what each can do"
_NO_REQUEST: _Meaning = (ServerUnfitError, "This S3 server does not know this request", "look whether it can be used at all: " + _TABLE)
_NO_VERSIONS: _Meaning = (
    ServerUnfitError,
    "This S3 server has no versions of objects",
    "use another server; %s. A directory on the server's disk can be used as it is (type: nfs or directory)" % _TABLE,
)
_NO_LOCKS: _Meaning = (
    NotLockableError,
    "This S3 server has no object lock",
    "use another server (%s), or set the location's option object_lock_mode to none and know what that means" % _TABLE,
)
_LOCK_IS_OVER: _Meaning = (
    NotLockableError,
    "The lock that was asked for would have ended already",
    "look at the clocks of this controller and of the server (timedatectl), and at recovery_point_retain_days",
)
_WORM: _Meaning = (ObjectLockedError, "The object is locked", "try again when its lock has ended")
_NO_KEYS: _Meaning = (
    ServerRefusedError,
    "The S3 server did not take an object that it was to encrypt",
    "give the server a key management service, or take the location's option server_side_encryption out: artifacts are sealed in any case",
)
_DISTORTED: _Meaning = (
    LocationError,
    "The S3 server received other bytes than were sent",
    "start the run again; if it stays, look for something between that changes what is sent, and at the memory of both machines",
)
_ARCHIVED: _Meaning = (
    ServerRefusedError,
    "The object lies in an archive class, where it cannot be read",
    "have it restored from the archive, which takes hours, or use another recovery point; take out the lifecycle rule that moved it there",
)
_ABOUT_VERSIONS = ("list_object_versions", "put_bucket_versioning", "get_bucket_versioning")
_ABOUT_LOCKS = ("get_object_lock_configuration", "put_object_lock_configuration", "get_object_retention", "put_object_retention")
# Parameters of requests that ask for a lock.
_ASK_FOR_LOCKS = {"ObjectLockMode", "ObjectLockEnabledForBucket"}
_NOT_THERE = ("NotImplemented", "MethodNotAllowed", "501")
_REFUSALS = ("InvalidRequest", "InvalidArgument", "InvalidBucketState", *_NOT_THERE)

_MEANINGS: Dict[str, _Meaning] = {
    **dict.fromkeys(
        ("InvalidAccessKeyId", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidClientTokenId"), _CREDENTIALS
    ),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSecurity", "UnrecognizedClientException", "NotSignedUp"), _CREDENTIALS),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "401"), _DENIED),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"), _CLOCK),
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "RequestTimeout"), _SLOW
    ),
    **dict.fromkeys(("429", "502", "503", "504"), _SLOW),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"), _FULL),
    "NoSuchBucket": _BUCKET,
    "InvalidObjectState": _ARCHIVED,
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion"), _OBJECT),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"), _REGION),
    **dict.fromkeys(("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"), _LOCK),
    **dict.fromkeys(("BadDigest", "InvalidDigest", "InvalidPart", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"), _DISTORTED),
}


def code_of(error: Exception) -> str:
    """The code of an answer; one without a body (to HEAD) has the number of its status. Empty when there was no answer."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code") or _status_of(error))


def _status_of(error: Any) -> str:
    return str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


def explained(error: Exception, tried: str, operation: str = "", asked: Collection[str] = ()) -> LocationError:
    """An exception of botocore as one of ours; anything else that happens on the way too. ``asked``: the names of the request's parameters."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _of_answer(error, tried, operation, asked)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return CredentialsExpiredError(
            "There are no S3 credentials",
            tried=tried,
            found=_plain(error),
            remedy="give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, by a profile (the location's option profile), or by the role of this machine",
        )
    by_type: Tuple[Tuple[Tuple[str, ...], _Meaning, bool], ...] = (
        (
            ("CredentialRetrievalError", "TokenRetrievalError", "MetadataRetrievalError", "SSOError", "RefreshWithMFAUnsupportedError", "LoginError"),
            _CREDENTIALS,
            False,
        ),
        (("ProfileNotFound",), (CredentialsExpiredError, "The profile with the S3 credentials is not there", "correct the location's option profile"), True),
        (
            ("ParamValidationError", "NoRegionError", "EndpointProviderError", "InvalidRegionError"),
            (LocationError, "The options of the S3 location cannot be used", "correct bucket, region and endpoint_url of the location"),
            True,
        ),
        (("SSLError",), (LocationVanishedError, "The S3 server is not the one that its certificate should prove", _CA), True),
        (("ConnectTimeoutError", "ReadTimeoutError"), (LocationVanishedError, "The S3 server does not answer in time", _NETWORK), True),
        (("EndpointConnectionError", "ProxyConnectionError"), (LocationVanishedError, "The S3 server cannot be reached", _NETWORK), True),
        (
            ("ConnectionClosedError", "IncompleteReadError", "ResponseStreamingError", "HTTPClientError"),
            (LocationVanishedError, "The connection to the S3 server broke", _NETWORK),
            False,
        ),
        (
            ("FlexibleChecksumError",),
            (
                ObjectDamagedError,
                "The S3 server sent other bytes than were stored",
                "use another recovery point, or another copy of it; look at its disks",
            ),
            True,
        ),
    )
    for names, (kind, message, remedy), shown in by_type:
        if any(isinstance(error, getattr(exceptions, name)) for name in names if hasattr(exceptions, name)):
            return kind(message, tried=tried, found=_plain(error) if shown else type(error).__name__, remedy=remedy)
    if isinstance(error, OSError):
        return LocationVanishedError("The connection to the S3 server broke", tried=tried, found=error.strerror or type(error).__name__, remedy=_NETWORK)
    return LocationError("The S3 client failed", tried=tried, found=type(error).__name__, remedy="check the location's options")


def _of_answer(error: Any, tried: str, operation: str, asked: Collection[str]) -> LocationError:
    code, status = code_of(error), _status_of(error)
    text = str(error.response.get("Error", {}).get("Message") or "no message")
    kind, message, remedy = _MEANINGS.get(code) or _MEANINGS.get(status) or _by_request(code, text.lower(), operation, set(asked))
    return kind(message, tried=tried, found="%s: %s (HTTP status %s)" % (code, _shortened(text), status), remedy=remedy)


def _by_request(code: str, text: str, operation: str, asked: Collection[str]) -> _Meaning:
    """What a code that says little means in answer to this request."""
    if "no space left" in text:
        return _FULL
    if code in _REFUSALS:
        wants_lock = bool(_ASK_FOR_LOCKS.intersection(asked)) or operation in _ABOUT_LOCKS
        if operation == "delete_object" and code not in _NOT_THERE and ("worm" in text or "lock" in text):
            return _WORM
        if "ServerSideEncryption" in asked and ("lock" not in text or not wants_lock):
            return _NO_KEYS
        if operation in _ABOUT_VERSIONS and code in _NOT_THERE:
            return _NO_VERSIONS
        if wants_lock and "must be in the future" in text:
            return _LOCK_IS_OVER
        if wants_lock or "lock" in text:
            return _NO_LOCKS if code in _NOT_THERE else _LOCK
        if code in _NOT_THERE:
            return _NO_REQUEST
    return _NO_KEYS if "ServerSideEncryption" in asked else _UNKNOWN


def _plain(error: Exception) -> str:
    return _shortened(str(error))


def _shortened(text: str) -> str:
    return _USER_IN_URL.sub("//***@", " ".join(text.split()))[:_LONGEST]
