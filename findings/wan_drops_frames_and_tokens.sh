#!/usr/bin/env bash
# diffusers 0.42.1, Wan. One expects: a video autoencoder gives back as many frames as it is given, or refuses; a transformer
# with image conditioning reads the image tokens and text tokens it is handed. What happens: AutoencoderKLWan.encode drops all
# frames after the last 4n + 1 (48 come back as 45, 4 as 1), and the cross-attention of an image-to-video
# WanTransformer3DModel takes the last 512 context tokens for text, however many there are: with 64 text tokens and 257 image
# tokens the cut falls at -191: 130 of the image's tokens are read as the image's, 127 as words. No error, no warning in either.
# Cost here: clips are 1 + T_prev + T_cur frames (4n + 1), other lengths are refused, and c_emo is padded to 512 tokens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 diffusers==0.42.1 \
    transformers==5.23.0 huggingface_hub==2.4.0 safetensors==0.8.0
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import warnings

import diffusers
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

warnings.simplefilter("error", UserWarning)
print("diffusers", diffusers.__version__, "torch", torch.__version__)
torch.manual_seed(0)
vae = AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
with torch.no_grad():
    for frames in (1, 4, 16, 45, 48):
        back = vae.decode(vae.encode(torch.zeros(1, 3, frames, 32, 32)).latent_dist.mode()).sample.shape[2]
        print(f"{frames} frames in, {back} out")
        assert back == 1 + (frames - 1) // 4 * 4

sizes = dict(num_attention_heads=2, attention_head_dim=24, ffn_dim=32, num_layers=1, text_dim=8, freq_dim=16)
model = WanTransformer3DModel(**sizes, in_channels=4, out_channels=4, image_dim=8, added_kv_proj_dim=48).eval()
x, t, image = torch.randn(1, 4, 1, 4, 4), torch.tensor([500.0]), torch.randn(1, 257, 8)
seen = []
model.blocks[0].attn2.add_k_proj.register_forward_hook(lambda module, given, out: seen.append(given[0].shape[1]))
with torch.no_grad():
    for text in (512, 64):
        model(x, t, torch.randn(1, text, 8), image)
        print(f"{text} text tokens and 257 image tokens: {seen[-1]} are read as the image's")
assert seen == [257, 257 + 64 + (257 + 64 - 512)]  # a slice [:-191] of 321 tokens
PY
