"""A side-by-side video of one synthetic dialogue, with both voices and captions, for people to look at."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dyads.media.video import write_video
from dyads.synthetic.coefficients import CUES, EMOTIONS
from dyads.synthetic.world import Dialogue, WorldOptions, generate_dialogue


def write_preview(path: Path, split: str, number: int, options: WorldOptions) -> None:
    """Write dialogue `number` as an mp4: user left, avatar right, captions below, both voices mixed."""
    dialogue = generate_dialogue(options.seed, split, number, options.seconds)
    pictures = np.concatenate([dialogue.frames(role, options.size) for role in ("user", "avatar")], axis=2)
    strips = _captions(dialogue, len(pictures), options.size)
    sound = np.clip(dialogue.sound["user"] + dialogue.sound["avatar"], -1.0, 1.0)
    write_video(path, np.concatenate([pictures, strips], axis=1), sound)


def _captions(dialogue: Dialogue, frames: int, size: int) -> np.ndarray:
    """Captions of every frame, uint8 (frames, h, 2 * size, 3): the words, and the event behind the faces."""
    height = max(16, size // 10 * 2)
    font = ImageFont.load_default(size=height * 0.34)
    drawn: dict[tuple[str, ...], np.ndarray] = {}
    strips = []
    for frame in range(frames):
        time = (frame + 0.5) / 25
        lines = ["", "", "", ""]  # words and event of user, then avatar
        for u in dialogue.talk.utterances:
            if u.start <= time < u.end:
                lines[0 if u.role == "user" else 2] = u.text
                if u.event >= 0:
                    event = dialogue.talk.events[u.event]
                    cues = ", ".join(name for bit, name in enumerate(CUES) if event.cue >> bit & 1)
                    lines[1] = f"{EMOTIONS[event.emotion]} in {cues}"
        emotion = int(dialogue.faces.avatar_emotion[frame])
        lines[3] = f"answers {EMOTIONS[emotion]}" if emotion else ""
        key = tuple(lines)
        if key not in drawn:
            strip = Image.new("RGB", (2 * size, height), (24, 24, 28))
            pen = ImageDraw.Draw(strip)
            for i, line in enumerate(lines):
                colour = (240, 240, 240) if i % 2 == 0 else (255, 190, 90)
                wide = pen.textlength(line, font=font) / (0.94 * size)  # long lines shrink to fit under their face
                fitted = font.font_variant(size=font.size / wide) if wide > 1 else font
                pen.text((i // 2 * size + size // 32, i % 2 * height // 2), line, fill=colour, font=fitted)
            drawn[key] = np.asarray(strip)
        strips.append(drawn[key])
    return np.stack(strips)
