// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who reach into another process's mapping: process_vm_readv(),
 * /proc/PID/mem, ptrace() and the core dump. All of them keep to the rights of
 * the mapping.
 */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <linux/elf.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(reach)
{
	size_t ps;
	size_t len;
	int fd;
	/* Writable, and the same buffer read-only by its mapping and file. */
	char *p;
	char *mapped_ro;
	char *opened_ro;
	/* A child that has them at the same addresses, stopped and traced. */
	pid_t child;
	/* /proc/PID/mem of it, opened by its tracer. */
	int mem;
};

FIXTURE_VARIANT(reach)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(reach);

/* A mapping with a hole behind it. */
static char *map_hole(int fd, size_t length, int prot)
{
	char *p = map_fresh(fd, length, prot, MAP_SHARED, page_size());

	if (p != MAP_FAILED)
		munmap(p + length, page_size());
	return p;
}

FIXTURE_SETUP(reach)
{
	char path[64];
	int ro, status;

	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	ro = reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, ro);
	self->p = map_hole(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->p);
	self->mapped_ro = map_hole(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->mapped_ro);
	self->opened_ro = map_hole(ro, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->opened_ro);
	close(ro);

	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child) {
		/* Nobody is to be left over where the parent fails. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(1);
	}
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	snprintf(path, sizeof(path), "/proc/%d/mem", self->child);
	self->mem = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->mem);
}

FIXTURE_TEARDOWN(reach)
{
	kill_wait(self->child);
	close(self->mem);
	close(self->fd);
}

static off_t at(const char *p)
{
	return (off_t)(uintptr_t)p;
}

/* Pages of another process, by pinning them. */
TEST_F(reach, process_vm)
{
	char *tmp = malloc(self->len);
	struct iovec local = { tmp, self->len };
	struct iovec remote = { self->p, self->len };

	ASSERT_NE(NULL, tmp);
	if (variant->pfn) {
		EXPECT_EQ(-1, process_vm_readv(self->child, &local, 1,
					       &remote, 1, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, process_vm_writev(self->child, &local, 1,
						&remote, 1, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
		return;
	}
	ASSERT_EQ((ssize_t)self->len,
		  process_vm_readv(self->child, &local, 1, &remote, 1, 0));
	EXPECT_EQ(self->len, mismatch(tmp, self->len, 1));
	fill(tmp, self->len, 2);
	ASSERT_EQ((ssize_t)self->len,
		  process_vm_writev(self->child, &local, 1, &remote, 1, 0));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	free(tmp);
}

/* The near end is copied to and from, which works for all. */
TEST_F(reach, process_vm_near_end)
{
	static char theirs[4 * 4096];
	struct iovec local = { self->p, sizeof(theirs) };
	struct iovec remote = { theirs, sizeof(theirs) };

	ASSERT_EQ((ssize_t)sizeof(theirs),
		  process_vm_writev(self->child, &local, 1, &remote, 1, 0));
	memset(self->p, 0, self->len);
	ASSERT_EQ((ssize_t)sizeof(theirs),
		  process_vm_readv(self->child, &local, 1, &remote, 1, 0));
	EXPECT_EQ(sizeof(theirs),
		  kernel_mismatch(self->fd, sizeof(theirs), 1));
}

/* Not where the other process itself could not write. */
TEST_F(reach, process_vm_read_only)
{
	char tmp[64] = "";
	struct iovec local = { tmp, sizeof(tmp) };
	struct iovec remote = { self->mapped_ro, sizeof(tmp) };

	EXPECT_EQ(-1, process_vm_writev(self->child, &local, 1, &remote, 1,
					0));
	EXPECT_EQ(EFAULT, errno);
	remote.iov_base = self->opened_ro;
	EXPECT_EQ(-1, process_vm_writev(self->child, &local, 1, &remote, 1,
					0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* /proc/PID/mem reads all of it, touched before or not. */
TEST_F(reach, mem_read)
{
	char * const maps[] = { self->p, self->mapped_ro, self->opened_ro };
	char *tmp = malloc(self->len);

	ASSERT_NE(NULL, tmp);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		memset(tmp, 0, self->len);
		ASSERT_EQ((ssize_t)self->len,
			  pread(self->mem, tmp, self->len, at(maps[i])));
		EXPECT_EQ(self->len, mismatch(tmp, self->len, 1));
	}
	free(tmp);
}

TEST_F(reach, mem_write)
{
	char *tmp = malloc(self->len);

	ASSERT_NE(NULL, tmp);
	fill(tmp, self->len, 2);
	ASSERT_EQ((ssize_t)self->len,
		  pwrite(self->mem, tmp, self->len, at(self->p)));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 2));
	free(tmp);
}

/* Any bytes, in one page or across two, and no others. */
TEST_F(reach, mem_write_exact)
{
	const size_t off = 2 * self->ps - 3;
	char tmp[7];

	ASSERT_EQ(7, pwrite(self->mem, "\0\0\0\0\0\0\0", 7, at(self->p + off)));
	EXPECT_TRUE(matches_at(self->p, off, 0, 1));
	EXPECT_TRUE(all_bytes(self->p + off, 7, 0));
	EXPECT_TRUE(matches_at(self->p + off + 7, self->len - off - 7,
			       off + 7, 1));
	ASSERT_EQ(7, pread(self->mem, tmp, 7, at(self->p + off)));
	EXPECT_TRUE(all_bytes(tmp, 7, 0));
}

/* A mapping that begins in the middle of the buffer. */
TEST_F(reach, mem_at_offset)
{
	const size_t off = 5 * self->ps, n = 2 * self->ps;
	char *q = mmap(NULL, n, RW, MAP_SHARED, self->fd, (off_t)off);
	char *tmp = malloc(n);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_NE(NULL, tmp);
	ASSERT_EQ((ssize_t)n, pread(mem, tmp, n, at(q)));
	EXPECT_TRUE(matches_at(tmp, n, off, 1));
	memset(tmp, 0, n);
	ASSERT_EQ((ssize_t)n, pwrite(mem, tmp, n, at(q)));
	EXPECT_TRUE(matches_at(self->p, off, 0, 1));
	EXPECT_TRUE(all_bytes(self->p + off, n, 0));
	EXPECT_TRUE(matches_at(self->p + off + n, self->len - off - n, off + n,
			       1));
	free(tmp);
	close(mem);
}

/* Up to the end of the mapping, and not into what is behind it. */
TEST_F(reach, mem_end)
{
	char *end = self->p + self->len;
	char tmp[64] = "";

	EXPECT_EQ(8, pread(self->mem, tmp, sizeof(tmp), at(end - 8)));
	EXPECT_TRUE(matches_at(tmp, 8, self->len - 8, 1));
	EXPECT_TRUE(all_bytes(tmp + 8, sizeof(tmp) - 8, 0));
	EXPECT_EQ(-1, pread(self->mem, tmp, sizeof(tmp), at(end)));
	EXPECT_EQ(EIO, errno);
	memset(tmp, 0, sizeof(tmp));
	EXPECT_EQ(8, pwrite(self->mem, tmp, sizeof(tmp), at(end - 8)));
	EXPECT_EQ(self->len - 8, kernel_mismatch(self->fd, self->len, 1));
	EXPECT_EQ(-1, pwrite(self->mem, tmp, sizeof(tmp), at(end)));
	EXPECT_EQ(EIO, errno);
}

/* The end of a mapping that is not the end of the buffer. */
TEST_F(reach, mem_end_of_a_part)
{
	char *q = map_hole(self->fd, self->ps, RW), tmp[64] = "";
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(8, pread(mem, tmp, sizeof(tmp), at(q + self->ps - 8)));
	memset(tmp, 0, sizeof(tmp));
	EXPECT_EQ(8, pwrite(mem, tmp, sizeof(tmp), at(q + self->ps - 8)));
	EXPECT_TRUE(matches_at(self->p + self->ps, self->len - self->ps,
			       self->ps, 1));
	close(mem);
}

/*
 * A debugger may write where its child may not, but into a copy of its own. A
 * shared mapping has none to give, so the answer is no.
 */
TEST_F(reach, mem_write_read_only)
{
	char * const maps[] = { self->mapped_ro, self->opened_ro };
	int self_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, self_mem);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		/* Not mapped yet, and mapped. */
		for (int touched = 0; touched < 2; touched++) {
			EXPECT_EQ(-1, pwrite(self->mem, "x", 1, at(maps[i])));
			EXPECT_EQ(EIO, errno);
			EXPECT_EQ(-1, pwrite(self_mem, "x", 1, at(maps[i])));
			EXPECT_EQ(EIO, errno);
			touch(maps[i], self->len);
		}
	}
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(self_mem);
}

TEST_F(reach, ptrace)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, self->child, self->p + self->ps, NULL);
	ASSERT_EQ(0, errno);
	EXPECT_TRUE(matches_at((char *)&word, sizeof(word), self->ps, 1));
	ASSERT_EQ(0, ptrace(PTRACE_POKEDATA, self->child, self->p + self->ps,
			    0L));
	EXPECT_TRUE(all_bytes(self->p + self->ps, sizeof(word), 0));
	EXPECT_EQ(self->ps, kernel_mismatch(self->fd, self->len, 1));
}

