"""A server of models as a user starts one."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

SERVER = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; sys.exit(main())"


@contextmanager
def model_served(checkpoint: str) -> Iterator[str]:
    """Where ``transformers serve`` serves a checkpoint, as long as the block lasts."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, "serve", checkpoint, "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen([*command, "--dtype", "float32"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert server.poll() is None, "the server ended"
            try:
                urlopen(f"http://localhost:{port}/health").close()
                break
            except (URLError, ConnectionError):
                time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait()
