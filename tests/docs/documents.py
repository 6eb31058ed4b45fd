"""The documents as data: their tables, their links, and the commands in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
ALL = sorted([README, ROOT / "CHANGELOG.md", *DOCS.glob("*.md")])

_CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def section(document: Path, heading: str) -> str:
    """What stands under a heading, up to the next of the same level or above."""
    level, lines, inside, fenced = len(heading.split()[0]), list[str](), False, False
    for line in document.read_text("utf-8").splitlines(keepends=True):
        fenced ^= line.startswith("```")
        title = re.match(r"#+ ", line) if not fenced else None
        if inside and title and len(title.group().strip()) <= level:
            break
        if inside:
            lines.append(line)
        inside = inside or (title is not None and line.rstrip() == heading)
    assert inside, f"{document.name} has no {heading!r}"
    return "".join(lines)


def code(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return [block for marked, block in _CODE.findall(text) if marked == language]


def prose(text: str) -> str:
    """A text without its code blocks."""
    return _CODE.sub("", text)


def links(text: str) -> list[str]:
    """Where the links of a text lead."""
    return _LINK.findall(prose(text))


def rows(text: str) -> list[str]:
    """The rows of a text's tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = {index for index, line in enumerate(lines) if re.fullmatch(r"[|\s:-]+", line)}
    return [line for index, line in enumerate(lines) if index not in rules and index + 1 not in rules]


def anchors(text: str) -> set[str]:
    """The names by which a document's headings can be linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
