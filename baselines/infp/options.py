"""Options of INFP's networks, of its training and of its sampling."""

from dataclasses import dataclass

from dyads.errors import ConfigError


@dataclass(frozen=True)
class ModelOptions:
    """Sizes: the paper's symbols in the comments, its values in brackets where it gives them."""

    d: int = 64  # width of guider and denoiser (512)
    heads: int = 4
    blocks: int = 4  # of the denoiser (4)
    entries: int = 64  # K, embeddings in each memory bank (64)
    style: int = 16  # width of s_m
    window: int = 50  # N, frames made together
    previous: int = 10  # last frames of the window before that a window continues from (10)
    hear: int = 5  # frames of audio in one query of a bank, centred on the query's frame

    def __post_init__(self) -> None:
        if self.d % (2 * self.heads):
            raise ConfigError(f"model.d is {self.d}; give a multiple of 2 * heads = {2 * self.heads}.")
        for name in ("blocks", "entries", "style", "window", "previous", "hear"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}, but must be at least 1.")
        if self.hear % 2 == 0:
            raise ConfigError(f"model.hear is {self.hear}; give an odd number, so that the frame is in the middle.")


@dataclass(frozen=True)
class StageOptions:
    """What is dropped, and in what order windows are shown."""

    drop_style: float = 0.3  # share of samples with the null style (0.3)
    drop_motion: float = 0.5  # share of samples without f_m, for guidance (0.5)
    drop_previous: float = 0.5  # share of samples without the previous window's frames (0.5)
    single_sided: float = 0.2  # share of the steps, the first ones, in which at most one of the two speaks in a window


@dataclass(frozen=True)
class SamplingOptions:
    """How motion is made."""

    steps: int = 10  # of DDIM (20)
    guide_motion: float = 2.0  # guidance scale on f_m (2); 1 = off, and costs nothing
    guide_previous: float = 1.0  # on the previous window's frames (1.5)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"sampling.steps is {self.steps}, but must be at least 1.")
