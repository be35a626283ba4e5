"""Options of the generator, of LCU and SDCM (ablations are options), of the two stages and of sampling."""

from dataclasses import dataclass

from dyads.errors import ConfigError
from echo_model.model.flow import SOLVERS


@dataclass(frozen=True)
class ModelOptions:
    """Architecture. The paper's symbols in the comments; the small values are ours, its appendix is not public."""

    d: int = 64  # width of the DiT and of LCU
    heads: int = 2
    blocks: int = 3  # L
    patch: int = 4  # frames in one latent step (a token holds this many frames)
    clip: int = 24  # T_cur in frames
    previous: int = 4  # T_prev in frames
    context: int = 192  # T in frames, the current clip included
    stride: int = 4  # frames between two steps of the user's audio and of S_usr
    tubelet: int = 12  # frames of user video in one token of M_v
    limit: bool = False  # Phi and Psi too know only the T frames (context sweep); goes with carry off
    window: int = 5  # L_w, frames in an audio window
    carry: bool = True  # the scans' states run on from the dialogue's start; off: anew over every clip's T frames
    mamba_layers: int = 2  # K
    phi_width: int = 64  # D of S_usr, as Phi gives it
    text_width: int = 32  # of a token of E_txt
    words: int = 8  # tokens of y_emo that c_emo holds
    dropout: float = 0.3  # of what LCU reads; a small study has few people, and LCU would know them by heart
    masks: str = "soft"  # M_lip, M_face: soft | binary
    # Of the small generator; wan has its own.
    precondition: bool = False  # x_hat = c_skip x_t + c_out F(c_in x_t), by each token's spread; off: x_hat = F(x_t)
    mixing: int = 0  # latent steps under a block's depthwise convolution over time; odd, 0: none
    colour: bool = False  # x_0 moves as true latents do, F's answer for the pose is as even; off: white noise
    neighbours: int = 0  # latent steps on each side that are embedded beside each step of x_t
    # Ablations, under the paper's names.
    use_lcu: bool = True  # off: only the current clip of the user's audio; no history of any kind
    use_lpe: bool = True  # off: no long-range visual cues of the user and no F_int
    use_hbcu: bool = True  # off: f_pu = P_usr
    use_lau: bool = True  # off: no c_emo
    use_sdcm: bool = True  # off: entangled fusion, one conditioning sequence, one cross-attention, no masks

    def __post_init__(self) -> None:
        for name, unit in (("clip", self.patch), ("previous", self.patch), ("context", self.stride)):
            if getattr(self, name) < 1 or getattr(self, name) % unit:
                raise ConfigError(f"model.{name} is {getattr(self, name)} frames, but must be a multiple of {unit}.")
        for name in ("clip", "context"):
            if getattr(self, name) % self.tubelet:
                raise ConfigError(f"model.{name} is {getattr(self, name)}, but must be a multiple of {self.tubelet}.")
        for name in ("phi_width", "text_width", "words"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}, but must be at least 1.")
        for name in ("d", "heads", "blocks"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}, but must be at least 1.")
        if self.mixing < 0 or (self.mixing and self.mixing % 2 == 0):
            raise ConfigError(f"model.mixing is {self.mixing}, but must be odd, or 0 for no mixing over time.")
        if self.neighbours < 0:
            raise ConfigError(f"model.neighbours is {self.neighbours}, but must be at least 0.")
        if self.d % (2 * self.heads):
            raise ConfigError(f"model.d is {self.d}, but must be a multiple of 2 x {self.heads} (model.heads).")
        if self.context < self.clip:
            raise ConfigError(
                f"model.context is {self.context} frames, but T counts the clip's {self.clip} too; give that or more."
            )
        if self.masks not in ("soft", "binary"):
            raise ConfigError(f"model.masks is {self.masks!r}; give soft or binary.")
        if self.limit and self.carry:
            raise ConfigError("model.limit keeps Phi and Psi to the T frames, but model.carry lets scans go beyond.")


@dataclass(frozen=True)
class StageOptions:
    """One training stage: what is dropped, how the loss is weighted."""

    time_shift: float = -1.0  # of the logit-normal flow times; below 0: more noise, where conditions decide
    sharpest: float = 0.0  # flow time up to which L_flow keeps the velocity's weight 1 / (1 - t)^2; 0: none
    pixel_weight: float = 0.1  # lambda (stage 1)
    pixel_frames: int = 4  # decoded frames a step for L_pixel
    align_weight: float = 0.1  # gamma (stage 2)
    align_blocks: int = 1  # |S|
    context_weight: float = 0.5  # of a linear reading of f_pu and c_emo that must tell the clip's mean latent; ours
    pose_weight: float = 1.5  # weight of the pose token in L_flow
    lip_weight: float = 2.0  # weight of the lip tokens in L_flow
    drop_previous: float = 0.8  # share of steps without the T_prev frames
    drop_user: float = 0.15  # share of samples without user context (f_pu and c_emo), for guidance
    drop_emotion: float = 0.05  # share of samples without c_emo
    drop_perception: float = 0.2  # share of samples without f_pu: what only words tell must be learned from words
    drop_audio: float = 0.05  # share of samples without avatar audio, for guidance
    lora_rank: int = 0  # stage 2: of LoRA on cross-attention, all else but SDCM and LCU frozen (paper: 128); 0: all
    context_rate: float = 1.0  # learning-rate factor of LCU and of SDCM's user path


@dataclass(frozen=True)
class SamplingOptions:
    """How videos are made."""

    steps: int = 6
    solver: str = "euler"  # or angular, midpoint, heun
    shift: float = 1.0  # above 1: more of the steps where there is noise, as pretrained video models are sampled
    guide_user: float = 3.0  # guidance scale on user context and emotion together; 1 = off
    guide_emotion: float = 1.0  # on c_emo alone
    guide_audio: float = 2.0  # on the avatar's voice
    decoupled: bool = False  # the voice guides by M_lip, user and emotion by M_face; off: all tokens; small alone
    lip_noise: float = 1.0  # share of x_0 left where M_lip is 1, lips are told by the voice; 1: all of it; small alone
    span: float = 1.0  # share of the true latents' variance, over the face, whose directions a clip keeps; 1: all
    span_time: float = 1.0  # the same of each component's variance over a clip's frames; small alone, as is span
    lead: int = 0  # frames over which a clip is led on from the frame before it, lips apart; 0: none; small alone

    def __post_init__(self) -> None:
        if self.steps < 1 or self.solver not in SOLVERS:
            raise ConfigError(
                f"sampling.steps is {self.steps} and solver {self.solver!r}; give at least 1 and one of "
                f"{', '.join(SOLVERS)}."
            )
        if not (0 < self.span <= 1 and 0 < self.span_time <= 1):
            raise ConfigError(
                f"sampling.span is {self.span:g} and span_time {self.span_time:g}; give shares above 0, to 1 (all)."
            )


def check_span(model: ModelOptions, sampling: SamplingOptions) -> None:
    """ConfigError where clips are to keep to a span that the model does not measure."""
    if not model.colour and min(sampling.span, sampling.span_time) < 1:
        raise ConfigError(
            "sampling.span and span_time need what model.colour measures of true latents, which is off; set both to 1, "
            "or model.colour to true and train anew."
        )
