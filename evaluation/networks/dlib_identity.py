"""The 128-d identity network that ships with a package, as a reader of frames: no weights file is needed."""

import numpy as np

import faces
from faces.finding.track import Options
from faces.identity import embed

FEATURES, STRIDE = 128, 25  # a frame a second: 0.1 s of a core each


class DlibIdentity:
    """Features (⌈T / 25⌉, 128) of faces that the mesh finds and lays into the network's chip; NaN without a face."""

    with_reference = True

    @staticmethod
    def rows_of(frames: int) -> int:
        """How many rows `features_of` gives for so many frames: the first rows are those of the first frames."""
        return -(-frames // STRIDE)

    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Features, float32, of every 25th of uint8 (T, H, W, 3) frames, from the first one on."""
        chosen = frames[::STRIDE]
        options = Options(eyes=False, tiles=False)
        points = np.concatenate([faces.read_frames(frame[None], options).points for frame in chosen])
        return embed(chosen, points)
