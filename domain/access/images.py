"""Image references and patterns for them, in one form whatever way an image is spelled.

References are read as the engine reads them (github.com/distribution/reference): Docker Hub's registry, its namespace
``library`` and the tag ``latest`` need not be written.
"""

import re
from dataclasses import dataclass
from typing import Final

from domain.access.patterns import matches

HUB: Final = "docker.io"

_HUB_HOSTS: Final = frozenset({HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_HTTPS: Final = ":443"
_ID: Final = re.compile(r"sha[0-9]+:.*|[0-9a-f]{1,64}", re.DOTALL)
"""What the engine may take for the id of an image that it has: any that begins so."""
_NAME: Final = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+", re.ASCII)
_TAG: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]*", re.ASCII | re.IGNORECASE)
_DIGEST: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as rules see it.

    Attributes:
        name: registry, namespace and name: ``docker.io/library/nginx``. Empty if it is named by its id, or in no way
            that is known: then nobody can tell here which image it is.
        tag: None beside a digest, since the engine goes by the digest alone.
        digest: such as ``sha256:…``.
    """

    name: str = ""
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, reference: str) -> "Image":
        """Return the image of any reference; never raises."""
        if _ID.fullmatch(reference.lower()):
            return cls()
        name, tag, digest = _split(reference)
        name = _full_name(name)
        digest = digest.lower() if digest is not None else None
        known = _NAME.fullmatch(name) and (tag is None or _TAG.fullmatch(tag))
        if not known or (digest is not None and not _DIGEST.fullmatch(digest)):
            return cls()
        return cls(name, None if digest else tag or "latest", digest)

    def text(self) -> str:
        """Return the one form; it is parsed to the same image again."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


@dataclass(frozen=True, slots=True)
class ImagePattern:
    """A pattern for images: ``nginx:1.*``, ``registry.example/team-a/*``, ``*/nginx``, ``*``.

    It is completed as references are, unless it begins with ``*``, which then stands for any registry, or for any
    namespace behind one. ``*`` goes beyond slashes, but never from the name into tag or digest. Without tag and digest
    the pattern is about all of them.
    """

    name: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, pattern: str) -> "ImagePattern":
        """Return the pattern that ``pattern`` states."""
        name, tag, digest = _split(pattern)
        name = name.lower() if name.startswith("*") else _full_name(name)
        return cls(name, None if digest or tag == "*" else tag, digest.lower() if digest else None)

    def surely_fits(self, image: Image) -> bool:
        """Return whether ``image`` certainly is one of these: for what is allowed."""
        if not image.name:
            return self == _ANY
        if not matches(image.name, self.name):
            return False
        if self.digest is not None:
            return image.digest is not None and matches(image.digest, self.digest)
        return self.tag is None or (image.tag is not None and matches(image.tag, self.tag))

    def may_fit(self, image: Image) -> bool:
        """Return whether ``image`` could be one of these: for what is denied. Behind a digest may stand any tag."""
        if not image.name:
            return True
        if not matches(image.name, self.name):
            return False
        if self.digest is not None:
            return image.digest is not None and matches(image.digest, self.digest)
        return self.tag is None or image.tag is None or matches(image.tag, self.tag)


_ANY: Final = ImagePattern("*")


def _split(reference: str) -> tuple[str, str | None, str | None]:
    """Return name, tag and digest as they are written."""
    name, at, digest = reference.partition("@")
    path, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return path + slash + last, tag if colon else None, digest if at else None


def _full_name(name: str) -> str:
    """Return the name with the registry and namespace that need not be written, in lower case.

    A first part in capitals is a registry to some engines and nothing to others: it stays, and fits no pattern.
    """
    first = name.partition("/")[0]
    registry, slash, rest = name.lower().partition("/")
    if not slash or not (registry == "localhost" or any(sign in registry for sign in ".:")):
        if slash and first != registry:
            return name
        registry, rest = HUB, name.lower()
    registry = registry.removesuffix(_HTTPS).removesuffix(".")
    if registry not in _HUB_HOSTS:
        return f"{registry}/{rest}"
    return f"{HUB}/{rest}" if "/" in rest or rest.startswith("*") else f"{HUB}/library/{rest}"
