#!/usr/bin/env python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""Take records out of a ring that a driver has put into a kubuf buffer.

    ring.py /dev/kubuf/NAME [COUNT]

prints each record, as hexadecimal digits, until there are COUNT of them or there
will be no more, and then how many there were.

This is the whole protocol in one file, to read and to try things out; it needs
nothing but Python. The struct kubuf_ring_header and struct kubuf_record that it
speaks of are in <linux/kubuf.h>, where "Ring" says who stores what, and when. A
program that has to be fast uses kubuf_ring.h.
"""

import errno
import fcntl
import itertools
import mmap
import os
import select
import struct
import sys

# From <linux/kubuf.h>. The numbers of its ioctls are _IO(0xbc, n).
KUBUF_INFO = 0xBC03
KUBUF_NOTIFY = 0xBC04
KUBUF_RING_MAGIC = 0x6B72696E
KUBUF_RING_BYTES = 1
KUBUF_RING_OVERWRITE = 2

# struct kubuf_info: size, flags, id, length, mappings, backing, mode, name,
# sequence, seals, reserved. The kernel wants the first to be the size of all.
INFO = struct.Struct("=IIQQQII32sQII")
# struct kubuf_notify: size, flags.
NOTIFY = struct.Struct("=II")

# Where the fields of struct kubuf_ring_header are: in 8-byte words...
SIZE = 1
HEAD = 8
LOST = 9
TAIL = 16
# ... and in 4-byte words.
MAGIC = 0
FLAGS = 1
PRODUCER_SLEEPS = 20
CLOSED = 21
CONSUMER_SLEEPS = 34

# Each record begins with its length and a reserved word, eight bytes in all, and
# takes a multiple of eight bytes.
RECORD = struct.Struct("=II")


class Broken(Exception):
    """The producer has stored what cannot be."""


class Ring:
    """The consumer's side of a ring of records."""

    def __init__(self, path):
        # The consumer stores, too: how far it has come. So it needs to write.
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        length = self.info()[3]

        # One mapping of all of the buffer. It begins with the data; the header is
        # in the last page.
        self.map = mmap.mmap(self.fd, length)
        self.size = length - mmap.PAGESIZE
        header = memoryview(self.map)[self.size:]

        # An element of such a view is loaded and stored in one piece, as the
        # other side must never see the half of a new number. (struct would do
        # for that only with the native formats, and slices do not at all.)
        self.u64 = header.cast("Q")
        self.u32 = header.cast("I")

        # Do not believe what the other side can store: the size comes from the
        # buffer, and the header only has to agree.
        if (self.u32[MAGIC] != KUBUF_RING_MAGIC or self.u64[SIZE] != self.size
                or self.size & (self.size - 1)):
            raise ValueError(f"no ring in {path}")
        if self.u32[FLAGS] & KUBUF_RING_BYTES:
            raise ValueError(f"{path} has bytes, not records")
        if self.u32[FLAGS] & KUBUF_RING_OVERWRITE:
            # There both sides move the tail, by compare-and-exchange, which
            # Python does not have.
            raise ValueError(f"{path} overwrites what was not read")

        # Where we are is known here; the word in the header is for the producer.
        self.tail = self.u64[TAIL]

        # Set by KUBUF_NOTIFY, until KUBUF_INFO asks.
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLPRI)

    def info(self):
        """What the kernel tells of the buffer; after that poll() waits anew."""
        buf = bytearray(INFO.size)
        struct.pack_into("=I", buf, 0, INFO.size)
        fcntl.ioctl(self.fd, KUBUF_INFO, buf)
        return INFO.unpack(buf)

    def copy(self, position, length):
        """LENGTH bytes from a position on.

        Positions only grow. Where one is in the data is what is left of it after
        a division by the size; at the end it goes on at the beginning.
        """
        start = position % self.size
        first = self.map[start:min(start + length, self.size)]
        return first + self.map[:length - len(first)]

    def available(self):
        """Bytes that were produced and not consumed."""
        # The head is loaded before the data that it tells of. On x86 loads
        # happen in order; elsewhere this would need a barrier, which the
        # interpreter does not promise.
        n = (self.u64[HEAD] - self.tail) % (1 << 64)
        if n > self.size:
            self.start_anew()
        return n

    def start_anew(self):
        self.tail = self.u64[HEAD]
        self.u64[TAIL] = self.tail
        self.wake_producer()
        raise Broken("the producer cannot be there")

    def take(self):
        """The oldest record, or None if there is none."""
        n = self.available()
        if not n:
            return None
        # What is copied can no longer change while it is checked.
        length, _ = RECORD.unpack(self.copy(self.tail, RECORD.size))
        need = (RECORD.size + length + 7) & ~7
        if need > n:
            self.start_anew()
        payload = self.copy(self.tail + RECORD.size, length)

        # Only now that it is copied does its room belong to the producer again,
        # who may be waiting for it.
        self.tail = (self.tail + need) % (1 << 64)
        self.u64[TAIL] = self.tail
        self.wake_producer()
        return payload

    def wake_producer(self):
        # The store of the tail has to be seen before the word is looked at: the
        # system call in between has a barrier.
        self.poll.poll(0)
        if self.u32[PRODUCER_SLEEPS]:
            self.u32[PRODUCER_SLEEPS] = 0
            fcntl.ioctl(self.fd, KUBUF_NOTIFY, NOTIFY.pack(NOTIFY.size, 0))

    def wait(self):
        """Sleep until there is a record: False if there will be none."""
        while not self.available():
            if self.u32[CLOSED]:
                # It may have produced one more just before.
                return self.available() > 0

            # Say that we are going to sleep, and then look once more. In this
            # order nothing is missed: either we see the new head, or the
            # producer sees the word and wakes us. A processor may swap a store
            # and a load after it, and so again a system call is in between.
            self.u32[CONSUMER_SLEEPS] = 1
            self.poll.poll(0)
            if not self.available() and not self.u32[CLOSED]:
                # A second at most: so that even on a processor on which the call
                # above is not enough, the worst is that we are late.
                self.poll.poll(1000)
                self.info()
        self.u32[CONSUMER_SLEEPS] = 0
        return True

    def __iter__(self):
        while self.wait():
            # All that is there, without a system call to wait for each.
            while (payload := self.take()) is not None:
                yield payload


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else None
    ring = Ring(sys.argv[1])
    number = length = 0
    for payload in itertools.islice(ring, count):
        print(payload.hex(), flush=True)
        number += 1
        length += len(payload)
    print(f"{number} records, {length} bytes, {ring.u64[LOST]} lost",
          file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except OSError as err:
        sys.exit(f"{sys.argv[0]}: {errno.errorcode[err.errno]}: {err}")
    except (ValueError, Broken) as err:
        sys.exit(f"{sys.argv[0]}: {err}")
