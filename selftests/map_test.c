// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping a buffer: one memory seen from two address spaces, mapped at first
 * access, within its bounds and the rights of its file.
 */
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_pass.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(map)
{
	struct windows windows;
	size_t ps;
	size_t len;
	int fd;
};

FIXTURE_VARIANT(map)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(map);

FIXTURE_SETUP(map)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	ASSERT_EQ(0, windows_get(&self->windows));
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(map)
{
	windows_put(&self->windows);
	close(self->fd);
}

/*
 * Pages of these are mapped one by one. A buffer that is one folio, or several
 * large ones, may be mapped by the folio.
 */
static bool by_page(__u32 backing, __u32 flags)
{
	return backing == KUBUF_BACKING_KMALLOC ||
	       backing == KUBUF_BACKING_VMALLOC ||
	       (flags & KUBUF_CREATE_RESERVED);
}

/* The goal, one way: a user store is what the kernel loads. */
TEST_F(map, user_store_kernel_load)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, 1);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* The goal, the other way: a kernel store is what the user loads. */
TEST_F(map, kernel_store_user_load)
{
	char *p;

	/* Once before the page is mapped, once while it is. */
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 2));
	p = buf_map(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(self->len, mismatch(p, self->len, 2));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 3));
	EXPECT_EQ(self->len, mismatch(p, self->len, 3));
}

/* A store changes its own bytes and no other, across pages too. */
TEST_F(map, byte_exact)
{
	char *p = buf_map(self->fd, self->len, RW);
	const size_t at = 3 * self->ps - 2;
	char word[5];

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 4));
	ASSERT_EQ(3, pwrite(self->fd, "abc", 3, (off_t)at));
	EXPECT_EQ(0, memcmp(p + at, "abc", 3));
	EXPECT_EQ(at, mismatch(p, self->len, 4));
	p[at] = (char)pattern(at, 4);
	p[at + 1] = (char)pattern(at + 1, 4);
	ASSERT_EQ(5, pread(self->fd, word, 5, (off_t)at - 1));
	EXPECT_EQ((char)pattern(at - 1, 4), word[0]);
	EXPECT_EQ((char)pattern(at, 4), word[1]);
	EXPECT_EQ((char)pattern(at + 1, 4), word[2]);
	EXPECT_EQ('c', word[3]);
	EXPECT_EQ((char)pattern(at + 3, 4), word[4]);
	p[at + 2] = (char)pattern(at + 2, 4);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 4));
}

/*
 * A load and a store from either side put one address on the bus: both
 * processes and the driver name the same frame for each page. For a mapping of
 * frame numbers pagemap names none, and the driver has to find both mappings.
 */
TEST_F(map, one_frame)
{
	struct page_state st[PAGES];
	__u64 mine[PAGES], theirs[PAGES];
	char *p = buf_map(self->fd, self->len, RW);
	int up[2], down[2], status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	touch(p, self->len);
	ASSERT_TRUE(pagemap_read(p, mine, PAGES));
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *q = buf_map(self->fd, self->len, PROT_READ);

		munmap(p, self->len);
		if (q == MAP_FAILED || q == p)
			_exit(1);
		touch(q, self->len);
		if (!pagemap_read(q, theirs, PAGES) ||
		    write(up[1], theirs, sizeof(theirs)) != sizeof(theirs))
			_exit(2);
		_exit(read(down[0], theirs, 1) != 1);
	}
	ASSERT_EQ((ssize_t)sizeof(theirs), read(up[0], theirs, sizeof(theirs)));
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	for (unsigned long i = 0; i < PAGES; i++) {
		const unsigned long shown = variant->pfn ? 0 : st[i].pfn;

		EXPECT_NE(0UL, st[i].pfn);
		EXPECT_EQ(i, st[i].index);
		EXPECT_EQ(2, st[i].maps);
		EXPECT_EQ(shown, mine[i] & PM_PFN);
		EXPECT_EQ(shown, theirs[i] & PM_PFN);
		/* Not one frame for all of them. */
		EXPECT_NE(st[i ? i - 1 : PAGES - 1].pfn, st[i].pfn);
	}
}

