"""Weights files are listed, fetched whole or not at all, and refused when they are missing, wrong or changed."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dyads.errors import ConfigError, DataError
from evaluation import networks, weights
from evaluation.networks import Network, files

BODY = b"PK\x03\x04" + bytes(range(256)) * 400  # as a file of torch.save begins
DIGEST = hashlib.sha256(BODY).hexdigest()


class Answer(BaseHTTPRequestHandler):
    """Files, an error page, a page in place of a file, a transfer that breaks off."""

    def do_GET(self):
        body, announced = {
            "/weights": (BODY, len(BODY)), "/page": (b"\n<!DOCTYPE html>" + BODY, None), "/short": (BODY[:99], 99),
            "/broken": (BODY[:5000], len(BODY)), "/pointer": (b"version https://git-lfs.github.com/spec/v1\n", None),
        }.get(self.path, (b"", None))  # fmt: skip
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    opened = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=opened.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{opened.server_port}"
    opened.shutdown()
    opened.server_close()


@pytest.fixture
def toy(server, monkeypatch):
    """A network `toy` whose file lies on the server; keyword arguments change its facts."""

    def make(path="/weights", **changes):
        facts = {"file": "toy.pth", "page": "https://toy", "licence": "free", "megabytes": len(BODY) / 1e6}
        found = Network(slot="toy", load=lambda path: None, **{**facts, "url": server + path, **changes})
        monkeypatch.setattr(networks, "networks", lambda: {"toy": found})
        monkeypatch.setattr(weights, "networks", networks.networks)
        return found

    return make


def fetch(folder):
    weights.main(["fetch", "toy", "--to", str(folder)])


def test_a_published_file_is_fetched_and_verified(toy, tmp_path, capsys):
    toy(sha256=DIGEST[:8])
    fetch(tmp_path / "here")
    assert (tmp_path / "here/toy.pth").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["toy.pth"]
    assert f"{DIGEST} (published)" in capsys.readouterr().out


def test_what_is_there_is_not_fetched_again(toy, tmp_path):
    toy(sha256=DIGEST[:8])
    fetch(tmp_path)
    toy("/nowhere", sha256=DIGEST[:8])
    fetch(tmp_path)
    (tmp_path / "toy.pth").write_bytes(b"other")
    with pytest.raises(ConfigError, match="are not the published toy.pth"):
        fetch(tmp_path)


@pytest.mark.parametrize(
    ("path", "facts", "kind", "text"),
    [
        ("/weights", {"sha256": "0000"}, ConfigError, "are not the published"),
        ("/page", {}, DataError, "gave a page and no weights"),
        ("/pointer", {}, DataError, "gave a page and no weights"),
        ("/short", {}, DataError, "gave 0.0 MB, but toy.pth has"),
        ("/broken", {}, DataError, "broke off early|could not be fetched"),
        ("/nowhere", {}, DataError, "could not be fetched .HTTP Error 404"),
        ("/weights", {"url": ""}, ConfigError, "has no direct address; get it by hand from https://toy"),
        ("/weights", {"url": "http://127.0.0.1:1/x"}, DataError, "could not be fetched"),
    ],
)
def test_anything_else_leaves_no_file(toy, tmp_path, path, facts, kind, text):
    toy(path, **facts)
    with pytest.raises(kind, match=text):
        fetch(tmp_path / "here")
    assert not (tmp_path / "here").exists() or not list((tmp_path / "here").iterdir())


def test_a_file_without_published_digest_is_recorded_and_then_held_to_it(toy, tmp_path, capsys):
    toy()
    fetch(tmp_path)
    assert json.loads((tmp_path / "sha256.json").read_text()) == {"toy.pth": DIGEST}
    given = json.dumps({"toy": str(tmp_path / "toy.pth")})
    weights.main(["check", "--weights", given, "--out", str(tmp_path / "out.json")])
    said = json.loads((tmp_path / "out.json").read_text())["toy"]
    assert said == {"file": str(tmp_path / "toy.pth"), "sha256": DIGEST, "agrees_with": "recorded"}
    assert "first use" in capsys.readouterr().out
    (tmp_path / "toy.pth").write_bytes(BODY + b"x")
    with pytest.raises(ConfigError, match="have changed"):
        weights.main(["check", "--weights", given])
    (tmp_path / "toy.pth").unlink()
    with pytest.raises(ConfigError, match="do not exist; give toy.pth"):
        weights.main(["check", "--weights", given])
    (tmp_path / "sha256.json").write_text(json.dumps({"toy.pth": "0" * 64}))
    with pytest.raises(ConfigError, match="have changed"):
        fetch(tmp_path)
    assert not (tmp_path / "toy.pth").exists()


def test_first_use_by_hand_is_recorded_beside_other_records(toy, tmp_path):
    toy()
    (tmp_path / "mine.bin").write_bytes(BODY)
    (tmp_path / "sha256.json").write_text('{"other": "1"}')
    assert weights.check({"toy": str(tmp_path / "mine.bin")})["toy"]["agrees_with"] == "first use"
    assert files.recorded(tmp_path) == {"other": "1", "mine.bin": DIGEST}
    (tmp_path / "sha256.json").write_text("broken")
    with pytest.raises(ConfigError, match="is not JSON"):
        files.recorded(tmp_path)


@pytest.mark.parametrize(
    ("published", "good"),
    [(DIGEST, True), (DIGEST[:6], True), (f"{DIGEST[:8]}…{DIGEST[-4:]}", True), ("", True), (DIGEST[1:9], False),
     (f"{DIGEST[:8]}…zzzz", False), (f"0{DIGEST[:7]}…{DIGEST[-4:]}", False)],
)  # fmt: skip
def test_a_digest_fits_as_much_as_is_published(published, good):
    assert files.fits(published, DIGEST) is good


def test_the_list_says_what_to_get(capsys):
    weights.main(["list"])
    text = capsys.readouterr().out
    for slot, network in networks.networks().items():
        assert f"{slot}: {network.file}" in text and network.licence in text
    assert "none published; recorded on first use" in text and "no direct address, see https://" in text


def test_unknown_networks_are_named():
    with pytest.raises(ConfigError, match="unknown key 'vgg'"):
        weights.main(["check", "--weights", '{"vgg": "x"}'])
    with pytest.raises(ConfigError, match="unknown key 'vgg'"):
        weights.main(["fetch", "vgg"])
