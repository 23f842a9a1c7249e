// SPDX-License-Identifier: GPL-2.0-only
/*
 * The four ways to allocate the pages of a buffer, and where its bytes are.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/kmemleak.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/page-flags.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kubuf.h"

/* Pages got at once, between two looks for a fatal signal. */
#define BULK_PAGES	512UL

/**
 * kubuf_has_poison() - whether the memory of a page has failed
 * @page: the first of them
 * @nr: pages, which are neighbours
 *
 * memory_failure() marks the page, but gives up on one that is on no LRU list
 * before it marks the folio. Pages are only looked at on a node where memory
 * has failed at all: it takes as long as the rest of a fault.
 *
 * Context: any.
 * Return: whether any of the pages is marked.
 */
bool kubuf_has_poison(struct page *page, unsigned long nr)
{
	const struct page *end = page + nr;

	if (likely(!node_memory_failures(page_to_nid(page))))
		return false;
	for (; page < end; page++)
		if (PageHWPoison(page))
			return true;
	return false;
}

/*
 * The allocator takes a block back whatever its pages are, and gives it to the
 * next who asks. With memory that has failed it is kept for good instead.
 */
static bool must_keep(struct page *page, unsigned long nr)
{
	if (!kubuf_has_poison(page, nr))
		return false;
	pr_warn("keeping %lu KiB for good: memory has failed in them\n",
		nr << (PAGE_SHIFT - 10));
	return true;
}

static void put_folio(struct folio *folio)
{
	if (!must_keep(folio_page(folio, 0), folio_nr_pages(folio)))
		folio_put(folio);
}

/* Up to this size kmalloc() gives slab objects, and these are never mapped. */
static size_t kmalloc_size(const struct kubuf *buf)
{
	return max_t(size_t, kubuf_size(buf), KMALLOC_MAX_CACHE_SIZE + 1);
}

/**
 * kubuf_backing_max() - the largest buffer that a backing can give
 * @backing: the backing
 *
 * Context: any.
 * Return: pages.
 */
unsigned long kubuf_backing_max(enum kubuf_backing backing)
{
	switch (backing) {
	case KUBUF_BACKING_KMALLOC:
		return KMALLOC_MAX_SIZE >> PAGE_SHIFT;
	case KUBUF_BACKING_PAGES:
		return MAX_ORDER_NR_PAGES;
	default:
		return totalram_pages();
	}
}

/**
 * kubuf_backing_cost() - the pages that a buffer will really take
 * @buf: buffer with size and backing set
 *
 * Context: any.
 * Return: pages.
 */
unsigned long kubuf_backing_cost(const struct kubuf *buf)
{
	if (buf->backing == KUBUF_BACKING_KMALLOC)
		return 1UL << get_order(kmalloc_size(buf));
	return buf->nr_pages;
}

static int alloc_kmalloc(struct kubuf *buf, gfp_t gfp)
{
	buf->kaddr = kmalloc_node(kmalloc_size(buf), gfp, buf->node);
	if (!buf->kaddr)
		return -ENOMEM;
	buf->head = virt_to_page(buf->kaddr);
	return 0;
}

static void free_kmalloc(struct kubuf *buf)
{
	if (must_keep(buf->head, kubuf_backing_cost(buf)))
		kmemleak_ignore(buf->kaddr);
	else
		kfree(buf->kaddr);
}

/**
 * kubuf_init_folio() - prepare a folio for belonging to an inode
 * @folio: the folio
 * @index: its place in the buffer, in pages
 *
 * Gives it its place, and the mark of one that was written to, as the core gives
 * its locks up for one that becomes so.
 *
 * Context: any.
 */
void kubuf_init_folio(struct folio *folio, unsigned long index)
{
	folio->index = index;
	folio_set_dirty(folio);
}

static struct folio *alloc_folio(struct kubuf *buf, gfp_t gfp,
				 unsigned int order, unsigned long index)
{
	struct folio *folio = __folio_alloc_node(gfp, order, buf->node);

	if (folio)
		kubuf_init_folio(folio, index);
	return folio;
}

