// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who pin pages of a mapping: direct I/O, io_uring, vmsplice() and
 * MSG_ZEROCOPY work on the page path, get EFAULT on the PFN path, and keep the
 * memory as long as they need it, whatever becomes of the buffer.
 */
#include "kselftest_harness.h"

#include "kubuf_disk.h"
#include "kubuf_map.h"
#include "kubuf_net.h"
#include "kubuf_uring.h"
#include "kubuf_task.h"

#define PAGES	32

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(pin)
{
	size_t ps;
	size_t len;
	int fd;
	char *p;
};

FIXTURE_VARIANT(pin)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(pin);

FIXTURE_SETUP(pin)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	/* Not touched: the one who pins is the first to want the pages. */
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(pin)
{
	munmap(self->p, self->len);
	close(self->fd);
}

/* What makes no sense where pages cannot be pinned. */
FIXTURE(hold)
{
	size_t ps;
	size_t len;
	int fd;
	char *p;
};

FIXTURE_VARIANT(hold)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(hold);

FIXTURE_SETUP(hold)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(hold)
{
	munmap(self->p, self->len);
	close(self->fd);
}

/* The disk reads the buffer's own pages. */
TEST_F(pin, direct_write)
{
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(file_fill(disk, self->len, 9));
	if (variant->pfn) {
		EXPECT_EQ(-1, pwrite(disk, self->p, self->len, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_TRUE(file_holds(disk, self->len, 9));
	} else {
		EXPECT_EQ((ssize_t)self->len,
			  pwrite(disk, self->p, self->len, 0));
		EXPECT_TRUE(file_holds(disk, self->len, 1));
		/* And what was stored through the mapping. */
		fill(self->p, self->len, 2);
		EXPECT_EQ((ssize_t)self->len,
			  pwrite(disk, self->p, self->len, 0));
		EXPECT_TRUE(file_holds(disk, self->len, 2));
	}
	close(disk);
}

/* The disk writes them. */
TEST_F(pin, direct_read)
{
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(file_fill(disk, self->len, 3));
	if (variant->pfn) {
		EXPECT_EQ(-1, pread(disk, self->p, self->len, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	} else {
		EXPECT_EQ((ssize_t)self->len,
			  pread(disk, self->p, self->len, 0));
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 3));
		EXPECT_EQ(self->len, mismatch(self->p, self->len, 3));
	}
	close(disk);
}

/* A part from the middle, into another part: pages beside it are let alone. */
TEST_F(hold, direct_read_of_a_part)
{
	const size_t at = 3 * self->ps, n = 7 * self->ps;
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(file_fill(disk, self->len, 4));
	EXPECT_EQ((ssize_t)n, pread(disk, self->p + at, n, (off_t)self->ps));
	EXPECT_TRUE(matches_at(self->p, at, 0, 1));
	EXPECT_TRUE(matches_at(self->p + at, n, self->ps, 4));
	EXPECT_TRUE(matches_at(self->p + at + n, self->len - at - n, at + n,
			       1));
	close(disk);
}

/* A disk must not write where the process may not. */
TEST_F(pin, direct_read_into_read_only)
{
	int disk = disk_file(), ro = reopen(self->fd, O_RDONLY);
	char *q;

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_LE(0, ro);
	ASSERT_TRUE(file_fill(disk, self->len, 5));
	q = buf_map(ro, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, q);
	touch(q, self->len);
	EXPECT_EQ(-1, pread(disk, q, self->len, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(ro);
	close(disk);
}

TEST_F(pin, aio)
{
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(file_fill(disk, self->len, 6));
	if (variant->pfn) {
		EXPECT_EQ(-EFAULT, aio(IOCB_CMD_PREAD, disk, self->p,
				       self->len));
		EXPECT_EQ(-EFAULT, aio(IOCB_CMD_PWRITE, disk, self->p,
				       self->len));
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
		EXPECT_TRUE(file_holds(disk, self->len, 6));
	} else {
		EXPECT_EQ((long long)self->len,
			  aio(IOCB_CMD_PREAD, disk, self->p, self->len));
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 6));
		ASSERT_TRUE(kernel_fill(self->fd, self->len, 7));
		EXPECT_EQ((long long)self->len,
			  aio(IOCB_CMD_PWRITE, disk, self->p, self->len));
		EXPECT_TRUE(file_holds(disk, self->len, 7));
	}
	close(disk);
}

TEST_F(pin, uring_register)
{
	const char *why;
	struct ring r;
	int err = ring_with(&r, self->p, self->len, &why);

	if (why)
		SKIP(return, "%s", why);
	EXPECT_EQ(variant->pfn ? -EFAULT : 0, err);
	if (!err) {
		EXPECT_EQ(PAGES, mapped(self->fd, 0, PAGES, NULL, NULL));
		EXPECT_EQ(0, ring_unregister(&r));
	}
	ring_close(&r);
}

/* Fixed buffers, to and from a file in memory. */
TEST_F(hold, uring_fixed)
{
	int file = memfd_create("kubuf", MFD_CLOEXEC);
	const char *why;
	struct ring r;
	int err;

	ASSERT_LE(0, file);
	err = ring_with(&r, self->p, self->len, &why);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_WRITE_FIXED, file,
					  self->p, self->len, 0));
	EXPECT_TRUE(file_holds(file, self->len, 1));
	ASSERT_TRUE(file_fill(file, self->len, 2));
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_READ_FIXED, file,
					  self->p, self->len, 0));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_EQ(self->len, mismatch(self->p, self->len, 2));
	EXPECT_EQ(0, ring_unregister(&r));
	ring_close(&r);
	close(file);
}

