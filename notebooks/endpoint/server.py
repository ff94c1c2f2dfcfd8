"""A small HTTP server for an OpenAI-compatible endpoint that keeps a ledger.

request -> ledger: received -> responder -> Answer | Dropped -> send -> ledger: answered
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from endpoint.ledger import Ledger

__all__ = ["Answer", "Dropped", "Responder", "arguments", "serve"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire."""

    status: int
    body: bytes  # JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection ends without an answer."""


Responder = Callable[[int, bytes], Answer | Dropped]  # (sequence number, request body) -> answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """`/v1/models`, which clients ask to see whether the endpoint is there."""
        found = self.path.rstrip("/").endswith("/models")
        models = {"object": "list", "data": [{"id": self.server.model, "object": "model"}]}
        self._send(Answer(200, json.dumps(models).encode()) if found else _not_found(self.path))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the caller was killed in the middle of asking
            self.close_connection = True
            return
        if not self.path.endswith("/chat/completions"):
            self._send(_not_found(self.path))
            return
        entry = self.server.ledger.received(
            hashlib.blake2b(body, digest_size=16).hexdigest(), _last_message(body)
        )
        match self.server.responder(entry.sequence, body):
            case Dropped():
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                outcome = "dropped"
            case Answer() as answer:
                try:
                    self._send(answer)
                    outcome = str(answer.status)
                except ConnectionError:  # the caller was killed meanwhile
                    outcome = "caller gone"
        self.server.ledger.answered(entry, outcome)

    def log_message(self, *args: object) -> None:
        """The ledger is the log."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, responder: Responder, ledger: Ledger, model: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.responder = responder
        self.ledger = ledger
        self.model = model

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that vanishes between two requests is what the demo is about, not a fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(responder: Responder, options: argparse.Namespace, *, model: str) -> None:
    """Answer requests until the process ends. Prints the base URL as the first line of stdout.

    Raises OSError when the port is taken.
    """
    if options.watch_stdin:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    ledger = Ledger(options.ledger, echo=options.watch_stdin)
    with _Server(options.port, responder, ledger, model) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        server.serve_forever()


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every endpoint has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="file to append to")
    parser.add_argument(
        "--watch-stdin",
        action="store_true",
        help="echo the ledger on stdout, and end when stdin does: with the process that started this",
    )
    return parser


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _last_message(body: bytes) -> str:
    try:
        content = json.loads(body)["messages"][-1]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return content if isinstance(content, str) else json.dumps(content)


def _not_found(path: str) -> Answer:
    message = f"{path}: only /v1/chat/completions and /v1/models are served"
    return Answer(HTTPStatus.NOT_FOUND, json.dumps({"error": {"message": message}}).encode())
