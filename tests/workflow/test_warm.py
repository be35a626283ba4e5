"""A stage that is a fork of the server behaves as `python -m` does: streams, exit codes, signals, environment."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import warm
from begin import JOBS_ARE_TOLD, SLOW, TRIED, Machine, missing, remedy, tried_once, watch_workers

SCRIPTS = Path(warm.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server is used on Linux alone")

STAGE = """
    import os, signal, sys, time
    what = sys.argv[1]
    print("parent", os.getppid(), flush=True)
    if what == "say":
        print(os.getcwd(), os.environ.get("TOLD"), __name__, sys.argv[0].endswith("stage.py"), sys.argv[1:], flush=True)
        print("to stderr", file=sys.stderr)
        sys.exit(int(sys.argv[2]))
    if what == "raise":
        raise ValueError("nothing works")
    if what == "words":
        sys.exit("error: one sentence.")
    if what == "wait":
        block = b"x" * 60 * 2**20
        print("pid", os.getpid(), flush=True)
        time.sleep(60)
    if what == "random":
        import numpy, random
        print(numpy.random.rand(), random.random())
    if what == "exit":
        import atexit, threading
        atexit.register(print, "last words")
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread done"))).start()
"""


@pytest.fixture
def place(tmp_path):
    """A folder with the module `stage`."""
    (tmp_path / "stage.py").write_text(textwrap.dedent(STAGE))
    return tmp_path


@pytest.fixture
def server(place):
    """A server with few libraries; its socket's name is short enough for the kernel."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    command = [sys.executable, SCRIPTS / "warm_server.py", folder / "socket", str(os.getpid()), "numpy", "json"]
    # As a run does it: without `env` a process also inherits what libraries have set behind os.environ.
    process = subprocess.Popen([str(part) for part in command], env=dict(os.environ))
    for _ in range(200):
        if (folder / "socket").exists():
            break
        time.sleep(0.05)
    process.folder = folder
    yield process
    process.terminate()
    process.wait(10)


def client(place, server, *arguments, **environment):
    """A started client."""
    told = {**os.environ, warm.SOCKET: str(server.folder / "socket") if server else "", **environment}
    return subprocess.Popen(
        [sys.executable, str(SCRIPTS / "warm.py"), "-m", "stage", *arguments],
        cwd=place, env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def done(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("say", "0"), 0, "to stderr"),
        (("say", "3", "a b"), 3, "to stderr"),
        (("raise",), 1, "ValueError: nothing works"),
        (("words",), 1, "error: one sentence."),
        (("exit",), 0, ""),
    ],
)
def test_a_fork_ends_and_speaks_as_a_fresh_process_does(place, server, served, arguments, code, words):
    got, out, err = done(client(place, server if served else None, *arguments, TOLD="something"))
    assert got == code and words in err
    assert (f"parent {server.pid}" in out) is served
    if arguments[0] == "say":
        assert f"{place} something __main__ True {list(arguments)}" in out
    if arguments[0] == "exit":
        assert "thread done" in out and "last words" in out


@pytest.mark.parametrize("changed", [{"OMP_NUM_THREADS": "7"}, {"PYTHONHASHSEED": "3"}, {"LD_LIBRARY_PATH": "/x"}])
def test_what_only_a_fresh_process_can_read_gets_one(place, server, changed):
    code, out, _ = done(client(place, server, "say", "0", **changed))
    assert code == 0 and f"parent {server.pid}" not in out


def test_two_forks_draw_different_random_numbers(place, server):
    first, second = (done(client(place, server, "random"))[1].split()[2:] for _ in range(2))
    assert first[0] != second[0] and first[1] != second[1]


def waiting(place, server):
    process = client(place, server, "wait")
    process.stdout.readline()
    return process, int(process.stdout.readline().split()[1])


def gone(pid, seconds=10):
    """Whether a process ends; a dead one that nobody has waited for has."""
    for _ in range(int(seconds / 0.05)):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_client_reaches_the_stage(place, server, number):
    process, worker = waiting(place, server)
    process.send_signal(number)
    assert process.wait(20) == -number
    assert gone(worker)
    assert done(client(place, server, "say", "0"))[0] == 0  # and the server goes on


