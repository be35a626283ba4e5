#!/bin/sh
# PyAV: one look at `frame.side_data` makes a decoded frame part of a reference cycle, so that it is not freed when the
# last name of it goes, but at the next run of Python's cycle collector. One expects frames to be freed at once, as they
# are without that look. A loop that asks each frame for its display matrix (is a phone's video turned?) therefore holds
# whatever frames fit between two collections, 3 MB each at 1080p: hundreds of megabytes that no profiler of Python
# objects shows. Here frames are asked through `SideDataContainer(frame)`, of which the frame keeps no reference
# (dyads/media/colour.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import gc

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

with av.open("clip.mp4", "w") as container:
    stream = container.add_stream("h264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    for k in range(60):
        picture = np.full((240, 320, 3), 4 * k, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))


def alive(look) -> int:
    """Frames in memory after a loop that keeps none of them, with the collector off."""
    gc.collect()
    gc.disable()
    with av.open("clip.mp4") as container:
        for frame in container.decode(video=0):
            look(frame)
        del frame
    left = sum(isinstance(item, av.VideoFrame) for item in gc.get_objects())
    gc.enable()
    gc.collect()
    return left


plain = alive(lambda frame: None)
looked = alive(lambda frame: frame.side_data)
container = alive(lambda frame: len(SideDataContainer(frame)))
print(f"PyAV {av.__version__}: of 60 decoded frames that nobody keeps, in memory with the cycle collector off:")
print(f"  without a look {plain}, after frame.side_data {looked}, after SideDataContainer(frame) {container}")
assert plain <= 3 and container <= 3, "frames are held for another reason"
assert looked >= 55, "frame.side_data makes no reference cycle any more"
PY
