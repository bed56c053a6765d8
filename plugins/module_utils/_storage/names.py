# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of recovery points and the keys under which their parts lie (the layout of DESIGN section 4, and nowhere else)."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from typing import Optional, Pattern

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import NameRefusedError

# A result of kind escrow proves that somebody's private key opens the point, not that the point is whole.
KINDS = ("verification", "drill", "restore", "escrow")
# What a result proved, weakest first.
LEVELS = ("listed", "hashed", "opened", "booted", "restored")
TAGS = ("keep", "release")
# The levels that reading a point alone can prove.
READING_LEVELS = ("listed", "hashed", "opened")

# What a point holds beside the components of the cluster, for those who have to open it when all else is gone.
KIT = ("tools", "inventory", "collection")

# Components of which one artifact serves the whole cluster, whichever machine gave it.
OF_THE_CLUSTER = ("etcd",)

_POINT_ID = re.compile(r"\A[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}\Z")
_CLUSTER_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_COMPONENT = re.compile(r"\A[a-z][a-z0-9_]{0,62}\Z")
_SEGMENT = re.compile(r"\A[A-Za-z0-9_=][A-Za-z0-9._@+=-]{0,199}\Z")
# What a host's name keeps in a key; "=" begins a byte in hexadecimal digits, so two names never become one.
_KEPT, _FIRST = re.compile(r"[A-Za-z0-9._@+-]"), re.compile(r"[A-Za-z0-9_]")
_TIME = re.compile(r"\A([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|\+00:00)\Z")


def now() -> datetime:
    """The time, in UTC, without fractions of a second."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC, as every record of a point writes it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str, field: str = "time") -> datetime:
    """Read an ISO 8601 time in UTC; ``field`` is named when it is not one."""
    match = _TIME.match(text) if isinstance(text, str) else None
    try:
        if match is None:
            raise ValueError("not ISO 8601 in UTC")
        return datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise NameRefusedError("%s is not a time in UTC" % field, found=repr(text)[:80], remedy="write it as 2026-11-20T13:35:00Z") from error


def new_point_id(moment: Optional[datetime] = None) -> str:
    """An id for a point that is opened now. Ids sort by the time of opening; what counts elsewhere is ``taken_at``."""
    return "%s-%s" % ((moment or now()).strftime("%Y%m%dT%H%M%SZ"), os.urandom(3).hex())


def check_point_id(value: str) -> str:
    """Refuse anything that is not a point id."""
    if not isinstance(value, str) or not _POINT_ID.match(value):
        raise NameRefusedError("This is not the id of a recovery point", found=repr(value)[:80], remedy="ids look like 20261120T133500Z-1a2b3c")
    return value


def is_point_id(value: str) -> bool:
    """Whether the text has the form of a point id."""
    return bool(_POINT_ID.match(value))


def check_cluster_name(value: str) -> str:
    """Refuse a cluster name that cannot be part of a key."""
    if not isinstance(value, str) or not _CLUSTER_NAME.match(value):
        raise NameRefusedError(
            "This cannot be the name of a cluster",
            found=repr(value)[:80],
            remedy="use letters, digits, '.', '_' and '-', at most 63, beginning with a letter or digit",
        )
    return value


def check_component(value: str) -> str:
    """Refuse a component name that cannot be part of a key."""
    if not isinstance(value, str) or not _COMPONENT.match(value):
        raise NameRefusedError("This cannot be the name of a component", found=repr(value)[:80], remedy="use lower case letters, digits and '_'")
    return value


def check_segment(value: str, what: str = "part of a key") -> str:
    """Refuse one path segment that could leave its directory or hide itself."""
    if not isinstance(value, str) or not _SEGMENT.match(value):
        raise NameRefusedError(
            "This cannot be a %s" % what, found=repr(value)[:80], remedy="use letters, digits and . _ @ + = -, beginning with a letter, a digit, '_' or '='"
        )
    return value


def check_key(key: str) -> str:
    """Refuse a location key with an empty, relative, hidden or strange segment."""
    if not isinstance(key, str) or not key or len(key) > 900:
        raise NameRefusedError("This cannot be a key in a location", found=repr(key)[:80], remedy="keys are made by this collection; report this as a defect")
    for segment in key.split("/"):
        check_segment(segment)
    return key


def check_listed_key(key: str) -> str:
    """Refuse a key of a listing that would lead out of its directory. Whoever made it may have called it anything else: it has to be removable."""
    if not isinstance(key, str) or not key or "\0" in key or any(segment in ("", ".", "..") for segment in key.split("/")):
        raise NameRefusedError("This cannot be a key of a listing", found=repr(key)[:80], remedy="report this as a defect")
    return key


def check_artifact_name(value: str) -> str:
    """An artifact is ``<component>/<name>.zst.age``; nothing else is one."""
    if not isinstance(value, str) or value.count("/") != 1 or not value.endswith(".zst.age"):
        raise NameRefusedError("This is not the name of an artifact", found=repr(value)[:120], remedy="artifacts are named like etcd/cp1.tar.zst.age")
    component, name = value.split("/")
    check_component(component)
    check_segment(name, "name of an artifact")
    return value


def host_segment(host: str) -> str:
    """The name of a host as part of a key. An inventory may call it by an IPv6 address or in any alphabet: ``fd00::11`` becomes ``fd00=3A=3A11``."""
    return check_segment(_escaped(host[:1], _FIRST) + _escaped(host[1:], _KEPT), "name of a host")


def _escaped(text: str, kept: Pattern[str]) -> str:
    return "".join(one if kept.match(one) else "".join("=%02X" % byte for byte in one.encode("utf-8", "surrogateescape")) for one in text)


def artifact_name(component: str, name: str, extension: str) -> str:
    """The name that an artifact gets; ``extension`` is ``tar``, or that of the single file which it is."""
    return check_artifact_name("%s/%s%s.zst.age" % (check_component(component), name, "." + extension if extension else ""))


def is_tar(artifact: str) -> bool:
    """Whether the artifact, once opened, is a tar archive (else it is one plain file)."""
    return artifact.endswith(".tar.zst.age")


def cluster_prefix(cluster: str) -> str:
    """Where everything of one cluster lies."""
    return check_cluster_name(cluster) + "/"


def points_prefix(cluster: str) -> str:
    """Where the points of one cluster lie."""
    return cluster_prefix(cluster) + "points/"


def manifests_prefix(cluster: str) -> str:
    """Where the manifests of one cluster lie."""
    return cluster_prefix(cluster) + "manifests/"


def results_prefix(cluster: str, point: str = "") -> str:
    """Where the results lie, of one cluster or of one point."""
    return cluster_prefix(cluster) + "results/" + (check_point_id(point) + "/" if point else "")


def tombstones_prefix(cluster: str) -> str:
    """Where the records of pruned points lie."""
    return cluster_prefix(cluster) + "pruned/"


def tombstone_key(cluster: str, point: str) -> str:
    """The record that a point was pruned, written before its first object is removed."""
    return "%s%s.json" % (tombstones_prefix(cluster), check_point_id(point))


def tags_prefix(cluster: str, point: str = "") -> str:
    """Where tags lie, of one cluster or of one point."""
    return cluster_prefix(cluster) + "tags/" + (check_point_id(point) + "/" if point else "")


def tag_key(cluster: str, point: str, moment: datetime, name: str) -> str:
    """A new tag of a point; of several, the newest counts."""
    if name not in TAGS:
        raise NameRefusedError("This is not a tag", found=repr(name)[:80], remedy="tags: %s" % ", ".join(TAGS))
    return "%s%s-%s-%s.json" % (tags_prefix(cluster, point), moment.strftime("%Y%m%dT%H%M%SZ"), name, os.urandom(4).hex())


def runs_prefix(cluster: str, run: str = "") -> str:
    """Where the evidence of runs lies, of one cluster or of one run."""
    return cluster_prefix(cluster) + "runs/" + (check_segment(run, "id of a run") + "/" if run else "")


def run_key(cluster: str, run: str, name: str) -> str:
    """One file of a run's evidence: a segment of its journal, or its report."""
    return runs_prefix(cluster, run) + check_segment(name, "name of a file of a run")


