"""Every dialogue in the renderer's motion, once: `python -m baselines.motion.encode`; the avatar's is a file apart."""

from pathlib import Path

import torch
from torch import Tensor

from baselines.motion.train_renderer import load_renderer
from dyads.contract import Dyad, load_arrays
from dyads.errors import run_cli
from dyads.features import write_features
from echo_model.backbones.vae import encode_video
from echo_model.commands.encode import encode_all, kept, read_whole


def encode_motion(dyad: Dyad, renderer_path: Path, out: Path, made_by: str = "") -> str:
    """Write `<id>.safetensors` (user_motion) and `<id>.target.safetensors` (avatar_motion), (T, K) each."""
    torch.set_num_threads(1)
    if kept(out / f"{dyad.dyad_id}.safetensors", made_by):
        return dyad.dyad_id
    renderer, arrays = load_renderer(renderer_path), load_arrays(dyad)
    meta = {"dyad_id": dyad.dyad_id, "split": dyad.split, "frames": len(arrays.avatar_frames), "made_by": made_by}
    target = {"avatar_motion": encode_video(renderer, arrays.avatar_frames, arrays.reference)}
    write_features(out / f"{dyad.dyad_id}.target.safetensors", target, meta)
    user = {"user_motion": encode_video(renderer, arrays.user_frames, arrays.user_frames[0])}
    write_features(out / f"{dyad.dyad_id}.safetensors", user, meta)
    return dyad.dyad_id


def load_user_motion(folder: Path, dyad_id: str) -> Tensor:
    """The user's motion (T, K)."""
    return read_whole(folder / f"{dyad_id}.safetensors")["user_motion"]


def load_avatar_motion(folder: Path, dyad_id: str) -> Tensor:
    """The avatar's true motion (T, K): for training only."""
    return read_whole(folder / f"{dyad_id}.target.safetensors")["avatar_motion"]


def main() -> None:
    encode_all(__doc__, "renderer", encode_motion, ("dyad_id", "split"))


if __name__ == "__main__":
    run_cli(main)
