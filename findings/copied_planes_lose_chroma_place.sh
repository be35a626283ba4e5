#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): a frame whose planes are copied byte for byte into a new av.VideoFrame converts to other RGB.
# Expected: equal planes, size, format, colour space and range give equal pictures, so that a square of a frame can be
# copied out and converted alone, which is much cheaper than converting the whole picture.
# What happens: swscale also looks at where the colour samples lie (chroma_location), which decoders set and PyAV neither
# shows nor copies. With SWS_ACCURATE_RND the same bytes come out up to tens of levels apart at colour edges.
# Cost here: a cropped face would not have the pixels of the picture it is cut from; we crop by FFmpeg's own filter instead,
# which keeps all properties (dyads/media/regions.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/env/bin/python" - "$folder" <<'PY'
import sys

import av
import av.filter
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

path = f"{sys.argv[1]}/clip.mp4"
with av.open(path, "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width = stream.height = 128
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, :61], picture[:, 61:] = (220, 40, 40), (40, 60, 220)
    for _ in range(3):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))
with av.open(path) as container:
    frame = next(container.decode(video=0))

flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def rgb(what):
    return VideoReformatter().reformat(what, format="rgb24", interpolation=int(flags)).to_ndarray().astype(int)


copy = av.VideoFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name)
copy.colorspace, copy.color_range, copy.color_trc, copy.color_primaries = (
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)
assert (copy.to_ndarray() == frame.to_ndarray()).all(), "the planes are equal"

graph = av.filter.Graph()
source = graph.add_buffer(width=128, height=128, format=frame.format, time_base=frame.time_base)
crop, sink = graph.add("crop", "64:64:32:32:exact=1"), graph.add("buffersink")
source.link_to(crop)
crop.link_to(sink)
graph.configure()
graph.push(frame)
inside = np.abs(rgb(graph.pull())[4:-4, 4:-4] - rgb(frame)[36:92, 36:92]).max()
apart = np.abs(rgb(copy) - rgb(frame)).max()
print(f"PyAV {av.__version__}: equal planes, RGB up to {apart} levels apart; FFmpeg's crop filter: {inside} levels")
assert inside == 0, "the crop filter keeps the pixels"
assert apart > 4, "a copied frame now converts like its source: dyads/media/regions.py could copy planes"
PY
