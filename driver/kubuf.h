/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kubuf: kernel buffers that user space maps without a copy
 *
 * Ownership
 *
 *   VMA --> file --> struct kubuf --> pages
 *                |-> module, and that of the driver who made the buffer
 *   node (struct miscdevice) --> struct kubuf
 *   driver --> struct kubuf
 *
 * A file holds one reference to its buffer, and so does the node while it is
 * there. A buffer does not hold the module of its driver, or that could never
 * be unloaded: the driver puts its buffers before it goes, and the files, which
 * hold it, are all that could outlive that. A VMA holds its file, so nothing that
 * a fault reads can go away under it. A pin (GUP) holds a page and nothing else:
 * it can outlive all of these.
 *
 * Locking
 *
 *   All that a fault reads is written before the buffer can be reached and
 *   never after: size, backing and the table of pages. A fault takes no lock.
 *   What it writes, to the pages, is the same whoever writes it.
 *
 *   kubuf.map_lock	the steps of the mapping count from and to 0, and with
 *			them the clearing of PG_reserved. Taken under mmap_lock.
 *   kubuf.file_lock	the inode, the numbers of files and of writers, and the
 *			seals. Taken under misc_mtx, which misc_open() holds
 *			around ->open(), and by kubuf_mmap() under mmap_lock;
 *			the lock of a folio is taken under it.
 *   kubuf.notify_lock	the eventfds of the files. A spinlock, so that who
 *			notifies need not be able to sleep.
 *   names_lock		the list of named buffers and their state. Never held
 *			around misc_register() and misc_deregister().
 *
 *   None of them is held while user memory is accessed: a read() into the
 *   buffer's own mapping would wait for itself.
 */
#ifndef _KUBUF_H
#define _KUBUF_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <linux/kubuf.h>

#include "compat.h"

struct cred;
struct dentry;
struct eventfd_ctx;

/* A piece of a huge buffer has the size that one PMD entry maps. */
#define CHUNK_ORDER	min(PMD_SHIFT - PAGE_SHIFT, MAX_PAGE_ORDER)
#define CHUNK_PAGES	BIT(CHUNK_ORDER)

/**
 * struct kubuf_chunk - a piece of a huge buffer
 * @folio: all of it, if one folio could be had
 * @pages: else each page of it, out of smaller folios
 */
struct kubuf_chunk {
	struct folio *folio;
	struct page **pages;
};

enum kubuf_state {
	KUBUF_NEW,		/* the node is not there yet */
	KUBUF_PARAMETER,	/* nor is it, and the loading module makes it */
	KUBUF_LIVE,		/* the node is there */
	KUBUF_DYING,		/* the node goes, or is gone */
};

/**
 * struct kubuf - one buffer
 * @nr_pages: its size, in pages
 * @backing: how its pages were allocated
 * @of_driver: a driver made it, and takes its node away
 * @reserved: PG_reserved is set on its pages while they are mapped
 * @pfn_path: mapped by frame number; else as refcounted pages
 * @pages: its pages, if they are single ones; else %NULL
 * @chunks: its pieces, if it is huge; else %NULL
 * @head: its first page, if neither
 * @kaddr: the kernel's address of the whole buffer; %NULL for a huge one, and for
 *	wrapped pages, which are not neighbours
 * @id: number of the buffer, never given twice
 * @owner: module of the driver who made it, or %NULL
 * @release: what to call when the memory is no longer used, if it is a driver's
 * @release_data: for @release
 * @node: NUMA node of its memory, as far as there was room
 * @nr_charged: pages that it was charged with
 * @cred: of the user whose RLIMIT_MEMLOCK was charged, or %NULL
 * @debugfs: its debugfs file
 * @ref: references of files and of the node
 * @nr_mappings: VMAs that map it; from and to 0 under @map_lock
 * @was_mapped: since the inode is there; set under @map_lock, reset under
 *	@file_lock when there is no mapping
 * @map_lock: see above
 * @file_lock: see above
 * @inode: carries the size and the address_space of all files, exists as long
 *	as these do; protected by @file_lock
 * @nr_files: open files; protected by @file_lock
 * @seals: KUBUF_SEAL_*; only added to, under @file_lock
 * @nr_writers: dma-bufs that may be written to; protected by @file_lock
 * @sequence: how often there was something to notify of
 * @wait: who polls
 * @notify_lock: see above
 * @watchers: files with an eventfd; protected by @notify_lock
 * @names: link of the list of named buffers; protected by names_lock
 * @state: where the node is in its life; protected by names_lock
 * @misc: the node
 * @mode: permission bits of the node
 * @name: name of the node, or empty
 * @misc_name: name of the node as a misc device
 * @node_name: path of the node below /dev
 *
 * With locks that do not check themselves it is 512 bytes: one more, and twice as
 * much would be cleared for each buffer.
 */
struct kubuf {
	unsigned long nr_pages;
	enum kubuf_backing backing;
	bool of_driver;
	bool reserved;
	bool pfn_path;
	struct page **pages;
	struct kubuf_chunk *chunks;
	struct page *head;
	void *kaddr;

