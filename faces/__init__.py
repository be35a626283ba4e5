"""What is seen of a real face: found, followed, 468 points, pose, named coefficients, identity; who speaks."""

from faces.coefficients import BASIS, EXPRESSION, EXTRACTOR, EYES, LIPS, NAMES, POSE, Coefficients, coefficients
from faces.finding.track import Options
from faces.given import read_given
from faces.person import Person, aligned_points, person_of
from faces.reader import FaceTrack, read, read_frames

__all__ = ["BASIS", "EXPRESSION", "EXTRACTOR", "EYES", "LIPS", "NAMES", "POSE"]
__all__ += ["Coefficients", "FaceTrack", "Options", "Person"]
__all__ += ["aligned_points", "coefficients", "person_of", "read", "read_frames", "read_given"]
