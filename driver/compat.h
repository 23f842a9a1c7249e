/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver is written for the newest kernel. This file gives older ones what
 * they lack, in the words of the newest, and is empty on it but for two table
 * entries, what the core does with folios, and what MIPS keeps from modules. It
 * is the only file that knows versions.
 */
#ifndef _KUBUF_COMPAT_H
#define _KUBUF_COMPAT_H

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/* For a module of the selftests. */
#define dma_buf_vmap_unlocked dma_buf_vmap
#define dma_buf_vunmap_unlocked dma_buf_vunmap
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/*
 * The core wants a page of a large folio that has an owner to be locked when it
 * is mapped. Return: how many pages in the row are of that folio, or are not of
 * a large one; all, if the caller knows them to be @single ones.
 */
static inline unsigned long lock_row(struct page **row, unsigned long nr,
				     bool single)
{
	struct folio *folio = page_folio(row[0]), *next;
	unsigned long i;

	for (i = single ? nr : 1; i < nr; i++) {
		next = page_folio(row[i]);
		if (next != folio &&
		    (folio_test_large(folio) || folio_test_large(next)))
			break;
	}
	if (folio_test_large(folio))
		folio_lock(folio);
	return i;
}

static inline void unlock_row(struct page **row)
{
	if (folio_test_large(page_folio(row[0])))
		folio_unlock(page_folio(row[0]));
}
#else
static inline unsigned long lock_row(struct page **row, unsigned long nr,
				     bool single)
{
	return nr;
}

static inline void unlock_row(struct page **row)
{
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define mnt_idmap user_namespace
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read generic_file_splice_read
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define eventfd_signal(eventfd) eventfd_signal(eventfd, 1)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
/* Who has, or may have, aliases asks for shared memory to be aligned. */
#include <asm/shmparam.h>
#define cpu_dcache_is_aliasing() (SHMLBA > PAGE_SIZE)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define MAX_PAGE_ORDER (MAX_ORDER - 1)
#endif

#ifndef PMD_ORDER
#define PMD_ORDER (PMD_SHIFT - PAGE_SHIFT)
#endif

#ifndef MAX_XAS_ORDER
#define MAX_XAS_ORDER (2 * XA_CHUNK_SHIFT - 1)
#endif

/* Unmapping does not ask which pages were used of late. */
#ifndef FMODE_NOREUSE
#define FMODE_NOREUSE 0
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define ptep_get(pte) READ_ONCE(*(pte))
#endif

#ifdef CONFIG_MIPS
/*
 * It calls a function that modules cannot call, for aliases in the data cache
 * and for code. There are none here, and no mapping is executable.
 */
static inline void compat_set_pte_at(struct mm_struct *mm, unsigned long addr,
				     pte_t *ptep, pte_t pte)
{
	set_pte(ptep, pte);
}

#undef set_pte_at
#define set_pte_at compat_set_pte_at
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
/* It is there, but GUP would take the entry for one of a folio. */
static inline vm_fault_t compat_insert_pfn_pmd(struct vm_fault *vmf,
					       unsigned long pfn, bool write)
{
	return VM_FAULT_FALLBACK;
}

#define vmf_insert_pfn_pmd compat_insert_pfn_pmd
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>

static inline vm_fault_t compat_insert_pfn_pmd(struct vm_fault *vmf,
					       unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write);
}

#define vmf_insert_pfn_pmd compat_insert_pfn_pmd
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
/* The core maps all of a folio when ->fault() gives a page of it. */
static inline vm_fault_t vmf_insert_folio_pmd(struct vm_fault *vmf,
					      struct folio *folio, bool write)
{
	return VM_FAULT_FALLBACK;
}

/* It does so of one of PMD order that is not marked, and of no other one. */
static inline vm_fault_t compat_insert_page(struct vm_fault *vmf,
					    struct page *page, bool write)
{
	folio_set_has_hwpoisoned(page_folio(page));
	get_page(page);
	vmf->page = page;
	return 0;
}

#define vmf_insert_page_mkwrite compat_insert_page

static inline bool core_maps_folio(const struct vm_fault *vmf,
				   struct folio *folio)
{
	return pmd_none(READ_ONCE(*vmf->pmd)) &&
	       folio_order(folio) == PMD_ORDER;
}
#else
static inline bool core_maps_folio(const struct vm_fault *vmf,
				   struct folio *folio)
{
	return folio_test_large(folio);
}
#endif

