"""Links lead somewhere, and what is to be typed exists."""

from __future__ import annotations

import re

import pytest
import typer.main

from services.cli.__main__ import app
from tests.docs import documents
from tests.docs.documents import Path

each_document = pytest.mark.parametrize("document", documents.ALL, ids=lambda path: path.name)


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in documents.links(document.read_text("utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in documents.anchors(target.read_text("utf-8")), link


@each_document
def test_make_targets_exist(document: Path) -> None:
    makefile = (documents.ROOT / "Makefile").read_text("utf-8")
    targets = {name for line in re.findall(r"^([a-z][a-z -]*):", makefile, re.MULTILINE) for name in line.split()}
    text = document.read_text("utf-8")

    named = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text, re.MULTILINE))

    assert named <= targets


@each_document
def test_commands_exist(document: Path) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

    named = set(re.findall(r"(?:`|bin/)voicemesh ([a-z]+)", document.read_text("utf-8")))

    assert named <= commands


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    shown = re.findall(
        r"`((?:services|protos|tests|envoy|examples|deploy|gen|docs)/[\w./-]*)`", document.read_text("utf-8")
    )

    for name in shown:
        assert (documents.ROOT / name).exists(), name


@each_document
def test_no_machine_is_named(document: Path) -> None:
    for line in document.read_text("utf-8").splitlines():
        assert not re.search(r"/work/|/root/|/home/|/tmp/[a-z]", line), line
