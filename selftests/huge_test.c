// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers of huge pieces: one fault maps a piece, and whatever takes a part of
 * one away leaves the rest, its contents and its counts as they were.
 */
#include <sys/uio.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(huge)
{
	size_t ps;
	size_t len;
	long pages;
	int fd;
	char *p;
	struct page_state *before;
};

FIXTURE_VARIANT(huge)
{
	__u32 backing;
	/* Bytes, as PMD entries and pages. */
	unsigned int pmds;
	unsigned int pages;
	bool pfn;
};

/* Two pieces and a seam between them. */
FIXTURE_VARIANT_ADD(huge, two)
{
	.backing = KUBUF_BACKING_HUGE, .pmds = 2,
};

/* A tail that is too small for a PMD entry. */
FIXTURE_VARIANT_ADD(huge, with_tail)
{
	.backing = KUBUF_BACKING_HUGE, .pmds = 1, .pages = 21,
};

/* One folio, of the size of a piece. */
FIXTURE_VARIANT_ADD(huge, pages)
{
	.backing = KUBUF_BACKING_PAGES, .pmds = 1,
};

/* Mapped by frame number: one entry may do for these, too. */
FIXTURE_VARIANT_ADD(huge, kmalloc)
{
	.backing = KUBUF_BACKING_KMALLOC, .pmds = 2, .pfn = true,
};

