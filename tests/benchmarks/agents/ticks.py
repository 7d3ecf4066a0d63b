"""Writes numbered lines with the time of each, at a given pace: ticks GO_FILE WHERE:COUNT:PAUSE …

WHERE is `events` (text.delta in native form) or `stdout`. Begins when GO_FILE is there. A line reads
`w000012x<CLOCK_MONOTONIC in ns>z`.
"""

import json
import os
import sys
import time

events = os.open(os.environ["DURASTREAM_EVENTS"], os.O_WRONLY | os.O_APPEND)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
number = 0
for phase in sys.argv[2:]:
    where, count, pause = phase.split(":")
    due = time.monotonic()
    for _ in range(int(count)):
        due += float(pause)
        time.sleep(max(0.0, due - time.monotonic()))
        text = f"w{number:06d}x{time.monotonic_ns()}z\n"
        if where == "events":
            event = {"type": "text.delta", "data": {"message_id": "answer", "text": text}}
            os.write(events, json.dumps(event).encode() + b"\n")
        else:
            os.write(1, text.encode())
        number += 1
time.sleep(0.5)
