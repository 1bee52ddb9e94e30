"""What a log is called in the table."""

from adapters.store.location import Location


def kind_of(location: Location) -> str:
    return "SQLite" if location.is_sqlite else "PostgreSQL"


def label_of(location: Location, events: int) -> str:
    """Return the size of a log and its database."""
    size = f"{events / 1e6:.0f} M" if events >= 1e6 else f"{events / 1e3:.0f} k"
    return f"{size} events, {kind_of(location)}"
