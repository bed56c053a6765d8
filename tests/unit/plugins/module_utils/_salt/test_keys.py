# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a Salt master's keys, as they are found and as they are changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import changes, keys

ONE, TWO = "0a3f5c7e9b1d4f60a2c4e6081a2b3c4d", "1b4a6d8f0c2e5071b3d5f7192b3c4d5e"
PRIVATE = {name: rsa.generate_private_key(65537, 1024) for name in ("good", "bad", "master")}


def public(name: str) -> bytes:
    """A key as the master writes it: without the final newline."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return PRIVATE[name].public_key().public_bytes(serialization.Encoding.PEM, form).rstrip(b"\n")


GOOD, BAD = (keys.fingerprint(public(name)) for name in ("good", "bad"))


class Master:
    """Keys of a master in a directory."""

    def __init__(self, directory: Path) -> None:
        self.pki, self.cache, self.aside = directory / "pki", directory / "cache", directory / "aside"
        for name in keys.DIRECTORIES.values():
            (self.pki / name).mkdir(parents=True)
        self.cache.mkdir()

    def put(self, state: str, minion_id: str, name: str = "good") -> None:
        """A key in a state."""
        (self.pki / keys.DIRECTORIES[state] / minion_id).write_bytes(public(name))

    @property
    def states(self) -> dict[str, str]:
        """What there is: the states of each key, a line for each id."""
        found: dict[str, list[str]] = {}
        for key in keys.read_keys(str(self.pki)).keys:
            found.setdefault(key.id, []).append(f"{key.state} {'good' if key.fingerprint == GOOD else 'bad'}")
        return {minion_id: ", ".join(states) for minion_id, states in found.items()}

    def plan(self, state: str, *wanted: tuple[str, str], cache: bool = False) -> changes.Plan:
        """What would be done."""
        items = changes.read_wanted([{"id": minion_id, "fingerprint": finger} for minion_id, finger in wanted], state)
        return changes.plan(keys.read_keys(str(self.pki)), str(self.cache), state, items, cache)

    def change(self, state: str, *wanted: tuple[str, str], cache: bool = False) -> changes.Plan:
        """Do it, and see that nothing is left to do."""
        planned = self.plan(state, *wanted, cache=cache)
        changes.apply(planned, str(self.aside))
        assert not self.plan(state, *wanted, cache=cache).changed
        return planned


@pytest.fixture
def master(tmp_path: Path) -> Master:
    """One without any key."""
    return Master(tmp_path)


def test_the_final_newline_is_no_difference() -> None:
    assert keys.fingerprint(public("good")) == keys.fingerprint(public("good") + b"\n") == keys.fingerprint(public("good").replace(b"\n", b"\r\n"))
    assert len(GOOD) == 95
    for data in (b"", b"a key\n", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"):
        assert keys.fingerprint(data) == ""


def test_what_is_no_key_is_told(master: Master) -> None:
    """A link, a directory, a name that could be a path elsewhere, an empty file; a list of the master's own is none of ours."""
    master.put(keys.ACCEPTED, ONE)
    pending = master.pki / "minions_pre"
    (pending / "empty").touch()
    (pending / "directory").mkdir()
    (pending / "link").symlink_to(master.pki / "minions" / ONE)
    (pending / "a,b").write_bytes(public("good"))
    (pending / ".key_cache").write_bytes(b"x")
    found = keys.read_keys(str(master.pki))
    assert [str(key) for key in found.keys] == [f"{ONE} (accepted, {GOOD})"]
    assert [problem.rpartition("/")[2].split(":")[0] for problem in found.problems] == ["a,b", "directory", "empty", "link"]


def test_without_a_master_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(keys.SaltError, match="There are no keys of a Salt master"):
        keys.read_keys(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("private", "pair", "reason"),
    [("master", True, ""), ("bad", False, "master.pem and master.pub are not one pair"), ("", None, "No such file"), ("text", False, "holds no key")],
)
def test_the_masters_pair(master: Master, private: str, pair: bool | None, reason: str) -> None:
    (master.pki / "master.pub").write_bytes(public("master"))
    if private in PRIVATE:
        form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        (master.pki / "master.pem").write_bytes(PRIVATE[private].private_bytes(serialization.Encoding.PEM, form, plain))
    elif private:
        (master.pki / "master.pem").write_text(private)
    found = keys.read_master(str(master.pki))
    assert (found.fingerprint, found.pair) == (keys.fingerprint(public("master")), pair)
    assert reason in found.reason


