"""Clips of encoded dialogues, read from disk one at a time: nothing here holds a whole dialogue."""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dyads.contract import Dyad
from dyads.errors import DataError
from dyads.features import tensor_fault
from dyads.seeding import torch_generator
from echo_model.clips import slice_padded, voice_windows
from echo_model.model.options import ModelOptions

COLUMNS = ("dyad_id", "split", "file", "frames", "made_by")  # of index.csv; made_by tells encoders and recordings


@dataclass(frozen=True)
class Encoded:
    """Where the encoders' and the readers' files of a study lie."""

    clips: Path  # folder that `echo_model.wan.encode` wrote
    context: Path | None = None  # folder that `echo_model.commands.understand` wrote; None: the user is not known

    def frames(self) -> dict[str, int]:
        """Frames of every dialogue, from index.csv alone."""
        try:
            with (self.clips / "index.csv").open(encoding="utf-8", newline="") as file:
                return {row["dyad_id"]: int(row["frames"]) for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError) as error:
            remedy = "run `python -m echo_model.wan.encode`"
            raise DataError(f"{self.clips} has no readable index.csv; {remedy}.") from error


def opened(path: Path):
    try:
        return safe_open(str(path), "pt")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it and encode again.") from error


class Slices:
    """Rows of one file's tensors, checked as they are read."""

    def __init__(self, path: Path):
        self.path, self.file = path, opened(path)
        self.names = set(self.file.keys())

    def length(self, name: str) -> int:
        return self.file.get_slice(name).get_shape()[0]

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """float32 rows start .. stop, zeros where that leaves the tensor."""
        count = self.length(name)
        low, high = min(max(start, 0), count), min(max(stop, 0), count)
        return slice_padded(self.checked(name, self.file.get_slice(name)[low:high]), start - low, stop - low)

    def whole(self, name: str) -> Tensor:
        return self.checked(name, self.file.get_tensor(name))

    def checked(self, name: str, tensor: Tensor) -> Tensor:
        if fault := tensor_fault(tensor):
            raise DataError(f"{self.path}: tensor {name!r} {fault}; delete the file and encode again.")
        return tensor.float() if tensor.is_floating_point() else tensor


