"""A disk that is full, read-only or closed is one sentence that names the file; the first cause, not the clean-up's."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dyads.errors import disk_problem, run_cli
from dyads.files import atomic_path, write_arrays, write_text

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.csv"), ["out/a.csv", "disk is full", "same command"]),
        (OSError(errno.EROFS, "Read-only file system", "out/a.csv"), ["out/a.csv", "read-only"]),
        (PermissionError(errno.EACCES, "Permission denied", "out/a.csv"), ["out/a.csv", "permission is denied"]),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), ["disk is full"]),
    ],
)
def test_it_is_one_sentence(error, words, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        run_cli(main)
    told = capsys.readouterr().err
    assert end.value.code == 2 and told.count("\n") == 1 and all(word in told for word in words)


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no", "a"), ValueError("os error"), KeyError("a")])
def test_what_is_no_disk_problem_stays_what_it_is(error):
    def main():
        raise error

    assert disk_problem(error) is None
    with pytest.raises(type(error)):
        run_cli(main)


def test_the_first_cause_is_told_where_the_clean_up_fails_too(tmp_path, monkeypatch):
    from pathlib import Path

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", "clean-up")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="full"), atomic_path(tmp_path / "a.npy") as temporary:
        np.save(temporary, np.zeros(3))
        raise OSError(errno.ENOSPC, "full", str(temporary))


def test_a_full_disk_is_told():
    with pytest.raises(OSError) as error:
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    assert "the disk is full" in disk_problem(error.value)


WRITERS = {
    "sound.wav": "from dyads.media.sound import write_wav; write_wav(path, np.zeros(200_000, np.float32))",
    "values.txt": "from dyads.files import write_text; write_text(path, 'x' * 400_000)",
    "all.safetensors": "from dyads.files import write_arrays; write_arrays(path, {'a': np.zeros(100_000)})",
    "film.mp4": "from dyads.media.video import write_video; write_video(path, noise, np.zeros(640 * 60, np.float32))",
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_room_leaves_no_half_written_file(name, tmp_path):
    """A process that may write 100 kB a file."""
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np
from dyads.errors import run_cli
path, noise = Path(sys.argv[1]), np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
def main():
    {WRITERS[name]}
run_cli(main)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "allows" in done.stderr and [*tmp_path.iterdir()] == []


def test_a_folder_that_is_closed(tmp_path):
    import os

    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as error:
        write_text(tmp_path / "a.txt", "a")
    assert "permission is denied" in disk_problem(error.value)


def test_views_are_kept_as_they_look(tmp_path):
    """Not in the order of their memory, as safetensors 0.8.0 writes them."""
    whole = np.arange(24.0).reshape(2, 3, 4)
    views = {"turned": whole.transpose(2, 0, 1), "thinned": whole[:, ::2, ::-1], "fortran": np.asfortranarray(whole[0])}
    write_arrays(tmp_path / "a.safetensors", views)
    found = load_file(tmp_path / "a.safetensors")
    for name, view in views.items():
        np.testing.assert_array_equal(found[name], view)
