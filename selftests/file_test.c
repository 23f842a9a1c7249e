// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer as a file: read(), write(), lseek() and what else there is besides
 * mmap(). A write() is a store of the kernel, a read() a load of it.
 */
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define NAME	"file-test"

FIXTURE(file) {
	int fd;
	/* More than one piece of a huge buffer, and single pages at the end. */
	size_t length;
	/* All of it, mapped; nothing of it touched. */
	char *map;
	/* As much memory of one's own. */
	char *mem;
};

FIXTURE_VARIANT(file) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(file);

FIXTURE_SETUP(file)
{
	self->length = 2 * MIB + 3 * page_size();
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->map = buf_map(self->fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->map);
	self->mem = malloc(self->length);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(file)
{
	free(self->mem);
	munmap(self->map, self->length);
	close(self->fd);
}

/* Offsets at which pages, page tables and pieces begin and end. */
static size_t edge(size_t length, size_t i)
{
	const size_t edges[] = {
		0, 1, page_size() - 1, page_size(), page_size() + 1,
		16 * page_size() - 1, 16 * page_size(), MIB - 1, MIB,
		2 * MIB - 1, 2 * MIB, 2 * MIB + page_size() - 1,
		length - page_size(), length - 2,
	};

	return i < ARRAY_SIZE(edges) ? edges[i] : length;
}

TEST_F(file, kernel_stores_user_loads)
{
	size_t at;

	for (size_t i = 0; (at = edge(self->length, i)) < self->length; i++) {
		char two[2] = { (char)(i + 1), (char)(i + 101) };

		ASSERT_EQ(2, pwrite(self->fd, two, 2, at));
		EXPECT_EQ(two[0], self->map[at]);
		EXPECT_EQ(two[1], self->map[at + 1]);
	}
}

TEST_F(file, user_stores_kernel_loads)
{
	size_t at;

	for (size_t i = 0; (at = edge(self->length, i)) < self->length; i++) {
		char two[2] = { 0 };

		self->map[at] = (char)(i + 1);
		self->map[at + 1] = (char)(i + 101);
		ASSERT_EQ(2, pread(self->fd, two, 2, at));
		EXPECT_EQ((char)(i + 1), two[0]);
		EXPECT_EQ((char)(i + 101), two[1]);
	}
}

TEST_F(file, read_and_write_advance)
{
	char buf[8] = "";

	ASSERT_EQ(5, write(self->fd, "abcde", 5));
	EXPECT_EQ(5, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(3, write(self->fd, "fgh", 3));
	EXPECT_EQ(8, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(2, lseek(self->fd, 2, SEEK_SET));
	ASSERT_EQ(4, read(self->fd, buf, 4));
	EXPECT_EQ(0, memcmp(buf, "cdef", 4));
	EXPECT_EQ(6, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(file, pread_and_pwrite_do_not)
{
	char buf[4];

	ASSERT_EQ(3, write(self->fd, "abc", 3));
	EXPECT_EQ(4, pwrite(self->fd, "wxyz", 4, 1000));
	EXPECT_EQ(4, pread(self->fd, buf, 4, 1000));
	EXPECT_EQ(0, memcmp(buf, "wxyz", 4));
	EXPECT_EQ(3, lseek(self->fd, 0, SEEK_CUR));
}

/* Pieces of odd sizes that land across page boundaries. */
TEST_F(file, readv_and_writev)
{
	size_t sizes[] = { 1, 4095, 0, 4097, 8191, 3 };
	struct iovec iov[ARRAY_SIZE(sizes)];
	size_t total = 0;

	fill(self->mem, self->length, 7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		iov[i].iov_base = self->mem + total;
		iov[i].iov_len = sizes[i];
		total += sizes[i];
	}
	ASSERT_EQ((off_t)(2 * MIB - 5000),
		  lseek(self->fd, 2 * MIB - 5000, SEEK_SET));
	ASSERT_EQ((ssize_t)total, writev(self->fd, iov, ARRAY_SIZE(iov)));
	EXPECT_EQ(total, mismatch(self->map + 2 * MIB - 5000, total, 7));
	memset(self->mem, 0, total);
	EXPECT_EQ((ssize_t)total,
		  preadv(self->fd, iov, ARRAY_SIZE(iov), 2 * MIB - 5000));
	EXPECT_EQ(total, mismatch(self->mem, total, 7));
	/* Next to what was written nothing is. */
	EXPECT_EQ(0, self->map[2 * MIB - 5001]);
	EXPECT_EQ(0, self->map[2 * MIB - 5000 + total]);
}

TEST_F(file, read_at_the_end)
{
	const off_t end = self->length;
	char buf[16];

	EXPECT_EQ(0, pread(self->fd, buf, 1, end));
	EXPECT_EQ(0, pread(self->fd, buf, 16, end + 1));
	EXPECT_EQ(0, pread(self->fd, buf, 16, LLONG_MAX - 16));
	EXPECT_EQ(1, pread(self->fd, buf, 16, end - 1));
	EXPECT_EQ(0, read(self->fd, buf, 0));
	ASSERT_EQ(end - 3, lseek(self->fd, -3, SEEK_END));
	EXPECT_EQ(3, read(self->fd, buf, 16));
	EXPECT_EQ(end, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, read(self->fd, buf, 16));
	EXPECT_EQ(end, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(file, write_at_the_end)
{
	const off_t end = self->length;

	EXPECT_EQ(-1, pwrite(self->fd, "a", 1, end));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-1, pwrite(self->fd, "a", 1, end + 12345));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(-1, pwrite(self->fd, "a", 1, LLONG_MAX - 16));
	EXPECT_EQ(ENOSPC, errno);
	/* Nothing to write always fits. */
	EXPECT_EQ(0, pwrite(self->fd, "a", 0, end));
	EXPECT_EQ(0, pwrite(self->fd, "a", 0, 0));
	/* As much as fits is written, and then nothing. */
	ASSERT_EQ(end - 3, lseek(self->fd, -3, SEEK_END));
	EXPECT_EQ(3, write(self->fd, "abcdef", 6));
	EXPECT_EQ(end, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, memcmp(self->map + end - 3, "abc", 3));
	EXPECT_EQ(-1, write(self->fd, "def", 3));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(end, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(file, bad_offset)
{
	char buf[4];

	EXPECT_EQ(-1, pread(self->fd, buf, 1, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(self->fd, buf, 1, -1));
	EXPECT_EQ(EINVAL, errno);
	/* The end of the transfer is past the largest offset. */
	EXPECT_EQ(-1, pread(self->fd, buf, 4, LLONG_MAX - 2));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(self->fd, buf, 4, LLONG_MAX - 2));
	EXPECT_EQ(EINVAL, errno);
}

/* The whole buffer is data. */
TEST_F(file, lseek)
{
	const off_t end = self->length;
	const int fd = self->fd;

	EXPECT_EQ(end, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(end - 7, lseek(fd, -7, SEEK_END));
	EXPECT_EQ(end - 8, lseek(fd, -1, SEEK_CUR));
	EXPECT_EQ(end, lseek(fd, 8, SEEK_CUR));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(end, lseek(fd, end, SEEK_SET));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(end - 1, lseek(fd, end - 1, SEEK_DATA));
	EXPECT_EQ(end, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(end, lseek(fd, end - 1, SEEK_HOLE));
}

TEST_F(file, lseek_refused)
{
	const off_t end = self->length;
	const struct {
		off_t offset;
		int whence;
		int error;
	} bad[] = {
		{ -1, SEEK_SET, EINVAL },
		{ LLONG_MIN, SEEK_SET, EINVAL },
		{ end + 1, SEEK_SET, EINVAL },
		{ LLONG_MAX, SEEK_SET, EINVAL },
		{ -4, SEEK_CUR, EINVAL },
		{ end, SEEK_CUR, EINVAL },
		/* From position 3, and from the end: these wrap. */
		{ LLONG_MAX, SEEK_CUR, EINVAL },
		{ LLONG_MAX, SEEK_END, EINVAL },
		{ 1, SEEK_END, EINVAL },
		{ -end - 1, SEEK_END, EINVAL },
		{ end, SEEK_DATA, ENXIO },
		{ end, SEEK_HOLE, ENXIO },
		{ LLONG_MAX, SEEK_DATA, ENXIO },
		{ LLONG_MAX, SEEK_HOLE, ENXIO },
		{ 0, SEEK_HOLE + 1, EINVAL },
		{ 0, -1, EINVAL },
	};

	ASSERT_EQ(3, lseek(self->fd, 3, SEEK_SET));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-1, lseek(self->fd, bad[i].offset, bad[i].whence)) {
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(bad[i].error, errno);
		EXPECT_EQ(3, lseek(self->fd, 0, SEEK_CUR));
	}
}

TEST_F(file, bad_pointer)
{
	void * const bad[] = { NULL, (void *)0xffff888000000000UL,
			       (void *)(1UL << 63) };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-1, read(self->fd, bad[i], 10));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, write(self->fd, bad[i], 10));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, self->map[0]);
}

/* Two pages of which the second cannot be accessed. */
static char *half_bad(void)
{
	char *p = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page_size(), page_size(), PROT_NONE))
		abort();
	return p;
}

/* What lies before the bad page is transferred, and reported as such. */
TEST_F(file, bad_piece_in_the_middle)
{
	char *p = half_bad();
	struct iovec iov[] = {
		{ p, 1000 },
		{ p + page_size(), 1000 },
		{ p + 1000, 1000 },
	};

	fill(p, page_size(), 5);
	EXPECT_EQ(1000, writev(self->fd, iov, 3));
	EXPECT_EQ(1000, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(1000UL, mismatch(self->map, 1000, 5));
	EXPECT_EQ(0, self->map[1000]);
	memset(p, 0, page_size());
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(1000, readv(self->fd, iov, 3));
	EXPECT_EQ(1000, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(1000UL, mismatch(p, 1000, 5));
	EXPECT_TRUE(all_bytes(p + 1000, 1000, 0));
}

/*
 * How near to the bad byte a copy comes is the processor's affair: anything
 * from one byte on is right, if just that much was transferred.
 */
TEST_F(file, piece_that_turns_bad)
{
	char *p = half_bad();
	ssize_t n;

	fill(p, page_size(), 5);
	n = write(self->fd, p, page_size() + 100);
	ASSERT_LT(0, n);
	EXPECT_GE((ssize_t)page_size(), n);
	EXPECT_EQ(n, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ((size_t)n, mismatch(self->map, n, 5));
	memset(p, 0, page_size());
	n = pread(self->fd, p, page_size() + 100, 0);
	ASSERT_LT(0, n);
	EXPECT_GE((ssize_t)page_size(), n);
	EXPECT_EQ((size_t)n, mismatch(p, n, 5));
}

/* One call for nearly all of it, from one odd offset to another. */
TEST_F(file, large_transfer)
{
	const size_t n = self->length - 777;

	fill(self->mem, n, 11);
	ASSERT_EQ((ssize_t)n, pwrite(self->fd, self->mem, n, 333));
	EXPECT_EQ(n, mismatch(self->map + 333, n, 11));
	EXPECT_TRUE(all_bytes(self->map, 333, 0));
	EXPECT_TRUE(all_bytes(self->map + 333 + n, 444, 0));
	memset(self->mem, 0, self->length);
	ASSERT_EQ((ssize_t)n, pread(self->fd, self->mem + 1, n, 333));
	EXPECT_EQ(n, mismatch(self->mem + 1, n, 11));
}

TEST_F(file, many_odd_transfers)
{
	const size_t step = 4099;
	size_t at = 0;

	fill(self->mem, self->length, 13);
	while (at < self->length) {
		ssize_t n = write(self->fd, self->mem + at, step);

		ASSERT_LT(0, n);
		at += n;
	}
	EXPECT_EQ(self->length, at);
	EXPECT_EQ(self->length, mismatch(self->map, self->length, 13));
}

/*
 * The user's side of the copy is the buffer as well, and faults in the middle
 * of it: none of these pages was touched before.
 */
TEST_F(file, read_into_own_mapping)
{
	const size_t n = 3 * page_size() + 5;

	fill(self->mem, n, 17);
	ASSERT_EQ((ssize_t)n, pwrite(self->fd, self->mem, n, 0));
	ASSERT_EQ((ssize_t)n, pread(self->fd, self->map + MIB + 3, n, 0));
	EXPECT_EQ(n, mismatch(self->map + MIB + 3, n, 17));
	/* And onto itself. */
	ASSERT_EQ((ssize_t)n, pread(self->fd, self->map, n, 0));
	EXPECT_EQ(n, mismatch(self->map, n, 17));
}

TEST_F(file, write_from_own_mapping)
{
	const size_t n = 3 * page_size() + 5;

	fill(self->mem, n, 19);
	ASSERT_EQ((ssize_t)n, pwrite(self->fd, self->mem, n, MIB));
	ASSERT_EQ((ssize_t)n, pwrite(self->fd, self->map + MIB, n, 9));
	EXPECT_EQ(n, mismatch(self->map + 9, n, 19));
}

TEST_F(file, always_ready)
{
	const short all = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	struct pollfd pfd = {
		.fd = self->fd,
		.events = all | POLLPRI | POLLRDBAND | POLLWRBAND,
	};
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct timeval now = { 0 };
	fd_set in, out, except;
	int ep;

	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(all, pfd.revents);

	FD_ZERO(&in);
	FD_SET(self->fd, &in);
	out = in;
	except = in;
	EXPECT_EQ(2, select(self->fd + 1, &in, &out, &except, &now));
	EXPECT_TRUE(FD_ISSET(self->fd, &in));
	EXPECT_TRUE(FD_ISSET(self->fd, &out));
	EXPECT_FALSE(FD_ISSET(self->fd, &except));

	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &event));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	EXPECT_EQ((__u32)(EPOLLIN | EPOLLOUT), event.events);
	close(ep);
}

TEST_F(file, fdinfo)
{
	static const char * const backings[] = {
		[KUBUF_BACKING_KMALLOC] = "kmalloc",
		[KUBUF_BACKING_PAGES] = "pages",
		[KUBUF_BACKING_VMALLOC] = "vmalloc",
		[KUBUF_BACKING_HUGE] = "huge",
	};
	struct kubuf_info info;
	char value[64] = "", want[64];

	ASSERT_EQ(0, buf_info(self->fd, &info));
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-id", value, sizeof(value)));
	snprintf(want, sizeof(want), "%llu", (unsigned long long)info.id);
	EXPECT_STREQ(want, value);
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-backing", value,
				 sizeof(value)));
	EXPECT_STREQ(backings[variant->backing], value);
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-length", value,
				 sizeof(value)));
	snprintf(want, sizeof(want), "%zu", self->length);
	EXPECT_STREQ(want, value);
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-mappings", value,
				 sizeof(value)));
	EXPECT_STREQ("1", value);
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-reserved", value,
				 sizeof(value)));
	EXPECT_STREQ(variant->flags & KUBUF_CREATE_RESERVED ? "1" : "0", value);
	EXPECT_FALSE(fdinfo_value(self->fd, "kubuf-name", value,
				  sizeof(value)));
}