	u64 id;
	struct module *owner;
	void (*release)(void *data);
	void *release_data;
	int node;
	unsigned long nr_charged;
	const struct cred *cred;
	struct dentry *debugfs;

	/* Written in use: not in a cache line that faults read. */
	struct kref ref ____cacheline_aligned_in_smp;
	atomic_t nr_mappings;
	bool was_mapped;
	struct mutex map_lock;		/* nr_mappings from and to 0 */
	struct mutex file_lock;		/* inode, nr_files, seals, nr_writers */
	struct inode *inode;
	unsigned int nr_files;
	u32 seals;
	unsigned int nr_writers;
	atomic64_t sequence;
	wait_queue_head_t wait;
	spinlock_t notify_lock;		/* watchers, and their eventfds */
	struct list_head watchers;
	struct list_head names;
	enum kubuf_state state;
	struct miscdevice misc;
	umode_t mode;
	char name[KUBUF_NAME_SIZE];
	char misc_name[sizeof("kubuf-") + KUBUF_NAME_SIZE];
	char node_name[sizeof("kubuf/") + KUBUF_NAME_SIZE];
};

/**
 * struct kubuf_file - an open file of a buffer
 * @buf: the buffer, of which it has a reference
 * @seen: sequence of the buffer when this file was last asked for it
 * @eventfd: signalled when there is something to notify of, or %NULL; protected
 *	by notify_lock of the buffer
 * @watchers: link of the files with an eventfd
 */
struct kubuf_file {
	struct kubuf *buf;
	u64 seen;
	struct eventfd_ctx *eventfd;
	struct list_head watchers;
};

static inline struct kubuf *kubuf_of(const struct file *file)
{
	const struct kubuf_file *kfile = file->private_data;

	return kfile->buf;
}

static inline loff_t kubuf_size(const struct kubuf *buf)
{
	return (loff_t)buf->nr_pages << PAGE_SHIFT;
}

/**
 * kubuf_page() - the page at an index
 * @buf: the buffer
 * @index: below @buf->nr_pages
 *
 * Context: any; takes no lock, as the table of pages never changes.
 * Return: the page, whose reference is the buffer's.
 */
static inline struct page *kubuf_page(const struct kubuf *buf,
				      unsigned long index)
{
	const struct kubuf_chunk *chunk;

	if (buf->pages)
		return buf->pages[index];
	/* One block of the allocator: its pages are neighbours. */
	if (!buf->chunks)
		return buf->head + index;

	chunk = &buf->chunks[index / CHUNK_PAGES];
	index %= CHUNK_PAGES;
	return chunk->folio ? folio_page(chunk->folio, index) :
			      chunk->pages[index];
}

/* backing.c */
unsigned long kubuf_backing_max(enum kubuf_backing backing);
unsigned long kubuf_backing_cost(const struct kubuf *buf);
int kubuf_backing_alloc(struct kubuf *buf, gfp_t gfp);
void kubuf_backing_free(struct kubuf *buf);
bool kubuf_has_poison(struct page *page, unsigned long nr);
void kubuf_init_folio(struct folio *folio, unsigned long index);

/* wrap.c */
int kubuf_wrap_memory(struct kubuf *buf, const struct kubuf_memory *wrap);
void kubuf_unwrap_memory(struct kubuf *buf);

/* buffer.c */
extern unsigned long kubuf_limit_mb;
int kubuf_check_name(const char *name);
struct kubuf *kubuf_alloc(const struct kubuf_create *args, bool charge_user);
void kubuf_get(struct kubuf *buf);
void kubuf_fill_info(struct kubuf *buf, struct kubuf_info *info);
const char *kubuf_backing_name(enum kubuf_backing backing);
int kubuf_backing_parse(const char *name, u32 *backing);

/* main.c */
int kubuf_copy_args(void *args, size_t size, void __user *uarg);

/* file.c */
extern const struct file_operations kubuf_fops;
int kubuf_fs_get(void);
void kubuf_fs_put(void);
struct file *kubuf_file_create(struct kubuf *buf);

/* notify.c */
__poll_t kubuf_poll(struct file *file, poll_table *wait);
int kubuf_set_eventfd(struct kubuf_file *kfile, int fd);
void kubuf_clear_eventfd(struct kubuf_file *kfile);

/* dmabuf.c */
#ifdef CONFIG_DMA_SHARED_BUFFER
int kubuf_export(struct file *file, const struct kubuf_export *args);
#else
static inline int kubuf_export(struct file *file,
			       const struct kubuf_export *args)
{
	return -EOPNOTSUPP;
}
#endif

/* mmap.c */
extern unsigned int kubuf_window;
extern unsigned int kubuf_pfn_window;
int kubuf_mmap_prepare(struct vm_area_desc *desc);
int kubuf_vma_mapped(unsigned long start, unsigned long end, pgoff_t pgoff,
		     const struct file *file, void **vm_private_data);
void kubuf_disown(struct kubuf *buf);

/* debugfs.c */
void kubuf_debugfs_init(void);
void kubuf_debugfs_exit(void);
void kubuf_debugfs_add(struct kubuf *buf);
void kubuf_debugfs_remove(struct kubuf *buf);

#endif /* _KUBUF_H */
