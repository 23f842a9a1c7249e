// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapping of a buffer: mmap() maps nothing, the first access to a page
 * faults, and the fault looks the page up.
 *
 * On the page path a page is mapped as any page of a file is: it has a
 * reference for each mapping and can be pinned (GUP). On the PFN path its frame
 * number alone is mapped: that is for memory whose pages must not be touched
 * (kmalloc), and for reserved pages.
 */
#include <linux/capability.h>
#include <linux/export.h>
#include <linux/file.h>
#include <linux/lockdep.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "kubuf.h"
#include "trace.h"

/* The most pages that one fault maps; main.c makes them parameters. */
unsigned int kubuf_window = 128;
unsigned int kubuf_pfn_window = 512;

/* Pages that are inserted at once, if they first have to be put in a row. */
#define BATCH_PAGES	8UL

/*
 * Say whose a folio is. With its index that is the name of a shared futex in it:
 * without one it would be -EFAULT. Nothing else of the core is led astray: the
 * folio is on no LRU list, and not among those that the address_space lists.
 */
static void adopt(struct folio *folio, struct address_space *mapping)
{
	const unsigned int largest = PMD_ORDER;

	/* The page cache has none so large: the core warns if it is to split one. */
	if (largest > MAX_XAS_ORDER && folio_order(folio) > MAX_XAS_ORDER)
		return;
	/* Another fault may do the same just now. */
	if (READ_ONCE(folio->mapping) != mapping)
		WRITE_ONCE(folio->mapping, mapping);
}

/**
 * kubuf_disown() - take back what faults have said of the pages
 * @buf: buffer that is not mapped, and can't be now
 *
 * A pin may outlive the inode, and must not find it then: who marks its page
 * dirty holds the lock of the folio.
 *
 * Context: process context; sleeps. Under file_lock.
 */
void kubuf_disown(struct kubuf *buf)
{
	struct folio *folio;
	unsigned long i;

	lockdep_assert_held(&buf->file_lock);

	if (!buf->was_mapped || buf->pfn_path)
		return;
	for (i = 0; i < buf->nr_pages; i += folio_nr_pages(folio)) {
		folio = page_folio(kubuf_page(buf, i));
		if (!folio->mapping)
			continue;
		folio_lock(folio);
		folio->mapping = NULL;
		folio_unlock(folio);
	}
	buf->was_mapped = false;
}

static bool is_private_write(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE &&
	       !(vmf->vma->vm_flags & VM_SHARED);
}

/*
 * How many pages a fault may map, from the faulting one on: never before it, as
 * the insertion stops at the first page that is there already, and the faulting
 * one would not be reached; never past its page table.
 */
static unsigned long max_window(const struct vm_fault *vmf,
				const struct kubuf *buf, unsigned int limit)
{
	unsigned long end = pmd_addr_end(vmf->address, vmf->vma->vm_end);
	unsigned long nr = (end - vmf->address) >> PAGE_SHIFT;

	nr = min(nr, buf->nr_pages - vmf->pgoff);
	return clamp_t(unsigned long, limit, 1, nr);
}

/* How many pages of the mapping there are before the faulting one. */
static unsigned long nr_before(const struct vm_fault *vmf)
{
	return vmf->pgoff - vmf->vma->vm_pgoff;
}

/*
 * As readahead does, but without a state that faults would have to share: map
 * as many pages as are mapped just before the faulting one, so that a sweep
 * doubles its window and a lone touch pays for one page.
 */
static unsigned long window_size(const struct vm_fault *vmf,
				 const struct kubuf *buf)
{
	unsigned long max = max_window(vmf, buf, READ_ONCE(kubuf_window));
	unsigned long nr = 1;

	while (nr < max && nr <= nr_before(vmf) &&
	       folio_mapped(page_folio(kubuf_page(buf, vmf->pgoff - nr))))
		nr *= 2;
	return min(nr, max);
}

/* At most so many pages in a row: the buffer's own table, or a short copy. */
static struct page **page_row(const struct kubuf *buf, unsigned long index,
			      unsigned long *nr, struct page **copy)
{
	unsigned long i;

	if (buf->pages)
		return buf->pages + index;
	*nr = min(*nr, BATCH_PAGES);
	for (i = 0; i < *nr; i++)
		copy[i] = kubuf_page(buf, index + i);
	return copy;
}

/* Adopt pages in a row: how many come before one whose memory has failed. */
static unsigned long adopt_row(struct page **row, unsigned long nr,
			       struct address_space *mapping)
{
	unsigned long i;

