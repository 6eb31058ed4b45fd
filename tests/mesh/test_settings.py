"""Settings: a bad one is named, and no secret is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = {
    "LISTEN": "127.0.0.1:1",
    "TLS": "/nowhere",
    "DATABASE_URL": "postgresql://127.0.0.1/x",
    "KEY_ENCRYPTION_KEY": "A" * 43 + "=",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "here"),
        ("DATABASE_URL", "my secret garbage"),
        ("KEY_ENCRYPTION_KEY", "my secret key"),
        ("BCRYPT_COST", "many"),
        ("LOG_LEVEL", "loud"),
        ("TLS", None),
    ],
)
def test_a_bad_setting_is_named_and_ends_the_process(name: str, value: str | None) -> None:
    given = {key: each for key, each in {**GOOD, name: value}.items() if each is not None}
    environment = {f"VOICEMESH_AUTH_{key}": each for key, each in given.items()}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gen")])}

    ended = subprocess.run(
        [sys.executable, "-m", "services.auth"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 2
    assert f"VOICEMESH_AUTH_{name}" in ended.stderr
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr
