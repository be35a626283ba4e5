"""Makes the synthetic world (`python -m dyads.synthetic --out DIR`), or a video of it (`--preview FILE`)."""

import argparse
import json
from pathlib import Path

from dyads.errors import ConfigError, run_cli
from dyads.records import SPLITS
from dyads.synthetic.drawing.preview import write_preview
from dyads.synthetic.world import WorldOptions, clear_world, write_world


def parse() -> tuple[argparse.Namespace, WorldOptions]:
    parser = argparse.ArgumentParser(prog="python -m dyads.synthetic", description=__doc__)
    default = WorldOptions()
    parser.add_argument("--out", type=Path, help="data folder to write")
    parser.add_argument("--train", type=int, default=default.train, help="training dialogues")
    parser.add_argument("--test", type=int, default=default.test, help="test dialogues")
    parser.add_argument("--validation", type=int, default=default.validation, help="validation dialogues")
    parser.add_argument("--size", type=int, help="frame side in pixels (default 64, preview 256)")
    parser.add_argument("--seed", type=int, default=default.seed, help="world seed")
    parser.add_argument("--seconds", type=float, nargs=2, default=list(default.seconds), help="shortest and longest")
    parser.add_argument("--replace", action="store_true", help="a world of other options in --out makes way")
    parser.add_argument("--workers", type=int, default=default.workers, help="processes; changes no byte")
    parser.add_argument("--options", default="{}", help="the same options as a JSON object; they win")
    parser.add_argument("--preview", type=Path, help="write an mp4 of one dialogue, both people side by side")
    parser.add_argument("--dialogue", default="test:0", help="which dialogue to preview, split:number")
    args = parser.parse_args()
    args.size = args.size or (256 if args.preview else default.size)
    keys = ("train", "test", "validation", "size", "seed", "seconds", "workers")
    values = {key: getattr(args, key) for key in keys}
    try:
        given = json.loads(args.options)
    except json.JSONDecodeError as error:
        raise ConfigError(f'--options is not JSON ({error}); give an object such as {{"train": 8}}.') from error
    if not isinstance(given, dict):
        raise ConfigError(f'--options is {args.options}; give a JSON object such as {{"train": 8}}.')
    unknown = sorted(set(given) - set(keys))
    if unknown:
        raise ConfigError(f"--options has the unknown key {unknown[0]!r}; known are {', '.join(keys)}.")
    values.update(given)
    return args, WorldOptions(**values)


def main() -> None:
    args, options = parse()
    if args.preview:
        split, _, number = args.dialogue.partition(":")
        if split not in SPLITS or not number.isdecimal():
            raise ConfigError(f"--dialogue is {args.dialogue!r}; write train:NUMBER, validation:NUMBER or test:NUMBER.")
        write_preview(args.preview, split, int(number), options)
        print(f"wrote {args.preview}")
        return
    if args.out is None:
        raise ConfigError("nothing to do; give --out DIR for a world or --preview FILE for a look at it.")
    if args.replace:
        clear_world(args.out, options)
    if write_world(args.out, options):
        made = ", ".join(f"{getattr(options, split)} {split}" for split in SPLITS if getattr(options, split))
        print(f"wrote {made} dialogues to {args.out}")
    else:
        print(f"{args.out} is complete; nothing to do")


if __name__ == "__main__":
    run_cli(main)
