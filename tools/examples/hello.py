#!/usr/bin/env python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""hello: the kernel, this program and another one use the same memory.

    python3 tools/examples/hello.py [BYTES [kmalloc|pages|vmalloc|huge]]

Makes a buffer without a name and maps it. What is stored through the mapping is
what the kernel loads for os.pread(); what the kernel stores for os.pwrite() is
what is loaded through the mapping. A child that gets the file descriptor over a
socket has the same. It needs nothing but Python.
"""

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import sys

# From <linux/kubuf.h>: the number is _IO(0xbc, 0), and struct kubuf_create is
# size, flags, length, backing, node, mode, reserved, name. The kernel wants the
# first to be the size of all, and stores the length that it gave.
KUBUF_CREATE = 0xBC00
CREATE = struct.Struct("=IIQIIII32s")
BACKINGS = {"kmalloc": 1, "pages": 2, "vmalloc": 3, "huge": 4}


@contextlib.contextmanager
def call(name):
    """What fails here is told of by the name of the call."""
    try:
        yield
    except OSError as err:
        sys.exit(f"{sys.argv[0]}: {name}: {err.strerror}")


def say(what, text):
    print(f'{what} "{text.decode()}"', flush=True)


def create(length, backing):
    """A buffer of at least so many bytes: its descriptor, and how many."""
    args = bytearray(CREATE.pack(CREATE.size, 0, length, backing, 0, 0, 0, b""))
    with call("open /dev/kubuf/control"):
        control = os.open("/dev/kubuf/control", os.O_RDWR | os.O_CLOEXEC)
    with call("KUBUF_CREATE"):
        fd = fcntl.ioctl(control, KUBUF_CREATE, args)
    os.close(control)
    return fd, CREATE.unpack(args)[2]


def map_all(fd):
    with call("mmap"):
        return mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))


def run_child(sock):
    """The descriptor comes over the socket; the mapping is the child's own."""
    with call("recv_fds"):
        _, fds, _, _ = socket.recv_fds(sock, 1, 1)
    with map_all(fds[0]) as buf:
        say("child     loads ", buf[:3])
        buf[:5] = b"three"
        say("child     stores", b"three")


def hand_on(fd):
    """Let a child have it, which closes what it has inherited."""
    here, there = socket.socketpair()
    with call("fork"):
        child = os.fork()
    if not child:
        os.close(fd)
        run_child(there)
        sys.exit()
    with call("send_fds"):
        socket.send_fds(here, [b"!"], [fd])
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{sys.argv[0]}: the child failed")


def main():
    size = sys.argv[1] if len(sys.argv) > 1 else "1048576"
    name = sys.argv[2] if len(sys.argv) > 2 else "vmalloc"
    if not (size.isascii() and size.isdigit() and int(size) < 1 << 64):
        sys.exit(f"{sys.argv[0]}: no number of bytes: {size}")
    if name not in BACKINGS:
        sys.exit(f"{sys.argv[0]}: no such backing: {name}")
    fd, length = create(int(size), BACKINGS[name])
    print(f"created   {length} bytes, {name}", flush=True)

    with map_all(fd) as buf:
        buf[:3] = b"one"
        say("mapping   stores", b"one")
        with call("pread"):
            say("pread()   loads ", os.pread(fd, 3, 0))
        with call("pwrite"):
            os.pwrite(fd, b"two", 0)
        say("pwrite()  stores", b"two")
        say("mapping   loads ", buf[:3])
        hand_on(fd)
        say("mapping   loads ", buf[:5])
    os.close(fd)


if __name__ == "__main__":
    main()
