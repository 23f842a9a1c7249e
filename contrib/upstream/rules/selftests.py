# SPDX-License-Identifier: GPL-2.0-only
"""The selftests, in three patches: each has its programs and what they include."""

DIRECTORY = "tools/testing/selftests/drivers/kubuf"

# Programs, headers, other files.
PARTS = {
    "selftests-files": (
        "api_test refuse_test compat_test file_test fd_test splice_test limit_test life_test "
        "module_test unpriv_test",
        "util task cgroup map module pass storm",
        "config settings"),
    "selftests-mmap": (
        "map_test advice_test huge_test private_test access_test stress_test alloc_test "
        "race_test kill_test migrate_test",
        "disk uring", ""),
    "selftests-pin": (
        "pin_test notify_test seal_test futex_test export_test poison_test trace_test",
        "import net vgem",
        "importer/Makefile importer/kubuf_importer.c importer/kubuf_importer.h"),
}


def test(t, *names):
    """Leave tests out, with the comment before each: FIXTURE.NAME."""
    comment = r"(?:/\*(?:(?!\*/)[\s\S])*\*/\n)?"
    for name in names:
        fixture, case = name.split(".")
        t.re(rf"{comment}^TEST_F(?:_TIMEOUT)?\({fixture}, {case}\b(?:(?!^\}}$)[\s\S])*^\}}\n\n?")


def util_h(t):
    t.sub("#define KPF_RESERVED\t0x0000000100000000ULL\n")
    t.between("#define KUBUF_RESERVED_VARIANTS(fixture)", "#define KUBUF_PFN_VARIANTS(fixture)")
    t.sub("""\
	KUBUF_VARIANT(fixture, kmalloc, KUBUF_BACKING_KMALLOC, 0, true); \\
	KUBUF_RESERVED_VARIANTS(fixture)
""", """\
	KUBUF_VARIANT(fixture, kmalloc, KUBUF_BACKING_KMALLOC, 0, true)
""")
    t.sub("\tbool reserved;\n")
    t.sub("\t\tst->reserved = strchr(letters, 'r');\n")


def map_h(t):
    t.sub("\t\ts->reserved = strchr(at, 'r');\n")


def task_h(t):
    t.re(r"^/\* For what others do one way .*\n[\s\S]*?^\}\n\n")
    t.sub("#include <sys/utsname.h>\n")
    t.sub(" * What FN(ARG) answers in a child. The harness cannot assert there: on older\n"
          " * kernels its record is not shared with children.\n",
          " * What FN(ARG) answers in a child.\n")


def module_h(t):
    t.re(r"^/\* Load another one, NAME\.ko beside[\s\S]*?^\}\n", """\
/* Load a test module, which is built beside the tests: 0, or -errno. */
static inline int module_load_other(const char *name, const char *parameters)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "importer/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(__NR_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}
""")


def api(t):
    t.sub("\tif (variant->flags & KUBUF_CREATE_RESERVED)\n\t\tflags |= KUBUF_INFO_RESERVED;\n")
    t.sub("""\
/*
 * Kernels before 6.7 have 128 dynamic minors for all misc devices together:
 * half of them is what one may expect to get.
 */
""")


def refuse(t):
    test(t, "create.reserved_kmalloc_or_huge")


def compat(t):
    t.sub("\t/* Older kernels hand back the later registers as 0. */\n")


def file(t):
    t.sub("""\
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-reserved", value,
				 sizeof(value)));
	EXPECT_STREQ(variant->flags & KUBUF_CREATE_RESERVED ? "1" : "0", value);
""")


def fd(t):
    t.sub("""\
	/* Mapping a reserved one takes a capability that this user has not. */
	EXPECT_EQ(variant->flags & KUBUF_CREATE_RESERVED ? 3 : 0,
		  as_user(NOBODY, read_what_comes, &r));
""", """\
	EXPECT_EQ(0, as_user(NOBODY, read_what_comes, &r));
""")


def limit(t):
    t.sub("/* Reserved buffers are not for such users. */\n")


def module(t):
    t.sub("\t{ KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED },\n"
          "\t{ KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED },\n")
    t.sub("\t    info.flags & KUBUF_INFO_RESERVED || info.mode != 0600 ||\n", "\t    info.mode != 0600 ||\n")


def map_c(t):
    t.sub("\t       backing == KUBUF_BACKING_VMALLOC ||\n\t       (flags & KUBUF_CREATE_RESERVED);\n",
          "\t       backing == KUBUF_BACKING_VMALLOC;\n")
    t.sub("static bool by_page(__u32 backing, __u32 flags)\n", "static bool by_page(__u32 backing)\n")
    t.re(r"by_page\(variant->backing, variant->flags\)", "by_page(variant->backing)", None)


def export(t):
    test(t, "export.reserved_needs_rawio")
    t.re(r"^static long map_without_rawio\([\s\S]*?^\}\n\n")


def kill(t):
    # There are fewer of them.
    t.sub("#define KILLS\t84\n", "#define KILLS\t96\n")
    t.sub("\t\t    s->after[i].maps || s->after[i].reserved)\n", "\t\t    s->after[i].maps)\n")


def race(t):
    t.sub("\tstruct page_state st[PAGES];\n")
    t.sub("\tsize_t len;\n\tint flags;\n", "\tsize_t len;\n")
    t.sub("""\
	self->flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->flags);
""")
    t.sub("\tASSERT_EQ(PAGES, page_states(self->fd, self->st, PAGES));\n")
    t.sub("\tclose(self->flags);\n")
    t.re(r"^/\* Which pages of the buffer are reserved, a bit for each\. \*/\n[\s\S]*?^\}\n\n")
    t.sub("""\
/*
 * The count is right at the end of each round, and a page reserved if it was
 * touched and the buffer is mapped, and otherwise not.
 */
""", "/* The count is right at the end of each round. */\n")
    t.sub("\tconst bool reserved = variant->flags & KUBUF_CREATE_RESERVED;\n")
    t.sub("\t\t__u32 touched, bits;\n\n\t\tASSERT_NE", "\n\t\tASSERT_NE")
    t.sub("""\
		touched = (__u32)r->result;
		bits = reserved_pages(self->flags, self->st);
		EXPECT_EQ(reserved ? touched : 0, bits & touched);
""")
    t.sub("\t\tEXPECT_EQ(0U, reserved_pages(self->flags, self->st));\n")


