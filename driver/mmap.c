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
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/uaccess.h>

#include "kubuf.h"

/* The most pages that one fault maps; main.c makes it a parameter. */
unsigned int kubuf_window = 16;

static bool is_private_write(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE &&
	       !(vmf->vma->vm_flags & VM_SHARED);
}

/*
 * How many pages to map from the faulting page on. Never before it: the
 * insertion stops at the first page that is there already, and the faulting
 * one would never be reached. Never past its page table.
 *
 * A page table that is not there yet says that nothing near was touched
 * before: a lone touch pays for one page.
 */
static unsigned long window_size(const struct vm_fault *vmf,
				 const struct kubuf *buf)
{
	unsigned long end = pmd_addr_end(vmf->address, vmf->vma->vm_end);
	unsigned long nr = (end - vmf->address) >> PAGE_SHIFT;

	if (pmd_none(READ_ONCE(*vmf->pmd)))
		return 1;
	nr = min(nr, buf->nr_pages - vmf->pgoff);
	return clamp_t(unsigned long, READ_ONCE(kubuf_window), 1, nr);
}

/* Map pages of a VM_MIXEDMAP mapping. */
static vm_fault_t insert_pages(struct vm_fault *vmf, const struct kubuf *buf,
			       unsigned long nr)
{
	struct page *batch[16];
	unsigned long i, done, left;
	int err;

	for (done = 0; done < nr; done += i) {
		unsigned long index = vmf->pgoff + done;

		for (i = 0; i < min(nr - done, ARRAY_SIZE(batch)); i++) {
			batch[i] = kubuf_page(buf, index + i);
			/* Not the first: kubuf_fault() has looked. */
			if (PageHWPoison(batch[i]))
				nr = done + i;
		}
		left = i;
		err = vm_insert_pages(vmf->vma,
				      vmf->address + (done << PAGE_SHIFT),
				      batch, &left);
		/* Another fault was there first, and has mapped the rest. */
		if (err == -EBUSY)
			break;
		/* The faulting page is there: the others can wait. */
		if (err && (done || left < i))
			break;
		if (err)
			return vmf_error(err);
	}
	return VM_FAULT_NOPAGE;
}

static vm_fault_t kubuf_fault(struct vm_fault *vmf)
{
	const struct kubuf *buf = vmf->vma->vm_private_data;
	struct page *page;
	unsigned long nr;

	if (unlikely(vmf->pgoff >= buf->nr_pages))
		return VM_FAULT_SIGBUS;

	/*
	 * A private write needs the page to copy it, not to map it. And the
	 * core knows what to do about a page that the memory has lost.
	 */
	page = kubuf_page(buf, vmf->pgoff);
	if (vmf->vma->vm_flags & VM_MIXEDMAP && !is_private_write(vmf) &&
	    !PageHWPoison(page)) {
		nr = window_size(vmf, buf);
		if (nr > 1)
			return insert_pages(vmf, buf, nr);
	}

	get_page(page);
	vmf->page = page;
	return 0;
}

static vm_fault_t kubuf_pfn_fault(struct vm_fault *vmf)
{
	const struct kubuf *buf = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long nr, i;

	if (unlikely(vmf->pgoff >= buf->nr_pages))
		return VM_FAULT_SIGBUS;

	nr = window_size(vmf, buf);
	for (i = 0; i < nr; i++) {
		struct page *page = kubuf_page(buf, vmf->pgoff + i);

		if (PageHWPoison(page)) {
			ret = VM_FAULT_HWPOISON;
			break;
		}
		/* Test first: the store would take the cache line away. */
		if (buf->reserved && !PageReserved(page))
			SetPageReserved(page);
		ret = vmf_insert_pfn(vmf->vma,
				     vmf->address + (i << PAGE_SHIFT),
				     page_to_pfn(page));
		if (ret != VM_FAULT_NOPAGE)
			break;
	}
	return i ? VM_FAULT_NOPAGE : ret;
}

static void count_mapping(struct kubuf *buf)
{
	if (atomic_inc_not_zero(&buf->nr_mappings))
		return;

	/* The last munmap() may be clearing PG_reserved just now. */
	mutex_lock(&buf->map_lock);
	atomic_inc(&buf->nr_mappings);
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
}

/*
 * The page table entries are gone, so that no fault of this mapping can set
 * PG_reserved again; mmap_lock may be held for reading only.
 */
static void kubuf_vma_close(struct vm_area_struct *vma)
{
	struct kubuf *buf = vma->vm_private_data;

	if (!atomic_dec_and_mutex_lock(&buf->nr_mappings, &buf->map_lock))
		return;
	if (buf->reserved)
		unreserve(buf);
	mutex_unlock(&buf->map_lock);
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
};

static const struct vm_operations_struct kubuf_pfn_ops = {
	.open = kubuf_vma_open,
	.close = kubuf_vma_close,
	COMPAT_MAPPED
	.fault = kubuf_pfn_fault,
	.access = kubuf_pfn_access,
};

/* Whether the pages are single ones, which can be mapped by windows. */
static bool has_single_pages(const struct kubuf *buf)
{
	return buf->backing == KUBUF_BACKING_VMALLOC ||
	       (buf->backing == KUBUF_BACKING_PAGES && buf->split);
}

/**
 * kubuf_mmap_prepare() - say how a mapping is going to be; map nothing
 * @desc: what was asked for
 *
 * Context: under mmap_lock, for writing. Keeps no state: the mapping may not
 * come to be.
 * Return: 0, or
 * * %-EINVAL: reaches past the end of the buffer, or private on the PFN path
 * * %-EPERM: executable, or a reserved buffer without CAP_SYS_RAWIO
 */
int kubuf_mmap_prepare(struct vm_area_desc *desc)
{
	struct kubuf *buf = desc->file->private_data;
	unsigned long nr = vma_desc_pages(desc);

	if (vma_desc_test(desc, VMA_EXEC_BIT))
		return -EPERM;
	if (nr > buf->nr_pages || desc->pgoff > buf->nr_pages - nr)
		return -EINVAL;
	/* vmf_insert_pfn() stops the kernel on a copy-on-write mapping. */
	if (buf->pfn_path && vma_desc_is_cow_mapping(desc))
		return -EINVAL;
	/*
	 * VFIO takes reserved memory that is mapped by frame number without a
	 * pin: who maps it can make a device write to it for ever.
	 */
	if (buf->reserved && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	vma_desc_clear_flags(desc, VMA_MAYEXEC_BIT);
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT);
	if (buf->pfn_path) {
		/* A core dump would show zeroes, which is worse than nothing. */
		vma_desc_set_flags(desc, VMA_DONTDUMP_BIT);
		vma_desc_set_flags(desc, VMA_PFNMAP_BIT);
		desc->vm_ops = &kubuf_pfn_ops;
	} else {
		/*
		 * For vm_insert_pages(). Not for folios: the split of a PMD
		 * entry in a mixed mapping forgets the folio's counts.
		 */
		if (has_single_pages(buf))
			vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
		desc->vm_ops = &kubuf_page_ops;
	}
	desc->private_data = buf;
	return 0;
}
