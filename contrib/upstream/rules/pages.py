# SPDX-License-Identifier: GPL-2.0-only
"""The documentation, the sample, and who maintains it."""

import subprocess

from text import Text, line_before

# Of each page, what only this repository has: older kernels, the reserved mode, the
# interface for drivers, packages, the command. Cut from one text to the end of
# another, or of the page.
PAGES = {
    "misc-devices/kubuf.rst": (
        ("cut", "How other drivers give memory away by it is in\n",
         "of each of its steps, is in Documentation/misc-devices/kubuf-recipe.rst.\n"),
        ("cut", "   * - reserved\n",
         "     - PG_reserved is set on a page while it is mapped\n"),
        ("cut", "   * - ``pages``, reserved\n",
         "     - as the driver wants: page path, or PFN path\n     - on the page path\n"),
        ("cut", "``wrapped``\n\tMemory of a driver's",
         "\tDocumentation/driver-api/kubuf.rst.\n"),
        ("cut", "Reserved mode\n=============\n",
         "Documentation/misc-devices/kubuf-recipe.rst), and it buys no protection.\n"),
        ("cut", "\t``r`` reserved\n",
         "\t``r`` reserved\n"),
        ("sub", "\tinsmod kubuf.ko buffers=frames",
         "\tmodprobe kubuf buffers=frames"),
        ("cut", "Older kernels\n=============\n",
         "* They do not refuse MADV_DOFORK.\n"),
        ("cut", "What the driver protects, and from whom\n=====",
         "the tests that show it.\n"),
    ),
    "userspace-api/kubuf.rst": (
        ("cut", "``tools/examples/`` has this as a complete program",
         "number of an ioctl, and the layout of its structure.\n"),
        ("cut", "Buffers of drivers\n==================\n",
         "`Structures`_, and Documentation/driver-api/kubuf.rst explains it.\n"),
        ("cut", "   * - ``KUBUF_CREATE_RESERVED``\n",
         "       number; ``pages`` and ``vmalloc`` only\n"),
        ("cut", "   * - ``KUBUF_INFO_RESERVED``\n",
         "     - made with ``KUBUF_CREATE_RESERVED``\n"),
        ("cut", "   * - ``EINVAL``\n     - ``KUBUF_CREATE_RESERVED`` with",
         "``kmalloc`` or ``huge``\n"),
        ("cut", "   * - ``EPERM``\n     - ``KUBUF_CREATE_RESERVED`` without",
         "CAP_SYS_RAWIO (there, too)\n"),
        ("cut", "   * - ``EBUSY``\n     - a driver made the buffer,",
         "and takes its node away itself\n"),
        ("cut", "   * - ``EPERM``\n     - a reserved buffer",
         "without CAP_SYS_RAWIO\n"),
        ("cut", "   * - reserved ones\n",
         "     - never\n     - always\n"),
        ("cut", "   * - the same, of a reserved buffer\n",
         "     - there is none\n     - works, without a pin\n"),
        ("cut", "Reserved memory that a device has by VFIO must be",
         "Documentation/misc-devices/kubuf.rst.\n"),
        ("cut", "Who takes it\n============\n",
         "   :language: none\n"),
        ("sub", "\tinsmod kubuf.ko buffers=huge",
         "\tmodprobe kubuf buffers=huge"),
        ("cut", "``make rdma`` runs this",
         "in two virtual machines, with Debian's perftest.\n"),
        ("cut", "   * - ``kubuf-reserved:``\n",
         "     - 1 if the pages are reserved while they are mapped, else 0\n"),
        ("cut", "Older kernels\n=============\n",
         "* 6.1 has 128 minor numbers for the nodes of all misc devices.\n"),
    ),
    "admin-guide/kubuf.rst": (
        ("cut", "Those that build need not be. ``make install-test``",
         "Documentation/misc-devices/kubuf-testing.rst).\n"),
        ("cut", "Three ways to install\n=====",
         "\tln -s /dev/null /etc/modules-load.d/kubuf.conf\n"),
        ("cut", "The udev rule ``60-kubuf.rules`` gives it",
         "that udev has seen it, it is of the group root.\n"),
        ("cut", "Where there is ``60-kubuf.rules``,",
         "the file with it has a name that comes after that.\n"),
        ("cut", "Secure Boot\n===========\n",
         None),
    ),
    "misc-devices/kubuf-tracing.rst": (
        ("cut", "Counted on 6.1, a fault of",
         "and 22 more, as the compiler laid it out.\n"),
        ("cut", "   * - the same, of a driver's buffer\n",
         "     - ``reserved``: made with ``KUBUF_CREATE_RESERVED``\n"),
        ("cut", "   * - the same, by a driver\n     - kubuf_notify()\n",
         "     - the same\n"),
    ),
    "ABI/testing/debugfs-kubuf": (
        ("cut", "\t\t<backing> can be ``wrapped``, too:",
         "memory of another driver's.\n"),
        ("cut", "\t\tr\tPG_reserved is set\n",
         "\t\tr\tPG_reserved is set\n"),
    ),
    "ABI/testing/sysfs-module-kubuf": (
        ("cut", "What:\t\t/sys/module/kubuf/version\n",
         "\t\tbuilt out of the kernel tree has it.\n"),
    ),
}

# Into which index, before which entry.
INDEX = {
    "misc-devices/index.rst": ("   kubuf\n   kubuf-tracing\n", "   lis3lv02d\n"),
    "userspace-api/index.rst": ("   kubuf\n", "   media/index\n"),
    "admin-guide/index.rst": ("   kubuf\n", "   laptops/index\n"),
}


def documentation(tree):
    for page, rules in PAGES.items():
        t = Text(f"Documentation/{page}")
        for kind, first, last in rules:
            if kind == "sub":
                t.sub(first, last)
            else:
                t.cut(first, last)
        t.write(tree, f"Documentation/{page}")
    for figure in ("page-life", "fault-path"):
        name = f"Documentation/misc-devices/kubuf-{figure}.dot"
        Text(name).write(tree, name)
    for page, (line, before) in INDEX.items():
        line_before(tree / "Documentation" / page, line, before)


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
	  load what it stores, and it what they store.

	  The program is samples/kubuf/hello. If unsure, say N.

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


PATCHES = {"documentation": documentation, "samples": samples, "maintainers": maintainers}
