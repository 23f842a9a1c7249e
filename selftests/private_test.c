// SPDX-License-Identifier: GPL-2.0-only
/*
 * MAP_PRIVATE: a copy of what is written, on the page path; refused on the PFN
 * path, where a copy of the page cannot be made.
 */
#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(private)
{
	size_t ps;
	size_t len;
	int fd;
	/* Another file of the same buffer. */
	int ro;
};

FIXTURE_VARIANT(private)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(private);

FIXTURE_SETUP(private)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	self->ro = reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, self->ro);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
}

FIXTURE_TEARDOWN(private)
{
	close(self->ro);
	close(self->fd);
}

static char *map_private(int fd, size_t length)
{
	return map_fresh(fd, length, RW, MAP_PRIVATE, 0);
}

/* A private store is seen by nobody else: buffer, kernel, other mappings. */
TEST_F(private, write_first)
{
	char *p = map_private(self->fd, self->len);
	char *q = map_private(self->fd, self->len);
	char *shared = buf_map(self->fd, self->len, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_NE(MAP_FAILED, shared);
	EXPECT_EQ(3, buf_mappings(self->fd));
	fill(p, self->len, 2);
	EXPECT_EQ(self->len, mismatch(p, self->len, 2));
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	EXPECT_EQ(self->len, mismatch(shared, self->len, 1));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* The same where each page was mapped for reading before. */
TEST_F(private, read_then_write)
{
	char *p = map_private(self->fd, self->len);
	struct page_state st;

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(self->len, mismatch(p, self->len, 1));
	/* Until it is written, a private page is the buffer's. */
	ASSERT_EQ(0, page_state(self->fd, 3, &st));
	EXPECT_EQ(st.pfn, pfn_of(p + 3 * self->ps));
	EXPECT_EQ(1, st.maps);
	fill(p, self->len, 2);
	EXPECT_EQ(self->len, mismatch(p, self->len, 2));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	ASSERT_EQ(0, page_state(self->fd, 3, &st));
	EXPECT_NE(st.pfn, pfn_of(p + 3 * self->ps));
	EXPECT_EQ(0, st.maps);
}

/* One byte written: the rest of its page is copied, its neighbours are not. */
TEST_F(private, copies_one_page)
{
	char *p = map_private(self->fd, self->len);
	const size_t at = 5 * self->ps + 7;
	struct page_state st[PAGES];

	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	store(p + at, (char)~pattern(at, 1));
	EXPECT_EQ(at, mismatch(p, self->len, 1));
	p[at] = (char)pattern(at, 1);
	EXPECT_EQ(self->len, mismatch(p, self->len, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_EQ(i != 5, st[i].pfn == pfn_of(p + i * self->ps));
}

/* What the kernel stores later is seen on pages that were not written. */
TEST_F(private, later_kernel_stores)
{
	char *p = map_private(self->fd, self->len);

	ASSERT_NE(MAP_FAILED, p);
	/* Page 0 written, page 1 read, the others not touched. */
	store(p, p[0]);
	load(p + self->ps);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 3));
	EXPECT_TRUE(matches_at(p, self->ps, 0, 1));
	EXPECT_TRUE(matches_at(p + self->ps, self->len - self->ps, self->ps,
			       3));
}

/* Private memory of a read-only file may be written: it is not the file's. */
TEST_F(private, read_only_file)
{
	char *p = map_private(self->ro, self->len);

	ASSERT_NE(MAP_FAILED, p);
	load(p);
	fill(p, self->len, 2);
	EXPECT_EQ(self->len, mismatch(p, self->len, 2));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

TEST_F(private, read_only_file_mprotect)
{
	char *p = mmap(NULL, self->len, PROT_READ, MAP_PRIVATE, self->ro, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(self->len, mismatch(p, self->len, 1));
	EXPECT_EQ(SIGSEGV, access_signal(p, true));
	ASSERT_EQ(0, mprotect(p, self->len, RW));
	fill(p, self->len, 2);
	EXPECT_EQ(self->len, mismatch(p, self->len, 2));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

TEST_F(private, no_exec)
{
	char *p;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_READ | PROT_EXEC,
				   MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	p = map_private(self->fd, self->len);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, self->len, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

/* A kernel store into user memory is a private store as well. */
TEST_F(private, kernel_writes_copy)
{
	char *p = map_private(self->fd, self->len);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_LE(0, zero);
	load(p);
	ASSERT_EQ((ssize_t)self->len, read(zero, p, self->len));
	EXPECT_TRUE(all_bytes(p, self->len, 0));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(zero);
}

/* The copy goes, and the buffer's page is there again. */
TEST_F(private, dontneed_drops_copy)
{
	char *p = map_private(self->fd, self->len);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, 2);
	ASSERT_EQ(0, madvise(p, self->len, MADV_DONTNEED));
	EXPECT_EQ(self->len, mismatch(p, self->len, 1));
}

static long child_writes(void *arg)
{
	const size_t len = PAGES * page_size();
	char *p = arg;

	/* The parent's copy, and what it has not written. */
	if (!matches_at(p, len / 2, 0, 2) ||
	    !matches_at(p + len / 2, len / 2, len / 2, 1))
		return 1;
	fill(p, len, 3);
	return mismatch(p, len, 3) == len ? 0 : 2;
}

/* Parent and child each have their own from the fork on. */
TEST_F(private, fork)
{
	char *p = map_private(self->fd, self->len);

	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	fill(p, self->len / 2, 2);
	EXPECT_EQ(0, in_child(child_writes, p));
	EXPECT_TRUE(matches_at(p, self->len / 2, 0, 2));
	EXPECT_TRUE(matches_at(p + self->len / 2, self->len / 2,
			       self->len / 2, 1));
	fill(p, self->len, 4);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* A private mapping has the limits of a shared one. */
TEST_F(private, bounds)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len + 1, RW, MAP_PRIVATE,
				   self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->ps, RW, MAP_PRIVATE, self->fd,
				   (off_t)self->len));
	EXPECT_EQ(EINVAL, errno);
}

/*
 * Chunks that one PMD entry may map. A private store through such an entry must
 * split it: a writable one would let the store into the buffer.
 */
FIXTURE(private_chunks)
{
	size_t len;
	int fd;
	char *p;
};

FIXTURE_VARIANT(private_chunks)
{
	__u32 backing;
	int mode;
	bool read_first;
};

FIXTURE_VARIANT_ADD(private_chunks, huge_read_only_file)
{
	.backing = KUBUF_BACKING_HUGE, .mode = O_RDONLY, .read_first = true,
};

FIXTURE_VARIANT_ADD(private_chunks, huge_read_only_file_write_first)
{
	.backing = KUBUF_BACKING_HUGE, .mode = O_RDONLY, .read_first = false,
};

FIXTURE_VARIANT_ADD(private_chunks, huge_writable_file)
{
	.backing = KUBUF_BACKING_HUGE, .mode = O_RDWR, .read_first = true,
};

FIXTURE_VARIANT_ADD(private_chunks, huge_writable_file_write_first)
{
	.backing = KUBUF_BACKING_HUGE, .mode = O_RDWR, .read_first = false,
};

/* One folio of just that size. */
FIXTURE_VARIANT_ADD(private_chunks, pages_read_only_file)
{
	.backing = KUBUF_BACKING_PAGES, .mode = O_RDONLY, .read_first = true,
};

FIXTURE_SETUP(private_chunks)
{
	int fd;

	self->len = pmd_size();
	if (variant->backing == KUBUF_BACKING_HUGE)
		self->len *= 2;
	self->fd = buf_create(variant->backing, self->len, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	fd = reopen(self->fd, variant->mode);
	ASSERT_LE(0, fd);
	self->p = map_private(fd, self->len);
	ASSERT_NE(MAP_FAILED, self->p);
	/* For where the administrator wants to be asked. */
	madvise(self->p, self->len, MADV_HUGEPAGE);
	close(fd);
	if (variant->read_first)
		touch(self->p, self->len);
}

FIXTURE_TEARDOWN(private_chunks)
{
	munmap(self->p, self->len);
	close(self->fd);
}

/* The first store into a chunk, the last one, and the two at the seam. */
TEST_F(private_chunks, write)
{
	const size_t half = self->len / 2;
	const size_t at[] = { 0, half - 1, half, self->len - 1 };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		store(self->p + at[i], (char)~pattern(at[i], 1));
		EXPECT_EQ((char)~pattern(at[i], 1), self->p[at[i]]);
	}
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	/* And nothing but these bytes has changed in the private view. */
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		self->p[at[i]] = (char)pattern(at[i], 1);
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
}

TEST_F(private_chunks, write_all)
{
	memset(self->p, 0x5a, self->len);
	EXPECT_TRUE(all_bytes(self->p, self->len, 0x5a));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	EXPECT_EQ(0, mapped(self->fd, 0, 1, NULL, NULL));
}

static long child_chunk(void *arg)
{
	char *p = arg;

	store(p + pmd_size() / 2, 'c');
	return load(p + pmd_size() / 2) == 'c' ? 0 : 1;
}

/* A child's store goes neither to the parent's memory nor to the buffer. */
TEST_F(private_chunks, fork)
{
	EXPECT_EQ(0, in_child(child_chunk, self->p));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* On the PFN path a private mapping is refused, and nothing is broken. */
FIXTURE(private_pfn)
{
	size_t len;
	int fd;
};

FIXTURE_VARIANT(private_pfn)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PFN_VARIANTS(private_pfn);

FIXTURE_SETUP(private_pfn)
{
	self->len = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(private_pfn)
{
	close(self->fd);
}

TEST_F(private_pfn, refused)
{
	const int prots[] = { PROT_NONE, PROT_READ, RW };
	int ro = reopen(self->fd, O_RDONLY);
	char *p;

	ASSERT_LE(0, ro);
	for (size_t i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, prots[i],
					   MAP_PRIVATE, self->fd, 0));
		EXPECT_EQ(EINVAL, errno);
		/* mprotect() could make it writable later. */
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, prots[i],
					   MAP_PRIVATE, ro, 0));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(0, buf_mappings(self->fd));
	/* It was a no, not the end of the kernel. */
	p = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, 1);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(ro);
}

TEST_HARNESS_MAIN
