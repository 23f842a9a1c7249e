// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of pages of the backings, and where a byte is: a part of backing.c.
 */
#include "kubuf_kunit.h"

static void cost_of_kmalloc(struct kunit *test)
{
	struct kubuf buf = { .backing = KUBUF_BACKING_KMALLOC };
	unsigned long nr, cost;

	for (nr = 1; nr < 70; nr++) {
		buf.nr_pages = nr;
		cost = kubuf_backing_cost(&buf);
		KUNIT_EXPECT_TRUE(test, is_power_of_2(cost));
		KUNIT_EXPECT_GE(test, cost, nr);
		/* Never of the slab, and never twice as much as that takes. */
		KUNIT_EXPECT_GT(test, cost << PAGE_SHIFT, KMALLOC_MAX_CACHE_SIZE);
		KUNIT_EXPECT_LT(test, cost,
				2 * max_t(unsigned long, nr,
					  (KMALLOC_MAX_CACHE_SIZE >> PAGE_SHIFT) + 1));
	}
	buf.nr_pages = kubuf_backing_max(buf.backing);
	KUNIT_EXPECT_EQ(test, kubuf_backing_cost(&buf), buf.nr_pages);
}

static void cost_of_others(struct kunit *test)
{
	static const enum kubuf_backing backings[] = {
		KUBUF_BACKING_PAGES, KUBUF_BACKING_VMALLOC, KUBUF_BACKING_HUGE,
	};
	struct kubuf buf = {};
	int i;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		buf.backing = backings[i];
		buf.nr_pages = 1;
		KUNIT_EXPECT_EQ(test, kubuf_backing_cost(&buf), 1);
		buf.nr_pages = CHUNK_PAGES + 1;
		KUNIT_EXPECT_EQ(test, kubuf_backing_cost(&buf), CHUNK_PAGES + 1);
		buf.nr_pages = kubuf_backing_max(buf.backing);
		KUNIT_EXPECT_EQ(test, kubuf_backing_cost(&buf), buf.nr_pages);
	}
}

/* Each page is there once, and where the kernel's address says. */
static void check_pages(struct kunit *test, struct kubuf *buf)
{
	unsigned long i, *word;
	size_t len;

	for (i = 0; i < buf->nr_pages; i++) {
		len = sizeof(*word);
		word = kubuf_kaddr(buf, (loff_t)i << PAGE_SHIFT, &len);
		KUNIT_EXPECT_EQ(test, len, sizeof(*word));
		KUNIT_EXPECT_EQ_MSG(test, *word, 0, "not zeroed: page %lu of %lu",
				    i, buf->nr_pages);
		*word = i + 1;
	}
	for (i = 0; i < buf->nr_pages; i++) {
		word = page_address(kubuf_page(buf, i));
		KUNIT_EXPECT_EQ_MSG(test, *word, i + 1, "page %lu of %lu", i,
				    buf->nr_pages);
	}
}

static void check_backing(struct kunit *test, enum kubuf_backing backing,
			  unsigned int flags)
{
	/* The last ones with a tail of a piece, and a piece before it. */
	const unsigned long sizes[] = {
		1, 2, 3, 8, 13, CHUNK_PAGES / 2 + 1, CHUNK_PAGES - 1, CHUNK_PAGES,
		CHUNK_PAGES + 1, 2 * CHUNK_PAGES + 7,
	};
	struct kubuf *buf;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i] > kubuf_backing_max(backing))
			continue;
		buf = make_buffer(test, sizes[i] << PAGE_SHIFT, backing, flags);
		if (!buf)
			continue;
		check_pages(test, buf);
		kubuf_put(buf);
	}
}

static void pages_of_kmalloc(struct kunit *test)
{
	check_backing(test, KUBUF_BACKING_KMALLOC, 0);
}

static void pages_of_the_page_allocator(struct kunit *test)
{
	check_backing(test, KUBUF_BACKING_PAGES, 0);
}

static void pages_of_vmalloc(struct kunit *test)
{
	check_backing(test, KUBUF_BACKING_VMALLOC, 0);
}