TEST_F(file, fstat)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(0U, st.st_mode & 0177);
	EXPECT_EQ((off_t)self->length, st.st_size);
}

/* The length is fixed, and so is all else. */
TEST_F(file, attributes_cannot_be_changed)
{
	const off_t lengths[] = { 0, 1, self->length, self->length + 1 };
	struct stat before, after;

	ASSERT_EQ(0, fstat(self->fd, &before));
	self->map[0] = 'k';
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		EXPECT_EQ(-1, ftruncate(self->fd, lengths[i]));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(-1, fchmod(self->fd, 0777));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fchown(self->fd, NOBODY, NOBODY));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, futimens(self->fd, NULL));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, fstat(self->fd, &after));
	EXPECT_EQ(before.st_size, after.st_size);
	EXPECT_EQ(before.st_mode, after.st_mode);
	EXPECT_EQ(before.st_uid, after.st_uid);
	EXPECT_EQ('k', self->map[0]);
}

TEST_F(file, truncating_reopen)
{
	self->map[0] = 'k';
	EXPECT_EQ(-EINVAL, reopen(self->fd, O_RDWR | O_TRUNC));
	EXPECT_EQ('k', self->map[0]);
}

TEST_F(file, fallocate)
{
	EXPECT_EQ(-1, fallocate(self->fd, 0, 0, page_size()));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, fallocate(self->fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				page_size()));
	EXPECT_EQ(EOPNOTSUPP, errno);
}

