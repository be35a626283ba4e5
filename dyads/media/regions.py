"""Parts of decoded frames: only the wanted square becomes RGB, with the same pixels as in the whole picture."""

import gc
from dataclasses import dataclass

import av
import av.filter
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from dyads.media import video
from dyads.media.colour import is_hdr, orientation, shown, to_rgb
from dyads.media.containers import opened, video_stream
from dyads.media.writer import SCALING

MARGIN = 16  # pixels beyond the square, for the filters of colour planes
GAP = 2.0  # how much larger than the square's final size it may be made by plain averaging
AVERAGING = SCALING & ~int(Interpolation.BICUBIC) | int(Interpolation.AREA)
KEPT = 8  # crops whose filter graphs are kept: a square that stays needs no new one
_CROPS: dict[tuple, tuple] = {}
PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p")


@dataclass
class View:
    """A decoded frame that is not yet a picture."""

    frame: av.VideoFrame
    aspect: float
    reformatter: VideoReformatter

    @property
    def plain(self) -> bool:
        """Whether a part of it can be converted alone."""
        straight = self.aspect == 1 and orientation(self.frame) == (0, False)
        return straight and self.frame.format.name in PLANAR and not is_hdr(self.frame)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, upright, with square pixels."""
        height, width = self.frame.height, round(self.frame.width * self.aspect)
        return (width, height) if orientation(self.frame)[0] % 2 else (height, width)

    def rgb(self) -> np.ndarray:
        """The whole picture, uint8 (H,W,3)."""
        return video._to_rgb(self.frame, self.aspect, self.reformatter)

    def small(self, longest: int) -> tuple[np.ndarray, float]:
        """A quick picture uint8 (h,w,3) of at most so many pixels a side, and what brings it back to full size."""
        height, width = self.size
        scale = min(1.0, longest / max(height, width))
        if scale == 1.0:
            return self.rgb(), 1.0
        wide, high = (height, width) if orientation(self.frame)[0] % 2 else (width, height)
        sides = [max(2, round(side * scale / 2) * 2) for side in (wide, high)]
        picture = shown(to_rgb(self.frame, *sides, self.reformatter, Interpolation.AREA), self.frame)
        return picture, height / picture.shape[0]

    def square(self, x: float, y: float, side: float, size: int) -> np.ndarray:
        """The square at (x, y), antialiased to uint8 (size,size,3); beyond the frame its edge is repeated."""
        height, width = self.size
        reach = int(2 * side / size) + MARGIN
        factor = min(8, max(1, int(side / size / GAP)))
        grain = 2 * factor
        length = (int(side + 2 * reach) // 16 + 2) * 16  # the same for every place, so that a crop is kept
        length = -(-length // grain) * grain
        left, top, wide, high = 0, 0, min(length, width // grain * grain), min(length, height // grain * grain)
        if self.plain and -side < x < width and -side < y < height:
            left = int(np.clip((x - reach) // 16 * 16, 0, (width - wide) // 2 * 2))
            top = int(np.clip((y - reach) // 16 * 16, 0, (height - high) // 2 * 2))
            odd = width % 2 or height % 2  # such pictures have half a colour pixel at their rim
            # a part that ends with the picture must not end before the square
            short = min(x + side, width) > left + wide or min(y + side, height) > top + high
            if odd:
                picture, factor = self.rgb()[top:, left:], 1
            elif short:
                left = top = 0
                picture, factor = self.rgb(), 1
            else:
                picture = self._part(left, top, wide, high, factor)
        else:
            picture, factor = self.rgb(), 1
        x, y, side = (x - left) / factor, (y - top) / factor, side / factor
        high, wide = picture.shape[:2]
        over = int(np.ceil(max(0, -x, -y, x + side - wide, y + side - high)))
        if over:
            picture = np.pad(picture, ((over, over), (over, over), (0, 0)), mode="edge")
            x, y = x + over, y + over
        box = (x, y, x + side, y + side)
        return np.array(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0))

    def _part(self, left: int, top: int, wide: int, high: int, factor: int) -> np.ndarray:
        """RGB uint8 (high / factor, wide / factor, 3) from an even place on, averaged where it is made smaller.

        By FFmpeg's own crop, which keeps what a frame knows of its colours; a frame made of copied planes loses where
        its colour samples lie, and comes out up to 20 levels different at colour edges.
        """
        key = (wide, high, self.frame.width, self.frame.height, self.frame.format.name)
        if key not in _CROPS:
            if len(_CROPS) >= KEPT:
                _CROPS.clear()
                gc.collect()  # graphs refer to themselves, and hold frames
            _CROPS[key] = _crop_graph(self.frame, wide, high)
        graph, crop = _CROPS[key]
        crop.process_command("x", str(left))
        crop.process_command("y", str(top))
        graph.push(self.frame)
        part = graph.pull()
        how = SCALING if factor == 1 else AVERAGING
        size = {"width": wide // factor, "height": high // factor}
        return self.reformatter.reformat(part, format="rgb24", interpolation=how, threads=1, **size).to_ndarray()


def _crop_graph(frame: av.VideoFrame, wide: int, high: int) -> tuple:
    graph = av.filter.Graph()
    graph.threads = 1
    size = {"width": frame.width, "height": frame.height, "format": frame.format}
    source = graph.add_buffer(**size, time_base=frame.time_base)
    crop = graph.add("crop", f"{wide}:{high}:0:0:exact=1")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    return graph, crop


def iter_views(path, fps: float = video.FPS, start: float = 0.0, end: float | None = None):
    """As `iter_video`, frames as `View`s; nothing is converted that is not asked for."""
    return video.iter_video(path, fps, start, end, View)


def key_views(path, start: float, end: float, count: int):
    """Views of at most so many different key frames, spread evenly over a span of seconds after the first frame."""
    with opened(path) as container:
        stream = video_stream(container, path)
        aspect, reformatter = float(stream.sample_aspect_ratio or 1), VideoReformatter()
        origin, seen = (stream.start_time or 0) * stream.time_base, set()
        for k in range(count):
            wanted = float(origin) + start + (k + 0.5) / count * (end - start)
            container.seek(int(wanted / stream.time_base), stream=stream)
            packet = next((p for p in container.demux(stream) if p.is_keyframe), None)
            if packet is None or packet.pts in seen:
                continue
            seen.add(packet.pts)
            # the end of the stream is feigned, else a frame comes only after those it might be shown behind
            for frame in (*packet.decode(), *stream.codec_context.decode(None)):
                if not frame.is_corrupt:
                    yield View(frame, aspect, reformatter)
            stream.codec_context.flush_buffers()
