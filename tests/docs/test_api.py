"""docs/api.md names every method, path, scope, error and reason, and none that does not exist."""

from __future__ import annotations

import re

import pytest
from voicemesh.voice.v1 import speech_pb2

from services.gateway import surface
from services.gateway.settings import Settings as GatewaySettings
from services.local.envoy import IDLE_SECONDS, PAGES, SIGN_INS_PER_MINUTE, UNARY_SECONDS, Patience
from services.mesh.contracts import Budget
from services.mesh.pages import DEFAULT_SIZE, LARGEST_SIZE
from services.mesh.server import LARGEST_MESSAGE
from services.storage.settings import Settings as StorageSettings
from services.voice.engine.encoders import FORMATS
from tests.docs import contracts, documents, reasons

API = documents.DOCS / "api.md"
ENGINE = documents.DOCS / "engine.md"


def first_cells(text: str) -> set[str]:
    """The names in the first cells of a text's tables."""
    return {name for row in documents.rows(text) for name in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.mark.parametrize("service", contracts.tables())
def test_every_method_is_documented_as_its_contract_says(service: str) -> None:
    documented = documents.rows(documents.section(API, f"### {service}"))

    # `python -m tests.docs.contracts` prints the tables as they should be.
    assert documented == contracts.tables()[service]


def test_the_reasons_of_errors_are_those_of_the_code() -> None:
    documented = first_cells(documents.section(API, "### Reasons"))

    assert documented == reasons.of_errors()


def test_the_reasons_in_the_contracts_are_documented() -> None:
    named = {name for each in contracts.said().values() for name in re.findall(r"\(([A-Z_, ]+)", each.errors)}
    flat = {name for group in named for name in re.findall(r"[A-Z_]{3,}", group)}

    assert flat
    assert flat <= first_cells(documents.section(API, "### Reasons"))


def test_the_reasons_of_failures_are_those_of_the_code() -> None:
    documented = first_cells(documents.section(API, "### Why a voice or a speech FAILED"))

    assert documented == reasons.of_failures()


def test_the_notes_of_a_report_are_those_of_the_code() -> None:
    assert first_cells(documents.section(ENGINE, "## What the report says")) == reasons.notes()


def test_formats_and_their_sample_rates_are_those_that_the_contract_and_the_engine_allow() -> None:
    contract = (documents.ROOT / "protos/voicemesh/voice/v1/speech.proto").read_text("utf-8")
    allowed = {int(rate) for rate in re.findall(r"\d+", contract.split("in: [")[1].split("]")[0])} - {0}
    documented = {}
    for row in documents.rows(documents.section(API, "## Formats")):
        name, media, rates, usual = (cell.strip() for cell in row.strip("|").split("|"))
        documented[re.findall(r"`(\w+)`", name)[0]] = (media.strip("`"), {*map(int, rates.split(", "))}, int(usual))
    expected = {}
    for value in speech_pb2.AudioConfig.DESCRIPTOR.enum_types_by_name["Format"].values:
        if value.number:
            form = FORMATS[value.name.lower()]
            expected[value.name] = (form.content_type, allowed & {*form.sample_rates}, form.codec_rate or 24000)

    assert documented == expected


def test_the_limits_are_those_of_the_code() -> None:
    text = documents.section(API, "## Limits")

    assert StorageSettings.model_fields["largest_file_bytes"].default == 100 << 20
    assert "| 100 MiB" in text
    assert LARGEST_MESSAGE == 4 << 20
    assert "| 4 MiB |" in text
    assert f"| {UNARY_SECONDS} seconds |" in text
    assert f"| {IDLE_SECONDS} seconds |" in text
    assert f"| {Patience().headers_seconds} seconds for the head" in text
    assert f", {Patience().unary_seconds} for the whole" in text
    assert f"`page_size` is {DEFAULT_SIZE} if unset; over {LARGEST_SIZE} means {LARGEST_SIZE}" in API.read_text("utf-8")


def test_the_rate_limits_are_those_of_the_code() -> None:
    text = documents.section(API, "## Rate limits")
    engine, _, rest = text.partition("The engine works for ")[2].partition(".")
    costly = [method for method in surface.read().exposed if method.rule.budget == Budget.COSTLY]
    rates = [name for name in GatewaySettings.model_fields if name.endswith("_rate")]

    assert set(re.findall(r"`(\w+)`", engine)) == {method.path.rpartition("/")[2] for method in costly}
    assert rest
    for name in rates:
        default = GatewaySettings.model_fields[name].default
        assert re.search(rf"\| {default} \| \S*VOICEMESH_GATEWAY_{name.upper()}\b", text)
    assert f"| {SIGN_INS_PER_MINUTE} a minute |" in text


def test_what_browsers_are_told_is_what_envoy_says() -> None:
    text = documents.section(API, "## For browsers")

    for name, value in PAGES.items():
        assert name == "content-security-policy" or f"`{name}: {value}`" in text
