# SPDX-License-Identifier: GPL-2.0-only
"""What Python's own modules do with a buffer: programs.py CASE NODE."""

import mmap
import os
import socket
import sys
import tempfile

DATA = bytes((i * 7 + i // 256) % 256 for i in range(64 * 1024))


def equal(have, want, what):
    """As assert, but with the reason, and never optimised away."""
    if have != want:
        sys.exit(f"{what}: {have[:32]!r}, not {want[:32]!r}")


def mapped(fd):
    return mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))


def case_mmap(fd):
    """A store to the mapping is what read() finds, and the other way round."""
    with mapped(fd) as buf:
        buf[4096:4096 + len(DATA)] = DATA
        equal(os.pread(fd, len(DATA), 4096), DATA, "stored, read")
        os.pwrite(fd, b"from write", 5000)
        equal(buf[5000:5010], b"from write", "written, loaded")
        if buf.find(b"from write") != 5000:
            sys.exit("find() did not find it")
        buf.flush()
    # By fstat() a node has no length that this could take.
    try:
        mmap.mmap(fd, 0)
    except (OSError, ValueError):
        return
    sys.exit("mapped without a length")


def case_file(fd):
    """A file object: position, end, and what is short there."""
    with open(fd, "r+b", buffering=0, closefd=False) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - 10)
        if file.write(DATA[:100]) != 10:
            sys.exit("a write over the end was not cut")
        file.seek(size - 10)
        equal(file.read(), DATA[:10], "the last bytes")
        equal(file.read(), b"", "past the end")
    equal(os.preadv(fd, [bytearray(4)], size - 2).to_bytes(1, "big"), b"\2",
          "preadv() over the end")


def case_memoryview(fd):
    """Views, and what the kernel reads into and writes out of them."""
    with mapped(fd) as buf, memoryview(buf) as view:
        view[:len(DATA)] = DATA
        with view[100:200] as part:
            equal(bytes(part), DATA[100:200], "a slice")
            part[::2] = bytes(50)
        want = bytearray(DATA[100:200])
        want[::2] = bytes(50)
        equal(os.pread(fd, 100, 100), bytes(want), "stored through a view")
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(DATA[::-1])
            file.seek(0)
            with view[8192:8192 + len(DATA)] as part:
                if file.readinto(part) != len(DATA):
                    sys.exit("readinto() was short")
                equal(os.pread(fd, len(DATA), 8192), DATA[::-1], "readinto()")
        with view.cast("I") as words:
            words[3] = 0x04030201
        equal(os.pread(fd, 4, 12), (0x04030201).to_bytes(4, sys.byteorder),
              "a word")


def all_of(send, length):
    """Call it until it has done that much: sendfile() and recv() may be short."""
    done = 0
    while done < length:
        n = send(done, length - done)
        if not n:
            sys.exit(f"ended at {done} of {length}")
        done += n


def case_sendfile_socket(fd):
    os.pwrite(fd, DATA, 4096)
    left, right = socket.socketpair()
    with left, right:
        child = os.fork()
        if not child:
            right.close()
            all_of(lambda at, n: os.sendfile(left.fileno(), fd, 4096 + at, n),
                   len(DATA))
            os._exit(0)
        left.close()
        have = bytearray()
        while piece := right.recv(8192):
            have += piece
        if os.waitpid(child, 0)[1]:
            sys.exit("the sender failed")
        equal(bytes(have), DATA, "received")


def case_sendfile_file(fd):
    os.pwrite(fd, DATA, 8192)
    with tempfile.TemporaryFile(buffering=0) as file:
        all_of(lambda at, n: os.sendfile(file.fileno(), fd, 8192 + at, n),
               len(DATA))
        equal(os.pread(file.fileno(), len(DATA) + 1, 0), DATA, "the file")
        # And back, to another place.
        os.lseek(fd, 100000, os.SEEK_SET)
        all_of(lambda at, n: os.sendfile(fd, file.fileno(), at, n), len(DATA))
        equal(os.pread(fd, len(DATA), 100000), DATA, "the buffer")


def receive(sock):
    """The other end of case_send_fds(): map what comes, check it, answer."""
    message, fds, _, _ = socket.recv_fds(sock, 16, 1)
    with mapped(fds[0]) as buf:
        ok = message == b"here" and buf[:len(DATA)] == DATA
        buf[:len(DATA)] = DATA[::-1]
    return 0 if ok else 1


def case_send_fds(fd):
    os.pwrite(fd, DATA, 0)
    left, right = socket.socketpair()
    with left, right:
        child = os.fork()
        if not child:
            os.close(fd)
            os._exit(receive(right))
        socket.send_fds(left, [b"here"], [fd])
        if os.waitpid(child, 0)[1]:
            sys.exit("the receiver found something else")
    equal(os.pread(fd, len(DATA), 0), DATA[::-1], "the answer")


def main():
    fd = os.open(sys.argv[2], os.O_RDWR)
    globals()["case_" + sys.argv[1]](fd)
    os.close(fd)


main()
