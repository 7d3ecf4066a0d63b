"""The seal of a run, and signatures of it: made with one half of a key, checked with the other."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PLAIN = form.NoEncryption()


def private(key: Any, kind: form.PrivateFormat, locked: Any = PLAIN) -> bytes:
    made: bytes = key.private_bytes(form.Encoding.PEM, kind, locked)
    return made


def public(key: Any) -> dict[str, bytes]:
    half = key.public_key()
    return {
        "pem": half.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo),
        "ssh": half.public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH) + b" someone\n",
    }


def key_files(folder: Path) -> None:
    files = {
        "key.pem": private(KEY, form.PrivateFormat.PKCS8),
        "key.ssh": private(KEY, form.PrivateFormat.OpenSSH),
        "locked.pem": private(KEY, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"word")),
        "curve.pem": private(generate_private_key(SECP256R1()), form.PrivateFormat.PKCS8),
        "curve.pub": public(generate_private_key(SECP256R1()))["pem"],
        "pub.pem": public(KEY)["pem"],
        "pub.ssh": public(KEY)["ssh"],
        "other.pem": public(OTHER)["pem"],
        "noise": b"\x00noise",
        "empty": b"",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def run(ds: Cli) -> str:
    """A finished run, with key files beside it."""
    ds("run", "--name", "agent", "--view", "none", "--", "echo", "forty-two")
    key_files(ds.folder)
    return str(ds.show("agent")["run_id"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with key files in it."""
    key_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_seal_is_printed_and_is_the_one_that_verify_checks(ds: Cli, run: str) -> None:
    seal = ds.here("seal", "agent").stdout.strip()
    assert seal == ds.show("agent")["seal"]
    ds.here("verify", "agent", "--seal", seal)
    assert not list(ds.store.glob("*.sig"))


@pytest.mark.parametrize("key", ["key.pem", "key.ssh"])
@pytest.mark.parametrize("pub", ["pub.pem", "pub.ssh"])
def test_what_was_signed_with_a_key_is_verified_with_its_other_half(ds: Cli, run: str, key: str, pub: str) -> None:
    done = ds("seal", "agent", "--sign", key)
    assert done.stdout.strip() == ds.show("agent")["seal"]
    signature = ds.store / f"{run}.sig"
    assert f"{run} signed: {signature}" in done.stderr
    ds("verify", "agent", "--signature", str(signature), "--key", pub)
    ds.here("rm", "agent")
    assert not signature.exists()


def test_a_signature_can_be_checked_without_durastream(ds: Cli, run: str) -> None:
    ds("seal", "agent", "--sign", "key.pem", "--out", "signature")
    line = (ds.folder / "signature").read_text("utf-8")
    body, _, rest = line.rpartition(',"signature":"')
    key = form.load_pem_public_key((ds.folder / "pub.pem").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.b64decode(rest.removesuffix('"}\n')), (body + "}").encode())
    told = json.loads(line)
    assert (told["run_id"], told["seal"]) == (run, ds.show("agent")["seal"])
    assert told["events"] == ds.show("agent")["last_seq"]
    assert told["key"] == "ed25519:" + KEY.public_key().public_bytes_raw().hex()


def found(ds: Cli, *words: str) -> str:
    """The one finding of verify, with a signature."""
    report = json.loads(ds.here("verify", *words, "--json", code=1).stdout)
    (finding,) = report["findings"]
    assert finding["code"] == "signature"
    return str(finding["message"])


def test_the_signature_of_another_key_is_found(ds: Cli, run: str) -> None:
    ds.here("seal", "agent", "--sign", str(ds.folder / "key.pem"), "--out", str(ds.folder / "signature"))
    words = "agent", "--signature", str(ds.folder / "signature"), "--key", str(ds.folder / "other.pem")
    assert "was signed with another key than" in found(ds, *words)
    told = json.loads((ds.folder / "signature").read_text("utf-8"))
    told["key"] = "ed25519:" + OTHER.public_key().public_bytes_raw().hex()  # it can say of itself what it likes
    (ds.folder / "signature").write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")
    assert "is not what was signed" in found(ds, *words)


def test_the_signature_of_another_run_is_found(ds: Cli, run: str) -> None:
    ds("seal", "agent", "--sign", "key.pem", "--out", "signature")
    ds("run", "--name", "second", "--view", "none", "--", "echo", "forty-two")
    words = "--signature", str(ds.folder / "signature"), "--key", str(ds.folder / "pub.pem")
    assert f"is of run {run}, this is" in found(ds, "second", *words)


def test_any_changed_byte_of_a_signature_file_is_found(ds: Cli, run: str) -> None:
    from durastream.seals import signature_faults

    path, key, seal = ds.folder / "signature", str(ds.folder / "pub.pem"), str(ds.show("agent")["seal"])
    ds("seal", "agent", "--sign", "key.pem", "--out", str(path))
    whole = path.read_bytes()
    assert signature_faults(str(path), key, run, seal) == []
    for at in range(len(whole)):
        for flip in (0x01, 0x04, 0x20):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            assert signature_faults(str(path), key, run, seal), (at, flip)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert signature_faults(str(path), key, run, seal), size


