// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page whose memory has failed, which is injected: nobody gets at it any
 * more who has not mapped it before, by whatever way, and nobody is given it
 * again. All other pages are as they were.
 *
 * A page on no LRU list is not taken out of mappings by any kernel: that, too,
 * is shown here.
 */
#include "kselftest_harness.h"

#include "kubuf_disk.h"
#include "kubuf_import.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define HWPOISON	"/sys/kernel/debug/hwpoison/"
#define KPF_HWPOISON	0x0000000000080000ULL

/* What one PMD entry maps, where there is one for it. */
#define LENGTH	(2 * MIB)
#define PAGES	((long)(LENGTH / page_size()))

/* In the middle of a window. */
#define BAD	100

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

FIXTURE(poison)
{
	struct page_state *st;
	const char *why_not;
	size_t ps;
	unsigned long pfn;
	char *p;
	int fd;
};

FIXTURE_VARIANT(poison)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(poison);

static int write_number(const char *path, unsigned long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%#lx", number);
	return file_write(path, text);
}

/* Why nothing can be injected; NULL if it can. */
static const char *no_injection(void)
{
	if (access(HWPOISON, F_OK) &&
	    system("modprobe -q hwpoison-inject 2>/dev/null"))
		return "no module hwpoison-inject";
	return access(HWPOISON, F_OK) ? "debugfs is not mounted" : NULL;
}

