"""Which Phi, Psi and E_txt read the dialogues of a study: the small ones, or pretrained ones from a folder."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from dyads.contract import Turn, file_sha256
from dyads.errors import ConfigError
from echo_model.backbones.psi import Lexicon
from echo_model.backbones.text import encode_text
from echo_model.clips import slice_padded
from echo_model.model.options import ModelOptions
from training.method import load_class

PROMPTS = Path(__file__).parents[1] / "prompts"
# Imported where a study names them: no other job loads transformers, or depends on these files.
PRETRAINED = {
    "qwen_omni": "echo_model.backbones.qwen_omni:QwenOmni",
    "causal_lm": "echo_model.backbones.causal_lm:CausalLM",
    "t5": "echo_model.backbones.t5:T5",
}

TextEncoder = Callable[[str], Tensor]  # a sentence -> (words, text_width)


class ClipPhi(Protocol):
    """A Phi that reads the T frames of one clip at a time, as the paper's does."""

    width: int  # D

    def read(self, frames: np.ndarray, audio: np.ndarray) -> Tensor:
        """uint8 (n, H, W, 3) and float (n * 640,) -> S_usr (n // stride, D)."""


class Psi(Protocol):
    """Writes y_emo from the turns that ended by `now`, in seconds; and says which turns a later y_emo may need."""

    def write(self, history: Sequence[Turn], now: float) -> str: ...

    def remembered(self, history: Sequence[Turn], now: float) -> list[Turn]: ...


@dataclass(frozen=True)
class _Reader:
    kind: str
    path: Path | None = None  # folder of a checkpoint, for a pretrained kind
    sha256: str = ""  # of its weights; where given, other weights are refused

    @property
    def pretrained(self) -> bool:
        return self.kind in PRETRAINED

    def __post_init__(self) -> None:
        if self.pretrained and self.path is None:
            raise ConfigError(f"kind {self.kind} is pretrained and needs path, the folder of its checkpoint.")


@dataclass(frozen=True)
class PhiReader(_Reader):
    """The understanding model Phi; the options below are of pretrained kinds."""

    kind: Literal["small", "qwen_omni"] = "small"
    prompt: str = ""  # P_think; empty: prompts/think.txt
    every: int = 0  # frames between the starts of two clips that it reads; 0: as many as a clip has
    fps: float = 2.0  # frames of video a second that it is shown


@dataclass(frozen=True)
class PsiReader(_Reader):
    """The affect reasoner Psi; the options below are of pretrained kinds."""

    kind: Literal["lexicon", "causal_lm"] = "lexicon"
    prompt: str = ""  # with {history} where the turns go; empty: prompts/affect.txt
    turns: int = 12  # the last ones of the history that it reads
    tokens: int = 48  # at most, of y_emo


@dataclass(frozen=True)
class TextReader(_Reader):
    """The text encoder E_txt."""

    kind: Literal["small", "t5"] = "small"


@dataclass(frozen=True)
class Readers:
    """One of each."""

    phi: PhiReader = PhiReader()
    psi: PsiReader = PsiReader()
    text: TextReader = TextReader()

    @property
    def each(self) -> tuple[PhiReader, PsiReader, TextReader]:
        return self.phi, self.psi, self.text

    @property
    def pretrained(self) -> bool:
        """Whether any of them is."""
        return any(reader.pretrained for reader in self.each)


def weights_sha256(path: Path) -> str:
    """SHA-256 of a checkpoint's safetensors files: the file's own, or of all names and digests where there are more."""
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such folder; download the checkpoint and name the folder it lies in.")
    files = sorted(path.glob("*.safetensors"))
    if not files or not (path / "config.json").is_file():
        raise ConfigError(f"{path} has no config.json with *.safetensors; name the folder of a whole checkpoint.")
    digests = [(file.name, file_sha256(file)) for file in files]
    return digests[0][1] if len(digests) == 1 else hashlib.sha256(repr(digests).encode()).hexdigest()


def recorded(reader: _Reader) -> _Reader:
    """The same with its weights' hash and its prompt in words, after a look whether they are there and unchanged."""
    if not reader.pretrained:
        return reader
    found = weights_sha256(reader.path)
    if reader.sha256 not in ("", found):
        raise ConfigError(
            f"{reader.path}: the weights' sha256 is {found}, but {reader.sha256} is recorded; "
            "take the checkpoint that ECHO was trained with."
        )
    default = {PhiReader: "think.txt", PsiReader: "affect.txt"}.get(type(reader))
    if default is None:
        return replace(reader, sha256=found)
    prompt = reader.prompt or (PROMPTS / default).read_text(encoding="utf-8").strip()
    return replace(reader, sha256=found, prompt=prompt)


def load_clip_phi(reader: PhiReader, model: ModelOptions, device: torch.device | str = "cpu") -> ClipPhi:
    """A pretrained Phi; ConfigError if it is not there, or does not fit `model`."""
    reader, every = recorded(reader), reader.every or model.clip
    if every % model.stride or model.clip % every:
        raise ConfigError(
            f"phi.every is {every} frames, but must be a multiple of model.stride ({model.stride}) that divides "
            f"model.clip ({model.clip})."
        )
    phi = load_class(PRETRAINED[reader.kind])(reader.path, model.stride, reader.fps, reader.prompt, device)
    check_width("phi", reader.path, phi.width, model.phi_width)
    return phi


def load_psi(reader: PsiReader, device: torch.device | str = "cpu") -> Psi:
    if not reader.pretrained:
        return Lexicon()
    reader = recorded(reader)
    return load_class(PRETRAINED[reader.kind])(reader.path, reader.turns, reader.tokens, reader.prompt, device)


def load_text(reader: TextReader, model: ModelOptions, device: torch.device | str = "cpu") -> TextEncoder:
    if not reader.pretrained:
        return encode_text
    text = load_class(PRETRAINED[reader.kind])(recorded(reader).path, model.words, device)
    check_width("text", reader.path, text.width, model.text_width)
    return text


def check_width(slot: str, path: Path, found: int, wanted: int) -> None:
    """ConfigError if a checkpoint's tokens are not as wide as the model takes them."""
    if found != wanted:
        raise ConfigError(
            f"{path} gives tokens {found} wide, but model.{slot}_width is {wanted}; set model.{slot}_width to {found}."
        )


def read_clip(phi: ClipPhi, frames: np.ndarray, audio: np.ndarray, before: int, model: ModelOptions) -> Tensor:
    """S_usr (S, D) from the user's frames and sound up to a clip's end, of which `before` frames precede the clip.

    Zeros where the T frames begin before the dialogue, and after its end. bfloat16, as such models compute, on the CPU.
    """
    read = torch.zeros(0, phi.width) if len(frames) < model.stride else phi.read(frames, audio)
    read = read.to("cpu", torch.bfloat16)
    absent = (model.context - model.clip - before) // model.stride
    return slice_padded(read, -absent, model.context // model.stride - absent)