/* And to and from a disk, which has the pages for itself. */
TEST_F(hold, uring_fixed_direct)
{
	int disk = disk_file();
	const char *why;
	struct ring r;
	int err;

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	err = ring_with(&r, self->p, self->len, &why);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_WRITE_FIXED, disk,
					  self->p, self->len, 0));
	EXPECT_TRUE(file_holds(disk, self->len, 1));
	ASSERT_TRUE(file_fill(disk, self->len, 2));
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_READ_FIXED, disk,
					  self->p, self->len, 0));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	ring_close(&r);
	close(disk);
}

/* A pin is on the buffer's page, not on one that it had once. */
TEST_F(hold, uring_sees_later_stores)
{
	int file = memfd_create("kubuf", MFD_CLOEXEC);
	const char *why;
	struct ring r;
	int err;
	char *q;

	ASSERT_LE(0, file);
	err = ring_with(&r, self->p, self->len, &why);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DONTNEED));
	q = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, q);
	fill(q, self->len / 2, 3);
	fill(self->p + self->len / 2, self->len / 2, 4);
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_WRITE_FIXED, file,
					  self->p, self->len, 0));
	ASSERT_EQ((ssize_t)self->len, read(file, q, self->len));
	EXPECT_TRUE(matches_at(q, self->len / 2, 0, 3));
	EXPECT_TRUE(matches_at(q + self->len / 2, self->len / 2, 0, 4));
	ring_close(&r);
	close(file);
}

/* The driver tells a page that is pinned for long from one that is not. */
TEST_F(hold, shown)
{
	struct page_state st[PAGES];
	const char *why;
	struct ring r;
	int err;

	touch(self->p, self->len);
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	for (int i = 0; i < PAGES; i++)
		EXPECT_FALSE(st[i].pinned);
	err = ring_with(&r, self->p, self->len, &why);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(st[i].pinned);
	EXPECT_EQ(0, ring_unregister(&r));
	ASSERT_EQ(PAGES, page_states(self->fd, st, PAGES));
	for (int i = 0; i < PAGES; i++)
		EXPECT_FALSE(st[i].pinned);
	ring_close(&r);
}

/* Pages that a pipe has room for in any case. */
#define PIPE_PAGES	8

static ssize_t splice_in(int pipe, char *p, size_t length, unsigned int flags)
{
	struct iovec iov = { p, length };

	return vmsplice(pipe, &iov, 1, flags);
}

