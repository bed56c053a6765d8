# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding an etcdutl that is able to restore: on the host, inside the etcd image that the node has, or shipped."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.elf import is_static
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import Version, restores_since, version_tuple

# What may raise a revision as well.
RAISES_SINCE = restores_since()
_MOUNT_POINT = "/run/lifeboat/etcd-image"
_IMAGE = re.compile(r"(?:^|/)etcd:v?(\d+\.\d+\.\d+[^@]*)$")
_PLACES_IN_IMAGE = ("usr/local/bin/etcdutl", "usr/bin/etcdutl", "bin/etcdutl", "etcdutl")
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin"


@dataclass(frozen=True)
class Tool:
    """An etcdutl that runs here."""

    path: str
    version: str
    source: str


def environment() -> Dict[str, str]:
    """What our child processes get to see."""
    return {"PATH": _SEARCH_PATH, "LC_ALL": "C.UTF-8"}


@contextmanager
def etcdutl(
    explicit: str = "", shipped: str = "", *, since: Version = RAISES_SINCE, mount: bool = True, static: bool = False, member: bool = False
) -> Iterator[Tool]:
    """The first of these that runs and is of ``since`` or newer: the given path, the host's PATH, the newest etcd image of containerd, the shipped file.

    An image is mounted only as long as the context lasts. Without ``mount`` nothing changes on the host, and the tag of an image is believed.
    With ``static`` a program that needs libraries of this host is passed over. With ``member`` the one beside the etcd that runs is taken too, where no
    image can be mounted (CRI-O has no program for it); it is gone when that etcd ends.
    """
    tried: List[str] = []
    if explicit:
        tool = _usable(explicit, "given", since, tried, static)
        if tool is None:
            raise _none_found(tried, since)
        yield tool
        return
    on_path = shutil.which("etcdutl", path=os.pathsep.join((os.environ.get("PATH", ""), _SEARCH_PATH)))
    tool = _usable(on_path, "host", since, tried, static) if on_path else None
    if on_path is None:
        tried.append("PATH: no etcdutl")
    if tool is not None:
        yield tool
        return
    with _image(tried, mount) as (image, place):
        if image and not mount and _image_version(image) >= since:
            tool = Tool(image, "%d.%d.%d" % _image_version(image), "image")
        elif place:
            tool = _usable(place, "image", since, tried, static)
        if tool is not None:
            yield tool
            return
    places = beside_members() if member else []
    for place in places:
        tool = tool or _usable(place, "member", since, tried, static)
    if tool is not None:
        yield tool
        return
    if shipped:
        tool = _usable(shipped, "shipped", since, tried, static)
    else:
        tried.append("no etcdutl_shipped given")
    if tool is None:
        raise _none_found(tried, since)
    yield tool


def beside_members(proc: str = "/proc") -> List[str]:
    """The programs that the containers of running members have, by their own root directories.

    Of root's processes alone: anybody can make one called etcd, with a root directory of its own, and what lies there would run as root.
    """
    roots = [os.path.join(proc, pid, "root") for pid in sorted(os.listdir(proc)) if pid.isdigit() and _is_etcd_of_root(os.path.join(proc, pid, "status"))]
    return [path for root in roots for path in (os.path.join(root, place) for place in _PLACES_IN_IMAGE) if os.path.isfile(path)]


def _is_etcd_of_root(status: str) -> bool:
    try:
        with open(status, encoding="utf-8", errors="replace") as lines:
            fields = dict(line.rstrip("\n").partition(":\t")[::2] for line in lines)
    except OSError:
        return False
    return fields.get("Name") == "etcd" and set(fields.get("Uid", "").split()) == {"0"}


def _none_found(tried: Sequence[str], needed: Version) -> RestoreError:
    return RestoreError(
        "no etcdutl that can restore was found on this host",
        tried="; ".join(tried),
        found="none of at least version %d.%d.%d" % needed,
        remedy="Set etcdutl to the path of a static etcdutl, or ship one with etcdutl_shipped (each recovery point holds one).",
    )


