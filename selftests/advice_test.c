// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rest of the memory system may be asked to do with a mapping: each
 * answer is known, and the data is the same afterwards.
 */
#include <sys/syscall.h>

#include <linux/futex.h>
#include <linux/userfaultfd.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

/* Newer than some headers. */
#define ADVICE_COLLAPSE		25
#define ADVICE_GUARD_INSTALL	102
#define SYS_MSEAL		462

FIXTURE(advice)
{
	size_t ps;
	size_t len;
	int fd;
	char *p;
};

FIXTURE_VARIANT(advice)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(advice);

FIXTURE_SETUP(advice)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	touch(self->p, self->len);
}

/* Whatever was asked for: the mapping and the kernel still see one memory. */
FIXTURE_TEARDOWN(advice)
{
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	fill(self->p, self->len, 2);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_EQ(0, munmap(self->p, self->len));
	EXPECT_EQ(0, buf_mappings(self->fd));
	close(self->fd);
}

/* errno of an advice for the whole mapping; 0 if it was taken. */
static int advise(char *p, size_t length, int advice)
{
	return madvise(p, length, advice) ? errno : 0;
}

/*
 * The pages go from the page table, not from the buffer. Frame numbers stay:
 * the core knows no page there to drop.
 */
TEST_F(advice, dontneed)
{
	if (variant->pfn) {
		EXPECT_EQ(EINVAL, advise(self->p, self->len, MADV_DONTNEED));
		EXPECT_EQ(PAGES, mapped(self->fd, 0, PAGES, NULL, NULL));
		return;
	}
	EXPECT_EQ(0, advise(self->p, self->len, MADV_DONTNEED));
	EXPECT_EQ(0UL, present(self->p, PAGES, NULL, NULL));
	EXPECT_EQ(0, smaps_kib(self->p, "Rss"));
	EXPECT_EQ(0, mapped(self->fd, 0, PAGES, NULL, NULL));
}

/* A hole in what is mapped, by the folio or not. */
TEST_F(advice, dontneed_part)
{
	const char *p = self->p;

	EXPECT_EQ(variant->pfn ? EINVAL : 0,
		  advise(self->p + 3 * self->ps, 2 * self->ps, MADV_DONTNEED));
	if (variant->pfn)
		return;
	EXPECT_EQ(PAGES - 2UL, present(p, PAGES, NULL, NULL));
	EXPECT_EQ(0UL, present(p + 3 * self->ps, 2, NULL, NULL));
	EXPECT_TRUE(matches_at(p + 3 * self->ps, 2 * self->ps, 3 * self->ps,
			       1));
}

/* Only anonymous memory can be freed. */
TEST_F(advice, free)
{
	EXPECT_EQ(EINVAL, advise(self->p, self->len, MADV_FREE));
	EXPECT_EQ(PAGES, mapped(self->fd, 0, PAGES, NULL, NULL));
}

/* A buffer has no holes. */
TEST_F(advice, remove)
{
	EXPECT_EQ(EOPNOTSUPP, advise(self->p, self->len, MADV_REMOVE));
}

/* The pages are on no list of the page reclaim, which so finds none to take. */
TEST_F(advice, cold)
{
	const int expected = variant->pfn ? EINVAL : 0;

	EXPECT_EQ(expected, advise(self->p, self->len, MADV_COLD));
	EXPECT_EQ(expected, advise(self->p + 2 * self->ps, 3 * self->ps,
				   MADV_COLD));
}

TEST_F(advice, pageout)
{
	const int expected = variant->pfn ? EINVAL : 0;

	EXPECT_EQ(expected, advise(self->p, self->len, MADV_PAGEOUT));
	EXPECT_EQ(expected, advise(self->p + 2 * self->ps, 3 * self->ps,
				   MADV_PAGEOUT));
}

