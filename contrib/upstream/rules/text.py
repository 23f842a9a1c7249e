# SPDX-License-Identifier: GPL-2.0-only
"""Files on their way into a kernel tree."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[3]


class Text:
    """A file on its way."""

    def __init__(self, path):
        self.path = path
        self.text = (TOP / path).read_text(encoding="utf-8")

    def fail(self, what, n, times):
        sys.exit(f"upstream: {self.path}: found {n} times, not {times}: {what}")

    def sub(self, old, new="", times=1):
        """Replace a text."""
        n = self.text.count(old)
        if n != times:
            self.fail(old, n, times)
        self.text = self.text.replace(old, new)

    def re(self, pattern, new="", times=1):
        """Replace what a pattern finds, in which a dot is never a newline.

        With None for the times it is to be found at least once.
        """
        self.text, n = re.subn(pattern, new, self.text, flags=re.M)
        if n != times and (times is not None or not n):
            self.fail(pattern, n, times)

    def between(self, first, last, new=""):
        """Replace from one text up to another one, which stays."""
        for text in (first, last):
            if self.text.count(text) != 1:
                self.fail(text, self.text.count(text), 1)
        begin, end = self.text.index(first), self.text.index(last)
        if begin >= end:
            self.fail(f"{first} before {last}", 0, 1)
        self.text = self.text[:begin] + new + self.text[end:]

    def cut(self, first, last):
        """Leave out lines from a text to the end of another one, or to the very end.

        With them goes one of two blank lines around.
        """
        if self.text.count(first) != 1:
            self.fail(first, self.text.count(first), 1)
        begin = self.text.rfind("\n", 0, self.text.index(first)) + 1
        end = len(self.text)
        if last:
            end = self.text.find(last, begin) + len(last)
            if end < len(last):
                self.fail(last, 0, 1)
        before, after = self.text[:begin], self.text[end:]
        if before.endswith("\n\n") and after.startswith("\n"):
            after = after[1:]
        if not after:
            before = before.rstrip("\n") + "\n"
        self.text = before + after

    def function(self, *names):
        """Leave a function out, with the comment before it."""
        comment = r"(?:/\*(?:(?!\*/)[\s\S])*\*/\n)?"
        for name in names:
            self.re(rf"{comment}^(?:static |int |void |struct |bool |size_t |unsigned )[^\n;=]*\b"
                    rf"{name}\((?:(?!^\}}$)[\s\S])*^\}}\n"
                    rf"(?:EXPORT_SYMBOL_GPL\({name}\);\n)?\n?")

    def field(self, *names):
        """Leave members of a structure out, with what kernel-doc says of them."""
        for name in names:
            self.re(rf"^ \* @{name}: .*\n(?: \*\t.*\n)*")
            self.re(rf"^\t[\w ]+[ *]\(?\*?{name}(?:\)\(.*\))?;.*\n")

    def write(self, tree, path):
        to = tree / path
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(self.text, encoding="utf-8")


def line_before(path, line, before):
    """Put a line into a file of the tree, before the one that has a text."""
    text = path.read_text(encoding="utf-8")
    if line in text:
        return
    at = text.find(before)
    if at < 0:
        sys.exit(f"upstream: {path}: no line \"{before}\"")
    at = text.rfind("\n", 0, at) + 1
    path.write_text(text[:at] + line + text[at:], encoding="utf-8")
