"""S3FD (Zhang et al. 2017): finds faces, and cuts SyncNet's square out of a video as syncnet-python's pipeline does.

The network is syncnet-python's own. Unlike its pipeline everything stays in memory, without JPEG and XVID in between,
a frame's faces are all looked at, a video counts as one shot, and of several tracks the longest is taken.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from evaluation.networks import Network
from evaluation.networks._state import fit_state, read_state

WANTED = "sfd_face.pth"
SIZE = 224


@dataclass(frozen=True)
class FaceOptions:
    """syncnet-python's settings, for pictures of several hundred pixels; see `options_for`."""

    scale: float = 0.25  # of the picture that the detector sees
    confidence: float = 0.9
    overlap: float = 0.5  # intersection over union with the face one detection before
    gap: int = 25  # frames without detection that a track may bridge
    least_frames: int = 50
    least_side: float = 100.0  # pixels, mean over a track
    border: float = 0.4  # of the face, around it
    smoothing: int = 13  # frames of the median filter


@dataclass(frozen=True)
class Track:
    """One face: frames `start` .. `start + len(boxes)`, and its boxes (N, 4) as left, top, right, bottom in pixels."""

    start: int
    boxes: np.ndarray


def options_for(height: int, width: int) -> FaceOptions:
    """syncnet-python's, but in small pictures the detector sees at least 240 pixels and takes smaller faces."""
    side = min(height, width)
    return FaceOptions(scale=max(0.25, min(1.0, 240 / side)), least_side=min(100.0, side / 4))


class FaceFinder(nn.Module):
    """S3FD's network; `boxes` says where the faces of a frame are."""

    def __init__(self) -> None:
        super().__init__()
        from syncnet_python.detectors.s3fd.nets import S3FDNet  # imports OpenCV and scenedetect

        self.net = S3FDNet(device="cpu")

    def boxes(self, frame: np.ndarray, options: FaceOptions) -> np.ndarray:
        """Boxes (N, 4) of uint8 RGB (H, W, 3), surest first."""
        from syncnet_python.detectors.s3fd import S3FD

        device = next(self.net.parameters()).device
        self.net.device = device
        found = S3FD(self.net, device).detect_faces(frame, options.confidence, [options.scale])
        return np.asarray(found, np.float64)[:, :4]

    def track(self, frames: np.ndarray, options: FaceOptions | None = None) -> Track | None:
        """The longest-lasting face of uint8 RGB frames (T, H, W, 3); None without one."""
        options = options or options_for(*frames.shape[1:3])
        tracks = face_tracks([self.boxes(frame, options) for frame in frames], options)
        return max(tracks, key=lambda track: len(track.boxes), default=None)


def face_tracks(detections: list[np.ndarray], options: FaceOptions) -> list[Track]:
    """Tracks of boxes (N, 4) by frame: each goes on with the first free box that overlaps its last one enough."""
    free = [list(boxes) for boxes in detections]
    tracks = []
    while (first := next((t for t, boxes in enumerate(free) if boxes), None)) is not None:
        places, boxes = [first], [free[first].pop(0)]
        for t in range(first + 1, len(free)):
            if t - places[-1] > options.gap:
                break
            for number, box in enumerate(free[t]):
                if overlap(box, boxes[-1]) > options.overlap:
                    places.append(t)
                    boxes.append(free[t].pop(number))
                    break
        whole = np.arange(places[0], places[-1] + 1)
        filled = np.stack([np.interp(whole, places, side) for side in np.stack(boxes, 1)], 1)
        side = max((filled[:, 2] - filled[:, 0]).mean(), (filled[:, 3] - filled[:, 1]).mean())
        if len(places) > options.least_frames and side > options.least_side:
            tracks.append(Track(places[0], filled))
    return tracks


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod((high - low).clip(0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared + 1e-8))


def crops(frames: np.ndarray, track: Track, options: FaceOptions = FaceOptions()) -> np.ndarray:
    """uint8 RGB (N, 224, 224, 3): the track's square, smoothed over time, reaching further down than up."""
    import cv2
    from scipy.signal import medfilt

    left, top, right, bottom = track.boxes.T
    half, x, y = (
        medfilt(series, options.smoothing)
        for series in (np.maximum(bottom - top, right - left) / 2, (left + right) / 2, (top + bottom) / 2)
    )
    found = []
    for frame, r, cx, cy in zip(frames[track.start :], half, x, y, strict=False):
        border = int(r * (1 + 2 * options.border))
        padded = np.pad(frame, ((border, border), (border, border), (0, 0)), constant_values=110)
        across, down = r * (1 + options.border), r * (1 + 2 * options.border)
        cx, cy = cx + border, cy + border
        square = padded[int(cy - r) : int(cy + down), int(cx - across) : int(cx + across)]
        found.append(cv2.resize(square, (SIZE, SIZE)))
    return np.stack(found)


def load(path: Path | str) -> FaceFinder:
    """The published detector with the weights of a file; ConfigError if it does not hold them."""
    finder = FaceFinder()
    fit_state("s3fd", path, finder.net, read_state("s3fd", path, WANTED), WANTED)
    return finder.eval().requires_grad_(False)


NETWORK = Network(
    slot="s3fd",
    load=load,
    file="sfd_face.pth",
    page="https://www.robots.ox.ac.uk/~vgg/software/lipsync/",
    url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/sfd_face.pth",
    licence="CC-BY 4.0 as given by syncnet-python",
    megabytes=89.8,
    sha256="d54a87c2…c491",
)
