"""Our Frechet distance against pytorch-fid's matrix root: `python -m benchmarks.frechet`.

Both go from the same two arrays of features to the distance, side by side in one run. With fewer samples than
dimensions ours takes singular values of a (samples, samples) matrix; pytorch-fid takes two covariances and
the root of their product by scipy's sqrtm.
`ratio` is of wall times; `cpu_ratio`, of processor times, holds also where other processes take turns.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy
from pytorch_fid.fid_score import calculate_frechet_distance
from threadpoolctl import threadpool_limits

from benchmarks.report import alternating, show
from evaluation.frechet import frechet_distance

SMALL = 64  # of the first call, which only loads and warms up


def features(samples: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Two (samples, dimensions) arrays whose variances fall off as those of a network's features do."""
    generator = np.random.default_rng(0)
    scales = 1 / np.sqrt(np.arange(1, dimensions + 1))
    return tuple(shift + scales * generator.normal(size=(samples, dimensions)) for shift in (0.0, 0.05))


def pytorch_fid(a: np.ndarray, b: np.ndarray) -> float:
    """As `pytorch_fid.fid_score` goes from activations to the distance; NaN where it refuses its own root."""
    moments = [part for x in (a, b) for part in (np.mean(x, axis=0), np.cov(x, rowvar=False))]
    try:
        return float(calculate_frechet_distance(*moments))
    except ValueError:  # an imaginary part that is too large
        return float("nan")


def case(function: Callable, samples: int, dimensions: int, found: dict[str, float]) -> Callable[[], None]:
    """A function to time, which leaves its last distance and processor time in `found`.

    Its first call is a small problem, since a full one only to warm up costs as much as the measurement.
    """
    sizes = iter([(min(samples, SMALL), min(dimensions, SMALL))])
    full = features(samples, dimensions)

    def run() -> None:
        small = next(sizes, None)
        arrays = features(*small) if small else full
        start = time.process_time()
        found["distance"] = function(*arrays)
        found["cpu"] = time.process_time() - start

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    functions = {"ours": frechet_distance, "pytorch-fid": pytorch_fid}
    found: dict[str, dict[str, float]] = {name: {} for name in functions}
    size = (arguments.samples, arguments.dimensions)
    with threadpool_limits(arguments.threads):
        times = alternating({n: case(f, *size, found[n]) for n, f in functions.items()}, arguments.repeats)
    ours, theirs = found["ours"], found["pytorch-fid"]
    difference = abs(ours["distance"] - theirs["distance"]) / ours["distance"]
    rows = [
        {"by": name, "s": times[name], "cpu s": found[name]["cpu"], "distance": found[name]["distance"]}
        for name in functions
    ]
    figures = {
        "ratio": round(times["pytorch-fid"] / times["ours"], 2),
        "cpu_ratio": round(theirs["cpu"] / ours["cpu"], 2),
        "ours_ms": round(1e3 * times["ours"], 3),
        "pytorch_fid_s": round(times["pytorch-fid"], 3),
        "relative_difference": difference if difference == difference else None,  # it refused
        "samples": arguments.samples,
        "dimensions": arguments.dimensions,
        "threads": arguments.threads,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    show(f"features {size} twice to one distance, float64, {arguments.threads} thread(s)", rows, figures)


if __name__ == "__main__":
    main()
