"""The settings as tables for docs/settings.md: `python -m tests.docs.settings` prints them."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import typer.main
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.cli.__main__ import app
from services.mesh.settings import MeshSettings
from tests.docs.documents import ROOT

SERVICES = ("auth", "user", "storage", "voice", "gateway")
COMMANDS = ("up", "envoy config")
HEAD = "| variable | default | what it is |\n|---|---|---|"
COMMAND_HEAD = "| option | variable | default | what it is |\n|---|---|---|---|"
_NAME = re.compile(r"\bVOICEMESH_[A-Z]+(?:_[A-Z]+)*\b(?![_{<])")


def tables() -> dict[str, list[str]]:
    """A row for each setting, by the heading that it stands under."""
    found = {"Every service": [row("VOICEMESH_<SERVICE>_", *field) for field in MeshSettings.model_fields.items()]}
    for service in SERVICES:
        settings: type[MeshSettings] = import_module(f"services.{service}.settings").Settings
        prefix = settings.model_config.get("env_prefix", "")
        own = {
            name: field for name, field in settings.model_fields.items() if name in vars(settings)["__annotations__"]
        }
        found[service] = [row(prefix, *field) for field in own.items()]
    for command in COMMANDS:
        found[f"voicemesh {command}"] = [option(param) for param in parameters(command) if param.envvar]
    return found


def row(prefix: str, name: str, field: FieldInfo) -> str:
    """The row of a setting of a service."""
    description = " ".join((field.description or "").split())
    return f"| `{prefix}{name.upper()}` | {_default(field)} | {description} |"


def option(param: Any) -> str:
    """The row of an option of a command."""
    shown = param.show_default if isinstance(param.show_default, str) else param.default
    default = "–" if shown in (None, "") else f"`{shown}`" if shown is param.default else shown
    if param.required:
        default = "required"
    return f"| `{param.opts[0]}` | `{param.envvar}` | {default} | {param.help} |"


def parameters(command: str) -> list[Any]:
    """The options of a command."""
    found: Any = typer.main.get_command(app)
    for part in command.split():
        found = found.commands[part]
    return list(found.params)


def known() -> set[str]:
    """Every variable that a program of ours reads, but for those of `shared`."""
    named = {variable for lines in tables().values() for line in lines for variable in variables(line)}
    sources = [ROOT / "Makefile", *sorted((ROOT / "services").rglob("*.py"))]
    found = {name for source in sources for name in variables(source.read_text("utf-8"))}
    return named | (found - shared())


def deployed() -> set[str]:
    """What the files for compose and the like set or read besides."""
    files = [path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.stat().st_size < 1 << 20]
    return {name for path in files for name in variables(path.read_text("utf-8", "replace"))}


def shared() -> set[str]:
    """What every service reads, under the name that it has for each."""
    fields = [name.upper() for name in MeshSettings.model_fields]
    return {f"VOICEMESH_{service.upper()}_{field}" for service in SERVICES for field in fields}


def variables(text: str) -> set[str]:
    """The full names of variables in a text."""
    return set(_NAME.findall(text))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        shown = "required"
    elif field.default is None:
        shown = "unset"
    elif field.default == "":
        shown = "empty"
    elif isinstance(field.default, tuple):
        shown = "`[" + ", ".join(f'"{each}"' for each in field.default) + "]`"
    else:
        assert not isinstance(field.default, SecretStr), "secrets have no default"
        shown = f"`{field.default}`"
    limits = {type(each).__name__: getattr(each, type(each).__name__.lower()) for each in _limits(field)}
    signs = {"Ge": "≥", "Gt": ">", "Le": "≤"}
    told = ", ".join(f"{signs[kind]} {value}" for kind, value in limits.items())
    return f"{shown} ({told})" if told else shown


def _limits(field: FieldInfo) -> list[Any]:
    return [each for each in field.metadata if type(each).__name__ in ("Ge", "Gt", "Le")]


if __name__ == "__main__":
    for heading, lines in tables().items():
        head = COMMAND_HEAD if heading.startswith("voicemesh ") else HEAD
        print(f"### {heading}\n\n{head}", *lines, "", sep="\n")