/* A word that begins in one page and ends in the next. */
TEST_F(reach, ptrace_across_pages)
{
	char *where = self->p + self->ps - 3;

	ASSERT_EQ(0, ptrace(PTRACE_POKEDATA, self->child, where, 0L));
	EXPECT_TRUE(all_bytes(where, sizeof(long), 0));
	errno = 0;
	EXPECT_EQ(0, ptrace(PTRACE_PEEKDATA, self->child, where, NULL));
	EXPECT_EQ(0, errno);
}

/* And one that ends behind the mapping: all of it or nothing is read. */
TEST_F(reach, ptrace_end)
{
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, self->child,
			     self->p + self->len - 3, NULL));
	EXPECT_EQ(EIO, errno);
}

TEST_F(reach, ptrace_read_only)
{
	char * const maps[] = { self->mapped_ro, self->opened_ro };

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		errno = 0;
		ptrace(PTRACE_PEEKDATA, self->child, maps[i], NULL);
		EXPECT_EQ(0, errno);
		EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, self->child, maps[i],
				     0L));
		EXPECT_EQ(EIO, errno);
	}
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* Through a private mapping it is the child's copy that a debugger writes. */
TEST_F(reach, private_read_only)
{
	int ro = reopen(self->fd, O_RDONLY), status;
	pid_t child;
	char *q;

	if (variant->pfn)
		return;
	ASSERT_LE(0, ro);
	q = mmap(NULL, self->len, PROT_READ, MAP_PRIVATE, ro, 0);
	ASSERT_NE(MAP_FAILED, q);
	touch(q, self->len);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, child, q, 0L));
	errno = 0;
	EXPECT_EQ(0, ptrace(PTRACE_PEEKDATA, child, q, NULL));
	EXPECT_EQ(0, errno);
	kill_wait(child);
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(ro);
}

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

