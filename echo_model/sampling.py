"""Make the avatar's latents clip after clip, each continuing from the T_prev frames before it."""

import torch
from torch import Tensor

from dyads.seeding import torch_generator
from echo_model.backbones.vae import CHANNELS, TOKENS
from echo_model.clips import Dialogue, clip_inputs, pack, unpack
from echo_model.flow import integrate
from echo_model.generator import EchoGenerator
from echo_model.lcu import LCU
from echo_model.options import ModelOptions, SamplingOptions


@torch.no_grad()
def sample_clip(
    generator: EchoGenerator,
    lcu: LCU | None,
    clip: dict[str, Tensor],
    previous: Tensor,
    x_0: Tensor,
    options: SamplingOptions,
) -> Tensor:
    """Latent steps of one clip from noise `x_0` (F_cur, 17, c); `previous` is (F_prev, 17, c).

    Guidance: x_hat = x_hat(all) + (w_u - 1) (x_hat(all) - x_hat(no user)) + (w_a - 1) (x_hat(all) - x_hat(no audio)).
    Branches whose scale is 1 are not computed.
    """
    guided = lcu is not None and options.guide_user != 1.0
    branches = [(1.0, 1.0)] + [(0.0, 1.0)] * guided + [(1.0, 0.0)] * (options.guide_audio != 1.0)
    user = torch.tensor([u for u, _ in branches]).to(x_0)
    heard = torch.tensor([a for _, a in branches]).to(x_0)
    count = len(branches)

    def expand(x: Tensor) -> Tensor:
        return x[None].expand(count, *x.shape)

    f_pu = c_emo = None
    if lcu is not None:
        f_pu, c_emo = lcu(*(expand(clip[name]) for name in ("user_audio", "user_video", "s_usr", "text")), user)
    arguments = {
        "previous": expand(previous),
        "keep_previous": torch.ones(count).to(x_0),
        "audio": expand(clip["audio"]),
        "keep_audio": heard,
        "reference": expand(clip["reference"]),
        "f_pu": f_pu,
        "c_emo": c_emo,
    }

    def predict(x_t: Tensor, t: float) -> Tensor:
        full, *others = generator(x_t=expand(x_t), t=torch.full((count,), t).to(x_0), **arguments).unbind(0)
        scales = [options.guide_user] * guided + [options.guide_audio] * (options.guide_audio != 1.0)
        return full + sum((w - 1) * (full - other) for w, other in zip(scales, others, strict=True))

    return integrate(predict, x_0, options.steps, options.solver)


@torch.no_grad()
def sample_dialogue(
    generator: EchoGenerator,
    lcu: LCU | None,
    dialogue: Dialogue,
    model: ModelOptions,
    options: SamplingOptions,
    seed: int,
) -> Tensor:
    """The whole dialogue's latents (T, 17, 8); the noise of a clip depends on (seed, dialogue, clip) only."""
    device = next(generator.parameters()).device
    previous = torch.zeros(model.previous // model.patch, TOKENS, model.patch * CHANNELS, device=device)
    clips = []
    for start in range(0, dialogue.frames, model.clip):
        clip = {k: v.to(device) for k, v in clip_inputs(dialogue, start, model, lcu is not None).items()}
        noise = torch_generator(seed, "sample", dialogue.dyad.dyad_id, start)
        x_0 = torch.randn(model.clip // model.patch, TOKENS, model.patch * CHANNELS, generator=noise).to(device)
        steps = sample_clip(generator, lcu, clip, previous, x_0, options)
        clips.append(unpack(steps, model.patch))
        previous = pack(clips[-1][-model.previous :], model.patch)
    return torch.cat(clips)[: dialogue.frames]
