/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kubuf: for drivers that give kernel memory to user space without a copy
 *
 * See Documentation/driver-api/kubuf.rst.
 *
 * A driver makes a buffer, or wraps memory that it has, and gives it to user
 * space under a name (kubuf_register()), by its own node (kubuf_mmap()), or
 * both. It holds a reference until kubuf_put(). Files, mappings and dma-bufs
 * hold the buffer and the driver's module; so a module may unregister its
 * buffers and put them when it is unloaded, and nobody uses them any more.
 */
#ifndef _LINUX_KUBUF_H
#define _LINUX_KUBUF_H

#include <linux/module.h>
#include <linux/types.h>

#include <uapi/linux/kubuf.h>

struct kubuf;
struct kubuf_ring;
struct page;
struct vm_area_struct;

/**
 * struct kubuf_wrap - memory that a driver has, and gives to user space
 * @addr: address of the memory, a multiple of the page size: of kmalloc(),
 *	vmalloc_user() or alloc_pages_exact(); or %NULL
 * @pages: if there is no @addr: the pages
 * @length: bytes, a multiple of the page size
 * @pfn_path: map by frame number, so that nobody can pin a page: for memory
 *	that is used again after @release
 * @release: called once, with @data, when the last file, mapping and dma-buf is
 *	gone and the driver has put the buffer; may sleep. Without @pfn_path
 *	someone may have pinned pages, and it must free the memory: a pinned page
 *	then stays until it is unpinned. May be %NULL if the memory is never freed
 * @data: for @release
 */
struct kubuf_wrap {
	void *addr;
	struct page **pages;
	size_t length;
	bool pfn_path;
	void (*release)(void *data);
	void *data;
};

struct kubuf *__kubuf_create(size_t length, enum kubuf_backing backing,
			     unsigned int flags, int node,
			     struct module *owner);
struct kubuf *__kubuf_wrap(const struct kubuf_wrap *wrap,
			   struct module *owner);
void kubuf_put(struct kubuf *buf);

size_t kubuf_length(const struct kubuf *buf);
void *kubuf_kaddr(const struct kubuf *buf, loff_t pos, size_t *len);

int kubuf_register(struct kubuf *buf, const char *name, umode_t mode);
void kubuf_unregister(struct kubuf *buf);
int kubuf_mmap(struct kubuf *buf, struct vm_area_struct *vma);
void kubuf_notify(struct kubuf *buf);

/**
 * kubuf_create() - make a buffer
 * @length: bytes; the buffer has the next multiple of the page size
 * @backing: how to allocate it
 * @flags: 0 or %KUBUF_CREATE_RESERVED
 * @node: NUMA node, or %NUMA_NO_NODE for the nearest
 *
 * The buffer is zeroed. Its memory is charged to the memory cgroup of the
 * caller and counts for the limit of all buffers.
 *
 * Context: process context; sleeps.
 * Return: the buffer, with a reference for kubuf_put(), or
 * * %-EINVAL: an argument is wrong
 * * %-EFBIG: more than the backing can ever give
 * * %-ENOSPC: above the limit of all buffers
 * * %-ENOMEM: no memory, or above the memory cgroup's limit
 * * %-EINTR: killed meanwhile
 */
#define kubuf_create(length, backing, flags, node) \
	__kubuf_create(length, backing, flags, node, THIS_MODULE)

/**
 * kubuf_wrap() - make a buffer of memory that there is
 * @wrap: the memory, and what to call when it is no longer used
 *
 * The memory must be the caller's, must not be given to user space in another
 * way, and is not zeroed: whoever opens the buffer sees what is in it. It counts
 * for no limit.
 *
 * Nothing but the pages says where memory comes from. Refused is what they show
 * to be unsafe; memory of another owner that looks the same can't be told apart.
 *
 * Context: process context; sleeps.
 * Return: the buffer, with a reference for kubuf_put(), or, and then @release is
 * not called,
 * * %-EINVAL: not whole pages; slab memory (kmalloc() of up to
 *   KMALLOC_MAX_CACHE_SIZE); a stack; memory of the kernel image or of a module;
 *   memory that is free, reserved, in a page cache or mapped by a process; a
 *   large kmalloc() or compound page, or a part of one, without @pfn_path
 * * %-ENOMEM: no memory
 */
#define kubuf_wrap(wrap) __kubuf_wrap(wrap, THIS_MODULE)

/* ring.c */
struct kubuf_ring *__kubuf_ring_create(size_t size, enum kubuf_backing backing,
				       unsigned int flags, int node,
				       struct module *owner);
void kubuf_ring_put(struct kubuf_ring *ring);
struct kubuf *kubuf_ring_buffer(const struct kubuf_ring *ring);

void *kubuf_ring_space(struct kubuf_ring *ring, size_t *room);
void kubuf_ring_produce(struct kubuf_ring *ring, size_t n);
void *kubuf_ring_reserve(struct kubuf_ring *ring, u32 length);
void kubuf_ring_commit(struct kubuf_ring *ring);

const void *kubuf_ring_data(struct kubuf_ring *ring, size_t *avail);
bool kubuf_ring_consume(struct kubuf_ring *ring, size_t n);
const void *kubuf_ring_peek(struct kubuf_ring *ring, u32 *length);
bool kubuf_ring_pop(struct kubuf_ring *ring);

int kubuf_ring_wait_data(struct kubuf_ring *ring);
int kubuf_ring_wait_room(struct kubuf_ring *ring, u32 length);

/**
 * kubuf_ring_create() - make a buffer with a ring in it
 * @size: bytes of data, a power of two, at least a page
 * @backing: how to allocate it
 * @flags: KUBUF_RING_*
 * @node: NUMA node, or %NUMA_NO_NODE for the nearest
 *
 * Context: process context; sleeps.
 * Return: the ring, for kubuf_ring_put(), or an error of kubuf_create().
 */
#define kubuf_ring_create(size, backing, flags, node) \
	__kubuf_ring_create(size, backing, flags, node, THIS_MODULE)

#endif /* _LINUX_KUBUF_H */
