"""What a scrape costs, on a short log and on long ones."""

from collections.abc import Sequence

from adapters.prometheus import Exposition
from adapters.store.location import Location
from adapters.store.log_reading import LogReader
from adapters.store.metric_series import MetricSeriesStore
from server.bootstrap import now_ms
from tests.benchmarks.labels import label_of
from tests.benchmarks.measure import Row, in_turns, median_ms, ratio_below


def scrapes(sizes: Sequence[int], locations: Sequence[Location], rounds: int) -> list[Row]:
    """A scrape by a server that has scraped before, in turns on made logs of each of ``sizes`` events, small first.

    What a line costs is compared, since a short log has seen fewer tools and callers and so has fewer series.
    """
    for location in locations:
        MetricSeriesStore(location, 60).catch_up()
    readers = [LogReader(location, 30, 2) for location in locations]
    told = [Exposition(reader, now_ms, "local", lambda: True) for reader in readers]
    lines = [text.text()[0].count(b"\n") for text in told]
    taken = list(map(median_ms, in_turns([text.text for text in told], rounds)))
    for reader in readers:
        reader.close()
    least, *of_a_line = (ms * 1000 / count for ms, count in zip(taken, lines, strict=True))
    return [
        Row(
            what=f"scrape of /prometheus, {label_of(location, events)}",
            ours=ours,
            unit="µs a line",
            floor=least,
            floor_is=f"{sizes[0]:,} events, {taken[0]:.1f} ms",
            aim=ratio_below(1.5),
            note=f"{ms:.1f} ms, {count:,} lines",
        )
        for location, events, ours, ms, count in zip(
            locations[1:], sizes[1:], of_a_line, taken[1:], lines[1:], strict=True
        )
    ]