/* A buffer holds no one's old data. */
TEST_F(map, zero_at_birth)
{
	char *p = buf_map(self->fd, self->len, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(all_bytes(p, self->len, 0));
}

/* mmap() itself maps nothing. */
TEST_F(map, nothing_before_touch)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0UL, present(p, PAGES, NULL, NULL));
	EXPECT_EQ(0, smaps_kib(p, "Rss"));
	EXPECT_EQ(0, mapped(self->fd, 0, PAGES, NULL, NULL));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/*
 * One touch is one minor fault that maps one page, be it a load or a store. A
 * folio may come as a whole.
 */
TEST_F(map, lone_touch)
{
	for (int write = 0; write < 2; write++) {
		char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
		long faults, n;

		ASSERT_NE(MAP_FAILED, p);
		minor_faults();
		faults = minor_faults();
		if (write)
			store(p + 3 * self->ps, 1);
		else
			load(p + 3 * self->ps);
		faults = minor_faults() - faults;
		EXPECT_EQ(1, faults);
		n = mapped(self->fd, 0, PAGES, NULL, NULL);
		EXPECT_EQ(1, mapped(self->fd, 3, 1, NULL, NULL));
		EXPECT_TRUE(n == 1 ||
			    !by_page(variant->backing, variant->flags))
			TH_LOG("%ld pages are mapped", n);
		EXPECT_EQ(variant->pfn ? 0UL : (size_t)n,
			  present(p, PAGES, NULL, NULL));
		ASSERT_EQ(0, munmap(p, self->len));
		EXPECT_EQ(0, mapped(self->fd, 0, PAGES, NULL, NULL));
	}
}

/* All touched: all mapped and accounted, and no page faulted twice. */
TEST_F(map, touch_all)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	const long kib = (long)(self->len / KIB);
	long faults;

	ASSERT_NE(MAP_FAILED, p);
	minor_faults();
	faults = minor_faults();
	touch(p, self->len);
	faults = minor_faults() - faults;
	EXPECT_LE(1, faults);
	EXPECT_LE(faults, PAGES);
	EXPECT_EQ(PAGES, mapped(self->fd, 0, PAGES, NULL, NULL));
	/*
	 * A frame number is not a page to the core: pagemap passes over it,
	 * and it is in no process's Rss.
	 */
	EXPECT_EQ(variant->pfn ? 0UL : PAGES, present(p, PAGES, NULL, NULL));
	EXPECT_EQ(variant->pfn ? 0 : kib, smaps_kib(p, "Rss"));
	faults = minor_faults();
	fill(p, self->len, 5);
	faults = minor_faults() - faults;
	EXPECT_EQ(0, faults);
}

/* A window of one: each page has a fault of its own. */
TEST_F(map, window_of_one)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	long faults;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(1));
	minor_faults();
	faults = minor_faults();
	touch(p, self->len);
	faults = minor_faults() - faults;
	EXPECT_LE(faults, PAGES);
	if (!by_page(variant->backing, variant->flags))
		return;
	EXPECT_EQ(PAGES, faults);
}

/*
 * A window of four: a sweep has fewer faults than pages, and no fault maps
 * more than four.
 */
TEST_F(map, window_of_four)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	long faults;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(4));
	minor_faults();
	faults = minor_faults();
	touch(p, self->len);
	faults = minor_faults() - faults;
	EXPECT_LE(faults, PAGES);
	if (!by_page(variant->backing, variant->flags))
		return;
	EXPECT_LE(PAGES / 4, faults);
	EXPECT_LE(faults, PAGES / 2);
}

/* Pages that nobody asked for one after another are mapped one by one. */
TEST_F(map, touches_apart)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	touch(p + 12 * self->ps, 1);
	touch(p + 8 * self->ps, 1);
	touch(p + 4 * self->ps, 1);
	EXPECT_EQ(1, mapped(self->fd, 12, 1, NULL, NULL));
	EXPECT_EQ(1, mapped(self->fd, 8, 1, NULL, NULL));
	EXPECT_EQ(1, mapped(self->fd, 4, 1, NULL, NULL));
	if (!by_page(variant->backing, variant->flags))
		return;
	EXPECT_EQ(3, mapped(self->fd, 0, PAGES, NULL, NULL));
}

