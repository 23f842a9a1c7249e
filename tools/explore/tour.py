# SPDX-License-Identifier: GPL-2.0-only
"""A tour through kubuf that is typed along: run by "make explore".

What stands behind >>> is for the reader to type; more() tells the next step.
The buffers hello (16 pages) and old (8 pages, reserved) are there.
"""
import mmap
import os
import signal
import subprocess

PAGE = mmap.PAGESIZE

STEPS = """
A buffer of the kernel is there, of 16 pages: /dev/kubuf/hello. Map it.

    >>> hello = buffer("hello")

mmap() has given you an address, and nothing else: no page is mapped. See for
yourself. A dot is a page that no page table of user space maps.

    >>> look()
%
Now touch a page. The processor finds nothing in the page table and faults; the
fault handler looks the page up and maps it; the store is done again. You see
none of it, but that the page is mapped now.

    >>> hello[5 * PAGE] = ord("A")
    >>> look()
%
The kernel has an address of its own for the same memory. pread() has it load
from there. Nobody has copied your byte to where it finds it.

    >>> kernel_loads("hello", 5 * PAGE)

And the other way round: the kernel stores, and you load.

    >>> kernel_stores("hello", 5 * PAGE, b"B")
    >>> chr(hello[5 * PAGE])
%
The same memory, then, must be the same page frame. The command asks the page
table of a process for its number, and the kernel for its own.

    >>> verify("hello")
%
A child has a copy of your mapping, which the driver is told of: it counts. The
digit says that two page tables map that page now.

    >>> child = fork()
    >>> look()

When the child is gone, so is its mapping.

    >>> end(child)
    >>> look()
%
Drivers used to mark the pages that they gave away as reserved. One buffer here
does so still, to show it: from the first touch on, page by page.

    >>> old = buffer("old")
    >>> old[0] = 1
    >>> old[3 * PAGE] = 1
    >>> look("old")

The last munmap() takes the mark away from all of them.

    >>> old.close()
    >>> look("old")
%
Unmap the first one, too.

    >>> hello.close()
    >>> look()

That was it. The end of input, Ctrl-D, brings you to a shell, where there are
the command kubuf (kubuf --help), perf, strace and all else that this machine
has. Ctrl-D there ends the virtual machine.
""".split("%\n")


def more():
    """Tell the next step."""
    if not STEPS:
        print("There is no more. Ctrl-D brings you to a shell.")
        return
    print(STEPS.pop(0))
    if STEPS:
        print("    >>> more()\n")


def path(name):
    return "/dev/kubuf/" + name


def buffer(name):
    """Map a buffer."""
    fd = os.open(path(name), os.O_RDWR)
    try:
        return mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))
    finally:
        os.close(fd)


def look(name="hello"):
    """Show the pages of a buffer as the kernel has them."""
    subprocess.run(["kubuf", "watch", "--once", name])


def verify(name):
    """Show that both sides have the same frames."""
    subprocess.run(["kubuf", "verify", name])


def kernel_loads(name, offset):
    """What the kernel loads at its own address."""
    fd = os.open(path(name), os.O_RDONLY)
    try:
        return os.pread(fd, 1, offset)
    finally:
        os.close(fd)


def kernel_stores(name, offset, data):
    """Have the kernel store at its own address."""
    fd = os.open(path(name), os.O_WRONLY)
    try:
        os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def fork():
    """A child, which does nothing."""
    pid = os.fork()
    if not pid:
        signal.pause()
    return pid


def end(pid):
    """End a child."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


more()
