"""Stage 2 on the generator `wan` in one of two processes, on made-up clips, for the tests of DDP and FSDP."""

import multiprocessing
import os
import signal
import socket
import sys

import torch
import torch.distributed as dist
from wan_study import MODEL, randomise, wan_options

from echo_model.model.options import StageOptions
from echo_model.wan.method import build_lcu, own_state
from echo_model.wan.options import Sizes
from echo_model.wan.tasks import InteractiveTask
from echo_model.wan.transformer import INTERACTIVE, EchoWan
from tests import tiny_checkpoints as tiny
from training.engine.checkpoint import fingerprint
from training.engine.loop import TrainOptions, train
from training.engine.weights import save_tensors

SIZES = Sizes(tiny.CHANNELS["wan22"], 4, 4, 4, 32, tiny.LOOK, 16, 24)
STEPS = 3


class MadeUpClips:
    """Clips that follow from their number alone."""

    def batch(self, first, count):
        g = torch.Generator().manual_seed(first)
        draw = lambda *shape: torch.randn(count, *shape, generator=g)  # noqa: E731
        lip, latents = torch.zeros(count, 4), (SIZES.channels, SIZES.rows, SIZES.cols)
        lip[:, 3] = 1.0
        back = MODEL.context // MODEL.stride
        return {
            "audio": draw(6, 20, 32), "image": draw(17, tiny.LOOK), "energy": torch.rand(count, 4, generator=g),
            "m_lip": lip, "m_face": 1 - lip, "still": draw(3, *latents), "previous": draw(3, *latents),
            "x_1": draw(4, *latents), "there": torch.ones(count, 4), "user_audio": draw(back, MODEL.window, 32),
            "user_video": draw(MODEL.context // MODEL.tubelet, 16, 24), "s_usr": draw(back, MODEL.phi_width),
            "text": draw(MODEL.words, tiny.TEXT),
        }  # fmt: skip


class Stage2(InteractiveTask):
    """After every step: do all ranks hold the same? And perhaps it is killed there."""

    kill_at, differed = None, 0

    def on_step_end(self, step):
        trained = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        if not any(hasattr(p, "full_tensor") for p in trained.values()):
            found = [None, None]
            dist.all_gather_object(found, fingerprint(trained))
            self.differed += found[0] != found[1]
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def stage2(checkpoints):
    """Networks whose every path matters, as stage 1 left them."""
    from diffusers import WanTransformer3DModel

    torch.manual_seed(1)
    base = WanTransformer3DModel.from_pretrained(checkpoints / "ti2v")
    generator = EchoWan(base, wan_options(checkpoints), SIZES, 20, MODEL.d, 2, 4)
    randomise(generator)
    generator.continue_as(INTERACTIVE, copy=True)
    lcu = build_lcu(MODEL, SIZES, 0)
    return Stage2(generator, lcu, MadeUpClips(), StageOptions(align_weight=0.1, drop_user=0.5), 2)


def rank(number, port, checkpoints, out, parallel, kill_at=None):
    """One rank: trains, and saves what it ends with; exit code 3 if ranks ever differed."""
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(address, RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2")
    task = stage2(checkpoints)
    task.kill_at = kill_at
    settings = {"steps": STEPS, "batch_size": 2, "learning_rate": 1e-2, "ema_decay": 0.9, "accumulate": 2}
    settings |= {"checkpoint_every": 1, "log_every": 1, "tensorboard": False, "parallel": parallel}
    train(task, TrainOptions(**settings), out / "run", seed=3, stage="two", identity={}, device="cpu")
    save_tensors(out / "weights.safetensors", own_state(task.generator, task.lcu))
    sys.exit(3 if task.differed else 0)


def run_pair(checkpoints, out, parallel, kill_at=None):
    """Exit codes of the two ranks."""
    out.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["wan_ranks", "torch._dynamo", "peft", "diffusers.models.transformers.transformer_wan"]
    )
    ranks = [context.Process(target=rank, args=(k, port, checkpoints, out, parallel, kill_at)) for k in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(600)
    return [process.exitcode for process in ranks]
