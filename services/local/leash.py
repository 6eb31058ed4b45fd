"""Runs a program that dies with the process that started it: `python -I -S leash.py [options] -- program …`.

A program of its own rather than a preexec function: forking a process that has threads (gRPC has) runs
Python code in a child whose locks may be held for ever. Nothing but the standard library is imported,
because it runs without site-packages and is on the path of every start.
"""

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.local.accounts import Account

PR_SET_PDEATHSIG = 1


def command(
    program: Sequence[str | Path], *, signal: int, parent: int | None = None, account: "Account | None" = None
) -> list[str]:
    """The command line that runs `program` on a leash held by `parent`, as `account` if given."""
    held = [sys.executable, "-I", "-S", __file__, f"--signal={int(signal)}", f"--parent={parent or os.getpid()}"]
    if account is not None:
        held += [f"--uid={account.uid}", f"--gid={account.gid}"]
    return [*held, "--", *map(str, program)]


def die_with_parent(signal: int, parent: int) -> None:
    """Asks the kernel to signal this process when the thread that started it ends (Linux only)."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the request was in place; then no signal will ever come.
    if os.getppid() != parent:
        os._exit(1)


def become(uid: int, gid: int) -> None:
    """Gives up root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main() -> None:
    """Leashes this process and becomes the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    if arguments.uid is not None:
        become(arguments.uid, arguments.gid)
    # After the change of user: the kernel forgets the request at one.
    die_with_parent(arguments.signal, arguments.parent)
    try:
        os.execvp(arguments.program[0], arguments.program)  # noqa: S606 - what it is for
    except OSError as error:
        sys.exit(f"cannot run {arguments.program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
