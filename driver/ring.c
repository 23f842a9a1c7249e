// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring in a buffer, for one producer and one consumer: the kernel's side.
 *
 * The other side may be a program that writes what it likes to the memory that
 * is shared. So what this side knows it keeps for itself, and what the other side
 * says is read once, and checked before it is used. Positions only grow; the
 * difference of two of them is a number of bytes, whatever else they are.
 *
 * The data are mapped twice, one after the other, so that no record and no run of
 * bytes is cut in two by the end of the ring.
 */
#include <linux/align.h>
#include <linux/export.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "kubuf.h"

/* A consumer that moves its position again and again is not run after. */
#define MAX_TRIES	16

/**
 * struct kubuf_ring - the kernel's side of a ring
 * @header: what both sides share
 * @data: the data, twice
 * @size: bytes of data, a power of two
 * @flags: KUBUF_RING_*
 * @buf: the buffer
 * @head: as a producer: bytes produced
 * @seen_tail: the same: of the consumer, when last looked at
 * @reserved: the same: bytes of the record that is being made
 * @lost: the same: records or bytes that found no room, or were overwritten
 * @tail: as a consumer: bytes consumed
 * @peeked: the same: bytes of the record that is looked at
 * @broken: the same: the producer has written nonsense
 *
 * Who uses a ring sees to it that there is one producer and one consumer at a
 * time; the two need no lock between them.
 */
struct kubuf_ring {
	struct kubuf_ring_header *header;
	void *data;
	u64 size;
	u32 flags;
	struct kubuf *buf;

	u64 head ____cacheline_aligned_in_smp;
	u64 seen_tail;
	u64 reserved;
	u64 lost;

	u64 tail ____cacheline_aligned_in_smp;
	u64 peeked;
	bool broken;
};

static void *data_at(const struct kubuf_ring *ring, u64 pos)
{
	return ring->data + (pos & (ring->size - 1));
}

/* Never more than size_t can hold, as the payload is an u32. */
static u64 record_size(u32 length)
{
	return ALIGN(sizeof(struct kubuf_record) + (u64)length,
		     sizeof(struct kubuf_record));
}

