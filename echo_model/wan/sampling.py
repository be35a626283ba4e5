"""Make the avatar's video clip after clip at a cost that does not grow with the dialogue."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dyads.seeding import torch_generator
from echo_model.model.flow import integrate
from echo_model.model.lcu import LCU
from echo_model.model.options import SamplingOptions
from echo_model.sampling import branches
from echo_model.wan.clips import DialogueClips, count_clips
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.tasks import understand
from echo_model.wan.transformer import EchoWan
from training.device import autocast


@torch.no_grad()
def sample_clip(
    generator: EchoWan,
    lcu: LCU | None,
    clip: dict[str, Tensor],
    previous: Tensor,
    x_0: Tensor,
    options: SamplingOptions,
    words: tuple[int, int],
) -> Tensor:
    """Latent steps of one clip, (current, c, h, w), from noise `x_0`; all guidance branches pass as one batch.

    `clip` is of `DialogueClips.inputs`, `previous` (given, c, h, w) of I_ref and the T_prev frames.
    """
    seen, scales = branches(options, lcu is not None)
    user, felt, heard = seen.to(x_0).unbind(1)
    batch = {name: x[None].expand(len(seen), *x.shape) for name, x in clip.items()}
    batch.setdefault("text", x_0.new_zeros(len(seen), *words))
    f_pu, text = understand(lcu, batch, user, felt)
    arguments = {name: batch[name] for name in ("audio", "image", "m_lip", "m_face")}
    arguments |= {"previous": previous[None].expand(len(seen), *previous.shape), "keep_audio": heard}
    arguments |= {"text": text, "f_pu": f_pu}

    def predict(x_t: Tensor, t: float) -> Tensor:
        """The estimate of the data: x_t + (1 - t) (data - noise)."""
        times = torch.full((len(seen),), t).to(x_0)
        _, answer = generator(x_t=x_t[None].expand(len(seen), *x_t.shape), t=times, **arguments)
        full, *others = answer.unbind(0)
        full = full + sum((w - 1) * (full - other) for w, other in zip(scales, others, strict=True))
        return x_t + (1 - t) * full

    return integrate(predict, x_0, options.steps, options.solver, options.shift)


@torch.no_grad()
def sample_dialogue(
    generator: EchoWan,
    lcu: LCU | None,
    latents: WanLatents,
    dialogue: DialogueClips,
    frames: int,
    options: SamplingOptions,
    seed: int,
    words: tuple[int, int],
    precision: str = "fp32",
) -> Iterator[np.ndarray]:
    """The avatar's frames, uint8 (n, H, W, 3), clip after clip; all together exactly `frames`.

    Each clip is decoded behind the latents of I_ref and of the T_prev frames made before, and those frames, encoded
    again, are what the next clip continues from, as in training.
    """
    o, device = dialogue.options, generator.voice_in.device
    reference = dialogue.own.whole("reference_image").byte().numpy()
    before = np.repeat(reference[None], o.previous, 0)
    for k in range(count_clips(frames, o)):
        clip = {name: x.to(device) for name, x in dialogue.inputs(k, lcu is not None).items() if name != "energy"}
        previous = clip.pop("still") if k == 0 else latents.encode(np.concatenate([reference[None], before])).to(device)
        clip.pop("still", None)
        noise = torch_generator(seed, "sample", dialogue.dyad_id, k * o.clip)
        x_0 = torch.randn(generator.current, *latents.layout.step, generator=noise).to(device)
        with autocast(device, precision):
            steps = sample_clip(generator, lcu, clip, previous, x_0, options, words)
        made = latents.decode(torch.cat([previous, steps.float()]))[-o.clip :]
        before = made[-o.previous :]
        yield made[: frames - k * o.clip]
