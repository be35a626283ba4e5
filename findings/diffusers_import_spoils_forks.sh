#!/usr/bin/env bash
# diffusers 0.42.1 with torch 2.15.0 (a build with CUDA; no GPU is needed): whoever imports it can no longer fork GPU workers.
# Expected: an import reads definitions and asks no device, as `import torch` itself does, so that a process may import its
# libraries once and fork workers that then use the GPU (a forkserver with preloaded modules, gunicorn --preload).
# What happens: diffusers/utils/torch_utils.py calls get_device() at its end, which asks torch.accelerator.is_available(), which
# asks CUDA for its devices; torch marks every later fork as bad, and in those CUDA refuses to start ("Cannot re-initialize CUDA
# in forked subprocess"), although torch.cuda.is_initialized() is False in the parent. Importing the package is enough.
# Cost here: a run's stages are forks of one process that has imported the libraries (workflow/scripts/warm_server.py); diffusers
# is among them only where no GPU is seen, else each stage imports it anew, in six seconds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.15.0 numpy==2.4.6 diffusers==0.42.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import os

import torch


def marked_bad():
    """What a fork of this process thinks of using CUDA."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, b"bad" if torch.cuda._is_in_bad_fork() else b"good")
        os._exit(0)
    os.wait()
    return os.read(ours, 8).decode() == "bad"


assert torch.version.cuda, "this torch has no CUDA, and nothing can be spoilt"
before = marked_bad()
import diffusers  # noqa: E402

after = marked_bad()
print(f"torch {torch.__version__}, diffusers {diffusers.__version__}: a fork is marked bad: {before}; after the import: {after}")
print("CUDA is initialised in this process:", torch.cuda.is_initialized())
assert not before and after and not torch.cuda.is_initialized()
PY
