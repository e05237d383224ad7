from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cello.cli.commands.explore import _given, _reader
from cello.cli.inputs import right_by_line
from cello.cli.models import open_model
from cello.see.page.live.serve import Server
from tests.cli.running import ENVIRONMENT, run
from tests.patience import LIMIT


def test_a_model_of_characters_reads_all_as_one(kinds_model: Path, tmp_path: Path):
    model = open_model(kinds_model)
    ((tokens, x, *_),) = _reader(model)("def f\n  x")
    assert tokens == "def f\n  x"
    assert x.shape == (9, 1)
    path = tmp_path / "some.py"
    path.write_text("x = 1\n")
    assert _given(model, str(path)) == "x = 1\n"
    assert _given(model, "x = 1") == "x = 1"
    assert _given(model, "x" * 10_000_000) == "x" * 10_000_000


def test_a_model_of_words_reads_each_line(words_model: Path, words_file: Path):
    model = open_model(words_model)
    text = _given(model, str(words_file))
    assert text == "arrive Taipei on November 2nd\nleave Taipei on Monday"
    found = _reader(model)(text)
    assert [len(tokens) for tokens, *_ in found] == [5, 4]
    assert [len(x) for _, x, *_ in found] == [5, 4]
    ((tokens, x, *_),) = _reader(model)("")
    assert (list(tokens), len(x)) == ([], 0)


def test_the_page_is_told_what_is_right(words_model: Path, words_file: Path, kinds_model: Path):
    model = open_model(words_model)
    known = right_by_line(model, words_file)
    first, other = _reader(model, known)("leave Taipei on Monday\nleave Rome on Monday")
    assert len(first.expected) == len(first.tokens)
    assert set(first.expected) <= set(model.task.labels)
    assert other.expected is None  # it is not in the file
    assert right_by_line(model, Path("nowhere.txt")) == {}
    (python,) = _reader(open_model(kinds_model))("if x:")
    assert python.expected == ["keyword", "keyword", "space", "name", "operator"]
    (broken,) = _reader(open_model(kinds_model))("if (:")
    assert broken.expected is None


@pytest.mark.parametrize("text", ["from Taipei to Rome\n", "from Taipei\nto Rome on Monday\n"])
def test_a_file_of_running_text(words_model: Path, tmp_path: Path, text: str):
    (tmp_path / "text.txt").write_text(text)
    assert _given(open_model(words_model), str(tmp_path / "text.txt")) == text


def test_what_cannot_be_explored_is_an_error(tmp_path: Path, kinds_model: Path):
    run("explore", tmp_path, code=2)
    result = run("explore", kinds_model, "--no-browser", "--port", "-1", code=2)
    assert "Invalid value for '--port': -1 is not in the range 0<=x<=65535" in result.stderr


def test_a_name_without_a_file_is_no_text(kinds_model: Path):
    stderr = run("explore", kinds_model, "nofile.csv", code=2).stderr
    assert "nofile.csv: no such file or folder" in stderr


@pytest.mark.slow
def test_it_answers_until_ctrl_c(kinds_model: Path, ctrl_c: None):
    command = [sys.executable, "-u", "-m", "cello", "explore", str(kinds_model), "abc"]
    process = subprocess.Popen(
        [*command, "--no-browser"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().split()[-1])
        assert url.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=LIMIT)
        body = json.dumps({"question": "begin", "about": {}})
        connection.request("POST", "/ask", body, {"X-Cello-Token": url.fragment})
        head = json.loads(connection.getresponse().read())
        assert head["text"] == "abc"
        assert head["title"] == kinds_model.name
        connection.close()
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert out.endswith("stopped\n")


def test_no_other_user_sees_the_token(kinds_model: Path, monkeypatch: pytest.MonkeyPatch):
    """What a browser is started with is in the list of processes: it names a private file."""
    opened: list[tuple[str, int, str]] = []

    def browse(url: str) -> None:
        path = Path(unquote(urlsplit(url).path))
        opened.append((url, path.stat().st_mode & 0o777, path.read_text()))

    def serve(server: Server) -> None:
        urls.append(server.url)
        server._http.server_close()
        raise KeyboardInterrupt

    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", browse)
    monkeypatch.setattr(Server, "serve", serve)
    run("explore", kinds_model, "abc")
    ((url, mode, page),) = opened
    assert urlsplit(urls[0]).fragment not in url
    assert urls[0] in page
    assert mode == 0o600
    assert not Path(unquote(urlsplit(url).path)).exists()  # it has done its work
