"""E_txt, pretrained: the encoder of a T5, whose last hidden tokens are the words of c_emo."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import model_type, open_model, open_processor

TYPES = ("t5", "mt5", "umt5")


class T5:
    """A sentence -> (words, D): its first `words` tokens, zero past their end.

    Args:
        path: folder of a checkpoint with its tokenizer; of a whole T5 the encoder is taken.
        words: model.words.
    """

    def __init__(self, path: Path, words: int, device: torch.device | str = "cpu"):
        from transformers import AutoTokenizer, MT5EncoderModel, T5EncoderModel, UMT5EncoderModel

        if (kind := model_type(path)) not in TYPES:
            raise ConfigError(f"{path} is a {kind}, but text.kind t5 reads {', '.join(TYPES)}; name a folder with one.")
        self.tokenizer = open_processor(AutoTokenizer, path)
        classes = dict(zip(TYPES, (T5EncoderModel, MT5EncoderModel, UMT5EncoderModel), strict=True))
        self.encoder = open_model(classes[kind], path, device)
        self.width, self.words, self.device = self.encoder.config.d_model, words, device

    @torch.no_grad()
    def __call__(self, sentence: str) -> Tensor:
        inputs = self.tokenizer(sentence, truncation=True, max_length=self.words, return_tensors="pt").to(self.device)
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        tokens = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state[0].float().cpu()
        return F.pad(tokens, (0, 0, 0, self.words - len(tokens)))
