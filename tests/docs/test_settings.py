"""docs/settings.md says of every setting what the code says, and of nothing else."""

from __future__ import annotations

import pytest

from tests.docs import documents, settings
from tests.docs.documents import Path

SETTINGS = documents.DOCS / "settings.md"


@pytest.mark.parametrize("heading", settings.tables())
def test_every_setting_is_documented_as_it_is(heading: str) -> None:
    documented = documents.rows(documents.section(SETTINGS, f"### {heading}"))

    # `python -m tests.docs.settings` prints the tables as they should be.
    assert documented == settings.tables()[heading]


def test_every_variable_that_is_read_is_documented_and_every_documented_one_is_read() -> None:
    documented = settings.variables(SETTINGS.read_text("utf-8"))

    assert settings.known() - documented == set()
    assert documented - settings.known() - settings.shared() == set()


@pytest.mark.parametrize("document", documents.ALL, ids=lambda path: path.name)
def test_no_document_names_a_variable_that_does_not_exist(document: Path) -> None:
    named = settings.variables(document.read_text("utf-8"))

    assert named - settings.known() - settings.shared() - settings.deployed() == set()
