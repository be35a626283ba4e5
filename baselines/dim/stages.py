"""The three stages of DIM as tasks of the engine: codes, dyadic pre-training, the listener."""

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.dim.layers import in_pieces, sliding
from baselines.dim.model import OTHER, DyadicNetwork
from baselines.dim.options import StageOptions
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import DIRECTIONS
from baselines.motion.voice import speaking
from dyads.records import ROLES
from echo_model.backbones.warping import AFFINE

Recording = dict[str, Tensor]  # (T, ...) by name


def record(dialogue: MotionDialogue) -> Recording:
    """A training dialogue's motion, audio and roles by party."""
    user, avatar = dialogue.user_audio, dialogue.avatar_audio
    return {
        "user_motion": dialogue.user_motion, "avatar_motion": dialogue.avatar_motion,
        "user_audio": user, "avatar_audio": avatar,
        "user_speaks": speaking(user, avatar), "avatar_speaks": speaking(avatar, user),
    }  # fmt: skip


def with_tokens(network: DyadicNetwork, recording: Recording) -> Recording:
    """The recording with each party's true tokens (T, G), and those of one frame before: at first the reference's."""
    added = {}
    for party in ROLES:
        reference = network.codes[party].to_tokens(torch.zeros(1, DIRECTIONS))
        tokens = network.codes[party].to_tokens(recording[f"{party}_motion"])
        added |= {f"{party}_tokens": tokens, f"{party}_previous": torch.cat([reference, tokens[:-1]])}
    return recording | added


def cont_loss(motion: Tensor, truth: Tensor) -> Tensor:
    """L_cont: mean length of the error in pose and in the face, of (M, 20) twice; 0 if M is."""
    pose, face = (motion - truth).square().split([AFFINE, DIRECTIONS - AFFINE], -1)
    lengths = (pose.sum(-1) + 1e-8).sqrt() + (face.sum(-1) + 1e-8).sqrt()
    return lengths.sum() / max(1, len(lengths))


def token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of logits (M, G, K) and tokens (M, G), in nats a token; 0 if M is."""
    return F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="sum") / max(1, tokens.numel())


def contrast(user: Tensor, avatar: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """NCE of mean embeddings, from (B, n, d) twice: whose user is each avatar's; one direction."""

    def mean(x: Tensor) -> Tensor:
        return F.normalize((x * valid[..., None]).sum(1) / valid.sum(1, keepdim=True), dim=-1)

    likeness = mean(avatar) @ mean(user).T / temperature
    return F.cross_entropy(likeness, torch.arange(len(user), device=user.device))


class WindowTask:
    """Random windows of different dialogues, the shorter ones padded; what the stages share."""

    def __init__(self, network: DyadicNetwork, recordings: list[Recording], options: StageOptions, batch_size: int):
        self.module, self.recordings, self.options, self.batch_size = network, recordings, options, batch_size

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        clip, count = self.options.clip, len(self.recordings)
        picks = torch.randperm(count, generator=generator)[: self.batch_size].tolist()
        while len(picks) < self.batch_size:
            picks.append(int(torch.randint(count, (), generator=generator)))
        windows = []
        for pick in picks:
            recording = self.recordings[pick]
            frames = len(recording["avatar_audio"])
            start = int(torch.randint(max(frames - clip, 0) + 1, (), generator=generator))
            window = {name: x[start : start + clip] for name, x in recording.items()}
            window["valid"] = torch.ones(min(clip, frames), dtype=torch.bool)
            windows.append({name: F.pad(x, (0, 0) * (x.dim() - 1) + (0, clip - len(x))) for name, x in window.items()})
        return {name: torch.stack([window[name] for window in windows]) for name in windows[0]}

    def sees(self, valid: Tensor, causal: bool) -> Tensor:
        """The attention mask (n, n), or (B, 1, n, n) where padding must be hidden: a causal one hides it anyway."""
        frames = valid.shape[1]
        mask = sliding(frames, self.module.options.window, causal, valid.device)
        if causal:
            return mask
        alone = torch.eye(frames, dtype=torch.bool, device=valid.device)  # a row without any key would be NaN
        return (mask & valid[:, None, None, :]) | alone


class CodesTask(WindowTask):
    """Stage 1: both VQ-VAEs, each of its party: L1 + L_VQ."""

    def __init__(self, network: DyadicNetwork, *rest):
        super().__init__(network, *rest)
        network.requires_grad_(False)
        network.codes.requires_grad_(True)
        for party, codes in network.codes.items():
            motion = torch.cat([recording[f"{party}_motion"] for recording in self.recordings])
            with torch.no_grad():
                codes.quantiser.start_at(in_pieces(codes.latent, motion[None], codes.reach)[0])

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        total, logs = 0.0, {}
        for party, codes in self.module.codes.items():
            motion, valid = batch[f"{party}_motion"], batch["valid"]
            estimate, tokens, quantised = codes(motion)
            error = estimate - motion
            l1 = error[valid].abs().mean()
            total = total + l1 + quantised[valid].mean()
            if self.options.velocity_weight:
                jumps = error.diff(dim=1)[valid[:, 1:]]  # padding is at the end
                total = total + self.options.velocity_weight * jumps.abs().sum() / max(1, jumps.numel())
            used = sum(group.unique().numel() for group in tokens[valid].unbind(-1)) / self.module.options.groups
            logs |= {f"{party}_l1": l1.detach(), f"{party}_used": used}
        return total, logs


