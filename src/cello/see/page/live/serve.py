"""The explorer on the loopback interface, for the one person at this machine.

Python's own `http.server` is enough: two paths, one user, and nothing to install. What protects
it: it listens on 127.0.0.1 unless told otherwise; the `Host` header must be an address, or one of
the names that are allowed, so that no other name can be bound to it from outside, while the port
may be that of a tunnel; `Origin`, where a browser sends it, must be the same host, so that no other
page can ask; and every question carries a token that is new for each run, and that only the printed
address holds, behind a # that is never sent.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import secrets
import socket
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cello.errors import ArgumentError, CelloError
from cello.see.page.html import document
from cello.see.page.live.session import ForgottenRunError, Session

__all__ = ["Server"]

_LARGEST = 32_000_000  # bytes of a question
_LAST_PORT = 65535
_HOST = re.compile(r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(:(?P<port>\d{1,5}))?", re.ASCII)


class Server:
    """Serves one session.

    Args:
        session: what answers.
        host: the address where it listens: of this machine alone, unless given; "0.0.0.0" or "::"
            for all that the machine has.
        port: 0 for any that is free.
        allowed: more names that a browser may call it by, beside addresses, localhost, the name of
            this machine, and `host`.

    Attributes:
        url: what to open; holds the token.
        names: what a browser may call it, in small letters.

    Raises:
        ArgumentError: it cannot listen there.

    Use `serve()` to answer until `KeyboardInterrupt`, `stop()` from another thread.
    """

    def __init__(
        self,
        session: Session,
        host: str = "127.0.0.1",
        port: int = 0,
        allowed: Iterable[str] = (),
    ) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        machine = socket.gethostname()
        self.names = {name.lower() for name in (host, "localhost", machine, *allowed)}
        try:
            self._http = (_Http6 if ":" in host else _Http)((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(f"cannot listen on {host}, port {port}: {error}") from error
        self._http.owner = self
        shown = machine if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/#{self.token}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_address[1])

    def serve(self) -> None:
        """Answer until stopped."""
        try:
            self._http.serve_forever()
        finally:
            self._http.server_close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._http.shutdown()

    def knows(self, host: str) -> bool:
        """Whether a browser may call it so: a name, or an address, with any port or none."""
        found = _HOST.fullmatch(host)
        if found is None or int(found["port"] or 0) > _LAST_PORT:
            return False
        name = found["name"].lower()
        return name in self.names or _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    """Whether this is an address itself, which nobody can give to another machine's name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: Server

    def handle_error(self, *_: Any) -> None:
        """Nothing: who asked has gone, and the terminal is the user's."""


class _Http6(_Http):
    address_family = socket.AF_INET6


class _Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    server_version, sys_version = "cello", ""
    timeout = 60  # seconds for a client that says nothing

    def log_message(self, *_: Any) -> None:
        """Nothing: the terminal is the user's."""

    def do_GET(self) -> None:
        """The page, or the numbers of a block."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """An answer to a question."""
        self._answer(self._post)

    def _answer(self, answer: Any) -> None:
        try:
            self._check_source()
            kind, body = answer()
            self._send(HTTPStatus.OK, kind, body)
        except _Refused as refused:
            self._send_error(refused.status, str(refused))
        except ForgottenRunError as error:
            self._send_error(HTTPStatus.GONE, str(error))
        except CelloError as error:
            self._send_error(HTTPStatus.BAD_REQUEST, str(error))
        except (ConnectionError, TimeoutError):  # the page has asked for something else meanwhile
            self.close_connection = True
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self._send_error(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    def _get(self) -> tuple[str, bytes]:
        where = urlsplit(self.path)
        if where.path == "/":
            session = self.server.owner.session
            page = document(session.title, "live", connect="'self'")
            return "text/html; charset=utf-8", page.encode()
        if where.path != "/numbers":
            raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        self._check_token()
        found = {name: values[0] for name, values in parse_qs(where.query).items()}
        try:
            run, block = int(found["run"]), int(found["block"])
        except (KeyError, ValueError):
            raise _Refused(HTTPStatus.BAD_REQUEST, "expected run=… and block=…") from None
        return "application/octet-stream", self.server.owner.session.numbers(run, block)

    def _post(self) -> tuple[str, bytes]:
        if urlsplit(self.path).path != "/ask":
            raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        self._check_token()
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _LARGEST:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the question is too long")
        try:
            asked = json.loads(self.rfile.read(int(length)))
            question, about = asked["question"], dict(asked["about"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _Refused(HTTPStatus.BAD_REQUEST, "expected a question as JSON") from None
        session = self.server.owner.session
        answer = session.head if question == "begin" else session.ask(question, about)
        return "application/json", json.dumps(answer, allow_nan=False).encode()

    def _check_source(self) -> None:
        """Check that a page of ours asks, under a name of ours."""
        owner = self.server.owner
        host = self.headers.get("Host", "")
        if not owner.knows(host):
            raise _Refused(
                HTTPStatus.FORBIDDEN,
                "this page is not known by that name: use an address, or allow the name with "
                "--allow-host",
            )
        origin = self.headers.get("Origin")
        own = {f"http://{name}:{owner.port}" for name in owner.names}
        if origin is not None and origin not in {f"http://{host}", *own}:
            raise _Refused(HTTPStatus.FORBIDDEN, "another page may not ask")

    def _check_token(self) -> None:
        given = self.headers.get("X-Cello-Token", "")
        if not hmac.compare_digest(given.encode(), self.server.owner.token.encode()):
            raise _Refused(
                HTTPStatus.FORBIDDEN, "the token is wrong: open the address that was printed"
            )

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """An error that was found before a request could be looked at: sent as all others are."""
        status = HTTPStatus(code)
        self._send_error(status, message or status.phrase)

    def _send_error(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what it sent may not have been read
        self._send(status, "application/json", json.dumps({"error": why}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
