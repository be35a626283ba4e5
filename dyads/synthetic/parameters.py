"""Every number of the synthetic world in one place, fixed from the literature before any result was seen.

Changing a value here changes the data; raise `world.VERSION` with it. Nothing in this file was tuned on a
method's score. Times in seconds, poses in coefficient units (see `render.py`), levels in dB relative to
full scale. Where a comment names no source, the value was chosen by eye or ear, so that the two people look
and sound alive.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VoiceEmotion:
    """How an emotion bends the voice (directions and rough sizes: Juslin & Laukka 2003; Scherer 2003)."""

    f0_level: float = 1.0  # factor on the speaker's mean F0
    f0_range: float = 1.0  # factor on F0 excursions
    f0_rise: float = 0.0  # rise over the utterance as a fraction of F0
    energy_db: float = 0.0
    rate: float = 1.0  # factor on phonemes a second
    tilt_db: float = 0.0  # extra spectral tilt, dB an octave above 500 Hz; negative is softer
    jitter: float = 0.01  # relative random F0 perturbation
    breath: float = 0.03  # aspiration noise relative to voicing


@dataclass(frozen=True)
class WorldParameters:
    """The frozen constants of the world."""

    # People
    identities: int = 72
    train_identities: int = 54
    validation_identities: int = 12  # beyond `identities`: in neither of the other two splits
    further_test_identities: int = 18  # beyond those: they come after the first two rounds of test dialogues
    f0_male: tuple[float, float] = (95.0, 145.0)  # Hz; Titze 1989, Peterson & Barney 1952
    f0_female: tuple[float, float] = (165.0, 240.0)
    tract_male: tuple[float, float] = (
        0.95,
        1.06,
    )  # formant scale; Peterson & Barney 1952: women about 15 % higher
    tract_female: tuple[float, float] = (1.10, 1.22)

    # Turn taking
    gap_mean: float = 0.20  # Stivers et al. 2009: about 0.2 s across ten languages
    gap_sd: float = 0.21  # chosen so that 17 % are overlaps; Heldner & Edlund 2010 (overlaps 17-40 % of transitions)
    gap_limits: tuple[float, float] = (-0.45, 0.9)
    utterance: tuple[float, float] = (1.0, 3.0)  # Jaffe & Feldstein 1970: vocalisations of 1-3 s
    avatar_continues: float = 0.42  # chance that the avatar goes on after a pause instead of yielding
    inner_pause: tuple[float, float] = (0.25, 0.6)  # Campione & Veronis 2002: medium pauses 0.2-1 s
    interruption: float = 0.15  # chance that a turn is cut off by the other's start
    interruption_overlap: tuple[float, float] = (0.25, 0.5)
    backchannel_avatar: float = 0.35  # chance per user utterance; Ward & Tsukahara 2000: several a minute
    backchannel_user: float = 0.35
    backchannel_seconds: tuple[float, float] = (0.3, 0.5)
    backchannel_place: tuple[float, float] = (0.5, 0.85)  # relative place in the other's utterance
    avatar_first_sound: tuple[float, float] = (0.25, 0.45)  # frame 0 is the neutral reference image

    # Emotional events of the user
    events_poisson: float = 1.5  # number of events is 1 + Poisson, at most `events_max`
    events_max: int = 3
    event_first: tuple[float, float] = (0.3, 2.5)
    event_spacing: float = 3.0  # from start to start, plus an exponential wait
    event_wait: float = 0.9
    event_seconds: tuple[float, float] = (1.0, 1.8)
    event_margin: float = 2.2  # an event must end this long before the dialogue does
    face_cue_rise: float = 0.2  # onset of felt expressions: Hess & Kleck 1990
    face_cue_fall: float = 0.3
    face_cue_amplitude: tuple[float, float] = (0.85, 1.0)
    voice_emotions: tuple[VoiceEmotion, ...] = (
        VoiceEmotion(),
        VoiceEmotion(f0_level=1.35, f0_range=1.8, energy_db=3.0, rate=1.08, tilt_db=1.0),  # joy
        VoiceEmotion(f0_level=0.8, f0_range=0.45, energy_db=-8.0, rate=0.78, tilt_db=-5.0, breath=0.12),  # sadness
        VoiceEmotion(f0_level=1.1, f0_range=1.3, energy_db=6.0, rate=1.12, tilt_db=4.5, jitter=0.05),  # anger
        VoiceEmotion(f0_level=1.45, f0_range=1.2, f0_rise=0.7, energy_db=2.0, rate=1.0),  # surprise
    )
    # The user's own face during an event (FACS prototypes: Ekman & Friesen 1978, Du et al. 2014)
    user_face: tuple[dict[str, float], ...] = field(
        default=(
            {},
            {"smile": 0.9, "cheek": 0.8},
            {"smile": -0.7, "brow_inner": 0.9},
            {"smile": -0.4, "brow_furrow": 0.95},
            {"brow_raise": 1.0, "eye_open": 0.25},
        )
    )

    # The avatar's contextual expression
    # Facial mimicry starts 0.3-0.5 s after a seen face (Dimberg & Thunberg 1998); appraising a whole
    # utterance is slower. The minimum of 1 s puts the cause outside the clip that is being generated.
    onset_mean: float = 1.2
    onset_sd: float = 0.12
    onset_limits: tuple[float, float] = (1.0, 1.5)
    expression_rise: float = 0.35  # Hess & Kleck 1990; Schmidt et al. 2006
    expression_hold: tuple[float, float] = (3.0, 4.2)  # Ekman 2003: macro-expressions 0.5-4 s
    expression_decay: float = 2.0  # time constant of the fall
    amplitude_mean: float = 0.9
    amplitude_sd: float = 0.12
    amplitude_limits: tuple[float, float] = (0.69, 1.11)  # symmetric; keeps every coefficient within 1
    label_threshold: float = 0.25  # the emotion label ends when the envelope falls below this
    avatar_face: tuple[dict[str, float], ...] = field(
        default=(
            {},
            {"smile": 0.9, "cheek": 0.8},  # joy is shared
            {"smile": -0.65, "brow_inner": 0.9},  # sadness meets concern
            {"smile": -0.45, "brow_furrow": 0.85},  # anger meets a frown
            {"brow_raise": 0.9, "smile": 0.1, "eye_open": 0.25},  # surprise is shared
        )
    )

    # Reactions to what the user does now
    social_smile_rate: float = 0.12  # a second; brief polite smiles without any event
    social_smile_seconds: tuple[float, float] = (0.7, 1.1)
    social_smile_amplitude: float = 0.35
    smile_back_probability: float = 0.85  # Hess & Bourgeois 2010: smiles are mostly returned
    smile_back_amplitude: float = 0.25
    smile_back_delay: float = 0.4  # Dimberg & Thunberg 1998
    smile_back_delay_sd: float = 0.05
    nod_probability: float = 0.7  # after the end of a user's phrase
    nod_accent_probability: float = 0.25  # on a pitch accent while listening; Ward & Tsukahara 2000
    nod_delay: float = 0.3
    nod_delay_sd: float = 0.04
    nod_frequency: float = 2.5  # Hz; Hadar et al. 1985
    nod_seconds: float = 0.6
    nod_amplitude: float = 0.4
    beat_pitch: float = 0.18  # head beats follow the own voice's energy; Munhall et al. 2004

    # Free motion
    head_sd: tuple[float, float, float, float, float] = (
        0.22,
        0.13,
        0.17,
        0.22,
        0.12,
    )  # yaw pitch roll shift_x shift_y
    head_time: float = 0.9  # correlation time of the head
    head_smooth: float = 0.18
    blink_rate: float = 17.0 / 60.0  # Bentivoglio et al. 1997: 17 a minute at rest
    blink_refractory: float = 0.6
    blink_seconds: tuple[float, float] = (0.2, 0.3)
    saccade_rate: float = 0.7  # a second; Kendon 1967, Lee et al. 2002
    gaze_sd: tuple[float, float] = (0.45, 0.25)
    gaze_contact: float = 0.5  # chance that a saccade returns to the partner

    # Sound
    speech_rms: float = 0.055  # neutral speech, about -25 dBFS
    phonemes_per_second: float = 11.5  # Pellegrino et al. 2011: English 6.2 syllables a second
    noise_snr_db: float = 30.0
    bleed_db: tuple[float, float] = (-30.0, -24.0)

    # Lips
    coarticulation_sd: float = 0.038  # Gaussian smoothing of viseme targets; Cohen & Massaro 1993
    press_sd: float = 0.022


PARAMETERS = WorldParameters()
