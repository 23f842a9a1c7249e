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
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "kubuf.h"

/* Who moves a position again and again is not run after. */
#define MAX_TRIES	16

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
	ring->mask = size - 1;
	ring->limit = size;
	ring->flags = flags;
	ring->header = kubuf_kaddr(buf, size, &len);
	ring->header->flags = flags;
	ring->header->size = size;
	ring->header->magic = KUBUF_RING_MAGIC;
	return ring;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_create);

/**
 * kubuf_ring_end() - say that nothing will be produced any more
 * @ring: the ring
 *
 * Who waits for data gets what there is, and is then told; a program that waits for
 * room is told at once.
 *
 * Context: any that may take a spinlock; as the producer, or when there is none.
 */
void kubuf_ring_end(struct kubuf_ring *ring)
{
	/* After the last position: pairs with the acquire of who looks. */
	smp_store_release(&ring->header->closed, 1);
	kubuf_notify(ring->buf);
}
EXPORT_SYMBOL_GPL(kubuf_ring_end);

/**
 * kubuf_ring_put() - let a ring go
 * @ring: the ring, which neither side in the kernel uses any more
 *
 * Who waits in user space is told that there will be no data and no room any
 * more. The buffer lives as long as its other users.
 *
 * Context: process context; sleeps.
 */
void kubuf_ring_put(struct kubuf_ring *ring)
{
	kubuf_ring_end(ring);
	vunmap(ring->data);
	kubuf_put(ring->buf);
	kfree(ring);
}
EXPORT_SYMBOL_GPL(kubuf_ring_put);

static u64 size_of(const struct kubuf_ring *ring)
{
	return ring->mask + 1;
}

/**
 * kubuf_ring_drop() - count what the producer does not put into the ring
 * @ring: the ring
 * @nr: records; bytes, with %KUBUF_RING_BYTES
 *
 * What kubuf_ring_reserve() finds no room for is counted there.
 *
 * Context: any; one producer at a time.
 */
void kubuf_ring_drop(struct kubuf_ring *ring, u64 nr)
{
	/* Who asks for it need not be the producer. */
	WRITE_ONCE(ring->lost, ring->lost + nr);
	WRITE_ONCE(ring->header->lost, ring->lost);
}
EXPORT_SYMBOL_GPL(kubuf_ring_drop);

/*
 * Whether a position can be the consumer's: not before what the ring holds, and
 * not after what the consumer was given.
 */
static bool is_sane(const struct kubuf_ring *ring, u64 tail)
{
	return ring->head - tail <= size_of(ring) &&
	       ring->reserved - tail <= size_of(ring);
}

/*
 * The position after the oldest records that have to give way for @need bytes,
 * and in @lost how many they are. Their lengths are read where the consumer can
 * write: whatever they are, there are no more steps than there could be records
 * in the place of the new one.
 */
static u64 after_oldest(const struct kubuf_ring *ring, u64 tail, u64 need,
			u64 *lost)
{
	u64 last = ring->reserved + need - size_of(ring), size;
	const struct kubuf_record *record;

	*lost = 0;
	if (ring->flags & KUBUF_RING_BYTES) {
		*lost = last - tail;
		return last;
	}
	/* Positions are compared by their difference from where this began. */
	for (last -= tail, size = 0; size < last; ++*lost) {
		record = ring->data + ((tail + size) & ring->mask);
		size += min(__kubuf_ring_record_size(READ_ONCE(record->length)),
			    ring->head - tail - size);
	}
	return tail + size;
}

/* Make the oldest give way, so that there is room for @need bytes. */
static bool overwrite(struct kubuf_ring *ring, u64 tail, u64 need)
{
	unsigned int tries;
	u64 next, lost;

	/* What the consumer was not given can't give way. */
	if (need > size_of(ring) - (ring->reserved - ring->head))
		return false;
	for (tries = 0; tries < MAX_TRIES && is_sane(ring, tail); tries++) {
		if (need <= size_of(ring) - (ring->reserved - tail)) {
			ring->limit = tail + size_of(ring);
			return true;
		}
		next = after_oldest(ring, tail, need, &lost);
		/* Ordered before the stores of what comes there. */
		if (try_cmpxchg(&ring->header->tail, &tail, next)) {
			ring->limit = next + size_of(ring);
			kubuf_ring_drop(ring, lost);
			return true;
		}
	}
	return false;
}

static bool make_room(struct kubuf_ring *ring, u64 need)
{
	/* Its loads of the data are before the stores that come now. */
	u64 tail = smp_load_acquire(&ring->header->tail);

	/* Nonsense is as good as no room. */
	if (!is_sane(ring, tail))
		return false;
	ring->limit = tail + size_of(ring);
	if (need <= ring->limit - ring->reserved)
		return true;
	return ring->flags & KUBUF_RING_OVERWRITE &&
	       overwrite(ring, tail, need);
}

/* The slow part of kubuf_ring_reserve() and kubuf_ring_space(). */
bool __kubuf_ring_make_room(struct kubuf_ring *ring, u64 need)
{
	if (likely(make_room(ring, need)))
		return true;
	if (!(ring->flags & KUBUF_RING_BYTES))
		kubuf_ring_drop(ring, 1);
	return false;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_make_room);

/* Of kubuf_ring_commit() and kubuf_ring_release(): the other side sleeps. */
void __kubuf_ring_wake(struct kubuf_ring *ring, __u32 *sleeps)
{
	WRITE_ONCE(*sleeps, 0);
	kubuf_notify(ring->buf);
}
EXPORT_SYMBOL_GPL(__kubuf_ring_wake);

