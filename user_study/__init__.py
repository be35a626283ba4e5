"""A user study from generated videos: a static page with blinded pairs, and the analysis of what raters answered."""

from dataclasses import dataclass

# What a rater is asked of a pair, and of each avatar of it; the page shows these texts.
SCALE = {1: "not at all", 2: "a little", 3: "fairly", 4: "well", 5: "very well"}
APPRO = "How well does the avatar's facial emotion fit what the person says and shows?"
QUESTIONS = {
    "lips": "Whose lips fit the voice better?",
    "reaction": "Who reacts to the person more like a human listener and speaker would?",
}
CHOICES = ("left", "same", "right")
CONSENT = (
    "A step takes about a minute. Some steps only check that you watch and listen closely.",
    "Stored are your rater id, your answers and how long they took. They stay in this browser until you save the file "
    "at the end and hand it over; nothing is sent by this page.",
    "Taking part is voluntary: close the page at any time, and delete what is stored, on this page when you open it "
    "again or at the end.",
)


@dataclass(frozen=True)
class Trial:
    """Two stimuli side by side. `answer`: of an attention check, the side that is right on `lips`; else empty."""

    left: str
    right: str
    answer: str = ""


@dataclass(frozen=True)
class Stimulus:
    """One video of the study. `kind`: 'method', or 'frozen', 'shifted', 'true' in an attention check."""

    kind: str
    method: str
    dialogue: str
