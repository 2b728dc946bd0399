"""A chat server over real HTTP that does what a test tells it, for the backend and the judge `openai`."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any], int], tuple[int, dict[str, Any] | str, dict[str, str]]]


def asked(body: dict[str, Any]) -> str:
    """The text of the user's turn."""
    return "".join(part.get("text", "<image>") for part in body["messages"][-1]["content"])


def completion(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    text = asked(body)
    choices = [
        {"index": k, "finish_reason": "stop", "message": {"role": "assistant", "content": text.upper()}, **changes}
        for k in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "tiny", "choices": choices, "usage": usage}


class Server:
    """Answers with `self.answer(body, number of calls with this body)`; counts what it sees.

    A body that is a string is sent as it stands (an error page, cut JSON). `dies_after` calls it closes every
    connection without a word, as a process that was killed does.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda body, _: (200, completion(body), {})
        self.dies_after = -1
        self.owner = "someone"
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                model = {"id": "tiny", "object": "model", "root": "/m", "owned_by": outer.owner}
                if outer.owner == "vllm":
                    model["max_model_len"] = 512
                self.reply(200, {"object": "list", "data": [model]}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                    seen = outer.bodies.count(body)
                    dead = 0 <= outer.dies_after < len(outer.bodies)
                if dead:
                    self.connection.close()
                    return
                self.reply(*outer.answer(body, seen))

            def reply(self, status: int, body: dict[str, Any] | str, headers: dict[str, str]) -> None:
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(BrokenPipeError):  # a client that timed out
                    self.wfile.write(data)

        class Http(ThreadingHTTPServer):
            request_queue_size = 256  # connections that wait to be accepted

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
