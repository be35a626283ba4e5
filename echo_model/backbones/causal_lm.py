"""Psi, pretrained: any causal language model reads the dialogue history through a prompt and writes y_emo."""

from collections.abc import Sequence
from pathlib import Path

import torch

from dyads.contract import Turn
from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import open_model, open_processor

NOTHING = "(nothing has been said yet)"
THOUGHT = "</think>"  # where a reasoning model begins its answer


class CausalLM:
    """y_emo by greedy decoding, from the last turns that ended; turns that end later are not looked at.

    Args:
        path: folder of a checkpoint with its tokenizer. A chat template there is used.
        turns: how many of the last turns are read.
        tokens: how many may be written, a reasoning model's thoughts included.
        prompt: text with {history} where the turns go, one a line.
    """

    def __init__(self, path: Path, turns: int, tokens: int, prompt: str, device: torch.device | str = "cpu"):
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        if "{history}" not in prompt:
            raise ConfigError("the prompt of Psi lacks {history}, where the turns go; add it to psi.prompt.")
        for name, value in (("turns", turns), ("tokens", tokens)):
            if value < 1:
                raise ConfigError(f"psi.{name} is {value}, but must be at least 1.")
        self.tokenizer = open_processor(AutoTokenizer, path)
        self.model = open_model(AutoModelForCausalLM, path, device)
        stop = self.model.generation_config.eos_token_id or self.tokenizer.eos_token_id
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        self.greedy = GenerationConfig(do_sample=False, max_new_tokens=tokens, eos_token_id=stop, pad_token_id=pad)
        self.turns, self.prompt, self.device = turns, prompt, device
        self.last: tuple[str, str] | None = None  # a history, and what was written of it

    def write(self, history: Sequence[Turn], now: float) -> str:
        """y_emo at time `now` in seconds; the same until another turn has ended."""
        told = "\n".join(f"{turn.role}: {turn.text}" for turn in self.ended(history, now)) or NOTHING
        if self.last is None or self.last[0] != told:
            self.last = told, self.answer(self.prompt.replace("{history}", told))
        return self.last[1]

    def remembered(self, history: Sequence[Turn], now: float) -> list[Turn]:
        """Turns that a later y_emo may still need."""
        return [*self.ended(history, now), *(turn for turn in history if turn.end > now)]

    def ended(self, history: Sequence[Turn], now: float) -> list[Turn]:
        return sorted((turn for turn in history if turn.end <= now), key=lambda turn: turn.end)[-self.turns :]

    @torch.no_grad()
    def answer(self, question: str) -> str:
        """What the model writes, on one line."""
        if self.tokenizer.chat_template:
            asked = [{"role": "user", "content": question}]
            question = self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        chat = bool(self.tokenizer.chat_template)  # which writes its own special tokens
        inputs = self.tokenizer(question, return_tensors="pt", add_special_tokens=not chat).to(self.device)
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        made = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=self.greedy)[0, ids.shape[1] :]
        text = self.tokenizer.decode(made, skip_special_tokens=True)
        if THOUGHT not in text and ("<think>" in text or question.rstrip().endswith("<think>")):
            raise ConfigError(
                f"Psi was still reasoning after psi.tokens {self.greedy.max_new_tokens}; set psi.tokens higher."
            )
        return " ".join(text.rpartition(THOUGHT)[2].split())
