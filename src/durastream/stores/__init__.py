"""Where events are kept. A recording is one file with one writer; a store is a folder of recordings."""

from __future__ import annotations

from durastream.stores.folder import FolderStore, Found, open_store
from durastream.stores.protocols import Batch, Chunk, Head, MessageRow, RawChunk, Reader, Row, Rows, RunInfo, Writer

__all__ = [
    "Batch",
    "Chunk",
    "FolderStore",
    "Found",
    "Head",
    "MessageRow",
    "RawChunk",
    "Reader",
    "Row",
    "Rows",
    "RunInfo",
    "Writer",
    "open_store",
]