def test_a_recording_made_anew_does_not_fit_the_signature_of_the_first(ds: Cli, run: str) -> None:
    from durastream.events import chain, genesis, show_hash
    from durastream.stores.folder import open_reader

    ds("import", "--name", "lines", "--log", "jsonl", "noise")
    made = ds.store / f"{ds.show('lines')['run_id']}.jsonl"
    ds("seal", "lines", "--sign", "key.pem", "--out", "signature")
    reader = open_reader(str(made))
    digest, lines = genesis(reader.run_id), [made.read_text("utf-8").split("\n")[0]]
    for event in reader.read():
        body = event.body.replace('"lines"', '"forged"')
        digest = chain(digest, body)
        lines.append(f'{body[:-1]},"hash":"{show_hash(digest)}"}}')
    reader.close()
    lines[0] = lines[0].replace('"lines"', '"forged"')
    made.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = str(made), "--signature", str(ds.folder / "signature"), "--key", str(ds.folder / "pub.pem")
    report = json.loads(ds.here("verify", *words, "--json", code=1).stdout)
    assert {finding["code"] for finding in report["findings"]} == {"signature", "raw"}
    assert any("is of the seal" in each["message"] for each in report["findings"] if each["code"] == "signature")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("seal", "agent", "--sign", "absent"), 2, "absent is not there"),
        (("seal", "agent", "--sign", "noise"), 2, "noise holds no private Ed25519 key"),
        (("seal", "agent", "--sign", "empty"), 2, "empty holds no private Ed25519 key"),
        (("seal", "agent", "--sign", "pub.pem"), 2, "pub.pem holds no private Ed25519 key"),
        (("seal", "agent", "--sign", "curve.pem"), 2, "curve.pem holds no private Ed25519 key"),
        (("seal", "agent", "--sign", "locked.pem"), 2, "locked.pem is protected by a password"),
        (("seal", "agent", "--sign", "key.pem", "--out", "noise"), 125, "noise is there already"),
        (("seal", "agent", "--sign", "key.pem", "--out", "no/folder"), 125, "cannot write no/folder"),
        (("seal", "agent", "--out", "x"), 2, "it takes --sign"),
        (("seal", "absent"), 3, "no run 'absent'"),
        (("verify", "agent", "--signature", "noise"), 2, "--signature FILE and --key PUB go together"),
        (("verify", "agent", "--key", "pub.pem"), 2, "--signature FILE and --key PUB go together"),
        (("verify", "agent", "--signature", "absent", "--key", "pub.pem"), 2, "absent is not there"),
        (("verify", "agent", "--signature", "noise", "--key", "key.pem"), 2, "key.pem holds no public Ed25519 key"),
        (("verify", "agent", "--signature", "noise", "--key", "curve.pub"), 2, "curve.pub holds no public Ed25519 key"),
        (("verify", "--all", "--signature", "noise", "--key", "pub.pem"), 2, "--signature is of one run"),
    ],
)
def test_what_cannot_be_signed_or_verified_is_said(
    shelf: Cli, here: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    words = tuple("three" if word == "agent" else word for word in words)
    assert said in shelf.here(*words, code=code).stderr
    assert (here / "noise").read_bytes() == b"\x00noise"


def test_what_is_no_signature_is_a_finding(shelf: Cli, here: Path) -> None:
    for name in ("noise", "empty", "pub.pem"):
        assert found(shelf, "slow", "--signature", name, "--key", "pub.pem") == f"{name} is no signature of durastream"


def test_what_is_asked_for_by_hand_is_filtered_by_no_option_and_no_file(ds: Cli, run: str) -> None:
    other = ("--seal", "sha256:" + "0" * 64)
    for filters in ((), ("--select", "visibility"), ("--ignore", "log")):
        assert "the seal is" in ds.here("verify", "agent", *other, *filters, code=1).stdout
    (ds.folder / "durastream.toml").write_text('[verify]\nselect = ["visibility"]\n', encoding="utf-8")
    assert "the seal is" in ds("verify", "agent", *other, code=1).stdout
    signature = ("--signature", "noise", "--key", "pub.pem")
    assert "noise is no signature" in ds("verify", "agent", *signature, code=1).stdout
    ds("verify", "agent")


def test_only_a_finished_run_that_holds_has_a_seal(ds: Cli, run: str) -> None:
    going, flag = ds.waiting()
    assert "is not over: only a finished run has a seal" in ds.here("seal", going, code=1).stderr
    flag.touch()
    ds.finished(going)
    ds("import", "--name", "lines", "--log", "jsonl", "noise")
    made = ds.store / f"{ds.show('lines')['run_id']}.jsonl"
    copy = Path(shutil.copy(made, ds.folder))
    whole = copy.read_bytes()
    copy.write_bytes(whole.replace(b'"role":"assistant"', b'"role":"assistent"'))
    assert "does not hold at event 2: durastream verify" in ds.here("seal", str(copy), code=3).stderr
    copy.write_bytes(whole.replace(b'{"raw":', b'{"rau":'))
    assert "does not hold: line" in ds.here("seal", str(copy), code=3).stderr


def test_without_cryptography_it_says_what_to_install(shelf: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    signature = "--signature", "noise", "--key", "pub.pem"
    for words in (("seal", "three", "--sign", "key.pem"), ("verify", "three", *signature)):
        assert "pip install 'durastream-cli[sign]'" in shelf.here(*words, code=2).stderr
    shelf.here("seal", "three")