/* Nothing is cached, so all is where it belongs. */
TEST_F(file, sync_and_advice)
{
	self->map[5] = 'k';
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fdatasync(self->fd));
	EXPECT_EQ(0, msync(self->map, self->length, MS_SYNC));
	EXPECT_EQ(0, msync(self->map, self->length, MS_ASYNC | MS_INVALIDATE));
	for (int advice = POSIX_FADV_NORMAL; advice <= POSIX_FADV_NOREUSE;
	     advice++)
		EXPECT_EQ(0, posix_fadvise(self->fd, 0, 0, advice));
	EXPECT_EQ('k', self->map[5]);
}

TEST_F(file, dup_shares_the_position)
{
	int fd = dup(self->fd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(5, write(self->fd, "abcde", 5));
	EXPECT_EQ(5, lseek(fd, 0, SEEK_CUR));
	close(fd);
	EXPECT_EQ(5, lseek(self->fd, 0, SEEK_CUR));
}

/*
 * There is no room behind the end, so O_APPEND can mean nothing of use. It
 * must not make a write land elsewhere than without it.
 */
TEST_F(file, append_writes_at_the_position)
{
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_APPEND));
	ASSERT_EQ(10, lseek(self->fd, 10, SEEK_SET));
	EXPECT_EQ(3, write(self->fd, "abc", 3));
	EXPECT_EQ(13, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, memcmp(self->map + 10, "abc", 3));
	EXPECT_EQ(3, pwrite(self->fd, "xyz", 3, 20));
	EXPECT_EQ(0, memcmp(self->map + 20, "xyz", 3));
}

