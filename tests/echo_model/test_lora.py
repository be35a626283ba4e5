"""LoRA trains what the paper says it does, and folds into plain weights."""

import pytest
import torch

from echo_model.backbones.vae import small_sizes
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.lora import add_lora, merge_lora
from echo_model.model.options import StageOptions
from echo_model.stages import InteractiveTask


@pytest.fixture
def task(options, masks, dialogue):
    torch.manual_seed(0)
    generator, lcu = EchoGenerator(options, *masks), LCU(options, masks[0] > 0, small_sizes(options.tubelet))
    return InteractiveTask(generator, lcu, [dialogue], options, StageOptions(lora_rank=4), 2)


def test_only_lora_sdcm_and_lcu_are_trained(task):
    trained = {name for name, p in task.module["generator"].named_parameters() if p.requires_grad}
    assert trained and all(".sdcm." in name or (".cross_attention." in name and "lora_" in name) for name in trained)
    assert all(p.requires_grad for p in task.module["lcu"].parameters())
    g = torch.Generator().manual_seed(0)
    task.loss(task.batch(0, g), g)[0].backward()
    assert all(p.grad is None for p in task.module["generator"].parameters() if not p.requires_grad)


def test_merged_weights_do_what_the_adapters_did(options, masks):
    torch.manual_seed(0)
    generator = EchoGenerator(options, *masks).eval()
    plain = {name: p.clone() for name, p in generator.state_dict().items()}
    add_lora(generator, 4)
    with torch.no_grad():
        for name, p in generator.named_parameters():
            if "lora_B" in name:
                p.normal_()
    layer = generator.blocks[0].cross_attention
    x, context = torch.randn(1, 3, options.d), torch.randn(1, 5, options.d)
    before = layer(x, context)
    merge_lora(generator)
    torch.testing.assert_close(generator.blocks[0].cross_attention(x, context), before)
    assert generator.state_dict().keys() == plain.keys()
    changed = {name for name, p in generator.state_dict().items() if not torch.equal(p, plain[name])}
    assert changed == {
        f"blocks.{k}.cross_attention.{n}.weight" for k in range(options.blocks) for n in ("q", "kv", "out")
    }
    assert all(p.requires_grad for p in generator.parameters())