/* These are about reading ahead in a file: heard, and without effect. */
TEST_F(advice, access_pattern)
{
	EXPECT_EQ(0, advise(self->p, self->len, MADV_RANDOM));
	EXPECT_EQ(0, advise(self->p, self->len, MADV_SEQUENTIAL));
	EXPECT_EQ(0, advise(self->p, self->len, MADV_NORMAL));
	EXPECT_EQ(0, advise(self->p, self->len, MADV_WILLNEED));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* An advice for a part splits the mapping. */
TEST_F(advice, access_pattern_of_a_part)
{
	EXPECT_EQ(0, advise(self->p + 4 * self->ps, 4 * self->ps,
			    MADV_RANDOM));
	EXPECT_EQ(3, buf_mappings(self->fd));
}

/* Shared memory is not merged: ignored, not refused. */
TEST_F(advice, mergeable)
{
	const int expected = access("/sys/kernel/mm/ksm", F_OK) ? EINVAL : 0;

	EXPECT_EQ(expected, advise(self->p, self->len, MADV_MERGEABLE));
	EXPECT_EQ(expected, advise(self->p, self->len, MADV_UNMERGEABLE));
}

TEST_F(advice, hugepage)
{
	const int expected = has_thp() ? 0 : EINVAL;

	EXPECT_EQ(expected, advise(self->p, self->len, MADV_NOHUGEPAGE));
	EXPECT_EQ(expected, advise(self->p, self->len, MADV_HUGEPAGE));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* The buffer's pages are its own, and stay the ones they are. */
TEST_F(advice, collapse)
{
	unsigned long pfn = pfn_of(self->p);

	EXPECT_EQ(EINVAL, advise(self->p, self->len, ADVICE_COLLAPSE));
	EXPECT_EQ(pfn, pfn_of(self->p));
}

TEST_F(advice, guard)
{
	EXPECT_EQ(EINVAL, advise(self->p, self->len, ADVICE_GUARD_INSTALL));
	EXPECT_EQ(0, access_signal(self->p, false));
}

TEST_F(advice, wipeonfork)
{
	EXPECT_EQ(EINVAL, advise(self->p, self->len, MADV_WIPEONFORK));
	EXPECT_EQ(0, advise(self->p, self->len, MADV_KEEPONFORK));
}

/* What a mapping keeps out of a core dump stays out. */
TEST_F(advice, dontdump)
{
	EXPECT_EQ(0, advise(self->p, self->len, MADV_DONTDUMP));
	EXPECT_EQ(EINVAL, advise(self->p, self->len, MADV_DODUMP));
}

static long child_access(void *p)
{
	return access_signal(p, false);
}

/*
 * A mapping that a child is not to have. Later kernels do not let a driver's
 * mapping come back into the next child.
 */
TEST_F(advice, dontfork)
{
	int error;

	ASSERT_EQ(0, advise(self->p, self->len, MADV_DONTFORK));
	EXPECT_EQ(SIGSEGV, in_child(child_access, self->p));
	EXPECT_EQ(1, buf_mappings(self->fd));
	error = advise(self->p, self->len, MADV_DOFORK);
	EXPECT_TRUE(error == 0 || error == EINVAL)
		TH_LOG("MADV_DOFORK: %s", strerror(error));
	EXPECT_EQ(error ? SIGSEGV : 0, in_child(child_access, self->p));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* Populating maps pages up front; frame numbers it refuses. */
TEST_F(advice, populate)
{
	const int how[] = { MADV_POPULATE_READ, MADV_POPULATE_WRITE };

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		char *q = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
		long faults;
		int error;

		ASSERT_NE(MAP_FAILED, q);
		error = advise(q, self->len, how[i]);
		if (variant->pfn) {
			EXPECT_EQ(EINVAL, error);
		} else {
			EXPECT_EQ(0, error);
			EXPECT_EQ((size_t)PAGES, present(q, PAGES, NULL,
							 NULL));
			minor_faults();
			faults = minor_faults();
			touch(q, self->len);
			faults = minor_faults() - faults;
			EXPECT_EQ(0, faults);
		}
		ASSERT_EQ(0, munmap(q, self->len));
	}
}

/* A mapping that may not be written is not populated for it. */
TEST_F(advice, populate_write_read_only)
{
	char *q = map_fresh(self->fd, self->len, PROT_READ, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(EINVAL, advise(q, self->len, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, munmap(q, self->len));
}

/*
 * The pages are never swapped: there is nothing to lock. mlock() says yes,
 * populates as it always does, and charges nothing.
 */
TEST_F(advice, mlock)
{
	char *q = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0, mlock(q, self->len));
	EXPECT_EQ(variant->pfn ? 0UL : PAGES, present(q, PAGES, NULL, NULL));
	EXPECT_EQ(0, smaps_kib(q, "Locked"));
	EXPECT_EQ(0, munlock(q, self->len));
	EXPECT_EQ(1 + 1, buf_mappings(self->fd));
	ASSERT_EQ(0, munmap(q, self->len));
}

TEST_F(advice, mlockall)
{
	char *q;

	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
	q = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(variant->pfn ? 0UL : PAGES, present(q, PAGES, NULL, NULL));
	EXPECT_EQ(0, smaps_kib(q, "Locked"));
	ASSERT_EQ(0, munlockall());
	ASSERT_EQ(0, munmap(q, self->len));
}

/* There is no storage behind the memory, so all of it is in sync. */
TEST_F(advice, msync)
{
	EXPECT_EQ(0, msync(self->p, self->len, MS_SYNC));
	EXPECT_EQ(0, msync(self->p, self->len, MS_ASYNC));
	EXPECT_EQ(0, msync(self->p, self->len, MS_INVALIDATE | MS_SYNC));
}

TEST_F(advice, mincore)
{
	unsigned char vec[PAGES];

	ASSERT_EQ(0, mincore(self->p, self->len, vec));
	/* What it says of frame numbers has changed with the kernels. */
	if (variant->pfn)
		return;
	EXPECT_EQ(1, vec[0] & 1);
	EXPECT_EQ(1, vec[PAGES - 1] & 1);
}

/* Faults of a buffer are the driver's. */
TEST_F(advice, userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	const __u64 modes[] = {
		UFFDIO_REGISTER_MODE_MISSING,
		UFFDIO_REGISTER_MODE_MINOR,
		UFFDIO_REGISTER_MODE_WP,
	};
	int fd;

	if (!has_syscall(SYS_userfaultfd))
		SKIP(return, "this kernel has no userfaultfd");
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct uffdio_register r = {
			.range = {
				.start = (uintptr_t)self->p,
				.len = self->len,
			},
			.mode = modes[i],
		};

		EXPECT_EQ(-EINVAL, kioctl(fd, UFFDIO_REGISTER, &r));
	}
	close(fd);
}

/* 0, or the line of what went wrong. */
static long sealed_child(void *arg)
{
	const size_t len = PAGES * page_size();
	int fd = *(int *)arg;
	char *q = buf_map(fd, len, RW);

	if (q == MAP_FAILED || syscall(SYS_MSEAL, q, len, 0))
		return __LINE__;
	if (munmap(q, len) != -1 || errno != EPERM)
		return __LINE__;
	if (mprotect(q, len, PROT_READ) != -1 || errno != EPERM)
		return __LINE__;
	if (mmap(q, len, RW, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED ||
	    errno != EPERM)
		return __LINE__;
	/* The parent has one that came along by fork(), and its own. */
	if (mismatch(q, len, 1) != len || buf_mappings(fd) != 3)
		return __LINE__;
	fill(q, len, 2);
	if (kernel_mismatch(fd, len, 2) != len)
		return __LINE__;
	fill(q, len, 1);
	return 0;
}

/*
 * A sealed mapping can be used, but neither taken away nor changed. The end of
 * the process takes it away all the same.
 */
TEST_F(advice, mseal)
{
	if (!has_syscall(SYS_MSEAL))
		SKIP(return, "this kernel has no mseal()");
	EXPECT_EQ(0, in_child(sealed_child, &self->fd));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* A protection key guards the user's way in, not the kernel's own. */
TEST_F(advice, pkey)
{
	int pkey = pkey_alloc(0, PKEY_DISABLE_ACCESS);

	if (pkey < 0)
		SKIP(return, "no protection keys: %s", strerror(errno));
	ASSERT_EQ(0, pkey_mprotect(self->p, self->len, RW, pkey));
	EXPECT_EQ(SIGSEGV, access_signal(self->p, false));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 3));
	ASSERT_EQ(0, pkey_set(pkey, PKEY_DISABLE_WRITE));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 3));
	EXPECT_EQ(SIGSEGV, access_signal(self->p, true));
	ASSERT_EQ(0, pkey_set(pkey, 0));
	fill(self->p, self->len, 1);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	ASSERT_EQ(0, pkey_mprotect(self->p, self->len, RW, 0));
	ASSERT_EQ(0, pkey_free(pkey));
}

