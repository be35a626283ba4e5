"""What the people say: a grammar over topics, with emotional wording only where the words carry the cue."""

import re
from functools import lru_cache

import numpy as np

TOPICS = {
    "work": ("the meeting", "the report", "the new office", "the client", "the schedule", "the project plan"),
    "travel": (
        "the train to Boston",
        "the hotel booking",
        "the airport",
        "the road map",
        "the ferry",
        "the ticket",
    ),
    "family": ("my sister", "my cousin", "my grandmother", "the kids", "my uncle", "our neighbour"),
    "food": ("the kitchen", "the soup", "the restaurant", "the market", "the bread oven", "the dinner menu"),
    "school": (
        "the exam",
        "the teacher",
        "the physics class",
        "the library",
        "the homework",
        "the term paper",
    ),
    "music": ("the piano", "the choir", "the record", "the drummer", "the concert hall", "the guitar"),
    "home": ("the garden", "the window", "the roof", "the heating", "the bathroom", "the old sofa"),
    "sport": ("the match", "the coach", "the swimming pool", "the second half", "the bicycle", "the stadium"),
    "computer": ("the laptop", "the update", "the printer", "the password", "the screen", "the keyboard"),
    "health": ("the doctor", "the clinic", "the waiting room", "the appointment", "the dentist", "the form"),
}
USER_NEUTRAL = (
    "so {noun} is on the list for {day}", "they called me about {noun} on {day}",
    "I had to move {noun} to {day}",
    "there is a note about {noun} on the table", "we talked about {noun} on {day}",
    "{noun} comes first on {day}",
    "and then I went back to {noun}", "I wrote down the time for {noun}", "I was near {noun} on {day}",
    "it was about {noun} again", "on {day} I heard from them about {noun}", "the next step is {noun}",
    "I told them about {noun} on {day}", "that is how it went with {noun}",
)  # fmt: skip
AVATAR_NEUTRAL = (
    "I see and what about {noun}", "so you mean {noun}", "let me think about {noun} for a moment",
    "is {noun} still on for {day}", "I would look at {noun} on {day}", "and when did you last see {noun}",
    "tell me more about {noun}", "we can go over {noun} on {day}", "I read about {noun} on {day}",
    "and after that comes {noun}", "then {day} is the day for {noun}", "I had {noun} in my notes too",
    "so what do you do with {noun} now", "I think {noun} comes next",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVENT_NEUTRAL = (
    "they called about {noun} today", "I heard about {noun} today", "it was about {noun} again",
    "{noun} came up today",
    "I went to see {noun} today", "we spoke about {noun}", "they told me about {noun}",
    "I was at {noun} this morning",
)  # fmt: skip
EMOTIONAL = {
    "joy": (
        ("I am so happy about {noun}", "{noun} was wonderful", "I really love {noun}", "{noun} is fantastic",
         "what a {word} day with {noun}", "I am {word} about {noun}", "{noun} went {adverb} well",
         "it was {word}"),
        ("delighted", "thrilled", "wonderful", "happy", "glad", "brilliant", "excellent"),
        ("wonderfully", "beautifully", "perfectly"),
    ),
    "sadness": (
        ("I am so sad about {noun}", "I cried about {noun}", "{noun} makes me sad",
         "I feel {word} about {noun}",
         "I miss {noun} and I feel {word}", "it hurts me about {noun}", "I was {word} about {noun}",
         "I feel {word}"),
        ("miserable", "lonely", "depressed", "sad", "heartbroken", "devastated"),
        ("sadly",),
    ),
    "anger": (
        ("I am furious about {noun}", "I hate {noun}", "{noun} makes me angry", "{noun} is a {word} mess",
         "I am so {word} about {noun}", "they are {word} about {noun}", "I am {word}",
         "{noun} is terrible and I hate it"),
        ("furious", "angry", "outraged", "mad", "annoyed", "enraged"),
        ("angrily",),
    ),
    "surprise": (
        ("wow I am surprised about {noun}", "I was amazed by {noun}",
         "wow unbelievable suddenly there was {noun}",
         "{noun} surprised me suddenly wow", "wow suddenly {noun}", "wow I am {word} about {noun}",
         "wow I am {word}",
         "{noun} was an unbelievable surprise"),
        ("surprised", "amazed", "astonished", "astounded"),
        ("suddenly",),
    ),
}  # fmt: skip
BACKCHANNELS = ("mm-hm", "uh-huh", "right", "I see", "mm")
LETTERS = (
    ("tion", "sh ah n"), ("ough", "ao"), ("igh", "aa ih"), ("tch", "ch"), ("dge", "jh"), ("eigh", "eh ih"),
    ("ee", "iy"), ("ea", "iy"), ("oo", "uw"), ("ou", "aa uh"), ("ow", "aa uh"), ("ai", "eh ih"), ("ay",
     "eh ih"),
    ("oa", "ao uh"), ("oi", "ao ih"), ("oy", "ao ih"), ("au", "ao"), ("aw", "ao"), ("ew", "uw"), ("ie", "iy"),
    ("th", "dh"), ("sh", "sh"), ("ch", "ch"), ("ph", "f"), ("wh", "w"), ("ck", "k"), ("ng", "ng"), ("qu",
     "k w"),
    ("er", "er"), ("ir", "er"), ("ur", "er"), ("ar", "aa r"), ("or", "ao r"), ("ll", "l"), ("ss", "s"),
     ("tt", "t"),
    ("rr", "r"), ("pp", "p"), ("mm", "m"), ("nn", "n"), ("dd", "d"), ("ff", "f"), ("bb", "b"), ("gg", "g"),
    ("a", "ae"), ("b", "b"), ("c", "k"), ("d", "d"), ("e", "eh"), ("f", "f"), ("g", "g"), ("h", "hh"), ("i",
     "ih"),
    ("j", "jh"), ("k", "k"), ("l", "l"), ("m", "m"), ("n", "n"), ("o", "aa"), ("p", "p"), ("q", "k"), ("r",
     "r"),
    ("s", "s"), ("t", "t"), ("u", "ah"), ("v", "v"), ("w", "w"), ("x", "k s"), ("y", "iy"), ("z", "z"),
)  # fmt: skip
SOUND = {letters: sound.split() for letters, sound in LETTERS}
SPELLING = re.compile("|".join(SOUND))  # the first that fits; longer ones come first
WHOLE = {
    "i": "aa ih", "the": "dh ah", "my": "m aa ih", "me": "m iy", "we": "w iy", "was": "w ah z",
    "what": "w ah t",
    "they": "dh eh ih", "so": "s ao uh", "you": "y uw", "do": "d uw", "to": "t uw", "is": "ih z",
    "of": "ah v",
    "mm-hm": "m m hh m m", "uh-huh": "ah m hh ah ah", "mm": "m m m", "wow": "w aa uh w",
    "about": "ah b aa uh t",
    "one": "w ah n", "a": "ah", "are": "aa r", "there": "dh eh r", "would": "w uh d", "could": "k uh d",
}  # fmt: skip


@lru_cache(maxsize=8192)
def phonemes(text: str) -> tuple[str, ...]:
    """Phonemes of an English sentence by a few letter-to-sound rules (ARPAbet names)."""
    sounds: list[str] = []
    for word in re.findall(r"[a-z-]+", text.lower()):
        if word in WHOLE:
            sounds += WHOLE[word].split()
            continue
        word = word.replace("-", "")
        if len(word) > 3 and word.endswith("e"):
            word = word[:-1]  # silent e
        for letters in SPELLING.findall(word):
            sounds += SOUND[letters]
    return tuple(sounds)


def sentence(g: np.random.Generator, kind: str, topic: str, seconds: float, rate: float) -> str:
    """A sentence of `kind` (user, avatar, event,
    or an emotion) on `topic` that lasts about `seconds` at `rate`
    phonemes a second: the best of a few draws."""
    best, error = "", np.inf
    for _ in range(8):
        text = _draw(g, kind, topic)
        while len(phonemes(text)) < 0.65 * seconds * rate and kind in ("user", "avatar"):
            text += " and " + _draw(g, kind, topic)
        miss = abs(len(phonemes(text)) - seconds * rate)
        if miss < error:
            best, error = text, miss
    return best


def _draw(g: np.random.Generator, kind: str, topic: str) -> str:
    nouns = TOPICS[topic]
    fill = {"noun": nouns[int(g.integers(len(nouns)))], "day": DAYS[int(g.integers(len(DAYS)))]}
    if kind in EMOTIONAL:
        forms, adjectives, adverbs = EMOTIONAL[kind]
        fill["word"] = adjectives[int(g.integers(len(adjectives)))]
        fill["adverb"] = adverbs[int(g.integers(len(adverbs)))]
    else:
        forms = {"user": USER_NEUTRAL, "avatar": AVATAR_NEUTRAL, "event": EVENT_NEUTRAL}[kind]
    return forms[int(g.integers(len(forms)))].format(**fill)


def every_sentence(kind: str) -> list[str]:
    """All sentences the grammar can say for `kind`, for tests."""
    forms, adjectives, adverbs = EMOTIONAL[kind] if kind in EMOTIONAL else (
        {"user": USER_NEUTRAL, "avatar": AVATAR_NEUTRAL, "event": EVENT_NEUTRAL}[kind], ("",),
        ("",))  # fmt: skip
    nouns = [noun for group in TOPICS.values() for noun in group]
    return sorted({form.format(noun=noun, day=day, word=word,
    adverb=adverb) for form in forms for noun in nouns
                   for day in (DAYS if "{day}" in form else DAYS[:1])
                   for word in (adjectives if "{word}" in form else adjectives[:1])
                   for adverb in (adverbs if "{adverb}" in form else adverbs[:1])})  # fmt: skip
