"""Stands in for an agent: prints a trace line by line, with a pause before each.

python3 agent.py TRACE [SECONDS]
"""

import sys
import time

pause = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
with open(sys.argv[1], encoding="utf-8") as trace:
    for line in trace:
        time.sleep(pause)
        sys.stdout.write(line)
        sys.stdout.flush()
