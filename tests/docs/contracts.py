"""The contracts as tables for docs/api.md: `python -m tests.docs.contracts` prints them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pool

from services.gateway import surface
from services.mesh.contracts import Access
from tests.docs.documents import ROOT

_RPC = re.compile(r"((?:^ +//[^\n]*\n)+)^ +rpc (\w+)\(", re.MULTILINE)
_SERVICE = re.compile(r"^service (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
HEAD = "| method | REST | credential | what it does | errors |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Said:
    """What the comment above a method says."""

    first: str
    """Its first sentence, without the method's name."""
    errors: str


def said(protos: Path = ROOT / "protos" / "voicemesh") -> dict[str, Said]:
    """The comments of all methods, by `VoiceService.CreateVoice`."""
    found = {}
    for file in sorted(protos.rglob("*.proto")):
        for service, body in _SERVICE.findall(file.read_text("utf-8")):
            for comment, method in _RPC.findall(body):
                found[f"{service}.{method}"] = _said(comment, method)
    return found


def tables() -> dict[str, list[str]]:
    """A row for each method, by the name of its service."""
    comments, found, shown = said(), dict[str, list[str]](), surface.read()
    for module in shown.modules:
        import_module(module)  # So that the pool has what it describes.
    for method in shown.methods:
        service, name = method.contract.rpartition(".")[2], method.path.rpartition("/")[2]
        comment = comments[f"{service}.{name}"]
        cells = (f"`{name}`", _rest(method), _credential(method), comment.first, comment.errors or "–")
        found.setdefault(service, []).append("| " + " | ".join(cells) + " |")
    return found


def _said(comment: str, method: str) -> Said:
    lines = [line.strip().removeprefix("//").strip() for line in comment.splitlines()]
    paragraphs = [" ".join(part.split()) for part in "\n".join(lines).split("\n\n")]
    errors = next((part.removeprefix("Errors: ").rstrip(".") for part in paragraphs if part.startswith("Errors:")), "")
    words = paragraphs[0].removeprefix(f"{method} ")
    first = words.split(". ")[0].rstrip(".")
    return Said(first, errors)


def _rest(method: surface.Method) -> str:
    if not method.rule.routes:
        return "–"
    service = descriptor_pool.Default().FindServiceByName(method.contract)
    http = service.methods_by_name[method.path.rpartition("/")[2]].GetOptions().Extensions[annotations_pb2.http]
    routes = ", ".join(f"`{verb} {_plain(path)}`" for verb, path in method.rule.routes)
    return f"{routes}, body: `{http.body}`" if http.body not in ("", "*") else routes


def _plain(path: str) -> str:
    """`/v1/voices/{voice}:watch` for `/v1/{name=voices/*}:watch`."""

    def shown(match: re.Match[str]) -> str:
        parts = match.group(1).split("/")
        names = {"voices": "voice", "files": "file", "speeches": "speech", "users": "user", "receipts": "receipt"}
        return "/".join(f"{{{names[parts[at - 1]]}}}" if part == "*" else part for at, part in enumerate(parts))

    return re.sub(r"\{[\w.]+=([^}]*)\}", shown, path)


def _credential(method: surface.Method) -> str:
    if method.rule.access == Access.PUBLIC:
        return "none"
    if method.rule.access == Access.INTERNAL:
        return f"processes of the mesh: {', '.join(sorted(method.rule.peers))}"
    return ", ".join(f"`{scope}`" for scope in sorted(method.rule.scopes)) or "any"


if __name__ == "__main__":
    for service, lines in tables().items():
        print(f"### {service}\n\n{HEAD}", *lines, "", sep="\n")
