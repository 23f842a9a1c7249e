/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A ring in a kubuf buffer, for one producer and one consumer: the side of a
 * program. C and C++, without a library; needs <linux/kubuf.h>.
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
 *		while ((record = kubuf_ring_peek(&ring, &length))) {
 *			use(record, length);
 *			kubuf_ring_pop(&ring);
 *		}
 *
 * In a ring with KUBUF_RING_OVERWRITE a record may be overwritten while it is
 * looked at: what was copied of it is good if kubuf_ring_pop() says so.
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

#include <linux/kubuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct kubuf_ring - one side of a ring
 * @header: what both sides share
 * @data: the data, mapped twice, one after the other
 * @size: bytes of data, a power of two
 * @fd: the buffer
 * @flags: KUBUF_RING_*
 * @head: as a producer: bytes produced
 * @seen_tail: the same: of the consumer, when last looked at
 * @reserved: the same: bytes of the record that is being made
 * @lost: the same: records or bytes that found no room, or were overwritten
 * @tail: as a consumer: bytes consumed
 * @peeked: the same: bytes of the record that is looked at
 * @broken: the same: the producer has written nonsense
 */
struct kubuf_ring {
	struct kubuf_ring_header *header;
	unsigned char *data;
	uint64_t size;
	int fd;
	uint32_t flags;
	uint64_t head;
	uint64_t seen_tail;
	uint64_t reserved;
	uint64_t lost;
	uint64_t tail;
	uint64_t peeked;
	int broken;
};

static inline uint64_t kubuf_ring_record_size(uint32_t length)
{
	return (sizeof(struct kubuf_record) + (uint64_t)length + 7) &
	       ~(uint64_t)7;
}

static inline unsigned char *kubuf_ring_at(const struct kubuf_ring *ring,
					   uint64_t pos)
{
	return ring->data + (pos & (ring->size - 1));
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
	ring->size = size;
	ring->fd = fd;
	ring->flags = __atomic_load_n(&header->flags, __ATOMIC_RELAXED);
	ring->head = __atomic_load_n(&header->head, __ATOMIC_RELAXED);
	ring->tail = __atomic_load_n(&header->tail, __ATOMIC_RELAXED);
	ring->seen_tail = ring->tail;
	ring->lost = __atomic_load_n(&header->lost, __ATOMIC_RELAXED);
	errno = EINVAL;
	if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) ==
	    KUBUF_RING_MAGIC &&
	    header->size == size && ring->head - ring->tail <= size)
		ring->data = kubuf_ring_map_data(fd, size);
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
	munmap(ring->data, 2 * (size_t)ring->size);
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

/* Wake the other side, if it said that it is going to sleep. */
static inline void kubuf_ring_wake(struct kubuf_ring *ring, uint32_t *sleeps)
{
	struct kubuf_notify args;

	/* The position before the look at the word: pairs with kubuf_ring_sleep(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(!__atomic_load_n(sleeps, __ATOMIC_RELAXED), 1))
		return;
	__atomic_store_n(sleeps, 0, __ATOMIC_RELAXED);
	memset(&args, 0, sizeof(args));
	args.size = sizeof(args);
	ioctl(ring->fd, KUBUF_NOTIFY, &args);
}

/* Make the oldest give way, so that there is room for @need bytes. */
static inline int kubuf_ring_overwrite(struct kubuf_ring *ring, uint64_t need)
{
	__u64 tail = ring->seen_tail, next, lost, n;
	const struct kubuf_record *record;
	int tries;

	if (need > ring->size)
		return 0;
	/* A consumer that moves its position again and again is not run after. */
	for (tries = 0; tries < 16 && ring->head - tail <= ring->size;
	     tries++) {
		if (ring->head + need - tail <= ring->size) {
			ring->seen_tail = tail;
			return 1;
		}
		next = tail;
		lost = 0;
		if (ring->flags & KUBUF_RING_BYTES) {
			next = ring->head + need - ring->size;
			lost = next - tail;
		}
		while (ring->head + need - next > ring->size) {
			record = (const struct kubuf_record *)
				kubuf_ring_at(ring, next);
			n = kubuf_ring_record_size(
				__atomic_load_n(&record->length,
						__ATOMIC_RELAXED));
			if (n > ring->head - next)
				n = ring->head - next;
			next += n;
			lost++;
		}
		/* Ordered before the stores of what comes there. */
		if (__atomic_compare_exchange_n(&ring->header->tail, &tail,
						next, 0, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED)) {
			ring->seen_tail = next;
			ring->lost += lost;
			__atomic_store_n(&ring->header->lost, ring->lost,
					 __ATOMIC_RELAXED);
			return 1;
		}
	}
	return 0;
}

/* Whether there is room, as the consumer says now. */
static inline int kubuf_ring_make_room(struct kubuf_ring *ring, uint64_t need)
{
	uint64_t tail = __atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE);

	/* Nonsense is as good as no room. */
	if (ring->head - tail > ring->size)
		return 0;
	ring->seen_tail = tail;
	if (need <= ring->size - (ring->head - tail))
		return 1;
	return ring->flags & KUBUF_RING_OVERWRITE &&
	       kubuf_ring_overwrite(ring, need);
}