TEST_F(file, nonblocking_is_the_same)
{
	char byte = 0;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(1, write(self->fd, "n", 1));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
	EXPECT_EQ('n', byte);
}

/* A reader can be given a buffer that it cannot write. */
TEST_F(file, reopen_read_only)
{
	char byte = 0;
	int ro;

	self->map[9] = 'k';
	ro = reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(1, pread(ro, &byte, 1, 9));
	EXPECT_EQ('k', byte);
	EXPECT_EQ(-1, pwrite(ro, "x", 1, 9));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(MAP_FAILED, buf_map(ro, page_size(), PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ('k', self->map[9]);
	close(ro);
}

TEST_F(file, reopen_write_only)
{
	char byte;
	int wo = reopen(self->fd, O_WRONLY);

	ASSERT_LE(0, wo);
	EXPECT_EQ(1, pwrite(wo, "w", 1, 9));
	EXPECT_EQ('w', self->map[9]);
	EXPECT_EQ(-1, pread(wo, &byte, 1, 9));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(MAP_FAILED, buf_map(wo, page_size(), PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	close(wo);
}

/* Another open file of the buffer, with a position and a life of its own. */
TEST_F(file, reopen_read_write)
{
	char buf[3] = "";
	int fd;

	ASSERT_EQ(3, write(self->fd, "abc", 3));
	fd = reopen(self->fd, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
	close(self->fd);
	munmap(self->map, self->length);
	EXPECT_EQ(3, read(fd, buf, 3));
	EXPECT_EQ(0, memcmp(buf, "abc", 3));
	self->map = buf_map(fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->map);
	EXPECT_EQ('b', self->map[1]);
	self->fd = fd;
}

TEST_F(file, reopen_direct)
{
	EXPECT_EQ(-EINVAL, reopen(self->fd, O_RDWR | O_DIRECT));
}

TEST_F(file, cannot_be_executed)
{
	char * const argv[] = { "file-test", NULL };
	char * const envp[] = { NULL };

	ASSERT_EQ(10, pwrite(self->fd, "#!/bin/sh\n", 10, 0));
	EXPECT_EQ(-1, syscall(__NR_execveat, self->fd, "", argv, envp,
			      AT_EMPTY_PATH));
	EXPECT_EQ(EACCES, errno);
}

/* The node of a named buffer. */
FIXTURE(node) {
	int fd;
};

FIXTURE_SETUP(node)
{
	buf_destroy(NAME);
	self->fd = buf_create_named(NAME, KUBUF_BACKING_PAGES, 2 * page_size(),
				    0, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(node)
{
	close(self->fd);
	EXPECT_EQ(0, buf_destroy(NAME));
}

TEST_F(node, read_only)
{
	char byte = 0;
	int fd = node_open(NAME, O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(self->fd, "r", 1, 0));
	EXPECT_EQ(1, read(fd, &byte, 1));
	EXPECT_EQ('r', byte);
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(EBADF, errno);
	close(fd);
}

TEST_F(node, write_only)
{
	char byte = 0;
	int fd = node_open(NAME, O_WRONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(1, write(fd, "w", 1));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
	EXPECT_EQ('w', byte);
	close(fd);
}

/* It is a device: the size is not in its stat, but lseek() knows it. */
TEST_F(node, is_a_character_device_that_seeks)
{
	struct stat st;
	int fd = node_open(NAME, O_RDWR);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ((off_t)(2 * page_size()), lseek(fd, 0, SEEK_END));
	EXPECT_EQ((off_t)(2 * page_size()), lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(5, lseek(fd, 5, SEEK_DATA));
	close(fd);
}

/* For devices O_TRUNC has no meaning. */
TEST_F(node, truncation)
{
	char byte = 0;
	int fd;

	ASSERT_EQ(1, pwrite(self->fd, "t", 1, 0));
	fd = node_open(NAME, O_RDWR | O_TRUNC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, read(fd, &byte, 1));
	EXPECT_EQ('t', byte);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(fd, 0, 0, page_size()));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, fsync(fd));
	close(fd);
}

TEST_F(node, fdinfo_has_the_name)
{
	char value[64] = "";
	int fd = node_open(NAME, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_TRUE(fdinfo_value(fd, "kubuf-name", value, sizeof(value)));
	EXPECT_STREQ(NAME, value);
	EXPECT_TRUE(fdinfo_value(self->fd, "kubuf-name", value, sizeof(value)));
	EXPECT_STREQ(NAME, value);
	close(fd);
}

/* Positions are the open file's, not the buffer's. */
TEST_F(node, own_position)
{
	int a = node_open(NAME, O_RDWR), b = node_open(NAME, O_RDWR);

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	EXPECT_EQ(2, write(a, "ab", 2));
	EXPECT_EQ(0, lseek(b, 0, SEEK_CUR));
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
