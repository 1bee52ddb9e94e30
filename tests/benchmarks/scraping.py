"""What a scrape costs, on a short log and on a long one."""

from collections.abc import Callable, Sequence

from adapters.prometheus import Exposition
from adapters.store.location import Location
from adapters.store.log_reading import LogReader
from adapters.store.metric_series import MetricSeriesStore
from server.bootstrap import now_ms
from tests.benchmarks.made_log import generate
from tests.benchmarks.measure import Row, in_turns, median_ms


def scrapes(new_logs: Callable[[], Sequence[Location]], sizes: Sequence[int], rounds: int) -> list[Row]:
    """A scrape by a server that has scraped before, on each database, in turns on logs of each of ``sizes`` events."""
    logs = [new_logs() for _ in sizes]
    for events, locations in zip(sizes, logs, strict=True):
        for location in locations:
            generate(location, events)
            MetricSeriesStore(location, 60).catch_up()
    return [_row(sizes, same, rounds) for same in zip(*logs, strict=True)]


def _row(sizes: Sequence[int], locations: Sequence[Location], rounds: int) -> Row:
    readers = [LogReader(location, 30, 2) for location in locations]
    told = [Exposition(reader, now_ms, "local", lambda: True) for reader in readers]
    series = [text.text()[0].count(b"\n") for text in told]
    times = in_turns([text.text for text in told], rounds)
    for reader in readers:
        reader.close()
    shown = [
        f"{events}: {median_ms(each):.1f} ms, {lines} lines"
        for events, each, lines in zip(sizes, times, series, strict=True)
    ]
    of_a_line = [median_ms(each) / lines for each, lines in zip(times, series, strict=True)]
    ratio = of_a_line[-1] / of_a_line[0]
    kind = "SQLite" if locations[0].path else "PostgreSQL"
    return Row(
        f"scrape of /prometheus by events in the log, {kind}",
        "; ".join(shown[1:]),
        shown[0],
        f"{ratio:.1f}",
        "< 1.5 for a line",
        ratio < 1.5,
    )