static int futex(char *p, int op, __u32 value)
{
	return (int)syscall(SYS_futex, p, op, value, NULL, NULL, 0);
}

struct waiter {
	char *word;
	bool woken;
};

static void *wait_for_it(void *arg)
{
	struct waiter *w = arg;

	while (load(w->word) == 0)
		futex(w->word, FUTEX_WAIT_PRIVATE, 0);
	w->woken = true;
	return NULL;
}

/* A futex of one process is found by its address. */
TEST_F(advice, private_futex)
{
	struct waiter w = { .word = self->p };
	pthread_t t;

	memset(self->p, 0, sizeof(__u32));
	/* Nobody waits; the value is another one. */
	EXPECT_EQ(0, futex(self->p, FUTEX_WAKE_PRIVATE, 1));
	EXPECT_EQ(-1, futex(self->p, FUTEX_WAIT_PRIVATE, 1));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, pthread_create(&t, NULL, wait_for_it, &w));
	store(self->p, 1);
	/* It waits, or has not yet begun to and will see the new value. */
	EXPECT_LE(0, futex(self->p, FUTEX_WAKE_PRIVATE, 1));
	ASSERT_EQ(0, pthread_join(t, NULL));
	EXPECT_TRUE(w.woken);
	fill(self->p, self->len, 1);
}