def _usable(path: str, source: str, needed: Version, tried: List[str], static: bool) -> Tool | None:
    try:
        answer = programs.run([path, "version"], timeout_seconds=60, together=True, environment=environment())
    except (OSError, programs.TooLong) as error:
        tried.append("%s (%s): %s" % (path, source, error))
        return None
    text = answer.stdout.decode("utf-8", "replace")
    match = re.search(r"etcdutl version:\s*(\S+)", text)
    if answer.returncode or not match:
        tried.append("%s (%s): does not tell its version, status %d" % (path, source, answer.returncode))
        return None
    if version_tuple(match.group(1)) < needed:
        tried.append("%s (%s): version %s is too old" % (path, source, match.group(1)))
        return None
    if static and not is_static(path):
        tried.append("%s (%s): needs libraries of this host" % (path, source))
        return None
    return Tool(path, match.group(1), source)


def survey(explicit: str = "", shipped: str = "", *, since: Version = RAISES_SINCE) -> Tool:
    """Which etcdutl would be used; raises when there is none. Mounts nothing."""
    with etcdutl(explicit, shipped, since=since, mount=False) as tool:
        return tool


def serving(host_version: Optional[str], images: Sequence[str], *, since: Version = RAISES_SINCE) -> Optional[Tool]:
    """Which etcdutl ``etcdutl`` would find, judged by what is known of a host already: the version on its PATH, its images. None: one must be shipped."""
    if host_version and version_tuple(host_version) >= since:
        return Tool("etcdutl", host_version, "host")
    newest = next(iter(etcd_images(images)), "")
    if newest and _image_version(newest) >= since:
        return Tool(newest, "%d.%d.%d" % _image_version(newest), "image")
    return None


@contextmanager
def _image(tried: List[str], mount: bool) -> Iterator[Tuple[str, str]]:
    """The newest etcd image that containerd has, and the path of etcdutl inside it, mounted read-only; empty where there is none."""
    ctr = shutil.which("ctr", path=os.pathsep.join((os.environ.get("PATH", ""), _SEARCH_PATH)))
    if ctr is None:
        tried.append("images: no ctr on this host")
        yield "", ""
        return
    base = [ctr, "-n", "k8s.io", "images"]
    images = etcd_images(_lines(base + ["ls", "-q"], tried))
    if not images:
        tried.append("images: containerd has no etcd image")
        yield "", ""
        return
    if not mount:
        yield images[0], ""
        return
    # Always the same place, so that a run after a kill finds what was left mounted.
    os.makedirs(_MOUNT_POINT, mode=0o700, exist_ok=True)
    if _mounted(_MOUNT_POINT):
        _lines(base + ["unmount", "--rm", _MOUNT_POINT], tried)
    _lines(base + ["mount", images[0], _MOUNT_POINT], tried)
    mounted = _mounted(_MOUNT_POINT)
    try:
        places = [os.path.join(_MOUNT_POINT, place) for place in _PLACES_IN_IMAGE]
        place = next((place for place in places if os.path.isfile(place)), "") if mounted else ""
        if not place:
            tried.append("images: %s has no etcdutl" % images[0] if mounted else "images: %s could not be mounted" % images[0])
        yield images[0], place
    finally:
        if _mounted(_MOUNT_POINT):
            _lines(base + ["unmount", "--rm", _MOUNT_POINT], tried)
        if not _mounted(_MOUNT_POINT):
            try:
                os.rmdir(_MOUNT_POINT)
            except OSError:
                pass


def _mounted(place: str) -> bool:
    """Whether something is mounted exactly there; unlike os.path.ismount also where it comes from the same file system."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split()[4] == place for line in mounts)


def etcd_images(names: Sequence[str]) -> List[str]:
    """Those that are an etcd image with a version for a tag, newest first."""
    return sorted((name for name in names if _IMAGE.search(name)), key=_image_version, reverse=True)


def image_release(names: Sequence[str]) -> str:
    """The release of the first etcd image with a version for a tag; empty without one."""
    images = etcd_images(names)
    return "%d.%d.%d" % _image_version(images[0]) if images else ""


def _image_version(name: str) -> Version:
    match = _IMAGE.search(name)
    return version_tuple(match.group(1)) if match else (0, 0, 0)


def _lines(command: Sequence[str], tried: List[str]) -> List[str]:
    try:
        answer = programs.run(command, timeout_seconds=120, environment=environment())
    except (OSError, programs.TooLong) as error:
        tried.append("%s: %s" % (" ".join(command), error))
        return []
    if answer.returncode:
        tried.append("%s: %s" % (" ".join(command), answer.stderr.decode("utf-8", "replace").strip()[-300:]))
    return answer.stdout.decode("utf-8", "replace").split()