def count_clips(frames: int, options: ModelOptions) -> int:
    """Clips that cover a dialogue, the last one perhaps in part."""
    return -(-frames // options.clip)


class DialogueClips:
    """One dialogue's clips: clip k holds the frames k * T_cur .. (k + 1) * T_cur."""

    def __init__(self, encoded: Encoded, dyad_id: str, options: ModelOptions):
        self.options, self.dyad_id, self.encoded = options, dyad_id, encoded

    @property
    def own(self) -> Slices:
        """Opened anew each time: the pages of a file that stays mapped would count as this process's memory."""
        return Slices(self.encoded.clips / f"{self.dyad_id}.safetensors")

    def inputs(self, k: int, user: bool) -> dict[str, Tensor]:
        """Everything but the avatar's true latents; with `user` also what LCU reads, from the T frames that end with
        the clip.
        """
        start, o = k * self.options.clip, self.options
        clip = {
            "audio": self.heard(start),
            "image": self.own.whole("reference_tokens"),
            "still": self.own.whole("still"),
            "energy": self.own.rows("energy", start, start + o.clip).view(-1, o.patch).amax(1),
        }
        return clip | self.masks() | (self.user(start) if user else {})

    def masks(self) -> dict[str, Tensor]:
        """M_lip and M_face on the patch grid, (tokens,); soft, or binary and apart."""
        lip, face = self.own.whole("m_lip"), self.own.whole("m_face")
        if self.options.masks == "binary":
            face = ((lip + face > 0.5) & (lip <= 0.5)).float()
            lip = (lip > 0.5).float()
        return {"m_lip": lip, "m_face": face}

    def heard(self, start: int) -> Tensor:
        """A_avt of the T_prev and T_cur frames, (F, stride * L_w, D); the voice after the clip is not looked at."""
        o = self.options
        first = max(start - o.previous - o.window // 2, 0)
        return voice_windows(self.own.rows("voice", first, start + o.clip), start - first, o)

    def user(self, start: int) -> dict[str, Tensor]:
        o, stop = self.options, start + self.options.clip
        begin = stop - o.context
        audio = self.own.rows("user_voice", begin - (o.window - o.stride), stop)
        found = {
            "user_audio": audio.unfold(0, o.window, o.stride).transpose(1, 2),
            "user_video": self.own.rows("user_look", begin // o.tubelet, stop // o.tubelet),
        }
        return found | self.understood(start)

    def understood(self, start: int) -> dict[str, Tensor]:
        """S_usr (S, D) of the T frames that end with the clip, and the words of y_emo at its start."""
        if self.encoded.context is None:
            raise DataError(f"{self.dyad_id}: there is no context; run `python -m echo_model.commands.understand`.")
        read, o = Slices(self.encoded.context / f"{self.dyad_id}.safetensors"), self.options
        step, steps = start // o.stride, o.context // o.stride
        spoken = read.whole("text_index")
        row = int(spoken[min(step, len(spoken) - 1)])
        text = read.rows("text", row, row + 1)[0]
        if "starts" not in read.names:  # a causal Phi has read the dialogue once
            stop = step + o.clip // o.stride
            return {"s_usr": read.rows("s_usr", stop - steps, stop), "text": text}
        starts = read.whole("starts")
        which = int(torch.searchsorted(starts, start, right=True)) - 1
        late = (start - int(starts[which])) // o.stride
        return {"s_usr": slice_padded(read.rows("s_usr", which, which + 1)[0], late, late + steps), "text": text}

    def targets(self, k: int, frames: int) -> dict[str, Tensor]:
        """True latents of the clip and of what is given ahead of it, and which steps lie wholly in the dialogue."""
        o = self.options
        steps = Slices(self.encoded.clips / f"{self.dyad_id}.target.safetensors").rows("latents", k, k + 1)[0]
        current = o.clip // o.patch
        there = torch.arange(1, current + 1) * o.patch <= frames - k * o.clip
        return {"previous": steps[:-current], "x_1": steps[-current:], "there": there.float()}


class TrainingClips:
    """All clips of all training dialogues, in an order of its own for every epoch, each once an epoch.

    A clip's place follows from (seed, epoch) and its position alone, so a training resumes where it was; clips of one
    dialogue are scattered, and only the clip itself is read.
    """

    def __init__(self, encoded: Encoded, dyads: list[Dyad], options: ModelOptions, user: bool, seed: int):
        self.encoded, self.options, self.user, self.seed = encoded, options, user, seed
        frames = encoded.frames()
        if missing := [dyad.dyad_id for dyad in dyads if dyad.dyad_id not in frames]:
            raise DataError(f"{encoded.clips} lacks {missing[0]} and {len(missing) - 1} more; encode again.")
        self.frames = {dyad.dyad_id: frames[dyad.dyad_id] for dyad in dyads}
        self.places = [
            (name, k)
            for name, count in sorted(self.frames.items())
            for k in range(count_clips(count, options))
            if count - k * options.clip >= options.patch  # at least one whole step to learn from
        ]
        if not self.places:
            raise DataError("no training dialogue is as long as one latent step; give longer recordings.")
        self.order: tuple[int, Tensor] | None = None

    def at(self, position: int) -> dict[str, Tensor]:
        """The clip at a position that counts on over epochs."""
        epoch, place = divmod(position, len(self.places))
        if self.order is None or self.order[0] != epoch:
            shuffled = torch.randperm(len(self.places), generator=torch_generator(self.seed, "clips", epoch))
            self.order = epoch, shuffled
        name, k = self.places[int(self.order[1][place])]
        clips = DialogueClips(self.encoded, name, self.options)
        return clips.inputs(k, self.user) | clips.targets(k, self.frames[name])

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        clips = [self.at(first + k) for k in range(count)]
        return {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}


def repeat_last(x: Tensor, frames: int) -> Tensor:
    """(T, ...) continued by its last row to `frames` rows."""
    return x if len(x) >= frames else torch.cat([x, x[-1:].expand(frames - len(x), *x.shape[1:])])


def silence(x: Tensor, frames: int) -> Tensor:
    """(T, ...) continued by zeros to `frames` rows."""
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, frames - len(x)))
