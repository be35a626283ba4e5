"""A pretrained WanTransformer3DModel with ECHO's additions: SDCM in every block, LoRA, the reference's tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dyads.errors import ConfigError
from echo_model.wan.adapters import add_lora, add_reference, lora_layers, use_lora
from echo_model.wan.options import Sizes, WanOptions
from echo_model.wan.sdcm import SDCM, EntangledFusion

TALKING, INTERACTIVE = "talking", "interactive"  # the adapters of stage 1, later frozen as f_ref, and of stage 2
OWN = ("voice_in", "voice_place", "null_voice")
GIVEN = 1  # latent steps of I_ref, ahead of those of the T_prev frames


@dataclass
class Conditions:
    """What a block of ECHO attends to beside the base's own context."""

    voice: Tensor  # (b, f, n, width)
    f_pu: Tensor | None  # (b, m, d of LCU)
    m_lip: Tensor  # (b, 1, tokens, 1)
    m_face: Tensor


class EchoWanBlock(nn.Module):
    """Self-attention -> cross-attention (I_ref, c_emo) -> SDCM -> FFN: a pretrained block, and SDCM by adapter."""

    def __init__(self, base: nn.Module):
        super().__init__()
        self.base = base
        self.sdcm = nn.ModuleDict()

    def forward(
        self, h: Tensor, context: Tensor, time: Tensor, rotary: tuple[Tensor, Tensor], given: Conditions, adapter: str
    ) -> Tensor:
        """h (b, f, s, d); time (b, f, 6, d), or (b, 1, 6, d) where all steps have one flow time."""
        base, frames = self.base, h.shape[1]
        parts = (base.scale_shift_table.unsqueeze(0) + time.float())[:, :, :, None].unbind(2)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = parts

        def flat(x: Tensor) -> Tensor:
            return rearrange(x, "b f s d -> b (f s) d")

        def split(x: Tensor) -> Tensor:
            return rearrange(x, "b (f s) d -> b f s d", f=frames)

        x = (base.norm1(h.float()) * (1 + scale_1) + shift_1).type_as(h)
        h = (h.float() + split(base.attn1(flat(x), None, None, rotary)) * gate_1).type_as(h)
        x = base.norm2(h.float()).type_as(h)
        h = h + split(base.attn2(flat(x), context, None, None))
        if adapter in self.sdcm:
            h = h + self.sdcm[adapter](h, given.voice, given.f_pu, given.m_lip, given.m_face).type_as(h)
        x = (base.norm3(h.float()) * (1 + scale_2) + shift_2).type_as(h)
        return (h.float() + split(base.ffn(flat(x))).float() * gate_2).type_as(h)


