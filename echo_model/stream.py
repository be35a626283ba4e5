"""ECHO live: clip after clip from what has arrived, at a cost that does not grow with the dialogue."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dyads.contract import FPS, Turn
from dyads.errors import ConfigError, DataError
from echo_model.backbones.audio import AUDIO_DIM, FRAME, encode_audio
from echo_model.backbones.phi import Phi, steps_of
from echo_model.backbones.psi import Lexicon
from echo_model.backbones.readers import ClipPhi, Psi, TextEncoder, read_clip
from echo_model.backbones.text import encode_text
from echo_model.backbones.vae import CHANNELS, TOKENS, FaceVAE, encode_video, to_frames, to_tensor
from echo_model.clips import pack, slice_padded, unpack, user_steps, voice_windows
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU, Perceived, PerceptionState
from echo_model.model.options import ModelOptions, SamplingOptions
from echo_model.sampling import before_the_first, clip_noise, sample_clip

EAR = 2  # frames of sound kept, so that the next frame's analysis windows are whole


@dataclass
class Networks:
    """Everything a stream runs: ECHO's own two networks and the frozen backbones."""

    generator: EchoGenerator
    lcu: LCU
    vae: FaceVAE
    phi: Phi | ClipPhi
    psi: Psi = field(default_factory=Lexicon)
    text: TextEncoder = encode_text


class Ear:
    """Audio features of a voice that arrives in pieces, the same as those of the whole recording."""

    def __init__(self) -> None:
        self.tail = np.zeros(0, np.float32)

    def hear(self, audio: np.ndarray) -> Tensor:
        """Features (n, 50) of the n new frames."""
        known = len(self.tail) // FRAME
        together = np.concatenate([self.tail, audio])
        self.tail = together[-EAR * FRAME :]
        return encode_audio(together)[known:]