class PretrainTask(WindowTask):
    """Stage 2: masked frames of each party told from the other: CE + L_cont of both, and NCE."""

    def __init__(self, network: DyadicNetwork, recordings: list[Recording], *rest):
        super().__init__(network, [with_tokens(network, recording) for recording in recordings], *rest)
        network.requires_grad_(True)
        network.codes.requires_grad_(False)

    def hide(self, valid: Tensor, generator: torch.Generator) -> Tensor:
        """Frames to hide and predict, (B, n): a share `mask` of the valid ones."""
        return valid & (torch.rand(valid.shape, generator=generator) < self.options.mask).to(valid.device)

    def encoded(self, batch: dict[str, Tensor], hidden: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Each party alone, and both together, through the joint encoder: user and avatar (B, n, d) each."""
        sees = self.sees(batch["valid"], causal=False)
        x = [self.module.encode(party, batch[f"{party}_motion"] * ~hidden[party][..., None], sees) for party in ROLES]
        return [self.module.join([one], sees)[0] for one in x], self.module.join(x, sees)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = {party: self.hide(batch["valid"], generator) for party in ROLES}
        alone, both = self.encoded(batch, hidden)
        nce = contrast(*alone, batch["valid"], self.options.temperature)
        total, logs = nce, {"nce": nce.detach()}
        for target in ROLES:
            context = dict(zip(ROLES, both, strict=True))[OTHER[target]]
            ce, cont = self.predict(batch, target, context, hidden[target])
            total = total + ce + self.options.cont_weight * cont
            logs |= {f"{target}_ce": ce.detach(), f"{target}_cont": cont.detach()}
        return total, logs

    def predict(self, batch: dict[str, Tensor], target: str, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """CE and L_cont of the target's hidden frames, from its partner's x (B, n, d)."""
        known = F.pad(hidden, (1, 0))[:, :-1]  # as released, the decoder is given only tokens it also predicts
        tokens, codes = batch[f"{target}_tokens"], self.module.codes[target]
        h, before = hidden_states(self.module, batch, target, x, known, self.sees(batch["valid"], causal=False))
        logits = self.module.logits(target, h[hidden], tokens[hidden], before[hidden])
        ce = token_loss(logits, tokens[hidden])
        if not self.options.cont_weight:
            return ce, torch.zeros_like(ce)
        e = codes.quantiser.lookup(tokens)
        e[hidden] = codes.quantiser.expected(logits.softmax(-1)).to(e)
        return ce, cont_loss(codes.decode(e)[hidden], batch[f"{target}_motion"][hidden])


def hidden_states(
    network: DyadicNetwork, batch: dict[str, Tensor], target: str, x: Tensor, known: Tensor, context_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The decoder's h (B, n, d) for the target, and the codes of the frames before where known (B, n), (B, n, G c).

    The decoder is given its partner's x (B, n, d), both voices and these codes.
    """
    partner = OTHER[target]
    own, see = network.voice(batch[f"{target}_audio"], batch[f"{target}_speaks"])
    before = network.previous(target, batch[f"{target}_previous"], known)
    context = network.context(partner, x, batch[f"{partner}_audio"])
    mask = sliding(x.shape[1], network.options.window, device=x.device)
    own = own + network.heads[target].previous(before, known)
    return network.decode(own, context, see, mask, context_mask), before


class ListenerTask(WindowTask):
    """Stage 3: the avatar's tokens from the user's past, both voices and the tokens before; codes stay frozen."""

    def __init__(self, network: DyadicNetwork, recordings: list[Recording], *rest):
        super().__init__(network, [with_tokens(network, recording) for recording in recordings], *rest)
        network.requires_grad_(True)
        for unused in (network.codes, network.encoders["avatar"], network.enter["avatar"]):
            unused.requires_grad_(False)
        for unused in (network.heads["user"], network.mix["avatar"]):
            unused.requires_grad_(False)

    def known(self, valid: Tensor, generator: torch.Generator) -> Tensor:
        """Which previous tokens the decoder is given, (B, n): with all of them it would copy and not listen."""
        windows = torch.rand(len(valid), 1, generator=generator) >= self.options.drop_previous
        return (windows & (torch.rand(valid.shape, generator=generator) >= self.options.mask_previous)).to(valid.device)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        valid = batch["valid"]
        sees = self.sees(valid, causal=True)
        x = self.module.join([self.module.encode("user", batch["user_motion"], sees)], sees)[0]
        h, before = hidden_states(self.module, batch, "avatar", x, self.known(valid, generator), sees)
        tokens, codes = batch["avatar_tokens"], self.module.codes["avatar"]
        logits = self.module.logits("avatar", h, tokens, before)
        ce = token_loss(logits[valid], tokens[valid])
        if not self.options.cont_weight:
            return ce, {"avatar_ce": ce.detach()}
        motion = codes.decode(codes.quantiser.expected(logits.softmax(-1)))
        cont = cont_loss(motion[valid], batch["avatar_motion"][valid])
        return ce + self.options.cont_weight * cont, {"avatar_ce": ce.detach(), "avatar_cont": cont.detach()}
