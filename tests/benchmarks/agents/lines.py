"""Writes COUNT lines of 100 bytes to stdout, `buffered` or `line` by line, and the seconds that took into FILE."""

import os
import sys
import time

count, mode, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
words = b" the quick brown fox jumps over the lazy dog and does it again, to fill a line of text with words"
rest = words[:91].ljust(92, b".") + b"\n"
began = time.monotonic()
if mode == "buffered":
    with open(1, "wb", closefd=False) as out:
        for at in range(count):
            out.write(b"%07d" % at + rest)
else:
    write = os.write
    for at in range(count):
        write(1, b"%07d" % at + rest)
took = time.monotonic() - began
with open(file, "w") as out:
    out.write(f"{took:.6f}\n")
