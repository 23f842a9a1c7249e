/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A ring in a kubuf buffer, for one producer and one consumer: the side of a
 * program. C and C++, without a library; needs <linux/kubuf.h>.
 *
 * Each side opens the buffer for itself: whether there was a KUBUF_NOTIFY is told
 * to each open file once, so that of two sides with one file one would sleep on.
 *
 * The other side is not trusted: what it says is read once, and checked before
 * it is used. No function writes outside of the ring or reads outside of it,
 * whatever the other side stores.
 *
 * A consumer:
 *
 *	struct kubuf_ring ring;
 *	uint32_t length;
 *	const void *record;
 *
 *	kubuf_ring_open(&ring, open("/dev/kubuf/NAME", O_RDWR));
 *	while (!kubuf_ring_wait_data(&ring, -1))
 *		while ((record = kubuf_ring_next(&ring, &length))) {
 *			use(record, length);
 *			kubuf_ring_release(&ring);
 *		}
 *
 * In a ring with KUBUF_RING_OVERWRITE a record may be overwritten while it is
 * looked at: what was copied of it is good if kubuf_ring_release() says so.
 *
 * A producer:
 *
 *	void *record = kubuf_ring_reserve(&ring, length);
 *
 *	if (record) {
 *		fill(record);
 *		kubuf_ring_commit(&ring);
 *	}
 */
#ifndef KUBUF_RING_H
#define KUBUF_RING_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library has it for more than the language's standard alone. */
#ifndef MAP_ANONYMOUS
#include <asm/mman.h>
#endif

#include <linux/kubuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who moves a position again and again is not run after. */
#define KUBUF_RING_TRIES	16

/**
 * struct kubuf_ring - one side of a ring
 * @header: what both sides share
 * @data: the data, mapped twice, one after the other
 * @mask: bytes of data, a power of two, less one
 * @fd: the buffer
 * @flags: KUBUF_RING_*
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
 * Not to be touched but by the functions below.
 */
struct kubuf_ring {
	struct kubuf_ring_header *header;
	unsigned char *data;
	uint64_t mask;
	int fd;
	uint32_t flags;
	uint64_t reserved;
	uint64_t limit;
	uint64_t head;
	uint64_t lost;
	uint64_t next;
	uint64_t seen_head;
	uint64_t tail;
	int broken;
	int stale;
};

static inline uint64_t kubuf_ring_record_size(uint32_t length)
{
	return (sizeof(struct kubuf_record) + (uint64_t)length + 7) &
	       ~(uint64_t)7;
}

static inline uint64_t kubuf_ring_size(const struct kubuf_ring *ring)
{
	return ring->mask + 1;
}

static inline unsigned char *kubuf_ring_at(const struct kubuf_ring *ring,
					   uint64_t pos)
{
	return ring->data + (pos & ring->mask);
}

static inline void kubuf_ring_begin_at(struct kubuf_ring *ring, uint64_t pos)
{
	ring->tail = pos;
	ring->next = pos;
	ring->seen_head = pos;
}

/* Bytes of the data, by the length of the buffer; 0 if no ring fits it. */
static inline uint64_t kubuf_ring_bytes(int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size;
	struct kubuf_info info;

	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	if (ioctl(fd, KUBUF_INFO, &info))
		return 0;
	size = info.length - page;
	if (info.length <= page || size & (size - 1) || size > SIZE_MAX / 2)
		return 0;
	return size;
}

static inline void *kubuf_ring_map_header(int fd, uint64_t size)
{
	return mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, (off_t)size);
}

