"""Start a new method: `python -m training.scaffold NAME` writes its file and its row, both ready to run."""

import argparse
import keyword
from pathlib import Path

from dyads.errors import ConfigError, run_cli
from dyads.files import write_text

TEMPLATE = Path(__file__).parent / "templates" / "method.py.txt"
ROW = """# The row of {name}, beside all others: snakemake --cores all --configfile {config}
methods:
  {name}:
    label: {label}
    class: baselines.{name}:{class_name}
    group: baseline
    options: {{strength: 1.0}}
"""


def scaffold(name: str, root: Path) -> tuple[Path, Path]:
    """Write baselines/<name>.py and workflow/config/<name>.yaml under `root`; nothing that exists is overwritten."""
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ConfigError(f"{name!r} cannot name a module; give small letters, digits and _, such as my_method.")
    code, config = root / "baselines" / f"{name}.py", root / "workflow" / "config" / f"{name}.yaml"
    if not code.parent.is_dir() or not config.parent.is_dir():
        raise ConfigError(f"{root} has no baselines/ and workflow/config/; run this in the repository's root.")
    for path in (code, code.with_suffix(""), config):
        if path.exists():
            raise ConfigError(f"{path} exists; give another name, or delete it first.")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    label = name.replace("_", " ").capitalize()
    write_text(code, TEMPLATE.read_text(encoding="utf-8").replace("CLASS", class_name).replace("LABEL", label))
    row = ROW.format(name=name, label=label, class_name=class_name, config=config.relative_to(root))
    write_text(config, row)
    return code, config


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.scaffold", description=__doc__)
    parser.add_argument("name", help="name of the row and of its module, such as my_method")
    parser.add_argument("--root", type=Path, default=Path("."), help="the repository")
    arguments = parser.parse_args()
    code, config = scaffold(arguments.name, arguments.root)
    print(f"{code}: the method, a working example to change\n{config}: its row")
    print(f"run it: snakemake --cores all --configfile {config}")


if __name__ == "__main__":
    run_cli(main)