FIXTURE_SETUP(huge)
{
	self->ps = page_size();
	self->len = variant->pmds * pmd_size() + variant->pages * self->ps;
	self->pages = (long)(self->len / self->ps);
	self->fd = buf_create(variant->backing, self->len, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	self->before = calloc((size_t)self->pages, sizeof(*self->before));
	ASSERT_NE(NULL, self->before);
	ASSERT_EQ(self->pages,
		  page_states(self->fd, self->before, self->pages));
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

/* Unmapped, no page has one reference more or less than before. */
FIXTURE_TEARDOWN(huge)
{
	struct page_state *after = calloc((size_t)self->pages, sizeof(*after));
	long differ = 0;

	EXPECT_EQ(0, munmap(self->p, self->len));
	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_EQ(self->pages, page_states(self->fd, after, self->pages));
	for (long i = 0; i < self->pages; i++)
		differ += after[i].refs != self->before[i].refs ||
			  after[i].pfn != self->before[i].pfn ||
			  after[i].maps || after[i].mapped || after[i].pinned;
	EXPECT_EQ(0, differ);
	free(after);
	free(self->before);
	close(self->fd);
}

/* What a mapping counts for: nothing, if the core knows no page in it. */
static long rss(size_t length, bool pfn)
{
	return pfn ? 0 : (long)(length / KIB);
}

/*
 * The first access to a piece maps all of it. With frame numbers that depends
 * on the architecture: windows do it else, in a few faults.
 */
TEST_F(huge, one_fault_a_piece)
{
	const size_t pieces = variant->pmds * pmd_size();
	struct windows windows;
	long faults;

	if (!whole_pieces(self->before, self->pages))
		SKIP(return, "memory is fragmented, or no huge pages");
	ASSERT_EQ(0, windows_get(&windows));
	ASSERT_EQ(0, windows_set((unsigned int)(pieces / self->ps)));
	minor_faults();
	faults = minor_faults();
	touch(self->p, pieces);
	faults = minor_faults() - faults;
	windows_put(&windows);
	EXPECT_LE((long)variant->pmds, faults);
	EXPECT_LE(faults, (long)variant->pmds * (variant->pfn ? 16 : 1));
	EXPECT_EQ((long)(pieces / self->ps),
		  mapped(self->fd, 0, (long)(pieces / self->ps), NULL, NULL));
	EXPECT_EQ(rss(pieces, variant->pfn), smaps_kib(self->p, "Rss"));
	/* A store needs no fault of its own. */
	minor_faults();
	faults = minor_faults();
	memset(self->p, 1, pieces);
	faults = minor_faults() - faults;
	EXPECT_EQ(0, faults);
}

/*
 * Each piece is shown as one entry, and no longer when a page of it is taken
 * away. Frame numbers are shown as nothing.
 */
TEST_F(huge, shown_as_one_entry_each)
{
	const size_t pieces = variant->pmds * pmd_size();
	char *rest = self->p + self->ps;

	if (!whole_pieces(self->before, self->pages))
		SKIP(return, "memory is fragmented, or no huge pages");
	touch(self->p, pieces);
	EXPECT_EQ(rss(pieces, variant->pfn),
		  smaps_kib(self->p, "FilePmdMapped"));
	EXPECT_EQ(0, smaps_kib(self->p, "ShmemPmdMapped"));
	EXPECT_EQ(0, smaps_kib(self->p, "AnonHugePages"));
	ASSERT_EQ(0, munmap(self->p, self->ps));
	EXPECT_EQ(rss(pieces - pmd_size(), variant->pfn),
		  smaps_kib(rest, "FilePmdMapped"));
	EXPECT_EQ(self->len - self->ps,
		  mismatch_at(rest, self->len - self->ps, self->ps, 1));
}

/* All of the buffer, whatever its pages are. */
TEST_F(huge, contents)
{
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	fill(self->p, self->len, 2);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_EQ(rss(self->len, variant->pfn), smaps_kib(self->p, "Rss"));
	EXPECT_EQ(self->pages, mapped(self->fd, 0, self->pages, NULL, NULL));
}

/* An address, and then an offset, where no PMD entry fits. */
TEST_F(huge, unaligned)
{
	const size_t off = 3 * self->ps, n = self->len - off;
	char *q = map_fresh(self->fd, self->len, RW, MAP_SHARED, self->ps);
	char *r = fresh_range(n, 0);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	r = mmap(r, n, RW, MAP_SHARED | MAP_FIXED, self->fd, (off_t)off);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_TRUE(matches_at(r, n, off, 1));
	EXPECT_EQ(rss(n, variant->pfn), smaps_kib(r, "Rss"));
	EXPECT_EQ(0, munmap(q, self->len));
	EXPECT_EQ(0, munmap(r, n));
}

/* A part of a piece, which no entry can map: windows, not page by page. */
TEST_F(huge, part_by_windows)
{
	const size_t n = pmd_size() / 2;
	const long pages = (long)(n / self->ps);
	struct windows windows;
	long faults;
	char *q;

	ASSERT_EQ(0, windows_get(&windows));
	ASSERT_EQ(0, windows_set((unsigned int)pages));
	q = map_fresh(self->fd, n, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, q);
	minor_faults();
	faults = minor_faults();
	touch(q, n);
	faults = minor_faults() - faults;
	windows_put(&windows);
	if (whole_pieces(self->before, self->pages))
		EXPECT_LE(faults, 12);
	EXPECT_LE(1, faults);
	EXPECT_EQ(n, mismatch(q, n, 1));
	EXPECT_EQ(rss(n, variant->pfn), smaps_kib(q, "Rss"));
	EXPECT_EQ(pages, mapped(self->fd, 0, self->pages, NULL, NULL));
	EXPECT_EQ(0, munmap(q, n));
}

/* And so it stays, though it is moved to where an entry would fit. */
TEST_F(huge, moved_into_line)
{
	const size_t n = pmd_size();
	char *q = map_fresh(self->fd, n, RW, MAP_SHARED, 3 * self->ps);
	char *r = fresh_range(n, 0);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_NE(MAP_FAILED, r);
	ASSERT_EQ(r, mremap(q, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, r));
	EXPECT_EQ(n, mismatch(r, n, 1));
	EXPECT_EQ(rss(n, variant->pfn), smaps_kib(r, "Rss"));
	ASSERT_EQ(0, munmap(r + n / 2, self->ps));
	EXPECT_TRUE(matches_at(r, n / 2, 0, 1));
	ASSERT_EQ(0, munmap(r, n));
}

/* A hole in a piece. */
TEST_F(huge, munmap_part)
{
	const size_t at = pmd_size() / 2, n = 5 * self->ps;

	touch(self->p, self->len);
	ASSERT_EQ(0, munmap(self->p + at, n));
	EXPECT_EQ(2, buf_mappings(self->fd));
	EXPECT_EQ(SIGSEGV, access_signal(self->p + at, false));
	EXPECT_TRUE(matches_at(self->p, at, 0, 1));
	EXPECT_TRUE(matches_at(self->p + at + n, self->len - at - n, at + n,
			       1));
	/* What is left is mapped and counted once, as the hole is not. */
	EXPECT_EQ(rss(at, variant->pfn), smaps_kib(self->p, "Rss"));
	EXPECT_EQ(0, mapped(self->fd, (long)(at / self->ps), 5, NULL, NULL));
	EXPECT_EQ(self->pages - 5,
		  mapped(self->fd, 0, self->pages, NULL, NULL));
	EXPECT_EQ(SIGSEGV, access_signal(self->p + at + n - 1, true));
}

/* To drop a part the core drops the piece: the rest faults in again. */
TEST_F(huge, dontneed_part)
{
	const size_t at = pmd_size() / 2, n = 5 * self->ps;

	if (variant->pfn)
		return;
	touch(self->p, self->len);
	ASSERT_EQ(0, madvise(self->p + at, n, MADV_DONTNEED));
	EXPECT_EQ(0, mapped(self->fd, (long)(at / self->ps), 5, NULL, NULL));
	EXPECT_TRUE(matches_at(self->p, at, 0, 1));
	EXPECT_TRUE(matches_at(self->p + at + n, self->len - at - n, at + n,
			       1));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	EXPECT_EQ(rss(self->len, variant->pfn), smaps_kib(self->p, "Rss"));
	EXPECT_EQ(self->pages, mapped(self->fd, 0, self->pages, NULL, NULL));
}

TEST_F(huge, mprotect_part)
{
	const size_t at = pmd_size() / 2, n = 5 * self->ps;

	touch(self->p, self->len);
	ASSERT_EQ(0, mprotect(self->p + at, n, PROT_READ));
	EXPECT_EQ(SIGSEGV, access_signal(self->p + at, true));
	EXPECT_EQ(0, access_signal(self->p + at + n, false));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 2));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 2));
	ASSERT_EQ(0, mprotect(self->p + at, n, RW));
	fill(self->p, self->len, 3);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 3));
}

