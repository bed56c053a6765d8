# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing and opening: streams of any size in little memory, against the real age and zstd, and every damage is found."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing as signatures
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    DependencyMissingError,
    IdentityRefusedError,
    LocationFullError,
    ObjectMissingError,
    RecipientRefusedError,
    SealingError,
    SigningUnavailableError,
    WrongIdentityError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.environment import ROOT
from tests.unit.plugins.module_utils._recovery_point.making import Keys, assert_no_secrets, flip

KEY = "shop/points/p/artifacts/etcd/cp1.tar.zst.age"
NAME = "etcd/cp1.tar.zst.age"
SIZES = [0, 1, 65535, 65536, 65537, (1 << 18) - 1, 1 << 18, (1 << 20) + 7]


@pytest.fixture
def location(tmp_path: Path) -> FilesystemLocation:
    """An empty location."""
    (tmp_path / "location").mkdir(mode=0o700)
    return FilesystemLocation(str(tmp_path / "location"))


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def seal(location: FilesystemLocation, keys: Keys, content: bytes) -> sealing.Digests:
    """Seal bytes under KEY."""
    return sealing.seal_to(location, KEY, io.BytesIO(content), [keys.recipient])


def unseal(location: FilesystemLocation, keys: Keys, expected: sealing.Digests | None = None) -> bytes:
    """Open KEY into memory."""
    target = io.BytesIO()
    identities = age_keys.load_identities([str(keys.identity_file)])
    sealing.unseal_from(location, KEY, target, identities, what=NAME, expected=expected, recipients=[keys.recipient])
    return target.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_in_comes_out_with_the_right_digests(location: FilesystemLocation, keys: Keys, size: int) -> None:
    content = os.urandom(size)
    digests = seal(location, keys, content)
    sealed = location.read(KEY, 1 << 24)
    assert digests == sealing.Digests(sha256(content), size, sha256(sealed), len(sealed))
    assert unseal(location, keys, digests) == content
    assert sealing.hash_object(location, KEY)[2:] == digests[2:]


@pytest.mark.parametrize("size", SIZES)
def test_the_streaming_side_gives_the_same(location: FilesystemLocation, keys: Keys, size: int) -> None:
    content = os.urandom(size)
    digests = seal(location, keys, content)
    identities = age_keys.load_identities([str(keys.identity_file)])
    with sealing.opened(location, KEY, identities, what=NAME, expected=digests) as plain:
        assert plain.read() == content
    with sealing.opened(location, KEY, identities, what=NAME, expected=digests) as plain:
        assert plain.read(10) == content[:10]


def test_stock_age_and_zstd_open_it_and_the_other_way_round(location: FilesystemLocation, keys: Keys, tmp_path: Path) -> None:
    content = os.urandom(300000) + bytes(300000)
    digests = seal(location, keys, content)
    command = f"age --decrypt --identity '{keys.identity_file}' '{location.path}/{KEY}' | zstd --decompress --stdout"
    assert subprocess.run(["bash", "-ec", command], check=True, capture_output=True).stdout == content
    other = tmp_path / "other.age"
    subprocess.run(["bash", "-ec", f"zstd --stdout | age --recipient {keys.recipient} --output {other}"], input=content, check=True)
    target = io.BytesIO()
    with other.open("rb") as source:
        found = sealing.unseal(source, target, age_keys.load_identities([str(keys.identity_file)]), what=NAME)
    assert target.getvalue() == content
    assert found.plain_sha256 == digests.plain_sha256


def test_several_recipients_and_ssh_keys(location: FilesystemLocation, keys: Keys, stranger: Keys, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh], check=True)
    sealing.seal_to(location, KEY, io.BytesIO(b"content"), [keys.recipient, ssh.with_suffix(".pub").read_text(), stranger.recipient])
    for identity in (keys.identity_file, ssh, stranger.identity_file):
        target = io.BytesIO()
        sealing.unseal_from(location, KEY, target, age_keys.load_identities([str(identity)]), what=NAME)
        assert target.getvalue() == b"content"