static void begin_at(struct kubuf_ring *ring, u64 pos)
{
	ring->tail = pos;
	ring->next = pos;
	ring->seen_head = pos;
}

/* See what has become of what was looked at, if the producer may overwrite. */
static void follow_tail(struct kubuf_ring *ring)
{
	/* Before the other one, which is loaded next. */
	u64 tail = smp_load_acquire(&ring->header->tail);

	if (tail == ring->tail)
		return;
	if (ring->next != ring->tail)
		ring->stale = true;
	begin_at(ring, tail);
}

/* Of kubuf_ring_next(): whether there is more than was looked at. */
bool __kubuf_ring_look(struct kubuf_ring *ring)
{
	bool may_move = ring->flags & KUBUF_RING_OVERWRITE;
	unsigned int tries;
	u64 head;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		if (may_move)
			follow_tail(ring);
		/* Before the data: pairs with kubuf_ring_commit(). */
		head = smp_load_acquire(&ring->header->head);
		if (likely(head - ring->next <= size_of(ring))) {
			ring->seen_head = head;
			return head != ring->next;
		}
		/* Or it has come around meanwhile. */
		if (!may_move || READ_ONCE(ring->header->tail) == ring->tail)
			break;
	}
	/* Nonsense: begin anew with what it says next. */
	ring->broken = true;
	begin_at(ring, head);
	WRITE_ONCE(ring->header->tail, head);
	/* There is room now; pairs with has_room(). */
	smp_mb();
	if (READ_ONCE(ring->header->producer_sleeps))
		__kubuf_ring_wake(ring, &ring->header->producer_sleeps);
	return false;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_look);

/* Of kubuf_ring_release(), if the producer may overwrite. */
bool __kubuf_ring_exchange(struct kubuf_ring *ring)
{
	bool stale = ring->stale;
	u64 tail = ring->tail;

	ring->stale = false;
	if (!try_cmpxchg(&ring->header->tail, &tail, ring->next)) {
		begin_at(ring, tail);
		return false;
	}
	ring->tail = ring->next;
	return !stale;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_exchange);

/* Of kubuf_ring_next(): a record that is larger than all that there is. */
const void *__kubuf_ring_nonsense(struct kubuf_ring *ring)
{
	ring->next = ring->seen_head;
	/* Or it was overwritten just now, and is no longer the oldest. */
	if (kubuf_ring_release(ring))
		ring->broken = true;
	return NULL;
}
EXPORT_SYMBOL_GPL(__kubuf_ring_nonsense);

static bool must_stop(void)
{
	return current->flags & PF_KTHREAD && kthread_should_stop();
}

static bool is_closed(const struct kubuf_ring *ring)
{
	/* Before the look at the last position: pairs with kubuf_ring_end(). */
	return smp_load_acquire(&ring->header->closed);
}

/* Whether there is something to tell the consumer of. */
static bool has_news(struct kubuf_ring *ring)
{
	bool closed = is_closed(ring);

	return __kubuf_ring_look(ring) || ring->broken || closed;
}

/* Say that this side sleeps, unless there is no need to. */
static bool has_data(struct kubuf_ring *ring)
{
	if (has_news(ring) || must_stop())
		return true;
	WRITE_ONCE(ring->header->consumer_sleeps, 1);
	/* Before the look at the position: pairs with kubuf_ring_commit(). */
	smp_mb();
	return has_news(ring);
}

static bool has_room(struct kubuf_ring *ring, u64 need)
{
	if (make_room(ring, need) || must_stop())
		return true;
	WRITE_ONCE(ring->header->producer_sleeps, 1);
	/* Before the look at the position: pairs with kubuf_ring_release(). */
	smp_mb();
	return make_room(ring, need);
}

/**
 * kubuf_ring_wait_data() - wait until there is something for the consumer
 * @ring: the ring
 *
 * A producer in user space wakes it by KUBUF_NOTIFY. It may say by mistake, or
 * again and again, that it has ended, or write nonsense: who goes on in spite of
 * it must not do so without a pause.
 *
 * Context: process context; sleeps. One consumer at a time.
 * Return: 0, or
 *
 * * %-EINTR: a signal, or kthread_stop()
 * * %-ENODATA: there are none, and the producer has said that there will be none
 * * %-EPROTO: the producer had written nonsense; the ring is empty now, and can be
 *   used on
 */
int kubuf_ring_wait_data(struct kubuf_ring *ring)
{
	int err = wait_event_interruptible(ring->buf->wait, has_data(ring));

	WRITE_ONCE(ring->header->consumer_sleeps, 0);
	if (err || must_stop())
		return -EINTR;
	if (ring->broken) {
		ring->broken = false;
		return -EPROTO;
	}
	/* What was there may have been overwritten: that is not the end. */
	if (ring->next != ring->seen_head || !is_closed(ring) ||
	    __kubuf_ring_look(ring))
		return 0;
	return -ENODATA;
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
 *
 * * %-EMSGSIZE: more than the ring can hold
 * * %-EINTR: a signal, or kthread_stop()
 */
int kubuf_ring_wait_room(struct kubuf_ring *ring, u32 length)
{
	u64 need = length;
	int err;

	if (!(ring->flags & KUBUF_RING_BYTES))
		need = __kubuf_ring_record_size(length);
	if (need > size_of(ring))
		return -EMSGSIZE;
	err = wait_event_interruptible(ring->buf->wait, has_room(ring, need));
	WRITE_ONCE(ring->header->producer_sleeps, 0);
	return err || must_stop() ? -EINTR : 0;
}
EXPORT_SYMBOL_GPL(kubuf_ring_wait_room);

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "ring_kunit.c"
#endif
