"""Every statement on what people own names its owner, or stands here with the reason why it need not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "services"
STORES = sorted(path for path in ROOT.rglob("*.py") if path.stem == "store" or path.parent.name == "store")
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
OWNER = re.compile(r"\b(owner|account)\b")

WITHOUT: dict[str, str] = {
    "auth/store.py: account_by_email": "signing in: nobody is known yet, and the address is the question",
    "auth/store.py: add_account": "registering: there is no owner yet",
    "auth/store.py: account": "the account itself, by the id of the caller",
    "auth/store.py: first_key_or": "keys belong to the platform",
    "auth/store.py: signing_keys": "keys belong to the platform",
    "storage/store.py: reserve": "bytes that no row names, under an id that was made just now",
    "storage/store.py: renew": "bytes that no row names, under the id of the running upload",
    "storage/store.py: claim_discards": "the sweep: bytes that no row names",
    "storage/store.py: forget_discard": "the sweep: bytes that no row names",
    "voice/store/rows.py: defer": "within the transaction that made or locked the owner's row",
    "voice/store/rows.py: begin": "the worker's: names the attempt of the job",
    "voice/store/rows.py: progress": "the worker's: names its run",
    "voice/store/rows.py: _fail": "the worker's: names its run or attempt",
    "voice/store/refinements.py: stop_within": "within the transaction that locked the owner's row",
    "voice/store/refinements.py: material": "the worker's, of the job that it holds",
    "voice/store/refinements.py: refined": "the worker's: names its run",
    "voice/store/receipts.py: of_audio": "whoever has the audio may ask where it comes from, by its digest",
    "voice/store/receipts.py: of_sound": "whoever has the audio may ask where it comes from, by its digest",
    "voice/store/speeches.py: wants": "the worker's: names the attempt of the job",
}
"""Functions with a statement that names no owner."""


def functions() -> Iterator[tuple[str, str]]:
    """Every function of a store that has SQL: `voice/store/rows.py: begin`, and its SQL."""
    for path in STORES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                words = [
                    each.value
                    for statement in body
                    for each in ast.walk(statement)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ]
                text = " ".join(words)
                if STATEMENT.search(text):
                    yield f"{path.relative_to(ROOT)}: {node.name}", text


FOUND = dict(functions())


def test_there_is_something_to_walk() -> None:
    assert len(FOUND) > 30


def test_every_statement_names_the_owner() -> None:
    without = {name for name, text in FOUND.items() if not OWNER.search(text)}

    assert without <= WITHOUT.keys(), "name the owner, or give the reason in WITHOUT why not"


def test_every_exception_is_still_needed() -> None:
    assert {name for name in WITHOUT if name not in FOUND or OWNER.search(FOUND[name])} == set()


def test_values_are_never_written_into_a_statement() -> None:
    """What is put into SQL text is a constant of the module, a table, or a condition with placeholders."""
    allowed = re.compile(r"(self\._(table|select|select_listed)|_[A-Z_]+|which|where|text|column|', '[.]join.*)")
    found = []
    for path in STORES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr) and STATEMENT.search(ast.unparse(node)):
                parts = [ast.unparse(each.value) for each in node.values if isinstance(each, ast.FormattedValue)]
                found += [f"{path.relative_to(ROOT)}: {part}" for part in parts if not allowed.fullmatch(part)]

    assert found == []