def test_a_generator_is_sealed_while_it_produces(location: FilesystemLocation, keys: Keys) -> None:
    blocks = [os.urandom(32768) for _count in range(64)]
    digests = sealing.seal_to(location, KEY, iter(blocks), [keys.recipient])
    assert digests.plain_sha256 == sha256(b"".join(blocks))
    assert unseal(location, keys, digests) == b"".join(blocks)


def test_a_generator_that_fails_leaves_nothing_and_its_error_comes_out(location: FilesystemLocation, keys: Keys) -> None:
    class EtcdWentAwayError(Exception):
        pass

    def blocks() -> Iterator[bytes]:
        yield os.urandom(1 << 20)
        raise EtcdWentAwayError("in the middle")

    with pytest.raises(EtcdWentAwayError, match="in the middle"):
        sealing.seal_to(location, KEY, blocks(), [keys.recipient])
    assert location.size(KEY) is None
    assert not [path for path in Path(location.path).rglob("*") if path.is_file()]


def test_a_failing_sink_stops_the_generator(keys: Keys) -> None:
    class FullDisk:
        def write(self, data: bytes) -> int:
            raise LocationFullError("No space is left")

    produced = []
    closed = []

    def blocks() -> Iterator[bytes]:
        try:
            for number in range(1000):
                produced.append(number)
                yield os.urandom(1 << 18)
        finally:
            closed.append(True)

    source = blocks()
    with pytest.raises(LocationFullError, match="No space is left"):
        sealing.seal(source, FullDisk(), [keys.recipient])
    assert len(produced) < 100
    source.close()
    assert closed


def test_a_check_that_refuses_leaves_nothing(location: FilesystemLocation, keys: Keys) -> None:
    def refuse(_digests: sealing.Digests) -> None:
        raise LifeboatError("not what was announced")

    with pytest.raises(LifeboatError, match="announced"):
        sealing.seal_to(location, KEY, io.BytesIO(b"content"), [keys.recipient], refuse)
    assert location.size(KEY) is None


def test_every_flipped_byte_is_found(location: FilesystemLocation, keys: Keys) -> None:
    digests = seal(location, keys, os.urandom(150000))
    path = Path(location.path, KEY)
    size = path.stat().st_size
    for position in [*range(0, 400, 7), *range(400, size, 7919), size - 1]:
        flip(path, position)
        with pytest.raises(SealingError) as caught:
            unseal(location, keys, digests)
        assert NAME in str(caught.value)
        assert sealing.hash_object(location, KEY).sealed_sha256 != digests.sealed_sha256
        flip(path, position)
    assert len(unseal(location, keys, digests)) == 150000


@pytest.mark.parametrize("expecting", [True, False])
def test_truncation_and_trailing_bytes_are_found_also_without_digests(location: FilesystemLocation, keys: Keys, expecting: bool) -> None:
    digests = seal(location, keys, os.urandom(200000))
    path = Path(location.path, KEY)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[: 65536 + 300], whole[:100], b"", whole + b"x", whole + bytes(70000), whole + whole):
        path.write_bytes(content)
        with pytest.raises(ArtifactDamagedError, match="damaged"):
            unseal(location, keys, digests if expecting else None)


