"""A listening socket's last moments: those who have connected are accepted, nobody else begins to.

Closing a listening socket resets whoever is in its backlog, though they may have sent a request; so a service
that ends stops hearing newcomers first, accepts the rest, and closes then.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from array import array

# From Linux' <asm-generic/socket.h>; the socket module of Python 3.11 does not name it.
_SO_ATTACH_FILTER = 26
# In the language of the kernel's packet filters (linux/filter.h: code, two jumps, operand): load the byte of
# TCP's flags, keep SYN and ACK; SYN alone is dropped (keep 0 bytes), all else let through.
_FILTER = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0x40000))
# `tcp_info` up to `tcpi_unacked`, which of a listening socket is the length of its backlog.
_INFO = struct.Struct("8B5I")


def hear_no_newcomers(listener: socket.socket) -> None:
    """Let connections that are being made be made, and begin no others; does nothing where it cannot.

    The clients kept out hear nothing, try again within a second or so, and are refused then.
    """
    program = array("B", b"".join(struct.pack("HBBI", *each) for each in _FILTER))
    said = struct.pack("HP", len(_FILTER), program.buffer_info()[0])
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, said)


def waiting(listener: socket.socket) -> int:
    """How many connections wait to be accepted; 0 where the system does not tell."""
    try:
        return int(_INFO.unpack(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))[-1])
    except (AttributeError, OSError):
        return 0


def refuse(listener: socket.socket) -> None:
    """Refuse newcomers from now on, for all processes that hold this socket."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