/* A window begins at the page that faults, and ends with the page table. */
TEST_F(map, window_stays_in_its_table)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED,
			    pmd_size() - 8 * self->ps);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(2 * PAGES));
	/* The first 8 pages have one page table, the other 8 the next. */
	touch(p + 2 * self->ps, 5 * self->ps);
	EXPECT_EQ(5, mapped(self->fd, 2, 5, NULL, NULL));
	EXPECT_EQ(0, mapped(self->fd, 8, 8, NULL, NULL));
	if (!by_page(variant->backing, variant->flags))
		return;
	EXPECT_EQ(0, mapped(self->fd, 0, 2, NULL, NULL));
	/* There is nothing in the other yet: one page. */
	touch(p + 9 * self->ps, 1);
	EXPECT_EQ(1, mapped(self->fd, 8, 8, NULL, NULL));
	touch(p + 9 * self->ps, 7 * self->ps);
	EXPECT_EQ(0, mapped(self->fd, 8, 1, NULL, NULL));
	EXPECT_EQ(7, mapped(self->fd, 9, 7, NULL, NULL));
}

/* A window ends with the VMA, and with the buffer. */
TEST_F(map, window_stays_in_its_vma)
{
	char *p = fresh_range(2 * PAGES * self->ps, 0);
	const off_t tail = (off_t)(self->len - 4 * self->ps);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(2 * PAGES));
	/* Six pages of the buffer's start, two of nothing, the last four. */
	ASSERT_EQ(p, mmap(p, 6 * self->ps, RW, MAP_SHARED | MAP_FIXED,
			  self->fd, 0));
	ASSERT_EQ(p + 8 * self->ps,
		  mmap(p + 8 * self->ps, 4 * self->ps, RW,
		       MAP_SHARED | MAP_FIXED, self->fd, tail));
	touch(p, 6 * self->ps);
	touch(p + 8 * self->ps, 4 * self->ps);
	EXPECT_EQ(6, mapped(self->fd, 0, 6, NULL, NULL));
	EXPECT_EQ(0, mapped(self->fd, 6, PAGES - 4 - 6, NULL, NULL));
	EXPECT_EQ(4, mapped(self->fd, PAGES - 4, 4, NULL, NULL));
	/* Nothing in the gap, nothing behind, though the table has room. */
	EXPECT_EQ(0UL, present(p + 6 * self->ps, 2, NULL, NULL));
	EXPECT_EQ(0UL, present(p + 12 * self->ps, 2 * PAGES - 12, NULL,
			       NULL));
}

/* The first pages of a mapping have no neighbour before them to go by. */
TEST_F(map, window_at_offset)
{
	const size_t off = 4 * self->ps;
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	char *q = fresh_range(self->len, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(q, mmap(q, self->len - off, RW, MAP_SHARED | MAP_FIXED,
			  self->fd, (off_t)off));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 24));
	touch(p, off);
	touch(q, self->len - off);
	EXPECT_TRUE(matches_at(q, self->len - off, off, 24));
	EXPECT_TRUE(matches_at(p, self->len, 0, 24));
	EXPECT_EQ(PAGES, mapped(self->fd, 0, PAGES, NULL, NULL));
}

/* MAP_POPULATE maps pages up front, and is in vain for frame numbers. */
TEST_F(map, populate)
{
	char *p = map_fresh(self->fd, self->len, RW,
			    MAP_SHARED | MAP_POPULATE, 0);
	long faults;

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(variant->pfn ? 0 : PAGES,
		  mapped(self->fd, 0, PAGES, NULL, NULL));
	if (variant->pfn)
		return;
	minor_faults();
	faults = minor_faults();
	fill(p, self->len, 6);
	faults = minor_faults() - faults;
	EXPECT_EQ(0, faults);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 6));
}

