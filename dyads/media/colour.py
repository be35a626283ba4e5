"""How a decoded frame is to be shown: its display matrix (turned, mirrored), and HDR brought to standard range.

HLG and PQ frames are mapped by BT.2408: reference white (203 cd/m2) becomes white, brighter light is rolled off, the
colours go from BT.2020 to BT.709 primaries. Taken as they are they look flat, with 0.6 to 0.8 of their contrast.
"""

from functools import cache

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import VideoReformatter

from dyads.media.writer import SCALING

PQ, HLG = 16, 18  # AVColorTransferCharacteristic SMPTE2084 and ARIB_STD_B67
WHITE = 203.0  # cd/m2 of reference white, BT.2408
PEAK = 1000.0  # cd/m2 of the display that HLG is made for
KNEE = 0.9  # of reference white, in light; above, highlights are rolled off
GAMMA = 2.4  # of a standard display, BT.1886
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # linear BT.2020 to BT.709, BT.2087
LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)  # BT.2020


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise, and whether to mirror the result left to right, by the display matrix."""
    # not `frame.side_data`: a frame and the container that it keeps refer to each other, so frames would stay in memory
    # until the next full garbage collection, a few thousand frames later
    data = SideDataContainer(frame).get(Type.DISPLAYMATRIX)
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5]
    mirrored = int(a) * int(d) - int(b) * int(c) < 0
    if mirrored:
        a, c = -a, -c
    return round(np.degrees(np.arctan2(-float(b), float(a))) / 90) % 4, mirrored


def shown(picture: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """A frame's picture (H,W,3) as its display matrix wants it."""
    turns, mirrored = orientation(frame)
    if turns:
        picture = np.rot90(picture, turns)
    return np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether a frame is HLG or PQ."""
    return int(frame.color_trc or 0) in (PQ, HLG)


@cache
def _light(transfer: int) -> np.ndarray:
    """Linear light (4096,) of 12-bit code values: of reference white for PQ, of the scene in 0..1 for HLG."""
    signal = np.arange(4096) / 4095
    if transfer == PQ:  # SMPTE ST 2084
        power = signal ** (1 / 78.84375)
        light = np.clip(power - 0.8359375, 0, None) / (18.8515625 - 18.6875 * power)
        return (10000 / WHITE * light ** (1 / 0.1593017578125)).astype(np.float32)
    bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12  # ARIB STD-B67
    return np.where(signal <= 0.5, signal**2 / 3, bright).astype(np.float32)


def standard_range(codes: np.ndarray, transfer: int) -> np.ndarray:
    """uint8 BT.709 (H,W,3) of uint16 full-range R'G'B' codes (H,W,3) with an HDR transfer function."""
    light = _light(transfer)[codes >> 4]
    if transfer == HLG:  # the display's own gamma, on luminance
        light = light * np.maximum(light @ LUMA, 1e-6)[..., None] ** 0.2 * (PEAK / WHITE)
    light = light @ TO_709.T
    top = light.max(-1, keepdims=True)
    room = 1 - KNEE
    rolled = KNEE + room * (1 - np.exp(-(top - KNEE) / room))
    light = light * np.where(top > KNEE, rolled / np.maximum(top, 1e-6), 1)
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def to_rgb(frame: av.VideoFrame, width: int, height: int, reformatter: VideoReformatter, scaling: int = SCALING):
    """uint8 (height,width,3) in standard range, as coded (not yet turned)."""
    size = {"width": width, "height": height, "interpolation": scaling, "threads": 1}
    if not is_hdr(frame):
        return reformatter.reformat(frame, format="rgb24", **size).to_ndarray()
    codes = reformatter.reformat(frame, format="rgb48le", **size).to_ndarray()
    return standard_range(codes, int(frame.color_trc))
