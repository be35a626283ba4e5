"""The sync probe learns whose sound belongs to a mouth, and its losses and samples are what they claim to be."""

import numpy as np
import pytest
import torch

from dyads.contract import read_manifest, read_wav
from dyads.errors import ConfigError
from dyads.synthetic.world import WorldOptions, write_world
from evaluation.clips import voiced
from evaluation.fits import schedule
from evaluation.fits.sync import Options, planted_offsets
from evaluation.probes.sync import MARGIN, ROWS, SHIFT, SyncProbe, SyncTask, VoiceSet, displaced, mouth, sample_voices
from training.engine.loop import train


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def voices(frames: int = 60, clips: int = 3) -> VoiceSet:
    """Clips whose pictures and sounds carry the number of their frame."""
    numbers = torch.arange(frames, dtype=torch.float32)
    mouths = numbers.to(torch.uint8)[:, None, None, None].expand(frames, 3, 36, 36).contiguous()
    sounds = numbers[: frames - 5, None, None, None].expand(frames - 5, 1, 13, 20).contiguous()
    speaks = (numbers[: frames - 5] % 20) < 10
    return VoiceSet((mouths,) * clips, (sounds,) * clips, (speaks,) * clips)


def test_samples_hold_the_sounds_around_each_window():
    task = SyncTask(SyncProbe(1 / 64, 51), voices(), batch_size=16)
    batch = task.batch(0, generator(0))
    again = task.batch(0, generator(0))
    assert all(torch.equal(batch[key], again[key]) for key in batch)
    starts = batch["mouths"][:, 0, 0, 0, 0].long()
    assert len(starts.unique()) > 3 and batch["mouths"].shape[1] == ROWS + 4
    places = starts[:, None] - SHIFT + torch.arange(ROWS + 2 * SHIFT)
    assert torch.equal(batch["there"], (places >= 0) & (places < 55)) and not batch["there"].all()
    heard = batch["sounds"][:, :, 0, 0, 0].long()
    assert torch.equal(heard[batch["there"]], places[batch["there"]])
    assert torch.equal(batch["speaks"], places[:, SHIFT : SHIFT + ROWS] % 20 < 10) and batch["speaks"].any(1).all()


def test_the_loss_is_least_for_the_own_sound():
    """Networks that give frame numbers as features: an own sound that lies nearest costs nearly nothing."""

    class Told(SyncProbe):
        late = 0

        def lips(self, windows):
            return self.turned(windows[:, 7, 0, 0] - self.late)

        def forward_aud(self, sounds):
            return self.turned(sounds[:, 0, 0, 0] + 2)

        @staticmethod
        def turned(number):
            return torch.stack([torch.cos(number / 6), torch.sin(number / 6)], -1) * 3

    def loss(late: int) -> tuple[float, float]:
        probe = Told(1 / 64, 51)
        probe.late = late
        task = SyncTask(probe, voices(), batch_size=8)
        batch = task.batch(0, generator(1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("evaluation.probes.sync.displaced", lambda mouths, _: mouths[..., 2:-2, 2:-2].float())
            value, numbers = task.loss(batch, generator(2))
        return float(value), float(numbers["accuracy"])

    right, late = loss(0), loss(5)
    assert right[0] < 1 and right[1] > 0.9
    assert late[0] > right[0] + 5 and late[1] < 0.1


def test_displaced_mouths_keep_their_time():
    steps = torch.arange(6, dtype=torch.uint8) * 40
    mouths = steps[None, :, None, None, None].expand(2, 6, 3, 36, 36).contiguous()
    mouths[:, :, :, :, :18] //= 2  # a picture that has two sides
    found = displaced(mouths, generator(1))
    assert found.shape == (2, 6, 3, 32, 32) and torch.equal(found, displaced(mouths, generator(1)))
    assert (found.mean((2, 3, 4)).diff(dim=1) > 0).all()  # brighter from frame to frame, as before
    brighter = (found[..., 20:].mean((2, 3, 4)) > found[..., :12].mean((2, 3, 4)))[:, 2:]
    assert (brighter == brighter[:, :1]).all()  # mirrored in all frames or in none


def test_the_mouth_is_the_lower_middle_of_the_picture():
    frames = np.zeros((2, 64, 48, 3), np.uint8)
    frames[:, 28:60, 12:36] = 200
    assert mouth(frames).shape == (2, 32, 24, 3) and (mouth(frames) == 200).all()
    assert mouth(frames, MARGIN).shape == (2, 36, 28, 3) and (mouth(frames, MARGIN) == 0).any()


def test_only_speakers_are_sampled(world):
    dyads = read_manifest(world, "train")
    data = sample_voices(dyads, size=64, videos=4, seed=0)
    assert 0 < len(data) <= 4 and len({pictures.shape[1:] for pictures in data.mouths}) == 1
    again = sample_voices(dyads, size=64, videos=4, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(data.sounds, again.sounds, strict=True))
    for pictures, sounds, speaks in zip(data.mouths, data.sounds, data.speaks, strict=True):
        assert len(sounds) == len(speaks) == len(pictures) - 5 and speaks.any()
    with pytest.raises(ConfigError, match="batch_size is 1, but must be at least 2"):
        SyncTask(SyncProbe(1 / 64, 51), data, 1)


def test_an_untrained_probe_finds_no_planted_shift(world):
    torch.manual_seed(0)
    found = planted_offsets(SyncProbe(1 / 64, 51).eval(), read_manifest(world, "test"))
    assert found["clips"] == 2 and found["all_found"] == 0
    audio = read_wav(read_manifest(world, "test")[0].avatar)
    assert voiced(audio, len(audio) // 640).any()


@pytest.mark.slow
def test_planted_shifts_are_found_in_videos_of_unseen_people(tmp_path):
    """As at default size, with a quarter of the data and half of the steps."""
    write_world(tmp_path / "data", WorldOptions(train=40, test=12, size=64, seconds=(8.0, 12.0)), progress=False)
    data = sample_voices(read_manifest(tmp_path / "data", "train"), size=64, videos=80, seed=0)
    torch.manual_seed(0)
    task = SyncTask(SyncProbe(Options().width, Options().size), data, 12)
    options = schedule(80, batch_size=12, learning_rate=3e-3, weight_decay=0.05, warmup_steps=20)
    probe = train(task, options, tmp_path / "training", seed=0, stage="sync", identity={}).eval()
    found = planted_offsets(probe, read_manifest(tmp_path / "data", "test"))
    assert found["clips"] >= 10 and found["all_found"] >= 0.95
    distance, confidence = found["lse_d"], found["lse_c"]
    assert distance == sorted(distance) and confidence == sorted(confidence, reverse=True)
    assert found["frozen_lse_d"] > distance[0] and found["frozen_lse_c"] < confidence[0] / 2
