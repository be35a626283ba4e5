#!/usr/bin/env bash
# One expects safetensors to write the same bytes for the same tensors and the same metadata: a format made for being
# hashed and shared. With more than one metadata key it does not: their order in the header is drawn anew in every
# process, so the same call gives another file, and another sha256, each time it is run; sorting the keys beforehand
# changes nothing. Here runs are compared byte by byte, and a file that was written again must not look changed; every
# file of this project therefore has one key, `meta`, with JSON in it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/packages" \
    safetensors==0.8.0 numpy==2.4.6
cat > "$folder/write.py" <<'PY'
import hashlib, sys
import numpy as np
from safetensors.numpy import save

keys = ("method", "seed", "names", "probe", "people", "clips")
metadata = {key: key for key in sorted(keys)} if sys.argv[1] == "six" else {"meta": ",".join(sorted(keys))}
print(hashlib.sha256(save({"a": np.zeros(3, np.float32)}, metadata)).hexdigest()[:16])
PY
six=$(for _ in 1 2 3 4 5 6; do PYTHONPATH="$folder/packages" python3 -S "$folder/write.py" six; done | sort -u | wc -l)
one=$(for _ in 1 2 3 4 5 6; do PYTHONPATH="$folder/packages" python3 -S "$folder/write.py" one; done | sort -u | wc -l)
echo "safetensors 0.8.0, numpy 2.4.6: six runs of the same call write"
echo "  with six metadata keys: $six different files; with one: $one"
[ "$one" -eq 1 ] || { echo "one key no longer gives equal bytes"; exit 1; }
[ "$six" -gt 1 ] || { echo "several keys now give equal bytes: the order is kept"; exit 1; }