class EchoStream:
    """A dialogue in progress.

    `step` takes one clip (T_cur frames) of both sides and gives the avatar's frames of that clip: the same ones as
    the batch path, `sampling.sample_dialogue`. Kept are the scans' states, the S steps that attention looks back on,
    Phi's reach, and turns until Psi forgets them; none of it grows.

    Args:
        networks: trained, in eval mode, on the CPU or one GPU.
        model, sampling: their options.
        reference: the avatar's image, uint8 (H, W, 3), of the autoencoder's size.
        seed, name: the address of the noise, as in the batch path: (seed, dialogue).
    """

    def __init__(
        self,
        networks: Networks,
        model: ModelOptions,
        sampling: SamplingOptions,
        reference: np.ndarray,
        seed: int = 0,
        name: str = "stream",
    ) -> None:
        if model.limit:
            raise ConfigError(
                "model.limit makes Phi and Psi forget with every clip, which only the batch path of the context sweep "
                "does; stream a model that was trained without it."
            )
        size = networks.vae.options.size
        if reference.shape != (size, size, 3) or reference.dtype != np.uint8:
            raise DataError(
                f"the reference image is {reference.dtype} {reference.shape}, but this model needs uint8 "
                f"({size}, {size}, 3); crop the face and resize it."
            )
        self.networks, self.model, self.sampling, self.seed, self.name = networks, model, sampling, seed, name
        self.device = next(networks.generator.parameters()).device
        self.image = to_tensor(reference[None]).to(self.device)
        with torch.no_grad():
            self.reference = networks.vae.reference_tokens(self.image)[0]
            self.origin = networks.vae.origin(self.image)
        self.start, self.ended = 0, False
        self.window, self.current = model.context // model.stride, model.clip // model.stride
        self.ears = {"user": Ear(), "avatar": Ear()}
        self.user_reference: np.ndarray | None = None
        self.voice: Tensor | None = None  # features of the avatar's last T_prev frames and the windows' reach
        self.user = self._nothing(model.context - model.clip)
        self.s_usr = torch.zeros(self.window, model.phi_width, device=self.device)
        self.read = self._nothing(0)  # what Phi still looks back on
        self.shown = (np.zeros((0, *reference.shape), np.uint8), np.zeros(0, np.float32))  # the same, of a ClipPhi
        self.turns: list[Turn] = []
        self.previous = before_the_first(model, networks.generator.layout).to(self.device)
        self.span = networks.generator.span(sampling)
        self.perceived, self.state = Perceived(), PerceptionState()
        if model.carry and model.context > model.clip:  # as in training, silence came before the dialogue
            self._look(user_steps(self.user, 0, model.context - model.clip, model))

    def step(
        self,
        user_frames: np.ndarray,
        user_audio: np.ndarray,
        avatar_audio: np.ndarray,
        new_turns: Sequence[Turn] = (),
    ) -> np.ndarray:
        """The avatar's next frames, uint8 (n, H, W, 3).

        Args:
            user_frames: uint8 (n, H, W, 3), the user's face over the clip, at 25 fps; n is T_cur, or fewer in the
                last step.
            user_audio, avatar_audio: float (n * 640,), mono at 16 kHz in [-1, 1].
            new_turns: what was said, with times in seconds since the stream's start, once it is known; a turn that
                ends after this clip's start counts from a later clip on.
        """
        return self.render(self.advance(user_frames, user_audio, avatar_audio, new_turns))

    @torch.no_grad()
    def advance(self, user_frames, user_audio, avatar_audio, new_turns=()) -> Tensor:
        """`step` without the decoding: latents (n, 17, 8)."""
        count = self._check(user_frames, user_audio, avatar_audio)
        conditions = self._understand(user_frames, user_audio, new_turns, count)
        conditions["audio"] = self._speak(avatar_audio)
        conditions["reference"] = self.reference
        x_0 = clip_noise(self.model, self.networks.generator.layout, self.seed, self.name, self.start).to(self.device)
        nets, given = self.networks, (conditions, self.perceived, self.previous, x_0)
        steps = sample_clip(nets.generator, nets.lcu, *given, self.sampling, self.span)
        latents = unpack(steps, self.model.patch)
        self.previous = pack(latents[-self.model.previous :], self.model.patch)
        self.start, self.ended = self.start + self.model.clip, count < self.model.clip
        return latents[:count]

    @torch.no_grad()
    def render(self, latents: Tensor) -> np.ndarray:
        """Latents (n, 17, 8) -> uint8 (n, H, W, 3)."""
        return to_frames(self.networks.vae.decode(latents, self.image, self.origin).cpu())

    def _nothing(self, frames: int) -> dict[str, Tensor]:
        shapes = {"user_audio": (frames, AUDIO_DIM), "user_latents": (frames, TOKENS, CHANNELS)}
        return {name: torch.zeros(shape, device=self.device) for name, shape in shapes.items()}

    def _check(self, user_frames: np.ndarray, user_audio: np.ndarray, avatar_audio: np.ndarray) -> int:
        """Frames of this step; DataError with the remedy if the three do not fit together."""
        count, clip = len(user_frames), self.model.clip
        if self.ended:
            raise DataError("this stream ended with a step shorter than a clip; start another EchoStream.")
        if not 1 <= count <= clip:
            raise DataError(f"a step takes 1 to {clip} user frames, but got {count}; cut the video into clips.")
        for side, audio in (("user", user_audio), ("avatar", avatar_audio)):
            if len(audio) != count * FRAME:
                raise DataError(
                    f"{count} frames need {count * FRAME} samples of {side} audio at 16 kHz, but got {len(audio)}; "
                    "pad with silence or cut."
                )
            if not np.isfinite(audio).all():
                raise DataError(f"the {side} audio has samples that are not finite; replace them by silence.")
        return count

    def _understand(self, user_frames, user_audio, new_turns, count: int) -> dict[str, Tensor]:
        """Take in the user's side; S_usr and c_emo's words for this clip."""
        model, nets = self.model, self.networks
        if self.user_reference is None:
            self.user_reference = user_frames[0]
        new = {
            "user_audio": self.ears["user"].hear(user_audio).to(self.device),
            "user_latents": encode_video(self.networks.vae, user_frames, self.user_reference),
        }
        if isinstance(nets.phi, Phi):
            self._follow(new, count // nets.phi.options.stride)
        else:
            self._read_anew(user_frames, user_audio)

        padded = {name: slice_padded(x, 0, model.clip) for name, x in new.items()}
        kept = model.context + model.window
        self.user = {name: torch.cat([old, padded[name]])[-kept:] for name, old in self.user.items()}
        stop = len(self.user["user_audio"])
        windows = user_steps(self.user, stop - model.clip, stop, model)
        if model.carry:
            self._look(windows)
        else:
            self.perceived, self.state = Perceived(), PerceptionState()
            self._look(user_steps(self.user, stop - model.context, stop, model))
        now = self.start / FPS
        self.turns = nets.psi.remembered((*self.turns, *new_turns), now)
        text = nets.text(nets.psi.write(self.turns, now)).to(self.device)
        return {"user_audio": windows["user_audio"], "s_usr": self.s_usr, "text": text}

    def _follow(self, new: dict[str, Tensor], whole: int) -> None:
        """Let the causal Phi go on over the whole steps of the new features."""
        phi = self.networks.phi
        self.read = {name: torch.cat([old, new[name]]) for name, old in self.read.items()}
        told = self.s_usr[:0]
        if whole:
            told = phi(*(steps_of(x, phi.options.stride)[None] for x in self.read.values()))[0][-whole:]
        told = slice_padded(told, 0, self.current)
        self.s_usr = torch.cat([self.s_usr, told])[-self.window :]
        self.read = {name: x[-phi.reach * phi.options.stride :] for name, x in self.read.items()}

    def _read_anew(self, user_frames: np.ndarray, user_audio: np.ndarray) -> None:
        """Let a pretrained Phi read the T frames that end with this clip."""
        before, kept = len(self.shown[0]), self.model.context - self.model.clip
        frames, audio = (np.concatenate(pair) for pair in zip(self.shown, (user_frames, user_audio), strict=True))
        self.s_usr = read_clip(self.networks.phi, frames, audio, before, self.model).float().to(self.device)
        first = max(len(frames) - kept, 0)
        self.shown = (frames[first:], audio[first * FRAME :])

    def _look(self, steps: dict[str, Tensor]) -> None:
        """Let the scans go on over further steps of the user."""
        scan = self.networks.lcu.lpe.scan
        with torch.no_grad():
            seen, self.state = scan(steps["user_audio"][None], steps["user_video"][None], self.state)
        self.perceived = self.perceived.then(seen).last(self.model.context, self.model)

    def _speak(self, avatar_audio: np.ndarray) -> Tensor:
        """A_avt of the T_prev and T_cur frames; frames before the start repeat the first one."""
        new = self.ears["avatar"].hear(avatar_audio).to(self.device)
        kept = self.model.previous + self.model.window // 2
        before = new[:1].expand(kept, -1) if self.voice is None else self.voice
        heard = torch.cat([before, new])
        self.voice = heard[-kept:]
        return voice_windows(heard, kept, self.model)