/* The data twice. What is mapped by halves, the kernel takes down as a whole. */
static inline unsigned char *kubuf_ring_map_data(int fd, uint64_t size)
{
	const int prot = PROT_READ | PROT_WRITE;
	const size_t huge = (size_t)2 << 20;
	size_t all = 2 * (size_t)size, spare = size >= huge ? huge : 0;
	unsigned char *room, *data;

	/* Where an entry of the page table for large pages can map it. */
	room = (unsigned char *)mmap(NULL, all + spare, PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	data = room + (spare ? (huge - (uintptr_t)room % huge) % huge : 0);
	if (mmap(data, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED ||
	    mmap(data + size, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED) {
		int err = errno;

		munmap(room, all + spare);
		errno = err;
		return NULL;
	}
	if (data != room)
		munmap(room, (size_t)(data - room));
	if (data + all != room + all + spare)
		munmap(data + all, spare - (size_t)(data - room));
	return data;
}

/**
 * kubuf_ring_open() - map the ring of a buffer
 * @ring: what to fill
 * @fd: the buffer, open for reading and writing; stays the caller's
 *
 * Return: 0, or -1 with errno set: EINVAL if there is no ring in the buffer, else
 * that of mmap().
 */
static inline int kubuf_ring_open(struct kubuf_ring *ring, int fd)
{
	struct kubuf_ring_header *header;
	uint64_t size = kubuf_ring_bytes(fd);
	void *page;

	if (!size) {
		errno = EINVAL;
		return -1;
	}
	page = kubuf_ring_map_header(fd, size);
	if (page == MAP_FAILED)
		return -1;
	header = (struct kubuf_ring_header *)page;
	memset(ring, 0, sizeof(*ring));
	ring->header = header;
	ring->mask = size - 1;
	ring->fd = fd;
	errno = EINVAL;
	/* The last that is stored, and so the first that is loaded. */
	if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) ==
	    KUBUF_RING_MAGIC &&
	    __atomic_load_n(&header->size, __ATOMIC_RELAXED) == size)
		ring->data = kubuf_ring_map_data(fd, size);
	ring->flags = __atomic_load_n(&header->flags, __ATOMIC_RELAXED);
	ring->lost = __atomic_load_n(&header->lost, __ATOMIC_RELAXED);
	/* The other side may move its own meanwhile: who needs it looks again. */
	ring->head = __atomic_load_n(&header->head, __ATOMIC_RELAXED);
	ring->reserved = ring->head;
	ring->limit = ring->head;
	kubuf_ring_begin_at(ring, __atomic_load_n(&header->tail,
						  __ATOMIC_RELAXED));
	if (!ring->data) {
		int err = errno;

		munmap(page, (size_t)sysconf(_SC_PAGESIZE));
		errno = err;
		return -1;
	}
	return 0;
}

/**
 * kubuf_ring_close() - unmap a ring
 * @ring: the ring
 */
static inline void kubuf_ring_close(struct kubuf_ring *ring)
{
	munmap(ring->data, 2 * (size_t)kubuf_ring_size(ring));
	munmap(ring->header, (size_t)sysconf(_SC_PAGESIZE));
}

/**
 * kubuf_ring_init() - put a ring into a buffer that has none
 * @fd: the buffer: a page more than a power of two
 * @flags: KUBUF_RING_*
 *
 * For a ring between programs; a driver's is there.
 *
 * Return: 0, or -1 with errno set: EINVAL for another size, or that of mmap().
 */
static inline int kubuf_ring_init(int fd, uint32_t flags)
{
	uint64_t size = kubuf_ring_bytes(fd);
	struct kubuf_ring_header *header;
	void *page;

	if (!size) {
		errno = EINVAL;
		return -1;
	}
	page = kubuf_ring_map_header(fd, size);
	if (page == MAP_FAILED)
		return -1;
	header = (struct kubuf_ring_header *)page;
	header->flags = flags;
	header->size = size;
	__atomic_store_n(&header->magic, KUBUF_RING_MAGIC, __ATOMIC_RELEASE);
	munmap(page, (size_t)sysconf(_SC_PAGESIZE));
	return 0;
}

static inline void kubuf_ring_notify(const struct kubuf_ring *ring)
{
	struct kubuf_notify args;

	memset(&args, 0, sizeof(args));
	args.size = sizeof(args);
	ioctl(ring->fd, KUBUF_NOTIFY, &args);
}

/* Wake the other side, if it said that it is going to sleep. */
static inline void kubuf_ring_wake(struct kubuf_ring *ring, uint32_t *sleeps)
{
	/*
	 * The position before the look at the word: pairs with the fence of who
	 * sets the word and then looks at the position.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(!__atomic_load_n(sleeps, __ATOMIC_RELAXED), 1))
		return;
	__atomic_store_n(sleeps, 0, __ATOMIC_RELAXED);
	kubuf_ring_notify(ring);
}

/**
 * kubuf_ring_drop() - count what the producer does not put into the ring
 * @ring: the ring
 * @nr: records; bytes, with KUBUF_RING_BYTES
 *
 * What kubuf_ring_reserve() finds no room for is counted there.
 */
static inline void kubuf_ring_drop(struct kubuf_ring *ring, uint64_t nr)
{
	ring->lost += nr;
	__atomic_store_n(&ring->header->lost, ring->lost, __ATOMIC_RELAXED);
}

/*
 * Whether a position can be the consumer's: not before what the ring holds, and
 * not after what the consumer was given.
 */
static inline int kubuf_ring_is_sane(const struct kubuf_ring *ring,
				     uint64_t tail)
{
	return ring->head - tail <= kubuf_ring_size(ring) &&
	       ring->reserved - tail <= kubuf_ring_size(ring);
}

/* The position after those that have to give way for @need bytes. */
static inline uint64_t kubuf_ring_after_oldest(const struct kubuf_ring *ring,
					       uint64_t tail, uint64_t need,
					       uint64_t *lost)
{
	uint64_t last = ring->reserved + need - kubuf_ring_size(ring) - tail;
	uint64_t size = 0, n;
	const struct kubuf_record *record;

	*lost = last;
	if (ring->flags & KUBUF_RING_BYTES)
		return tail + last;
	for (*lost = 0; size < last; ++*lost) {
		record = (const struct kubuf_record *)
			kubuf_ring_at(ring, tail + size);
		n = kubuf_ring_record_size(__atomic_load_n(&record->length,
							   __ATOMIC_RELAXED));
		if (n > ring->head - tail - size)
			n = ring->head - tail - size;
		size += n;
	}
	return tail + size;
}

/* Make the oldest give way, so that there is room for @need bytes. */
static inline int kubuf_ring_overwrite(struct kubuf_ring *ring, __u64 tail,
				       uint64_t need)
{
	uint64_t next, lost;
	int tries;

	/* What the consumer was not given can't give way. */
	if (need > kubuf_ring_size(ring) - (ring->reserved - ring->head))
		return 0;
	for (tries = 0; tries < KUBUF_RING_TRIES &&
	     kubuf_ring_is_sane(ring, tail); tries++) {
		if (need <= kubuf_ring_size(ring) - (ring->reserved - tail)) {
			ring->limit = tail + kubuf_ring_size(ring);
			return 1;
		}
		next = kubuf_ring_after_oldest(ring, tail, need, &lost);
		/* Ordered before the stores of what comes there. */
		if (__atomic_compare_exchange_n(&ring->header->tail, &tail,
						next, 0, __ATOMIC_SEQ_CST,
						__ATOMIC_ACQUIRE)) {
			ring->limit = next + kubuf_ring_size(ring);
			kubuf_ring_drop(ring, lost);
			return 1;
		}
	}
	return 0;
}

/* Whether there is room, as the consumer says now. */
static inline int kubuf_ring_make_room(struct kubuf_ring *ring, uint64_t need)
{
	/* Its loads of the data are before the stores that come now. */
	uint64_t tail = __atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE);

	/* Nonsense is as good as no room. */
	if (!kubuf_ring_is_sane(ring, tail))
		return 0;
	ring->limit = tail + kubuf_ring_size(ring);
	if (need <= ring->limit - ring->reserved)
		return 1;
	return ring->flags & KUBUF_RING_OVERWRITE &&
	       kubuf_ring_overwrite(ring, tail, need);
}

/**
 * kubuf_ring_reserve() - begin a record
 * @ring: a ring without KUBUF_RING_BYTES
 * @length: bytes of payload
 *
 * Several records can be reserved, one after the other. Nobody sees them before
 * kubuf_ring_commit().
 *
 * Return: the address of the payload, or NULL if there is no room: the record
 * counts as lost.
 */
static inline void *kubuf_ring_reserve(struct kubuf_ring *ring, uint32_t length)
{
	uint64_t need = kubuf_ring_record_size(length);
	struct kubuf_record *record;

	if (__builtin_expect(need > ring->limit - ring->reserved, 0) &&
	    !kubuf_ring_make_room(ring, need)) {
		kubuf_ring_drop(ring, 1);
		return NULL;
	}
	record = (struct kubuf_record *)kubuf_ring_at(ring, ring->reserved);
	record->length = length;
	record->__reserved = 0;
	ring->reserved += need;
	return record + 1;
}

/**
 * kubuf_ring_commit() - give all that was reserved to the consumer
 * @ring: the ring
 */
static inline void kubuf_ring_commit(struct kubuf_ring *ring)
{
	uint64_t head = ring->reserved;

	ring->head = head;
	/* The data before the position: pairs with the consumer's acquire. */
	__atomic_store_n(&ring->header->head, head, __ATOMIC_RELEASE);
	kubuf_ring_wake(ring, &ring->header->consumer_sleeps);
}

/**
 * kubuf_ring_space() - where the producer can put bytes
 * @ring: a ring with KUBUF_RING_BYTES
 * @room: in: bytes wanted; out: bytes that there is room for, without a break,
 *	perhaps more
 *
 * Without as much room as is wanted a ring with KUBUF_RING_OVERWRITE makes it.
 * Who drops what there is no room for says so by kubuf_ring_drop().
 *
 * Return: the address of the first of them.
 */
static inline void *kubuf_ring_space(struct kubuf_ring *ring, size_t *room)
{
	if (*room > ring->limit - ring->reserved)
		kubuf_ring_make_room(ring, *room);
	*room = (size_t)(ring->limit - ring->reserved);
	return kubuf_ring_at(ring, ring->reserved);
}

/**
 * kubuf_ring_produce() - give bytes to the consumer
 * @ring: a ring with KUBUF_RING_BYTES
 * @n: bytes that have been put where kubuf_ring_space() said
 */
static inline void kubuf_ring_produce(struct kubuf_ring *ring, size_t n)
{
	ring->reserved += n;
	kubuf_ring_commit(ring);
}

/**
 * kubuf_ring_end() - say that nothing will be produced any more
 * @ring: the ring
 *
 * A consumer gets what there is, and is then told.
 */
static inline void kubuf_ring_end(struct kubuf_ring *ring)
{
	/* After the last position: pairs with the acquire of who looks. */
	__atomic_store_n(&ring->header->closed, 1, __ATOMIC_RELEASE);
	kubuf_ring_notify(ring);
}

/* See what has become of what was looked at, if the producer may overwrite. */
static inline void kubuf_ring_follow_tail(struct kubuf_ring *ring)
{
	/* Before the other one, which is loaded next. */
	uint64_t tail = __atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE);

	if (tail == ring->tail)
		return;
	if (ring->next != ring->tail)
		ring->stale = 1;
	kubuf_ring_begin_at(ring, tail);
}