/* A child shares the memory, not a copy, and counts as a mapping. */
TEST_F(map, fork_shares)
{
	char *p = buf_map(self->fd, self->len, RW);
	int up[2], down[2], status;
	char c = 0;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	p[0] = 'a';
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* Before the fork, and after it. */
		if (p[0] != 'a' || write(up[1], "", 1) != 1 ||
		    read(down[0], &c, 1) != 1 || p[self->ps] != 'b')
			_exit(1);
		p[2 * self->ps] = 'c';
		_exit(0);
	}
	ASSERT_EQ(1, read(up[0], &c, 1));
	EXPECT_EQ(2, buf_mappings(self->fd));
	p[self->ps] = 'b';
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ('c', p[2 * self->ps]);
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* munmap() in the middle leaves two mappings, each with its own pages. */
TEST_F(map, split)
{
	char *p = buf_map(self->fd, self->len, RW);
	char *mid, *end;

	ASSERT_NE(MAP_FAILED, p);
	mid = p + 5 * self->ps;
	end = p + 9 * self->ps;
	fill(p, self->len, 7);
	ASSERT_EQ(0, munmap(mid, (size_t)(end - mid)));
	EXPECT_EQ(2, buf_mappings(self->fd));
	EXPECT_EQ(SIGSEGV, access_signal(mid, false));
	EXPECT_EQ(SIGSEGV, access_signal(end - 1, false));
	/* Drop the pages: the tail is to fault the right ones in again. */
	madvise(end, (size_t)(p + self->len - end), MADV_DONTNEED);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 8));
	EXPECT_TRUE(matches_at(p, 5 * self->ps, 0, 8));
	EXPECT_TRUE(matches_at(end, self->len - 9 * self->ps, 9 * self->ps,
			       8));
	ASSERT_EQ(0, munmap(p, (size_t)(mid - p)));
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_EQ(0, munmap(end, (size_t)(p + self->len - end)));
	EXPECT_EQ(0, buf_mappings(self->fd));
}

/* The tail of a split mapping that was never touched. */
TEST_F(map, split_before_touch)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p, 5 * self->ps));
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 9));
	EXPECT_TRUE(matches_at(p + 5 * self->ps, self->len - 5 * self->ps,
			       5 * self->ps, 9));
}

/* mremap() moves a mapping, touched or not. */
TEST_F(map, mremap_moves)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	char *q = fresh_range(self->len, 3 * self->ps);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	fill(p, self->len / 2, 10);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 10));
	ASSERT_EQ(q, mremap(p, self->len, self->len,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(SIGSEGV, access_signal(p, false));
	EXPECT_EQ(self->len, mismatch(q, self->len, 10));
	EXPECT_EQ(1, buf_mappings(self->fd));
	q[self->len - 1] = 'q';
	EXPECT_EQ(self->len - 1, kernel_mismatch(self->fd, self->len, 10));
}

/* Part of a mapping moves: two mappings, and each page is still itself. */
TEST_F(map, mremap_moves_a_part)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	char *q = fresh_range(4 * self->ps, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 11));
	touch(p + 5 * self->ps, 1);
	ASSERT_EQ(q, mremap(p + 5 * self->ps, 4 * self->ps, 4 * self->ps,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(3, buf_mappings(self->fd));
	EXPECT_TRUE(matches_at(p, 5 * self->ps, 0, 11));
	EXPECT_TRUE(matches_at(q, 4 * self->ps, 5 * self->ps, 11));
	EXPECT_TRUE(matches_at(p + 9 * self->ps, self->len - 9 * self->ps,
			       9 * self->ps, 11));
}

/* A mapping does not grow, whatever the buffer has left. */
TEST_F(map, mremap_does_not_grow)
{
	char *p = map_fresh(self->fd, self->len / 2, RW, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->len / 2, self->len,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->len / 2, self->len, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(0, access_signal(p, true));
}

TEST_F(map, mremap_shrinks)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, 12);
	ASSERT_EQ(p, mremap(p, self->len, self->len / 2, 0));
	EXPECT_EQ(self->len / 2, mismatch(p, self->len / 2, 12));
	EXPECT_EQ(SIGSEGV, access_signal(p + self->len / 2, false));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* An old length of 0 is a copy of the mapping that grows from nothing. */
TEST_F(map, mremap_does_not_duplicate)
{
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, 0, self->len, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, buf_mappings(self->fd));
}

TEST_F(map, mremap_dontunmap)
{
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
	char *p = buf_map(self->fd, self->len, RW);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->len, self->len,
				     MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(0, access_signal(p, true));
}

