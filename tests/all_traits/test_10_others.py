# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traits that do not go together with those of the usual drill, or cost more time than every change has."""

from __future__ import annotations

import pytest

from tests.traits.drilling import drill


@pytest.mark.parametrize(
    "traits",
    [
        # Reached by another address than the cluster's, names in capitals, an authority without its key and one that is being changed.
        "nat,capitals,no-ca-key,ca-rotation",
        # Fewer forks than members, and five of those.
        "five,forks,node-names",
    ],
)
def test_bomb(traits: str) -> None:
    drill(traits)


@pytest.mark.parametrize(
    "traits",
    [
        # Data behind a link that an empty machine has not, keys in a KMS, the oldest Python.
        "etcd-symlink,kms,python=3.8",
        # A setting without which the recovery is refused, and which the next backup does not need; the newest Python.
        "wal-elsewhere,python=3.13",
    ],
)
def test_bomb_on_one_machine(traits: str) -> None:
    drill(traits, topology="single")


@pytest.mark.parametrize("traits", ["ipv6,containerd-2", "dual-stack,python=3.13"])
def test_bomb_of_the_other_family(traits: str) -> None:
    """Addresses of IPv6, alone or besides; and what machines may have instead of Debian's own."""
    drill(traits)


def test_bomb_with_another_runtime() -> None:
    """CRI-O has no program that mounts an image: etcdutl comes out of the container of the etcd that runs, and goes onto the empty machine."""
    drill("cri-o,node-names", topology="single")


@pytest.mark.parametrize("scenario", ["bomb", "quorum", "control-plane"])
def test_a_member_of_etcd_on_a_worker(scenario: str) -> None:
    """With all control planes it is the survivor, with the quorum it is lost; cp3 has an API server and no member."""
    drill("etcd-on-worker", scenario)


@pytest.mark.parametrize("scenario", ["bomb", "member", "control-plane"])
def test_etcd_on_machines_of_its_own(scenario: str) -> None:
    drill("external-etcd", scenario)
