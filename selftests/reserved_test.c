// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reserved buffers: PG_reserved is set on a page from its first access to the
 * last munmap() of the buffer, and belongs to CAP_SYS_RAWIO.
 */
#include <linux/capability.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

/* Where the pages of a buffer are. */
struct frames {
	int fd;
	/* /proc/kpageflags */
	int flags;
	unsigned long pfn[PAGES];
};

FIXTURE(reserved)
{
	struct windows windows;
	size_t ps;
	size_t len;
	int fd;
	struct frames frames;
};

FIXTURE_VARIANT(reserved)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_RESERVED_VARIANTS(reserved);

FIXTURE_SETUP(reserved)
{
	struct page_state st[PAGES];

	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->frames.flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->frames.flags);
	ASSERT_EQ(0, windows_get(&self->windows));
	ASSERT_EQ(0, windows_set(1));
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	for (int i = 0; i < PAGES; i++)
		self->frames.pfn[i] = st[i].pfn;
	self->frames.fd = self->fd;
}

FIXTURE_TEARDOWN(reserved)
{
	windows_put(&self->windows);
	close(self->fd);
	close(self->frames.flags);
}

static bool is_reserved(int flags, unsigned long pfn)
{
	__u64 word = 0;

	return pread(flags, &word, sizeof(word),
		     (off_t)(pfn * sizeof(word))) == sizeof(word) &&
	       word & KPF_RESERVED;
}

/*
 * A bit for each page of the buffer that is reserved; all ones, which is more
 * than there are, where the driver and the core do not say the same.
 */
static unsigned long reserved_set(const struct frames *f)
{
	struct page_state st[PAGES];
	unsigned long set = 0;

	if (page_states(f->fd, st, PAGES) != PAGES)
		return ~0UL;
	for (int i = 0; i < PAGES; i++) {
		bool is = is_reserved(f->flags, f->pfn[i]);

		if (is != st[i].reserved || f->pfn[i] != st[i].pfn)
			return ~0UL;
		set |= (unsigned long)is << i;
	}
	return set;
}

#define ALL	((1UL << PAGES) - 1)

/* Not by creation, not by mmap(): by the first access to the page itself. */
TEST_F(reserved, set_by_first_access)
{
	char *p;

	EXPECT_EQ(0UL, reserved_set(&self->frames));
	p = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0UL, reserved_set(&self->frames));
	load(p + 3 * self->ps);
	EXPECT_EQ(1UL << 3, reserved_set(&self->frames));
	store(p + 5 * self->ps, 1);
	EXPECT_EQ(1UL << 3 | 1UL << 5, reserved_set(&self->frames));
	touch(p, self->len);
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

/* A window sets it on the pages that it maps, and no others. */
TEST_F(reserved, set_by_window)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(4));
	for (size_t i = 0; i < PAGES; i++) {
		struct page_state st[PAGES];
		unsigned long maps = 0;

		load(p + i * self->ps);
		ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
		for (int j = 0; j < PAGES; j++)
			maps |= (unsigned long)(st[j].maps > 0) << j;
		EXPECT_EQ(maps, reserved_set(&self->frames));
		EXPECT_EQ(1UL, maps >> i & 1);
	}
}

/* The kernel's own way in maps nothing and reserves nothing. */
TEST_F(reserved, not_by_read_and_write)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 2));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

/* Contents live through it all, and the next access sets the bit again. */
TEST_F(reserved, again)
{
	for (unsigned int round = 2; round < 5; round++) {
		char *p = buf_map(self->fd, self->len, RW);

		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(self->len, mismatch(p, self->len, round - 1));
		EXPECT_EQ(ALL, reserved_set(&self->frames));
		fill(p, self->len, round);
		ASSERT_EQ(0, munmap(p, self->len));
		EXPECT_EQ(0UL, reserved_set(&self->frames));
		EXPECT_EQ(self->len,
			  kernel_mismatch(self->fd, self->len, round));
	}
}

