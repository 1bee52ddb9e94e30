"""Does the engine answer? Asked often, by those who must not wait for an engine that hangs."""

import threading
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

LOCAL: Final = "local"
_PATIENCE_S: Final = 1.0


def engine_name(environment: Mapping[str, str]) -> str:
    """Return what an engine is called in metrics: ``local`` behind a socket, else host and port of ``DOCKER_HOST``."""
    try:
        address = urlsplit(environment.get("DOCKER_HOST", ""))
        port = f":{address.port}" if address.port else ""
    except ValueError:
        return LOCAL
    return f"{address.hostname}{port}" if address.hostname else LOCAL


class EngineProbe:
    """Asks on a thread of its own, one question at a time."""

    def __init__(self, ping: Callable[[], object], patience_s: float = _PATIENCE_S) -> None:
        """Take ``ping``, which raises if the engine does not answer, and the seconds that an answer may take."""
        self._ping = ping
        self._patience_s = patience_s
        self._asking: threading.Thread | None = None
        self._answered = False

    def is_up(self) -> bool:
        """Return whether the engine answers now; one that has not yet answered the last question does not."""
        if self._asking is None or not self._asking.is_alive():
            self._answered = False
            self._asking = threading.Thread(target=self._ask, name="engine-probe", daemon=True)
            self._asking.start()
        self._asking.join(self._patience_s)
        return self._answered

    def _ask(self) -> None:
        try:
            self._ping()
        except Exception:  # noqa: BLE001 (whatever it was, it was no answer)
            return
        self._answered = True
