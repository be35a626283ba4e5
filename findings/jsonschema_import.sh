#!/usr/bin/env bash
# One expects `import jsonschema` to take a tenth of a second, whatever else is installed. With rfc3987-syntax beside it
# (jupyter-events brings it, by jsonschema[format-nongpl]) jsonschema imports it at once, without any format being asked
# for, and that compiles a Lark grammar for each of the 38 rules of RFC 3987: seconds of CPU in every process. Here it
# cost two seconds in each run of Snakemake, and on a cluster twice in every job; workflow/scripts/study.py keeps it out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/plain" jsonschema==4.26.0 \
    attrs==26.1.0 referencing==0.37.0
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/more" rfc3987-syntax==1.1.0 lark==1.3.1

cat > "$folder/time.py" <<'PY'
import sys, time
start = time.process_time()
import jsonschema
took = time.process_time() - start
print(took, "rfc3987_syntax" in sys.modules, sum(name.startswith("lark") for name in sys.modules))
PY
plain=$(PYTHONPATH="$folder/plain" python3 -S "$folder/time.py")
more=$(PYTHONPATH="$folder/plain:$folder/more" python3 -S "$folder/time.py")
echo "jsonschema 4.26.0 alone:                 CPU seconds, rfc3987_syntax imported, lark modules: $plain"
echo "with rfc3987-syntax 1.1.0, lark 1.3.1:   CPU seconds, rfc3987_syntax imported, lark modules: $more"
python3 - "$plain" "$more" <<'PY'
import sys
(alone, imported, _), (both, too, _) = (text.split() for text in sys.argv[1:])
assert imported == "False" and too == "True", "jsonschema no longer imports rfc3987_syntax on its own"
assert float(both) > 3 * float(alone), "it no longer costs more than three times"
print(f"the import costs {float(both) / float(alone):.0f} times as much")
PY
