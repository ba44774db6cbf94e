"""The alerts are about metrics that there are, and each says where to read on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from commandside.metrics import WriterMetrics
from commandside.payments.metrics import CircuitMetrics
from tests.rules.sources import PROJECT

ALERTS = PROJECT / "ops" / "prometheus" / "alerts.yml"
METRIC = re.compile(r"\bcounterfoil_\w+")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known_metrics() -> set[str]:
    registry = CollectorRegistry()
    WriterMetrics(registry), CircuitMetrics(registry)
    return {sample.name for metric in registry.collect() for sample in metric.samples}


def unknown_metrics(expression: str) -> set[str]:
    return set(METRIC.findall(expression)) - known_metrics()


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_alert_is_about_a_metric_that_there_is() -> None:
    assert rules()
    for rule in rules():
        assert METRIC.search(rule["expr"]), rule
        assert unknown_metrics(rule["expr"]) == set()


def test_every_alert_says_what_it_is_and_where_to_read_on() -> None:
    for rule in rules():
        page, _, anchor = rule["annotations"]["page"].partition("#")
        assert anchor in anchors(PROJECT / page)
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_a_metric_that_there_is_not_is_found() -> None:
    assert unknown_metrics("max(counterfoil_payments_circuit_opn) == 1") == {"counterfoil_payments_circuit_opn"}