/**
 * kubuf_ring_space() - where the producer can put bytes
 * @ring: a ring with KUBUF_RING_BYTES
 * @room: in: bytes wanted, for which a ring with KUBUF_RING_OVERWRITE makes
 *	room; out: bytes that there is room for, without a break
 *
 * Return: the address of the first of them.
 */
static inline void *kubuf_ring_space(struct kubuf_ring *ring, size_t *room)
{
	kubuf_ring_make_room(ring, *room);
	*room = (size_t)(ring->size - (ring->head - ring->seen_tail));
	return kubuf_ring_at(ring, ring->head);
}

/**
 * kubuf_ring_produce() - give bytes to the consumer
 * @ring: the ring
 * @n: bytes that have been put where kubuf_ring_space() said
 */
static inline void kubuf_ring_produce(struct kubuf_ring *ring, uint64_t n)
{
	ring->head += n;
	__atomic_store_n(&ring->header->head, ring->head, __ATOMIC_RELEASE);
	kubuf_ring_wake(ring, &ring->header->consumer_sleeps);
}

/**
 * kubuf_ring_reserve() - begin a record
 * @ring: a ring without KUBUF_RING_BYTES
 * @length: bytes of payload
 *
 * Return: the address of the payload, or NULL if there is no room: the record
 * counts as lost.
 */
static inline void *kubuf_ring_reserve(struct kubuf_ring *ring, uint32_t length)
{
	uint64_t need = kubuf_ring_record_size(length);
	struct kubuf_record *record;

	if (need > ring->size - (ring->head - ring->seen_tail) &&
	    !kubuf_ring_make_room(ring, need)) {
		ring->lost++;
		__atomic_store_n(&ring->header->lost, ring->lost,
				 __ATOMIC_RELAXED);
		return NULL;
	}
	record = (struct kubuf_record *)kubuf_ring_at(ring, ring->head);
	record->length = length;
	record->__reserved = 0;
	ring->reserved = need;
	return record + 1;
}

/**
 * kubuf_ring_commit() - give the record that was reserved to the consumer
 * @ring: the ring
 */
static inline void kubuf_ring_commit(struct kubuf_ring *ring)
{
	kubuf_ring_produce(ring, ring->reserved);
}

/**
 * kubuf_ring_data() - the bytes that there are for the consumer
 * @ring: the ring
 * @avail: out: bytes, without a break
 *
 * Return: the address of the first of them.
 */
static inline const void *kubuf_ring_data(struct kubuf_ring *ring,
					  size_t *avail)
{
	uint64_t head, n;

	/* The producer may have overwritten. */
	if (ring->flags & KUBUF_RING_OVERWRITE)
		ring->tail = __atomic_load_n(&ring->header->tail,
					     __ATOMIC_RELAXED);
	head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
	n = head - ring->tail;
	if (__builtin_expect(n > ring->size, 0)) {
		/* Nonsense: begin anew with what it says next. */
		ring->broken = 1;
		ring->tail = head;
		__atomic_store_n(&ring->header->tail, head, __ATOMIC_RELEASE);
		n = 0;
	}
	*avail = (size_t)n;
	return kubuf_ring_at(ring, ring->tail);
}

