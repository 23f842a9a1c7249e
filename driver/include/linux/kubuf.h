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

#include <linux/align.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/module.h>
#include <linux/types.h>

#include <asm/barrier.h>

#include <uapi/linux/kubuf.h>

struct kubuf;
struct page;
struct vm_area_struct;

/**
 * struct kubuf_memory - memory that a driver has, and gives to user space
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
struct kubuf_memory {
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
struct kubuf *__kubuf_wrap(const struct kubuf_memory *wrap,
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
 *
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
 * The dirty flag of the pages is used for as long as they are wrapped, and
 * without @pfn_path their index and mapping, too.
 *
 * Nothing but the pages says where memory comes from. Refused is what they show
 * to be unsafe; memory of another owner that looks the same can't be told apart.
 *
 * Context: process context; sleeps.
 * Return: the buffer, with a reference for kubuf_put(), or, and then @release is
 * not called,
 *
 * * %-EINVAL: not whole pages; slab memory (kmalloc() of up to
 *   KMALLOC_MAX_CACHE_SIZE); a stack; memory of the kernel image or of a module;
 *   memory that is free, reserved, in a page cache or mapped by a process, in
 *   another buffer, or in this one twice; a large kmalloc() or compound page
 *   without @pfn_path, or a part of one that is not its beginning
 * * %-ENOMEM: no memory
 */
#define kubuf_wrap(wrap) __kubuf_wrap(wrap, THIS_MODULE)

/**
 * struct kubuf_ring - the kernel's side of a ring
 * @header: what both sides share
 * @data: the data, twice
 * @mask: bytes of data, a power of two, less one
 * @flags: KUBUF_RING_*
 * @buf: the buffer
 * @reserved: as a producer: position after the last byte that was reserved
 * @limit: the same: how far there is room
 * @head: the same: position after the last byte that the consumer was given
 * @lost: the same: records or bytes that found no room, or were overwritten
 * @next: as a consumer: position after the last byte that was looked at
 * @seen_head: the same: of the producer, when last looked at
 * @tail: the same: position after the last byte that was given back
 * @broken: the same: the producer has written nonsense
 * @stale: the same: what was looked at and not given back was overwritten
 *
 * Who uses a ring sees to it that there is one producer and one consumer at a
 * time; the two need no lock between them. Not to be touched but by the functions
 * below.
 */
struct kubuf_ring {
	struct kubuf_ring_header *header;
	void *data;
	u64 mask;
	u32 flags;
	struct kubuf *buf;

	u64 reserved ____cacheline_aligned_in_smp;
	u64 limit;
	u64 head;
	u64 lost;

	u64 next ____cacheline_aligned_in_smp;
	u64 seen_head;
	u64 tail;
	bool broken;
	bool stale;
};

struct kubuf_ring *__kubuf_ring_create(size_t size, enum kubuf_backing backing,
				       unsigned int flags, int node,
				       struct module *owner);
void kubuf_ring_end(struct kubuf_ring *ring);
void kubuf_ring_put(struct kubuf_ring *ring);
void kubuf_ring_drop(struct kubuf_ring *ring, u64 nr);

bool __kubuf_ring_make_room(struct kubuf_ring *ring, u64 need);
bool __kubuf_ring_look(struct kubuf_ring *ring);
bool __kubuf_ring_exchange(struct kubuf_ring *ring);
const void *__kubuf_ring_nonsense(struct kubuf_ring *ring);
void __kubuf_ring_wake(struct kubuf_ring *ring, __u32 *sleeps);

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

/* Of a record, all told. Never too much for an u64, as the payload is an u32. */
static inline u64 __kubuf_ring_record_size(u32 length)
{
	return ALIGN(sizeof(struct kubuf_record) + (u64)length,
		     sizeof(struct kubuf_record));
}

/**
 * kubuf_ring_reserve() - begin a record
 * @ring: a ring without %KUBUF_RING_BYTES
 * @length: bytes of payload
 *
 * Several records can be reserved, one after the other. Nobody sees them before
 * kubuf_ring_commit().
 *
 * Context: any; one producer at a time.
 * Return: the address of the payload, or %NULL if there is no room: the record
 * counts as lost.
 */
static inline void *kubuf_ring_reserve(struct kubuf_ring *ring, u32 length)
{
	u64 need = __kubuf_ring_record_size(length);
	struct kubuf_record *record;

	if (unlikely(need > ring->limit - ring->reserved) &&
	    !__kubuf_ring_make_room(ring, need))
		return NULL;
	record = ring->data + (ring->reserved & ring->mask);
	*record = (struct kubuf_record){ .length = length };
	ring->reserved += need;
	return record + 1;
}

/**
 * kubuf_ring_commit() - give all that was reserved to the consumer
 * @ring: the ring
 *
 * Context: any that may take a spinlock; one producer at a time.
 */