/* Events on a node. Older kernels count none: pages are always looked at. */
static inline unsigned long node_memory_failures(int nid)
{
#ifndef CONFIG_MEMORY_FAILURE
	return 0;
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return 1;
#else
	return READ_ONCE(NODE_DATA(nid)->mf_stats.total);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
struct follow_pfnmap_args {
	struct vm_area_struct *vma;
	unsigned long address;
	spinlock_t *lock;	/* of the page table, held until the end */
	pte_t *ptep;
	unsigned long pfn;
};

static inline int follow_pfnmap_start(struct follow_pfnmap_args *args)
{
	int err = follow_pte(args->vma->vm_mm, args->address, &args->ptep,
			     &args->lock);

	if (!err)
		args->pfn = pte_pfn(*args->ptep);
	return err;
}

static inline void follow_pfnmap_end(struct follow_pfnmap_args *args)
{
	/* By follow_pte(), which sparse does not see. */
	__acquire(args->lock);
	pte_unmap_unlock(args->ptep, args->lock);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define alloc_pages_bulk_node alloc_pages_bulk_array_node
#endif

#ifndef kzalloc_obj
#define kzalloc_obj(obj, gfp) kzalloc(sizeof(obj), gfp)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline int copy_struct_to_user(void __user *dst, size_t usize,
				      const void *src, size_t ksize,
				      bool *ignored_trailing)
{
	size_t size = min(ksize, usize);

	if (usize > ksize && clear_user(dst + size, usize - size))
		return -EFAULT;
	return copy_to_user(dst, src, size) ? -EFAULT : 0;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
/* For a sample. */
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock_id, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock_id, mode);
	timer->function = fn;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
/* A large kmalloc() gives pages as others do. */
#define PageLargeKmalloc(page) ((void)(page), false)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define vfs_mmap call_mmap
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
/*
 * mmap_prepare() and mapped() on top of mmap(). Nothing of the core can fail
 * between the two and leave a count behind: it calls close() then.
 */
struct vm_area_desc {
	unsigned long start;
	unsigned long end;
	pgoff_t pgoff;
	struct file *file;
	unsigned long vm_flags;
	const struct vm_operations_struct *vm_ops;
	void *private_data;
};

#define VMA_WRITE_BIT		VM_WRITE
#define VMA_EXEC_BIT		VM_EXEC
#define VMA_SHARED_BIT		VM_SHARED
#define VMA_MAYWRITE_BIT	VM_MAYWRITE
#define VMA_MAYEXEC_BIT		VM_MAYEXEC
#define VMA_PFNMAP_BIT		VM_PFNMAP
#define VMA_MIXEDMAP_BIT	VM_MIXEDMAP
#define VMA_DONTEXPAND_BIT	VM_DONTEXPAND
#define VMA_DONTDUMP_BIT	VM_DONTDUMP
#define VMA_HUGEPAGE_BIT	VM_HUGEPAGE

#define vma_desc_test(desc, flag)	((desc)->vm_flags & (flag))
#define vma_desc_clear_flags(desc, flag) ((desc)->vm_flags &= ~(flag))
#define vma_desc_set_flags(desc, flag)	((desc)->vm_flags |= (flag))

static inline unsigned long vma_desc_pages(const struct vm_area_desc *desc)
{
	return (desc->end - desc->start) >> PAGE_SHIFT;
}

static inline bool vma_desc_is_cow_mapping(const struct vm_area_desc *desc)
{
	return is_cow_mapping(desc->vm_flags);
}

int kubuf_mmap_prepare(struct vm_area_desc *desc);
int kubuf_vma_mapped(unsigned long start, unsigned long end, pgoff_t pgoff,
		     const struct file *file, void **vm_private_data);

static inline int kubuf_compat_mmap(struct file *file,
				    struct vm_area_struct *vma)
{
	struct vm_area_desc desc = {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.pgoff = vma->vm_pgoff,
		.file = file,
		.vm_flags = vma->vm_flags,
	};
	int err = kubuf_mmap_prepare(&desc);

	if (err)
		return err;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = desc.vm_flags;
#else
	vm_flags_mod(vma, desc.vm_flags, vma->vm_flags & ~desc.vm_flags);
#endif
	vma->vm_ops = desc.vm_ops;
	vma->vm_private_data = desc.private_data;
	return kubuf_vma_mapped(vma->vm_start, vma->vm_end, vma->vm_pgoff,
				file, &vma->vm_private_data);
}

#define COMPAT_MMAP	.mmap = kubuf_compat_mmap,
#define COMPAT_MAPPED
#else
#define COMPAT_MMAP	.mmap_prepare = kubuf_mmap_prepare,
#define COMPAT_MAPPED	.mapped = kubuf_vma_mapped,
#endif

#endif /* _KUBUF_COMPAT_H */
