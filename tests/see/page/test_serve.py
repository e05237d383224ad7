"""The live page: who is let in, and what it does in a browser."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import cello
from cello.errors import ArgumentError
from cello.see.page.live.serve import Server
from cello.see.page.live.session import LiveSession
from tests.patience import LIMIT, until
from tests.see.page.nets import NETS, typeset

TEXT = "abcdefgh"


def read(text: str) -> list[tuple[str, torch.Tensor]]:
    numbers = torch.tensor([float(ord(letter) - ord("a")) for letter in text])
    return [(text, torch.stack([numbers, numbers.sin(), numbers.cos()], 1).unsqueeze(1) / 4)]


@pytest.fixture
def serve() -> Iterator[Callable[[str], Server]]:
    running: list[tuple[Server, threading.Thread]] = []

    def start(name: str) -> Server:
        server = Server(LiveSession(NETS[name](), read, TEXT, title=name))
        thread = threading.Thread(target=server.serve)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()


def asked(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """The status of the answer, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    named = {"X-Cello-Token": server.token}
    named |= {key.replace("_", "-"): value for key, value in headers.items()}
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    connection.request(method, path, text, named)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


READ = {"question": "read", "about": {"text": "abc"}}
SOURCES = ("Origin", "Host")  # what says who asks
#: What keeps an answer out of caches, frames, other pages, and from being taken for a script.
PROTECTION = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


# ------------------------------------------------------------ who is let in


def test_a_question_is_answered(serve: Callable):
    server = serve("elman")
    status, answer = asked(server, "POST", "/ask", READ)
    assert status == 200
    head = json.loads(answer)
    assert head["sequences"][0]["tokens"] == "abc"
    assert asked(server, "GET", f"/numbers?run={head['run']}&block=0")[0] == 200


