"""Train one method: `python -m training.fit --method NAME --class pkg.module:Class ... --out FILE`.

Run the same command again to resume a killed training. Writes the weights, and beside them a JSON file with
the method's card (parameters, steps, samples, train seconds) and where it all comes from.
"""

import json
import time
from pathlib import Path

from dyads.contract import file_sha256, read_manifest
from dyads.errors import run_cli
from dyads.files import atomic_path
from training.command import method_from, method_parser
from training.device import is_main_process
from training.engine.weights import write_tensors
from training.method import Run
from training.provenance import write_provenance


def main(arguments: list[str] | None = None) -> None:
    """Parse `arguments` (default: the command line), fit, and write the weights and their card."""
    parser = method_parser("Train one method; run the same command again to resume.")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder that survives a kill")
    parser.add_argument("--out", required=True, type=Path, help="the weights, .safetensors")
    parser.add_argument("--split", default="train")
    args = parser.parse_args(arguments)
    started = time.monotonic()
    method, options, backbones = method_from(args)
    dyads = read_manifest(args.data, args.split)
    if not is_main_process():  # torchrun: this process only computes
        method.fit(dyads, Run(args.checkpoints, args.seed, args.out))
        return
    with atomic_path(args.out) as temporary:
        method.fit(dyads, Run(args.checkpoints, args.seed, temporary))
        if not temporary.exists():  # nothing was learned
            write_tensors(temporary, {}, {"meta": json.dumps({"method": args.method})})
    write_provenance(
        args.out.with_suffix(".json"),
        options,
        args.seed,
        {"result": args.out, **backbones},
        started=started,
        method=args.method,
        implementation=args.cls,
        split=args.split,
        dyads=len(dyads),
        manifest=file_sha256(args.data / "manifest.csv"),
        card=method.card(),
    )


if __name__ == "__main__":
    run_cli(main)
