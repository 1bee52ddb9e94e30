"""A real OTLP receiver: an HTTP server that decodes what is sent to ``/v1/traces``."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.waiting import wait_for

KINDS = Span.SpanKind


@dataclass(frozen=True)
class Sent:
    """One span as it was received."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    said: str
    resource: dict[str, Any]


class Receiver:
    """Keeps every span, and the very bytes that came."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def variables(self) -> dict[str, Any]:
        """What leads a server here, soon after each span."""
        host, port = self._server.server_address[:2]
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host!s}:{port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def spans(self) -> list[Sent]:
        return [span for body in list(self.bodies) for span in _spans(body)]

    def of(self, trace_id: str) -> list[Sent]:
        return [span for span in self.spans() if span.trace_id == trace_id]

    def tree(self, trace_id: str, root: str) -> dict[str, list[str]]:
        """The names of the children of each span of a trace, by its name, once the span ``root`` has come."""
        wait_for(lambda: root in [span.name for span in self.of(trace_id)], what=f"{root} of {trace_id}")
        found = self.of(trace_id)
        names = {span.span_id: span.name for span in found}
        children: dict[str, list[str]] = {}
        for span in found:
            children.setdefault(names.get(span.parent_id, ""), []).append(span.name)
        return {name: sorted(below) for name, below in children.items()}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                ok = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                if ok:
                    receiver.headers.append(dict(self.headers))
                    receiver.bodies.append(body)
                self.send_response(200 if ok else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def _spans(body: bytes) -> Iterator[Sent]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert not span.events, "the words of an exception may stand there"
                yield Sent(
                    name=span.name,
                    kind=KINDS.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes=_values(span.attributes),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                    said=span.status.message,
                    resource=_values(resource.resource.attributes),
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