/* The pipe has the pages themselves: it shows what is stored after. */
TEST_F(pin, vmsplice)
{
	const size_t n = PIPE_PAGES * self->ps;
	int pipefd[2];
	char *tmp = malloc(n);

	ASSERT_NE(NULL, tmp);
	ASSERT_EQ(0, pipe(pipefd));
	if (variant->pfn) {
		EXPECT_EQ(-1, splice_in(pipefd[1], self->p, n, 0));
		EXPECT_EQ(EFAULT, errno);
		return;
	}
	ASSERT_EQ((ssize_t)n, splice_in(pipefd[1], self->p, n, 0));
	fill(self->p, n / 2, 2);
	ASSERT_EQ((ssize_t)n, read(pipefd[0], tmp, n));
	EXPECT_TRUE(matches_at(tmp, n / 2, 0, 2));
	EXPECT_TRUE(matches_at(tmp + n / 2, n / 2, n / 2, 1));
	free(tmp);
}

/* A gift that is not the giver's alone is not taken: the buffer keeps it. */
TEST_F(pin, vmsplice_gift)
{
	const size_t n = PIPE_PAGES * self->ps;
	int file = memfd_create("kubuf", MFD_CLOEXEC), pipefd[2];
	loff_t off = 0;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, pipe(pipefd));
	if (variant->pfn) {
		EXPECT_EQ(-1, splice_in(pipefd[1], self->p, n,
					SPLICE_F_GIFT));
		EXPECT_EQ(EFAULT, errno);
		return;
	}
	ASSERT_EQ((ssize_t)n, splice_in(pipefd[1], self->p, n, SPLICE_F_GIFT));
	for (size_t left = n; left; ) {
		ssize_t done = splice(pipefd[0], NULL, file, &off, left,
				      SPLICE_F_MOVE);

		ASSERT_LT(0, done);
		left -= (size_t)done;
	}
	EXPECT_TRUE(file_holds(file, n, 1));
	/* One memory still, and the file has another. */
	fill(self->p, self->len, 2);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	EXPECT_TRUE(file_holds(file, n, 1));
	close(file);
}

/* A pin outlives the mapping, the file, the node and the buffer. */
TEST_F(hold, pipe_outlives_buffer)
{
	const char *name = "pin-outlives";
	const size_t n = PIPE_PAGES * self->ps;
	char *tmp = malloc(n);
	int pipefd[2], fd;
	char *p;

	ASSERT_NE(NULL, tmp);
	ASSERT_EQ(0, pipe(pipefd));
	fd = buf_create_named(name, variant->backing, self->len,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	p = buf_map(fd, self->len, RW);
	fill(p, self->len, 5);
	EXPECT_EQ((ssize_t)n, splice_in(pipefd[1], p, n, 0));
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, buf_destroy(name));
	ASSERT_TRUE(churn(variant->backing, variant->flags, self->len));
	ASSERT_EQ((ssize_t)n, read(pipefd[0], tmp, n));
	EXPECT_EQ(n, mismatch(tmp, n, 5));
	free(tmp);
}

/* The same for a pin that is meant to last, and may be written through. */
TEST_F(hold, uring_outlives_buffer)
{
	int file = memfd_create("kubuf", MFD_CLOEXEC);
	const char *why;
	struct ring r;
	int err;

	ASSERT_LE(0, file);
	err = ring_with(&r, self->p, self->len, &why);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(churn(variant->backing, variant->flags, self->len));
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_WRITE_FIXED, file,
					  self->p, self->len, 0));
	EXPECT_TRUE(file_holds(file, self->len, 1));
	ASSERT_TRUE(file_fill(file, self->len, 6));
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_READ_FIXED, file,
					  self->p, self->len, 0));
	ASSERT_TRUE(churn(variant->backing, variant->flags, self->len));
	ASSERT_EQ(0, ftruncate(file, 0));
	ASSERT_EQ((int)self->len, ring_io(&r, IORING_OP_WRITE_FIXED, file,
					  self->p, self->len, 0));
	EXPECT_TRUE(file_holds(file, self->len, 6));
	EXPECT_EQ(0, ring_unregister(&r));
	ring_close(&r);
	close(file);
}

