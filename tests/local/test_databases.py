"""The databases of a state are found whether its mesh runs or not, and those of the environment win."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from services.local import databases, postgres, record, state
from services.local.cluster import erase
from services.local.errors import AlreadyRunningError, LocalError

GIVEN = {f"VOICEMESH_{name}_DATABASE_URL": f"postgresql://{name.lower()}" for name in ("AUTH", "USER", "STORAGE")}


@pytest.fixture
def place(tmp_path: Path):
    """A stopped state with databases."""
    tmp_path.chmod(0o711)
    found = state.at(tmp_path / "state")
    try:
        with postgres.running(found.postgres, options=postgres.FAST):
            pass
        yield found
    finally:
        erase(found.postgres)


def test_a_stopped_state_is_started_for_as_long_as_it_takes(place: state.State) -> None:
    with databases.opened(place, {}) as urls:
        answers = {name: _database(url) for name, url in urls.items()}
        with pytest.raises(AlreadyRunningError), record.hold(place):
            pass

    assert answers == {name: f"voicemesh_{name}" for name in ("auth", "user", "storage", "voice")}
    with pytest.raises(psycopg.OperationalError):
        _database(urls["auth"])


def test_databases_of_the_environment_win(place: state.State) -> None:
    with databases.opened(place, GIVEN) as urls:
        assert urls["auth"] == "postgresql://auth"
        assert _database(urls["voice"]) == "voicemesh_voice"


def test_where_all_are_given_nothing_is_started(tmp_path: Path) -> None:
    given = {**GIVEN, "VOICEMESH_VOICE_DATABASE_URL": "postgresql://voice"}
    with databases.opened(state.at(tmp_path), given) as urls:
        assert list(urls) == ["auth", "user", "storage", "voice"]

    assert not (tmp_path / "postgres").exists()


def test_an_empty_state_has_none(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="there is no database"), databases.opened(state.at(tmp_path), GIVEN):
        pass


def _database(url: str) -> str:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
        assert row is not None
        return row[0]
