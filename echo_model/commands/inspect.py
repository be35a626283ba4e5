"""What a trained ECHO looks at in some dialogues, for figures: `python -m echo_model.commands.inspect --help`.

Per dialogue: SDCM's gate over time and place, how much of each earlier step the scans still hold, and how far back f_pu
can be moved by what the user did. Nothing here is used by the model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.contract import FPS, read_manifest
from dyads.errors import ConfigError, DataError, run_cli
from dyads.features import write_features
from echo_model.clips import Dialogue, clip_inputs, user_steps
from echo_model.method import Echo
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU, MambaStack
from echo_model.model.options import ModelOptions
from echo_model.model.sdcm import SDCM
from echo_model.model.ssm import Mamba
from echo_model.sampling import sample_dialogue
from training.command import method_from, method_parser


@contextmanager
def gates_seen(generator: EchoGenerator) -> Iterator[list[list[Tensor]]]:
    """Collects, per block, g of every evaluation of the network: (frames, 17), the mean over channels.

    g is near 1 where the face follows the avatar's voice and near 0 where it follows the user. Only the fully
    conditioned branch counts, and only the frames that are being made.
    """
    seen: list[list[Tensor]] = []
    handles = []
    for block in generator.blocks:
        if isinstance(block.sdcm, SDCM):
            kept: list[Tensor] = []
            seen.append(kept)
            handles.append(
                block.sdcm.gate.register_forward_hook(
                    lambda module, inputs, out, kept=kept: kept.append(
                        torch.sigmoid(out[0, generator.previous :]).mean(-1).float().cpu()
                    )
                )
            )
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def gate_maps(method: Echo, dialogue: Dialogue, seed: int) -> Tensor | None:
    """Gate of each block over the dialogue, mean over sampling steps: (blocks, T / patch, 17); None without SDCM."""
    with gates_seen(method.generator) as seen:
        sample_dialogue(method.generator, method.lcu, dialogue, method.model, method.sampling, seed)
    if not seen:
        return None
    clips = -(-dialogue.frames // method.model.clip)
    whole = [rearrange(torch.stack(kept), "(c n) f s -> c n f s", c=clips).mean(1).flatten(0, 1) for kept in seen]
    return torch.stack(whole)[:, : -(-dialogue.frames // method.model.patch)]


def scan_kernel(mixer: Mamba, u: Tensor) -> tuple[Tensor, Tensor]:
    """The scan as one matrix: (x, M) with y = M x, x (length, heads, channels) and M (heads, length, length).

    M_ij = (c_i . b_j) exp(s_i - s_j) dt_j for j <= i, s the summed log decay; `u` is (1, length, d). Quadratic, so for
    looking only.
    """
    _, mixed, dt = mixer.in_proj(u).split([mixer.inner, mixer.inner + 2 * mixer.state, mixer.heads], -1)
    kernel = mixer.conv.weight.shape[-1]
    mixed = F.silu(mixer.conv(F.pad(mixed.transpose(1, 2), (kernel - 1, 0))).transpose(1, 2))
    x, b, c = mixed[0].split([mixer.inner, mixer.state, mixer.state], -1)
    dt = F.softplus(dt[0] + mixer.dt_bias)
    s = (-mixer.log_a.exp() * dt).cumsum(0)  # (L, h)
    future = torch.ones(len(s), len(s), dtype=torch.bool, device=u.device).triu(1)
    decay = (s[:, None] - s[None]).masked_fill(future[..., None], float("-inf")).exp()
    kernel = (c @ b.T)[..., None] * decay * dt[None]
    return rearrange(x, "l (h p) -> l h p", p=mixer.head), rearrange(kernel, "i j h -> h i j")


@torch.no_grad()
def scan_weights(mixer: Mamba, u: Tensor) -> Tensor:
    """How much of step j a scan holds at step i: |M| of `scan_kernel`, mean over heads, rows summing to one.

    (length, length), zero for j > i. The convolution before the scan sees four steps more.
    """
    weights = scan_kernel(mixer, u)[1].abs().mean(0)
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)


@torch.no_grad()
def stack_weights(stack: MambaStack, x: Tensor) -> Tensor:
    """`scan_weights` of every layer of a stack, (layers, length, length)."""
    found = []
    for norm, mixer in zip(stack.norms, stack.mixers, strict=True):
        found.append(scan_weights(mixer, norm(x)).float().cpu())
        x = x + mixer(norm(x))
    return torch.stack(found)


def look_back(lcu: LCU, dialogue: Dialogue, model: ModelOptions) -> dict[str, Tensor]:
    """Scan weights and influence over the steps from the first clip's T frames to the dialogue's end.

    scan_audio (layers, S, S) over steps of `stride` frames; scan_video (S_v, S_v) over tubelets, summed over the face
    tokens inside. influence_audio (clips, S), influence_video (clips, S_v), influence_phi (clips, T / stride): norm of
    the gradient of |f_pu|² of a clip with respect to each step's input, rows summing to one; the last one ends with
    the clip.
    """
    device = next(lcu.parameters()).device
    stop = -(-dialogue.frames // model.clip) * model.clip
    steps = user_steps(dialogue.inputs, model.clip - model.context, stop, model)
    audio = steps["user_audio"][None].to(device).requires_grad_()
    video = steps["user_video"][None].to(device).requires_grad_()
    found = _scans(lcu, audio.detach(), video.detach())
    perceived = lcu.lpe.scan(audio, video)[0]
    rows: dict[str, list[Tensor]] = {"influence_audio": [], "influence_video": [], "influence_phi": []}
    for start in range(0, dialogue.frames, model.clip):
        clip = {name: value.to(device) for name, value in clip_inputs(dialogue, start, model).items()}
        s_usr = clip["s_usr"][None].requires_grad_()
        part = perceived.part(slice(start, start + model.context), model)
        here = slice((start + model.context - model.clip) // model.stride, (start + model.context) // model.stride)
        one = torch.ones(1, device=device)
        f_pu, _ = lcu.understand(audio[:, here], part, s_usr, clip["text"][None], one, one)
        inputs = (audio, video, s_usr)
        grads = torch.autograd.grad(f_pu.square().sum(), inputs, retain_graph=True, allow_unused=True)
        for name, grad, given in zip(rows, grads, inputs, strict=True):
            size = torch.zeros(given.shape[1]) if grad is None else grad[0].flatten(1).norm(dim=1).float().cpu()
            rows[name].append(size / size.sum().clamp_min(1e-12))
    return found | {name: torch.stack(values) for name, values in rows.items()}


@torch.no_grad()
def _scans(lcu: LCU, audio: Tensor, video: Tensor) -> dict[str, Tensor]:
    options, lpe, found = lcu.options, lcu.lpe, {}
    if options.use_lcu:
        found["scan_audio"] = stack_weights(lpe.m_a, lpe.f_audio(audio.flatten(2)))
    if options.use_lcu and options.use_lpe:
        tokens = len(lpe.face)
        v = rearrange(lpe.f_video(video[:, :, lpe.face]) + lpe.place[lpe.face], "b s n d -> b (s n) d")
        weights = stack_weights(lpe.m_v, v)[-1]
        found["scan_video"] = rearrange(weights, "(s n) (r m) -> s n r m", n=tokens, m=tokens).sum(3).mean(1)
    return found


def inspect_dialogue(method: Echo, dialogue: Dialogue, seed: int) -> dict[str, Tensor]:
    """Everything of one dialogue; `gate` only with SDCM."""
    found = look_back(method.lcu, dialogue, method.model)
    gate = gate_maps(method, dialogue, seed)
    return found if gate is None else found | {"gate": gate}


def main() -> None:
    parser = method_parser(__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, type=Path, help="what training.fit wrote")
    parser.add_argument("--split", default="test")
    parser.add_argument("--dialogues", type=int, default=2, help="how many of the split, from the first")
    parser.add_argument("--out", required=True, type=Path, help="the .safetensors to write")
    args = parser.parse_args()
    if args.cls.startswith("echo_model.wan."):
        raise ConfigError(
            f"{args.cls} stands on the generator wan, whose scans start anew with every clip, so that no state is "
            "there to look into; inspect a row of a study with generator.kind small."
        )
    method, _, _ = method_from(args)
    if not isinstance(method, Echo):
        raise ConfigError(f"{args.cls} is no ECHO of stage 2: it has no gates and no scans; inspect a row that has.")
    if not method.model.carry:
        raise ConfigError("without model.carry the scans start anew with every clip; inspect a row that has it.")
    dyads = read_manifest(args.data, args.split)[: args.dialogues]
    if not dyads:
        raise DataError(f"{args.data} has no dialogue in split {args.split}; name another one.")
    method.load(args.weights)
    for network in (method.generator, method.lcu):
        network.requires_grad_(False)
    tensors = {}
    for dyad in dyads:
        found = inspect_dialogue(method, method.dialogue(dyad), args.seed)
        tensors |= {f"{dyad.dyad_id}/{name}": value for name, value in found.items()}
    model = method.model
    meta = {"method": args.method, "seed": args.seed, "fps": FPS, "dialogues": [dyad.dyad_id for dyad in dyads]}
    meta |= {name: getattr(model, name) for name in ("patch", "stride", "tubelet", "clip", "context")}
    meta["m_lip"] = method.generator.m_lip.flatten().tolist()
    write_features(args.out, tensors, meta)
    print(f"{args.method} seed {args.seed}: {len(dyads)} dialogues -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
