"""`harness view`: a run's page on this machine only, its items loaded as they are looked at."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from harness.api import HarnessError
from harness.compare import read_sides
from harness.report.html import served_page
from harness.report.samples import Items
from harness.report.summary import compared, finite

_LOCAL = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves one run on 127.0.0.1. Every address starts with a secret token, so that no other user or page reads it.

    The page shows the run as it was when the server started.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Read the run and take the port (0: any free one); a port in use is a HarnessError."""
        self.items = Items(folder)
        self.page, self.policy = served_page(self.items)
        self.sides = read_sides([folder])
        self.token = secrets.token_urlsafe(24)
        self.comparing = threading.Lock()  # a comparison takes all of a core
        try:
            super().__init__((_LOCAL, port), _Handler)
        except OSError as error:
            raise HarnessError(f"port {port}: {error.strerror}", "--port 0 takes any free one") from error

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        return f"http://{_LOCAL}:{self.server_port}/{self.token}/"

    def answer(self, path: str) -> tuple[str, bytes]:
        """Media type and body of what lies under the token.

        Raises KeyError for what does not exist.
        """
        address = urlsplit(path)
        name = unquote(address.path)
        if name == "":
            return "text/html; charset=utf-8", self.page.encode()
        kind, _, rest = name.partition("/")
        if kind == "part":
            return _json(self.items.part(rest))
        if kind == "image":
            task, _, sha256 = rest.partition("/")
            if not (task.isascii() and task.isdigit() and int(task) < len(self.items.tasks)):
                raise KeyError(name)
            return self.items.image(int(task), sha256)
        if name == "compare":
            query = {key: values[-1] for key, values in parse_qs(address.query).items()}
            with self.comparing:
                return _json(finite(compared(self.sides, query["a"], query["b"])))
        raise KeyError(name)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version, sys_version = "harness", ""

    def do_GET(self) -> None:
        """Answer what has the token and was asked by the name of this machine (another name: a rebound one)."""
        _, token, path = [*self.path.split("/", 2), "", ""][:3]
        hosts = {f"{name}:{self.server.server_port}" for name in (_LOCAL, "localhost")}
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not known or self.headers.get("Host") not in hosts:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"open the address that `harness view` printed\n")
            return
        try:
            kind, body = self.server.answer(path)
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such part of the run\n")
        except HarnessError as error:
            self._send(HTTPStatus.CONFLICT, "text/plain; charset=utf-8", str(error).encode())
        else:
            self._send(HTTPStatus.OK, kind, body)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": f"{self.server.policy}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log would hold the token."""


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
