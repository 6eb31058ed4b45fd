"""The rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from services.gateway import surface
from services.mesh.contracts import Access

ROOT = Path(__file__).parents[1]
SERVICES = ("auth", "gateway", "storage", "user", "voice")


def sources() -> list[Path]:
    return sorted((ROOT / "services").rglob("*.py"))


@pytest.mark.parametrize("method", surface.read().methods, ids=lambda method: method.path)
def test_every_method_says_who_may_call_it(method: surface.Method) -> None:
    rule = method.rule

    assert rule.access != Access.ACCESS_UNSPECIFIED
    if rule.access == Access.AUTHENTICATED:
        assert rule.scopes or method.path.endswith("/Logout")
        assert rule.routes
    if rule.access == Access.INTERNAL:
        assert rule.peers
        assert not rule.routes


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_shape(service: str) -> None:
    names = {path.name for path in (ROOT / "services" / service).iterdir()}

    assert {"__init__.py", "__main__.py", "settings.py", "app.py"} <= names
    assert any(name.endswith("servicer.py") for name in names)
    if service != "gateway":
        assert "migrations" in names
        assert names & {"store.py", "store"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for_and_is_one_room(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)) or not text.strip()
    assert len(text.splitlines()) <= 300
    assert not re.search(r"(utils?|helpers?|misc|manager|common)$", path.stem)


def test_sql_stands_in_stores_alone() -> None:
    statement = re.compile(r"\b(SELECT|INSERT INTO|DELETE FROM) ")
    # queue.py installs the schema of a library.
    allowed = ("store", "mesh/postgres.py", "local/", "voice/queue.py")

    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if statement.search(path.read_text()) and not any(each in str(path) for each in allowed)
    ]

    assert found == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    suspicious = re.compile(r"--(extra-)?index-url|https?://(pypi|registry)\.|\"resolved\":|files\.pythonhosted")
    files = [
        name for name in tracked.stdout.splitlines() if not name.startswith("gen/") and name != "tests/test_house.py"
    ]

    found = [
        name
        for name in files
        if (ROOT / name).is_file() and suspicious.search((ROOT / name).read_bytes().decode("utf-8", "replace"))
    ]

    assert found == []