static struct page **alloc_table(unsigned long nr)
{
	return kvcalloc(nr, sizeof(struct page *),
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

static void free_table(struct page **pages, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		put_page(pages[i]);
	kvfree(pages);
}

/*
 * Single pages: the tail pages of an allocation that is no folio have no count
 * of their own and can't be mapped.
 */
static int alloc_split(struct kubuf *buf, gfp_t gfp, unsigned int order)
{
	struct page *page;
	unsigned long i;

	buf->pages = alloc_table(buf->nr_pages);
	if (!buf->pages)
		return -ENOMEM;
	page = alloc_pages_node(buf->node, gfp, order);
	if (!page) {
		kvfree(buf->pages);
		return -ENOMEM;
	}
	buf->kaddr = page_address(page);

	split_page(page, order);
	for (i = 0; i < buf->nr_pages; i++) {
		buf->pages[i] = page + i;
		kubuf_init_folio(page_folio(page + i), i);
	}
	for (; i < 1UL << order; i++)
		put_page(page + i);
	return 0;
}

/*
 * One folio where one entry of a page table can map it. Not for a reserved
 * buffer: PG_reserved is illegal on the pages of a folio.
 */
static int alloc_contiguous(struct kubuf *buf, gfp_t gfp)
{
	unsigned int order = get_order(kubuf_size(buf));
	struct folio *folio;

	if (buf->reserved || order > CHUNK_ORDER ||
	    !is_power_of_2(buf->nr_pages))
		return alloc_split(buf, gfp, order);

	folio = alloc_folio(buf, gfp, order, 0);
	if (!folio)
		return -ENOMEM;
	buf->head = folio_page(folio, 0);
	buf->kaddr = folio_address(folio);
	return 0;
}

static void free_contiguous(struct kubuf *buf)
{
	if (buf->pages)
		free_table(buf->pages, buf->nr_pages);
	else
		put_folio(page_folio(buf->head));
}

/*
 * Not vmalloc_user(): this way the table that vmalloc() makes for itself is at
 * hand, so that a fault reads one word and walks no page table of the kernel.
 */
static int alloc_vmalloc(struct kubuf *buf, gfp_t gfp)
{
	unsigned long done = 0, want, got, i;
	struct page **pages;
	int err;

	pages = alloc_table(buf->nr_pages);
	if (!pages)
		return -ENOMEM;

	while (done < buf->nr_pages) {
		err = -EINTR;
		if (fatal_signal_pending(current))
			goto err_pages;
		cond_resched();

		want = min(buf->nr_pages - done, BULK_PAGES);
		got = alloc_pages_bulk_node(gfp, buf->node, want, pages + done);
		err = -ENOMEM;
		if (!got)
			goto err_pages;
		for (i = done; i < done + got; i++)
			kubuf_init_folio(page_folio(pages[i]), i);
		done += got;
	}

	/* From here on the pages and their table belong to the address. */
	buf->kaddr = vmap(pages, buf->nr_pages, VM_MAP | VM_MAP_PUT_PAGES,
			  PAGE_KERNEL);
	err = -ENOMEM;
	if (!buf->kaddr)
		goto err_pages;
	buf->pages = pages;
	return 0;

err_pages:
	free_table(pages, done);
	return err;
}

static void free_vmalloc(struct kubuf *buf)
{
	vfree(buf->kaddr);
}

/* A piece out of smaller folios, each as large as can be had. */
static int alloc_fragments(struct kubuf *buf, struct kubuf_chunk *chunk,
			   unsigned long index, unsigned long nr, gfp_t gfp)
{
	unsigned long done = 0, i;
	struct folio *folio;
	unsigned int order;

	chunk->pages = alloc_table(nr);
	if (!chunk->pages)
		return -ENOMEM;

	order = min_t(unsigned int, ilog2(nr), CHUNK_ORDER - 1);
	while (done < nr) {
		order = min_t(unsigned int, order, ilog2(nr - done));
		folio = alloc_folio(buf, order ? gfp | __GFP_NORETRY : gfp,
				    order, index + done);
		if (!folio) {
			if (!order)
				return -ENOMEM;
			order--;
			continue;
		}
		for (i = 0; i < 1UL << order; i++)
			chunk->pages[done++] = folio_page(folio, i);
	}
	return 0;
}

static void free_chunk(struct kubuf_chunk *chunk, unsigned long nr)
{
	struct folio *folio;
	unsigned long i = 0;

	if (chunk->folio)
		put_folio(chunk->folio);
	if (!chunk->pages)
		return;
	while (i < nr && chunk->pages[i]) {
		folio = page_folio(chunk->pages[i]);
		i += folio_nr_pages(folio);
		put_folio(folio);
	}
	kvfree(chunk->pages);
}

static void free_huge(struct kubuf *buf)
{
	unsigned long index;

	for (index = 0; index < buf->nr_pages; index += CHUNK_PAGES) {
		free_chunk(&buf->chunks[index / CHUNK_PAGES],
			   min(buf->nr_pages - index, CHUNK_PAGES));
		cond_resched();
	}
	kvfree(buf->chunks);
}

static int alloc_huge(struct kubuf *buf, gfp_t gfp)
{
	struct kubuf_chunk *chunk;
	unsigned long index, nr;
	int err;

	buf->chunks = kvcalloc(DIV_ROUND_UP(buf->nr_pages, CHUNK_PAGES),
			       sizeof(*buf->chunks),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buf->chunks)
		return -ENOMEM;

	for (index = 0; index < buf->nr_pages; index += CHUNK_PAGES) {
		err = -EINTR;
		if (fatal_signal_pending(current))
			goto err_chunks;
		cond_resched();

		chunk = &buf->chunks[index / CHUNK_PAGES];
		nr = min(buf->nr_pages - index, CHUNK_PAGES);
		if (nr == CHUNK_PAGES)
			chunk->folio = alloc_folio(buf, gfp | __GFP_NORETRY,
						   CHUNK_ORDER, index);
		if (chunk->folio)
			continue;
		err = alloc_fragments(buf, chunk, index, nr, gfp);
		if (err)
			goto err_chunks;
	}
	return 0;

err_chunks:
	free_huge(buf);
	return err;
}

/**
 * kubuf_backing_alloc() - allocate the pages of a buffer, zeroed
 * @buf: buffer with size, backing, node and @buf->reserved set
 * @gfp: how to allocate; the OOM killer is never called
 *
 * Context: process context; sleeps.
 * Return: 0, or
 * * %-ENOMEM: no memory, or above the limit of the memory cgroup
 * * %-EINTR: killed meanwhile
 */
int kubuf_backing_alloc(struct kubuf *buf, gfp_t gfp)
{
	gfp |= __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	switch (buf->backing) {
	case KUBUF_BACKING_KMALLOC:
		return alloc_kmalloc(buf, gfp);
	case KUBUF_BACKING_PAGES:
		return alloc_contiguous(buf, gfp);
	case KUBUF_BACKING_VMALLOC:
		return alloc_vmalloc(buf, gfp);
	case KUBUF_BACKING_HUGE:
		return alloc_huge(buf, gfp);
	default:
		return -EINVAL;
	}
}

/**
 * kubuf_backing_free() - give the pages of a buffer back
 * @buf: the buffer, which nobody maps
 *
 * A page that is pinned stays with whoever pinned it, and goes with the pin.
 *
 * Context: process context; sleeps.
 */
void kubuf_backing_free(struct kubuf *buf)
{
	switch (buf->backing) {
	case KUBUF_BACKING_KMALLOC:
		free_kmalloc(buf);
		break;
	case KUBUF_BACKING_PAGES:
		free_contiguous(buf);
		break;
	case KUBUF_BACKING_VMALLOC:
		free_vmalloc(buf);
		break;
	case KUBUF_BACKING_HUGE:
		free_huge(buf);
		break;
	case KUBUF_BACKING_WRAPPED:
		/* The memory itself is its driver's. */
		kubuf_unwrap_memory(buf);
		break;
	}
}

/**
 * kubuf_kaddr() - the kernel's address of a byte of a buffer
 * @buf: the buffer
 * @pos: offset of the byte, below the size of the buffer
 * @len: in: bytes wanted; out: sound bytes that follow each other from there on
 *
 * Context: any.
 * Return: the address, good as long as the buffer, or %NULL if the memory there
 * has failed: a load would stop the machine.
 */
void *kubuf_kaddr(const struct kubuf *buf, loff_t pos, size_t *len)
{
	unsigned long index = pos >> PAGE_SHIFT;
	size_t offset = offset_in_page(pos);
	void *kaddr = buf->kaddr;
	struct page *page;
	struct folio *folio;
	size_t sound;

	*len = min_t(u64, *len, kubuf_size(buf) - pos);
	if (kaddr) {
		kaddr += pos;
	} else {
		page = kubuf_page(buf, index);
		folio = page_folio(page);
		kaddr = page_address(page) + offset;
		sound = folio_size(folio) - offset -
			(folio_page_idx(folio, page) << PAGE_SHIFT);
		/* Of a folio in a driver's row there may be a part. */
		if (buf->pages)
			sound = PAGE_SIZE - offset;
		*len = min(*len, sound);
	}

	for (sound = 0; sound < *len; sound += PAGE_SIZE - offset, offset = 0)
		if (PageHWPoison(kubuf_page(buf, index++)))
			*len = sound;
	return *len ? kaddr : NULL;
}
EXPORT_SYMBOL_GPL(kubuf_kaddr);

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "backing_kunit.c"
#endif