/* A file that was opened for reading gives no way to write. */
TEST_F(map, read_only_file)
{
	int fd = reopen(self->fd, O_RDONLY);
	char *p;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 13));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_WRITE, MAP_SHARED,
				   fd, 0));
	EXPECT_EQ(EACCES, errno);
	p = buf_map(fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(self->len, mismatch(p, self->len, 13));
	EXPECT_EQ(-1, mprotect(p, self->len, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, access_signal(p, true));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 13));
	close(fd);
}

/* A file that was opened for writing only cannot be mapped at all. */
TEST_F(map, write_only_file)
{
	int fd = reopen(self->fd, O_WRONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_WRITE, MAP_SHARED,
				   fd, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_READ, MAP_SHARED,
				   fd, 0));
	EXPECT_EQ(EACCES, errno);
	close(fd);
}

/* A writable file mapped for reading: no store until mprotect() allows it. */
TEST_F(map, read_only_mapping)
{
	char *p = buf_map(self->fd, self->len, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 14));
	EXPECT_EQ(self->len, mismatch(p, self->len, 14));
	EXPECT_EQ(SIGSEGV, access_signal(p, true));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 14));
	ASSERT_EQ(0, mprotect(p, self->len, RW));
	fill(p, self->len, 15);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 15));
	ASSERT_EQ(0, mprotect(p, self->len, PROT_READ));
	EXPECT_EQ(SIGSEGV, access_signal(p, true));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

/* Data is never code. */
TEST_F(map, no_exec)
{
	char *p;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_READ | PROT_EXEC,
				   MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, buf_mappings(self->fd));
	p = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, self->len, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

/* Nor by way of a node, on a file system that programs may be run from. */
TEST_F(map, no_exec_of_a_node)
{
	int fd = buf_create_named("map-exec", variant->backing, self->len,
				  variant->flags, 0);
	int node = node_open("map-exec", O_RDWR);
	char *p;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_destroy("map-exec"));
	ASSERT_LE(0, node);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, PROT_READ | PROT_EXEC,
				   MAP_SHARED, node, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, buf_mappings(node));
	p = buf_map(node, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, self->len, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	close(node);
	close(fd);
}

/* PROT_NONE takes pages away, and gives them back. */
TEST_F(map, no_access_and_back)
{
	char *p = buf_map(self->fd, self->len, RW);
	char *q;

	ASSERT_NE(MAP_FAILED, p);
	q = p + 4 * self->ps;
	fill(p, self->len, 16);
	ASSERT_EQ(0, mprotect(q, 3 * self->ps, PROT_NONE));
	EXPECT_EQ(3, buf_mappings(self->fd));
	EXPECT_EQ(SIGSEGV, access_signal(q, false));
	EXPECT_EQ(SIGSEGV, access_signal(q + 2 * self->ps, true));
	EXPECT_EQ(0, access_signal(q - 1, false));
	EXPECT_EQ(0, access_signal(q + 3 * self->ps, false));
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 17));
	ASSERT_EQ(0, mprotect(q, 3 * self->ps, RW));
	EXPECT_EQ(self->len, mismatch(p, self->len, 17));
	fill(p, self->len, 18);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 18));
}

/* A mapping laid over another of the same buffer replaces it in part. */
TEST_F(map, fixed_over_itself)
{
	char *p = buf_map(self->fd, self->len, RW);
	char *q;

	ASSERT_NE(MAP_FAILED, p);
	q = p + 4 * self->ps;
	fill(p, self->len, 19);
	ASSERT_EQ(q, mmap(q, 2 * self->ps, RW, MAP_SHARED | MAP_FIXED,
			  self->fd, 0));
	EXPECT_EQ(3, buf_mappings(self->fd));
	EXPECT_TRUE(matches_at(p, 4 * self->ps, 0, 19));
	EXPECT_TRUE(matches_at(q, 2 * self->ps, 0, 19));
	EXPECT_TRUE(matches_at(p + 6 * self->ps, self->len - 6 * self->ps,
			       6 * self->ps, 19));
	/* One frame, twice in this address space. */
	q[7] = 'q';
	EXPECT_EQ('q', p[7]);
	ASSERT_EQ(p, mmap(p, self->len, RW, MAP_SHARED | MAP_FIXED,
			  self->fd, 0));
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ('q', p[7]);
}

