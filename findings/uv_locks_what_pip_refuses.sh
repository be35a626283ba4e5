#!/usr/bin/env bash
# One expects a lock that a resolver wrote for Python 3.11 to install under Python 3.11. uv looks only at the lower bound of
# a package's Requires-Python (so its documentation says): `backports-strenum` 1.3.1 says `>=3.8.6,<3.11`, uv locks it for
# 3.11 without a word, uv installs it there without a word, and pip, from the same lock, stops: "Could not find a version".
# An environment made by uv therefore never shows the fault. Here it broke a fresh installation by pip after every
# test had passed under uv; requirements.in holds the package below 1.3 and tests/workflow/test_environment.py asks each locked
# package whether it admits each Python of the lock. Needs python3 of 3.11 or later.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9 2> "$folder/pip.log" \
    || { cat "$folder/pip.log"; exit 1; }
version=$("$folder/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

echo "backports-strenum==1.3.1" > "$folder/wanted.txt"
"$folder/venv/bin/uv" --version
"$folder/venv/bin/uv" pip compile --quiet --no-header --python-version "$version" "$folder/wanted.txt" > "$folder/lock.txt"
echo "uv locks for Python $version: $(grep == "$folder/lock.txt")"
grep -q '^backports-strenum==1.3.1$' "$folder/lock.txt" || { echo "uv no longer locks it"; exit 1; }
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --requirement "$folder/lock.txt"
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import metadata
told = metadata("backports-strenum")
print(f"uv installed {told['Version']}, which says: Requires-Python {told['Requires-Python']}")
PY
if "$folder/venv/bin/pip" download --disable-pip-version-check --no-deps --dest "$folder/wheels" \
    --requirement "$folder/lock.txt" > "$folder/pip.log" 2>&1; then
    echo "pip now takes the lock that uv wrote"
    exit 1
fi
"$folder/venv/bin/pip" --version | cut -d' ' -f1,2
grep -E 'ERROR: (Could not find|No matching)' "$folder/pip.log" | cut -c1-110
grep -q 'No matching distribution found for backports-strenum==1.3.1' "$folder/pip.log" || { echo "pip failed otherwise"; exit 1; }
echo "pip refuses the lock that uv wrote and installed"
