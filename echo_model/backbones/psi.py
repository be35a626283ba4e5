"""The affect reasoner Psi, small: reads the dialogue history with a lexicon and writes the sentence y_emo."""

import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from dyads.contract import Turn

# What typesetting makes of an apostrophe, of quotes and dashes: the lexicon knows "don't", not "don’t".
TYPOGRAPHIC = str.maketrans("’‘ʼ‛′`´“”„–—", "'" * 7 + '"' * 3 + "--")
PROMPT = Path(__file__).parent.parent / "prompts" / "affect.json"


@cache
def analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


@cache
def prompt() -> dict:
    return json.loads(PROMPT.read_text(encoding="utf-8"))


@cache
def reading(text: str) -> str | None:
    """The emotion one utterance carries in its words: joy, sadness, anger, surprise, or None."""
    text = unicodedata.normalize("NFKC", text).translate(TYPOGRAPHIC)
    words, rules = set(re.findall(r"[a-z']+", text.lower())), prompt()
    if words & set(rules["surprise"]):
        return "surprise"
    valence = analyzer().polarity_scores(text)["compound"]
    if words & set(rules["anger"]) and valence < 0:
        return "anger"
    if valence >= rules["threshold"]:
        return "joy"
    return "sadness" if valence <= -rules["threshold"] else None


class Lexicon:
    """This reasoner as one may be exchanged for another (`echo_model.backbones.readers`)."""

    def write(self, history: Sequence[Turn], now: float) -> str:
        """y_emo at time `now` in seconds."""
        return affect_sentence(history, now)

    def remembered(self, history: Sequence[Turn], now: float) -> list[Turn]:
        """Turns that a later y_emo may still need."""
        oldest = now - max(age for age, _ in prompt()["ages"])
        return [turn for turn in history if turn.end >= oldest]


def affect_sentence(history: Sequence[Turn], now: float) -> str:
    """y_emo at time `now` in seconds, from the user's turns that ended by then; later turns are not looked at."""
    rules = prompt()
    for turn in sorted(history, key=lambda turn: -turn.end):
        if turn.role != "user" or turn.end > now:
            continue
        age = next((name for limit, name in rules["ages"] if now - turn.end <= limit), None)
        emotion = reading(turn.text)
        if emotion and age:
            return rules["sentence"].format(emotion=rules["emotions"][emotion], age=age, reading=emotion)
        if age is None:
            break
    return rules["neutral"]
