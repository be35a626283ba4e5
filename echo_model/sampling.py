"""Make the avatar's latents clip after clip, each continuing from the T_prev frames before it."""

import torch
from torch import Tensor

from dyads.seeding import torch_generator
from echo_model.clips import Dialogue, clip_inputs, pack, unpack, user_steps
from echo_model.model.flow import integrate
from echo_model.model.generator import EchoGenerator
from echo_model.model.latent import LatentLayout
from echo_model.model.lcu import LCU, Perceived
from echo_model.model.noise import Span
from echo_model.model.options import ModelOptions, SamplingOptions


def branches(options: SamplingOptions, user: bool) -> tuple[Tensor, list[float]]:
    """What each evaluation of the network sees, (n, 3) of user, emotion, voice; and the scales of all but the first.

    x_hat = x_hat(all) + sum over dropped conditions c of (w_c - 1) (x_hat(all) - x_hat(all but c)). The user's
    branch drops the emotion too. A condition whose scale is 1 costs nothing.
    """
    rows, scales = [(1.0, 1.0, 1.0)], []
    dropped = [(options.guide_audio, (1.0, 1.0, 0.0))]
    if user:
        dropped = [(options.guide_user, (0.0, 0.0, 1.0)), (options.guide_emotion, (1.0, 0.0, 1.0)), *dropped]
    for scale, row in dropped:
        if scale != 1.0:
            rows.append(row)
            scales.append(scale)
    return torch.tensor(rows), scales


@torch.no_grad()
def sample_clip(
    generator: EchoGenerator,
    lcu: LCU | None,
    clip: dict[str, Tensor],
    perceived: Perceived,
    previous: Tensor,
    x_0: Tensor,
    options: SamplingOptions,
    span: Span | None = None,
) -> Tensor:
    """Latent steps of one clip from noise `x_0` (F_cur, *step), each frame's its own; `previous` is (F_prev, *step).

    `clip` is of `clips.clip_inputs`, of whose user windows only the clip's own are read; `perceived` has batch 1.
    `span` is of `generator.span`: what few steps and a small network leave outside of it, no true clip has.
    """
    seen, scales = branches(options, lcu is not None)
    guides = [scale - 1 for scale in scales]
    if options.decoupled:  # who does not drop the voice drops the user
        guides = [
            g * (generator.m_face if row[2] else generator.m_lip) for g, row in zip(guides, seen[1:], strict=True)
        ]
    count = len(seen)
    user, felt, heard = seen.to(x_0).unbind(1)

    def expand(x: Tensor) -> Tensor:
        return x[None].expand(count, *x.shape)

    f_pu = c_emo = None
    if lcu is not None:
        a = expand(clip["user_audio"][-lcu.lpe.current :])
        perceived = Perceived(*(None if x is None else x.expand(count, *x.shape[1:]) for x in perceived))
        f_pu, c_emo = lcu.understand(a, perceived, expand(clip["s_usr"]), expand(clip["text"]), user, felt)
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
        return full + sum(guide * (full - other) for guide, other in zip(guides, others, strict=True))

    x_0 = generator.coloured(x_0)
    if options.lip_noise != 1.0:
        x_0 = x_0 * (1 - (1 - options.lip_noise) * generator.m_lip)
    made = integrate(predict, x_0, options.steps, options.solver, options.shift)
    if span is not None:
        made = pack(span(unpack(made, generator.options.patch)), generator.options.patch)
    return led_on(made, previous, generator.m_face, options.lead, generator.options.patch)


def led_on(clip: Tensor, previous: Tensor, m_face: Tensor, lead: int, patch: int) -> Tensor:
    """A clip, (F_cur, 17, patch * 8), that goes on from where the frames before it ended.

    Guidance and chance let a clip begin elsewhere than the last one ended, which shows as a jump. What its first frame
    is off, against the last one moved on at the speed of the frames around the border, is taken from it, and less and
    less from the `lead` frames after it; in tokens of the lips less by M_face, for they follow the voice.
    """
    if not lead:
        return clip
    frames, before = unpack(clip, patch), unpack(previous, patch)
    speed = 0.5 * (frames[1] - frames[0] + before[-1] - before[-min(2, len(before))])
    k = torch.arange(len(frames)).to(clip)
    weight = 0.5 + 0.5 * torch.cos(torch.pi * (k / lead).clamp_max(1.0))
    return pack(frames + weight[:, None, None] * m_face * (before[-1] + speed - frames[0]), patch)


def clip_noise(model: ModelOptions, layout: LatentLayout, seed: int, name: str, start: int) -> Tensor:
    """x_0 of the clip at frame `start`; it depends on (seed, dialogue, clip) only."""
    noise = torch_generator(seed, "sample", name, start)
    return torch.randn(model.clip // model.patch, *layout.step, generator=noise)


def before_the_first(model: ModelOptions, layout: LatentLayout) -> Tensor:
    """The T_prev frames of the first clip: the reference image itself, whose latent is zero."""
    return torch.zeros(model.previous // model.patch, *layout.step)


@torch.no_grad()
def perceive(lcu: LCU, dialogue: Dialogue, model: ModelOptions) -> Perceived:
    """The scans over the whole dialogue, once: step 0 is the first of the first clip's T frames."""
    device = next(lcu.parameters()).device
    stop = -(-dialogue.frames // model.clip) * model.clip
    steps = user_steps(dialogue.inputs, model.clip - model.context, stop, model)
    return lcu.lpe.scan(steps["user_audio"][None].to(device), steps["user_video"][None].to(device))[0]


@torch.no_grad()
def sample_dialogue(
    generator: EchoGenerator,
    lcu: LCU | None,
    dialogue: Dialogue,
    model: ModelOptions,
    options: SamplingOptions,
    seed: int,
) -> Tensor:
    """The whole dialogue's latents (T, 17, 8)."""
    device = next(generator.parameters()).device
    previous = before_the_first(model, generator.layout).to(device)
    span = generator.span(options)
    everything = perceive(lcu, dialogue, model) if lcu is not None and model.carry else None
    clips = []
    for start in range(0, dialogue.frames, model.clip):
        clip = {k: v.to(device) for k, v in clip_inputs(dialogue, start, model, lcu is not None).items()}
        perceived = Perceived()
        if everything is not None:
            perceived = everything.part(slice(start, start + model.context), model)
        elif lcu is not None:
            perceived = lcu.lpe.scan(clip["user_audio"][None], clip["user_video"][None])[0]
        x_0 = clip_noise(model, generator.layout, seed, dialogue.dyad.dyad_id, start).to(device)
        steps = sample_clip(generator, lcu, clip, perceived, previous, x_0, options, span)
        clips.append(unpack(steps, model.patch))
        previous = pack(clips[-1][-model.previous :], model.patch)
    return torch.cat(clips)[: dialogue.frames]
