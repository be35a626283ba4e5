"""Configurations of the published checkpoints, so that a plan needs none of them on disk."""

from pathlib import Path
from typing import Any

from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import settings

WAN21 = {"freq_dim": 256, "text_dim": 4096, "attention_head_dim": 128}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "Wan2.2-TI2V-5B": WAN21
    | {"num_attention_heads": 24, "in_channels": 48, "out_channels": 48, "ffn_dim": 14336, "num_layers": 30},
    "Wan2.1-T2V-1.3B": WAN21
    | {"num_attention_heads": 12, "in_channels": 16, "out_channels": 16, "ffn_dim": 8960, "num_layers": 30},
    "Wan2.1-I2V-14B": WAN21
    | {"num_attention_heads": 40, "in_channels": 36, "out_channels": 16, "ffn_dim": 13824, "num_layers": 40}
    | {"image_dim": 1280, "added_kv_proj_dim": 5120},
}
VAES: dict[str, dict[str, Any]] = {
    "Wan2.2-TI2V-5B": {"base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "patch_size": 2}
    | {"in_channels": 12, "out_channels": 12, "scale_factor_spatial": 16},
    "Wan2.1-T2V-1.3B": {},
    "Wan2.1-I2V-14B": {},
}
VOICE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LOOK = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}
LOOK |= {"patch_size": 14, "image_size": 224}


def known(table: dict[str, dict[str, Any]], path: Path | None, base_model: str) -> dict[str, Any]:
    """The configuration in a checkpoint's folder, else the published one of the base that is named."""
    if path is not None and (path / "config.json").is_file():
        return {k: v for k, v in settings(path, "config.json").items() if not k.startswith("_")}
    for name, config in table.items():
        if name in base_model or (path is not None and name in str(path)):
            return config
    raise ConfigError(
        f"neither {path} nor generator.base_model {base_model!r} tells a known base; download the checkpoint, or "
        f"name one of {', '.join(table)}."
    )
