"""The audio encoder, pretrained: hidden states of wav2vec 2.0 or HuBERT, one feature a video frame, clip by clip."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.errors import ConfigError
from echo_model.backbones.audio import FRAME, RATE
from echo_model.backbones.checkpoint import model_type, open_model, settings

STRIDE, LEAST = 320, 400  # samples between two hidden states, and that one looks at


class Voice:
    """Mono 16 kHz sound -> (T, D), T = samples // 640, for clips of `clip` frames.

    The networks attend to all they are given, later sound too. So each clip is read from the `reach` frames before it
    and itself, and only its own features are kept: none depends on sound after its clip's end, and a stream gives the
    same ones. A hidden state's middle lies at 320 j + 200 samples: a frame takes the mean of states 2 i and 2 i + 1,
    whose middle is 2.5 ms after the frame's own.

    Args:
        path: folder of a checkpoint with its preprocessor_config.json.
        kind: wav2vec2 or hubert.
        layer: which hidden state, as in `hidden_states[layer]`.
        clip, reach: frames.
    """

    def __init__(self, path: Path, kind: str, layer: int, clip: int, reach: int, device: torch.device | str = "cpu"):
        from transformers import HubertModel, Wav2Vec2Model

        if (found := model_type(path)) != kind:
            raise ConfigError(f"{path} is a {found}, but generator.voice.kind is {kind}; name a folder with one.")
        told = settings(path, "preprocessor_config.json")
        if told.get("sampling_rate", RATE) != RATE:
            raise ConfigError(f"{path} hears {told['sampling_rate']} Hz, but sound here has {RATE}; name another one.")
        self.normalise = bool(told.get("do_normalize", True))
        self.model = open_model({"wav2vec2": Wav2Vec2Model, "hubert": HubertModel}[kind], path, device)
        layers = self.model.config.num_hidden_layers
        if not -layers - 1 <= layer <= layers:
            raise ConfigError(f"generator.voice.layer is {layer}, but {path} has {layers} layers; give -1 to {layers}.")
        self.width, self.layer, self.clip, self.reach = self.model.config.hidden_size, layer, clip, reach
        self.device = device

    def encode(self, audio: np.ndarray) -> Tensor:
        """float (N,) in [-1, 1] -> float32 (N // 640, D); silence follows where a clip goes on after the sound."""
        frames = len(audio) // FRAME
        clips = [self.read(audio, start) for start in range(0, frames, self.clip)]
        return torch.cat(clips)[:frames] if clips else torch.zeros(0, self.width)

    @torch.no_grad()
    def read(self, audio: np.ndarray, start: int) -> Tensor:
        """Features of the clip that begins at frame `start`, (clip, D), from sound up to its end."""
        first = max(start - self.reach, 0)
        heard = torch.from_numpy(np.ascontiguousarray(audio[first * FRAME : (start + self.clip) * FRAME], np.float32))
        heard = F.pad(heard, (0, (start + self.clip - first) * FRAME - len(heard)))
        if self.normalise:
            heard = (heard - heard.mean()) / (heard.var(unbiased=False) + 1e-7).sqrt()
        heard = F.pad(heard, (0, LEAST - STRIDE)).to(self.device, self.model.dtype)  # two states for the last frame too
        states = self.model(heard[None], output_hidden_states=True).hidden_states[self.layer][0]
        return rearrange(states.float().cpu(), "(t k) d -> t k d", k=FRAME // STRIDE).mean(1)[-self.clip :]
