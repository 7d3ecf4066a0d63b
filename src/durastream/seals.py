"""The seal of a finished run, and Ed25519 signatures of it.

    {"durastream_signature":1,"run_id":"k3v9p2","seal":"sha256:…","events":42,"signed_at":"…","key":"ed25519:…",
     "signature":"…"}

A signature file is one such line. What is signed is the exact text of the line without `,"signature":"…"` before its
last brace. `key` names the public key by its 32 bytes; who verifies brings a key of his own and compares.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from durastream.errors import Damaged, DurastreamError, StoreUnwritable, UsageError
from durastream.events import chain, dumps, genesis, show_hash
from durastream.follow import read_all
from durastream.stores import Reader

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Seal", "seal_of", "sign", "signature_faults", "write_signature"]

VERSION = 1

_MOST = 1 << 20
_SIGNATURE = ',"signature":"'


class Seal(NamedTuple):
    """The last hash of a finished run, as printed, and how many events it stands for."""

    run_id: str
    seal: str
    events: int


def seal_of(reader: Reader) -> Seal:
    """The seal of a run, its chain followed from the first event to the last.

    Raises Damaged where the chain breaks, DurastreamError when the run has no end.
    """
    head, seq, type_ = genesis(reader.run_id), 0, ""
    for batch in read_all(reader):
        for event in batch:
            head = chain(head, event.body)
            if head != event.hash or event.seq != seq + 1:
                raise Damaged(
                    f"run {reader.run_id} does not hold at event {event.seq}: durastream verify {reader.path}"
                )
            seq, type_ = event.seq, event.type
    if reader.damage:
        raise Damaged(f"run {reader.run_id} does not hold: {reader.damage[0]}: durastream verify {reader.path}")
    if type_ != "run.completed":
        raise DurastreamError(f"run {reader.run_id} is not over: only a finished run has a seal")
    return Seal(reader.run_id, show_hash(head), seq)


def sign(seal: Seal, key_path: str, signed_at: str) -> str:
    """The signature of a seal with the private key in a file, as the line that a signature file holds.

    The key is PEM (`openssl genpkey -algorithm ed25519`) or that of OpenSSH. Raises UsageError when it is none of these
    or the package cryptography is not there.
    """
    key = _private_key(key_path)
    told = {"durastream_signature": VERSION, **seal._asdict(), "signed_at": signed_at, "key": _name(key.public_key())}
    body = dumps(
        {name: told[name] for name in ("durastream_signature", "run_id", "seal", "events", "signed_at", "key")}
    )
    signature = base64.b64encode(key.sign(body.encode())).decode()
    return f'{body[:-1]}{_SIGNATURE}{signature}"}}\n'


def write_signature(path: str, line: str) -> None:
    """Write a signature file, which must not be there. Raises StoreUnwritable."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(line)
    except FileExistsError:
        raise StoreUnwritable(f"{path} is there already: name another file with --out") from None
    except OSError as error:
        raise StoreUnwritable(f"cannot write {path}: {error.strerror}: name another file with --out") from error


def signature_faults(path: str, key_path: str, run_id: str, seal: str) -> list[str]:
    """What speaks against a signature file being that of this run by this public key; nothing when it is.

    Raises UsageError when the file or the key cannot be read, or the package cryptography is not there.
    """
    key = _public_key(key_path)
    try:
        body, signature, told = _parsed(_contents(path))
    except (ValueError, TypeError, KeyError, RecursionError):
        return [f"{path} is no signature of durastream"]
    if told["key"] != _name(key):
        return [f"{path} was signed with another key than {key_path}: {told['key'][:80]}"]
    from cryptography.exceptions import InvalidSignature  # as in _loaders

    try:
        key.verify(signature, body.encode())
    except InvalidSignature:
        return [f"{path} is not what was signed: its signature does not fit"]
    if told["run_id"] != run_id:
        return [f"{path} is of run {told['run_id'][:80]}, this is {run_id}"]
    if told["seal"] != seal:
        return [f"{path} is of the seal {told['seal'][:80]}, this run has {seal}"]
    return []


def _parsed(data: bytes) -> tuple[str, bytes, dict[str, Any]]:
    """The text that was signed, the signature, and what the text says."""
    text = data.decode()
    told = json.loads(text)
    encoded = told["signature"]
    body, cut, rest = text.rpartition(_SIGNATURE)
    signature = base64.b64decode(encoded, validate=True)
    spelled = base64.b64encode(signature).decode()  # one signature has one spelling
    if not cut or rest != f'{spelled}"}}\n' or told["durastream_signature"] != VERSION:
        raise ValueError("the signature is not at its end")
    if not all(type(told[name]) is str for name in ("run_id", "seal", "key")):
        raise TypeError("a field is not what it must be")
    return body + "}", signature, told


def _name(key: Ed25519PublicKey) -> str:
    return f"ed25519:{key.public_bytes_raw().hex()}"


def _private_key(path: str) -> Ed25519PrivateKey:
    serialization, ed25519 = _loaders()
    data = _contents(path)
    openssh = b"OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = load(data, password=None)
    except TypeError:
        raise UsageError(f"the key in {path} is protected by a password: nothing can be signed with it") from None
    except Exception:  # noqa: BLE001 - what cryptography raises for a file that is no key differs by its version
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{path} holds no private Ed25519 key (PEM or OpenSSH): nothing was signed")
    found: Ed25519PrivateKey = key
    return found


def _public_key(path: str) -> Ed25519PublicKey:
    serialization, ed25519 = _loaders()
    data = _contents(path)
    key: Any = None
    for load in (serialization.load_pem_public_key, serialization.load_ssh_public_key):
        with contextlib.suppress(Exception):
            key = key or load(data)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(f"{path} holds no public Ed25519 key (PEM or OpenSSH)")
    found: Ed25519PublicKey = key
    return found


def _loaders() -> tuple[Any, Any]:
    """What reads keys: an extra, which nobody else needs."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UsageError("signatures need the package cryptography: pip install 'durastream-cli[sign]'") from None
    return serialization, ed25519


def _contents(path: str) -> bytes:
    if not os.path.isfile(path):
        raise UsageError(f"{path} is not there, or not a plain file")
    try:
        with open(path, "rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
