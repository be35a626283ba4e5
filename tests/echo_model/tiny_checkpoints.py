"""Random checkpoints of the pretrained classes, small enough to be made on the fly; nothing is downloaded."""

import json

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
        vocab_size=len(words), d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3, decoder_start_token_id=0
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


def saved(folder, model, processor):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