/* Where is it? A page is on a node; a frame number is on none. */
TEST_F(advice, move_pages_query)
{
	void *at[] = { self->p, self->p + self->ps };
	int status[] = { 12345, 12345 };

	if (!has_syscall(SYS_move_pages))
		SKIP(return, "this kernel has no NUMA");
	ASSERT_EQ(0, syscall(SYS_move_pages, 0, 2, at, NULL, status, 0));
	for (int i = 0; i < 2; i++) {
		if (variant->pfn) {
			/* The answer has changed with the kernels. */
			EXPECT_TRUE(status[i] == -EFAULT ||
				    status[i] == -ENOENT)
				TH_LOG("status %d", status[i]);
		} else {
			EXPECT_LE(0, status[i]);
			EXPECT_LT(status[i], 1024);
		}
	}
}

/* A page of a buffer moves to no other node. */
TEST_F(advice, move_pages)
{
	int status = 12345, node = 12345, other;
	unsigned long pfn = pfn_of(self->p);
	void *at = self->p;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "one NUMA node, or none");
	ASSERT_EQ(0, syscall(SYS_move_pages, 0, 1, &at, NULL, &node, 0));
	other = node ? 0 : 1;
	EXPECT_LE(0, syscall(SYS_move_pages, 0, 1, &at, &other, &status, 2));
	/* Without huge pages the core takes a folio for one of several users. */
	if (status == -EACCES && !has_thp())
		status = -EBUSY;
	EXPECT_EQ(variant->pfn ? -EFAULT : -EBUSY, status);
	EXPECT_EQ(pfn, pfn_of(self->p));
}

#define STORMERS	3

struct storm {
	size_t len;
	int fd;
	bool stop;
};

static void *storm(void *arg)
{
	struct storm *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		char *p = buf_map(s->fd, s->len, RW);

		if (p == MAP_FAILED)
			return s;
		touch(p, s->len);
		munmap(p, s->len);
	}
	return NULL;
}

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, sum = 0;
	char buf[4096];

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += n;
	close(fd);
	return n < 0 ? -errno : sum;
}

/* Those who look at an address space while others fault in it. */
TEST_F(advice, onlookers)
{
	struct storm s = { .len = self->len, .fd = self->fd };
	pthread_t t[STORMERS];
	void *failed;

	for (int i = 0; i < STORMERS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, storm, &s));
	for (int i = 0; i < 30; i++) {
		EXPECT_LT(0, slurp("/proc/self/smaps"));
		EXPECT_LT(0, slurp("/proc/self/smaps_rollup"));
		EXPECT_LT(0, slurp("/proc/self/maps"));
		/* Where there is NUMA. */
		EXPECT_NE(0, slurp("/proc/self/numa_maps"));
		EXPECT_EQ(variant->pfn ? 0UL : PAGES,
			  present(self->p, PAGES, NULL, NULL));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < STORMERS; i++) {
		ASSERT_EQ(0, pthread_join(t[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
	EXPECT_EQ(1, buf_mappings(self->fd));
}

TEST_HARNESS_MAIN
