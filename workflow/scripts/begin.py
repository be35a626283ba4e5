"""What a run does before its first job and after its last: looks what the machine lacks, starts and ends the server."""

import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from warm import DIE_WITH_PARENT, SOCKET

SCRIPTS = Path(__file__).resolve().parent
# Packages with compiled parts that ask the system for libraries.
NATIVE = ("numpy", "cv2", "av", "soundfile", "PIL.Image", "safetensors", "zmq")
# Slow to import: tried when the environment is made, and by a run whose environment was not tried before.
SLOW = ("torch", "torchvision", "scipy.linalg", "pandas", "matplotlib.pyplot", "papermill")
JOBS_ARE_TOLD = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
TRIED = Path(".snakemake/environment.json")  # which environment has loaded them
# What they ask for, and what Debian and Ubuntu call it.
SYSTEM = {
    "libxcb.so.1": "libxcb1",
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0t64 (before Debian 13: libglib2.0-0)",
    "libglib-2.0.so.0": "libglib2.0-0t64 (before Debian 13: libglib2.0-0)",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libsndfile.so.1": "libsndfile1",
}
LEAST_FREE = 200 * 2**20  # bytes


class Machine:
    """This computer, as one run of the study in `results` uses it."""

    def __init__(self, results: str, libraries: tuple[str, ...] = ("study",)) -> None:
        self.results, self.libraries = results, libraries  # of those lists of warm_server.py
        self.server: subprocess.Popen | None = None
        self.folder: Path | None = None

    def lacks(self) -> str | None:
        """One sentence on what would stop every job, with the remedy; None where nothing is missing."""
        place = Path(self.results)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            from dyads.errors import disk_problem  # not above: this file also runs where there is no environment yet

            if sentence := disk_problem(error):
                return sentence
            raise
        if not os.access(place, os.W_OK):
            return f"{self.results}: this user may not write there; name another folder (--config results=PATH)."
        if (free := shutil.disk_usage(place).free) < LEAST_FREE:
            return (
                f"only {free // 2**20} MB are free where {self.results} is written; make room, or write elsewhere "
                "(--config results=/path/to/results)."
            )
        return tried_once()

    def prefix(self, basedir: str) -> str:
        """What goes before every shell command, braces doubled: `python` may ask the server."""
        warm = shlex.quote(f"{basedir}/workflow/scripts/warm.py")
        return f'if [ -n "${{{{{SOCKET}:-}}}}" ]; then python() {{{{ command python {warm} "$@"; }}}}; fi; '

    def begin(self) -> None:
        """Start the server; without it everything works, more slowly."""
        if sys.platform != "linux" or os.environ.get(SOCKET):
            return
        self.folder = Path(tempfile.mkdtemp(prefix="echo"))
        place = self.folder / "socket"
        log = Path(self.results, "logs", "server.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(SCRIPTS / "warm_server.py"), str(place), str(os.getpid()), *self.libraries]
        # Snakemake tells each job of one thread all of these; a server that was told another value serves none.
        told = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in JOBS_ARE_TOLD}}
        with open(log, "w") as errors:
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=told)
        os.environ[SOCKET] = str(place)
        self._kernels(self.folder / "jupyter")
        watch_workers(self.folder)

    def _kernels(self, folder: Path) -> None:
        """A notebook's kernel is a fork too."""
        argv = [sys.executable, str(SCRIPTS / "warm.py"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", DIE_WITH_PARENT: "1"}
        spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": inline}
        (folder / "kernels/python3").mkdir(parents=True)
        (folder / "kernels/python3/kernel.json").write_text(json.dumps(spec))
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))

    def end(self) -> None:
        """End the server; jobs that may still run end as they began, by their clients."""
        os.environ.pop(SOCKET, None)
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.server = self.folder = None


def tried_once() -> str | None:
    """As `missing`, of all that jobs import; of what is slow to import only where this environment is new here."""
    this = {"host": platform.node(), "prefix": sys.prefix, "python": sys.version}
    for name in SLOW:
        try:
            this[name] = importlib.metadata.version(name.partition(".")[0])
        except importlib.metadata.PackageNotFoundError as error:
            return f"{name} cannot be loaded (package {error} is not installed); {remedy('')}"
    text = json.dumps(this)
    known = TRIED.is_file() and TRIED.read_text(encoding="utf-8") == text
    if (problem := missing(NATIVE if known else (*NATIVE, *SLOW))) is None and not known:
        with contextlib.suppress(OSError):
            TRIED.parent.mkdir(exist_ok=True)
            TRIED.write_text(text, encoding="utf-8")
    return problem


def missing(modules: tuple[str, ...]) -> str | None:
    """One sentence on the first of `modules` that cannot be imported, and what to install."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError as error: sys.exit(f'{name}\\t{error}')\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True)
    if result.returncode == 0:
        return None
    last = (result.stderr.strip().splitlines() or [f"\tended by signal {-result.returncode}"])[-1]
    name, _, reason = last.partition("\t")
    return f"{name or 'a package'} cannot be loaded ({reason}); {remedy(reason)}"


def remedy(reason: str) -> str:
    """What to do about an ImportError's text."""
    for library, package in SYSTEM.items():
        if library in reason:
            return f"the system lacks {library}: on Debian and Ubuntu, apt install {package}."
    if "shared object" in reason or "dlopen" in reason:
        return "the system lacks that library: install the package that has it."
    return "run `make environment`, or activate the environment that was made of requirements.lock."


def watch_workers(folder: Path) -> None:
    """Let psutil, in this process, see a worker as the child of its client: `benchmark:` then measures it.

    The server, not the job's shell, is a worker's parent; it writes which client each one serves.
    """
    import psutil

    if hasattr(psutil.Process, "_own_children"):
        psutil.Process._served = folder
        return

    def children(self, recursive=False):
        found = self._own_children(recursive=recursive)
        for process in [self, *found]:
            try:
                worker = psutil.Process(int((psutil.Process._served / str(process.pid)).read_text()))
                found += [worker, *worker._own_children(recursive=True)]
            except (OSError, ValueError, psutil.Error):
                continue
        return found

    psutil.Process._own_children, psutil.Process.children = psutil.Process.children, children
    psutil.Process._served = folder


if __name__ == "__main__":  # after an installation
    problem = tried_once()
    sys.exit(problem and f"error: {problem}")