	for (i = 0; i < nr && !PageHWPoison(row[i]); i++)
		adopt(page_folio(row[i]), mapping);
	return i;
}

/* Map a window of single pages, as far as they are sound. */
static vm_fault_t insert_pages(struct vm_fault *vmf, const struct kubuf *buf)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	unsigned long nr = window_size(vmf, buf);
	struct page *copy[BATCH_PAGES], **row;
	unsigned long done = 0, n, sound, left;
	int err = 0;

	while (!err && done < nr) {
		n = nr - done;
		row = page_row(buf, vmf->pgoff + done, &n, copy);
		sound = adopt_row(row, n, mapping);
		if (!sound)
			break;
		/* The pages of an array are single ones, all of them. */
		n = lock_row(row, sound, row != copy);
		left = n;
		err = vm_insert_pages(vmf->vma, vmf->address + done * PAGE_SIZE,
				      row, &left);
		unlock_row(row);
		done += n - left;
	}
	trace_kubuf_map(buf, vmf->pgoff, 0, done);
	/* The faulting page is there, or another fault was first. */
	if (done || !err || err == -EBUSY)
		return VM_FAULT_NOPAGE;
	return vmf_error(err);
}

/* Whether one entry of a PMD could map what is around the address. */
static bool fits_pmd(const struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PMD_MASK;

	return vmf->pgoff % CHUNK_PAGES == pte_index(vmf->address) &&
	       addr >= vma->vm_start && vma->vm_end - addr >= PMD_SIZE;
}

/*
 * This one and the next ones are inline so that what looks whether somebody
 * traces, at the end, costs a static branch and no call.
 */
static __always_inline vm_fault_t page_fault(struct vm_fault *vmf,
					     unsigned int order)
{
	const struct kubuf *buf = vmf->vma->vm_private_data;
	struct folio *folio;
	struct page *page;

	if (unlikely(vmf->pgoff >= buf->nr_pages))
		return VM_FAULT_SIGBUS;

	/*
	 * Let the core map the page where it does that best: it has a page
	 * table at hand where there is none yet, copies the page for a private
	 * write, and knows what to do about one that the memory has lost. But
	 * no entry for a whole piece in a mixed mapping, see mixed_map().
	 */
	page = kubuf_page(buf, vmf->pgoff);
	if (vmf->vma->vm_flags & VM_MIXEDMAP &&
	    (!pmd_none(READ_ONCE(*vmf->pmd)) ||
	     (!buf->pages && fits_pmd(vmf))) &&
	    !is_private_write(vmf) && !PageHWPoison(page))
		return insert_pages(vmf, buf);

	folio = page_folio(page);
	adopt(folio, vmf->vma->vm_file->f_mapping);
	/* But it maps all of a folio, with what is lost of it. */
	if (core_maps_folio(vmf, folio) && !is_private_write(vmf) &&
	    !PageHWPoison(page) &&
	    kubuf_has_poison(folio_page(folio, 0), folio_nr_pages(folio)))
		return vmf_insert_page_mkwrite(vmf, page,
					       vmf->flags & FAULT_FLAG_WRITE);

	get_page(page);
	vmf->page = page;
	return 0;
}

/*
 * One entry for a whole folio, or for as much of contiguous memory. Older
 * kernels make it of the page that page_fault() gives.
 */
static __always_inline vm_fault_t huge_fault(struct vm_fault *vmf,
					     unsigned int order)
{
	const struct vm_area_struct *vma = vmf->vma;
	const struct kubuf *buf = vma->vm_private_data;
	unsigned long index = vmf->pgoff - pte_index(vmf->address);
	struct folio *folio;
	struct page *page;
	vm_fault_t ret;

	/* Without huge pages there are no functions to map one. */
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return VM_FAULT_FALLBACK;

	if (order != PMD_ORDER || !fits_pmd(vmf) ||
	    index + CHUNK_PAGES > buf->nr_pages ||
	    vma->vm_flags & VM_MIXEDMAP)
		return VM_FAULT_FALLBACK;
	/* The entry would be writable, and the write not private. */
	if (is_private_write(vmf))
		return VM_FAULT_FALLBACK;

	/* Where it can be marked special, so that GUP does not take it. */
	if (buf->pfn_path && !IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP))
		return VM_FAULT_FALLBACK;

	page = kubuf_page(buf, index);
	folio = page_folio(page);
	if (folio_order(folio) < PMD_ORDER ||
	    kubuf_has_poison(page, CHUNK_PAGES))
		return VM_FAULT_FALLBACK;
	if (buf->pfn_path) {
		ret = vmf_insert_pfn_pmd(vmf, page_to_pfn(page),
					 vmf->flags & FAULT_FLAG_WRITE);
	} else {
		adopt(folio, vma->vm_file->f_mapping);
		ret = vmf_insert_folio_pmd(vmf, folio,
					   vmf->flags & FAULT_FLAG_WRITE);
	}
	if (ret == VM_FAULT_NOPAGE)
		trace_kubuf_map(buf, index, PMD_ORDER, CHUNK_PAGES);
	return ret;
}