/* Whether there is more than was looked at. */
static inline int kubuf_ring_look(struct kubuf_ring *ring)
{
	int may_move = !!(ring->flags & KUBUF_RING_OVERWRITE), tries;
	uint64_t head = 0;

	for (tries = 0; tries < KUBUF_RING_TRIES; tries++) {
		if (may_move)
			kubuf_ring_follow_tail(ring);
		/* Before the data: pairs with kubuf_ring_commit(). */
		head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
		if (__builtin_expect(head - ring->next <=
				     kubuf_ring_size(ring), 1)) {
			ring->seen_head = head;
			return head != ring->next;
		}
		/* Or it has come around meanwhile. */
		if (!may_move ||
		    __atomic_load_n(&ring->header->tail, __ATOMIC_RELAXED) ==
		    ring->tail)
			break;
	}
	/* Nonsense: begin anew with what it says next. */
	ring->broken = 1;
	kubuf_ring_begin_at(ring, head);
	__atomic_store_n(&ring->header->tail, head, __ATOMIC_RELEASE);
	/* There is room now. */
	kubuf_ring_wake(ring, &ring->header->producer_sleeps);
	return 0;
}

/**
 * kubuf_ring_release() - give all that was looked at back to the producer
 * @ring: the ring
 *
 * Return: whether it was there all the time: always, but for a ring with
 * KUBUF_RING_OVERWRITE.
 */