def test_a_stage_that_is_killed_is_a_job_that_was_killed(place, server):
    process, worker = waiting(place, server)
    os.kill(worker, signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL


def test_without_its_server_a_stage_ends_and_says_so(place, server):
    process, worker = waiting(place, server)
    server.kill()
    code, _, err = done(process)
    assert code == 1 and "run the same command again" in err
    assert gone(worker)


def test_stages_end_with_the_run_that_owns_the_server(place):
    """As after `kill -9` of Snakemake: nothing goes on writing that the next run would meet."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    command = [str(SCRIPTS / "warm_server.py"), str(folder / "socket")]
    code = (
        "import subprocess, sys, os, time\n"
        f"subprocess.Popen([sys.executable, *{command}, str(os.getpid()), 'json'])\n"
        "time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    while not (folder / "socket").exists():
        time.sleep(0.05)
    run.folder = folder
    _, worker = waiting(place, run)
    run.kill()
    run.wait()
    assert gone(worker)


def test_a_stage_that_begins_after_its_run_has_ended_does_nothing(place, server):
    server.terminate()
    server.wait(10)
    code, out, err = done(client(place, server, "say", "0"))
    assert code == 1 and out == "" and "has ended; run the same command again" in err


def test_snakemakes_measurement_sees_the_stage_and_not_only_its_client(place, server, monkeypatch):
    process, worker = waiting(place, server)
    watch_workers(server.folder)
    monkeypatch.setattr(psutil.Process, "_served", server.folder)
    seen = psutil.Process(process.pid).children(recursive=True)
    assert worker in [child.pid for child in seen]
    assert sum(child.memory_info().rss for child in seen) > 60 * 2**20
    process.kill()
    process.wait()


def test_what_the_system_lacks_is_named_with_the_package_that_has_it(tmp_path, monkeypatch):
    (tmp_path / "desktop.py").write_text("raise ImportError('libxcb.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert missing(("json",)) is None
    assert missing(("desktop",)) == (
        "desktop cannot be loaded (libxcb.so.1: cannot open shared object file); "
        "the system lacks libxcb.so.1: on Debian and Ubuntu, apt install libxcb1."
    )
    assert "make environment" in missing(("no_such_package",))
    assert "install the package that has it" in remedy("libfoo.so.2: cannot open shared object file")


def test_what_is_slow_to_import_is_tried_once_in_each_environment(tmp_path, monkeypatch):
    tried = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("begin.missing", lambda modules: tried.append(set(SLOW) <= set(modules)))
    assert tried_once() is None and tried_once() is None and tried == [True, False]
    TRIED.write_text(TRIED.read_text().replace(sys.prefix, "/another"))
    assert tried_once() is None and tried == [True, False, True]
    monkeypatch.setattr("begin.SLOW", ("no_such_package",))
    assert "no_such_package" in tried_once() and "make environment" in tried_once()


def test_the_server_is_told_what_snakemake_tells_a_job_of_one_thread(tmp_path):
    """It was not, of two variables, and refused every stage without a word."""
    (tmp_path / "Snakefile").write_text('rule all:\n    output: "told"\n    shell: "env > {output}"\n')
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)
    lines = (line.partition("=") for line in (tmp_path / "told").read_text().splitlines())
    told = {name: value for name, _, value in lines if name.endswith("_NUM_THREADS")}
    read = {name: value for name, value in told.items() if name.startswith(warm.READ_AT_LOAD)}
    assert read == {f"{name}_NUM_THREADS": "1" for name in JOBS_ARE_TOLD}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_results_that_cannot_be_written_are_told_before_the_first_job(number, tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise OSError(number, "no", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    told = Machine(str(tmp_path / "results")).lacks()
    assert told.startswith(f"{tmp_path}/results: ") and told.endswith("and run the same command again.")
    assert "\n" not in told