def stress(t):
    t.sub("\t\tEXPECT_FALSE(after[i].reserved);\n")


def trace(t):
    t.sub("\tEXPECT_TRUE(has(e, \"reserved\", variant->flags ? \"1\" : \"0\"));\n")


def unpriv(t):
    t.re(r"^static long create_reserved\([\s\S]*?^\}\n\n")
    test(t, "unpriv.reserved")
    t.sub("""\
	c.flags |= KUBUF_CREATE_RESERVED;
	EXPECT_EQ(-EINVAL, as_user(NOBODY, create_wrong, &c));
	/* And this comes after. */
	c.backing = KUBUF_BACKING_PAGES;
	c.length = ~0ULL;
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_wrong, &c));
	c.flags = KUBUF_CREATE_NAMED;
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_wrong, &c));
""", """\
	/* And this comes after. */
	c.backing = KUBUF_BACKING_PAGES;
	c.length = ~0ULL;
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_wrong, &c));
""")
    t.re(r"^/\* Root has made it and handed it over: the mapping is what is dangerous\. \*/\n"
         r"TEST_F\(unpriv, mapping_of_a_reserved_buffer\)\n\{\n[\s\S]*?"
         r"\t/\* Another one, handed over, can be mapped\. \*/\n", """\
TEST_F(unpriv, mapping_of_a_buffer_handed_over)
{
""")
    t.sub("/* A user like this cannot map reserved ones. */\n")
    t.sub("\tint fd = *(int *)arg;\n\tstruct rlimit none", "\tstruct rlimit none")
    t.sub("static long userns_can(void *arg)\n{\n", "static long userns_can(void *arg)\n{\n")
    t.sub("\tif (create_reserved(NULL) != -EPERM)\n\t\treturn 3;\n")
    t.sub("\tif (map_fd(&fd) != -EPERM)\n\t\treturn 5;\n")
    t.sub("""\
	int fd = buf_create(KUBUF_BACKING_PAGES, 1, KUBUF_CREATE_RESERVED);
	long ret;

	ASSERT_LE(0, fd);
	ret = as_user(NOBODY, userns_can, &fd);
	close(fd);
	if (ret""", """\
	long ret = as_user(NOBODY, userns_can, NULL);

	if (ret""")


def importer_c(t):
    t.sub("#include \"../../driver/compat.h\"\n")


def importer_makefile(t):
    t.text = """\
# SPDX-License-Identifier: GPL-2.0-only
TESTMODS_DIR := $(realpath $(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
KDIR ?= /lib/modules/$(shell uname -r)/build

obj-$(if $(CONFIG_DMA_SHARED_BUFFER),m) += kubuf_importer.o

# Without a kernel to build it for there is nothing that could load it.
modules clean:
ifneq ($(wildcard $(KDIR)),)
	$(Q)$(MAKE) -C $(KDIR) $@ KBUILD_EXTMOD=$(TESTMODS_DIR)
endif

.PHONY: modules clean
"""


def config(t):
    """What the programs that are there have a use for."""
    for name in ("FAILSLAB", "FAIL_PAGE_ALLOC", "FAULT_INJECTION", "FAULT_INJECTION_DEBUG_FS",
                 "FAULT_INJECTION_USERCOPY", "INFINIBAND", "INFINIBAND_USER_ACCESS",
                 "INTEL_IOMMU", "IOMMUFD", "KVM", "KVM_AMD", "RDMA_RXE", "VETH", "VFIO",
                 "VFIO_IOMMU_TYPE1", "VFIO_PCI"):
        t.re(rf"^CONFIG_{name}=.\n")


RULES = {
    "kubuf_util.h": util_h, "kubuf_map.h": map_h, "kubuf_task.h": task_h,
    "kubuf_module.h": module_h, "api_test.c": api, "refuse_test.c": refuse,
    "compat_test.c": compat, "file_test.c": file, "fd_test.c": fd, "limit_test.c": limit,
    "module_test.c": module, "map_test.c": map_c, "export_test.c": export,
    "kill_test.c": kill, "race_test.c": race, "stress_test.c": stress,
    "trace_test.c": trace, "unpriv_test.c": unpriv, "config": config,
    "importer/kubuf_importer.c": importer_c, "importer/Makefile": importer_makefile,
}


def makefile(programs, importer):
    lines = ["# SPDX-License-Identifier: GPL-2.0-only"]
    lines += [f"TEST_GEN_PROGS {'+=' if i else ':='} {name}" for i, name in enumerate(programs)]
    if importer:
        lines += ["", "TEST_GEN_MODS_DIR := importer"]
    lines += [
        "",
        f"LOCAL_HDRS := $(wildcard *.h{' importer/*.h' if importer else ''})",
        "",
        "CFLAGS += -Wall -Wextra -O2 -pthread $(KHDR_INCLUDES)",
        "# The harness has parameters that it does not use.",
        "CFLAGS += -Wno-unused-parameter",
        "",
        "include ../../lib.mk"]
    return "\n".join(lines) + "\n"


def ignored(programs):
    return "# SPDX-License-Identifier: GPL-2.0-only\n" + "".join(f"{name}\n" for name in sorted(programs))
