#!/usr/bin/env bash
# Makes the environment $VENV with $PYTHON from requirements.lock, by $UV where that is not empty, else by pip; called by
# make. TORCH=cpu leaves the CUDA packages out. What stops it is one sentence with the remedy.
set -uo pipefail

stop() { echo "error: $*" >&2; exit 1; }

range='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
if ! "$PYTHON" -c "$range" 2> /dev/null; then
    found=${PYTHON:-no python on the PATH}
    version=$("$PYTHON" -c 'import sys; print("(Python %d.%d)" % sys.version_info[:2])' 2> /dev/null)
    # uv can fetch one, but a name given by hand is meant.
    [ -n "$UV" ] && [ -z "$PYTHON" ] || stop "Python 3.11, 3.12, 3.13 or 3.14 is needed, but $found${version:+ $version}" \
        "is not it; install one, or name it: make PYTHON=/path/to/python3.13"
    PYTHON='>=3.11,<3.15'
fi
case $TORCH in default | cpu) ;; *) stop "TORCH=$TORCH is unknown; TORCH=cpu leaves CUDA out, TORCH=default does not" ;; esac

# 7 GB; what pip or uv unpack on the way needs room too.
need=$([ "$TORCH" = cpu ] && echo 2 || echo 8)
free=$(df -Pk "$(dirname "$VENV")" | awk 'NR == 2 {print int($4 / 1048576)}')
[ -x "$VENV/bin/python" ] || [ "$free" -ge "$need" ] || stop "$need GB are needed for $VENV and $free are free; make room," \
    "name another place (make VENV=/path/to/venv)$([ "$TORCH" = cpu ] || echo ", or install without CUDA (make environment TORCH=cpu: 2 GB)")"

# An environment of another Python, or of one that is gone, is made anew.
version() { "$1" -c 'import sys; print(*sys.version_info[:3])' 2> /dev/null; }
if [ -e "$VENV/bin/python" ] || [ -L "$VENV/bin/python" ]; then
    if [ -z "$(version "$VENV/bin/python")" ] || { [ -x "$(command -v "$PYTHON")" ] && [ "$(version "$PYTHON")" != "$(version "$VENV/bin/python")" ]; }; then
        echo "$VENV is of another Python; it is made anew" >&2
        rm -rf "$VENV" || exit 1
    fi
fi

if [ ! -x "$VENV/bin/python" ]; then
    if [ -n "$UV" ]; then
        "$UV" venv --quiet --seed --python "$PYTHON" "$VENV" || { rm -rf "$VENV"; stop "uv could not begin $VENV (the" \
            "reason stands above); without a network nothing can be installed, and make UV= takes pip instead"; }
    else
        "$PYTHON" -c 'import ensurepip, venv' 2> /dev/null || stop "$PYTHON cannot make environments: its module venv or" \
            "ensurepip is missing; on Debian and Ubuntu: apt install python3-venv (or install uv)"
        "$PYTHON" -m venv "$VENV" || { rm -rf "$VENV"; exit 1; }
    fi
fi

# Of all packages only this one is compiled, and only there: immutables 0.21 has no wheel for Python 3.14.
compiles='import os, shutil, sys, sysconfig
headers = os.path.isfile(os.path.join(sysconfig.get_paths()["include"], "Python.h"))
sys.exit(sys.version_info >= (3, 14) and not (headers and shutil.which(os.environ.get("CC", "cc"))))'
"$VENV/bin/python" -c "$compiles" || stop "under Python 3.14 one package is compiled (immutables has no wheel for it), and" \
    "a C compiler or Python's headers are missing; on Debian and Ubuntu: apt install gcc libc6-dev python3-dev, or take" \
    "another Python: make PYTHON=python3.13"

lock=requirements.lock
if [ "$TORCH" = cpu ]; then
    lock=$(mktemp) || exit 1
    trap 'rm -f "$lock"' EXIT
    grep -vE '^(nvidia-|cuda-|triton==)' requirements.lock > "$lock"
    # uv knows where torch's CPU builds are.
    [ -n "$UV" ] || { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check uv && UV=$VENV/bin/uv; } || exit 1
fi
echo "installing $(grep -c == "$lock") packages into $VENV ($([ "$TORCH" = cpu ] && echo "1 GB" || echo "7 GB, of which 3 are downloaded"))"
# The lock is complete; --no-deps keeps out what some of its packages ask for (pyproject.toml, tool.uv).
if [ -n "$UV" ]; then
    backend=$([ "$TORCH" = cpu ] && echo "--torch-backend=cpu")
    "$UV" pip install --quiet --python "$VENV/bin/python" --no-deps $backend --requirement "$lock"
else
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --use-pep517 --no-deps \
        --requirement "$lock"
fi || stop "the packages could not be installed (the reason stands above); the same command again goes on where this" \
    "stopped$([ -n "$UV" ] && echo "; uv has its own settings for mirrors and proxies, and make UV= takes pip instead")"
# Before the first job, not in the sixth minute; it compiles them, too.
"$VENV/bin/python" workflow/scripts/begin.py
