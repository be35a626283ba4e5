"""The process behind warm.py, `warm_server.py SOCKET OWNER [LIBRARY ...]`: it imports, and forks for each request.

A library may also be the name of one of the lists in `LIBRARIES`; none: `study`.
"""

import atexit
import contextlib
import ctypes
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

from warm import fresh

# In the order in which a study needs them. None of these may start a thread or compute: a fork would lose it.
LIBRARIES = {
    "study": (
        *("numpy", "av", "soundfile", "scipy.signal", "safetensors.torch", "torch", "einops", "tqdm", "yaml", "cv2"),
        "torch._dynamo",  # no compiling: torch itself imports it for each process's first optimiser, in a second
        *("pandas", "scipy.stats", "scipy.spatial", "scipy.fftpack", "sklearn.cluster", "sklearn.metrics"),
        *("skimage.metrics", "python_speech_features", "matplotlib.pyplot", "tabulate", "jinja2", "PIL.Image"),
        *("torch.utils.tensorboard", "papermill", "nbconvert", "ipykernel.kernelapp", "ipykernel.ipkernel"),
        *("matplotlib_inline.backend_inline", "seaborn"),
    ),
    # Only where there is no GPU: diffusers asks CUDA for its devices as it is imported, and no fork could use one then.
    "pretrained": (
        *("diffusers.models.transformers.transformer_wan", "diffusers.models.autoencoders.autoencoder_kl_wan"),
        *("transformers.models.clip.modeling_clip", "transformers.models.wav2vec2.modeling_wav2vec2", "peft"),
    ),
}
PATIENCE = 0.5  # seconds between two looks whether Snakemake still lives


@dataclass
class Worker:
    """A forked stage: its client's channel and process id."""

    channel: socket.socket
    client: int


class Server:
    """Takes requests while it imports, and after; ends when its owner does, and its workers with it."""

    def __init__(self, place: str, owner: int) -> None:
        self.folder, self.owner = Path(place).parent, owner
        self.workers: dict[int, Worker] = {}
        self.fresh = fresh()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(place)
        self.listener.listen(128)
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the stages too
        signal.signal(signal.SIGTERM, self.end)

    def serve(self, libraries: list[str]) -> None:
        for name in libraries:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
            while self.look(0):
                pass
        while True:
            self.look(PATIENCE)

    def look(self, patience: float) -> bool:
        """Wait for the next events and act; whether there were any."""
        channels = {worker.channel: pid for pid, worker in self.workers.items()}
        ready, _, _ = select.select([self.listener, self.woken, *channels], [], [], patience)
        if os.getppid() != self.owner:
            self.end()
        for channel in ready:
            if channel is self.listener:
                self.accept()
            elif channel is self.woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 4096)
            elif channels[channel] in self.workers:
                self.forward(channels[channel], channel)
        self.reap()
        return bool(ready)

    def accept(self) -> None:
        channel, _ = self.listener.accept()
        channel.settimeout(10)
        descriptors: list[int] = []
        try:
            head, descriptors, _, _ = socket.recv_fds(channel, 4, 3)
            head += _exactly(channel, 4 - len(head))
            request = json.loads(_exactly(channel, int.from_bytes(head, "big")).decode("utf-8", "surrogateescape"))
            if request["fresh"] != self.fresh or len(descriptors) != 3:
                channel.sendall(b"n")
                channel.close()
                return
            credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            client = struct.unpack("3i", credentials)[0]
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                self.become(request, channel, descriptors)
            (self.folder / str(client)).write_text(str(pid))
            self.workers[pid] = Worker(channel, client)
            channel.sendall(b"y")
        except (OSError, ValueError, KeyError):
            channel.close()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def become(self, request: dict, channel: socket.socket, descriptors: list[int]) -> None:
        """In the fork: be the stage, then end."""
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: without a server nobody would end this one
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, descriptor in enumerate(descriptors):
            os.dup2(descriptor, place)
        for descriptor in (*descriptors, self.woken, self.listener.fileno(), channel.fileno()):
            os.close(descriptor)
        for worker in self.workers.values():
            worker.channel.close()
        sys.stdin = open(0, closefd=False)
        sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), line_buffering=os.isatty(1), write_through=False)
        sys.stderr = io.TextIOWrapper(
            open(2, "wb", closefd=False), errors="backslashreplace", line_buffering=True, write_through=True
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        if "numpy" in sys.modules:  # Python seeds its own anew after a fork
            sys.modules["numpy"].random.seed()
        if "matplotlib" in sys.modules and "MPLBACKEND" in os.environ:
            sys.modules["matplotlib"].rcParams["backend"] = os.environ["MPLBACKEND"]
        module, *rest = request["arguments"]
        sys.argv, sys.path[0] = [module, *rest], request["folder"]
        sys.orig_argv = [sys.executable, "-m", module, *rest]
        name_process(module)
        leave(_outcome(module))

    def forward(self, pid: int, channel: socket.socket) -> None:
        """Signals that the client got, to its worker; a client that is gone was killed, and so is its worker."""
        try:
            received = channel.recv(16)
        except OSError:
            received = b""
        for number in received or [signal.SIGKILL]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if not received:
            os.waitpid(pid, 0)
            self.forget(pid)

    def forget(self, pid: int) -> Worker | None:
        worker = self.workers.pop(pid, None)
        if worker is not None:
            (self.folder / str(worker.client)).unlink(missing_ok=True)
        return worker

    def reap(self) -> None:
        """Tell the clients of workers that have ended how they did."""
        while self.workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if worker := self.forget(pid):
                with contextlib.suppress(OSError):
                    worker.channel.sendall(status.to_bytes(4, "big"))
                worker.channel.close()

    def end(self, *_: object) -> None:
        """Snakemake is done, or gone."""
        for pid in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)  # the kernel kills what is left of the workers


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = []
    while count > 0:
        part = channel.recv(count)
        if not part:
            raise OSError("the client has gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _outcome(module: str) -> int:
    """Run `module` as `python -m` does; its exit code, and what Python prints of an error."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> None:
    """End this fork as an interpreter ends: threads, exit functions, streams."""
    with contextlib.suppress(Exception):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def name_process(module: str) -> None:
    """What `ps` and `top` call this fork: 15 characters."""
    ctypes.CDLL(None).prctl(15, module[-15:].encode())  # PR_SET_NAME


if __name__ == "__main__":
    wanted = [library for name in sys.argv[3:] or ["study"] for library in LIBRARIES.get(name, (name,))]
    Server(sys.argv[1], int(sys.argv[2])).serve(wanted)