/*
 * As window_size(), but a mapped frame number leaves no trace outside of the
 * page table. It costs a tenth of a page: the window grows faster.
 */
static unsigned long pfn_window_size(const struct vm_fault *vmf,
				     const struct kubuf *buf, pte_t *pte)
{
	unsigned long before = min(nr_before(vmf), pte_index(vmf->address));
	unsigned long max = max_window(vmf, buf, READ_ONCE(kubuf_pfn_window));
	unsigned long nr = 1;

	while (nr < max && nr <= before && !pte_none(ptep_get(pte - nr)))
		nr *= 8;
	return min(nr, max);
}

/* Called with the lock of the page table, which the window never leaves. */
static int insert_pfns(pte_t *pte, unsigned long addr, void *data)
{
	const struct vm_fault *vmf = data;
	struct vm_area_struct *vma = vmf->vma;
	const struct kubuf *buf = vma->vm_private_data;
	unsigned long nr = pfn_window_size(vmf, buf, pte);
	pgprot_t prot = vma->vm_page_prot;
	bool reserved = buf->reserved;
	struct page *page;
	unsigned long i;
	pte_t entry;
	int err = 0;

	for (i = 0; i < nr; i++, pte++, addr += PAGE_SIZE) {
		/* Another fault was there first, and has mapped the rest. */
		if (!pte_none(ptep_get(pte)))
			break;
		page = kubuf_page(buf, vmf->pgoff + i);
		if (PageHWPoison(page)) {
			err = i ? 0 : -EHWPOISON;
			break;
		}
		/* Test first: the store would take the cache line away. */
		if (reserved && !PageReserved(page))
			SetPageReserved(page);
		entry = pfn_pte(page_to_pfn(page), prot);
		set_pte_at(vma->vm_mm, addr, pte,
			   pte_mkspecial(pte_sw_mkyoung(entry)));
	}
	trace_kubuf_map(buf, vmf->pgoff, 0, i);
	return err;
}

static __always_inline vm_fault_t pfn_fault(struct vm_fault *vmf,
					    unsigned int order)
{
	const struct kubuf *buf = vmf->vma->vm_private_data;
	vm_fault_t ret;
	int err;

	if (unlikely(vmf->pgoff >= buf->nr_pages))
		return VM_FAULT_SIGBUS;

	/*
	 * Where one entry could be, none but it may come to be, whatever the
	 * process says of huge pages and when: the walk below warns of one.
	 */
	if (pmd_none(READ_ONCE(*vmf->pmd))) {
		ret = huge_fault(vmf, PMD_ORDER);
		if (!(ret & VM_FAULT_FALLBACK))
			return ret;
	}

	/* vmf_insert_pfn() would walk and lock anew for each page. */
	err = apply_to_page_range(vmf->vma->vm_mm, vmf->address, PAGE_SIZE,
				  insert_pfns, vmf);
	if (err == -EHWPOISON)
		return VM_FAULT_HWPOISON;
	return err ? vmf_error(err) : VM_FAULT_NOPAGE;
}

/*
 * What pfn_fault() does where there is no page table yet, but before the core has
 * allocated one in vain.
 */
static __always_inline vm_fault_t pfn_huge_fault(struct vm_fault *vmf,
						 unsigned int order)
{
	if (order == PMD_ORDER && pmd_none(READ_ONCE(*vmf->pmd)))
		return pfn_fault(vmf, 0);
	return huge_fault(vmf, order);
}

/* A fault that somebody looks at; one that falls back comes again. */
static noinline vm_fault_t traced(struct vm_fault *vmf, unsigned int order,
				  vm_fault_t (*fault)(struct vm_fault *vmf, unsigned int order))
{
	u64 start = ktime_get_ns();
	vm_fault_t ret = fault(vmf, order);

	if (!(ret & VM_FAULT_FALLBACK))
		trace_kubuf_fault(vmf->vma->vm_private_data, vmf, ret,
				  ktime_get_ns() - start);
	return ret;
}

