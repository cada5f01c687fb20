"""A small hub on this machine: the routes of the Hugging Face hub for downloads and commits, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = dict[str, bytes]
TOKEN = "hf_may_write"
"""Of somebody who may write to repositories of "owner"."""


@dataclass
class Repository:
    """Files by revision; a revision's commit is made of them."""

    revisions: dict[str, Files]
    gated: bool = False
    private: bool = False
    cut: set[str] = field(default_factory=set)
    """Files of which half arrives at first, and then nothing."""

    def commit(self, revision: str) -> str | None:
        known = {name: _sha1(b"".join(files.values())) for name, files in self.revisions.items()}
        return revision if revision in known.values() else known.get(revision)

    def files(self, revision: str) -> Files:
        return next(files for name, files in self.revisions.items() if revision in (name, self.commit(name)))


def files_of(directory: Path) -> Files:
    """The files of a checkpoint."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@contextmanager
def serve(repositories: dict[str, Repository]) -> Iterator[str]:
    """The address of a hub of these repositories: "models/owner/name", "datasets/owner/name"."""

    class Handler(_Handler):
        hub, stored = repositories, {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ask(code: str, address: str, home: Path) -> Any:
    """What a fresh process prints as its last line, as JSON; it knows no hub but this one."""
    known = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    known |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    known |= {"HF_HUB_DISABLE_XET": "1"}  # large files go the way of Git LFS
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=known, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().split("\n")[-1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: dict[str, Repository]
    stored: dict[str, bytes]
    """Large files by their SHA-256, before a commit names them."""

    def do_GET(self) -> None:
        path, length = unquote(urlsplit(self.path).path).strip("/").split("/"), int(self.headers["Content-Length"] or 0)
        asked = parse_qs(self.rfile.read(length).decode()).get("paths", [])
        is_api = path[0] == "api"
        path = path[1:] if is_api else path if path[0] == "datasets" else ["models", *path]
        repository = self.hub.get("/".join(path[:3]))
        what, revision, *rest = [*path[3:], "main", "main"][:2] + path[5:]
        if repository is None:
            return self._refuse(404, "RepoNotFound")
        commit = repository.commit("main" if is_api and len(path) == 3 else revision)
        if repository.gated and what == "resolve":
            return self._refuse(403, "GatedRepo")
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        files, name = repository.files(commit), "/".join(rest)
        if what == "resolve":
            return self._send_file(repository, commit, files, name)
        listed = [
            {"type": "file", "path": each, "size": len(content), "oid": _sha1(content)}
            for each, content in files.items()
            if what == "tree" or each in asked
        ]
        info = {"id": "/".join(path[1:3]), "sha": commit, "siblings": [{"rfilename": each} for each in files]}
        info |= {"private": False, "gated": "manual" if repository.gated else False, "tags": [], "downloads": 0}
        self._send(200, json.dumps(listed if what in ("tree", "paths-info") else info).encode())

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        if path[:3] == ["api", "repos", "create"]:
            return self._create(self._asked())
        if path == ["api", "validate-yaml"] and self._body():
            return self._say({"errors": [], "warnings": []})
        if path[-3:] == ["lfs", "objects", "batch"]:
            href = f"http://{self.headers['Host']}/stored/"
            asked = [each | {"actions": {"upload": {"href": href + each["oid"]}}} for each in self._asked()["objects"]]
            return self._say({"transfer": "basic", "objects": asked})
        if path[4:5] in (["preupload"], ["commit"]):
            return self._commit("/".join(path[2:4]), path[4], self._body())
        self.do_GET()

    def do_PUT(self) -> None:
        self.stored[self.path.rpartition("/")[2]] = self._body()
        self._say({})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization', 'owner')}/{asked['name']}"
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._refuse(401, "")
        if not name.startswith("owner/"):
            return self._refuse(403, "")
        known = f"models/{name}" in self.hub
        # Older clients say "private", newer ones "visibility".
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.setdefault(f"models/{name}", Repository({"main": {}}, private=private))
        self._say({"url": f"http://{self.headers['Host']}/{name}"}, 409 if known else 200)

    def _commit(self, name: str, step: str, body: bytes) -> None:
        repository = self.hub[f"models/{name}"]
        if step == "preupload":
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = ["lfs" if file.endswith(".safetensors") else "regular" for file in files]
            told = [{"path": file, "uploadMode": mode} for file, mode in zip(files, modes, strict=True)]
            return self._say({"files": [each | {"shouldIgnore": False} for each in told]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                repository.revisions["main"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                content = self.stored[line["value"]["oid"]]
                assert hashlib.sha256(content).hexdigest() == line["value"]["oid"]
                repository.revisions["main"][line["value"]["path"]] = content
        commit = repository.commit("main")
        address = f"http://{self.headers['Host']}/{name}/commit/{commit}"
        self._say({"success": True, "commitOid": commit, "commitUrl": address})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def _asked(self) -> Any:
        return json.loads(self._body())

    def _say(self, content: Any, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode())

    def _send_file(self, repository: Repository, commit: str, files: Files, name: str) -> None:
        if name not in files:
            return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        content = files[name]
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {"ETag": f'"{_sha1(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if name in repository.cut and self.command == "GET":
            half = content[start : max(start, len(content) // 2)]
            return self._send(206 if start else 200, half, headers, length=len(content) - start)
        self._send(206 if start else 200, content[start:], headers)

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for header, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if length is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