def test_the_cache(master: Master) -> None:
    """An empty mine is no mine."""
    for minion_id, mine in ((ONE, b"\x81more"), (TWO, b"\x80")):
        (master.cache / "minions" / minion_id).mkdir(parents=True)
        (master.cache / "minions" / minion_id / "mine.p").write_bytes(mine)
    assert keys.cached(str(master.cache), "mine") == [ONE]
    assert keys.cached(str(master.cache), "data") == keys.cached("/nowhere", "mine") == []


def test_expected_ids(master: Master) -> None:
    master.put(keys.ACCEPTED, ONE)
    assert keys.compare(keys.read_keys(str(master.pki)), [TWO]) == {"missing": [TWO], "unexpected": [ONE]}


@pytest.mark.parametrize("minion_id", ["", ".", "..", "../master.pem", "a/b", ".hidden", "a,b", "*", "a\nb", "-x"])
def test_an_id_is_never_a_path(minion_id: str) -> None:
    with pytest.raises(keys.SaltError, match="is no id of a minion"):
        changes.read_wanted([{"id": minion_id}], changes.ABSENT)


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([{"id": ONE, "fingerprint": GOOD}, {"id": ONE, "fingerprint": GOOD}], f"{ONE} is given twice"),
        ([{"id": ONE}], f"{ONE} is given without a fingerprint"),
        ([], "no key is given"),
        ([{"id": ONE, "fingerprint": "12:34"}], "32 bytes in hexadecimal"),
    ],
)
def test_a_wrong_list_is_refused(items: list[dict[str, str]], found: str) -> None:
    with pytest.raises(keys.SaltError, match=found):
        changes.read_wanted(items, changes.RECONCILED)


def test_accepting(master: Master) -> None:
    """By name and fingerprint, in whatever spelling."""
    master.put(keys.PENDING, ONE)
    master.put(keys.PENDING, TWO)
    planned = master.change(keys.ACCEPTED, (ONE, GOOD.replace(":", "").upper()))
    assert planned.diff()["before"] == f"{ONE} (pending, {GOOD})\n{TWO} (pending, {GOOD})\n"
    assert planned.diff()["after"] == f"{ONE} (accepted, {GOOD})\n{TWO} (pending, {GOOD})\n"
    assert master.states == {ONE: "accepted good", TWO: "pending good"}


def test_accepting_what_was_rejected_or_denied_needs_the_fingerprint(master: Master) -> None:
    master.put(keys.REJECTED, ONE)
    master.put(keys.DENIED, TWO)
    for minion_id in (ONE, TWO):
        with pytest.raises(changes.KeyRefused, match="no such key to accept"):
            master.plan(keys.ACCEPTED, (minion_id, ""))
    master.change(keys.ACCEPTED, (ONE, GOOD), (TWO, GOOD))
    assert master.states == {ONE: "accepted good", TWO: "accepted good"}


def test_an_accepted_key_of_a_rejected_id_is_unlocked(master: Master) -> None:
    """The master looks at what is rejected first. Another machine's rejected key is not taken away by the way."""
    master.put(keys.ACCEPTED, ONE)
    master.put(keys.REJECTED, ONE)
    master.put(keys.ACCEPTED, TWO)
    master.put(keys.REJECTED, TWO, "bad")
    master.change(keys.ACCEPTED, (ONE, ""))
    assert master.states[ONE] == "accepted good"
    with pytest.raises(changes.KeyRefused, match="another key of this id is rejected"):
        master.plan(keys.ACCEPTED, (TWO, GOOD))


@pytest.mark.parametrize("state", [keys.ACCEPTED, keys.REJECTED, changes.ABSENT])
def test_another_machines_key_is_refused(master: Master, state: str) -> None:
    master.put(keys.ACCEPTED, ONE, "bad")
    with pytest.raises(changes.KeyRefused, match="another machine's key"):
        master.plan(state, (ONE, GOOD))
    assert master.states == {ONE: "accepted bad"}


