"""What a row costs, counted without a GPU: parameters, tokens, FLOPs and memory of the networks on the meta device."""

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from echo_model.model.latent import UserSizes
from echo_model.model.lcu import LCU
from echo_model.model.options import ModelOptions, StageOptions
from echo_model.wan.adapters import add_lora
from echo_model.wan.options import Sizes, WanOptions
from echo_model.wan.planning.bases import LOOK, TRANSFORMERS, VAES, VOICE, known
from echo_model.wan.transformer import INTERACTIVE, TALKING, EchoWan

BYTES = {"bf16": 2, "fp32": 4}
ADAM = 8  # bytes of two moments a trained weight
GIB = 2**30


@dataclass(frozen=True)
class Cost:
    """One training step of one sample, and what it stands on."""

    trained: int
    frozen: int
    tokens: int
    flops: float  # of a training step, a sample, without f_ref's
    reference_flops: float  # of f_ref's forward pass for HFA; 0 where there is none
    stock_flops: float  # of the same base with LoRA alone
    forward_flops: float  # of one evaluation in sampling, a sample
    weights: int  # bytes
    gradients: int
    optimiser: int  # moments and moving average
    activations: int  # of one sample

    @property
    def overhead(self) -> float:
        """ECHO's additions, over the stock transformer's training step with LoRA."""
        return self.flops / self.stock_flops

    def memory(self, samples: int, parts: int = 1, blocks: int = 1) -> int:
        """Bytes on a GPU. Cut over `parts` processes by FSDP, two of the `blocks` are whole at a time."""
        whole = 2 * self.weights // blocks if parts > 1 else 0
        return (self.weights + self.gradients + self.optimiser) // parts + whole + samples * self.activations


def depth_of(options: WanOptions) -> int:
    """Blocks of the base."""
    return known(TRANSFORMERS, options.transformer.path, options.base_model)["num_layers"]


def base_on_meta(options: WanOptions, blocks: int = 0) -> nn.Module:
    """The transformer without its weights, in the precision it is held in; `blocks` of them, 0 for its own number."""
    from diffusers import WanTransformer3DModel

    config = known(TRANSFORMERS, options.transformer.path, options.base_model)
    config = config | ({"num_layers": blocks} if blocks else {})
    with torch.device("meta"):
        base = WanTransformer3DModel(**config)
    kept = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")  # diffusers holds these in fp32
    for name, parameter in base.named_parameters():
        if options.dtype == "bf16" and not any(part in name for part in kept):
            parameter.data = parameter.data.bfloat16()
    return base


def sizes_of(options: WanOptions, model: ModelOptions) -> Sizes:
    """Widths and grids that follow from the checkpoints' configurations alone."""
    vae = known(VAES, options.vae.path, options.base_model)
    side = options.size // (vae.get("scale_factor_spatial") or 8)
    look = configuration(options.look.path, LOOK)["hidden_size"]
    voice = configuration(options.voice.path, VOICE)["hidden_size"]
    frames = model.tubelet // options.look.every
    return Sizes(vae.get("z_dim", 16), side, side, 4, voice, look, options.look.grid**2, frames * look)


def configuration(path: Any, default: dict[str, Any]) -> dict[str, Any]:
    """A transformers checkpoint's config.json, or the published one."""
    from echo_model.backbones.checkpoint import settings

    found = settings(path, "config.json", needed=False) if path is not None else {}
    return default | {k: v for k, v in found.items() if k in default}


def generator_on_meta(options: WanOptions, model: ModelOptions, interactive: bool, blocks: int = 0) -> EchoWan:
    """The generator; `interactive` in stage 2, with the frozen adapter of stage 1 beside its own."""
    base, sizes = base_on_meta(options, blocks), sizes_of(options, model)
    steps = model.previous // model.patch, model.clip // model.patch
    with torch.device("meta"):
        generator = EchoWan(base, options, sizes, model.patch * model.window, model.d, *steps, model.use_sdcm)
        if interactive:
            generator.continue_as(INTERACTIVE, copy=True)
    return generator