def probes_prefix(cluster: str) -> str:
    """Where small objects lie that prove what a location and its credentials can do; nobody reads them later."""
    return cluster_prefix(cluster) + "probes/"


def probe_key(cluster: str, moment: datetime) -> str:
    """A new probe; its name says when it was written."""
    return "%s%s-%s.txt" % (probes_prefix(cluster), moment.strftime("%Y%m%dT%H%M%SZ"), os.urandom(4).hex())


def open_key(cluster: str, point: str) -> str:
    """The record that is written first."""
    return "%s%s/open.json" % (points_prefix(cluster), check_point_id(point))


def artifact_key(cluster: str, point: str, artifact: str) -> str:
    """One sealed artifact."""
    return "%s%s/artifacts/%s" % (points_prefix(cluster), check_point_id(point), check_artifact_name(artifact))


def manifest_key(cluster: str, point: str) -> str:
    """The manifest, written last."""
    return "%s%s.json" % (manifests_prefix(cluster), check_point_id(point))


def signature_key(cluster: str, point: str) -> str:
    """The manifest's signature, written just before it."""
    return manifest_key(cluster, point) + ".sig"


def result_key(cluster: str, point: str, moment: datetime, kind: str, level: str, passed: bool) -> str:
    """A new result; its name alone tells when, what, how far and how it ended."""
    if kind not in KINDS or level not in LEVELS:
        raise NameRefusedError("This is not a result", found="%r, %r" % (kind, level), remedy="kinds: %s; levels: %s" % (", ".join(KINDS), ", ".join(LEVELS)))
    verdict = "passed" if passed else "failed"
    return "%s%s-%s-%s-%s-%s.json" % (results_prefix(cluster, point), moment.strftime("%Y%m%dT%H%M%SZ"), kind, level, verdict, os.urandom(4).hex())
