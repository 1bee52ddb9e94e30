"""Sends spans to a collector by OTLP where the standard variables of OpenTelemetry name one."""

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from domain.errors import ConfigurationError

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"
_FLUSH_S: Final = 2.0

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether the variables ask for traces, and for OTLP: no other exporter is there."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp"):
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def start_tracing(version: str) -> Callable[[], object]:
    """Record spans and send them from now on, if the environment asks for it; return what sends the last of them.

    OpenTelemetry's SDK is imported only then. Sampling, limits, headers, certificates and resource attributes are its
    own variables.

    ``version`` is that of this program.

    Raises:
        ConfigurationError: if the variables ask for what is not there.
    """
    if not is_wanted(os.environ):
        return lambda: None
    asked = next(filter(None, map(os.environ.get, _PROTOCOLS)), _PROTOCOL)
    if asked != _PROTOCOL:
        raise ConfigurationError(f"{_PROTOCOLS[1]}: only {_PROTOCOL} is there", hint=f"set it to {_PROTOCOL}")
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.version": version, "service.instance.id": str(uuid.uuid4())})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # OTEL_SERVICE_NAME gives none
        resource = resource.merge(Resource({SERVICE_NAME: "docker-mcp"}))
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:  # noqa: BLE001 (whatever the SDK makes of a wrong value, which may be a credential)
        raise ConfigurationError(
            f"the OTEL_ variables are not usable: {type(error).__name__}", hint="correct or unset them"
        ) from None
    trace.set_tracer_provider(provider)
    return partial(_flush, provider)


def _flush(provider: "TracerProvider") -> None:
    """Send what is left, but wait no longer than that may take: a collector that is away is tried again and again."""
    sending = threading.Thread(target=provider.force_flush, name="last-spans", daemon=True)
    sending.start()
    sending.join(_FLUSH_S)
