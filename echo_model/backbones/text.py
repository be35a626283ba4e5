"""The small text encoder E_txt: one fixed random vector a word, addressed by the word itself."""

import re

import torch
from torch import Tensor

from dyads.seeding import torch_generator

TEXT_DIM, WORDS = 32, 16


def encode_text(sentence: str) -> Tensor:
    """A sentence -> (WORDS, TEXT_DIM) token vectors, zero past its end.

    Every word has a Gaussian vector of its own, derived from its letters, so that nothing is trained or downloaded
    and the same word means the same everywhere; the generator's own projection learns what the words mean.
    """
    tokens = torch.zeros(WORDS, TEXT_DIM)
    for place, word in enumerate(re.findall(r"[a-z']+", sentence.lower())[:WORDS]):
        tokens[place] = torch.randn(TEXT_DIM, generator=torch_generator(0, "word", word))
    return tokens