static vm_fault_t kubuf_fault(struct vm_fault *vmf)
{
	if (trace_kubuf_fault_enabled())
		return traced(vmf, 0, page_fault);
	return page_fault(vmf, 0);
}

static vm_fault_t kubuf_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	if (trace_kubuf_fault_enabled())
		return traced(vmf, order, huge_fault);
	return huge_fault(vmf, order);
}

static vm_fault_t kubuf_pfn_fault(struct vm_fault *vmf)
{
	if (trace_kubuf_fault_enabled())
		return traced(vmf, 0, pfn_fault);
	return pfn_fault(vmf, 0);
}

static vm_fault_t kubuf_pfn_huge_fault(struct vm_fault *vmf,
				       unsigned int order)
{
	if (trace_kubuf_fault_enabled())
		return traced(vmf, order, pfn_huge_fault);
	return pfn_huge_fault(vmf, order);
}

/*
 * Maps nothing, but is there: without it the core gives up the lock of the VMA
 * and comes again with mmap_lock, as ->fault() might want that. It does not.
 */
static vm_fault_t kubuf_map_pages(struct vm_fault *vmf, pgoff_t start,
				  pgoff_t end)
{
	return 0;
}

static void count_mapping(struct kubuf *buf)
{
	if (atomic_inc_not_zero(&buf->nr_mappings))
		return;

	/* The last munmap() may be clearing PG_reserved just now. */
	mutex_lock(&buf->map_lock);
	atomic_inc(&buf->nr_mappings);
	buf->was_mapped = true;
	mutex_unlock(&buf->map_lock);
}

static void unreserve(struct kubuf *buf)
{
	unsigned long i;

	lockdep_assert_held(&buf->map_lock);

	for (i = 0; i < buf->nr_pages; i++)
		ClearPageReserved(kubuf_page(buf, i));
}

/* fork(), a split, mremap(). */
static void kubuf_vma_open(struct vm_area_struct *vma)
{
	count_mapping(vma->vm_private_data);
	trace_kubuf_open(vma->vm_private_data, vma->vm_start, vma->vm_end,
			 vma->vm_pgoff);
}

/*
 * The page table entries are gone, so that no fault of this mapping can set
 * PG_reserved again; mmap_lock may be held for reading only.
 */
static void kubuf_vma_close(struct vm_area_struct *vma)
{
	struct kubuf *buf = vma->vm_private_data;

	if (atomic_dec_and_mutex_lock(&buf->nr_mappings, &buf->map_lock)) {
		if (buf->reserved)
			unreserve(buf);
		mutex_unlock(&buf->map_lock);
	}
	trace_kubuf_close(buf, vma->vm_start, vma->vm_end, vma->vm_pgoff);
}

/**
 * kubuf_vma_mapped() - a new mapping is there: count it
 * @start: first address
 * @end: address after the last
 * @pgoff: index of the first page
 * @file: the file
 * @vm_private_data: the buffer
 *
 * Context: under mmap_lock, for writing.
 * Return: 0; it must not fail, as not all callers would undo what was done.
 */
int kubuf_vma_mapped(unsigned long start, unsigned long end, pgoff_t pgoff,
		     const struct file *file, void **vm_private_data)
{
	count_mapping(*vm_private_data);
	trace_kubuf_mmap(*vm_private_data, start, end, pgoff);
	return 0;
}

/*
 * ptrace() and /proc/PID/mem come here where there is no page to pin, before
 * anything was checked.
 */
static int kubuf_pfn_access(struct vm_area_struct *vma, unsigned long addr,
			    void *data, int len, int write)
{
	const struct kubuf *buf = vma->vm_private_data;
	loff_t pos = addr - vma->vm_start +
		     ((loff_t)vma->vm_pgoff << PAGE_SHIFT);
	size_t n = min_t(size_t, len, vma->vm_end - addr);
	void *kaddr;

	if (write && !(vma->vm_flags & VM_WRITE))
		return -EACCES;
	if (pos >= kubuf_size(buf))
		return -EFAULT;

	kaddr = kubuf_kaddr(buf, pos, &n);
	if (!kaddr)
		return -EIO;
	if (write)
		memcpy(kaddr, data, n);
	else
		memcpy(data, kaddr, n);
	return n;
}

static const struct vm_operations_struct kubuf_page_ops = {
	.open = kubuf_vma_open,
	.close = kubuf_vma_close,
	COMPAT_MAPPED
	.fault = kubuf_fault,
	.huge_fault = kubuf_huge_fault,
	.map_pages = kubuf_map_pages,
};

