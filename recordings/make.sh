#!/bin/sh
# Records the samples of this folder anew. `durastream` and `python3` must be on the PATH.
#
#     sudo unshare --uts sh -c 'hostname demo && sh recordings/make.sh'
#
# The host name and the folder stand in a recording, so that both are neutral here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=/tmp/agent
mkdir -p "$work"
cd "$work"
rm -rf samples email
mkdir samples

durastream demo --store samples --log jsonl

python3 -c 'import email, shutil; shutil.copytree(email.__path__[0], "email", ignore=shutil.ignore_patterns("__pycache__"))'
durastream run --store samples --log jsonl --name check --tag kind=command -- \
    sh -c 'python3 -m compileall email && python3 -m unittest -v test.test_bisect'

cp "$here/agent.py" "$here/../tests/data/traces/codex_exec_full.jsonl" .
durastream run --store samples --log jsonl --name codex --tag kind=trace --view plain -- \
    python3 agent.py codex_exec_full.jsonl

rm -f "$here"/*.jsonl
cp samples/*.jsonl "$here"
durastream list --store samples
