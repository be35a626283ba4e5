"""Options of the `wan` generator: which pretrained parts it stands on, and how large ECHO's additions are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dyads.errors import ConfigError

CROSS = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
SELF = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
FFN = ("ffn.net.0.proj", "ffn.net.2")
TARGETS = {"cross": CROSS, "self": SELF, "ffn": FFN}


@dataclass(frozen=True)
class Pretrained:
    """A frozen checkpoint in a folder."""

    path: Path | None = None
    sha256: str = ""  # of its weights; where given, other weights are refused


@dataclass(frozen=True)
class VoiceOptions(Pretrained):
    """The audio encoder: hidden states of wav2vec 2.0 or HuBERT, on the video's clock."""

    kind: Literal["wav2vec2", "hubert"] = "wav2vec2"
    layer: int = -1  # which hidden state; -1 is the last
    reach: int = 240  # frames of sound before a clip that its features may depend on; ours


@dataclass(frozen=True)
class LookOptions(Pretrained):
    """The reference encoder, CLIP vision; and how it reads the user's video for LPE."""

    layer: int = -2  # of the reference's tokens: the last but one, as Wan's image-to-video models were trained
    grid: int = 4  # the user's patches are averaged on grid x grid cells of the crop; ours
    every: int = 4  # frames between two of the user's frames that it reads; must divide model.tubelet


@dataclass(frozen=True)
class WanOptions:
    """The generator `wan`. What the paper leaves open is marked ours."""

    kind: Literal["wan"] = "wan"
    transformer: Pretrained = Pretrained()  # folder of a WanTransformer3DModel
    vae: Pretrained = Pretrained()  # folder of an AutoencoderKLWan
    voice: VoiceOptions = VoiceOptions()
    look: LookOptions = LookOptions()
    base_model: str = ""  # the base's name on a hub, for the model card
    size: int = 512  # of a frame, in pixels
    width: int = (
        512  # SDCM computes in this width, between maps down and up: a twentieth of a 5 B base, not a third; ours
    )
    heads: int = 4  # of SDCM
    rank: int = 128  # of LoRA
    alpha: float = 0.0  # LoRA's scale is alpha / rank; 0: alpha = rank
    targets: tuple[str, ...] = ("cross",)  # of LoRA: cross, self, ffn, or layers' own names
    text_tokens: int = 512  # the length Wan pads its text to; its image attention counts on 512
    checkpointing: bool = True  # of gradients, block by block
    dtype: Literal["bf16", "fp32"] = "bf16"  # in which the frozen base is held
    tiles: bool = False  # decode in overlapping tiles: less memory, faint seams

    def __post_init__(self) -> None:
        for name in ("size", "width", "heads", "rank"):
            if getattr(self, name) < 1:
                raise ConfigError(f"generator.{name} is {getattr(self, name)}, but must be at least 1.")
        if self.width % self.heads:
            raise ConfigError(f"generator.width {self.width} is no multiple of its {self.heads} heads; change one.")
        if not self.targets:
            raise ConfigError("generator.targets is empty, so LoRA would adapt nothing; give cross, self or ffn.")

    @property
    def layers(self) -> list[str]:
        """Names of the adapted layers inside a block."""
        return [name for target in self.targets for name in TARGETS.get(target, (target,))]

    @property
    def scale(self) -> float:
        return self.alpha or float(self.rank)


@dataclass(frozen=True)
class Sizes:
    """What follows from the checkpoints: widths and grids that ECHO's own layers are built for."""

    channels: int  # of a latent step
    rows: int  # of the latent grid
    cols: int
    stride: int  # frames in a latent step, but the first
    voice: int  # D of a voice feature
    look: int  # width of a CLIP token of I_ref
    user_tokens: int  # of the user's video in a tubelet
    user_width: int  # of such a token