/* A whole piece that must not be reached for a while. */
TEST_F(huge, no_access_and_back)
{
	touch(self->p, self->len);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_NONE));
	EXPECT_EQ(SIGSEGV, access_signal(self->p, false));
	EXPECT_EQ(SIGSEGV, access_signal(self->p + pmd_size() - 1, true));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	EXPECT_EQ(SIGSEGV, access_signal(self->p, true));
	ASSERT_EQ(0, mprotect(self->p, self->len, RW));
	fill(self->p, self->len, 2);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
}

/* A read-only file, whose pieces must not be mapped writable. */
TEST_F(huge, read_only_file)
{
	int ro = reopen(self->fd, O_RDONLY);
	char *q = map_fresh(ro, self->len, PROT_READ, MAP_SHARED, 0);

	ASSERT_LE(0, ro);
	ASSERT_NE(MAP_FAILED, q);
	/* A store first, then one where a load has mapped the piece. */
	EXPECT_EQ(SIGSEGV, access_signal(q, true));
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	EXPECT_EQ(SIGSEGV, access_signal(q, true));
	EXPECT_EQ(SIGSEGV, access_signal(q + self->len - 1, true));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	ASSERT_EQ(0, munmap(q, self->len));
	close(ro);
}

/* The half of a piece, to where no PMD entry fits. */
TEST_F(huge, mremap_part)
{
	const size_t n = pmd_size() / 2;
	char *q = fresh_range(n, 3 * self->ps);

	ASSERT_NE(MAP_FAILED, q);
	touch(self->p, self->len);
	ASSERT_EQ(q, mremap(self->p + n, n, n, MREMAP_MAYMOVE | MREMAP_FIXED,
			    q));
	EXPECT_TRUE(matches_at(q, n, n, 1));
	EXPECT_TRUE(matches_at(self->p, n, 0, 1));
	EXPECT_TRUE(matches_at(self->p + 2 * n, self->len - 2 * n, 2 * n, 1));
	fill(q, n, 2);
	ASSERT_EQ(0, munmap(q, n));
	EXPECT_EQ(n, kernel_mismatch(self->fd, self->len, 1));
}