/**
 * kubuf_ring_consume() - give bytes back to the producer
 * @ring: the ring
 * @n: bytes, of those that kubuf_ring_data() told of
 *
 * Return: whether they were there all the time: always, but for a ring with
 * KUBUF_RING_OVERWRITE.
 */
static inline int kubuf_ring_consume(struct kubuf_ring *ring, uint64_t n)
{
	__u64 old = ring->tail;

	ring->tail += n;
	if (!(ring->flags & KUBUF_RING_OVERWRITE))
		__atomic_store_n(&ring->header->tail, ring->tail,
				 __ATOMIC_RELEASE);
	else if (!__atomic_compare_exchange_n(&ring->header->tail, &old,
					      ring->tail, 0, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED))
		return 0;
	kubuf_ring_wake(ring, &ring->header->producer_sleeps);
	return 1;
}

/**
 * kubuf_ring_peek() - look at the oldest record
 * @ring: a ring without KUBUF_RING_BYTES
 * @length: out: bytes of payload
 *
 * Return: the address of the payload, or NULL if there is no record.
 */
static inline const void *kubuf_ring_peek(struct kubuf_ring *ring,
					  uint32_t *length)
{
	const struct kubuf_record *record;
	size_t avail;

	record = (const struct kubuf_record *)kubuf_ring_data(ring, &avail);
	if (!avail)
		return NULL;
	*length = __atomic_load_n(&record->length, __ATOMIC_RELAXED);
	ring->peeked = kubuf_ring_record_size(*length);
	if (__builtin_expect(ring->peeked <= avail, 1))
		return record + 1;
	/* Or it was overwritten just now, and is no longer the oldest. */
	if (kubuf_ring_consume(ring, avail))
		ring->broken = 1;
	return NULL;
}

/**
 * kubuf_ring_pop() - give the record that was looked at back to the producer
 * @ring: the ring
 *
 * Return: whether it was there all the time: always, but for a ring with
 * KUBUF_RING_OVERWRITE.
 */
static inline int kubuf_ring_pop(struct kubuf_ring *ring)
{
	return kubuf_ring_consume(ring, ring->peeked);
}

static inline int kubuf_ring_has_data(struct kubuf_ring *ring)
{
	size_t avail;

	kubuf_ring_data(ring, &avail);
	return avail || ring->broken ||
	       __atomic_load_n(&ring->header->closed, __ATOMIC_RELAXED);
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
	size_t avail;
	int err = 0;

	while (!err && !kubuf_ring_has_data(ring)) {
		__atomic_store_n(&ring->header->consumer_sleeps, 1,
				 __ATOMIC_RELAXED);
		/* The word before the look at the position. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!kubuf_ring_has_data(ring))
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
	kubuf_ring_data(ring, &avail);
	if (avail)
		return 0;
	errno = ENODATA;
	return -1;
}

/**
 * kubuf_ring_wait_room() - wait until the producer has room
 * @ring: the ring
 * @length: bytes of payload of a record; bytes, with KUBUF_RING_BYTES
 * @timeout: milliseconds, at least, or -1 for no limit
 *
 * Return: 0, or -1 with errno set: ETIMEDOUT, EINTR; EMSGSIZE, if it is more than
 * the ring can hold.
 */
static inline int kubuf_ring_wait_room(struct kubuf_ring *ring,
				       uint32_t length, int timeout)
{
	uint64_t need = ring->flags & KUBUF_RING_BYTES ?
		length : kubuf_ring_record_size(length);
	int err = 0;

	if (need > ring->size) {
		errno = EMSGSIZE;
		return -1;
	}
	while (!err && !kubuf_ring_make_room(ring, need)) {
		__atomic_store_n(&ring->header->producer_sleeps, 1,
				 __ATOMIC_RELAXED);
		/* The word before the look at the position. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!kubuf_ring_make_room(ring, need))
			err = kubuf_ring_sleep(ring, timeout);
	}
	__atomic_store_n(&ring->header->producer_sleeps, 0, __ATOMIC_RELAXED);
	return err;
}

#ifdef __cplusplus
}
#endif

#endif /* KUBUF_RING_H */
