"""``python without_network.py CODE``: run it in a process that ends at its first connection.

On Linux the kernel ends it (seccomp), whichever library asked, in children too; elsewhere only what
Python's own sockets do is noticed.
"""

import ctypes
import os
import platform
import struct
import sys

CONNECT = {"x86_64": 42, "aarch64": 203}  # the system call behind every connection and look-up
ENDED = 31  # SIGSYS, the signal by which the kernel ends the process


def forbid() -> None:
    """Forbid connections, from this thread and all it starts."""
    number = CONNECT.get(platform.machine()) if sys.platform == "linux" else None
    if number is None or not _filtered(number):
        sys.addaudithook(_refuse)


def _filtered(number: int) -> bool:
    """Install a filter of system calls; return whether this kernel has them."""
    program = b"".join(
        struct.pack("HBBI", *line)
        for line in (
            (0x20, 0, 0, 0),  # load the call's number
            (0x15, 0, 1, number),  # another one: skip a line
            (0x06, 0, 0, 0x80000000),  # SECCOMP_RET_KILL_PROCESS
            (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        )
    )
    lines = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", 4, ctypes.addressof(lines))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_privileges, set_seccomp, filtering = 38, 22, 2
    prctl(no_new_privileges, 1, 0, 0, 0)
    return int(prctl(set_seccomp, filtering, header, 0, 0)) == 0


def _refuse(event: str, _args: object) -> None:
    if event in {"socket.connect", "socket.getaddrinfo"}:
        os._exit(ENDED)


if __name__ == "__main__":
    forbid()
    code = sys.argv.pop(1)
    exec(compile(code, "code", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own tests'
