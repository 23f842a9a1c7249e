// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/kubuf/ID: the pages of a buffer, for root: frame number,
 * references, how many entries of user page tables map it, and its state.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/rbtree.h>
#include <linux/seq_file.h>

#include "kubuf.h"

static struct dentry *root;

/*
 * A frame number that is mapped leaves no trace in the page: look into every
 * mapping. Its page tables stay as long as it is in the tree.
 */
static unsigned int count_pfn(struct address_space *mapping,
			      unsigned long index, unsigned long pfn)
{
	struct follow_pfnmap_args args = {};
	struct vm_area_struct *vma;
	struct rb_node *node;
	unsigned int nr = 0;

	i_mmap_lock_read(mapping);
	for (node = rb_first_cached(&mapping->i_mmap); node;
	     node = rb_next(node)) {
		vma = rb_entry(node, struct vm_area_struct, shared.rb);
		if (index < vma->vm_pgoff ||
		    index - vma->vm_pgoff >= vma_pages(vma))
			continue;
		args.vma = vma;
		args.address = vma->vm_start +
			       ((index - vma->vm_pgoff) << PAGE_SHIFT);
		if (follow_pfnmap_start(&args))
			continue;
		nr += args.pfn == pfn;
		follow_pfnmap_end(&args);
	}
	i_mmap_unlock_read(mapping);
	return nr;
}

static unsigned int count_mapped(struct kubuf *buf, unsigned long index)
{
	struct page *page = kubuf_page(buf, index);
	struct folio *folio = page_folio(page);
	unsigned int nr = 0;

	if (buf->pfn_path) {
		mutex_lock(&buf->file_lock);
		if (buf->inode)
			nr = count_pfn(buf->inode->i_mapping, index,
				       page_to_pfn(page));
		mutex_unlock(&buf->file_lock);
		return nr;
	}

	if (IS_ENABLED(CONFIG_NO_PAGE_MAPCOUNT))
		return folio_mapcount(folio);
	nr = atomic_read(&page->_mapcount) + 1;
	if (folio_test_large(folio))
		nr += folio_entire_mapcount(folio);
	return nr;
}

static void *seq_at(struct kubuf *buf, loff_t *pos)
{
	/* Position 0 is the heading. */
	return *pos <= buf->nr_pages ? pos : NULL;
}

static void *start(struct seq_file *seq, loff_t *pos)
{
	return seq_at(seq->private, pos);
}

static void *next(struct seq_file *seq, void *v, loff_t *pos)
{
	++*pos;
	return seq_at(seq->private, pos);
}

static void stop(struct seq_file *seq, void *v)
{
}

static int show(struct seq_file *seq, void *v)
{
	struct kubuf *buf = seq->private;
	loff_t pos = *(loff_t *)v;
	unsigned long index = pos - 1;
	unsigned int nr_mapped;
	bool pinned, reserved;
	struct page *page;

	if (!pos) {
		seq_printf(seq, "# kubuf %llu %s %s %lld mappings %d\n",
			   buf->id, buf->name[0] ? buf->name : "-",
			   kubuf_backing_name(buf->backing), kubuf_size(buf),
			   atomic_read(&buf->nr_mappings));
		seq_puts(seq, "# index pfn refs maps state\n");
		return 0;
	}

	page = kubuf_page(buf, index);
	nr_mapped = count_mapped(buf, index);
	/* Pins are counted in the references: there are none on this path. */
	pinned = !buf->pfn_path && folio_maybe_dma_pinned(page_folio(page));
	reserved = PageReserved(page);
	seq_printf(seq, "%lu %#lx %d %u %s%s%s%s\n", index, page_to_pfn(page),
		   page_count(page), nr_mapped, nr_mapped ? "m" : "",
		   pinned ? "p" : "", reserved ? "r" : "",
		   nr_mapped || pinned || reserved ? "" : "-");
	return 0;
}

static const struct seq_operations kubuf_debugfs_sops = {
	.start = start,
	.next = next,
	.stop = stop,
	.show = show,
};

DEFINE_SEQ_ATTRIBUTE(kubuf_debugfs);

/**
 * kubuf_debugfs_add() - make the debugfs file of a buffer
 * @buf: the buffer
 *
 * Context: process context; sleeps.
 */
void kubuf_debugfs_add(struct kubuf *buf)
{
	char name[24];

	snprintf(name, sizeof(name), "%llu", buf->id);
	buf->debugfs = debugfs_create_file(name, 0400, root, buf,
					   &kubuf_debugfs_fops);
}

/**
 * kubuf_debugfs_remove() - take the debugfs file of a buffer away
 * @buf: the buffer
 *
 * When this returns, nobody reads it any more.
 *
 * Context: process context; sleeps.
 */
void kubuf_debugfs_remove(struct kubuf *buf)
{
	debugfs_remove(buf->debugfs);
}

/**
 * kubuf_debugfs_init() - make the directory
 *
 * Context: process context; sleeps.
 */
void kubuf_debugfs_init(void)
{
	root = debugfs_create_dir("kubuf", NULL);
}

/**
 * kubuf_debugfs_exit() - remove the directory
 *
 * Context: process context; sleeps.
 */
void kubuf_debugfs_exit(void)
{
	debugfs_remove(root);
}