/* A mapping at an offset begins with the page at that offset. */
TEST_F(map, offset)
{
	const size_t at = 5 * self->ps;
	long first = -1, last = -1;
	char *p = mmap(NULL, 3 * self->ps, RW, MAP_SHARED, self->fd,
		       (off_t)at);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 20));
	EXPECT_TRUE(matches_at(p, 3 * self->ps, at, 20));
	EXPECT_EQ(3, mapped(self->fd, 0, PAGES, &first, &last));
	EXPECT_EQ(5, first);
	EXPECT_EQ(7, last);
	/* The last page can be mapped alone, by its first byte. */
	p = mmap(NULL, 1, RW, MAP_SHARED, self->fd,
		 (off_t)(self->len - self->ps));
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ((char)pattern(self->len - 1, 20), p[self->ps - 1]);
}

struct bounds {
	unsigned long offset;
	unsigned long length;
	int error;
};

static int map_error(int fd, const struct bounds *b)
{
	/* Not by way of the C library, which looks at offsets itself. */
	long ret = syscall(SYS_mmap, NULL, b->length, PROT_READ, MAP_SHARED,
			   fd, b->offset);

	return ret == -1 ? errno : 0;
}

/* Nothing outside of the buffer can be mapped. */
TEST_F(map, bounds)
{
	const struct bounds b[] = {
		{ 0, 0, EINVAL },
		{ 0, self->len + 1, EINVAL },
		{ self->len, self->ps, EINVAL },
		{ self->len - self->ps, self->ps + 1, EINVAL },
		{ self->len + self->ps, self->ps, EINVAL },
		{ self->ps, self->len, EINVAL },
		{ 1, self->ps, EINVAL },
		{ self->ps / 2, self->ps, EINVAL },
		/* Beyond what 32 bits of bytes, and of pages, can say. */
		{ 1UL << 32, self->ps, EINVAL },
		{ self->ps << 32, self->ps, EINVAL },
		{ 1UL << 62, self->ps, EINVAL },
		/* Offset and length together come out small, or negative. */
		{ (1UL << 63) - 2 * self->ps, self->len, EOVERFLOW },
		{ -self->ps, 2 * self->ps, EOVERFLOW },
		{ -self->ps, self->ps, EOVERFLOW },
	};

	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		EXPECT_EQ(b[i].error, map_error(self->fd, &b[i]))
			TH_LOG("offset %#lx length %#lx", b[i].offset,
			       b[i].length);
	}
	EXPECT_EQ(0, buf_mappings(self->fd));
}

/* What an offset is with its highest bit: on MIPS it is negative (core). */
#ifdef __mips__
#define TOP_BIT_ERROR	EOVERFLOW
#else
#define TOP_BIT_ERROR	EINVAL
#endif

/*
 * The core looks at offsets of a regular file, and lets those of a device go
 * by: the driver has to say no.
 */
TEST_F(map, bounds_of_a_node)
{
	const struct bounds b[] = {
		{ self->len, self->ps, EINVAL },
		{ self->ps, self->len, EINVAL },
		{ 1UL << 62, self->ps, EINVAL },
		{ (1UL << 63) - self->ps, self->len, EINVAL },
		{ -self->len - 2 * self->ps, self->len, TOP_BIT_ERROR },
		{ -self->ps, self->len, EOVERFLOW },
	};
	int fd, node;

	fd = buf_create_named("map-bounds", variant->backing, self->len,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	node = node_open("map-bounds", O_RDWR);
	ASSERT_EQ(0, buf_destroy("map-bounds"));
	ASSERT_LE(0, node);
	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		EXPECT_EQ(b[i].error, map_error(node, &b[i]))
			TH_LOG("offset %#lx length %#lx", b[i].offset,
			       b[i].length);
	}
	EXPECT_EQ(0, buf_mappings(node));
	close(node);
	close(fd);
}

