// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who looks up the pages of a mapping that is there and touched: the disk, by
 * O_DIRECT; io_uring, which registers it; a pipe. No case maps or faults.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "bench.h"

/* What goes into the pipe, and between the disk and memory, at a time. */
#define PIECE		(1 * MIB)

/* Map all and have all there; NULL if that fails, and why in the sample. */
static char *map_touched(const struct buffer *buf, size_t size,
			 struct sample *s)
{
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);
	size_t off;

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return NULL;
	}
	for (off = 0; off < size; off += PAGE)
		touch(p + off);
	return p;
}

/* The same, and a ring to register it with; no ring either if that fails. */
static char *map_with_ring(const struct buffer *buf, size_t size,
			   struct io_uring *ring, struct sample *s)
{
	char *p;

	s->cost = io_uring_queue_init(4, ring, 0);
	if (s->cost)
		return NULL;
	p = map_touched(buf, size, s);
	if (!p)
		io_uring_queue_exit(ring);
	return p;
}

static void unmap_with_ring(const struct buffer *buf, char *p,
			    struct io_uring *ring)
{
	buffer_unmap(buf, p);
	io_uring_queue_exit(ring);
}

/**
 * run_register() - register it as a fixed buffer of io_uring, and undo that
 * @buf: the buffer
 * @size: bytes
 * @s: what it took
 */
void run_register(const struct buffer *buf, size_t size, struct sample *s)
{
	struct io_uring ring;
	char *p = map_with_ring(buf, size, &ring, s);
	struct iovec iov = { p, size };
	__u64 start;
	int ret;

	if (!p)
		return;
	start = now();
	ret = io_uring_register_buffers(&ring, &iov, 1);
	if (!ret)
		ret = io_uring_unregister_buffers(&ring);
	s->cost = ret ?: (__s64)(now() - start);
	unmap_with_ring(buf, p, &ring);
}

/* All of it through a pipe that holds a piece; 0 or a negative errno. */
static int through_pipe(const int *fds, int null, char *p, size_t size)
{
	size_t off, left;
	ssize_t n;

	for (off = 0; off < size; off += n) {
		struct iovec iov = { p + off, PIECE };

		n = vmsplice(fds[1], &iov, 1, 0);
		if (n <= 0)
			return -(errno ?: EIO);
		for (left = n; left;) {
			ssize_t out = splice(fds[0], NULL, null, NULL, left, 0);

			if (out <= 0)
				return -(errno ?: EIO);
			left -= out;
		}
	}
	return 0;
}

/**
 * run_vmsplice() - give it to a pipe by reference, and away
 * @buf: the buffer
 * @size: bytes
 * @s: what it took
 */
void run_vmsplice(const struct buffer *buf, size_t size, struct sample *s)
{
	static int fds[2] = { -1, -1 }, null = -1;
	__u64 start;
	char *p;
	int ret;

	if (null < 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null < 0 || pipe2(fds, O_CLOEXEC) ||
		    fcntl(fds[1], F_SETPIPE_SZ, PIECE) != PIECE)
			err(1, "a pipe");
	}
	p = map_touched(buf, size, s);
	if (!p)
		return;
	start = now();
	ret = through_pipe(fds, null, p, size);
	s->cost = ret ?: (__s64)(now() - start);
	buffer_unmap(buf, p);
}

/* Move a piece between memory and a file: bytes moved, or a negative errno. */
typedef ssize_t (*mover)(struct io_uring *ring, bool write, char *p, off_t off);

/*
 * A file into memory, and memory into another file. An interrupt can be in the
 * way of any piece, but not each time of the same: the least that each took is
 * kept from run to run.
 */
static void run_pieces(mover move, struct io_uring *ring, char *p,
		       const struct buffer *buf, size_t size, struct sample *s)
{
	static __u64 least[2 * 32 * MIB / PIECE];
	static const struct subject *whose;
	static size_t whose_size;
	static mover by;
	size_t i, nr = size / PIECE;

	if (whose != buf->subject || whose_size != size || by != move) {
		memset(least, 0xff, sizeof(least));
		whose = buf->subject;
		whose_size = size;
		by = move;
	}
	for (i = 0; i < 2 * nr; i++) {
		size_t off = i % nr * PIECE;
		__u64 start = own_time();
		ssize_t n = move(ring, i >= nr, p + off, off);

		start = own_time() - start;
		if (n != PIECE) {
			s->cost = n < 0 ? n : -EIO;
			return;
		}
		if (start < least[i])
			least[i] = start;
		s->cost += least[i];
	}
}

static ssize_t by_call(struct io_uring *ring, bool write, char *p, off_t off)
{
	ssize_t n;

	(void)ring;
	n = write ? pwrite(direct_fd(true), p, PIECE, off) :
		    pread(direct_fd(false), p, PIECE, off);
	return n < 0 ? -errno : n;
}

/**
 * run_disk() - read a file into it and write another from it, by O_DIRECT
 * @buf: the buffer
 * @size: bytes
 * @s: what it took
 */
void run_disk(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = map_touched(buf, size, s);

	if (!p)
		return;
	run_pieces(by_call, NULL, p, buf, size, s);
	buffer_unmap(buf, p);
}

static ssize_t by_ring(struct io_uring *ring, bool write, char *p, off_t off)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int ret;

	if (write)
		io_uring_prep_write_fixed(sqe, direct_fd(true), p, PIECE, off,
					  0);
	else
		io_uring_prep_read_fixed(sqe, direct_fd(false), p, PIECE, off,
					 0);
	ret = io_uring_submit_and_wait(ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

/**
 * run_disk_fixed() - the same by io_uring, with the mapping registered before
 * @buf: the buffer
 * @size: bytes
 * @s: what it took, without the registration
 */
void run_disk_fixed(const struct buffer *buf, size_t size, struct sample *s)
{
	struct io_uring ring;
	char *p = map_with_ring(buf, size, &ring, s);
	struct iovec iov = { p, size };

	if (!p)
		return;
	s->cost = io_uring_register_buffers(&ring, &iov, 1);
	if (!s->cost)
		run_pieces(by_ring, &ring, p, buf, size, s);
	unmap_with_ring(buf, p, &ring);
}
