"""The mean face that poses and coefficients refer to, its mirror, and the smooth linear basis on it.

Made once by `python -m faces.mean_face --data WORLD`: the mean of the drawn people's meshes, made symmetric, its
middle between the corners of the eyes, the outer corners one unit apart; x right, y down, z away from the camera.
No real person's face is in it.
"""

import argparse
import csv
import io
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial import Delaunay

from dyads.contract import ROLES, read_manifest
from dyads.errors import run_cli
from dyads.files import write_text
from faces.finding.eyes import LEFT, RIGHT
from faces.finding.models import POINTS
from faces.landmarks import EYE_CORNERS, RIGID
from faces.pose import aligned, fit

FILE = Path(__file__).with_name("mean_face.csv")
HARMONICS = 25  # of each of x and y
ROUNDS = 8


@cache
def mean_face() -> tuple[np.ndarray, np.ndarray]:
    """Points float64 (468, 3) in outer-eye distances, and each point's mirror image, int (468,)."""
    table = np.loadtxt(FILE, delimiter=",", skiprows=1)
    return table[:, :3], table[:, 3].astype(int)


@cache
def basis() -> np.ndarray:
    """Orthonormal columns (468, 25): the mesh's lowest harmonics, from whole-face to single features.

    Eigenvectors of the graph Laplacian of the mean face's triangles (Taubin 1995). The mesh is dense at lips and
    eyes, so that most of them lie there. The sign is the one that makes the largest entry positive.
    """
    points, _ = mean_face()
    laplacian = np.zeros((POINTS, POINTS))
    for triangle in Delaunay(points[:, :2]).simplices:
        for a, b in zip(triangle, np.roll(triangle, 1), strict=True):
            laplacian[a, b] = laplacian[b, a] = -1
    np.fill_diagonal(laplacian, -laplacian.sum(1))
    vectors = np.linalg.eigh(laplacian)[1][:, 1 : HARMONICS + 1]
    largest = vectors[np.abs(vectors).argmax(0), np.arange(HARMONICS)]
    return vectors * np.sign(largest)


def centred(points: np.ndarray) -> np.ndarray:
    """(468, 3) with the eyes' corners round the origin and the outer ones one apart."""
    points = points - points[EYE_CORNERS].mean(0)
    return points / np.linalg.norm(points[EYE_CORNERS[3]] - points[EYE_CORNERS[0]])


def build(meshes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean face and mirror from recordings' points, (T, 468, 3) each, by generalised Procrustes analysis."""
    mean = centred(np.median(meshes[0], axis=0))
    for _ in range(ROUNDS):
        mean = np.mean([np.median(aligned(points, mean), axis=0) for points in meshes], axis=0)
        flipped = mean * [-1, 1, 1]
        mirror = np.linalg.norm(flipped[:, None] - mean[None], axis=-1).argmin(1)
        mirror[LEFT], mirror[RIGHT] = RIGHT, LEFT  # dense there: the nearest one may be a neighbour
        mean = centred((mean + flipped[mirror]) / 2)
    turns = np.concatenate([fit(points[:, RIGID], mean[RIGID]).rotation for points in meshes])
    left, _, right = np.linalg.svd(turns.mean(0))
    mean = mean @ (left @ right).T  # on average the drawn people look straight ahead
    mean = centred((mean + (mean * [-1, 1, 1])[mirror]) / 2)
    return mean, mirror


def main() -> None:
    """Command line; see the module docstring."""
    from faces.reader import read

    parser = argparse.ArgumentParser(prog="python -m faces.mean_face", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a synthetic world")
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    meshes = []
    for dyad in read_manifest(args.data):
        for role in ROLES:
            track = read(dyad.side(role).video, fps=2.0)
            meshes.append(np.asarray(track.points[track.found], np.float64))
    mean, mirror = build(meshes)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("x", "y", "z", "mirror"))
    writer.writerows(
        (*(f"{value:.5f}" for value in point), int(other)) for point, other in zip(mean, mirror, strict=True)
    )
    write_text(args.out, text.getvalue())
    print(f"wrote {args.out}: the mean of {len(meshes)} recordings")


if __name__ == "__main__":
    run_cli(main)
