# SPDX-License-Identifier: GPL-2.0-only
"""The documentation, the sample, and who maintains it."""

import subprocess

from text import Text, line_before


def samples(tree):
    t = Text("tools/examples/hello.c")
    t.sub("""\
 *	cc -I driver/include/uapi -o hello tools/examples/hello.c
 *	./hello""", """\
 *	./hello""")
    t.sub("// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)", "// SPDX-License-Identifier: GPL-2.0-only")
    t.write(tree, "samples/kubuf/hello.c")
    (tree / "samples/kubuf/.gitignore").write_text(
        "# SPDX-License-Identifier: GPL-2.0-only\n/hello\n", encoding="utf-8")
    (tree / "samples/kubuf/Makefile").write_text("""\
# SPDX-License-Identifier: GPL-2.0-only
userprogs-always-y += hello

userccflags += -I usr/include
""", encoding="utf-8")
    line_before(tree / "samples/Makefile", "subdir-$(CONFIG_SAMPLE_KUBUF)\t\t+= kubuf\n",
                "obj-$(CONFIG_SAMPLE_LIVEPATCH)")
    line_before(tree / "samples/Kconfig", """\
config SAMPLE_KUBUF
	bool "Build a program that shares memory with the kernel"
	depends on CC_CAN_LINK && HEADERS_INSTALL
	help
	  Build an example of a program that makes a buffer of kernel memory
	  with kubuf, maps it, and shows that the kernel and another process
	  load what it stores.

""", "config SAMPLE_LIVEPATCH")


def git(*args):
    return subprocess.run(("git", *args), capture_output=True, text=True, check=False).stdout.strip()


def maintainers(tree):
    who = f"{git('config', 'user.name')} <{git('config', 'user.email')}>"
    line_before(tree / "MAINTAINERS", f"""\
KUBUF KERNEL BUFFERS FOR USER SPACE
M:	{who}
L:	linux-kernel@vger.kernel.org
S:	Maintained
F:	Documentation/ABI/testing/debugfs-kubuf
F:	Documentation/ABI/testing/sysfs-module-kubuf
F:	Documentation/admin-guide/kubuf.rst
F:	Documentation/misc-devices/kubuf*
F:	Documentation/userspace-api/kubuf.rst
F:	drivers/misc/kubuf/
F:	include/uapi/linux/kubuf.h
F:	samples/kubuf/
F:	tools/testing/selftests/drivers/kubuf/

""", "KVM GUEST_MEMFD\n")


PATCHES = {"samples": samples, "maintainers": maintainers}
