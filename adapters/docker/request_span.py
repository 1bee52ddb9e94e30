"""The span of one request to the engine, by the HTTP conventions of OpenTelemetry, without a name or a value in it."""

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from urllib.parse import urlsplit

import requests
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode

from adapters import spans

_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "_ping auth changes connect containers create disconnect df events images info inspect json kill logs networks "
        "prune remove rename restart start stats stop system tag version volumes wait",
    )
)
_FIRST_ERROR: Final = 400


def route(path: str) -> str:
    """Return the path of a request with ``{id}`` for what it is about, without version and query."""
    found: list[str] = []
    for part in urlsplit(path).path.split("/"):
        if part in _WORDS:
            found.append(part)
        elif part and not (part[0] == "v" and part[1:].replace(".", "").isdigit()) and found[-1:] != ["{id}"]:
            found.append("{id}")
    return "/" + "/".join(found)


def request_span(request: requests.PreparedRequest) -> AbstractContextManager[Span]:
    """Return what lets the code within be the span of ``request``."""
    if not spans.is_traced():
        return nullcontext(INVALID_SPAN)
    method, template = request.method or "", route(request.path_url)
    attributes = {
        "http.request.method": method,
        "url.template": template,
        "server.address": urlsplit(request.url or "").hostname or "",
    }
    return spans.span(f"{method} {template}", attributes, SpanKind.CLIENT)


def answered(span: Span, response: requests.Response) -> None:
    """Note how the engine answered."""
    span.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= _FIRST_ERROR:
        span.set_attribute("error.type", str(response.status_code))
        span.set_status(StatusCode.ERROR)
