"""Which of ARIG's seven conversational states two tracks of voice activity make: rules, nothing learned."""

from enum import IntEnum
from itertools import groupby

import torch
from torch import Tensor

FEEDBACK = 25  # frames: a shorter run of voice inside the other's turn is feedback (1 s)
TURN_GAP = 12  # frames: a pause up to this long does not end a turn (0.48 s)


class State(IntEnum):
    """The avatar's state, in the paper's order."""

    SPEAK = 0  # regular speaking
    RECEIVE = 1  # receive feedback while speaking
    GIVE = 2  # give feedback while listening
    INTERRUPTED = 3  # both hold the floor
    PAUSE = 4  # pause to think
    WAIT = 5  # wait during the user's pause
    LISTEN = 6  # regular listening


UNKNOWN = len(State)  # a further index of the previous state: before frame 0, or dropped in training
BY_VOICE = {  # (avatar speaks, user speaks) -> the states there can be
    (True, False): {State.SPEAK},
    (True, True): {State.RECEIVE, State.GIVE, State.INTERRUPTED},
    (False, False): {State.PAUSE, State.WAIT},
    (False, True): {State.LISTEN},
}


def runs(active: list[bool], gap: int = 0) -> list[tuple[int, int]]:
    """Stretches [start, stop) of voice; those at most `gap` frames apart are one."""
    found, place = [], 0
    for value, group in groupby(active):
        start, place = place, place + len(list(group))
        if value and found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], place)
        elif value:
            found.append((start, place))
    return found


def feedback(own: list[bool], other: list[bool]) -> list[int]:
    """Length of the feedback run that each frame of `own` belongs to, 0 where there is none.

    A run is feedback if it is shorter than `FEEDBACK` and lies inside a longer turn of the other, who may pause.
    """
    length = [0] * len(own)
    for start, stop in runs(own):
        inside = any(a <= start and stop <= b and b - a > stop - start for a, b in runs(other, TURN_GAP))
        if inside and stop - start < FEEDBACK:
            length[start:stop] = [stop - start] * (stop - start)
    return length


def conversational_states(avatar: Tensor, user: Tensor) -> Tensor:
    """The state of every frame, long (T,), from two tracks of voice activity, bool (T,).

    Only the avatar speaks: SPEAK. Only the user: LISTEN. Both: RECEIVE if the user's run is feedback, GIVE if the
    avatar's is (if both are, the shorter one counts; as short, the avatar's), INTERRUPTED if neither is. Nobody: PAUSE
    if the avatar had the floor, WAIT if the user had it or nobody yet. The floor goes to who spoke last alone or
    without giving feedback. Run lengths reach beyond the frame: a label for training, never an input of the frame.
    """
    avatar, user = avatar.bool().tolist(), user.bool().tolist()
    given, received = feedback(avatar, user), feedback(user, avatar)
    states, floor = [], State.WAIT
    for frame, (a, u) in enumerate(zip(avatar, user, strict=True)):
        give, receive = given[frame], received[frame]
        if a and u and give and receive:
            give, receive = (give, 0) if give <= receive else (0, receive)
        if a and u:
            states.append(State.GIVE if give else State.RECEIVE if receive else State.INTERRUPTED)
        elif a or u:
            states.append(State.SPEAK if a else State.LISTEN)
        else:
            states.append(floor)
        if u and not receive:
            floor = State.WAIT
        elif a and not give:
            floor = State.PAUSE
    return torch.tensor(states, dtype=torch.long)
