# SPDX-License-Identifier: GPL-2.0-only
"""What "make picture" records: a program that uses a buffer, watched."""
import mmap
import os
import signal
import sys
import time

PAGE = mmap.PAGESIZE


def touch(buf, page, pause):
    buf[page * PAGE] = 1
    time.sleep(pause)


# Until there is something to be seen.
time.sleep(3)
fd = os.open("/dev/kubuf/hello", os.O_RDWR)
hello = mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))
time.sleep(1.5)
for page in 5, 70, 200:
    touch(hello, page, 1)
# A sweep, which maps more and more at once.
for page in range(64, 140):
    touch(hello, page, 0.05)
time.sleep(1)
child = os.fork()
if not child:
    signal.pause()
time.sleep(1.5)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
time.sleep(1.5)
hello.close()
time.sleep(2)
os.execvp("pkill", ["pkill", "-INT", "-x", sys.argv[1]])
