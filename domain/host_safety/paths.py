"""Paths of the engine's host: which may be mounted, which never."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

Resolve = Callable[[str], str]
"""Returns the real path on the engine's host: links followed, ``..`` resolved."""
Parts = tuple[str, ...]


def parts(path: str) -> Parts:
    """Return the names that an absolute path consists of; ``.`` and ``..`` resolved as text."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return tuple(names)


def below(path: Parts, place: Parts) -> bool:
    """Return whether ``path`` is ``place`` or lies in it; ``*`` in the place is any name, case is of no matter."""
    return len(path) >= len(place) and touch(path, place)


def touch(path: Parts, place: Parts) -> bool:
    """Return whether one of the two is the other or lies in it."""
    return all(want == "*" or want.casefold() == name.casefold() for name, want in zip(path, place, strict=False))


_PLACES: Final = """
    /boot /dev /etc /proc /run /sys /var/run /var/spool/cron
    /var/lib/docker /var/lib/containerd /var/lib/containers /var/lib/buildkit /var/lib/kubelet
"""
_HOMES: Final = ("/root", "/home/*", "/Users/*")
_KEYS: Final = (".docker", ".gnupg", ".ssh")
NEVER: Final = tuple(map(parts, [*_PLACES.split(), *(f"{home}/{keys}" for home in _HOMES for keys in _KEYS)]))
"""What no setting opens: from here one reaches the kernel, the engine, or people's keys. Case is of no matter, since
on some hosts it makes no difference."""

_ENGINE_SOCKET: Final = re.compile(
    r"(docker|containerd|podman|crio|cri-|buildkit|dockershim).*\.sock(\.raw)?", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a path cannot be mounted; ``curable`` if a root could be declared for it."""

    why: str
    curable: bool = False


class HostPaths:
    """Judges paths, for one call."""

    def __init__(self, roots: Sequence[str], resolve: Resolve | None, protected: Sequence[str]) -> None:
        """Prepare.

        Args:
            roots: directories that may be mounted with what is below them.
            resolve: None for a remote engine, whose links cannot be followed.
            protected: absolute paths that are never mounted, beside :data:`NEVER`.
        """
        self._opened = roots
        self._resolve = resolve
        self._protected = protected

    def refusal(self, path: str) -> Refused | None:
        """Return why ``path`` cannot be mounted, None if it can.

        It is followed only if it lies in a root as it is written, so that nobody learns here where links lead.
        """
        if not path.startswith("/") or "\0" in path or ":" in path:
            return Refused("not an absolute path of a Unix host, or one with a colon in it")
        if self._resolve is None and ".." in path.split("/"):
            return Refused("a path with `..` in it, which cannot be followed on another host")
        if refused := self._judged(parts(path)):
            return refused
        reached = self._reached(path)
        if reached is None:
            return Refused("it cannot be told where this path leads")
        return next(filter(None, map(self._judged, reached)), None)

    def is_one_of(self, device: str, allowed: Sequence[str]) -> bool:
        """Return whether ``device`` is an allowed device, or lies in an allowed directory and does not lead out."""
        reached = self._reached(device) if device.startswith("/") and "\0" not in device else None
        opened = [parts(path) for path in allowed]
        if reached is None:
            return False
        if ".." not in device.split("/") and parts(device) in opened:
            return True
        return all(any(_in(place, each) for each in opened) for place in reached)

    def _judged(self, place: Parts) -> Refused | None:
        if not place or _ENGINE_SOCKET.fullmatch(place[-1]):
            return Refused("the host's root, or an engine's socket")
        if any(touch(place, never) for never in self._never):
            return Refused("a protected place of the host, or a directory that holds one")
        if not any(_in(place, root) for root in self._roots):
            return Refused("outside the directories that may be mounted", curable=True)
        return None

    @cached_property
    def _never(self) -> set[Parts]:
        protected = [*NEVER, *filter(None, map(parts, self._protected))]
        return {*protected, *self._real(place for place in protected if "*" not in place)}

    @cached_property
    def _roots(self) -> set[Parts]:
        """The roots, as written and followed. A root in another one is not followed: a container that writes in the
        outer one could turn the inner one into a link."""
        opened = [parts(root) for root in self._opened]
        outermost = [root for root in opened if not any(root != other and _in(root, other) for other in opened)]
        return {root for root in (*outermost, *self._real(outermost)) if root}

    def _reached(self, path: str) -> tuple[Parts, ...] | None:
        """Return where the path leads: as text, and followed before as well as after it is shortened as text."""
        text = parts(path)
        if self._resolve is None:
            return None if ".." in path.split("/") else (text,)
        as_written, shortened = self._followed(path), self._followed("/" + "/".join(text))
        return None if as_written is None or shortened is None else (text, as_written, shortened)

    def _real(self, places: Iterable[Parts]) -> list[Parts]:
        if self._resolve is None:
            return []
        real = (self._followed("/" + "/".join(place)) for place in places)
        return [place for place in real if place]

    def _followed(self, path: str) -> Parts | None:
        try:
            real = self._resolve(path) if self._resolve else path
        except (OSError, ValueError):
            return None
        return parts(real) if real.startswith("/") else None


def _in(path: Parts, root: Parts) -> bool:
    return path[: len(root)] == root
