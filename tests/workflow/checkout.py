"""A copy of the repository, and Snakemake run in it as a user would: a command line, an exit code, a text."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (".git", ".venv", "results", "checkpoints", ".snakemake", "__pycache__", ".*_cache", ".hypothesis")


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, and standard output and error in one text."""

    code: int
    text: str

    @property
    def jobs(self) -> Counter:
        """Rule name -> number of jobs, of a dry run."""
        table = re.search(r"^Job stats:\njob +count\n[- ]+\n((?:\S+ +\d+\n)+)", self.text, re.MULTILINE)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return Counter({rule: int(count) for rule, count in rows if rule != "total"})

    def wildcards(self, rule: str) -> set[str]:
        """The wildcards of that rule's jobs, as printed: `method=echo, seed=0`."""
        blocks = re.findall(rf"^(?:local)?rule {rule}:\n((?:    .*\n)+)", self.text, re.MULTILINE)
        return {match[1] for block in blocks if (match := re.search(r"    wildcards: (.*)", block))}


@dataclass(frozen=True)
class Checkout:
    """A folder with the project's files; `snakemake` runs there with one thread a job."""

    folder: Path

    def run(self, *command: str, timeout: float = 300, **environment: str) -> Result:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "", **environment}
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=self.folder, env=env, text=True, timeout=timeout, **both)
        return Result(done.returncode, done.stdout)

    def snakemake(self, *arguments: str, timeout: float = 300, **environment: str) -> Result:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, **environment}
        return self.run(sys.executable, "-m", "snakemake", *arguments, timeout=timeout, **environment)


def copy_repository(folder: Path) -> Checkout:
    """The working tree without what is generated."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    return Checkout(folder)
