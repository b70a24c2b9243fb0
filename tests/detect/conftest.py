"""The public rules, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.detect.sigma.document import Document, documents
from tocsin.detect.sigma.rule import load_rule
from tocsin.model.rule import Rule

_PRODUCTS = {"linux", "aws", "kubernetes"}


@pytest.fixture(scope="session")
def sigma_documents(public_data: Path) -> list[Document]:
    """Every public rule whose product is linux, aws or kubernetes."""
    found = []
    for path in sorted((public_data / "sigma").rglob("*.yml")):
        for document in documents(path.read_text("utf-8"), str(path)):
            source = document.content.get("logsource")
            if isinstance(source, dict) and source.get("product") in _PRODUCTS:
                found.append(document)
    return found


@pytest.fixture(scope="session")
def sigma_rules(sigma_documents: list[Document]) -> list[Rule]:
    """The same, compiled."""
    return [load_rule(document) for document in sigma_documents]