static inline int kubuf_ring_release(struct kubuf_ring *ring)
{
	__u64 tail = ring->tail;
	int stale = ring->stale;

	ring->stale = 0;
	if (!(ring->flags & KUBUF_RING_OVERWRITE)) {
		/* After the loads of the data: pairs with make_room(). */
		__atomic_store_n(&ring->header->tail, ring->next,
				 __ATOMIC_RELEASE);
	} else if (!__atomic_compare_exchange_n(&ring->header->tail, &tail,
						ring->next, 0,
						__ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED)) {
		kubuf_ring_begin_at(ring, tail);
		return 0;
	}
	ring->tail = ring->next;
	kubuf_ring_wake(ring, &ring->header->producer_sleeps);
	return !stale;
}

/**
 * kubuf_ring_next() - look at the next record
 * @ring: a ring without KUBUF_RING_BYTES
 * @length: out: bytes of payload
 *
 * Several records can be looked at, one after the other, before they are given
 * back by kubuf_ring_release(); in a ring with KUBUF_RING_OVERWRITE each is
 * copied and given back before the next. A producer in user space may still
 * write to them: what must not change is copied before it is looked at.
 *
 * Return: the address of the payload, or NULL if there is no record.
 */
static inline const void *kubuf_ring_next(struct kubuf_ring *ring,
					  uint32_t *length)
{
	const struct kubuf_record *record;
	uint64_t size;

	if (ring->next == ring->seen_head && !kubuf_ring_look(ring))
		return NULL;
	record = (const struct kubuf_record *)kubuf_ring_at(ring, ring->next);
	*length = __atomic_load_n(&record->length, __ATOMIC_RELAXED);
	size = kubuf_ring_record_size(*length);
	if (__builtin_expect(size > ring->seen_head - ring->next, 0)) {
		ring->next = ring->seen_head;
		/* Or it was overwritten just now, and is no longer the oldest. */
		if (kubuf_ring_release(ring))
			ring->broken = 1;
		return NULL;
	}
	ring->next += size;
	return record + 1;
}

