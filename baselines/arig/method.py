"""ARIG as a row of the tables: frames after frames of windows in training, one frame at a time in sampling."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.arig.model import ARIGNetwork, ModelOptions
from baselines.arig.sampling import SamplingOptions, rollout
from baselines.arig.states import UNKNOWN, conversational_states
from baselines.motion.method import MotionDialogue, MotionMethod
from baselines.motion.renderer import DIRECTIONS
from baselines.motion.voice import voice_activity
from dyads.errors import ConfigError
from echo_model.stages import keep


@dataclass(frozen=True)
class StageOptions:
    """One training stage: which frames are learned, and what of the past is hidden."""

    window: int = 144  # frames of a training window; its chunks are the context
    frames: int = 12  # frames learned beside those at which a chunk ends, drawn anew for every batch
    repeats: int = 2  # noise levels per learned frame
    state_weight: float = 0.1  # of the cross-entropy over the seven states
    noise: float = 0.3  # past avatar motion gets noise of a standard deviation drawn from 0 .. this, per window
    drop_past: float = 0.6  # share of frames that do not know the avatar's past motions in PMP
    drop_agent: float = 0.5  # share of windows whose chunks do not know the avatar's past motion
    drop_state: float = 0.3  # share of frames that do not know the state before

    def __post_init__(self) -> None:
        if self.window < 1 or self.frames < 0 or self.repeats < 1:
            raise ConfigError("stage.window and stage.repeats must be at least 1, stage.frames not negative.")


class Track:
    """A dialogue as training windows are cut from it: `lead` frames of start, the dialogue, a window of padding."""

    def __init__(self, dialogue: MotionDialogue, lead: int, window: int):
        active = torch.stack([voice_activity(dialogue.avatar_audio), voice_activity(dialogue.user_audio)], 1)
        heard = F.pad(active[:-1, 1], (1, 0))  # of the user, frame T knows the frame before
        silence = (torch.zeros(lead, x.shape[-1]) for x in (dialogue.user_audio, dialogue.user_motion))
        starts = {
            "agent_audio": (dialogue.avatar_audio[:1].repeat(lead, 1), dialogue.avatar_audio),
            "user_audio": (next(silence), dialogue.user_audio),
            "agent_motion": (torch.zeros(lead, DIRECTIONS), dialogue.avatar_motion),
            "user_motion": (next(silence), dialogue.user_motion),
            "active": (torch.zeros(lead, 2, dtype=torch.long), active.long()),
            "state": (torch.full((lead,), UNKNOWN), conversational_states(active[:, 0], heard)),
        }
        self.frames = dialogue.frames
        self.values = {
            name: torch.cat([start, x, torch.zeros(window, *x.shape[1:], dtype=x.dtype)])
            for name, (start, x) in starts.items()
        }
        self.lead, self.window = lead, window

    def cut(self, start: int) -> dict[str, Tensor]:
        """Frames start - lead .. start + window, and which of the window's are in the dialogue."""
        window = {name: x[start : start + self.lead + self.window] for name, x in self.values.items()}
        return window | {"there": torch.arange(start, start + self.window) < self.frames}


