"""Random checkpoints of the pretrained classes, in their own formats: `python -m tests.tiny_checkpoints OUT`.

Small enough to be made on the fly; nothing is downloaded, and nothing they compute means anything.
"""

import argparse
import json
from pathlib import Path

import torch

WORDS = (
    "user avatar calm happy sad angry wonderful terrible look because said you watch and hear one side of a "
    "conversation so i am the was nothing it face voice emotion only think about hands"
).split()
SPECIAL = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<|vision_bos|><|VIDEO|><|vision_eos|>{% endif %}"
    "{% endfor %}{% endif %}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
LOOK, TEXT = 24, 24  # widths of CLIP's and T5's tokens
CHANNELS = {"wan21": 4, "wan22": 6}  # of the two autoencoders' latents


def tokenizer(folder, special=None):
    """Words of one's own, letters for the rest."""
    from transformers import PreTrainedTokenizerFast

    letters = [*map(chr, range(33, 127))]
    names = ["<pad>", "</s>", "<unk>", *(special or {}).values(), *dict.fromkeys([*WORDS, *letters])]
    parts = {"type": "WordLevel", "vocab": {name: k for k, name in enumerate(names)}, "unk_token": "<unk>"}
    rest = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "words.json"
    whole = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": parts, **rest}
    file.write_text(json.dumps(whole))
    known = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_file=str(file), extra_special_tokens=special or {}, **known)


def causal_lm(folder, seed=0):
    """A Qwen2 with a chat template."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    words = tokenizer(folder)
    words.chat_template = TEMPLATE
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Qwen2Config(vocab_size=len(words), num_key_value_heads=2, initializer_range=0.5, **sizes)
    return saved(folder, Qwen2ForCausalLM(config), words)


def t5(folder, seed=0):
    """A whole T5, of which the encoder is to be taken."""
    from transformers import T5Config, T5ForConditionalGeneration

    words = tokenizer(folder)
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=len(words), d_model=TEXT, d_kv=8, d_ff=32, num_layers=2, num_heads=3, decoder_start_token_id=0
    )
    return saved(folder, T5ForConditionalGeneration(config), words)


def qwen_omni(folder, seed=0):
    """The thinker of a Qwen2.5-Omni with its processor."""
    from transformers import (
        Qwen2_5OmniProcessor,
        Qwen2_5OmniThinkerConfig,
        Qwen2_5OmniThinkerForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        WhisperFeatureExtractor,
    )

    words = tokenizer(folder, SPECIAL)
    ids = {name: words.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=pixels),
        Qwen2VLVideoProcessor(size=pixels),
        WhisperFeatureExtractor(feature_size=128, chunk_length=10),
        words,
        chat_template=TEMPLATE,
    )
    text = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"num_key_value_heads": 2, "vocab_size": len(words), "initializer_range": 0.2}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}
    audio = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "d_model": 32, "output_dim": 64}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64}
    config = Qwen2_5OmniThinkerConfig(
        text_config=text,
        audio_config=audio,
        vision_config=vision | {"fullatt_block_indexes": [0]},
        audio_token_index=ids["audio_token"],
        image_token_index=ids["image_token"],
        video_token_index=ids["video_token"],
        audio_start_token_id=ids["audio_bos_token"],
        audio_end_token_id=ids["audio_eos_token"],
        vision_start_token_id=ids["vision_bos_token"],
        vision_end_token_id=ids["vision_eos_token"],
    )
    torch.manual_seed(seed)
    return saved(folder, Qwen2_5OmniThinkerForConditionalGeneration(config), processor)


def umt5(folder, seed=0):
    """Wan's own kind of text encoder."""
    from transformers import UMT5Config, UMT5EncoderModel

    words = tokenizer(folder)
    torch.manual_seed(seed)
    sizes = {"d_model": TEXT, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3}
    return saved(folder, UMT5EncoderModel(UMT5Config(vocab_size=len(words), **sizes)), words)


def wav2vec2(folder, seed=0, hubert=False):
    """An audio encoder with its feature extractor's settings."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(seed)
    kind, options = (HubertModel, HubertConfig) if hubert else (Wav2Vec2Model, Wav2Vec2Config)
    sizes = {"conv_dim": (16,) * 7, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 64, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    return saved(folder, kind(options(**sizes)), Wav2Vec2FeatureExtractor(do_normalize=True))


def hubert(folder, seed=0):
    return wav2vec2(folder, seed, hubert=True)


def clip(folder, seed=0):
    """CLIP's vision tower: 2 x 2 patches and the class token."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": LOOK, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=16, **sizes)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return saved(folder, CLIPVisionModel(config), processor)


def wan_vae(folder, version="wan22", seed=0):
    """The autoencoder of Wan 2.1 (8 x 8 x 4) or Wan 2.2 (16 x 16 x 4)."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(seed)
    channels = CHANNELS[version]
    sizes = {"base_dim": 8, "z_dim": channels, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1}
    sizes |= {
        "latents_mean": [0.1 * k for k in range(channels)],
        "latents_std": [0.2 + 0.1 * k for k in range(channels)],
    }
    if version == "wan22":
        sizes |= {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "decoder_base_dim": 8}
        sizes |= {"scale_factor_spatial": 16}
    AutoencoderKLWan(**sizes).save_pretrained(folder)
    return folder


def wan(folder, variant="ti2v", seed=0):
    """A transformer: `ti2v` of Wan 2.2 (5B), `t2v` of Wan 2.1 (1.3B), `i2v` of Wan 2.1 (14B, with image attention)."""
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    channels = CHANNELS["wan22" if variant == "ti2v" else "wan21"]
    sizes = {"num_attention_heads": 2, "attention_head_dim": 24, "ffn_dim": 64, "num_layers": 2, "text_dim": TEXT}
    sizes |= {"in_channels": channels, "out_channels": channels, "freq_dim": 32, "rope_max_seq_len": 64}
    if variant == "i2v":
        sizes |= {"in_channels": 2 * channels + 4, "image_dim": LOOK, "added_kv_proj_dim": 48}
    WanTransformer3DModel(**sizes).save_pretrained(folder)
    return folder


def saved(folder, model, processor):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


WRITERS = {
    "Wan2.2-TI2V/vae": wan_vae,
    "Wan2.2-TI2V/transformer": wan,
    "Wan2.1-T2V/vae": lambda folder: wan_vae(folder, "wan21"),
    "Wan2.1-T2V/transformer": lambda folder: wan(folder, "t2v"),
    "Wan2.1-I2V/vae": lambda folder: wan_vae(folder, "wan21"),
    "Wan2.1-I2V/transformer": lambda folder: wan(folder, "i2v"),
    "wav2vec2": wav2vec2,
    "hubert": hubert,
    "clip": clip,
    "umt5": umt5,
    "t5": t5,
    "qwen_omni": qwen_omni,
    "causal_lm": causal_lm,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tiny_checkpoints", description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    for name, write in WRITERS.items():
        write(out / name)
        print(out / name)


if __name__ == "__main__":
    main()