/**
 * kubuf_ring_data() - the bytes that there are for the consumer
 * @ring: the ring
 * @avail: out: bytes, without a break
 *
 * See kubuf_ring_next(), to which this is what bytes are to records. It can be
 * used for a ring of records too, by who takes them as they are, or who trusts
 * the producer, as it trusts a driver, and goes by kubuf_record_next():
 *
 *	const struct kubuf_record *record, *end;
 *	size_t avail;
 *
 *	record = kubuf_ring_data(&ring, &avail);
 *	end = (const void *)((const char *)record + avail);
 *	for (; record < end; record = kubuf_record_next(record))
 *		use(record + 1, record->length);
 *	kubuf_ring_consume(&ring, avail);
 *
 * Return: the address of the first of them.
 */
static inline const void *kubuf_ring_data(struct kubuf_ring *ring,
					  size_t *avail)
{
	*avail = 0;
	if (kubuf_ring_look(ring))
		*avail = (size_t)(ring->seen_head - ring->next);
	return kubuf_ring_at(ring, ring->next);
}

/**
 * kubuf_record_next() - the record after one, see kubuf_ring_data()
 * @record: one of a producer that is trusted
 *
 * Return: the next, or the end of all.
 */
static inline const struct kubuf_record *
kubuf_record_next(const struct kubuf_record *record)
{
	return (const struct kubuf_record *)((const char *)record +
		kubuf_ring_record_size(record->length));
}

/**
 * kubuf_ring_consume() - give bytes back to the producer
 * @ring: the ring
 * @n: bytes, of those that kubuf_ring_data() told of
 *
 * Return: as kubuf_ring_release().
 */
static inline int kubuf_ring_consume(struct kubuf_ring *ring, size_t n)
{
	ring->next += n;
	return kubuf_ring_release(ring);
}

/* The word before the look at the last position: pairs with who closes. */
static inline int kubuf_ring_is_closed(const struct kubuf_ring *ring)
{
	return !!__atomic_load_n(&ring->header->closed, __ATOMIC_ACQUIRE);
}

/* Whether there are @n bytes, or it is of no use to wait for them. */
static inline int kubuf_ring_has_bytes(struct kubuf_ring *ring, size_t n)
{
	int closed = kubuf_ring_is_closed(ring);

	kubuf_ring_look(ring);
	return ring->seen_head - ring->next >= n || ring->broken || closed;
}

/**
 * kubuf_ring_has_data() - whether kubuf_ring_wait_data() would not wait
 * @ring: the ring
 *
 * For who waits in another way, as with an eventfd: sets consumer_sleeps of the
 * header to 1, has a full barrier, asks again, and then waits.
 *
 * Return: whether there is something to be told.
 */
