"""A server that is posted to."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

SECRET = "T0P/S3CRET"


class Webhook:
    """A server that keeps what is posted, and answers with the statuses given, then with 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self.statuses: list[int] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.bodies.append(json.loads(body))
                self.send_response(webhook.statuses.pop(0) if webhook.statuses else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"
