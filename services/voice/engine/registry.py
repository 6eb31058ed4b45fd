"""Which engines there are, and how one is loaded: by name, through the entry points of what is installed.

A package brings an engine by naming, in the group `voicemesh.engines`, a callable that loads it:

    [project.entry-points."voicemesh.engines"]
    my-engine = "my_package.engine:load"

It is called as a `Loader`, in the process that will speak, and may raise EngineError.
"""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Protocol

from .errors import EngineUnknown, EngineUnusable
from .port import Engine

GROUP: Final = "voicemesh.engines"
DEFAULT: Final = "kokoro-v1"
_BUILT_IN: Final = EntryPoint(name=DEFAULT, value="services.voice.engine.clone:load", group=GROUP)
"""The default is there too where this package's own entry points cannot be read, as in a tree that is not installed."""


class Loader(Protocol):
    """Loads an engine."""

    def __call__(self, *, models: Path | None, threads: int) -> Engine:
        """The engine, its models loaded from the folder, or from where it keeps them; `threads` for its work."""
        ...


def names() -> list[str]:
    """The names of all engines that are installed."""
    return sorted({DEFAULT, *(entry.name for entry in entry_points(group=GROUP))})


def load(name: str, *, models: Path | None = None, threads: int = 1) -> Engine:
    """The engine of this name.

    Raises EngineUnknown; EngineUnusable where what it needs is not installed; and what its loader raises, such as
    AssetMissing.
    """
    loader = _loader(find(name))
    return loader(models=models, threads=threads)


def find(name: str) -> EntryPoint:
    """Where the engine of this name is; nothing of it is imported. Raises EngineUnknown."""
    found = list(entry_points(group=GROUP, name=name)) or [each for each in (_BUILT_IN,) if each.name == name]
    if not found:
        raise EngineUnknown(f"there is no voice engine {name!r}; installed are: {', '.join(names())}", engine=name)
    if len({entry.value for entry in found}) > 1:
        raise EngineUnknown(f"several packages bring a voice engine {name!r}", engine=name)
    return found[0]


def _loader(entry: EntryPoint) -> Loader:
    try:
        loader: Loader = entry.load()
    except (ImportError, AttributeError) as error:
        raise EngineUnusable(f"the voice engine {entry.name!r} cannot be loaded: {error}", engine=entry.name) from error
    return loader
