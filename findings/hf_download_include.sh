#!/usr/bin/env bash
# huggingface_hub 0.36.0 and 2.4.0: `hf download REPO --include A B C` means two things.
# Expected: what it means in 0.36: three patterns, all of which are downloaded.
# What happens: in 2.4 an option takes one value; B and C become names of files, for whose
# sake `--include A` is ignored with a warning, and since names may be patterns too, B and C arrive, A does not, and the
# exit code is 0. Repeated options, `--include A --include B`, are right there, and keep the last alone in 0.36.
# Cost here: docs/si184.md named pairs184.txt first, the one file without which nothing can be read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/patterns.py" <<'PY'
"""The command as a shell would call it; in place of the download its patterns are printed."""

import importlib
import sys

module = importlib.import_module("huggingface_hub.cli.download")
main = importlib.import_module("huggingface_hub.cli.hf").main


def told(**given):
    print("PATTERNS", *given["allow_patterns"])
    return "nowhere"


module.snapshot_download = told
sys.argv = ["hf", "download", "someone/something", "--local-dir", "nowhere", *sys.argv[1:]]
main()
PY
told() { (cd "$folder" && HF_HUB_OFFLINE=1 "$1/bin/python" patterns.py "${@:2}" 2> error | grep '^PATTERNS'); }
check() { [ "$1" = "PATTERNS $2" ] || { echo "got '$1', expected '$2': the command has changed"; exit 1; }; }
for package in huggingface_hub==0.36.0 huggingface_hub==2.4.0; do
    version=${package#*==}
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "$package" 2> "$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
    together=$(told "$folder/$version" --include 'a/*' 'b/*' 'c/*')
    repeated=$(told "$folder/$version" --include 'a/*' --include 'b/*' --include 'c/*')
    echo "huggingface_hub $version, --include a b c: $together; each with its own --include: $repeated"
    if [ "$version" = 0.36.0 ]; then
        check "$together" 'a/* b/* c/*' && check "$repeated" 'c/*'
    else
        check "$together" 'b/* c/*' && check "$repeated" 'a/* b/* c/*'
    fi
done
