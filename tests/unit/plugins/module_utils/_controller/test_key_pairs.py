# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are made and checked, with the real programs; and each of them broken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._controller import key_pairs
from ansible_collections.lifeboat.cluster.plugins.module_utils._controller.key_pairs import KeyPairsError, Keys, Wish
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing, signing

NAMES = ["age.key", "signing_key", "allowed_signers"]


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """Where keys are wanted; nothing is there, and not the directory either."""
    return Wish(*(str(tmp_path / "shop" / "keys" / name) for name in NAMES))


def failed(keys: Keys) -> dict[str, str]:
    """What was found by each check that is not met; each has a remedy."""
    found = {finding.id: finding.found for finding in keys.findings if not finding.passed}
    assert all(finding.remedy for finding in keys.findings if not finding.passed)
    return found


def state(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, permissions and time of every file."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mode & 0o777, path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def secrets(wish: Wish) -> list[str]:
    """What may be in no text."""
    identity = [line for line in Path(wish.identity_file).read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")]
    private = [line for line in Path(wish.signing_key).read_text().splitlines() if not line.startswith("-----")]
    assert len(identity) == 1
    assert len(private) > 2
    # The first line of an OpenSSH key is the same for all keys.
    return identity + private[1:]


def test_what_is_made_works(wish: Wish, tmp_path: Path) -> None:
    """age and ssh-keygen themselves read it, and nobody else can."""
    keys = key_pairs.prepare(wish)
    assert failed(keys) == {}
    assert [os.path.basename(path) for path in keys.made] == NAMES
    directory = Path(wish.identity_file).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {name: mode for name, (_content, mode, _time) in state(directory).items()} == {
        "age.key": 0o600,
        "signing_key": 0o600,
        "signing_key.pub": 0o644,
        "allowed_signers": 0o644,
    }
    assert [subprocess.run(["age-keygen", "-y", wish.identity_file], check=True, capture_output=True, text=True).stdout.strip()] == keys.recipients
    (tmp_path / "plain").write_bytes(b"words")
    subprocess.run(["age", "-r", keys.recipients[0], "-o", tmp_path / "sealed", tmp_path / "plain"], check=True)
    opened = subprocess.run(["age", "-d", "-i", wish.identity_file, tmp_path / "sealed"], check=True, capture_output=True)
    assert opened.stdout == b"words"
    signature = signing.sign(b"words", wish.signing_key, signing.MANIFEST_NAMESPACE)
    assert signing.verify(b"words", signature, signing.MANIFEST_NAMESPACE, wish.allowed_signers, "A text").principal == "backup"
    assert keys.signer == "backup"
    assert keys.signing_key in Path(wish.allowed_signers).read_text()
    # A key that signs recovery points signs nothing else.
    other = subprocess.run(["ssh-keygen", "-Y", "sign", "-f", wish.signing_key, "-n", "git"], input=b"words", check=True, capture_output=True).stdout
    (tmp_path / "other.sig").write_bytes(other)
    arguments = ["-Y", "verify", "-f", wish.allowed_signers, "-I", "backup", "-n", "git", "-s", str(tmp_path / "other.sig")]
    assert subprocess.run(["ssh-keygen", *arguments], input=b"words", capture_output=True, check=False).returncode != 0


def test_nothing_is_made_twice(wish: Wish, tmp_path: Path) -> None:
    first = key_pairs.prepare(wish)
    before = state(tmp_path)
    again = key_pairs.prepare(replace(wish, recipients=tuple(first.recipients)))
    assert again.made == []
    assert (again.recipients, again.signing_key, again.signer) == (first.recipients, first.signing_key, first.signer)
    assert failed(again) == {}
    assert state(tmp_path) == before


def test_check_mode_makes_nothing_and_says_the_same(wish: Wish, tmp_path: Path) -> None:
    shown = key_pairs.prepare(wish, check_mode=True)
    assert list(tmp_path.iterdir()) == []
    assert failed(shown) == {}
    assert (shown.recipients, shown.identity_here) == ([], False)
    done = key_pairs.prepare(wish)
    assert shown.made == done.made
    assert [finding.id for finding in shown.findings] == [finding.id for finding in done.findings]


def test_no_secret_is_in_what_is_told(wish: Wish) -> None:
    told = repr(key_pairs.prepare(wish)) + repr(key_pairs.prepare(wish)) + repr(key_pairs.shown([wish.identity_file]))
    os.chmod(wish.identity_file, 0o644)
    Path(wish.identity_file).write_text(Path(wish.identity_file).read_text() + "AGE-SECRET-KEY-1BROKEN\n")
    told += repr(key_pairs.prepare(wish))
    assert [secret for secret in [*secrets_of_two(wish), "BROKEN"] if secret in told] == []


def secrets_of_two(wish: Wish) -> list[str]:
    """The same of an identity file to which a line was added."""
    lines = Path(wish.identity_file).read_text().splitlines()
    Path(wish.identity_file).write_text("\n".join(lines[:-1]) + "\n")
    return secrets(wish)


def test_an_identity_that_is_kept_elsewhere_is_not_missing(wish: Wish) -> None:
    """Where the inventory names recipients, no other pair is made in its place."""
    first = key_pairs.prepare(wish)
    os.unlink(wish.identity_file)
    again = key_pairs.prepare(replace(wish, recipients=tuple(first.recipients)))
    assert (again.made, again.identity_here, failed(again)) == ([], False, {})
    assert not os.path.exists(wish.identity_file)


@pytest.mark.parametrize("last", [0, 1])
def test_a_run_that_was_killed_is_finished(wish: Wish, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Before each of its writes."""
    write, calls = key_pairs._write_new, []

    def killed(path: str, content: bytes, mode: int) -> None:
        calls.append(path)
        if len(calls) > last:
            raise KeyboardInterrupt
        write(path, content, mode)

    with monkeypatch.context() as patched:
        patched.setattr(key_pairs, "_write_new", killed)
        with pytest.raises(KeyboardInterrupt):
            key_pairs.prepare(wish)
    keys = key_pairs.prepare(wish)
    assert failed(keys) == {}
    assert os.path.basename(keys.made[-1]) == "allowed_signers"
    assert sorted(os.listdir(os.path.dirname(wish.identity_file))) == ["age.key", "allowed_signers", "signing_key", "signing_key.pub"]


def test_a_link_that_leads_nowhere_is_not_followed(wish: Wish, tmp_path: Path) -> None:
    """What is there stays, whatever it is."""
    key_pairs.prepare(wish)
    os.unlink(wish.identity_file)
    os.symlink(tmp_path / "safe" / "age.key", wish.identity_file)
    keys = key_pairs.prepare(wish)
    assert "identity_usable" in failed(keys)
    assert os.path.islink(wish.identity_file)
    assert not (tmp_path / "safe").exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file")
    with pytest.raises(KeyPairsError) as raised:
        key_pairs.prepare(Wish(*(str(tmp_path / "shop" / "keys" / name) for name in NAMES)))
    assert str(tmp_path / "shop") in raised.value.found
    assert "lifeboat_controller_directory" in raised.value.remedy


def _another_identity(wish: Wish) -> None:
    os.unlink(wish.identity_file)
    subprocess.run(["age-keygen", "-o", wish.identity_file], check=True, capture_output=True)


def _another_signing_key(wish: Wish) -> None:
    os.unlink(wish.signing_key)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", wish.signing_key], check=True, input=b"y\n")


def _passphrase(wish: Wish) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "planted-passphrase", "-f", wish.signing_key], check=True)


BREAKS: list[tuple[str, Callable[[Wish], object], str]] = [
    ("identity_usable", lambda wish: Path(wish.identity_file).write_text("AGE-SECRET-KEY-1NONE\n"), "line 1 is not"),
    ("identity_usable", lambda wish: Path(wish.identity_file).write_text(""), "No age identity"),
    ("identity_recipient", _another_identity, "has the private key of age1"),
    ("files_private", lambda wish: os.chmod(wish.identity_file, 0o640), "has mode 0640"),
    ("files_private", lambda wish: os.chmod(wish.signing_key, 0o604), "has mode 0604"),
    ("directories_private", lambda wish: os.chmod(os.path.dirname(wish.signing_key), 0o770), "has mode 0770"),
    ("signing_key_allowed", _another_signing_key, "do not have"),
    ("signing_key_allowed", _passphrase, "Signing failed"),
    ("signing_key_allowed", lambda wish: Path(wish.signing_key).write_text("no key\n"), "Signing failed"),
    ("signing_key_allowed", lambda wish: os.unlink(wish.signing_key), "signing_key is not"),
    ("signing_key_allowed", lambda wish: Path(wish.allowed_signers).write_text("# nobody\n"), "names nobody"),
    ("signing_key_allowed", lambda wish: Path(wish.allowed_signers).write_text("backup ssh-ed25519\n"), "do not have"),
]


@pytest.mark.parametrize(("check", "break_it", "found"), BREAKS)
def test_what_is_wrong_is_said_and_left_alone(wish: Wish, tmp_path: Path, check: str, break_it: Callable[[Wish], object], found: str) -> None:
    wish = replace(wish, recipients=tuple(key_pairs.prepare(wish).recipients))
    break_it(wish)
    before = state(tmp_path)
    keys = key_pairs.prepare(wish)
    assert check in failed(keys)
    assert found in failed(keys)[check]
    assert keys.made == []
    assert state(tmp_path) == before


@pytest.mark.parametrize("recipient", ["age1none", "AGE-SECRET-KEY-1PLANTED", ""])
def test_a_recipient_that_is_none(wish: Wish, recipient: str) -> None:
    keys = key_pairs.prepare(replace(wish, recipients=(recipient,)))
    assert "recipients_usable" in failed(keys)
    assert "PLANTED" not in repr(keys)


def test_keys_of_the_user(wish: Wish) -> None:
    """An SSH key as identity, and a signers file with another name for the key: both are known as what they are."""
    key_pairs.prepare(wish)
    os.unlink(wish.identity_file)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops@home", "-f", wish.identity_file], check=True)
    line = Path(wish.allowed_signers).read_text()
    Path(wish.allowed_signers).write_text(line.replace("backup ", "ops@shop ", 1))
    keys = key_pairs.prepare(replace(wish, recipients=(Path(wish.identity_file + ".pub").read_text(),)))
    assert failed(keys) == {}
    assert keys.signer == "ops@shop"
    # Under the name that the inventory gives, and under no other.
    assert "signing_key_allowed" in failed(key_pairs.prepare(replace(wish, signer="backup", recipients=keys.recipients)))


def test_what_is_sealed_to_the_recipients_opens(wish: Wish, tmp_path: Path) -> None:
    """The code of the collection seals and opens with them."""
    keys = key_pairs.prepare(wish)
    sealed = tmp_path / "sealed"
    with (tmp_path / "plain").open("w+b") as plain, sealed.open("wb") as sink:
        plain.write(b"words" * 1000)
        plain.seek(0)
        sealing.seal(plain, sink, keys.recipients)
    assert age_keys.load_identities([wish.identity_file])
    assert b"words" not in sealed.read_bytes()
    opened = subprocess.run(["age", "-d", "-i", wish.identity_file, sealed], check=True, capture_output=True).stdout
    assert subprocess.run(["zstd", "-dc"], input=opened, check=True, capture_output=True).stdout == b"words" * 1000
