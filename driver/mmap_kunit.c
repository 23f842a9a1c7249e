// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be mapped, how far a fault may go, and the count of mappings: a part
 * of mmap.c.
 */
#include "kubuf_kunit.h"

/* Where a page table begins, so that the end of it is at a known distance. */
#define AT	(16 * PMD_SIZE)

/* Of the buffers, which are mapped nowhere. */
#define SIZE	(5 * PAGE_SIZE)

/* What mmap() with these pages and flags would be told; flags as it has them. */
static noinline int prepare(struct kubuf *buf, pgoff_t pgoff, unsigned long nr,
			    bool write, bool shared, bool exec)
{
	struct kubuf_file kfile = { .buf = buf };
	struct file file = { .private_data = &kfile };
	struct vm_area_desc desc = {
		.start = AT,
		.end = AT + (nr << PAGE_SHIFT),
		.pgoff = pgoff,
		.file = &file,
	};

	vma_desc_set_flags(&desc, VMA_MAYWRITE_BIT);
	if (write)
		vma_desc_set_flags(&desc, VMA_WRITE_BIT);
	if (shared)
		vma_desc_set_flags(&desc, VMA_SHARED_BIT);
	if (exec)
		vma_desc_set_flags(&desc, VMA_EXEC_BIT);
	return kubuf_mmap_prepare(&desc);
}

static void ranges(struct kunit *test)
{
	static const struct {
		pgoff_t pgoff;
		unsigned long nr;
		int err;
	} cases[] = {
		{ 0, 1, 0 },
		{ 0, 5, 0 },
		{ 4, 1, 0 },
		{ 1, 4, 0 },
		{ 0, 6, -EINVAL },
		{ 1, 5, -EINVAL },
		{ 5, 1, -EINVAL },
		{ 6, 1, -EINVAL },
		{ ULONG_MAX, 1, -EINVAL },
		{ ULONG_MAX, 2, -EINVAL },
		{ ULONG_MAX - 3, 5, -EINVAL },
		{ LONG_MAX, 1, -EINVAL },
		{ 0, ULONG_MAX >> PAGE_SHIFT >> 1, -EINVAL },
	};
	struct kubuf *buf = make_buffer(test, SIZE, KUBUF_BACKING_VMALLOC, 0);
	int i;

	if (!buf)
		return;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, prepare(buf, cases[i].pgoff, cases[i].nr,
						  true, true, false),
				    cases[i].err, "case %d", i);
	kubuf_put(buf);
}

static void kinds_of_mappings(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, SIZE, KUBUF_BACKING_VMALLOC, 0);

	if (!buf)
		return;
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, false, false), 0);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, true, false, false), 0);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, true, false), 0);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, true, true), -EPERM);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, false, true), -EPERM);

	/* Sealed, what is private can still be written to. */
	buf->seals = KUBUF_SEAL_WRITE;
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, true, true, false), -EPERM);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, true, false), 0);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, true, false, false), 0);
	kubuf_put(buf);
}

static void no_copy_on_write_by_frame_number(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, SIZE, KUBUF_BACKING_KMALLOC, 0);

	if (!buf)
		return;
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, true, true, false), 0);
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, true, false, false), -EINVAL);
	/* It could be made writable later. */
	KUNIT_EXPECT_EQ(test, prepare(buf, 0, 1, false, false, false), -EINVAL);
	kubuf_put(buf);
}

/* The most that a fault may map, with so many pages to the end of what. */
static noinline unsigned long
window_at(const struct kubuf *buf, unsigned long addr, unsigned long end,
	  pgoff_t pgoff, unsigned int limit)
{
	struct vm_area_struct vma = { .vm_start = AT, .vm_end = end };
	struct vm_fault vmf = {
		.vma = &vma,
		.address = addr,
		.pgoff = pgoff,
	};

	return max_window(&vmf, buf, limit);
}

static void windows(struct kunit *test)
{
	static const struct kubuf buf = { .nr_pages = 4 * PTRS_PER_PTE };
	const unsigned long far = AT + 4 * PMD_SIZE, last = AT + PMD_SIZE - PAGE_SIZE;

	/* One page, whatever the parameter says. */
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, 0, 0), 1);
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, 0, 1), 1);
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, 0, 128), 128);
	/* No further than the page table, */
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, 0, UINT_MAX), PTRS_PER_PTE);
	KUNIT_EXPECT_EQ(test, window_at(&buf, last, far, 0, UINT_MAX), 1);
	KUNIT_EXPECT_EQ(test, window_at(&buf, last + PAGE_SIZE, far, 0, UINT_MAX),
			PTRS_PER_PTE);
	/* than the mapping, */
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, AT + PAGE_SIZE, 0, UINT_MAX), 1);
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, AT + 3 * PAGE_SIZE, 0, UINT_MAX), 3);
	/* and than the buffer. */
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, buf.nr_pages - 1, UINT_MAX), 1);
	KUNIT_EXPECT_EQ(test, window_at(&buf, AT, far, buf.nr_pages - 7, 128), 7);
}

static void count_of_mappings(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, SIZE, KUBUF_BACKING_PAGES, 0);
	struct vm_area_struct vma = { .vm_private_data = buf };
	void *private_data = buf;

	if (!buf)
		return;
	KUNIT_EXPECT_FALSE(test, buf->was_mapped);
	KUNIT_EXPECT_EQ(test, kubuf_vma_mapped(AT, AT + PAGE_SIZE, 0, NULL,
					       &private_data), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 1);
	KUNIT_EXPECT_TRUE(test, buf->was_mapped);
	kubuf_vma_open(&vma);
	kubuf_vma_open(&vma);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 3);
	kubuf_vma_close(&vma);
	kubuf_vma_close(&vma);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 1);
	kubuf_vma_close(&vma);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 0);
	/* And from 0 once more. */
	kubuf_vma_mapped(AT, AT + PAGE_SIZE, 0, NULL, &private_data);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 1);
	kubuf_vma_close(&vma);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_mappings), 0);
	kubuf_put(buf);
}

static void the_last_one_unreserves(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, SIZE, KUBUF_BACKING_PAGES,
					KUBUF_CREATE_RESERVED);
	struct vm_area_struct vma = { .vm_private_data = buf };
	unsigned long i;

	if (!buf)
		return;
	kubuf_vma_open(&vma);
	kubuf_vma_open(&vma);
	/* As the faults of two pages would do. */
	SetPageReserved(kubuf_page(buf, 0));
	SetPageReserved(kubuf_page(buf, 4));
	kubuf_vma_close(&vma);
	KUNIT_EXPECT_TRUE(test, PageReserved(kubuf_page(buf, 0)));
	KUNIT_EXPECT_TRUE(test, PageReserved(kubuf_page(buf, 4)));
	kubuf_vma_close(&vma);
	for (i = 0; i < buf->nr_pages; i++)
		KUNIT_EXPECT_FALSE(test, PageReserved(kubuf_page(buf, i)));
	kubuf_put(buf);
}

static struct kunit_case mmap_kunit_cases[] = {
	KUNIT_CASE(ranges),
	KUNIT_CASE(kinds_of_mappings),
	KUNIT_CASE(no_copy_on_write_by_frame_number),
	KUNIT_CASE(windows),
	KUNIT_CASE(count_of_mappings),
	KUNIT_CASE(the_last_one_unreserves),
	{}
};

static struct kunit_suite mmap_kunit_suite = {
	.name = "kubuf-mmap",
	.test_cases = mmap_kunit_cases,
};

kunit_test_suite(mmap_kunit_suite);