def lcu_on_meta(options: WanOptions, model: ModelOptions) -> LCU:
    sizes = sizes_of(options, model)
    with torch.device("meta"):
        user = UserSizes(sizes.voice, sizes.user_tokens, sizes.user_width, project_text=False)
        return LCU(model, torch.ones(sizes.user_tokens, device="cpu") > 0, user).to("meta")


def arguments_on_meta(options: WanOptions, model: ModelOptions, batch: int = 1) -> dict[str, Tensor]:
    """What the generator takes of one clip."""
    s, prev, cur = sizes_of(options, model), model.previous // model.patch, model.clip // model.patch
    look = configuration(options.look.path, LOOK)
    tokens = 1 + (look["image_size"] // look["patch_size"]) ** 2
    with torch.device("meta"):
        return {
            "x_t": torch.randn(batch, cur, s.channels, s.rows, s.cols),
            "t": torch.rand(batch),
            "previous": torch.randn(batch, 1 + prev, s.channels, s.rows, s.cols),
            "audio": torch.randn(batch, prev + cur, model.patch * model.window, s.voice),
            "keep_audio": torch.ones(batch),
            "text": torch.randn(batch, model.words, model.text_width),
            "image": torch.randn(batch, tokens, s.look),
            "m_lip": torch.rand(batch, s.rows * s.cols // 4),
            "m_face": torch.rand(batch, s.rows * s.cols // 4),
        }


def user_on_meta(options: WanOptions, model: ModelOptions, batch: int = 1) -> tuple[Tensor, ...]:
    """What LCU takes of one clip."""
    s, steps = sizes_of(options, model), model.context // model.stride
    with torch.device("meta"):
        return (
            torch.randn(batch, steps, model.window, s.voice),
            torch.randn(batch, model.context // model.tubelet, s.user_tokens, s.user_width),
            torch.randn(batch, steps, model.phi_width),
            torch.randn(batch, model.words, model.text_width),
            torch.ones(batch),
            torch.ones(batch),
        )


class Saved:
    """Bytes that autograd keeps for the backward pass while this context is open; a storage counts once.

    Weights of `modules` do not count, which linear layers keep too, as views that no longer tell what they are.
    """

    def __init__(self, *modules: nn.Module | None):
        self.own = {p.untyped_storage()._cdata for module in filter(None, modules) for p in module.parameters()}

    def __enter__(self) -> "Saved":
        self.seen: dict[int, int] = {}
        self.held: list[Any] = []  # an address is not given twice while its tensor lives
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda x: x)
        self.hooks.__enter__()
        return self

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.own:
            self.seen[storage._cdata] = storage.nbytes()
            self.held.append(tensor)
        return tensor

    def __exit__(self, *failure) -> None:
        self.hooks.__exit__(*failure)
        self.bytes = sum(self.seen.values())


def cost(options: WanOptions, model: ModelOptions, stage: StageOptions, user: bool, aligned: bool) -> Cost:
    """A row's training step by torch's own counter; with `user` also LCU, with `aligned` also f_ref's forward pass.

    Everything is linear in the number of blocks, which are all alike: two and three of them are counted, and carried
    on to the base's number. Activations are what autograd keeps: the blocks' inputs, and one block's inside, computed
    again, where gradients are checkpointed.
    """
    two, three = (_counted(options, model, user, aligned, blocks) for blocks in (2, 3))
    blocks = depth_of(options)
    whole = {
        f.name: getattr(two, f.name) + (blocks - 2) * (getattr(three, f.name) - getattr(two, f.name))
        for f in fields(two)
    }
    whole["tokens"] = two.tokens
    # The deepest of |S| blocks of L drawn at random lies at (L + 1) |S| / (|S| + 1) on average.
    depth = min((blocks + 1) * stage.align_blocks / (stage.align_blocks + 1), blocks)
    each = three.reference_flops - two.reference_flops
    whole["reference_flops"] = two.reference_flops + (depth - 2) * each if aligned else 0
    return Cost(**whole)


def _counted(options: WanOptions, model: ModelOptions, user: bool, aligned: bool, blocks: int) -> Cost:
    """`cost` of a base of so many blocks, f_ref's pass through all of them."""
    generator = generator_on_meta(options, model, aligned, blocks)
    lcu = lcu_on_meta(options, model) if user else None
    parameters = [*generator.parameters(), *(lcu.parameters() if lcu else ())]
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    weights = sum(p.numel() * p.element_size() for p in parameters)
    given, f_pu = arguments_on_meta(options, model), None
    watched = user_on_meta(options, model)
    if options.dtype == "bf16":  # there is no autocast on the meta device: all in the precision it would compute in
        generator.bfloat16()
        given = {k: x.bfloat16() for k, x in given.items()}
    with FlopCounterMode(display=False) as reference:
        if aligned:
            with torch.no_grad(), generator.using(TALKING):
                generator(**given, depth=blocks)
    with FlopCounterMode(display=False) as counter:
        with Saved(generator, lcu) as saved:
            if lcu is not None:
                f_pu = lcu(*watched)[0].to(given["audio"].dtype)
            features, answer = generator(**given, f_pu=f_pu)
        answer.float().square().mean().backward()
    inside = _one_block(generator, given, f_pu) if options.checkpointing else 0
    with torch.no_grad(), FlopCounterMode(display=False) as sampling:
        generator(**given, f_pu=f_pu)
    return Cost(
        trained=trained,
        frozen=sum(p.numel() for p in parameters) - trained,
        tokens=features[0].shape[2] * (generator.previous + generator.current),
        flops=counter.get_total_flops(),
        reference_flops=reference.get_total_flops(),
        stock_flops=stock_flops(options, _whole(model), blocks),
        forward_flops=sampling.get_total_flops(),
        weights=weights,
        gradients=4 * trained,
        optimiser=(ADAM + 4) * trained,
        activations=saved.bytes + inside,
    )


def _one_block(generator: EchoWan, given: dict[str, Tensor], f_pu: Tensor | None) -> int:
    """Bytes that autograd keeps of the inside of one block."""
    before, generator.options = generator.options, replace(generator.options, checkpointing=False)
    with Saved(generator) as one:
        generator(**given, f_pu=f_pu, depth=1)
    generator.options = before
    return one.bytes


def _whole(model: ModelOptions) -> ModelOptions:
    """The same lengths and widths without an ablation: the stock transformer knows of none, and is counted once."""
    return replace(model, **{f.name: True for f in fields(model) if f.name.startswith("use_")})


@cache
def stock_flops(options: WanOptions, model: ModelOptions, blocks: int = 0) -> float:
    """A training step of the stock transformer with LoRA, on the same tokens, checkpointed alike."""
    base, given = base_on_meta(options, blocks), arguments_on_meta(options, model)
    base.requires_grad_(False)
    with torch.device("meta"):
        add_lora(base, "talking", options, inside="")
        x = torch.cat([given["previous"], given["x_t"]], 1).transpose(1, 2)
        x = torch.cat([x, x.new_zeros(1, base.config.in_channels - x.shape[1], *x.shape[2:])], 1)
        text = torch.randn(1, options.text_tokens, base.config.text_dim)
    image = given["image"].to(base.dtype) if base.config.image_dim else None
    if options.checkpointing:
        base.enable_gradient_checkpointing()
    base.train()
    x, text = x.to(base.dtype), text.to(base.dtype)
    nn.Module.to(base, base.dtype)  # diffusers' own `to` warns of a loss that no counting has
    with FlopCounterMode(display=False) as counter:
        made = base(x, 1000 * given["t"], text, image, return_dict=False)[0]
        made.float().square().mean().backward()
    return counter.get_total_flops()