static void pages_of_pieces(struct kunit *test)
{
	check_backing(test, KUBUF_BACKING_HUGE, 0);
}

static void pages_to_be_reserved(struct kunit *test)
{
	check_backing(test, KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED);
	check_backing(test, KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED);
}

/* A piece of smaller folios, as where memory is fragmented: no gap, no overlap. */
static void fragments(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, 1, KUBUF_BACKING_HUGE, 0);
	struct kubuf_chunk chunk = {};
	struct folio *folio;
	unsigned long i;
	int err;

	if (!buf)
		return;
	err = alloc_fragments(buf, &chunk, 0, CHUNK_PAGES,
			      GFP_KERNEL | __GFP_NOWARN);
	KUNIT_EXPECT_EQ(test, err, 0);
	for (i = 0; !err && i < CHUNK_PAGES; i++) {
		folio = page_folio(chunk.pages[i]);
		KUNIT_EXPECT_LT(test, folio_order(folio), CHUNK_ORDER);
		KUNIT_EXPECT_EQ(test, i, folio->index +
				folio_page_idx(folio, chunk.pages[i]));
	}
	free_chunk(&chunk, CHUNK_PAGES);
	kubuf_put(buf);
}

static void check_bytes(struct kunit *test, enum kubuf_backing backing)
{
	const size_t size = (CHUNK_PAGES + 3) << PAGE_SHIFT;
	struct kubuf *buf = make_buffer(test, size, backing, 0);
	size_t len, at;
	void *kaddr;

	if (!buf)
		return;
	/* Never more than was asked for, nor past the end. */
	len = 1;
	KUNIT_EXPECT_NOT_NULL(test, kubuf_kaddr(buf, size - 1, &len));
	KUNIT_EXPECT_EQ(test, len, 1);
	len = SIZE_MAX;
	KUNIT_EXPECT_NOT_NULL(test, kubuf_kaddr(buf, size - 1, &len));
	KUNIT_EXPECT_EQ(test, len, 1);
	/* Piece by piece one comes to the end, by steps that are not 0. */
	for (at = 1; at < size; at += len) {
		len = size;
		kaddr = kubuf_kaddr(buf, at, &len);
		KUNIT_EXPECT_NOT_NULL(test, kaddr);
		KUNIT_EXPECT_EQ(test, offset_in_page(kaddr), offset_in_page(at));
		KUNIT_EXPECT_LE(test, len, size - at);
		if (!len || len > size - at)
			break;
		KUNIT_EXPECT_EQ(test, (at + len) % PAGE_SIZE, 0);
	}
	KUNIT_EXPECT_EQ(test, at, size);
	kubuf_put(buf);
}

static void bytes_that_follow(struct kunit *test)
{
	check_bytes(test, KUBUF_BACKING_VMALLOC);
	check_bytes(test, KUBUF_BACKING_HUGE);
}

/* What is charged is what is taken: the folios end where the buffer does. */
static void tail_of_pieces(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, (CHUNK_PAGES + 3) << PAGE_SHIFT,
					KUBUF_BACKING_HUGE, 0);
	unsigned long i = 0;

	if (!buf)
		return;
	while (i < buf->nr_pages)
		i += folio_nr_pages(page_folio(kubuf_page(buf, i)));
	KUNIT_EXPECT_EQ(test, i, buf->nr_pages);
	kubuf_put(buf);
}

static struct kunit_case backing_kunit_cases[] = {
	KUNIT_CASE(cost_of_kmalloc),
	KUNIT_CASE(cost_of_others),
	KUNIT_CASE(pages_of_kmalloc),
	KUNIT_CASE(pages_of_the_page_allocator),
	KUNIT_CASE(pages_of_vmalloc),
	KUNIT_CASE(pages_of_pieces),
	KUNIT_CASE(pages_to_be_reserved),
	KUNIT_CASE(fragments),
	KUNIT_CASE(bytes_that_follow),
	KUNIT_CASE(tail_of_pieces),
	{}
};

static struct kunit_suite backing_kunit_suite = {
	.name = "kubuf-backing",
	.test_cases = backing_kunit_cases,
};

kunit_test_suite(backing_kunit_suite);
