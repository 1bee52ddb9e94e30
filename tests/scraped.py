"""What a scrape tells, read by the parsers of Prometheus's own client library."""

from collections.abc import Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.samples import Exemplar

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"}
"""As Prometheus asks."""


class Scraped:
    """The samples of one answer."""

    def __init__(self, text: bytes, content_type: str = "text/plain; version=0.0.4; charset=utf-8") -> None:
        if content_type.startswith("application/openmetrics-text; version=1.0.0"):
            self.families: list[Metric] = list(openmetrics(text.decode()))
        else:
            assert content_type == "text/plain; version=0.0.4; charset=utf-8"
            self.families = list(plain(text.decode()))
        self._samples = [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """The names of all metrics as they are declared."""
        return {f"{family.name}_total" if family.type == "counter" else family.name for family in self.families}

    def values(self, name: str) -> Mapping[tuple[str, ...], float]:
        """The samples of a name, by the values of their labels in the order of the labels' names."""
        found = [(_values(sample.labels), sample.value) for sample in self._samples if sample.name == name]
        assert len(dict(found)) == len(found), "a sample is there twice"
        return dict(found)

    def value(self, name: str, *labels: str) -> float:
        return self.values(name)[labels]

    def exemplars(self) -> list[tuple[dict[str, str], float, Exemplar]]:
        """Labels, value and exemplar of each sample that has one."""
        return [(each.labels, each.value, each.exemplar) for each in self._samples if each.exemplar]

    def labels(self, label: str) -> set[str]:
        """All values of a label."""
        return {sample.labels[label] for sample in self._samples if label in sample.labels}


def _values(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels[name] for name in sorted(labels))
