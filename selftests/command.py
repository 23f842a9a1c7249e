# SPDX-License-Identifier: GPL-2.0-only
"""What command_test.sh needs besides the command: command.py CASE ARGUMENT..."""

import ctypes
import fcntl
import json
import mmap
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

KUBUF_SEAL = 0xBC06
PAGE = mmap.PAGESIZE
# In seconds, to end what hangs; an emulated processor is slow.
LONG = 120


def mapped(name):
    fd = os.open(f"/dev/kubuf/{name}", os.O_RDWR)
    return mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))


def case_touch(name, *pages):
    """Touch pages, say so, and keep them until there is no more to read. What
    comes as a line meanwhile is another page."""
    with mapped(name) as buf:
        for page in pages:
            buf[int(page) * PAGE] = 1
        print("ready", flush=True)
        for line in sys.stdin:
            for page in line.split():
                buf[int(page) * PAGE] = 1
            print("touched", flush=True)


def case_pin(name, first, count):
    """Pin pages by registering them with io_uring, say so, or why not, and keep
    them until there is no more to read."""
    libc = ctypes.CDLL(None, use_errno=True)
    buf = mapped(name)
    at = ctypes.addressof(ctypes.c_char.from_buffer(buf, int(first) * PAGE))
    iovec = (ctypes.c_size_t * 2)(at, int(count) * PAGE)
    # io_uring_setup(), io_uring_register(), IORING_REGISTER_BUFFERS
    ring = libc.syscall(425, 1, ctypes.create_string_buffer(120))
    if ring < 0 or libc.syscall(427, ring, 0, iovec, 1):
        print("ready not:", os.strerror(ctypes.get_errno()), flush=True)
    else:
        print("ready", flush=True)
    sys.stdin.read()


def case_interrupt(name, seconds, *argv):
    """Interrupt a program, so long after it has mapped the buffer; what it was
    ended by."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as program:
        while program.poll() is None:
            with open(f"/proc/{program.pid}/maps", encoding="utf-8") as maps:
                if f"/dev/kubuf/{name}" in maps.read():
                    break
        time.sleep(float(seconds))
        program.send_signal(signal.SIGINT)
    print(program.returncode)


def case_stomp(name):
    """Store to the first page, over and over, until killed."""
    with mapped(name) as buf:
        print("ready", flush=True)
        while True:
            buf[:8] = os.urandom(8)


def case_seal(name):
    fd = os.open(f"/dev/kubuf/{name}", os.O_RDWR)
    fcntl.ioctl(fd, KUBUF_SEAL, struct.pack("II", 8, 1))


def case_random(seed, length):
    """The bytes of splitmix64."""
    mask, state = (1 << 64) - 1, int(seed, 0)
    for _ in range(int(length) // 8):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        sys.stdout.buffer.write((z ^ z >> 31).to_bytes(8, "little"))


def case_json(*path):
    """A value of what comes as JSON, as in: 0 name."""
    value = json.load(sys.stdin)
    for step in path:
        value = value[int(step) if isinstance(value, list) else step]
    print(len(value) if isinstance(value, list) else json.dumps(value))


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, columns, rows, argv):
        self.output = b""
        self.end = time.monotonic() + LONG
        pid, self.fd = pty.fork()
        if not pid:
            # So that it does not begin before there is a size.
            os.read(0, 1)
            os.execvp(argv[0], argv)
        self.pid = pid
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.fd)
        os.write(self.fd, b"\n")

    def resize(self, columns, rows):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, size)

    def read(self):
        """More of its output; False at the end."""
        if not select.select([self.fd], [], [], self.end - time.monotonic())[0]:
            sys.exit(f"nothing more came after: {self.output[-400:]!r}")
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def until(self, text, times=1):
        while self.output.count(text) < times:
            if not self.read():
                sys.exit(f"it ended without {text!r}: {self.output[-400:]!r}")

    def finish(self):
        """What it was ended by: an exit status, or minus a signal."""
        # Before the other side is closed, the settings can be asked for.
        _, status = os.waitpid(self.pid, 0)
        if termios.tcgetattr(self.fd) != self.before:
            sys.exit("the settings of the terminal are not as before")
        return os.waitstatus_to_exitcode(status)


def case_live(how, *argv):
    """Two frames of a program, then end it by a key, a signal, after the window
    has changed or the program was stopped by Ctrl-Z, or by another program. Its
    output, and last the exit status."""
    term = Terminal(100, 30, argv)
    term.until(b"\033[H", 2)
    if how == "resize":
        term.resize(60, 12)
        term.until(b"\033[H", 3)
        term.until(b"a cell", 3)
        how = "q"
    if how == "stop":
        os.write(term.fd, b"\x1a")
        term.until(b"\033[?1049l")
        _, status = os.waitpid(term.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            sys.exit(f"not stopped: {status}")
        if termios.tcgetattr(term.fd) != term.before:
            sys.exit("the shell would not have the terminal as it was")
        term.output += b"STOPPED"
        os.kill(term.pid, signal.SIGCONT)
        term.until(b"\033[?1049h", 2)
        term.until(b"\033[H", term.output.count(b"\033[H") + 1)
        how = "q"
    if how == "q":
        os.write(term.fd, b"q")
    elif how.startswith("run "):
        subprocess.run(how.split()[1:], check=True)
    else:
        os.kill(term.pid, signal.Signals[f"SIG{how}"])
    term.until(b"\033[?1049l", 1 + term.output.count(b"STOPPED"))
    if how.startswith("run "):
        term.until(b"the buffer is gone")
    status = term.finish()
    sys.stdout.buffer.write(term.output)
    print(f"\nstatus {status}")


def case_terminal(*argv):
    """What a program prints on a terminal, and last its exit status."""
    term = Terminal(100, 30, argv)
    while term.read():
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(term.pid, 0)[1])
    sys.stdout.buffer.write(term.output)
    print(f"\nstatus {status}")


# The functions that complete at all, and those of files: to look at all of them
# takes minutes in a virtual machine.
ZSHRC = """
all=($fpath)
fpath=($ZDOTDIR ${(M)fpath:#*/Completion(|/Base)})
autoload -U compinit && compinit -u -D
fpath=($fpath $all)
autoload -U _files _path_files _list_files
bindkey -e
PS1=
"""


def case_zsh(directory, *pairs):
    """Have zsh complete, as somebody types, and then print its line: what is
    typed, what has to come of it, and so on."""
    with open(f"{directory}/.zshrc", "w", encoding="utf-8") as rc:
        rc.write(ZSHRC)
    os.environ["ZDOTDIR"] = directory
    term = Terminal(100, 30, ["zsh", "-d", "-i"])
    term.end += 4 * LONG
    for keys, want in zip(pairs[::2], pairs[1::2]):
        os.write(term.fd, keys.encode() + b"\t\1print -r -- '\5' DONE\n")
        term.until(f"\n{want} DONE".encode())
    os.close(term.fd)


globals()[f"case_{sys.argv[1]}"](*sys.argv[2:])