/* The pages of the data, twice, as one piece of address space. */
static void *map_twice(const struct kubuf *buf, unsigned long nr)
{
	struct page **pages = kvmalloc_array(2 * nr, sizeof(*pages),
					     GFP_KERNEL | __GFP_NOWARN);
	unsigned long i;
	void *data;

	if (!pages)
		return NULL;
	for (i = 0; i < 2 * nr; i++)
		pages[i] = kubuf_page(buf, i % nr);
	data = vmap(pages, 2 * nr, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return data;
}

/* See kubuf_ring_create(). */
struct kubuf_ring *__kubuf_ring_create(size_t size, enum kubuf_backing backing,
				       unsigned int flags, int node,
				       struct module *owner)
{
	size_t len = sizeof(struct kubuf_ring_header);
	struct kubuf_ring *ring;
	struct kubuf *buf;

	if (!is_power_of_2(size) || size < PAGE_SIZE || size > SIZE_MAX / 4 ||
	    flags & ~(KUBUF_RING_BYTES | KUBUF_RING_OVERWRITE))
		return ERR_PTR(-EINVAL);
	ring = kzalloc_obj(*ring, GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	buf = __kubuf_create(size + PAGE_SIZE, backing, 0, node, owner);
	if (IS_ERR(buf)) {
		kfree(ring);
		return ERR_CAST(buf);
	}
	ring->data = map_twice(buf, size >> PAGE_SHIFT);
	if (!ring->data) {
		kubuf_put(buf);
		kfree(ring);
		return ERR_PTR(-ENOMEM);
	}

	ring->buf = buf;
	ring->size = size;
	ring->flags = flags;
	ring->header = kubuf_kaddr(buf, size, &len);
	ring->header->flags = flags;
	ring->header->size = size;
	ring->header->magic = KUBUF_RING_MAGIC;
	return ring;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_create);

/**
 * kubuf_ring_put() - let a ring go
 * @ring: the ring, which neither side in the kernel uses any more
 *
 * Who waits for data in user space is told that there will be none. The buffer
 * lives as long as its other users.
 *
 * Context: process context; sleeps.
 */
void kubuf_ring_put(struct kubuf_ring *ring)
{
	WRITE_ONCE(ring->header->closed, 1);
	kubuf_notify(ring->buf);
	vunmap(ring->data);
	kubuf_put(ring->buf);
	kfree(ring);
}
EXPORT_SYMBOL_GPL(kubuf_ring_put);

/**
 * kubuf_ring_buffer() - the buffer that a ring is in
 * @ring: the ring
 *
 * Context: any.
 * Return: the buffer, good as long as the ring.
 */
struct kubuf *kubuf_ring_buffer(const struct kubuf_ring *ring)
{
	return ring->buf;
}
EXPORT_SYMBOL_GPL(kubuf_ring_buffer);

/*
 * Make the oldest give way, so that there is room for @need bytes. What they are
 * is read where the consumer can write: at most as many steps as records could
 * have been where the new one comes to be.
 */
static bool overwrite(struct kubuf_ring *ring, u64 need)
{
	u64 tail = ring->seen_tail, next, lost, n;
	const struct kubuf_record *record;
	unsigned int tries;

	if (need > ring->size)
		return false;
	for (tries = 0; tries < MAX_TRIES; tries++) {
		if (ring->head + need - tail <= ring->size) {
			ring->seen_tail = tail;
			return true;
		}
		next = tail;
		lost = 0;
		if (ring->flags & KUBUF_RING_BYTES) {
			next = ring->head + need - ring->size;
			lost = next - tail;
		}
		while (ring->head + need - next > ring->size) {
			record = data_at(ring, next);
			n = record_size(READ_ONCE(record->length));
			if (n > ring->head - next)
				n = ring->head - next;
			next += n;
			lost++;
		}
		/* Ordered before the stores of what comes there. */
		if (try_cmpxchg(&ring->header->tail, &tail, next)) {
			ring->seen_tail = next;
			ring->lost += lost;
			WRITE_ONCE(ring->header->lost, ring->lost);
			return true;
		}
		if (ring->head - tail > ring->size)
			return false;
	}
	return false;
}

/* Whether there is room, as the consumer says now. */
static bool make_room(struct kubuf_ring *ring, u64 need)
{
	/* Its loads of the data are before the stores that come now. */
	u64 tail = smp_load_acquire(&ring->header->tail);

	/* Nonsense is as good as no room. */
	if (ring->head - tail > ring->size)
		return false;
	ring->seen_tail = tail;
	if (need <= ring->size - (ring->head - tail))
		return true;
	return ring->flags & KUBUF_RING_OVERWRITE && overwrite(ring, need);
}

static void lose(struct kubuf_ring *ring, u64 nr)
{
	ring->lost += nr;
	WRITE_ONCE(ring->header->lost, ring->lost);
}

/* Wake the other side, if it said that it is going to sleep. */
static void wake(struct kubuf_ring *ring, __u32 *sleeps)
{
	/*
	 * The position before the look at the word: pairs with the barrier of
	 * who sets the word and then looks at the position.
	 */
	smp_mb();
	if (likely(!READ_ONCE(*sleeps)))
		return;
	WRITE_ONCE(*sleeps, 0);
	kubuf_notify(ring->buf);
}

/**
 * kubuf_ring_space() - where the producer can put bytes
 * @ring: a ring with %KUBUF_RING_BYTES
 * @room: in: bytes wanted, for which a ring with %KUBUF_RING_OVERWRITE makes
 *	room; out: bytes that there is room for, without a break
 *
 * Context: any; one producer at a time.
 * Return: the address of the first of them.
 */
void *kubuf_ring_space(struct kubuf_ring *ring, size_t *room)
{
	make_room(ring, *room);
	*room = ring->size - (ring->head - ring->seen_tail);
	return data_at(ring, ring->head);
}
EXPORT_SYMBOL_GPL(kubuf_ring_space);

/**
 * kubuf_ring_produce() - give bytes to the consumer
 * @ring: the ring
 * @n: bytes that have been put where kubuf_ring_space() said
 *
 * Context: any that may take a spinlock; one producer at a time.
 */
void kubuf_ring_produce(struct kubuf_ring *ring, size_t n)
{
	ring->head += n;
	/* The data before the position: pairs with the consumer's acquire. */
	smp_store_release(&ring->header->head, ring->head);
	wake(ring, &ring->header->consumer_sleeps);
}
EXPORT_SYMBOL_GPL(kubuf_ring_produce);

/**
 * kubuf_ring_reserve() - begin a record
 * @ring: a ring without %KUBUF_RING_BYTES
 * @length: bytes of payload
 *
 * Nobody sees the record before kubuf_ring_commit(). What is reserved and not
 * committed is forgotten with the next kubuf_ring_reserve().
 *
 * Context: any; one producer at a time.
 * Return: the address of the payload, or %NULL if there is no room: the record
 * counts as lost.
 */
void *kubuf_ring_reserve(struct kubuf_ring *ring, u32 length)
{
	u64 need = record_size(length);
	struct kubuf_record *record;

	if (unlikely(need > ring->size - (ring->head - ring->seen_tail)) &&
	    !make_room(ring, need)) {
		lose(ring, 1);
		return NULL;
	}
	record = data_at(ring, ring->head);
	record->length = length;
	record->__reserved = 0;
	ring->reserved = need;
	return record + 1;
}
EXPORT_SYMBOL_GPL(kubuf_ring_reserve);

/**
 * kubuf_ring_commit() - give the record that was reserved to the consumer
 * @ring: the ring
 *
 * Context: any that may take a spinlock; one producer at a time.
 */
void kubuf_ring_commit(struct kubuf_ring *ring)
{
	kubuf_ring_produce(ring, ring->reserved);
}
EXPORT_SYMBOL_GPL(kubuf_ring_commit);

/**
 * kubuf_ring_data() - the bytes that there are for the consumer
 * @ring: the ring
 * @avail: out: bytes, without a break
 *
 * A producer in user space may still write to them: what must not change is
 * copied before it is looked at.
 *
 * Context: any; one consumer at a time.
 * Return: the address of the first of them.
 */
const void *kubuf_ring_data(struct kubuf_ring *ring, size_t *avail)
{
	u64 head, n;

	/* The producer may have overwritten. */
	if (ring->flags & KUBUF_RING_OVERWRITE)
		ring->tail = READ_ONCE(ring->header->tail);
	/* The position before the data: pairs with the producer's release. */
	head = smp_load_acquire(&ring->header->head);
	n = head - ring->tail;
	if (unlikely(n > ring->size)) {
		/* Nonsense: begin anew with what it says next. */
		ring->broken = true;
		ring->tail = head;
		WRITE_ONCE(ring->header->tail, head);
		n = 0;
	}
	*avail = n;
	return data_at(ring, ring->tail);
}
EXPORT_SYMBOL_GPL(kubuf_ring_data);

/**
 * kubuf_ring_consume() - give bytes back to the producer
 * @ring: the ring
 * @n: bytes, of those that kubuf_ring_data() told of
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: whether they were there all the time: always, but for a ring with
 * %KUBUF_RING_OVERWRITE.
 */
bool kubuf_ring_consume(struct kubuf_ring *ring, size_t n)
{
	u64 old = ring->tail;

	ring->tail += n;
	if (ring->flags & KUBUF_RING_OVERWRITE) {
		if (!try_cmpxchg(&ring->header->tail, &old, ring->tail))
			return false;
	} else {
		/* The loads of the data before: pairs with make_room(). */
		smp_store_release(&ring->header->tail, ring->tail);
	}
	wake(ring, &ring->header->producer_sleeps);
	return true;
}
EXPORT_SYMBOL_GPL(kubuf_ring_consume);

/**
 * kubuf_ring_peek() - look at the oldest record
 * @ring: a ring without %KUBUF_RING_BYTES
 * @length: out: bytes of payload
 *
 * See kubuf_ring_data().
 *
 * Context: any; one consumer at a time.
 * Return: the address of the payload, or %NULL if there is no record. It is also
 * %NULL if the producer has written nonsense, of which kubuf_ring_wait_data()
 * tells; what was in the ring is dropped then.
 */
const void *kubuf_ring_peek(struct kubuf_ring *ring, u32 *length)
{
	const struct kubuf_record *record;
	size_t avail;

	record = kubuf_ring_data(ring, &avail);
	if (!avail)
		return NULL;
	*length = READ_ONCE(record->length);
	ring->peeked = record_size(*length);
	if (likely(ring->peeked <= avail))
		return record + 1;
	/* Or it was overwritten just now, and is no longer the oldest. */
	if (kubuf_ring_consume(ring, avail))
		ring->broken = true;
	return NULL;
}
EXPORT_SYMBOL_GPL(kubuf_ring_peek);

/**
 * kubuf_ring_pop() - give the record that was looked at back to the producer
 * @ring: the ring
 *
 * Context: any that may take a spinlock; one consumer at a time.
 * Return: whether it was there all the time: always, but for a ring with
 * %KUBUF_RING_OVERWRITE.
 */
bool kubuf_ring_pop(struct kubuf_ring *ring)
{
	return kubuf_ring_consume(ring, ring->peeked);
}
EXPORT_SYMBOL_GPL(kubuf_ring_pop);

static bool must_stop(void)
{
	return current->flags & PF_KTHREAD && kthread_should_stop();
}

/* Say that this side sleeps, unless there is no need to. */
static bool has_data(struct kubuf_ring *ring)
{
	size_t avail;

	kubuf_ring_data(ring, &avail);
	if (avail || ring->broken || must_stop())
		return true;
	WRITE_ONCE(ring->header->consumer_sleeps, 1);
	/* The word before the look at the position: pairs with wake(). */
	smp_mb();
	kubuf_ring_data(ring, &avail);
	return avail || ring->broken;
}

static bool has_room(struct kubuf_ring *ring, u64 need)
{
	if (make_room(ring, need) || must_stop())
		return true;
	WRITE_ONCE(ring->header->producer_sleeps, 1);
	/* The word before the look at the position: pairs with wake(). */
	smp_mb();
	return make_room(ring, need);
}

/**
 * kubuf_ring_wait_data() - wait until there is something for the consumer
 * @ring: the ring
 *
 * A producer in user space wakes it by KUBUF_NOTIFY.
 *
 * Context: process context; sleeps. One consumer at a time.
 * Return: 0, or
 * * %-EINTR: a signal, or kthread_stop()
 * * %-EPROTO: the producer had written nonsense; the ring is empty now, and can be
 *   used on
 */
int kubuf_ring_wait_data(struct kubuf_ring *ring)
{
	int err = wait_event_interruptible(ring->buf->wait, has_data(ring));

	WRITE_ONCE(ring->header->consumer_sleeps, 0);
	if (err || must_stop())
		return -EINTR;
	if (!ring->broken)
		return 0;
	ring->broken = false;
	return -EPROTO;
}
EXPORT_SYMBOL_GPL(kubuf_ring_wait_data);

/**
 * kubuf_ring_wait_room() - wait until the producer has room
 * @ring: the ring
 * @length: bytes of payload of a record; bytes, with %KUBUF_RING_BYTES
 *
 * A consumer in user space wakes it by KUBUF_NOTIFY.
 *
 * Context: process context; sleeps. One producer at a time.
 * Return: 0, or
 * * %-EMSGSIZE: more than the ring can hold
 * * %-EINTR: a signal, or kthread_stop()
 */
int kubuf_ring_wait_room(struct kubuf_ring *ring, u32 length)
{
	u64 need = ring->flags & KUBUF_RING_BYTES ? length :
						    record_size(length);
	int err;

	if (need > ring->size)
		return -EMSGSIZE;
	err = wait_event_interruptible(ring->buf->wait, has_room(ring, need));
	WRITE_ONCE(ring->header->producer_sleeps, 0);
	return err || must_stop() ? -EINTR : 0;
}
EXPORT_SYMBOL_GPL(kubuf_ring_wait_room);