static inline int kubuf_ring_has_data(struct kubuf_ring *ring)
{
	return kubuf_ring_has_bytes(ring, 1);
}

/* Sleep until the other side has called KUBUF_NOTIFY since the last look. */
static inline int kubuf_ring_sleep(struct kubuf_ring *ring, int timeout)
{
	struct kubuf_info info;
	struct pollfd pfd;
	int n;

	memset(&pfd, 0, sizeof(pfd));
	pfd.fd = ring->fd;
	pfd.events = POLLPRI;
	n = poll(&pfd, 1, timeout);
	if (n < 0)
		return -1;
	if (!n) {
		errno = ETIMEDOUT;
		return -1;
	}
	/* From here on a new one is told of. */
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	return ioctl(ring->fd, KUBUF_INFO, &info);
}

/**
 * kubuf_ring_wait_bytes() - wait until there are so many bytes for the consumer
 * @ring: the ring
 * @n: bytes, records with all that belongs to them; at most what the ring holds
 * @timeout: milliseconds, at least, or -1 for no limit
 *
 * Return: 0, with fewer bytes than that if there will be no more; or as
 * kubuf_ring_wait_data().
 */
static inline int kubuf_ring_wait_bytes(struct kubuf_ring *ring, size_t n,
					int timeout)
{
	int err = 0;

	while (!err && !kubuf_ring_has_bytes(ring, n)) {
		__atomic_store_n(&ring->header->consumer_sleeps, 1,
				 __ATOMIC_RELAXED);
		/* The word before the look at the position. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!kubuf_ring_has_bytes(ring, n))
			err = kubuf_ring_sleep(ring, timeout);
	}
	__atomic_store_n(&ring->header->consumer_sleeps, 0, __ATOMIC_RELAXED);
	if (err)
		return -1;
	if (ring->broken) {
		ring->broken = 0;
		errno = EPROTO;
		return -1;
	}
	/* What was there may have been overwritten: that is not the end. */
	if (ring->seen_head != ring->next || !kubuf_ring_is_closed(ring) ||
	    kubuf_ring_look(ring))
		return 0;
	errno = ENODATA;
	return -1;
}

/**
 * kubuf_ring_wait_data() - wait until there is something for the consumer
 * @ring: the ring
 * @timeout: milliseconds, at least, or -1 for no limit
 *
 * Return: 0, or -1 with errno set: ETIMEDOUT, EINTR; ENODATA, when there is none
 * and will be none any more; EPROTO, when the producer has written nonsense: the
 * ring is empty then, and can be used on.
 */
static inline int kubuf_ring_wait_data(struct kubuf_ring *ring, int timeout)
{
	return kubuf_ring_wait_bytes(ring, 1, timeout);
}

/**
 * kubuf_ring_wait_room() - wait until the producer has room
 * @ring: the ring
 * @length: bytes of payload of a record; bytes, with KUBUF_RING_BYTES
 * @timeout: milliseconds, at least, or -1 for no limit
 *
 * Return: 0, or -1 with errno set: ETIMEDOUT, EINTR; EMSGSIZE, if it is more than
 * the ring can hold; EPIPE, if there is none and will be none any more.
 */
static inline int kubuf_ring_wait_room(struct kubuf_ring *ring,
				       uint32_t length, int timeout)
{
	uint64_t need = ring->flags & KUBUF_RING_BYTES ?
		length : kubuf_ring_record_size(length);
	int err = 0;

	if (need > kubuf_ring_size(ring)) {
		errno = EMSGSIZE;
		return -1;
	}
	while (!err && !kubuf_ring_make_room(ring, need)) {
		__atomic_store_n(&ring->header->producer_sleeps, 1,
				 __ATOMIC_RELAXED);
		/* The word before the look at the position. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (kubuf_ring_make_room(ring, need))
			break;
		if (kubuf_ring_is_closed(ring)) {
			errno = EPIPE;
			err = -1;
		} else {
			err = kubuf_ring_sleep(ring, timeout);
		}
	}
	__atomic_store_n(&ring->header->producer_sleeps, 0, __ATOMIC_RELAXED);
	return err;
}

#ifdef __cplusplus
}
#endif

#endif /* KUBUF_RING_H */