static inline void kubuf_ring_commit(struct kubuf_ring *ring)
{
	u64 head = ring->reserved;

	ring->head = head;
	/* The data before the position: pairs with the consumer's acquire. */
	smp_store_release(&ring->header->head, head);
	/*
	 * The position before the look at the word: pairs with the barrier of
	 * who sets the word and then looks at the position.
	 */
	smp_mb();
	if (unlikely(READ_ONCE(ring->header->consumer_sleeps)))
		__kubuf_ring_wake(ring, &ring->header->consumer_sleeps);
}

/**
 * kubuf_ring_lost() - how much the consumer never got
 * @ring: a ring of which the kernel is the producer
 *
 * Context: any.
 * Return: records (bytes, with %KUBUF_RING_BYTES) that found no room, were dropped
 * (kubuf_ring_drop()) or overwritten.
 */
static inline u64 kubuf_ring_lost(const struct kubuf_ring *ring)
{
	return READ_ONCE(ring->lost);
}

/**
 * kubuf_ring_space() - where the producer can put bytes
 * @ring: a ring with %KUBUF_RING_BYTES
 * @room: in: bytes wanted; out: bytes that there is room for, without a break,
 *	perhaps more
 *
 * Without as much room as is wanted a ring with %KUBUF_RING_OVERWRITE makes it.
 * Who drops what there is no room for says so by kubuf_ring_drop().
 *
 * Context: any; one producer at a time.
 * Return: the address of the first of them.
 */
static inline void *kubuf_ring_space(struct kubuf_ring *ring, size_t *room)
{
	if (*room > ring->limit - ring->reserved)
		__kubuf_ring_make_room(ring, *room);
	*room = ring->limit - ring->reserved;
	return ring->data + (ring->reserved & ring->mask);
}

/**
 * kubuf_ring_produce() - give bytes to the consumer
 * @ring: a ring with %KUBUF_RING_BYTES
 * @n: bytes that have been put where kubuf_ring_space() said
 *
 * Context: any that may take a spinlock; one producer at a time.
 */
static inline void kubuf_ring_produce(struct kubuf_ring *ring, size_t n)
{
	ring->reserved += n;
	kubuf_ring_commit(ring);
}

/**
 * kubuf_ring_next() - look at the next record
 * @ring: a ring without %KUBUF_RING_BYTES
 * @length: out: bytes of payload
 *
 * Several records can be looked at, one after the other, before they are given
 * back by kubuf_ring_release(); in a ring with %KUBUF_RING_OVERWRITE each is
 * copied and given back before the next. A producer in user space may still
 * write to them: what must not change is copied before it is looked at.
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: the address of the payload, or %NULL if there is no record, or it was
 * overwritten just now. It is also %NULL if the producer has written nonsense, of
 * which kubuf_ring_wait_data() tells; what was in the ring is dropped then.
 */
static inline const void *kubuf_ring_next(struct kubuf_ring *ring, u32 *length)
{
	const struct kubuf_record *record;
	u64 size;

	if (ring->next == ring->seen_head && !__kubuf_ring_look(ring))
		return NULL;
	record = ring->data + (ring->next & ring->mask);
	*length = READ_ONCE(record->length);
	size = __kubuf_ring_record_size(*length);
	if (unlikely(size > ring->seen_head - ring->next))
		return __kubuf_ring_nonsense(ring);
	ring->next += size;
	return record + 1;
}

/**
 * kubuf_ring_release() - give all that was looked at back to the producer
 * @ring: the ring
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: whether it was there all the time: always, but for a ring with
 * %KUBUF_RING_OVERWRITE.
 */
static inline bool kubuf_ring_release(struct kubuf_ring *ring)
{
	u64 tail = ring->next;

	if (ring->flags & KUBUF_RING_OVERWRITE) {
		if (!__kubuf_ring_exchange(ring))
			return false;
	} else {
		ring->tail = tail;
		/* After the loads of the data: pairs with make_room(). */
		smp_store_release(&ring->header->tail, tail);
	}
	/* As in kubuf_ring_commit(). */
	smp_mb();
	if (unlikely(READ_ONCE(ring->header->producer_sleeps)))
		__kubuf_ring_wake(ring, &ring->header->producer_sleeps);
	return true;
}

/**
 * kubuf_ring_data() - the bytes that there are for the consumer
 * @ring: the ring
 * @avail: out: bytes, without a break
 *
 * See kubuf_ring_next(), to which this is what bytes are to records.
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: the address of the first of them.
 */
static inline const void *kubuf_ring_data(struct kubuf_ring *ring,
					  size_t *avail)
{
	*avail = __kubuf_ring_look(ring) ? ring->seen_head - ring->next : 0;
	return ring->data + (ring->next & ring->mask);
}

/**
 * kubuf_ring_consume() - give bytes back to the producer
 * @ring: the ring
 * @n: bytes, of those that kubuf_ring_data() told of
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: as kubuf_ring_release().
 */
static inline bool kubuf_ring_consume(struct kubuf_ring *ring, size_t n)
{
	ring->next += n;
	return kubuf_ring_release(ring);
}

#endif /* _LINUX_KUBUF_H */
