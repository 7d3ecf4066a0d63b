"""`durastream seal`: the seal of a finished run, to be kept elsewhere or signed."""

from __future__ import annotations

import os
import time

from durastream.cli.common import find, open_found, put
from durastream.cli.ending import say
from durastream.errors import UsageError
from durastream.ledger import now_text
from durastream.seals import seal_of, sign, write_signature
from durastream.stores import FolderStore
from durastream.stores.folder import SIGNATURE

__all__ = ["seal", "signed"]


def seal(store: FolderStore, ref: str, key: str | None, out: str | None) -> int:
    """Print the seal; with a key, write a signature of it beside the recording or where `out` says."""
    if out is not None and key is None:
        raise UsageError("--out is where the signature goes: it takes --sign")
    reader = open_found(store, find(store, ref))
    sealed = seal_of(reader)
    if key is not None:
        path = out or os.path.splitext(reader.path)[0] + SIGNATURE
        write_signature(path, sign(sealed, key, now_text(time.time())))
        say(f"{reader.run_id} signed: {path}")
    put(sealed.seal)
    return 0


def signed(signature: str | None, key: str | None) -> tuple[str, str] | None:
    """The two words with which `verify` is asked to check a signature; both or none."""
    if signature is None and key is None:
        return None
    if signature is None or key is None:
        raise UsageError("--signature FILE and --key PUB go together")
    return signature, key
