"""Phi, pretrained: the thinker of Qwen2.5-Omni, frozen, reads a prompt and a clip's T frames of video and sound."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from dyads.contract import FPS
from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import model_type, open_model, open_processor

TYPES = ("qwen2_5_omni", "qwen2_5_omni_thinker")  # the whole model, of which the thinker is taken, or the thinker


class QwenOmni:
    """(video, sound) of n frames -> S_usr (n // stride, D): last-layer hidden tokens at the video's and sound's places.

    The prompt comes first, as the system's message, because the thinker is causal: only what follows it is read in its
    light. The sound is interleaved with the video by time, as the model was trained.

    A step of `stride` frames gets the mean of two means: of the audio tokens and of the video tokens whose time
    overlaps it, each weighted by the overlap. An audio token lasts 1/25 s, a video token as long as the frames merged
    into it. So S_usr has one row a step, whatever the checkpoint's own token rates.

    Args:
        path: folder of a checkpoint, with its processor and chat template.
        stride: frames a step.
        fps: frames of video shown a second; the model's own rate is 2.
        prompt: P_think.
    """

    def __init__(self, path: Path, stride: int, fps: float, prompt: str, device: torch.device | str = "cpu"):
        from transformers import Qwen2_5OmniProcessor, Qwen2_5OmniThinkerForConditionalGeneration

        if (kind := model_type(path)) not in TYPES:
            raise ConfigError(f"{path} is a {kind}, but phi.kind qwen_omni reads Qwen2.5-Omni; name a folder with one.")
        if not 0 < fps <= FPS:
            raise ConfigError(f"phi.fps is {fps}, but must lie above 0 and at most at the video's {FPS}.")
        self.processor = open_processor(Qwen2_5OmniProcessor, path)
        self.thinker = open_model(Qwen2_5OmniThinkerForConditionalGeneration, path, device)
        self.thinker.lm_head = nn.Identity()  # no words are asked for: the last hidden tokens come out instead
        # Sound and video of one recording, interleaved: transformers 5.17 and 5.23 ask for it by other names.
        newer = {"load_audio_from_video": True, "audio_from_video_indices": [0]}
        named = hasattr(Qwen2_5OmniProcessor, "load_audio_from_video")
        self.together = newer if named else {"use_audio_in_video": True}
        self.config, self.stride, self.fps, self.device = self.thinker.config, stride, fps, device
        self.width = self.config.get_text_config().hidden_size
        asked = [{"role": "system", "content": [{"type": "text", "text": prompt}]}]
        asked.append({"role": "user", "content": [{"type": "video", "video": ""}]})
        try:
            self.text = self.processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=False)
        except ValueError as error:
            raise ConfigError(
                f"{path} has no chat template; copy the checkpoint's chat_template file there."
            ) from error

    @torch.no_grad()
    def read(self, frames: np.ndarray, audio: np.ndarray) -> Tensor:
        """uint8 (n, H, W, 3) at 25 fps and float (n * 640,) at 16 kHz -> S_usr (n // stride, D)."""
        longest = self.processor.feature_extractor.n_samples
        if len(audio) > longest:
            raise ConfigError(
                f"Phi hears at most {longest / 16000:g} s, but a clip's T frames last {len(audio) / 16000:g} s; "
                "shorten model.context."
            )
        patch = self.processor.video_processor.temporal_patch_size
        inputs = self.processor(
            text=self.text,
            audio=[audio],
            videos=[rearrange(torch.from_numpy(shown(frames, self.fps, patch)), "n h w c -> n c h w")],
            fps=self.fps,
            do_sample_frames=False,
            return_tensors="pt",
            **self.together,
        ).to(self.device)
        hidden = self.thinker(**inputs, use_audio_in_video=True, use_cache=False).logits[0]
        ids, steps = inputs["input_ids"][0], len(frames) // self.stride
        heard, seen = hidden[ids == self.config.audio_token_id], hidden[ids == self.config.video_token_id]
        seen = rearrange(seen, "(t s) d -> t s d", t=int(inputs["video_grid_thw"][0, 0])).mean(1)
        return (pooled(heard, 1.0, steps, self.stride) + pooled(seen, patch * FPS / self.fps, steps, self.stride)) / 2


def shown(frames: np.ndarray, fps: float, patch: int) -> np.ndarray:
    """Frames at `fps` a second from the first on, the last one repeated until `patch` divides their number."""
    count = int(np.ceil(len(frames) / FPS * fps))
    place = np.floor(np.arange(count + -count % patch) * FPS / fps).astype(int)
    return frames[np.minimum(place, place[count - 1])]


def pooled(tokens: Tensor, length: float, steps: int, stride: int) -> Tensor:
    """Tokens (n, D), each `length` frames long, one after another -> their mean over each step, float32 (steps, D)."""
    start = length * torch.arange(len(tokens))
    begin = stride * torch.arange(steps)[:, None]
    overlap = (torch.minimum(start + length, begin + stride) - torch.maximum(start, begin)).clamp_min(0.0)
    weights = overlap / overlap.sum(1, keepdim=True).clamp_min(1e-6)
    return weights.to(tokens.device) @ tokens.float()