def test_rejecting(master: Master) -> None:
    master.put(keys.ACCEPTED, ONE)
    master.put(keys.PENDING, ONE)
    master.put(keys.PENDING, TWO)
    master.change(keys.REJECTED, (ONE, GOOD), (TWO, ""))
    assert master.states == {ONE: "rejected good", TWO: "rejected good"}
    with pytest.raises(changes.KeyRefused, match="nothing to reject"):
        master.plan(keys.REJECTED, ("nobody", ""))


def test_forgetting_in_every_state_and_the_cache(master: Master) -> None:
    """Nothing is lost: all of it lies aside, and again when the same happens again."""
    for number in (1, 2):
        for state in keys.DIRECTORIES:
            master.put(state, ONE, "good" if number == 1 else "bad")
        (master.cache / "minions" / ONE).mkdir(parents=True)
        (master.cache / "minions" / ONE / "mine.p").write_bytes(b"mine %d" % number)
        kept = master.plan(changes.ABSENT, (ONE, ""))
        assert kept.caches == []
        planned = master.change(changes.ABSENT, (ONE, ""), cache=True)
        assert planned.caches == [str(master.cache / "minions" / ONE)]
        assert (master.states, list((master.cache / "minions").iterdir())) == ({}, [])
        assert len(list(master.aside.rglob(f"minions*/{ONE}"))) == 5 * number
    assert sorted(path.read_bytes() for path in master.aside.rglob("mine.p")) == [b"mine 1", b"mine 2"]


@pytest.mark.parametrize(
    ("before", "after", "refused", "missing"),
    [
        # What is there as it has to be.
        ({"accepted": "good"}, "accepted good", [], False),
        # Copies of the same key.
        ({"accepted": "good", "pending": "good"}, "accepted good", [], False),
        ({"accepted": "good", "denied": "good"}, "accepted good", [], False),
        ({"pending": "good"}, "accepted good", [], False),
        ({"denied": "good"}, "accepted good", [], False),
        ({"pending": "good", "denied": "good"}, "accepted good", [], False),
        # Another machine's.
        ({"accepted": "bad"}, "accepted bad", ["accepted"], False),
        ({"accepted": "bad", "pending": "good"}, "accepted bad, pending good", ["accepted"], False),
        ({"accepted": "good", "pending": "bad"}, "accepted good, pending bad", ["pending"], False),
        ({"accepted": "good", "denied": "bad"}, "accepted good, denied bad", ["denied"], False),
        ({"pending": "bad"}, "pending bad", ["pending"], True),
        ({"pending": "good", "denied": "bad"}, "accepted good, denied bad", ["denied"], False),
        # What somebody has decided since.
        ({"rejected": "good"}, "rejected good", ["rejected"], True),
        ({"accepted": "good", "rejected": "good"}, "accepted good, rejected good", ["rejected"], False),
        ({"rejected": "good", "pending": "good"}, "pending good, rejected good", ["rejected"], True),
        ({}, None, [], True),
    ],
)
def test_reconciling(master: Master, before: dict[str, str], after: str | None, refused: list[str], missing: bool) -> None:
    for state, name in before.items():
        master.put(state, ONE, name)
    master.put(keys.PENDING, TWO)
    planned = master.change(changes.RECONCILED, (ONE, GOOD))
    assert master.states.get(ONE) == after
    assert [one["state"] for one in planned.refused] == refused
    assert planned.missing == [ONE] * missing
    assert planned.unknown == {"accepted": [], "pending": [TWO], "rejected": [], "denied": []}
    assert master.states[TWO] == "pending good"


def test_who_undoes_it_is_seen(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minion that knocks while keys are put in order makes its key wait again."""
    master.put(keys.ACCEPTED, ONE)
    master.put(keys.PENDING, ONE)
    planned = master.plan(changes.RECONCILED, (ONE, GOOD))
    read = changes.read_keys

    def knock(pki_dir: str) -> keys.Keys:
        master.put(keys.PENDING, ONE)
        return read(pki_dir)

    monkeypatch.setattr(changes, "read_keys", knock)
    with pytest.raises(keys.SaltError, match="are not as they were put"):
        changes.apply(planned, str(master.aside))