static const struct vm_operations_struct kubuf_pfn_ops = {
	.open = kubuf_vma_open,
	.close = kubuf_vma_close,
	COMPAT_MAPPED
	.fault = kubuf_pfn_fault,
	.huge_fault = kubuf_pfn_huge_fault,
	.map_pages = kubuf_map_pages,
	.access = kubuf_pfn_access,
};

/*
 * Whether vm_insert_pages() may be used: for single pages, and where a piece of
 * a huge buffer is only mapped in part or out of line. Not where a whole piece
 * can be: the split of its entry in a mixed mapping forgets the folio's counts.
 */
static bool mixed_map(const struct vm_area_desc *desc, const struct kubuf *buf)
{
	unsigned long start = round_up(desc->start, PMD_SIZE);
	struct page *page = kubuf_page(buf, desc->pgoff);

	if (buf->pages)
		return true;
	if (start < desc->end && desc->end - start >= PMD_SIZE &&
	    (desc->start >> PAGE_SHIFT) % CHUNK_PAGES ==
	    desc->pgoff % CHUNK_PAGES)
		return false;
	return folio_order(page_folio(page)) >= PMD_ORDER;
}

/**
 * kubuf_mmap_prepare() - say how a mapping is going to be; map nothing
 * @desc: what was asked for
 *
 * Context: under mmap_lock, for writing. Keeps no state: the mapping may not
 * come to be.
 * Return: 0, or
 * * %-EINVAL: reaches past the end of the buffer, or private on the PFN path
 * * %-EPERM: executable, a reserved buffer without CAP_SYS_RAWIO, or shared and
 *   writable though the buffer is sealed
 */
int kubuf_mmap_prepare(struct vm_area_desc *desc)
{
	struct kubuf *buf = kubuf_of(desc->file);
	unsigned long nr = vma_desc_pages(desc);

	if (vma_desc_test(desc, VMA_EXEC_BIT))
		return -EPERM;
	if (nr > buf->nr_pages || desc->pgoff > buf->nr_pages - nr)
		return -EINVAL;
	/* vmf_insert_pfn() stops the kernel on a copy-on-write mapping. */
	if (buf->pfn_path && vma_desc_is_cow_mapping(desc))
		return -EINVAL;
	if (READ_ONCE(buf->seals) & KUBUF_SEAL_WRITE &&
	    vma_desc_test(desc, VMA_SHARED_BIT)) {
		if (vma_desc_test(desc, VMA_WRITE_BIT))
			return -EPERM;
		vma_desc_clear_flags(desc, VMA_MAYWRITE_BIT);
	}
	/*
	 * VFIO takes reserved memory that is mapped by frame number without a
	 * pin: who maps it can make a device write to it for ever.
	 */
	if (buf->reserved && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	vma_desc_clear_flags(desc, VMA_MAYEXEC_BIT);
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT);
	/* Without it huge_fault() is not called unless for all mappings. */
	vma_desc_set_flags(desc, VMA_HUGEPAGE_BIT);
	if (buf->pfn_path) {
		/* A core dump would show zeroes, which is worse than nothing. */
		vma_desc_set_flags(desc, VMA_DONTDUMP_BIT);
		vma_desc_set_flags(desc, VMA_PFNMAP_BIT);
		desc->vm_ops = &kubuf_pfn_ops;
	} else {
		if (mixed_map(desc, buf))
			vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
		desc->vm_ops = &kubuf_page_ops;
	}
	desc->private_data = buf;
	return 0;
}

/**
 * kubuf_mmap() - map a buffer through a driver's own node
 * @buf: the buffer
 * @vma: what the driver's mmap() was given
 *
 * For file_operations.mmap. The mapping then belongs to a file of the buffer,
 * and no longer to the driver's.
 *
 * Context: in mmap(), under mmap_lock.
 * Return: 0, or
 *
 * * %-EINVAL: reaches past the end of the buffer, or private on the PFN path
 * * %-EPERM: executable, a reserved buffer without CAP_SYS_RAWIO, or shared and
 *   writable though the buffer is sealed
 * * %-ENFILE: too many files in the system
 * * %-ENOMEM: no memory
 */
int kubuf_mmap(struct kubuf *buf, struct vm_area_struct *vma)
{
	struct file *file = kubuf_file_create(buf);

	if (IS_ERR(file))
		return PTR_ERR(file);
	/* It has a reference of its own. */
	vma_set_file(vma, file);
	fput(file);
	return vfs_mmap(file, vma);
}
EXPORT_SYMBOL_GPL(kubuf_mmap);

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "mmap_kunit.c"
#endif