class FrameTask:
    """Random windows; the motion of many of their frames, each from the true past."""

    def __init__(self, module: ARIGNetwork, dialogues: list[MotionDialogue], stage: StageOptions, batch_size: int):
        self.module, self.stage, self.batch_size = module, stage, batch_size
        self.tracks = [Track(dialogue, module.options.lead, stage.window) for dialogue in dialogues]

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        stage, chunk = self.stage, self.module.options.chunk
        windows = []
        for pick in torch.randint(len(self.tracks), (self.batch_size,), generator=generator).tolist():
            track = self.tracks[pick]
            last = max(track.frames - stage.window, 0)
            # Often the dialogue's own start, where sampling starts.
            start = int(torch.randint(-stage.window // 2, last + 1, (), generator=generator))
            windows.append(track.cut(max(start, 0)))
        place = torch.arange(stage.window)
        others = place[place % chunk != 0]
        drawn = torch.randperm(len(others), generator=generator)[: stage.frames]
        frames = torch.cat([place[place % chunk == 0], others[drawn]]).sort().values
        return {name: torch.stack([w[name] for w in windows]) for name in windows[0]} | {"frames": frames}

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        stage, frames, motion = self.stage, batch["frames"], batch["agent_motion"]
        now, b = frames + self.module.options.lead, len(motion)
        target, state = motion[:, now], batch["state"][:, now]
        spread = stage.noise * torch.rand(b, 1, 1, generator=generator)
        noisy = motion + (spread * torch.randn(motion.shape, generator=generator)).to(motion)
        forgotten = torch.rand(batch["state"].shape, generator=generator) < stage.drop_state
        known = batch["state"].masked_fill(forgotten.to(state.device), UNKNOWN)
        z, logits = self.module(
            batch | {"agent_motion": noisy, "state": known},
            frames,
            keep(b, stage.drop_agent, generator).to(motion),
            keep(b * len(frames), stage.drop_past, generator).view(b, -1).to(motion),
        )
        there = batch["there"][:, frames]
        z, target = (x[there].repeat(stage.repeats, 1) for x in (z, target))
        diffusion = self.module.head.loss(z, target, generator).mean()
        told = F.cross_entropy(logits[there], state[there])
        right = (logits[there].argmax(-1) == state[there]).float().mean()
        loss = diffusion + stage.state_weight * told
        return loss, {"diffusion": diffusion.detach(), "state": told.detach(), "state_right": right}


class ARIG(MotionMethod):
    """ARIG: Guo, Liu, Cheng, Yan, Wei 2025, "Autoregressive Interactive Head Generation for Real-time Conversations"
    (ICCV 2025, arXiv 2507.00472).

    Strictly frame-wise: M_a[T] = ARIG(A_a[T], A_u[T-1], M_a[T-1], M_u[T-1]) and bounded caches. Frame T looks at the
    avatar's voice up to T and at the user up to T - 1; nothing later is read.

    The same: continuous motion without quantisation, from a diffusion MLP (3 adaLN blocks, ancestral steps) on a
    condition z; a chunk cache of c = 6 frames a party, merged from audio and motion, read by two bidirectional layers
    (own weights a party, shared attention, adaLN by the newest audio) and an integrated one (attention beside MLP)
    into a summary; a context cache of summaries whose last one is refreshed until its chunk is full; a causal decoder
    over it (cis-token); seven conversational states by cross-attention of s_{T-1} on both voice activities and the
    cis-token, with cross-entropy; coarse prediction from the last 3 audio frames, fine prediction from cis-token, S_T
    and A_a[T], a temporal layer over 5 past motions; the state fed back is the predicted one.

    Different, and why: widths are 48 and 96 instead of 512, and w is 32 chunks instead of 512, for the study's budget
    and dialogues of ten seconds. Motion is the shared renderer's (20 numbers), audio the shared features. The diffusion
    MLP estimates clean motion, which is turned into the noise estimate of the paper's steps; squared error of clean
    motion weighs all noise levels alike (short trainings learn that sooner); the noise schedule is a cosine, theirs is
    not told. Voice activity comes from the audio features by a causal energy detector instead of WebRTC's, and the
    states, which the authors had annotated, are labelled by rules on run lengths of voice (`states`). Before frame 0
    the user is zeros, for the paper's repeated first frame would be seen too early. The paper names nothing against
    exposure bias; here training adds noise to past motion or hides it, and sampling guides by it with a scale below 1
    (`sampling.own_past`; a second row of the same step knows no own motion): told everything, a model of this size goes
    on as it is and hardly answers the user. Dropout on behaviours, as people are few. 10 diffusion steps instead of 15,
    for speed. The decoder knows places by a bias per distance in chunks. One stage on one data set, not talking,
    listening, both.
    """

    sections = {"model": ModelOptions, "stage": StageOptions, "sampling": SamplingOptions}

    def build(self) -> ARIGNetwork:
        return ARIGNetwork(self.settings["model"])

    def task(self, module: ARIGNetwork, dialogues: list[MotionDialogue]) -> FrameTask:
        return FrameTask(module, dialogues, self.settings["stage"], self.schedule.batch_size)

    def sample(self, module: ARIGNetwork, dialogue: MotionDialogue, generator: torch.Generator) -> Tensor:
        """Motion (T, 20), frame after frame."""
        return rollout(module, dialogue, self.settings["sampling"], generator)