FIXTURE_SETUP(poison)
{
	self->ps = page_size();
	self->why_not = no_injection();
	self->st = calloc((size_t)PAGES, sizeof(*self->st));
	ASSERT_NE(NULL, self->st);
	self->fd = buf_create(variant->backing, LENGTH, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, LENGTH, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, self->st, PAGES));
	self->pfn = self->st[BAD].pfn;
	/* Not touched. */
	self->p = map_fresh(self->fd, LENGTH, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

/*
 * Sound again, for those who come after; not before it is free, as the kernel
 * would give back a reference that is the buffer's.
 */
FIXTURE_TEARDOWN(poison)
{
	munmap(self->p, LENGTH);
	if (self->fd >= 0)
		close(self->fd);
	if (!self->why_not)
		write_number(HWPOISON "unpoison-pfn", self->pfn);
	free(self->st);
}

static bool is_poisoned(unsigned long pfn)
{
	return page_flags(pfn) & KPF_HWPOISON;
}

/*
 * It says that it could not deal with the page, which is true: it is marked,
 * and no more.
 */
static bool inject(unsigned long pfn)
{
	write_number(HWPOISON "corrupt-pfn", pfn);
	return is_poisoned(pfn);
}

/* Over the mapping that there was. */
static bool map_anew(char *p, int fd)
{
	return !munmap(p, LENGTH) &&
	       mmap(p, LENGTH, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p;
}

/* Whether all pages but the bad one can be loaded and hold the pattern. */
static bool rest_is_intact(const char *p)
{
	const size_t ps = page_size();

	return matches_at(p, BAD * ps, 0, 1) &&
	       matches_at(p + (BAD + 1) * ps, LENGTH - (BAD + 1) * ps,
			  (BAD + 1) * ps, 1);
}

static siginfo_t bus_info;

static void bus_died(int sig, siginfo_t *info, void *context)
{
	bus_info = *info;
	siglongjmp(access_env, sig);
}

/* The bad page itself is the first that is touched. */
TEST_F(poison, fault)
{
	struct sigaction died = {
		.sa_sigaction = bus_died,
		.sa_flags = SA_SIGINFO,
	};
	char *bad;
	int sig;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	bad = self->p + BAD * self->ps;
	EXPECT_EQ(SIGBUS, access_signal(bad, false));
	EXPECT_EQ(SIGBUS, access_signal(bad + 5, true));
	/* And it says why. */
	ASSERT_EQ(0, sigaction(SIGBUS, &died, NULL));
	sig = sigsetjmp(access_env, 1);
	if (!sig)
		load(bad);
	EXPECT_EQ(SIGBUS, sig);
	EXPECT_EQ(BUS_MCEERR_AR, bus_info.si_code);
	EXPECT_EQ(bad, bus_info.si_addr);
	EXPECT_TRUE(rest_is_intact(self->p));
}

/* It is in the window, or the folio, of a fault on another page. */
TEST_F(poison, fault_beside)
{
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	touch(self->p, BAD * self->ps);
	EXPECT_EQ(SIGBUS, access_signal(self->p + BAD * self->ps, false));
	EXPECT_TRUE(rest_is_intact(self->p));
	EXPECT_EQ(SIGBUS, access_signal(self->p + BAD * self->ps, true));
}

/* Where there is no PMD entry, whatever the buffer is. */
TEST_F(poison, fault_in_a_small_mapping)
{
	char *p;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	p = mmap(NULL, 4 * self->ps, RW, MAP_SHARED, self->fd,
		 (off_t)((BAD - 1) * self->ps));
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, access_signal(p, false));
	EXPECT_EQ(SIGBUS, access_signal(p + self->ps, true));
	EXPECT_TRUE(matches_at(p + 2 * self->ps, 2 * self->ps,
			       (BAD + 1) * self->ps, 1));
	munmap(p, 4 * self->ps);
}

/* A copy of it is not made either. */
TEST_F(poison, fault_in_a_private_mapping)
{
	char *p;

	if (variant->pfn)
		return;
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	p = map_fresh(self->fd, LENGTH, RW, MAP_PRIVATE, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGBUS, access_signal(p + BAD * self->ps, true));
	EXPECT_EQ(SIGBUS, access_signal(p + BAD * self->ps, false));
	store(p, load(p));
	EXPECT_TRUE(rest_is_intact(p));
	munmap(p, LENGTH);
}

/* As today's kernels have it: who has it keeps it, until it is unmapped. */
TEST_F(poison, mapped_before)
{
	const size_t bad = BAD * self->ps;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	touch(self->p, LENGTH);
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ(0, access_signal(self->p + bad, false));
	EXPECT_EQ(LENGTH, mismatch(self->p, LENGTH, 1));
	ASSERT_TRUE(map_anew(self->p, self->fd));
	EXPECT_EQ(SIGBUS, access_signal(self->p + bad, false));
	EXPECT_TRUE(rest_is_intact(self->p));
}

/* A fork copies what is mapped: the child faults, or has what its parent has. */
static long child_looks(void *arg)
{
	char *p = arg;
	int sig = access_signal(p + BAD * page_size(), false);

	return sig && sig != SIGBUS ? sig : !rest_is_intact(p);
}

TEST_F(poison, fork)
{
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	touch(self->p, LENGTH);
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ(0, in_child(child_looks, self->p));
}

/*
 * The other way to inject, for who has it mapped. Of a page of a folio 6.12 tells
 * the process at once, by SIGBUS; the others leave it to the next fault.
 */
static int inject_by_madvise(char *p, size_t length)
{
	struct sigaction died = { .sa_handler = access_died }, bus;
	int ret = 0;

	sigaction(SIGBUS, &died, &bus);
	if (!sigsetjmp(access_env, 1))
		ret = madvise(p, length, MADV_HWPOISON);
	sigaction(SIGBUS, &bus, NULL);
	return ret;
}

TEST_F(poison, madvise)
{
	int ret;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ret = inject_by_madvise(self->p + BAD * self->ps, self->ps);
	if (variant->pfn) {
		/* There is no page that it could get. */
		EXPECT_NE(0, ret);
		EXPECT_FALSE(is_poisoned(self->pfn));
		EXPECT_EQ(LENGTH, mismatch(self->p, LENGTH, 1));
		return;
	}
	EXPECT_TRUE(is_poisoned(self->pfn));
	ASSERT_TRUE(map_anew(self->p, self->fd));
	EXPECT_EQ(SIGBUS, access_signal(self->p + BAD * self->ps, false));
	EXPECT_TRUE(rest_is_intact(self->p));
}

/* The kernel does not load it either: it would stop there, were it true. */
TEST_F(poison, read)
{
	const size_t bad = BAD * self->ps;
	char *tmp = malloc(LENGTH);

	ASSERT_NE(NULL, tmp);
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ((ssize_t)bad, pread(self->fd, tmp, LENGTH, 0));
	EXPECT_EQ(bad, mismatch(tmp, bad, 1));
	EXPECT_EQ(-1, pread(self->fd, tmp, 1, (off_t)(bad + 7)));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ((ssize_t)(LENGTH - bad - self->ps),
		  pread(self->fd, tmp, LENGTH, (off_t)(bad + self->ps)));
	EXPECT_TRUE(matches_at(tmp, LENGTH - bad - self->ps, bad + self->ps,
			       1));
	free(tmp);
}

TEST_F(poison, write)
{
	const size_t bad = BAD * self->ps;
	char *tmp = malloc(LENGTH);

	ASSERT_NE(NULL, tmp);
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	fill(tmp, LENGTH, 1);
	EXPECT_EQ((ssize_t)bad, pwrite(self->fd, tmp, LENGTH, 0));
	EXPECT_EQ(-1, pwrite(self->fd, tmp, self->ps, (off_t)bad));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(7, pwrite(self->fd, tmp, 7, (off_t)(bad + self->ps)));
	free(tmp);
}

/* By ptrace() and the like, which on the PFN path load by the driver. */
TEST_F(poison, proc_mem)
{
	const size_t bad = BAD * self->ps;
	const off_t at = (off_t)(uintptr_t)self->p + (off_t)bad;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char byte;

	ASSERT_LE(0, mem);
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ(-1, pread(mem, &byte, 1, at));
	EXPECT_EQ(-1, pwrite(mem, &byte, 1, at));
	EXPECT_EQ(1, pread(mem, &byte, 1, at - 1));
	EXPECT_EQ((char)pattern(bad - 1, 1), byte);
	close(mem);
}

/* Nor does a device. */
TEST_F(poison, direct_io)
{
	const size_t bad = BAD * self->ps;
	int disk = disk_file();

	if (variant->pfn)
		return;
	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ(-1, pwrite(disk, self->p + bad, self->ps, 0));
	EXPECT_EQ((ssize_t)self->ps, pwrite(disk, self->p, self->ps, 0));
	close(disk);
}

/* A device is told of none of it. */
TEST_F(poison, device)
{
	struct kubuf_export e = { .size = sizeof(e) };
	static struct importer_args args;
	int importer, dmabuf;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	importer = importer_open();
	ASSERT_LE(0, importer);
	dmabuf = kioctl(self->fd, KUBUF_EXPORT, &e);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, attach(importer, &args, dmabuf));
	EXPECT_EQ(0, map_for(importer, &args, TO_DEVICE));
	EXPECT_EQ(0, kioctl(importer, IMPORTER_UNMAP, &args));
	ASSERT_TRUE(inject(self->pfn));
	EXPECT_EQ(-EIO, map_for(importer, &args, TO_DEVICE));
	/* Beside it there is memory still. */
	close(importer);
	close(dmabuf);
	e.offset = (BAD + 1) * self->ps;
	dmabuf = kioctl(self->fd, KUBUF_EXPORT, &e);
	ASSERT_LE(0, dmabuf);
	importer = importer_open();
	ASSERT_LE(0, importer);
	ASSERT_EQ(0, attach(importer, &args, dmabuf));
	EXPECT_EQ(0, map_for(importer, &args, TO_DEVICE));
	close(importer);
	close(dmabuf);
	importer_unload();
}

#define AGAIN	8

/* When the buffer is gone, no other one is made of that page. */
TEST_F(poison, is_not_given_out_again)
{
	int fds[AGAIN];
	int same = 0;

	if (self->why_not)
		SKIP(return, "%s", self->why_not);
	ASSERT_TRUE(inject(self->pfn));
	ASSERT_EQ(0, munmap(self->p, LENGTH));
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	for (int i = 0; i < AGAIN; i++) {
		fds[i] = buf_create(variant->backing, LENGTH, variant->flags);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(PAGES, page_states(fds[i], self->st, PAGES));
		for (long j = 0; j < PAGES; j++)
			same += self->st[j].pfn == self->pfn;
	}
	EXPECT_EQ(0, same);
	for (int i = 0; i < AGAIN; i++)
		close(fds[i]);
}

TEST_HARNESS_MAIN