class EchoWan(nn.Module):
    """The generator `wan`: velocity of a clip's latent steps behind those of I_ref and of the T_prev frames.

    The latent steps are [I_ref | T_prev frames | T_cur frames]: one frame, then `stride` frames a step, so that a clip
    is always 4n + 1 frames. The first two parts enter clean and at noise level 0; a model with more input channels
    (image to video) is also told so by its mask. Flow times t run from noise (0) to data (1), as everywhere here; the
    base counts noise levels sigma = 1 - t in thousandths and answers with noise - data: both are turned in `velocity`.

    Args:
        base: a WanTransformer3DModel, frozen here.
        options, sizes: of this generator.
        windows: voice features a latent step attends to (stride * L_w).
        user: width of f_pu.
        previous, current: latent steps of the T_prev and the T_cur frames.
        use_sdcm: off: entangled fusion.
    """

    def __init__(
        self,
        base: nn.Module,
        options: WanOptions,
        sizes: Sizes,
        windows: int,
        user: int,
        previous: int,
        current: int,
        use_sdcm: bool = True,
    ):
        super().__init__()
        self.options, self.sizes, self.user, self.use_sdcm = options, sizes, user, use_sdcm
        self.previous, self.current = GIVEN + previous, current
        base.requires_grad_(False)
        self.base, self.config = base, base.config
        self.d = base.config.num_attention_heads * base.config.attention_head_dim
        self.extra = extra_channels(base.config, sizes.channels)
        self.reference_added = add_reference(base, sizes.look, options.rank)
        base.blocks = nn.ModuleList(EchoWanBlock(block) for block in base.blocks)
        self.adapter = TALKING
        self.voice_in = nn.Parameter(torch.randn(windows, sizes.voice, options.width) / sizes.voice**0.5)
        self.voice_place = nn.Parameter(0.02 * torch.randn(windows, options.width))
        self.null_voice = nn.Parameter(0.02 * torch.randn(options.width))
        self.add_adapter(TALKING)
        self.train_only(TALKING, shared=True)

    def add_adapter(self, name: str) -> None:
        """SDCM in every block and LoRA on the wanted layers, under a name; the output stays what it was at first."""
        kind, o = SDCM if self.use_sdcm else EntangledFusion, self.options
        add_lora(self.base, name, o)
        for block in self.base.blocks:
            block.sdcm[name] = kind(self.d, o.width, o.heads, o.width, self.user).to(self.voice_in.device)
        self.use(name)

    def use(self, name: str) -> None:
        """Let `name` be the adapter that computes."""
        self.adapter = name
        use_lora(self.base, name)

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """`name` for a while."""
        before = self.adapter
        self.use(name)
        try:
            yield
        finally:
            self.use(before)

    def continue_as(self, name: str, copy: bool) -> None:
        """Stage 2 begins: `name` starts from the present adapter's weights. With `copy` the present one stays, frozen,
        as f_ref; else it is renamed. What both share, the reference's and the voice's maps, is frozen with it.
        """
        before = self.adapter
        self.add_adapter(name)
        for block in self.base.blocks:
            block.sdcm[name].load_state_dict(block.sdcm[before].state_dict())
        for layer in lora_layers(self.base):
            for part in (layer.lora_A, layer.lora_B):
                part[name].load_state_dict(part[before].state_dict())
        if not copy:
            self.drop_adapter(before)
        self.train_only(name, shared=False)

    def drop_adapter(self, name: str) -> None:
        for block in self.base.blocks:
            del block.sdcm[name]
        for layer in lora_layers(self.base):
            layer.delete_adapter(name)
        use_lora(self.base, self.adapter)

    def train_only(self, name: str, shared: bool) -> None:
        """Let `name` learn, and with `shared` also the maps of reference and voice; all else is frozen."""
        self.requires_grad_(False)
        for _, parameter in self.adapter_parameters(name):
            parameter.requires_grad_(True)
        if shared:
            for _, parameter in self.shared_parameters():
                parameter.requires_grad_(True)

    def adapter_parameters(self, name: str) -> Iterator[tuple[str, nn.Parameter]]:
        """LoRA's and SDCM's of one adapter, under names that do not tell which one it is."""
        for key, parameter in self.named_parameters():
            mark = f".{name}."
            if mark in key and (".sdcm." in key or ".lora_" in key):
                yield key.replace(mark, ".", 1), parameter

    def shared_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The maps of the voice, and of the reference where the base has none of its own."""
        for key, parameter in self.named_parameters():
            if key.startswith(OWN) or any(part in key for part in self.reference_added):
                yield key, parameter

    def trained_state(self, name: str | None = None) -> dict[str, Tensor]:
        """Everything of ECHO's own in the generator: kilobytes to megabytes, whatever the base."""
        own = dict(self.adapter_parameters(name or self.adapter)) | dict(self.shared_parameters())
        return {key: value.detach() for key, value in own.items()}

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        previous: Tensor,
        audio: Tensor,
        keep_audio: Tensor,
        text: Tensor,
        image: Tensor,
        m_lip: Tensor,
        m_face: Tensor,
        f_pu: Tensor | None = None,
        depth: int | None = None,
    ) -> tuple[list[Tensor], Tensor | None]:
        """Outputs of the first `depth` blocks over the T_cur steps, (b, current, tokens, d), and the velocity.

        x_t (b, current, c, h, w) noisy latents at flow times t (b,); previous (b, given + previous, c, h, w) clean ones
        of I_ref and the T_prev frames; audio (b, previous + current, windows, D) voice features, keep_audio (b,) 0
        where dropped; text (b, words, D), zeros where there is none; image (b, n, D) CLIP tokens of I_ref; masks (b,
        tokens of the patch grid); f_pu (b, m, d of LCU) or None. The velocity is data - noise, (b, current, c, h, w),
        and None if not all blocks were asked for.
        """
        x = rearrange(torch.cat([previous, x_t], 1), "b f c h w -> b c f h w")
        sigma = x_t.new_zeros(len(x), x.shape[2])
        sigma[:, self.previous :] = 1000.0 * (1.0 - t[:, None])
        if self.extra:
            known = torch.zeros_like(x[:, : self.extra])
            known[:, :, : self.previous] = 1.0
            clean = x.clone()
            clean[:, :, self.previous :] = 0.0
            x = torch.cat([x, known, clean], 1)
        x, text, image = (y.to(self.base.dtype) for y in (x, padded(text, self.options.text_tokens), image))
        given = Conditions(self.voice(audio, keep_audio), f_pu, m_lip[:, None, :, None], m_face[:, None, :, None])
        features, time = self.hidden(x, sigma, text, image, given, depth)
        answer = None
        if depth is None:
            answer = self.answer(features[-1], time, x)[:, :, self.previous :].float()
            answer = -rearrange(answer, "b c f h w -> b f c h w")
        return [h[:, self.previous :] for h in features], answer

    def voice(self, audio: Tensor, keep: Tensor) -> Tensor:
        """Voice features (b, f, windows, D) -> tokens (b, 1 + f, windows, width); the step of I_ref hears nothing."""
        keep = keep[:, None, None, None]
        told = torch.einsum("bfwa,wad->bfwd", audio.type_as(self.voice_in), self.voice_in)
        told = keep * told + (1 - keep) * self.null_voice
        silent = self.null_voice.expand(len(told), GIVEN, told.shape[2], -1)
        return torch.cat([silent, told], 1) + self.voice_place

    def hidden(
        self,
        x: Tensor,
        sigma: Tensor,
        text: Tensor,
        image: Tensor | None,
        given: Conditions | None,
        depth: int | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Outputs of the first `depth` blocks, each (b, f, s, d), and the time embedding (b, f or 1, d).

        x (b, c, f, h, w) latents with what the base wants beside them; sigma (b,) or (b, f) in thousandths; text
        (b, n, text width); image (b, m, image width) or None. Without `given` the base computes alone.
        """
        base, frames = self.base, x.shape[2] // self.config.patch_size[0]
        rotary = base.rope(x)
        h = rearrange(base.patch_embedding(x), "b d f h w -> b f (h w) d").contiguous()
        per_step = sigma.shape[1] if sigma.dim() == 2 else None
        time, parts, context, seen = base.condition_embedder(sigma.flatten(), text, image, timestep_seq_len=per_step)
        if per_step is None:
            time, parts = time[:, None], parts[:, None]
        parts = parts.unflatten(2, (6, -1))
        if seen is not None:
            context = torch.cat([seen, context], 1)
        adapter = self.adapter if given is not None else ""
        features = []
        for block in base.blocks[:depth]:
            arguments = (h, context, parts, rotary, given, adapter)
            if torch.is_grad_enabled() and self.options.checkpointing:
                h = checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=False)
            else:
                h = block(*arguments)
            features.append(h)
        assert h.shape[1] == frames
        return features, time

    def answer(self, h: Tensor, time: Tensor, x: Tensor) -> Tensor:
        """The last block's output -> noise - data, (b, out channels, f, h, w)."""
        base = self.base
        shift, scale = (base.scale_shift_table.unsqueeze(0) + time.unsqueeze(2)).chunk(2, 2)
        h = (base.norm_out(h.float()) * (1 + scale) + shift).type_as(h)
        t, p, q = self.config.patch_size
        rows, cols = x.shape[3] // p, x.shape[4] // q
        return rearrange(
            base.proj_out(h), "b f (h w) (t p q c) -> b c (f t) (h p) (w q)", h=rows, w=cols, t=t, p=p, q=q
        )


def extra_channels(config, channels: int) -> int:
    """Mask channels of an image-to-video base, 0 for others; ConfigError if this transformer is for other latents."""
    extra = config.in_channels - 2 * channels
    if config.out_channels == channels and (config.in_channels == channels or extra > 0):
        return max(extra, 0)
    raise ConfigError(
        f"the transformer takes {config.in_channels} channels and gives {config.out_channels}, but the autoencoder's "
        f"latents have {channels}; name a transformer and an autoencoder of one model."
    )


def padded(text: Tensor, tokens: int) -> Tensor:
    """Text tokens (b, n, D) followed by zeros, as the base was trained: its image attention counts from the end."""
    if text.shape[1] > tokens:
        raise ConfigError(f"c_emo has {text.shape[1]} tokens, but the base reads {tokens}; lower model.words.")
    return F.pad(text, (0, 0, 0, tokens - text.shape[1]))
