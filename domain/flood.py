"""How many refused calls of one source are recorded in a minute, and the count of those beyond."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from domain.principal import ANONYMOUS, Principal

MOST_ADDRESSES: Final = 16
"""Addresses that have a budget of their own within a minute; all others share one."""

OTHERS: Final = "others"
"""The address that stands for those others."""

_IPV6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Source:
    """Whom a refused call is held against: a principal, or the address of a caller whom nobody knows."""

    principal: Principal
    address: str | None = None

    @classmethod
    def of(cls, principal: Principal, address: str) -> "Source":
        """Return the principal where it is known, else the address; of IPv6 the network, which one host has whole."""
        return cls(principal, _network(address) if principal == ANONYMOUS else None)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """How many refused calls of a source were counted only, by their codes."""

    source: Source
    codes: tuple[tuple[str, int], ...]


class RefusalBudget:
    """Spent by each refused call that is recorded; renewed each minute by :meth:`turn`.

    Principals are as many as the auth file names. Of addresses there is no end, so at most ``MOST_ADDRESSES`` are told
    apart.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._spent: Counter[Source] = Counter()
        self._counted: dict[Source, Counter[str]] = {}
        self._addresses: set[Source] = set()

    def admits(self, source: Source) -> bool:
        """Return whether one more refused call of ``source`` would be recorded."""
        return self._spent[self._told_apart(source)] < self._per_minute

    def spend(self, source: Source) -> bool:
        """Take one call from the budget of ``source``; return False if nothing was left."""
        key = self._told_apart(source)
        if self._spent[key] >= self._per_minute:
            return False
        self._spent[key] += 1
        return True

    def count(self, source: Source, code: str, times: int = 1) -> None:
        """Count refused calls that are not recorded."""
        self._counted.setdefault(self._told_apart(source), Counter())[code] += times

    def turn(self) -> list[Suppressed]:
        """Begin a new minute; return what was counted in the last one."""
        counted, self._counted = self._counted, {}
        self._spent.clear()
        self._addresses.clear()
        return [Suppressed(source, tuple(sorted(codes.items()))) for source, codes in counted.items()]

    def count_again(self, suppressed: Iterable[Suppressed]) -> None:
        """Take back what :meth:`turn` returned and could not be recorded."""
        for each in suppressed:
            for code, times in each.codes:
                self.count(each.source, code, times)

    def _told_apart(self, source: Source) -> Source:
        if source.address is None or source in self._addresses:
            return source
        if len(self._addresses) >= MOST_ADDRESSES:
            return Source(ANONYMOUS, OTHERS)
        self._addresses.add(source)
        return source


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    host_bits = 128 - _IPV6_NETWORK_BITS
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{_IPV6_NETWORK_BITS}"
