"""A server on this machine that speaks /v1/chat/completions, and says what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TAKES_BACK = '{"takes_back": true, "answer": null}'
HOLDS = '{"takes_back": false, "answer": null}'
GARBLED = "I think that it takes it back."
Says = Callable[[dict[str, Any], int], str | int | None]
"""From what a prompt asks about and the number of the request: words, a status to fail with, or None to break off."""


@dataclass
class Served:
    """Where it is served, and what was asked."""

    url: str
    prompts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """What came in the header that a key comes in."""
    bodies: list[dict[str, Any]] = field(default_factory=list)


def case_in(prompt: str) -> dict[str, Any]:
    """What a prompt asks about: dialogue, reply, answers; or two comments, first and second."""
    found, _ = json.JSONDecoder().raw_decode(prompt, prompt.index('{\n "'))
    assert isinstance(found, dict)
    return found


def by_words(case: dict[str, Any], number: int) -> str:
    """A judge that goes by a word, and by the last known answer that the reply holds."""
    reply, known = case["reply"], case["answers"]
    named = [each for each in known if str(each) in reply or (isinstance(known, dict) and known[each] in reply)]
    return json.dumps({"takes_back": "polog" in reply, "answer": named[-1] if named else None})


@contextmanager
def served(says: Says = by_words) -> Iterator[Served]:
    """Serve it as long as the block runs."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][0]["content"]
            with lock:
                number = len(seen.prompts)
                seen.prompts.append(prompt)
                seen.keys.append(self.headers["Authorization"])
                seen.bodies.append(body)
            said = says(case_in(prompt), number) if self.path == "/v1/chat/completions" else 404
            if said is None:
                self._send(200, b'{"choices": [', length=1000)
                self.connection.close()
            elif isinstance(said, int):
                repeated = {"error": {"message": f"no; you sent {self.headers['Authorization']}"}}
                self._send(said, json.dumps(repeated).encode())
            else:
                message = {"role": "assistant", "content": said}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                self._send(200, json.dumps(answer).encode())

        def _send(self, status: int, content: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen = Served(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
