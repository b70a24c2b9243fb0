"""Sigma files become rules."""

from __future__ import annotations

from collections import Counter

import pytest

from tocsin.detect.sigma import Document
from tocsin.model.rule import Rule


@pytest.mark.data
def test_every_public_rule_of_our_products_loads(sigma_documents: list[Document], sigma_rules: list[Rule]) -> None:
    """All 321 rules for linux, aws and kubernetes load, none dropped."""
    products = Counter(rule.logsource.product for rule in sigma_rules)
    assert products == {"linux": 248, "aws": 57, "kubernetes": 16}
    assert len(sigma_rules) == len(sigma_documents) == 321
