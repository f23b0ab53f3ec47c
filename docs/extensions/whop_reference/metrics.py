"""The table of the metrics, from a registry that ``WhopMetrics`` has filled."""

from __future__ import annotations

from flask import Flask
from flask_whop.prometheus import StoreCollector, WhopMetrics
from prometheus_client import CollectorRegistry, Counter, Histogram

from whop_reference.text import cell, table

_TOP = """\
# Metrics

`WhopMetrics(app)` from `flask_whop.prometheus` registers these, with `pip install "flask-whop[prometheus]"`. A
histogram has the usual `_bucket`, `_sum` and `_count`.

"""

_STORE = """
These are asked of the store at each scrape, and are the same from every process. With several processes, register
`StoreCollector(app)` on the registry that you expose.

"""


def page() -> str:
    """Return the page."""
    app = Flask("docs")
    registry = CollectorRegistry()
    kept = WhopMetrics(app, registry)
    counted = [value for value in vars(kept).values() if isinstance(value, (Counter, Histogram))]
    rows = [
        (
            f"`{family.name}{'_total' if isinstance(metric, Counter) else ''}`",
            family.type,
            ", ".join(f"`{label}`" for label in metric._labelnames),  # noqa: SLF001  # it tells them in no other way
            cell(family.documentation),
        )
        for metric in counted
        for family in metric.describe()
    ]
    gauges = [(f"`{gauge.name}`", cell(gauge.documentation)) for gauge in StoreCollector(app).describe()]
    return (
        _TOP
        + table(("metric", "kind", "labels", "what it counts"), rows)
        + _STORE
        + table(("metric", "what it shows"), gauges)
    )
