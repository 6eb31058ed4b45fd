"""voicemesh down: ends the mesh that runs on a state."""

from services.cli.terminal import StateOption, plainly, say
from services.local import foreground, state


@plainly
def down(folder: StateOption = None) -> None:
    """Stop the mesh that runs on this state, and wait until it has stopped."""
    place = state.at(folder)
    pid = foreground.stop(place)
    say(f"nothing runs on {place.folder}" if pid is None else f"stopped (pid {pid})")
