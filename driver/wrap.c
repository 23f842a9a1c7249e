// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a driver has, as the memory of a buffer: whether that can be done
 * with it is seen by its pages.
 */
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kubuf.h"

/* The page at an address: NULL if there is none, as where ioremap() has mapped. */
static struct page *page_of(void *addr)
{
	struct page *page;

	if (!is_vmalloc_addr(addr))
		return virt_addr_valid(addr) ? virt_to_page(addr) : NULL;
	page = vmalloc_to_page(addr);
	return page && pfn_valid(page_to_pfn(page)) ? page : NULL;
}

/* The page at an index, or NULL if there is none. */
static struct page *page_at(const struct kubuf_memory *wrap, unsigned long index)
{
	return wrap->addr ? page_of(wrap->addr + (index << PAGE_SHIFT)) :
			    wrap->pages[index];
}

/* Whether a page is of a kind that may be given away. */
static bool is_wrappable(struct page *page, bool pfn_path)
{
	struct folio *folio = page_folio(page);

	/* Not of the allocator, or not to be reached by an address. */
	if (PageReserved(page) || PageHighMem(page))
		return false;
	/* Its count is 0, as kmalloc() alone has a say in its life. */
	if (PageLargeKmalloc(folio_page(folio, 0)))
		return pfn_path;
	/* Slab, page table, free, offline. */
	if (folio_test_slab(folio) || page_has_type(folio_page(folio, 0)))
		return false;
	/* Free, or the tail of what alloc_pages() gave in one piece. */
	if (!folio_ref_count(folio))
		return false;
	/* Memory of a process or of a file. */
	if (folio_test_lru(folio) || folio_mapped(folio) || folio->mapping)
		return false;
	return pfn_path || !folio_test_large(folio);
}

static bool is_first(struct page *page)
{
	return folio_page(page_folio(page), 0) == page;
}

/* Whether a page goes on where the one before ends, if they are of one piece. */
static bool follows(struct page *page, struct page *before)
{
	return is_first(page) ||
	       (before && before == page - 1 &&
		page_folio(before) == page_folio(page));
}

/*
 * Mark a page as one of a buffer: false if it is in one already, or in this one
 * twice. What has several pages has one mark.
 */
static bool mark(struct page *page)
{
	return !is_first(page) || !folio_test_set_dirty(page_folio(page));
}

static void unmark(struct page *page)
{
	if (is_first(page))
		folio_clear_dirty(page_folio(page));
}

/*
 * Whether a marked page is of the stack of a task: such a page looks like any
 * other of vmalloc(). The stack of a task that ends now is freed by RCU. Idle
 * tasks are in no list.
 */
static bool have_marked_stack(void)
{
	struct task_struct *process, *task;
	struct page *page;
	bool found = false;
	void *stack;
	size_t i;

	rcu_read_lock();
	for_each_process_thread(process, task) {
		stack = READ_ONCE(task->stack);
		for (i = 0; stack && i < THREAD_SIZE; i += PAGE_SIZE) {
			page = page_of(stack + i);
			found |= page && folio_test_dirty(page_folio(page));
		}
	}
	rcu_read_unlock();
	return found;
}

/**
 * kubuf_wrap_memory() - take a driver's memory into a buffer
 * @buf: buffer with size and @buf->pfn_path set
 * @wrap: the memory
 *
 * Context: process context; sleeps.
 * Return: 0, or
 * * %-EINVAL: not memory for that, see kubuf_wrap()
 * * %-ENOMEM: no memory for the table of pages
 */
int kubuf_wrap_memory(struct kubuf *buf, const struct kubuf_memory *wrap)
{
	unsigned long nr = buf->nr_pages, i;
	struct page **pages;

	if (!wrap->addr == !wrap->pages || !PAGE_ALIGNED(wrap->addr))
		return -EINVAL;
	pages = kvmalloc_array(nr, sizeof(*pages),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;

	for (i = 0; i < nr; i++) {
		pages[i] = page_at(wrap, i);
		if (!pages[i] || !is_wrappable(pages[i], buf->pfn_path) ||
		    !follows(pages[i], i ? pages[i - 1] : NULL))
			goto err_free;
	}
	for (i = 0; i < nr; i++)
		if (!mark(pages[i]))
			goto err_marked;
	if (have_marked_stack())
		goto err_marked;
	for (i = 0; i < nr && !buf->pfn_path; i++)
		kubuf_init_folio(page_folio(pages[i]), i);
	buf->pages = pages;
	buf->kaddr = wrap->addr;
	return 0;

err_marked:
	while (i--)
		unmark(pages[i]);
err_free:
	kvfree(pages);
	return -EINVAL;
}

/**
 * kubuf_unwrap_memory() - undo kubuf_wrap_memory()
 * @buf: the buffer, which nobody maps
 *
 * Context: process context; sleeps.
 */
void kubuf_unwrap_memory(struct kubuf *buf)
{
	unsigned long i;

	for (i = 0; i < buf->nr_pages; i++)
		unmark(buf->pages[i]);
	kvfree(buf->pages);
}

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "wrap_kunit.c"
#endif
