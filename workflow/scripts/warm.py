"""Stages that begin at once: one process imports the libraries, and each `python -m ...` of the rules is a fork of it.

A stage's own work is often shorter than its imports (torch alone: 2 seconds), and a study has more than a hundred
stages. While Snakemake runs jobs on this machine, it keeps one server (`serve`). A rule's `python -m training.fit ...`
becomes `python workflow/scripts/warm.py -m training.fit ...` (workflow/rules/run.smk), which asks the server for a
fork with the same arguments, folder, environment and streams, and ends as that ends: same exit code, same signal.
Wherever anything differs that only a fresh process can know (another Python, variables that libraries read when they
are loaded, limits), or there is no server, it simply becomes that Python. Only libraries are imported beforehand, never
the project's own code.
"""

import json
import os
import resource
import signal
import socket
import sys

SOCKET = "ECHO_WARM"  # names the server's socket, and its folder's maps of clients to workers
DIE_WITH_PARENT = "ECHO_WARM_DIE_WITH_PARENT"
# Read by libraries when they are loaded; a fork would not see another value.
READ_AT_LOAD = (
    *("OMP_", "MKL_", "OPENBLAS_", "GOTO_", "KMP_", "GOMP_", "ONEDNN_", "DNNL_", "ATEN_", "NUMEXPR_", "NPY_", "BLIS_"),
    *("LD_", "PYTHON", "MALLOC_", "GLIBC_", "TORCH", "PYTORCH_", "NCCL_", "CUBLAS", "CUDA_MODULE", "LC_", "LANG"),
    *("OPENCV_", "MPLCONFIG", "HF_", "TRANSFORMERS_", "DIFFUSERS_", "IPYTHON", "JUPYTER_CONFIG"),
)
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def fresh() -> dict[str, object]:
    """What a fork shares with its server, and must therefore be the same for both."""
    read = {name: value for name, value in os.environ.items() if name.startswith(READ_AT_LOAD)}
    limits = [list(resource.getrlimit(limit)) for limit in LIMITS]
    return {"python": sys.executable, "read": read, "limits": limits, "nice": os.nice(0)}


def run(arguments: list[str]) -> None:
    """Do what `python ARGUMENTS` does; never returns."""
    plain = [sys.executable, *arguments]
    place = os.environ.get(SOCKET, "")
    if not place or arguments[:1] != ["-m"] or len(arguments) < 2:
        os.execv(sys.executable, plain)
    if os.environ.pop(DIE_WITH_PARENT, ""):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    request = {"arguments": arguments[1:], "folder": os.getcwd(), "environment": dict(os.environ), "fresh": fresh()}
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(place)
        data = json.dumps(request).encode("utf-8", "surrogateescape")
        socket.send_fds(channel, [len(data).to_bytes(4, "big")], [0, 1, 2])
        channel.sendall(data)
        for number in FORWARDED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda received, frame: channel.sendall(bytes([received])))
        taken = channel.recv(1)
    except OSError:
        taken = b""
    # A server takes its folder with it when its run ends.
    if taken != b"y" and not os.path.isdir(os.path.dirname(place)):
        print("error: the run that this stage belongs to has ended; run the same command again.", file=sys.stderr)
        os._exit(1)
    if taken != b"y":  # no server, or not for this one
        for number in FORWARDED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        os.execv(sys.executable, plain)
    status = channel.recv(4)
    if len(status) < 4:
        print("error: the process that runs the stages has ended; run the same command again.", file=sys.stderr)
        os._exit(1)
    code = os.waitstatus_to_exitcode(int.from_bytes(status, "big"))
    if code >= 0:
        os._exit(code)
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)  # ends as the worker ended
    os.kill(os.getpid(), -code)
    signal.pause()


if __name__ == "__main__":
    run(sys.argv[1:])
