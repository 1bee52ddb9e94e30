"""A registry that serves one image over plain HTTP on the loopback address, which engines trust without TLS."""

import gzip
import hashlib
import json
import threading
import uuid
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SCHEMA = "application/vnd.docker.distribution.manifest.v2+json"
_PIECE = 64 * 1024


class Registry:
    """Holds one image under every name and tag, but for tags that start with ``missing``.

    Attributes:
        status: what blobs and manifests are answered with, if not 200.
        stalled: while set, blobs begin and do not go on.
    """

    def __init__(self, root_folder: bytes) -> None:
        layer = gzip.compress(root_folder, 1)
        config: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sleep", "600"], "Env": ["PATH=/bin"], "Labels": {"test": uuid.uuid4().hex}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(root_folder)]},
            "history": [{"created_by": "test"}],
        }
        encoded = json.dumps(config).encode()
        self.blobs = {_digest(layer): layer, _digest(encoded): encoded}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _SCHEMA,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **_described(encoded)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **_described(layer)}],
        }
        self.manifest = json.dumps(manifest).encode()
        self.digest = _digest(self.manifest)
        self.image_id = _digest(encoded)
        self.status = 200
        self.stalled = False
        self.closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def rewrite_manifest(self) -> None:
        """Serve the same image under another digest from now on."""
        self.manifest += b"\n"
        self.digest = _digest(self.manifest)

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, registry: Registry, *arguments: Any) -> None:
        self._registry = registry
        super().__init__(*arguments)

    def do_GET(self) -> None:
        kind, _, name = self.path.partition("?")[0].rpartition("/")
        if self.path == "/v2/":
            self._send(200, b"{}", "application/json")
        elif self._registry.status != 200:
            self._send(self._registry.status, b"{}", "application/json")
        elif kind.endswith("/manifests") and not name.startswith("missing"):
            self._send(200, self._registry.manifest, _SCHEMA)
        elif kind.endswith("/blobs") and name in self._registry.blobs:
            self._send(200, self._registry.blobs[name], "application/octet-stream")
        else:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._send(404, json.dumps(error).encode(), "application/json")

    do_HEAD = do_GET  # noqa: N815

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()
        for start in range(0, len(body) if self.command == "GET" else 0, _PIECE):
            if self._registry.stalled and start:
                self._registry.closed.wait(30)
                return
            self.wfile.write(body[start : start + _PIECE])

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _described(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "digest": _digest(data)}