/* A mapping needs no fd, not even for its first fault. */
TEST_F(map, outlives_fd)
{
	int fd = buf_create(variant->backing, self->len, variant->flags);
	char *p;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(kernel_fill(fd, self->len, 21));
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(self->len, mismatch(p, self->len, 21));
	fill(p, self->len, 22);
	EXPECT_EQ(self->len, mismatch(p, self->len, 22));
	ASSERT_EQ(0, munmap(p, self->len));
}

/* An fd that came over a socket maps the same memory. */
TEST_F(map, passed_fd)
{
	int sv[2], status, fd;
	pid_t pid;
	char *p;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int mine = buf_create(variant->backing, self->len,
				      variant->flags);

		if (mine < 0 || !kernel_fill(mine, self->len, 23))
			_exit(1);
		_exit(send_fd(sv[0], mine) != 0);
	}
	/* Nothing but the message keeps the buffer once the child is gone. */
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	fd = receive_fd(sv[1], 0);
	ASSERT_LE(0, fd);
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(self->len, mismatch(p, self->len, 23));
	close(fd);
}

#define CROWD	8

struct one {
	pthread_barrier_t *barrier;
	char *page;
	int me;
	int seen;
	unsigned long pfn;
};

static void *one_of_crowd(void *arg)
{
	struct one *one = arg;

	pthread_barrier_wait(one->barrier);
	store(one->page + one->me, (char)('A' + one->me));
	one->pfn = pfn_of(one->page);
	pthread_barrier_wait(one->barrier);
	for (int i = 0; i < CROWD; i++)
		one->seen += load(one->page + i) == 'A' + i;
	return NULL;
}

/* Threads that fault one page together get one page. */
TEST_F(map, crowd_faults_one_page)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	pthread_barrier_t barrier;
	struct one one[CROWD];
	pthread_t t[CROWD];

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, windows_set(1));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, CROWD));
	for (size_t page = 0; page < PAGES; page++) {
		char seen[CROWD + 1] = "";

		for (int i = 0; i < CROWD; i++) {
			one[i] = (struct one) {
				.barrier = &barrier,
				.page = p + page * self->ps,
				.me = i,
			};
			ASSERT_EQ(0, pthread_create(&t[i], NULL, one_of_crowd,
						    &one[i]));
		}
		for (int i = 0; i < CROWD; i++)
			ASSERT_EQ(0, pthread_join(t[i], NULL));
		for (int i = 0; i < CROWD; i++) {
			EXPECT_EQ(CROWD, one[i].seen);
			EXPECT_EQ(one[0].pfn, one[i].pfn);
			EXPECT_EQ(variant->pfn, one[i].pfn == 0);
		}
		ASSERT_EQ(CROWD, pread(self->fd, seen, CROWD,
				       (off_t)(page * self->ps)));
		EXPECT_STREQ("ABCDEFGH", seen);
	}
}

/* That is for file systems on persistent memory. */
TEST_F(map, synchronous)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, RW,
				   MAP_SHARED_VALIDATE | MAP_SYNC, self->fd, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

static long lock_in_mmap(int fd, size_t length, rlim_t limit)
{
	const struct rlimit rl = { limit, limit };
	int err = drop(CAP_IPC_LOCK);
	char *p;

	if (err || setrlimit(RLIMIT_MEMLOCK, &rl))
		return 1;
	p = mmap(NULL, length, RW, MAP_SHARED | MAP_LOCKED, fd, 0);
	return p == MAP_FAILED ? -errno : 0;
}

static long lock_without_limit(void *arg)
{
	return lock_in_mmap(*(int *)arg, page_size(), 0);
}

static long lock_above_limit(void *arg)
{
	return lock_in_mmap(*(int *)arg, 2 * page_size(), page_size());
}

static long lock_below_limit(void *arg)
{
	return lock_in_mmap(*(int *)arg, 2 * page_size(), 2 * page_size());
}

/* What the core allows anyone, however little there is to be locked. */
TEST_F(map, locked)
{
	EXPECT_EQ(-EPERM, in_child(lock_without_limit, &self->fd));
	EXPECT_EQ(-EAGAIN, in_child(lock_above_limit, &self->fd));
	EXPECT_EQ(0, in_child(lock_below_limit, &self->fd));
}

TEST_HARNESS_MAIN