struct receiver {
	int fd;
	char *buf;
	size_t length;
};

static void *receive(void *arg)
{
	struct receiver *r = arg;

	if (recv(r->fd, r->buf, r->length, MSG_WAITALL) != (ssize_t)r->length)
		memset(r->buf, 0, r->length);
	return NULL;
}

TEST_F(pin, zerocopy_send)
{
	struct receiver r = { .buf = malloc(self->len), .length = self->len };
	const int on = 1;
	pthread_t t;
	int sv[2];

	ASSERT_NE(NULL, r.buf);
	if (!own_loopback() || !tcp_pair(sv))
		SKIP(return, "no network: %s", strerror(errno));
	ASSERT_EQ(0, setsockopt(sv[0], SOL_SOCKET, SO_ZEROCOPY, &on,
				sizeof(on)));
	if (variant->pfn) {
		EXPECT_EQ(-1, send(sv[0], self->p, self->len, MSG_ZEROCOPY));
		EXPECT_EQ(EFAULT, errno);
		return;
	}
	r.fd = sv[1];
	ASSERT_EQ(0, pthread_create(&t, NULL, receive, &r));
	for (size_t done = 0; done < self->len; ) {
		ssize_t n = send(sv[0], self->p + done, self->len - done,
				 MSG_ZEROCOPY);

		ASSERT_LT(0, n);
		done += (size_t)n;
	}
	ASSERT_EQ(0, pthread_join(t, NULL));
	EXPECT_EQ(self->len, mismatch(r.buf, self->len, 1));
	EXPECT_EQ(0, completion(sv[0]));
	free(r.buf);
}

/* The bytes are on their way when the buffer goes. */
TEST_F(hold, zerocopy_outlives_buffer)
{
	const size_t n = PIPE_PAGES * self->ps;
	char *tmp = malloc(n);
	const int on = 1;
	int sv[2];

	ASSERT_NE(NULL, tmp);
	if (!own_loopback() || !tcp_pair(sv))
		SKIP(return, "no network: %s", strerror(errno));
	ASSERT_EQ(0, setsockopt(sv[0], SOL_SOCKET, SO_ZEROCOPY, &on,
				sizeof(on)));
	ASSERT_EQ((ssize_t)n, send(sv[0], self->p, n, MSG_ZEROCOPY));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(churn(variant->backing, variant->flags, self->len));
	ASSERT_EQ((ssize_t)n, recv(sv[1], tmp, n, MSG_WAITALL));
	EXPECT_EQ(n, mismatch(tmp, n, 1));
	EXPECT_EQ(0, completion(sv[0]));
	free(tmp);
}

/* What copies instead of pinning works on both paths, at any size. */
TEST_F(pin, copies)
{
	const size_t sizes[] = { 1, 7, self->ps - 1, self->ps, self->ps + 1,
				 3 * self->ps + 13 };
	int pipefd[2];
	char *tmp = malloc(self->len);

	ASSERT_NE(NULL, tmp);
	ASSERT_EQ(0, pipe(pipefd));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t at = 2 * self->ps - 5;
		const ssize_t n = (ssize_t)sizes[i];

		ASSERT_EQ(n, write(pipefd[1], self->p + at, sizes[i]));
		ASSERT_EQ(n, read(pipefd[0], tmp, sizes[i]));
		EXPECT_TRUE(matches_at(tmp, sizes[i], at, 1));
		fill(tmp, sizes[i], (unsigned int)i + 2);
		ASSERT_EQ(n, write(pipefd[1], tmp, sizes[i]));
		ASSERT_EQ(n, read(pipefd[0], self->p + at, sizes[i]));
		EXPECT_TRUE(matches_at(self->p + at, sizes[i], 0,
				       (unsigned int)i + 2));
		EXPECT_TRUE(matches_at(self->p, at, 0, 1));
		ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	}
	free(tmp);
}

TEST_HARNESS_MAIN
