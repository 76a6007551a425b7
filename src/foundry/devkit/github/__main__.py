"""`python -m foundry.devkit.github --dir DIR [--port N] [--webhook-url URL]`: serve on 127.0.0.1 until stopped.

Prints one line of JSON, {"ready": URL}, once it listens.
"""

from __future__ import annotations

import argparse
import errno
import json
import socket
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from foundry.devkit.github.app import create_github

BIND_LIMIT = 10.0  # seconds
STOP_LIMIT = 3  # seconds that open requests may take at the stop


def _bind(listener: socket.socket, port: int) -> None:
    """Take the port. While it was down, some program's outgoing connection may have got it for a moment.

    Raises:
        OSError: it stays taken.
    """
    limit = time.monotonic() + BIND_LIMIT
    while True:
        try:
            return listener.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not port or time.monotonic() > limit:
                raise
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="foundry.devkit.github")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--webhook-url")
    given = parser.parse_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(listener, given.port)
    listener.listen(128)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_github(given.dir, url, webhook=given.webhook_url)
    print(json.dumps({"ready": url}), flush=True)
    _serve(app, listener)


def _serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve until stopped. Open requests then get STOP_LIMIT seconds."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", server_header=False,
        timeout_graceful_shutdown=STOP_LIMIT,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
