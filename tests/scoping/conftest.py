"""A scoping document with every question answered, and a way to change one line of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlproj.scoping.document import Document, load

ANSWERED = """\
---
# what we promise
problem:
  statement: Customers leave before anyone notices.
  owner: head of customer care  # decides
  wishes: [fewer customers leave]
solution:
  statement: 'A monthly list of customers likely to leave.'
  approach: build
  alternatives: [a rule on tenure]
feasibility:
  benchmark: {kind: simple-model, metric: recall, value: 0.4, source: "rule on tenure, 2026"}
  human_could_do_it: true
  predictive_features: tenure and complaints come before leaving
  verdict: go
ethics:
  net_positive: customers get better offers
  fairness: recall is compared between age groups
  concerns_aired: none but price discrimination, which is ruled out
targets:
  ml:
    - metric: recall
      at_least: 0.75
      split: test
      slices: [gender]
      slice_margin: 0.05
    - {metric: precision, at_least: 0.5, class: "Yes", with_confidence: 0.95}
  software:
    - {metric: latency_p95_ms, at_most: 50}
  business:
    - metric: retained_customers_per_month
      at_least: 150
      linked_to: recall
automation: assist
milestones:
  - {name: good enough, due: 2026-12-15, needs: [recall, latency_p95_ms]}
resources:
  data: the billing records
  people: two for three months
  compute: one machine
  budget: 10,000
approvals: []  # `mlproj approve` writes here
---

# Scoping

A line that says TODO in the prose asks nothing.
"""

Loaded = Callable[..., Document]


@pytest.fixture
def answered() -> str:
    return ANSWERED


@pytest.fixture
def scoping(tmp_path: Path) -> Path:
    path = tmp_path / "scoping.md"
    path.write_text(ANSWERED, encoding="utf-8")
    return path


@pytest.fixture
def changed(scoping: Path) -> Loaded:
    """Load the answered document with one piece of it replaced; `**known` is what is known of the data."""

    def load_changed(old: str, new: str, **known: object) -> Document:
        assert ANSWERED.count(old) == 1, f"{old!r} must be in the document once"
        scoping.write_bytes(ANSWERED.replace(old, new).encode())
        return load(scoping, **known)  # type: ignore[arg-type]

    return load_changed