@pytest.mark.parametrize("path", ["/", "/ask", "/numbers?run=0&block=0"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": ""},
        {"Host": "127.0.0.1:99999"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
    ],
    ids=str,
)
def test_other_hosts_and_pages_are_refused(path: str, headers: dict[str, str], serve: Callable):
    server = serve("elman")
    status, answer = asked(server, "POST" if path == "/ask" else "GET", path, READ, **headers)
    assert status == 403
    assert "error" in json.loads(answer)


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_without_the_token_nothing_is_told(token: str, serve: Callable):
    server = serve("elman")
    for method, path in (("POST", "/ask"), ("GET", "/numbers?run=0&block=0")):
        status, answer = asked(server, method, path, READ, X_Cello_Token=token.encode("latin-1"))
        assert status == 403
        assert b"token" in answer
    status, page = asked(server, "GET", "/", X_Cello_Token=token.encode("latin-1"))
    assert status == 200
    assert server.token.encode() not in page


def test_hosts_and_origins_are_compared_as_a_whole(serve: Callable):
    server = serve("elman")
    tunnel = f":{9999 if server.port != 9999 else 9998}"  # another port of this machine
    schemes, hosts = ("http://", "https://", ""), ("127.0.0.1", "localhost", "evil.example")
    for scheme, host in itertools.product(schemes, hosts):
        for more in ("", "0", ".evil.example", "@evil.example", "/"):
            name = f"{scheme}{host}:{server.port}{more}".replace(f":{server.port}0", tunnel)
            known = host != "evil.example" and not more
            through = host != "evil.example" and more == "0"
            told = {h: asked(server, "POST", "/ask", READ, **{h: name})[0] for h in SOURCES}
            ours = {
                "Origin": known and scheme == "http://",
                "Host": (known or through) and not scheme,
            }
            assert told == {h: 200 if ours[h] else 403 for h in SOURCES}, name


def test_a_tunnel_s_own_page_may_ask_through_it(serve: Callable):
    server = serve("elman")
    for host in ("localhost:9999", "127.0.0.1", "[::1]:9999", "192.0.2.7:80"):
        for origin, status in ((f"http://{host}", 200), ("http://evil.example", 403)):
            told = asked(server, "POST", "/ask", READ, Host=host, Origin=origin)
            assert told[0] == status, (host, origin)


def test_more_names_can_be_allowed(serve: Callable):
    session = LiveSession(NETS["elman"](), read, TEXT)
    server = Server(session, "0.0.0.0", allowed=["Cello.example"])
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        for host, status in (
            (f"127.0.0.1:{server.port}", 200),
            (f"{socket.gethostname()}:{server.port}", 200),
            ("cello.example", 200),
            ("evil.example", 403),
        ):
            assert asked(server, "GET", "/", Host=host)[0] == status, host
        assert asked(server, "POST", "/ask", READ, X_Cello_Token="")[0] == 403
        assert server.url.startswith(f"http://{socket.gethostname()}:{server.port}/#")
    finally:
        server.stop()
        thread.join(LIMIT)


def test_an_address_of_ipv6():
    session = LiveSession(NETS["elman"](), read, TEXT)
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # a machine without IPv6
        with pytest.raises(ArgumentError, match=r"^cannot listen on ::1, port 0: "):
            Server(session, "::1")
        return
    server = Server(session, "::1")
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        connection = http.client.HTTPConnection("::1", server.port, timeout=LIMIT)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        assert server.url.startswith(f"http://[::1]:{server.port}/#")
    finally:
        server.stop()
        thread.join(LIMIT)


@pytest.mark.parametrize(
    "body",
    [
        {"question": [], "about": {}},
        {"question": {}, "about": {}},
        {"question": "explain", "about": []},
        {"question": "explain", "about": [[1, 2]]},
        {"question": "explain", "about": {"run": 0, "sequence": 0, "layer": [], "t": 0, "unit": 0}},
        {"question": "force", "about": {"text": 1}},
        [1, 2],
    ],
    ids=str,
)
def test_what_is_asked_wrongly_is_no_traceback(
    body: Any, serve: Callable, capfd: pytest.CaptureFixture[str]
):
    assert asked(serve("elman"), "POST", "/ask", body)[0] == 400
    assert capfd.readouterr() == ("", "")


def test_who_hangs_up_leaves_no_traceback(
    serve: Callable, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    server = serve("elman")
    handled = threading.Semaphore(0)
    monkeypatch.setattr(
        type(server._http), "shutdown_request", after(server._http.shutdown_request, handled)
    )
    head = f"POST /ask HTTP/1.1\r\nHost: localhost\r\nX-Cello-Token: {server.token}\r\n"
    for sent in ("GET", "GET / HTTP/1.1\r\nHost: loc", head, head + "Content-Length: 99\r\n\r\n{"):
        connection = socket.create_connection(("127.0.0.1", server.port), LIMIT)
        connection.sendall(sent.encode())
        # Closed so, the other side gets a reset, not an end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert handled.acquire(timeout=LIMIT)
    assert asked(server, "POST", "/ask", READ)[0] == 200
    assert capfd.readouterr() == ("", "")


def after(act: Callable, done: threading.Semaphore) -> Callable:
    """`act`, and a word when it is done."""

    def acts(self: Any, *args: Any) -> None:
        act(*args)
        done.release()

    return acts


def test_every_answer_is_for_our_own_page_alone(serve: Callable):
    server = serve("elman")
    for method, path, status in (
        ("POST", "/ask", 200),
        ("GET", "/", 200),
        ("GET", "/numbers?run=0&block=0", 200),
        ("GET", "/numbers", 400),
        ("POST", "/elsewhere", 404),
        ("DELETE", "/", 501),
        ("GET", "/" + 70_000 * "a", 414),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        connection.request(method, path, json.dumps(READ), {"X-Cello-Token": server.token})
        with connection.getresponse() as response:
            assert response.status == status
            assert {name: response.headers[name] for name in PROTECTION} == PROTECTION
        connection.close()


def test_tokens_differ_from_run_to_run(serve: Callable):
    assert serve("elman").token != serve("elman").token


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/etc/passwd", None, 404),
        ("GET", "/../../etc/passwd", None, 404),
        ("POST", "/elsewhere", READ, 404),
        ("GET", "/numbers", None, 400),
        ("GET", "/numbers?run=x&block=0", None, 400),
        ("GET", "/numbers?run=0&block=99", None, 400),
        ("POST", "/ask", "{", 400),
        ("POST", "/ask", "[" * 100_000, 400),
        ("POST", "/ask", {"question": "read"}, 400),
        ("POST", "/ask", {"question": "rm", "about": {}}, 400),
        ("POST", "/ask", {"question": "read", "about": {"what": 1}}, 400),
        ("DELETE", "/", None, 501),
    ],
)
def test_other_questions_are_refused(
    method: str, path: str, body: Any, status: int, serve: Callable
):
    server = serve("elman")
    assert asked(server, method, path, body)[0] == status
    assert asked(server, "POST", "/ask", READ)[0] == 200  # and it still stands


def test_a_question_of_any_length_is_not_read(serve: Callable):
    server = serve("elman")
    status, answer = asked(server, "POST", "/ask", "", Content_Length="999999999999")
    assert status == 413
    assert b"too long" in answer


def test_a_line_of_ten_megabytes(serve: Callable):
    server = serve("elman")
    question = {"question": "read", "about": {"text": "a" * 10_000_000}}
    status, answer = asked(server, "POST", "/ask", question)
    assert status == 200
    assert json.loads(answer)["notice"] == [100, 20_000]


def test_a_port_that_is_taken(serve: Callable):
    port = serve("elman").port
    with pytest.raises(ArgumentError, match=f"^cannot listen on 127.0.0.1, port {port}: "):
        Server(serve("elman").session, port=port)


# ------------------------------------------------------------ in a browser


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("name", NETS)
def test_the_live_page(name: str, serve: Callable, watched: Callable):
    server = serve(name)
    net = server.session.net
    page = watched(server.url)
    assert page.text("h1") == name
    page.page.fill("textarea", "hgfedcba")
    page.until("explorer.state.book.head.text === 'hgfedcba' && explorer.state.shown.tokens")
    page.settle()
    with torch.no_grad():
        rec = cello.record(net, read("hgfedcba")[0][1])
    layer = page.state("layer")
    page.call("e.unit(1); e.go(5)")
    rows = rec.layer(layer).rows
    expected = {n: r[5, 1].item() for n, r in rows.items() if n != "x" and r.shape[1] > 1}
    assert page.numbers() == expected
    titles = "cells => cells.map(cell => cell.title)"
    told = typeset(str(rec.explain(5, 1, layer))).splitlines()
    assert page.page.eval_on_selector_all(".arithmetic", titles) == told

    assert page.page.get_by_label("from step").input_value() == "5"  # which is looked at
    page.page.get_by_label("from step").fill("5")
    page.page.get_by_label("to step").fill("4")
    page.page.get_by_role("button", name="force", exact=True).click()
    page.until("document.querySelector('.extra .failed')")
    assert page.text(".extra .failed").startswith("from step 5 to step 4: expected two of the")
    page.errors.clear()  # of what was refused
    page.page.get_by_label("from step").fill("2")
    page.page.get_by_label("to step").fill("3")
    page.page.get_by_label("to", exact=True).fill("0.5")
    page.page.get_by_role("button", name="force", exact=True).click()
    page.until("explorer.state.shownOther")
    page.settle()
    value = page.state("value")
    found = page.call("return Array.from(s.shownOther.data)")
    path = f"{layer}.{value}" if layer else value
    with torch.no_grad(), cello.intervene(net, {path: (slice(2, 4), 1, 0.5)}):
        forced = cello.record(net, read("hgfedcba")[0][1])
    assert found == forced.layer(layer).rows[value].flatten().tolist()
    assert page.barriers() == []
    page.shot()
    page.page.click("text=undo")
    page.until("explorer.state.other === -1")
    page.settle()

    page.call("e.go(6)")
    page.page.get_by_role("button", name="show", exact=True).click()
    page.until("explorer.state.shown.layer === 'shares'")
    page.settle()
    found = page.call("return Array.from(s.shown.data)")
    x = read("hgfedcba")[0][1]
    shares = cello.attribute(net, x, (6, 0), method="gradient_x_input").by_step[:, 0]
    assert found == pytest.approx(shares.tolist(), rel=1e-5)  # by another engine
    page.shot("shares")


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_one_can_go_on_typing(serve: Callable, watched: Callable):
    page = watched(serve("elman").url)
    page.page.fill("textarea", "")
    for typed in ("a", "ab", "abc"):
        page.page.keyboard.type(typed[-1])
        page.until(f"explorer.state.book.head.text === '{typed}'")
        page.settle()
    assert page.page.input_value("textarea") == "abc"


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_slow_net_is_asked_once_at_a_time(
    serve: Callable, watched: Callable, monkeypatch: pytest.MonkeyPatch
):
    server = serve("elman")
    page = watched(server.url)
    texts: list[str] = []
    go_on = threading.Event()

    def slowly(text: str) -> Any:
        texts.append(text)
        assert go_on.wait(LIMIT)
        return read(text)

    monkeypatch.setattr(server.session, "_read", slowly)
    page.page.focus("textarea")
    page.page.keyboard.type("a")
    until(lambda: texts)  # the net is at work until all letters are there
    for letter in "bcdefgh":
        page.page.keyboard.type(letter)
        page.page.wait_for_timeout(150)  # longer than the page waits for another letter
    go_on.set()
    typed = page.page.input_value("textarea")
    page.until(f"explorer.state.book.head.text === {json.dumps(typed)}")
    page.settle()
    assert len(texts) == 2
    assert texts[-1] == typed
    assert page.numbers()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_after_a_reload_it_is_as_it_was_left(serve: Callable, watched: Callable):
    server = serve("stacked")
    page = watched(server.url)
    for text in ("hgfedcba", "aa", "bb", "cc", "dd", "abcabc"):
        page.page.fill("textarea", text)
        page.until(f"explorer.state.book.head.text === '{text}'")
        page.settle()
    page.call("await e.look({layer: '1', value: 'f', unit: 2}); e.go(4)")
    page.until("location.hash.includes('t=4')")
    page.page.reload()
    page.until("window.explorer?.state.shown?.name === 'f'")
    page.settle()
    assert page.page.input_value("textarea") == "abcabc"
    assert [page.state(name) for name in ("layer", "unit", "t")] == ["1", 2, 4]
    assert page.numbers()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_two_windows_read_different_texts(serve: Callable, watched: Callable):
    server = serve("elman")
    page = watched(server.url)
    page.page.fill("textarea", "abcd")
    page.until("explorer.state.book.head.text === 'abcd'")
    page.settle()
    for text in "abcdef":  # another window
        assert asked(server, "POST", "/ask", {"question": "read", "about": {"text": text}})
    before = page.page.evaluate("explorer.state.book.head.run")
    page.call("e.go((s.t + 1) % 4)")
    page.until(f"explorer.state.book.head.run !== {before}")
    page.settle()
    assert page.state("book.head.text") == "abcd"
    assert page.page.locator(".arithmetic").count() > 1
    assert not page.page.is_visible(".caption.failed")
    assert all("410" in error for error in page.errors)
    page.errors.clear()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_when_it_is_stopped_the_page_says_so(serve: Callable, watched: Callable):
    server = serve("elman")
    page = watched(server.url)
    page.page.route("**/ask", lambda route: route.abort())
    page.page.fill("textarea", "aa")
    page.until("document.querySelector('.extra .failed')")
    assert page.text(".extra .failed") == "cello explore has been stopped."
    assert all("net::ERR_FAILED" in error for error in page.errors)
    page.errors.clear()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_wrong_address_says_so(serve: Callable, watched: Callable):
    page = watched(serve("elman").url.partition("#")[0], settled=False)
    page.until("document.querySelector('.cello')?.textContent")
    assert page.text(".cello") == "the token is wrong: open the address that was printed"
    assert page.barriers() == []
    assert all("403" in error for error in page.errors)
    page.errors.clear()
