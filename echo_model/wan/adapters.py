"""LoRA inside a frozen base under several names, and tokens of the reference for bases that have no place for them."""

import re
import warnings
from collections.abc import Iterator

from torch import nn

from dyads.errors import ConfigError
from echo_model.wan.options import WanOptions


def add_lora(base: nn.Module, name: str, options: WanOptions, inside: str = "base.") -> None:
    """Low-rank updates W + B A of the wanted layers in every block; B starts at zero.

    `inside` is where a block's layers are: in its `base`, or "" in a stock model.
    """
    from peft import LoraConfig, inject_adapter_in_model  # seconds to import, hence only where wanted

    block = base.blocks[0].get_submodule(inside.rstrip("."))
    found = {key for key, layer in block.named_modules() if isinstance(layer, nn.Linear) or _is_lora(layer)}
    if unknown := [layer for layer in options.layers if layer not in found]:
        raise ConfigError(
            f"generator.targets: a block has no linear layer {unknown[0]}; there are {', '.join(sorted(found))}."
        )
    names = "|".join(layer.replace(".", r"\.") for layer in options.layers)
    place = rf"blocks\.\d+\.{re.escape(inside)}({names})"
    config = LoraConfig(r=options.rank, lora_alpha=options.scale, target_modules=place)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")  # several are wanted
        inject_adapter_in_model(config, base, name)


def lora_layers(base: nn.Module) -> Iterator[nn.Module]:
    return (layer for layer in base.modules() if _is_lora(layer))


def use_lora(base: nn.Module, name: str) -> None:
    """Compute with the updates called `name`. Nothing is said about what learns: peft's own switch would thaw them."""
    for layer in lora_layers(base):
        layer._active_adapter = [name]


def _is_lora(layer: nn.Module) -> bool:
    return hasattr(layer, "lora_A") and hasattr(layer, "base_layer")


def add_reference(base: nn.Module, width: int, rank: int) -> tuple[str, ...]:
    """Give a base without image attention (text to video) one of low rank, of the form its image-to-video sister has.

    Its output starts at zero. Returns parts of the added parameters' names, none where the base has its own.
    """
    config = base.config
    d = config.num_attention_heads * config.attention_head_dim
    if config.added_kv_proj_dim is not None:
        if config.image_dim != width:
            raise ConfigError(
                f"the reference encoder gives tokens {width} wide, but this transformer's image attention takes "
                f"{config.image_dim}; name the CLIP that the checkpoint was trained with."
            )
        return ()
    from diffusers.models.transformers.transformer_wan import WanImageEmbedding

    base.condition_embedder.image_embedder = WanImageEmbedding(width, d)
    for block in base.blocks:
        attention = block.attn2
        attention.add_k_proj = nn.Sequential(nn.Linear(d, rank, bias=False), nn.Linear(rank, d, bias=False))
        attention.add_v_proj = nn.Sequential(nn.Linear(d, rank, bias=False), nn.Linear(rank, d, bias=False))
        nn.init.zeros_(attention.add_v_proj[1].weight)
        attention.norm_added_k = nn.RMSNorm(d, eps=config.eps)
    return ("condition_embedder.image_embedder.", ".add_k_proj.", ".add_v_proj.", ".norm_added_k.")
