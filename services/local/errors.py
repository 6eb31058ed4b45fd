"""What keeps the local mesh from running, said in one line to the person who started it."""


class LocalError(Exception):
    """The local mesh cannot do what was asked; the message is for the person at the terminal."""


class AlreadyRunningError(LocalError):
    """The state directory is in use by a supervisor that is alive."""


class PortTakenError(LocalError):
    """A port that the mesh needs is held by another program."""
