"""Stage 2 as in the paper: LoRA on the cross-attention layers of a frozen generator, SDCM trained in full."""

from torch import nn

from echo_model.model.generator import EchoGenerator

TARGETS = r"blocks\.\d+\.cross_attention\.(q|kv|out)"


def add_lora(generator: EchoGenerator, rank: int) -> None:
    """Freeze the generator but for SDCM, and add low-rank updates W + B A to its cross-attention; B starts at zero."""
    from peft import LoraConfig, inject_adapter_in_model  # seconds to import, hence only where wanted

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS)
    inject_adapter_in_model(config, generator)
    for block in generator.blocks:
        block.sdcm.requires_grad_(True)


def merge_lora(generator: nn.Module) -> None:
    """Fold the updates into the weights, so that the result is a plain generator again, all of it trainable."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(generator.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(generator.get_submodule(parent), child, layer.get_base_layer())
    generator.requires_grad_(True)