/* A whole piece. */
TEST_F(huge, mremap)
{
	char *q = fresh_range(self->len, 0);

	ASSERT_NE(MAP_FAILED, q);
	touch(self->p, self->len);
	ASSERT_EQ(q, mremap(self->p, self->len, self->len,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(self->len, mismatch(q, self->len, 1));
	ASSERT_EQ(0, munmap(q, self->len));
}

/* These look for something to take in a part of a piece. */
TEST_F(huge, reclaim_part)
{
	char *at = self->p + pmd_size() / 2;
	const int expected = variant->pfn ? -1 : 0;

	touch(self->p, self->len);
	EXPECT_EQ(expected, madvise(at, 5 * self->ps, MADV_COLD));
	EXPECT_EQ(expected, madvise(at, 5 * self->ps, MADV_PAGEOUT));
	EXPECT_EQ(expected, madvise(self->p, self->len, MADV_PAGEOUT));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* All at once, and never touched. */
TEST_F(huge, populate)
{
	ASSERT_EQ(variant->pfn ? -1 : 0,
		  madvise(self->p, self->len, MADV_POPULATE_WRITE));
	EXPECT_EQ(variant->pfn ? 0 : self->pages,
		  mapped(self->fd, 0, self->pages, NULL, NULL));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 1));
}

struct child {
	char *p;
	size_t len;
};

static long child_fills(void *arg)
{
	struct child *c = arg;

	if (mismatch(c->p, c->len, 1) != c->len)
		return 1;
	munmap(c->p + pmd_size() / 2, page_size());
	fill(c->p, pmd_size() / 2, 2);
	return 0;
}

TEST_F(huge, fork)
{
	struct child c = { .p = self->p, .len = self->len };
	const size_t half = pmd_size() / 2;

	touch(self->p, self->len);
	EXPECT_EQ(0, in_child(child_fills, &c));
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(half, mismatch(self->p, half, 2));
	EXPECT_TRUE(matches_at(self->p + half, self->len - half, half, 1));
}

/* Pages that are pinned one by one, out of the middle and over the seam. */
TEST_F(huge, pin)
{
	const size_t n = 8 * self->ps;
	const size_t at = self->len - n < pmd_size() ? self->len - n :
						       pmd_size() - n / 2;
	struct iovec iov = { self->p + at, n };
	char *tmp = malloc(n);
	int pipefd[2];

	ASSERT_NE(NULL, tmp);
	ASSERT_EQ(0, pipe(pipefd));
	touch(self->p, self->len);
	if (variant->pfn) {
		/* Nobody takes a page by way of a PMD entry, either. */
		EXPECT_EQ(-1, vmsplice(pipefd[1], &iov, 1, 0));
		EXPECT_EQ(EFAULT, errno);
		return;
	}
	ASSERT_EQ((ssize_t)n, vmsplice(pipefd[1], &iov, 1, 0));
	ASSERT_EQ((ssize_t)n, read(pipefd[0], tmp, n));
	EXPECT_TRUE(matches_at(tmp, n, at, 1));
	free(tmp);
}

TEST_HARNESS_MAIN