/* Of two mappings the first to go does not matter, whichever was touched. */
TEST_F(reserved, second_mapping)
{
	char *p = buf_map(self->fd, self->len, RW);
	char *q = buf_map(self->fd, self->ps, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	touch(p, self->len);
	ASSERT_EQ(0, munmap(p, self->len));
	/* All of them stay, though the other mapping shows but one. */
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(0, munmap(q, self->ps));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

TEST_F(reserved, split)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	ASSERT_EQ(0, munmap(p + 4 * self->ps, 4 * self->ps));
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(0, munmap(p, 4 * self->ps));
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(0, munmap(p + 8 * self->ps, self->len - 8 * self->ps));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

TEST_F(reserved, mremap)
{
	char *p = buf_map(self->fd, self->len, RW);
	char *q = fresh_range(self->len, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	touch(p, self->len);
	ASSERT_EQ(q, mremap(p, self->len, self->len,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	ASSERT_EQ(0, munmap(q, self->len));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

static long child_touches(void *arg)
{
	touch(arg, PAGES * page_size());
	return 0;
}

/* A child that comes, touches and goes is not the last. */
TEST_F(reserved, fork)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	load(p);
	EXPECT_EQ(0, in_child(child_touches, p));
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

/* The child is the last, and its end is the end of it. */
TEST_F(reserved, child_is_last)
{
	char *p = buf_map(self->fd, self->len, RW);
	int pipefd[2], status;
	pid_t pid;
	char c;

	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	ASSERT_EQ(0, pipe(pipefd));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(read(pipefd[0], &c, 1) != 1);
	ASSERT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(ALL, reserved_set(&self->frames));
	ASSERT_EQ(1, write(pipefd[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

/* Without an fd the mapping alone keeps the buffer, and gives it back clean. */
TEST_F(reserved, freed_clean)
{
	int fd = buf_create(variant->backing, self->len, variant->flags);
	struct page_state st[PAGES];
	char *p;

	ASSERT_LE(0, fd);
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	ASSERT_EQ(PAGES, page_states(fd, st, PAGES));
	ASSERT_EQ(0, close(fd));
	EXPECT_TRUE(is_reserved(self->frames.flags, st[0].pfn));
	ASSERT_EQ(0, munmap(p, self->len));
	/* A page freed with the bit set would be in the kernel log, too. */
	for (int i = 0; i < PAGES; i++)
		EXPECT_FALSE(is_reserved(self->frames.flags, st[i].pfn));
}

static long map_without(void *arg)
{
	int fd = *(int *)arg;
	int ret = drop(CAP_SYS_RAWIO);

	if (ret)
		return ret;
	if (mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0) !=
	    MAP_FAILED)
		return 0;
	return -errno;
}

static long create_without(void *arg)
{
	const __u32 *backing = arg;
	int ret = drop(CAP_SYS_RAWIO);

	return ret ? ret : buf_create(*backing, page_size(),
				      KUBUF_CREATE_RESERVED);
}

/* Once for the buffer, and again for each mapping of it. */
TEST_F(reserved, capability)
{
	__u32 backing = variant->backing;

	EXPECT_EQ(-EPERM, in_child(create_without, &backing));
	EXPECT_EQ(-EPERM, in_child(map_without, &self->fd));
	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_EQ(0UL, reserved_set(&self->frames));
}

#define ROUNDS		1000
#define LOOKS		50

struct racer {
	int fd;
	int flags;
	size_t len;
	unsigned long pfn;
};

/*
 * Map, touch, look, unmap: nobody may take the bit away in between. How often
 * somebody did.
 */
static long race(void *arg)
{
	struct racer *r = arg;
	long lost = 0;

	for (int i = 0; i < ROUNDS; i++) {
		char *p = buf_map(r->fd, r->len, RW);

		if (p == MAP_FAILED)
			return -errno;
		load(p + r->len - 1);
		/* As long as the other may take to clear it. */
		for (int j = 0; j < LOOKS; j++)
			lost += !is_reserved(r->flags, r->pfn);
		munmap(p, r->len);
	}
	return lost;
}

/*
 * The last munmap() in one process, the next mmap() in another: in one process
 * mmap() would wait for munmap().
 */
TEST_F(reserved, last_close_races_with_mmap)
{
	/* As large as can be: clearing comes to the last page last. */
	const long pages = variant->backing == KUBUF_BACKING_PAGES ? 1024 :
								     4096;
	struct racer r = {
		.flags = self->frames.flags,
		.len = (size_t)pages * self->ps,
	};
	struct page_state st;
	int status;
	pid_t pid;

	r.fd = buf_create(variant->backing, r.len, variant->flags);
	ASSERT_LE(0, r.fd);
	ASSERT_EQ(0, page_state(r.fd, (unsigned long)pages - 1, &st));
	r.pfn = st.pfn;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(race(&r) != 0);
	EXPECT_EQ(0, race(&r));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, buf_mappings(r.fd));
	ASSERT_EQ(0, page_state(r.fd, (unsigned long)pages - 1, &st));
	EXPECT_FALSE(st.reserved);
	EXPECT_FALSE(is_reserved(r.flags, r.pfn));
	close(r.fd);
}

TEST_HARNESS_MAIN
