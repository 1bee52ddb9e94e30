"""The thread of a server that looks after its log: verifies it and signs checkpoints, round by round."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from adapters.checkpoint_copies import Copy
from adapters.store.background_check import BackgroundCheck, ChainState
from adapters.store.checkpointer import Append, Checkpointer
from adapters.store.snapshot import Snapshot, last_of
from domain.checkpoints import Keys
from domain.errors import DockerMcpError
from domain.events import ChainBroken, event_of
from domain.findings import Finding
from domain.ports import Clock, NewId
from domain.principal import SYSTEM

if TYPE_CHECKING:
    from adapters.signing import SigningKey

ROUND_S: Final = 5.0
_CHAIN_STREAM: Final = "chain"
_STOP_TIMEOUT_S: Final = 2.0

logger = logging.getLogger(__name__)


class LogWatch:
    """Runs beside the server and reads on connections of its own."""

    def __init__(
        self,
        open_log: Callable[[], AbstractContextManager[Snapshot]],
        signing_key: Callable[[], "SigningKey | None"],
        append: Append,
        clock: Clock,
        new_id: NewId,
        *,
        checkpoint_events: int,
        checkpoint_interval_s: int,
        copies: Sequence[Copy],
        whole_every_s: float,
    ) -> None:
        """Prepare; nothing is opened before :meth:`start`.

        Args:
            open_log: opens the log as it is now.
            signing_key: loads the signing key, None if there is none; may raise ``ConfigurationError``.
            append: records events.
            clock: milliseconds since 1970 UTC.
            new_id: makes ids of events.
            checkpoint_events: new records after which a checkpoint is due.
            checkpoint_interval_s: seconds after which one is due if there is any new record.
            copies: where copies of checkpoints go.
            whole_every_s: seconds between two verifications of the whole log.
        """
        self.state: Final = ChainState()
        self._open_log = open_log
        self._signing_key = signing_key
        self._append = append
        self._clock = clock
        self._new_id = new_id
        self._checkpoint_events = checkpoint_events
        self._checkpoint_interval_s = checkpoint_interval_s
        self._copies = copies
        self._checkpointer: Checkpointer | None = None
        self._keys: Keys = {}
        self._key_loaded = False
        self._stop = threading.Event()
        self._check = BackgroundCheck(
            self.state,
            lambda: self._keys,
            self._record,
            self._stop.wait,
            whole_every_s=whole_every_s,
            budget_s=ROUND_S,
        )
        self._thread = threading.Thread(target=self._run, name="log-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, sign: bool) -> None:
        """End the thread; with ``sign`` the head of the log is signed then, if anything is new."""
        self._stop.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_TIMEOUT_S)
        if sign and not self._thread.is_alive():
            self._try(self._sign_last)

    def _run(self) -> None:
        pause = 1.0  # the first calls go first
        while not self._stop.wait(pause):
            self._try(self._round)
            pause = ROUND_S

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except DockerMcpError as error:
            logger.warning("the log could not be looked after: %s", error.describe())
        except Exception:
            logger.exception("the log could not be looked after")

    def _round(self) -> None:
        self._load_key()
        with self._open_log() as snapshot:
            self._check.round(snapshot)
            if self._checkpointer and self.state.intact:  # else it would vouch for what was tampered with
                snapshot.renew()
                self._checkpointer.sign_if_due(snapshot)

    def _sign_last(self) -> None:
        self._load_key()
        with self._open_log() as snapshot:
            if self._checkpointer and self.state.intact:
                self._checkpointer.sign_if_new(snapshot)

    def _load_key(self) -> None:
        if self._key_loaded:
            return
        self._key_loaded = True
        key = self._signing_key()
        if key is None:
            return
        self._keys = {key.key_id: key.public.verifies}
        self._checkpointer = Checkpointer(
            key,
            self._append,
            self._clock,
            self._new_id,
            events=self._checkpoint_events,
            interval_s=self._checkpoint_interval_s,
            copies=self._copies,
        )

    def _record(self, finding: Finding) -> None:
        """Record what was found, unless the log says so already. A tampered log may refuse it."""
        event = ChainBroken(broken_position=finding.position, problem=finding.describe())
        with self._open_log() as snapshot:
            last = last_of(snapshot, _CHAIN_STREAM)
        if last and last.data == event.encode():
            return
        self._append([event_of(SYSTEM, event, _CHAIN_STREAM, self._new_id())]).add_done_callback(_complain)


def _complain(appended: "Future[Any]") -> None:
    if not appended.cancelled() and (error := appended.exception()):
        logger.error("what is wrong with the log could not be recorded in it: %s", error)