/* What of the memory at P is in the core file: its bytes, or -1. */
static ssize_t core_bytes(int core, const char *p, char *buf, size_t room)
{
	struct elf64_hdr head;
	struct elf64_phdr seg;

	if (pread(core, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG))
		return -1;
	for (int i = 0; i < head.e_phnum; i++) {
		off_t off = (off_t)(head.e_phoff + (size_t)i * sizeof(seg));

		if (pread(core, &seg, sizeof(seg), off) != sizeof(seg))
			return -1;
		if (seg.p_type != PT_LOAD || seg.p_vaddr != (uintptr_t)p)
			continue;
		if (seg.p_filesz > room)
			return -1;
		return pread(core, buf, seg.p_filesz, (off_t)seg.p_offset);
	}
	return -1;
}

static long crash(void *arg)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	if (file_write("/proc/self/coredump_filter", arg) ||
	    setrlimit(RLIMIT_CORE, &unlimited) ||
	    prctl(PR_SET_DUMPABLE, 1))
		return 1;
	signal(SIGABRT, SIG_DFL);
	abort();
}

/* The core file of a child that dies with this process's mappings; -1. */
static int core_file(char *filter)
{
	char dir[] = "/tmp/kubuf-XXXXXX", path[64], old[256] = "";
	int core = -1, fd;

	fd = open(CORE_PATTERN, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, old, sizeof(old) - 1) < 0 || !mkdtemp(dir))
		return -1;
	close(fd);
	/* %s, the signal: without a specifier the PID may be added. */
	snprintf(path, sizeof(path), "%s/core.%%s", dir);
	if (!file_write(CORE_PATTERN, path)) {
		snprintf(path, sizeof(path), "%s/core.%d", dir, SIGABRT);
		if (in_child(crash, filter) == DIED - SIGABRT)
			core = open(path, O_RDONLY | O_CLOEXEC);
		unlink(path);
		file_write(CORE_PATTERN, old);
	}
	rmdir(dir);
	return core;
}

/*
 * The pages of a buffer are in a dump that takes shared mappings, touched or
 * not. A mapping of frame numbers is listed without contents: a dump takes
 * pages alone.
 */
TEST_F(reach, core_dump)
{
	char *buf = malloc(self->len);
	const ssize_t whole = variant->pfn ? 0 : (ssize_t)self->len;
	int core;

	ASSERT_NE(NULL, buf);
	if (access(CORE_PATTERN, W_OK))
		SKIP(return, "no " CORE_PATTERN);
	touch(self->p, self->len / 2);
	ASSERT_EQ(0, madvise(self->opened_ro, self->len, MADV_DONTDUMP));
	core = core_file("0xb");
	ASSERT_LE(0, core);
	EXPECT_EQ(whole, core_bytes(core, self->p, buf, self->len));
	EXPECT_TRUE(!whole || mismatch(buf, self->len, 1) == self->len);
	EXPECT_EQ(whole, core_bytes(core, self->mapped_ro, buf, self->len));
	EXPECT_TRUE(!whole || mismatch(buf, self->len, 1) == self->len);
	EXPECT_EQ(0, core_bytes(core, self->opened_ro, buf, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(core);
	free(buf);
}

/* They are not in one that takes private memory alone. */
TEST_F(reach, core_dump_without_shared)
{
	char *buf = malloc(self->len);
	int core;

	ASSERT_NE(NULL, buf);
	if (access(CORE_PATTERN, W_OK))
		SKIP(return, "no " CORE_PATTERN);
	core = core_file("0x1");
	ASSERT_LE(0, core);
	EXPECT_EQ(0, core_bytes(core, self->p, buf, self->len));
	close(core);
	free(buf);
}

TEST_HARNESS_MAIN
