"""What `make audit` counts on, without the tools that take long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security import audit
from tests.security.audit import Finding


def test_every_dependency_is_one_version_with_its_hashes() -> None:
    assert len(audit.LOCKS) >= 4
    assert audit.pins() == []


@pytest.mark.parametrize(
    "line",
    ["requests>=2", "requests==2.0", "git+https://a.test/b", "a @ https://a.test/a.whl", "-f b"],
)
def test_anything_else_in_a_lock_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    (tmp_path / "a.lock").write_text(f"{line}\n")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "LOCKS", [tmp_path / "a.lock"])

    assert [found.line for found in audit.pins()] == [1]


def test_a_finding_is_explained_where_the_page_says_so_and_nowhere_else() -> None:
    rows = audit.explanations()

    assert Finding("B608", "services/voice/store/rows.py", 1, "").explained(rows)
    assert not Finding("B608", "services/voice/voices.py", 1, "").explained(rows)
    assert not Finding("B602", "services/voice/store/rows.py", 1, "").explained(rows)


def test_a_secret_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "-----BEGIN " + "PRIVATE KEY-----"
    (tmp_path / "settings.py").write_text(f'SIGNER = """{key}\nMC4CAQAwBQYDK2VwBCIEIA\n"""\n')
    monkeypatch.setattr(audit, "tracked", lambda: ["settings.py"])
    monkeypatch.setattr(audit, "ROOT", tmp_path)

    assert [found.kind for found in audit.secrets()] == ["Private Key"]
