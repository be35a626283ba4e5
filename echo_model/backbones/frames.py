"""True frames that an autoencoder of faces learns from, and where their faces and lips are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from dyads.contract import read_manifest
from dyads.errors import DataError
from dyads.masks import Ellipse, FaceGeometry, region_masks
from dyads.media.video import read_video
from dyads.records import ROLES
from dyads.seeding import rng
from dyads.synthetic.coefficients import INDEX
from dyads.synthetic.drawing.canvas import ROLL, SHIFT, ZOOM
from faces.masks import frame_masks


@dataclass(frozen=True)
class FrameOptions:
    """Which frames are decoded for training."""

    videos: int = 160  # spread over dyads and roles
    frames: int = 48  # kept from each
    face: tuple[float, float, float, float] = (
        0.5,
        0.52,
        0.31,
        0.41,
    )  # ellipse x, y, radii, in fractions of the frame
    lips: tuple[float, float, float, float] = (0.5, 0.71, 0.15, 0.095)
    eyes: tuple[float, float] = (0.31, 0.62)  # brows and eyelids: from and to, in fractions of the frame's height
    tell_weight: float = 0.3  # weight of the coefficients z must tell, where the data set has them
    lip_coefficients: int = 4  # the first ones, of which lip sync is read ...
    lip_coefficient_weight: float = 4.0  # ... and how much heavier they weigh than the others
    show_weight: float = 0.15  # weight of the coefficients the decoded picture must still tell
    pose_weight: float = 2.0  # weight of the head's motion in the picture, where coefficients tell it


@dataclass
class FrameSample:
    """True frames (N, 3, S, S) uint8, references (V, 3, S, S) uint8, owners (N,), coefficients (N, C) or None.

    `masks` (N, 2, S, S) and `reference_masks` (V, 2, S, S), uint8 up to 255: M_face and M_lip of each picture, from its
    landmarks; None where one pair serves all, as in a drawn world, whose faces are framed alike.
    """

    frames: Tensor
    references: Tensor
    owner: Tensor
    coefficients: Tensor | None
    moved: Tensor | None = None  # (N, 3) roll, shift x and y since the reference, as in `warping.affine_grid`
    masks: Tensor | None = None
    reference_masks: Tensor | None = None


def sample_frames(data: Path, options: FrameOptions, size: int) -> FrameSample:
    """Random true frames of the training split, with standardised motion coefficients where there are any."""
    sides = [(dyad, role) for dyad in read_manifest(data, "train") for role in ROLES]
    if not sides:
        raise DataError(f"{data}: the train split has no dyads; add some to the manifest.")
    chosen = rng(0, "vae-videos").permutation(len(sides))[: options.videos]
    frames, references, owner, coefficients, moved, masks, unseen = [], [], [], [], [], [], 0
    common = tuple(mask.numpy() for mask in regions(options, size))
    for place, k in enumerate(tqdm(chosen, "decode", disable=None)):
        dyad, role = sides[k]
        video = read_video(dyad.side(role).video, size=size)
        keep = np.sort(rng(0, "vae-frames", int(k)).permutation(len(video))[: options.frames])
        frames.append(video[keep])
        references.append(video[0])
        owner += [place] * len(keep)
        if dyad.truth_path.is_file():
            values = load_file(dyad.truth_path)[f"{role}_coefficients"]
            coefficients.append(values[torch.from_numpy(keep)])
            moved.append(head_motion(coefficients[-1] - values[:1]))
        else:
            seen, without = frame_masks(np.concatenate([video[:1], video[keep]]), common)
            masks.append(torch.from_numpy(seen))
            unseen += without
    if unseen:
        print(f"in {unseen} frames no face is found: their masks are the crop's framing", flush=True)
    told = torch.cat(coefficients) if len(coefficients) == len(chosen) else None
    if told is not None:
        told = (told - told.mean(0)) / told.std(0).clamp_min(1e-3)
    shown = None if told is None else torch.cat(moved)
    own = (torch.cat([each[1:] for each in masks]), torch.stack([each[0] for each in masks])) if told is None else ()
    pictures = images(np.concatenate(frames)), images(np.stack(references))
    return FrameSample(*pictures, torch.tensor(owner), told, shown, *own)


def head_motion(change: Tensor) -> Tensor:
    """What a change of the synthetic world's coefficients, (N, 17), does to the head as a whole: (N, 3), see `moved`.

    A turn shifts the middle of the face; by how much was measured as the shift that aligns true frames best.
    """
    roll, yaw, pitch, x, y = (change[:, INDEX[name]] for name in ("roll", "yaw", "pitch", "shift_x", "shift_y"))
    return torch.stack([ROLL * roll, ZOOM * SHIFT * x + 0.22 * yaw, ZOOM * SHIFT * y + 0.23 * pitch], 1)


def images(frames: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> uint8 (N, 3, H, W)."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()


def regions(options: FrameOptions, size: int) -> tuple[Tensor, Tensor]:
    """(M_face, M_lip) of a picture by the crop's framing, float (S, S)."""
    geometry = FaceGeometry(Ellipse(*options.face), Ellipse(*options.lips))
    return tuple(torch.from_numpy(mask) for mask in region_masks(size, geometry))


def heavier(face: Tensor, lip: Tensor, options: FrameOptions) -> Tensor:
    """Weight of each pixel of M_face and M_lip, (..., S, S): lips, brows and eyelids are few and tell most."""
    row = (torch.arange(face.shape[-2]) / face.shape[-2])[:, None]
    eyes = face * ((row >= options.eyes[0]) & (row < options.eyes[1]))
    return 1 + 2 * face + 5 * lip + 2 * eyes
