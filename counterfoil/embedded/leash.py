"""Run by path, before a child's own program: binds the child to the life of the process that started it.

    python leash.py PARENT_PID DEATH_SIGNAL USER_ID PROGRAM ARGUMENT...

Linux sends the child DEATH_SIGNAL when its parent is gone, however it went, SIGKILL included. It has to be asked for in
the child, after a change of user (which forgets it) and before exec (which keeps it); a program of its own
does that without running Python between fork and exec of the parent. USER_ID "-" keeps the user.
Imports nothing of ours, so that it starts in a few milliseconds.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, user: str, *command: str) -> None:
    """Never returns: becomes the program, or ends with a message on stderr."""
    if user != "-":
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            sys.exit(f"PR_SET_PDEATHSIG was refused: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the process that started this one has already gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
