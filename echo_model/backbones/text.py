"""The small text encoder E_txt: one fixed random vector a word, addressed by the word itself."""

import re

import torch
from torch import Tensor

from dyads.seeding import torch_generator

TEXT_DIM, WORDS = 32, 8
# Words that carry no feeling; a larger encoder learns to look past them.
FUNCTION_WORDS = frozenset(
    "a an and are as at be because been but by can could did do does for from had has have he her him his i if in "
    "is it its me my of on or our said say says she should so that the their them there they this to us was we "
    "were what when which who will with would you your avatar look looks user".split()
)


def encode_text(sentence: str) -> Tensor:
    """A sentence -> (WORDS, TEXT_DIM) token vectors of its content words in order, zero past their end.

    Every word has a Gaussian vector of its own, derived from its letters, so that nothing is trained or downloaded
    and the same word means the same everywhere; the generator's own projection learns what the words mean.
    """
    words = [word for word in re.findall(r"[a-z']+", sentence.lower()) if word not in FUNCTION_WORDS]
    tokens = torch.zeros(WORDS, TEXT_DIM)
    for place, word in enumerate(words[:WORDS]):
        tokens[place] = torch.randn(TEXT_DIM, generator=torch_generator(0, "word", word))
    return tokens
