/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The little of io_uring that the tests need: one request at a time, and one
 * registered buffer.
 */
#ifndef KUBUF_URING_H
#define KUBUF_URING_H

#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/io_uring.h>

#include "kubuf_util.h"

struct ring {
	int fd;
	char *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

/* 0, or -errno: there may be no io_uring, or it is switched off. */
static inline int ring_open(struct ring *r)
{
	size_t sq, cq;
	long fd;

	memset(r, 0, sizeof(*r));
	fd = syscall(SYS_io_uring_setup, 4, &r->params);
	if (fd < 0)
		return -errno;
	r->fd = (int)fd;
	sq = r->params.sq_off.array + r->params.sq_entries * sizeof(__u32);
	cq = r->params.cq_off.cqes +
	     r->params.cq_entries * sizeof(struct io_uring_cqe);
	/* Both rings are in one mapping since 5.4. */
	r->rings_size = sq > cq ? sq : cq;
	r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->params.sq_entries * sizeof(*r->sqes),
		       PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	if (r->rings == MAP_FAILED || r->sqes == MAP_FAILED)
		return -ENOMEM;
	return 0;
}

/* Pin LENGTH bytes from ADDR on for later; 0 or -errno. */
static inline int ring_register(struct ring *r, void *addr, size_t length)
{
	struct iovec iov = { addr, length };

	return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS,
		       &iov, 1) ? -errno : 0;
}

static inline int ring_unregister(struct ring *r)
{
	return syscall(SYS_io_uring_register, r->fd,
		       IORING_UNREGISTER_BUFFERS, NULL, 0) ? -errno : 0;
}

static inline __u32 *ring_word(struct ring *r, __u32 offset)
{
	return (__u32 *)(r->rings + offset);
}

/*
 * Read FD into, or write it from, the registered buffer: the bytes moved, or
 * -errno. ADDR says which part of the buffer, by its address at registration.
 */
static inline int ring_io(struct ring *r, int opcode, int fd, void *addr,
			  size_t length, off_t offset)
{
	__u32 *sq_tail = ring_word(r, r->params.sq_off.tail);
	__u32 *cq_head = ring_word(r, r->params.cq_off.head);
	__u32 *cq_tail = ring_word(r, r->params.cq_off.tail);
	__u32 at = *sq_tail & *ring_word(r, r->params.sq_off.ring_mask);
	struct io_uring_cqe *cqes;
	int res;

	r->sqes[at] = (struct io_uring_sqe) {
		.opcode = (__u8)opcode,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.len = (__u32)length,
		.off = (__u64)offset,
	};
	ring_word(r, r->params.sq_off.array)[at] = at;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -errno;
	if (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) == *cq_head)
		return -EAGAIN;
	cqes = (struct io_uring_cqe *)(r->rings + r->params.cq_off.cqes);
	res = cqes[*cq_head & *ring_word(r, r->params.cq_off.ring_mask)].res;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return res;
}

/* Nothing is left of it then but what a worker of the kernel has to do. */
static inline void ring_close(struct ring *r)
{
	munmap(r->rings, r->rings_size);
	munmap(r->sqes, r->params.sq_entries * sizeof(*r->sqes));
	close(r->fd);
}

/*
 * A ring with the mapping registered: 0, or -errno; WHY if it is the kernel
 * that cannot. Old ones register no mapping of a file, whatever file it is.
 */
static inline int ring_with(struct ring *r, char *p, size_t length,
			    const char **why)
{
	int err = ring_open(r);

	*why = err ? "no io_uring" : NULL;
	if (err)
		return err;
	err = ring_register(r, p, length);
	if (err == -EOPNOTSUPP)
		*why = "io_uring registers no file memory";
	return err;
}

#endif /* KUBUF_URING_H */
