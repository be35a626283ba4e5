"""Train the shared motion-latent renderer on true frames: `python -m baselines.motion.train_renderer`."""

from pathlib import Path

from baselines.motion.renderer import MotionRenderer, RendererOptions
from dyads.errors import run_cli
from echo_model.commands.train_vae import load_on_frames, train_on_frames


def load_renderer(path: Path) -> MotionRenderer:
    """The frozen renderer saved by this stage."""
    return load_on_frames(path, MotionRenderer, RendererOptions)


def main() -> None:
    train_on_frames(MotionRenderer, RendererOptions, "renderer", __doc__)  # with the autoencoder's own losses


if __name__ == "__main__":
    run_cli(main)