def test_zstd_inside_that_is_cut_off_or_goes_on_is_found(location: FilesystemLocation, keys: Keys) -> None:
    """Somebody who can encrypt to the recipients can make a sound age file around anything; the manifest still tells."""
    content = os.urandom(400000)
    digests = seal(location, keys, content)
    compressed = subprocess.run(["zstd", "--stdout"], input=content, check=True, capture_output=True).stdout
    again = subprocess.run(["zstd", "--stdout"], input=b"more", check=True, capture_output=True).stdout
    for forged in (compressed[:-1], compressed[: len(compressed) // 2], compressed + b"garbage", compressed + again, b"", b"not zstd at all"):
        path = Path(location.path, KEY)
        path.write_bytes(subprocess.run(["age", "--recipient", keys.recipient], input=forged, check=True, capture_output=True).stdout)
        with pytest.raises(ArtifactDamagedError):
            unseal(location, keys, digests)


def test_a_bomb_is_stopped_at_the_recorded_size(location: FilesystemLocation, keys: Keys) -> None:
    small = seal(location, keys, b"small")
    Path(location.path, KEY).unlink()
    bomb = sealing.seal_to(location, KEY, (bytes(1 << 20) for _count in range(64)), [keys.recipient])
    taken = []

    class Sink:
        def write(self, data: bytes) -> int:
            taken.append(len(data))
            return len(data)

    identities = age_keys.load_identities([str(keys.identity_file)])
    with pytest.raises(ArtifactDamagedError, match="holds more than was sealed"):
        sealing.unseal_from(location, KEY, Sink(), identities, what=NAME, expected=bomb._replace(plain_size_bytes=small.plain_size_bytes))
    assert sum(taken) == 0


def test_another_content_than_the_recorded_one_is_named(location: FilesystemLocation, keys: Keys) -> None:
    digests = seal(location, keys, b"content")
    with pytest.raises(ArtifactDamagedError, match="plain_sha256 is .* not 0{64}") as caught:
        unseal(location, keys, digests._replace(plain_sha256="0" * 64))
    assert caught.value.details["artifact"] == NAME


def test_the_wrong_identity_is_told_whom_to_ask(location: FilesystemLocation, keys: Keys, stranger: Keys) -> None:
    digests = seal(location, keys, b"content")
    with pytest.raises(WrongIdentityError) as caught:
        sealing.unseal_from(
            location, KEY, sealing.Discard(), age_keys.load_identities([str(stranger.identity_file)]), what=NAME, expected=digests, recipients=[keys.recipient]
        )
    assert f"recipients of this point are: {keys.recipient}" in str(caught.value)
    assert_no_secrets(str(caught.value))
    with pytest.raises(WrongIdentityError), sealing.opened(
        location, KEY, age_keys.load_identities([str(stranger.identity_file)]), what=NAME, expected=digests
    ) as plain, tarfile.open(fileobj=plain, mode="r|"):
        pass


def read_and_fail(location: FilesystemLocation, keys: Keys, digests: sealing.Digests, size: int) -> None:
    """Read some of the plain bytes, then fail for another reason."""
    identities = age_keys.load_identities([str(keys.identity_file)])
    with sealing.opened(location, KEY, identities, what=NAME, expected=digests) as plain:
        raise ValueError(f"enough: {len(plain.read(size))} bytes")


def test_the_damage_and_not_what_follows_from_it_is_reported(location: FilesystemLocation, keys: Keys) -> None:
    digests = seal(location, keys, os.urandom(1 << 20))
    flip(Path(location.path, KEY), 500000)
    with pytest.raises(ArtifactDamagedError, match="damaged"):
        read_and_fail(location, keys, digests, 1 << 20)


def test_a_reader_that_stops_early_with_its_own_error(location: FilesystemLocation, keys: Keys) -> None:
    digests = seal(location, keys, os.urandom(8 << 20))
    with pytest.raises(ValueError, match="enough: 10 bytes"):
        read_and_fail(location, keys, digests, 10)


def test_a_missing_object(location: FilesystemLocation, keys: Keys) -> None:
    identities = age_keys.load_identities([str(keys.identity_file)])
    with pytest.raises(ObjectMissingError):
        sealing.unseal_from(location, KEY, sealing.Discard(), identities, what=NAME)
    with pytest.raises(ObjectMissingError), sealing.opened(location, KEY, identities, what=NAME) as plain:
        plain.read()


def test_recipients_that_cannot_be_sealed_to() -> None:
    with pytest.raises(RecipientRefusedError, match="Nobody is named"):
        age_keys.parse_recipients([])
    for text in ("age1planted", "", "ssh-ed25519 AAAA", "ssh-dss AAAA", "somebody"):
        with pytest.raises(RecipientRefusedError, match="not a recipient"):
            age_keys.parse_recipients([text])


def test_a_private_key_among_the_recipients_is_refused_unseen(keys: Keys) -> None:
    secret = keys.identity_file.read_text().split()[-1]
    for text in (secret, " " + secret):
        with pytest.raises(RecipientRefusedError, match="private key") as caught:
            age_keys.parse_recipients([text])
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value.as_result())


def test_identity_files_that_cannot_be_used_are_named_and_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(IdentityRefusedError, match="No age identity"):
        age_keys.load_identities([])
    path = tmp_path / "identity"
    with pytest.raises(IdentityRefusedError, match="cannot be read"):
        age_keys.load_identities([str(path)])
    path.write_text("# only a comment\n\n")
    with pytest.raises(IdentityRefusedError, match="No age identity"):
        age_keys.load_identities([str(path)])
    path.write_text("# created\nAGE-SECRET-KEY-1PLANTED0000\n")
    with pytest.raises(IdentityRefusedError, match="line 2 is not") as caught:
        age_keys.load_identities([str(path)])
    assert "PLANTED" not in str(caught.value)
    assert caught.value.__cause__ is None
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", tmp_path / "locked"], check=True)
    with pytest.raises((IdentityRefusedError, WrongIdentityError), match="passphrase"):
        age_keys.load_identities([str(tmp_path / "locked")])
    for content, word in (
        (b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "it is encrypted itself"),
        (b"age-encryption.org/v1\n-> scrypt x 18\n\xff\xfe", "it is encrypted itself"),
        (b"# recipient: age1yubikey1x\nAGE-PLUGIN-YUBIKEY-1X\n", "identity of a plugin"),
    ):
        path.write_bytes(content)
        with pytest.raises(IdentityRefusedError, match=word):
            age_keys.load_identities([str(path)])


@pytest.mark.parametrize("key", ["AGE-SECRET-KEY-1PLANTED0000", "age-secret-key-1planted0000", "-----BEGIN OPENSSH PRIVATE KEY-----\nPLANTED"])
def test_a_private_key_where_something_else_is_meant_is_not_quoted(key: str) -> None:
    with pytest.raises(IdentityRefusedError, match="where the name of its file is meant") as identity:
        age_keys.load_identities([key])
    with pytest.raises(RecipientRefusedError, match="A recipient is a private key") as recipient:
        age_keys.parse_recipients([key])
    with pytest.raises(SigningUnavailableError, match="itself is given where the name of a file is meant") as signing:
        signatures.sign(b"data", key, signatures.MANIFEST_NAMESPACE)
    with pytest.raises(SigningUnavailableError, match="itself is given where the name of a file is meant") as signers:
        signatures.check_allowed_signers(key)
    for caught in (identity, recipient, signing, signers):
        assert "PLANTED" not in str(caught.value.as_result()).upper()


def test_an_identity_file_may_begin_with_a_byte_order_mark(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "identity"
    path.write_bytes(b"\xef\xbb\xbf" + Path(keys.identity_file).read_bytes())
    assert len(age_keys.load_identities([str(path)])) == len(age_keys.load_identities([str(keys.identity_file)]))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    for package in ("pyrage", "zstandard"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(DependencyMissingError, match=package) as caught:
                sealing.seal(io.BytesIO(b""), sealing.Discard(), [keys.recipient])
            assert f"{sys.executable} -m pip install {package}" in caught.value.remedy


def test_files_that_messages_name_are_in_the_collection() -> None:
    """What a message tells people to install from is a file of the artifact: not of the checkout alone, nor of nowhere."""
    left_out = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    named = {name for path in (ROOT / "plugins").rglob("*.py") for name in re.findall(r"[\w./-]*requirements\.txt(?= of the collection)", path.read_text())}
    assert named == {"meta/ee-requirements.txt"}
    assert (ROOT / "meta" / "ee-requirements.txt").is_file()
    assert not {"meta", "meta/ee-requirements.txt"} & set(left_out)


MEASURED = """
import sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing as signatures
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
root, key, source, recipient, identity = sys.argv[1:]
location = FilesystemLocation(root)
with open(source, "rb") as stream:
    digests = sealing.seal_to(location, key, stream, [recipient])
assert digests.plain_size_bytes == 256 << 20, digests
sealing.unseal_from(location, key, sealing.Discard(), age_keys.load_identities([identity]), what=key, expected=digests)
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_large_files_pass_in_little_memory(location: FilesystemLocation, keys: Keys, tmp_path: Path) -> None:
    source = tmp_path / "large"
    with source.open("wb") as stream:
        stream.write(os.urandom(48 << 20))
        stream.truncate(256 << 20)
    arguments = [location.path, KEY, str(source), keys.recipient, str(keys.identity_file)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 1024, f"{done.stdout} KiB resident"
