"""Cut a dialogue's features into what the model sees of one clip: user context, audio windows, latents."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.contract import FPS, Dyad
from echo_model.backbones.phi import Phi, steps_of
from echo_model.backbones.psi import affect_sentence
from echo_model.backbones.text import encode_text
from echo_model.model.options import ModelOptions


@dataclass
class Dialogue:
    """One speaker's dialogue in memory: what conditions it, and, for training, its true latents (T, 17, 8)."""

    dyad: Dyad
    inputs: dict[str, Tensor]
    context: dict[str, Tensor] = field(default_factory=dict)  # of `understand`
    latents: Tensor | None = None
    role: str = "avatar"
    phi: Phi | None = None  # where S_usr and y_emo are made of each clip's T frames alone (ModelOptions.limit)

    @property
    def frames(self) -> int:
        return len(self.inputs[f"{self.role}_audio"])

    @property
    def reference(self) -> Tensor:
        return self.inputs["reference" if self.role == "avatar" else "user_reference"]

    @property
    def reference_image(self) -> Tensor:
        return self.inputs["reference_image" if self.role == "avatar" else "user_reference_image"]


def pack(latents: Tensor, patch: int) -> Tensor:
    """(T, n, c) -> latent steps (T / patch, n, patch * c)."""
    return rearrange(latents, "(f k) n c -> f n (k c)", k=patch)


def unpack(steps: Tensor, patch: int) -> Tensor:
    """The inverse of `pack`."""
    return rearrange(steps, "f n (k c) -> (f k) n c", k=patch)


def slice_padded(x: Tensor, start: int, stop: int) -> Tensor:
    """x[start:stop] with zeros where that leaves the tensor."""
    inside = x[max(start, 0) : max(stop, 0)]
    before = min(max(-start, 0), stop - start)
    return F.pad(inside, (0, 0) * (x.dim() - 1) + (before, stop - start - before - len(inside)))


def voice_windows(audio: Tensor, start: int, options: ModelOptions) -> Tensor:
    """A_avt of the T_prev and T_cur frames: windows of L_w frames around each, (F, patch * L_w, D).

    `start` is the clip's first frame in `audio` (T, D). A window is clamped to the first frame given and to the
    clip's end: the voice after the clip is not looked at.
    """
    first, stop = start - options.previous, start + options.clip
    reach = options.window // 2
    place = torch.arange(first, stop)[:, None] + torch.arange(-reach, options.window - reach)
    windows = audio[place.clamp(0, min(stop, len(audio)) - 1)]
    return rearrange(windows, "(f k) w d -> f (k w) d", k=options.patch)


def user_steps(inputs: dict[str, Tensor], begin: int, stop: int, options: ModelOptions) -> dict[str, Tensor]:
    """User audio (S, L_w, D), S = (stop - begin) / stride, and video (S_v, 17, tubelet * 8) of frames begin .. stop.

    Zeros outside the dialogue. A step's window ends with the step's last frame, so nothing after it is looked at.
    """
    audio = slice_padded(inputs["user_audio"], begin - (options.window - options.stride), stop)
    windows = audio.unfold(0, options.window, options.stride)  # (S, D, L_w)
    video = slice_padded(inputs["user_latents"], begin, stop)
    return {
        "user_audio": windows.transpose(1, 2),
        "user_video": rearrange(video, "(s k) n c -> s n (k c)", k=options.tubelet),
    }


def user_context(inputs: dict[str, Tensor], start: int, options: ModelOptions) -> dict[str, Tensor]:
    """`user_steps` of the T frames that end with the clip."""
    stop = start + options.clip
    return user_steps(inputs, stop - options.context, stop, options)


def read_by_phi(context: dict[str, Tensor], start: int, options: ModelOptions) -> Tensor:
    """S_usr (S, D) of the T frames that end with the clip, from what `understand` stored of the dialogue.

    A causal Phi has read the whole dialogue once: (steps, D). A pretrained one has read the T frames of every clip
    that starts in `starts`: (clips, S, D). A clip between two of those, which only training draws, gets the earlier
    reading at its own time; its last steps stay zero, as nothing has been read of them.
    """
    steps, s_usr = options.context // options.stride, context["s_usr"]
    if "starts" not in context:
        stop = (start + options.clip) // options.stride
        return slice_padded(s_usr, stop - steps, stop)
    which = int(torch.searchsorted(context["starts"], start, right=True)) - 1
    late = (start - int(context["starts"][which])) // options.stride
    return slice_padded(s_usr[which].float(), late, late + steps)


@torch.no_grad()
def understood(dialogue: Dialogue, start: int, options: ModelOptions) -> dict[str, Tensor]:
    """S_usr (S, D) of the T frames that end with the clip, and the words of y_emo at its start."""
    step, steps = start // options.stride, options.context // options.stride
    stop = step + options.clip // options.stride
    if dialogue.phi is None:
        spoken = dialogue.context["text_index"]
        text = dialogue.context["text"][spoken[min(step, len(spoken) - 1)]]
        return {"s_usr": read_by_phi(dialogue.context, start, options), "text": text}
    first = max(stop - steps, 0)
    frames = slice(first * options.stride, stop * options.stride)
    seen = [steps_of(dialogue.inputs[name][frames], options.stride) for name in ("user_audio", "user_latents")]
    read = torch.zeros(0, options.phi_width)  # a clip of a rest
    if len(seen[0]):
        read = dialogue.phi(*(x[None] for x in seen))[0]
    s_usr = slice_padded(read, stop - steps - first, stop - first)
    turns = [turn for turn in dialogue.dyad.turns if turn.end > frames.start / FPS]
    return {"s_usr": s_usr, "text": encode_text(affect_sentence(turns, start / FPS))}


def clip_inputs(dialogue: Dialogue, start: int, options: ModelOptions, user: bool = True) -> dict[str, Tensor]:
    """Everything but latents for the clip that starts at frame `start` (a multiple of `stride`)."""
    clip = {
        "audio": voice_windows(dialogue.inputs[f"{dialogue.role}_audio"], start, options),
        "reference": dialogue.reference,
    }
    if user:
        clip |= user_context(dialogue.inputs, start, options)
        clip |= understood(dialogue, start, options)
    return clip


def clip_latents(dialogue: Dialogue, start: int, options: ModelOptions) -> dict[str, Tensor]:
    """True latents of the clip and of the T_prev frames before it (before the start: the reference image itself)."""
    latents = dialogue.latents
    clip = latents[start : start + options.clip]
    previous = slice_padded(latents, start - options.previous, start)
    energy = dialogue.inputs["energy"][start : start + options.clip]
    return {
        "x_1": pack(clip, options.patch),
        "previous": pack(previous, options.patch),
        "energy": energy.view(-1, options.patch).amax(1),
    }


def stack(clips: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}
