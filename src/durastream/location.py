"""Where the store is: one string everywhere, found like git finds its folder. Standard library only."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from durastream.errors import StoreUnwritable, UsageError

__all__ = ["check_owner", "find_store", "make_store"]


_ANOTHER = "name another with --store or $DURASTREAM_STORE"


def find_store(explicit: str | None, environ: Mapping[str, str], cwd: str) -> str:
    """The folder of recordings: `--store`, `$DURASTREAM_STORE`, the nearest `recordings/`, else the user's own.

    Raises StoreUnwritable when none is named and the user has no home folder, UsageError for an empty name.
    """
    if explicit == "":
        raise UsageError("--store is empty: name the folder of recordings, or leave it out")
    named = explicit or environ.get("DURASTREAM_STORE")
    if named:
        return os.path.abspath(os.path.join(cwd, os.path.expanduser(named)))
    folder = cwd
    while True:
        candidate = os.path.join(folder, "recordings")
        if os.path.isdir(candidate):
            return candidate
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    state = environ.get("XDG_STATE_HOME") or os.path.expanduser(os.path.join("~", ".local", "state"))
    if not os.path.isabs(state):
        raise StoreUnwritable("there is no home folder to keep recordings in: name one with --store")
    return os.path.join(state, "durastream", "recordings")


def make_store(folder: str) -> None:
    """Make the folder, and the ones above it, private to the user. Raises StoreUnwritable, also for that of another."""
    try:
        _make(folder)
    except (FileExistsError, NotADirectoryError):
        what = "is a file, not a folder"
        if os.path.islink(folder) and not os.path.exists(folder):
            what = f"is a link to {os.readlink(folder)}, which leads nowhere"
        raise StoreUnwritable(f"the store {folder} {what}: name another with --store") from None
    except OSError as error:
        raise StoreUnwritable(
            f"cannot make the store {folder}: {error.strerror}: name another with --store or $DURASTREAM_STORE"
        ) from error
    check_owner(folder)
    if not os.access(folder, os.W_OK | os.X_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise StoreUnwritable(f"cannot write to the store {folder}: name another with --store or $DURASTREAM_STORE")


def check_owner(folder: str) -> None:
    """Refuse a store that others can put files into: theirs would be taken for ours, and ours would end up with them.

    Raises StoreUnwritable, with what to do, when the folder, its spool or a link in their place belongs to another
    user, or when everybody may write to it. One that is not there is nobody's.
    """
    me = os.geteuid()
    for path in (folder, os.path.join(folder, ".spool")):
        try:
            itself, found = os.lstat(path), os.stat(path)
        except OSError:
            continue
        link = stat.S_ISLNK(itself.st_mode)
        if link and (path != folder or itself.st_uid not in (me, 0)):
            raise StoreUnwritable(f"{path} is a link that durastream did not make: remove it, or {_ANOTHER}")
        if found.st_uid != me:
            raise StoreUnwritable(f"{path} belongs to another user (uid {found.st_uid}): {_ANOTHER}")
        if found.st_mode & stat.S_IWOTH:
            raise StoreUnwritable(f"everybody can write to {path}: chmod o-w it, or {_ANOTHER}")


def _make(folder: str) -> None:
    """`os.makedirs` gives its mode to the last folder only."""
    above = os.path.dirname(folder)
    if above != folder and not os.path.isdir(above):
        _make(above)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)  # whatever the umask
