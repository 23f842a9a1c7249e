// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers as the one and the other end of splice(), sendfile() and
 * copy_file_range().
 */
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "kubuf_task.h"

FIXTURE(splice) {
	int fd;
	/* More than one piece of a huge buffer, and single pages at the end. */
	size_t length;
	/* All of it, mapped; nothing of it touched. */
	char *map;
	/* As much memory of one's own. */
	char *mem;
};

FIXTURE_VARIANT(splice) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(splice);

FIXTURE_SETUP(splice)
{
	self->length = 2 * MIB + 3 * page_size();
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->map = buf_map(self->fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->map);
	self->mem = malloc(self->length);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(splice)
{
	free(self->mem);
	munmap(self->map, self->length);
	close(self->fd);
}

static ssize_t read_all(int fd, char *to, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, to + done, n - done);

		if (got <= 0)
			break;
		done += got;
	}
	return done;
}

TEST_F(splice, to_a_pipe)
{
	loff_t at = 2 * MIB - 30001;
	const loff_t end = at + 40000;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	fill(self->mem, self->length, 23);
	ASSERT_EQ((ssize_t)self->length,
		  pwrite(self->fd, self->mem, self->length, 0));
	memset(self->mem, 0, self->length);
	while (at < end) {
		loff_t from = at;
		ssize_t n = splice(self->fd, &at, pipefd[1], NULL, end - at, 0);

		ASSERT_LT(0, n);
		EXPECT_EQ(from + n, at);
		ASSERT_EQ(n, read_all(pipefd[0], self->mem + from, n));
	}
	/* The pattern depends on the offset, so in place it must be. */
	for (loff_t i = end - 40000; i < end; i++)
		ASSERT_EQ((char)pattern(i, 23), self->mem[i]);
	at = self->length;
	EXPECT_EQ(0, splice(self->fd, &at, pipefd[1], NULL, 1, 0));
	close(pipefd[0]);
	close(pipefd[1]);
}

/* What is in a pipe is a copy: a later store does not change it. */
TEST_F(splice, to_a_pipe_copies)
{
	loff_t at = 0;
	int pipefd[2];
	char buf[4];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(4, pwrite(self->fd, "then", 4, 0));
	ASSERT_EQ(4, splice(self->fd, &at, pipefd[1], NULL, 4, 0));
	memcpy(self->map, "now!", 4);
	ASSERT_EQ(4, read(pipefd[0], buf, 4));
	EXPECT_EQ(0, memcmp(buf, "then", 4));
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(splice, from_a_pipe)
{
	const size_t n = 20001;
	loff_t at = 2 * MIB - 10000;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	fill(self->mem, n, 29);
	ASSERT_EQ((ssize_t)n, write(pipefd[1], self->mem, n));
	for (size_t done = 0; done < n;) {
		ssize_t got = splice(pipefd[0], NULL, self->fd, &at, n - done,
				     0);

		ASSERT_LT(0, got);
		done += got;
	}
	EXPECT_EQ((loff_t)(2 * MIB - 10000 + n), at);
	EXPECT_EQ(n, mismatch(self->map + 2 * MIB - 10000, n, 29));
	/* No room: the pipe keeps what it has. */
	ASSERT_EQ(1, write(pipefd[1], "x", 1));
	at = self->length;
	EXPECT_EQ(-1, splice(pipefd[0], NULL, self->fd, &at, 1, 0));
	EXPECT_EQ(ENOSPC, errno);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(splice, sendfile_to_a_file)
{
	const size_t n = self->length - 4321;
	int memfd = memfd_create("splice-test", MFD_CLOEXEC);
	off_t at = 4321;

	ASSERT_LE(0, memfd);
	fill(self->map, self->length, 31);
	while (at < (off_t)self->length)
		ASSERT_LT(0, sendfile(memfd, self->fd, &at, self->length));
	EXPECT_EQ((off_t)self->length, at);
	EXPECT_EQ(0, sendfile(memfd, self->fd, &at, 1));
	ASSERT_EQ((ssize_t)n, pread(memfd, self->mem + 4321, n + 1, 0));
	for (size_t i = 4321; i < self->length; i++)
		ASSERT_EQ((char)pattern(i, 31), self->mem[i]);
	close(memfd);
}

TEST_F(splice, sendfile_from_a_file)
{
	const size_t n = MIB + 99;
	int memfd = memfd_create("splice-test", MFD_CLOEXEC);
	off_t at = 0;

	ASSERT_LE(0, memfd);
	fill(self->mem, n, 37);
	ASSERT_EQ((ssize_t)n, write(memfd, self->mem, n));
	ASSERT_EQ(55, lseek(self->fd, 55, SEEK_SET));
	while (at < (off_t)n)
		ASSERT_LT(0, sendfile(self->fd, memfd, &at, n - at));
	EXPECT_EQ((off_t)(55 + n), lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(n, mismatch(self->map + 55, n, 37));
	close(memfd);
}

TEST_F(splice, sendfile_to_a_socket)
{
	const size_t n = 20000;
	off_t at = 3;
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	fill(self->map, self->length, 41);
	while (at < (off_t)n + 3) {
		off_t from = at;
		ssize_t sent = sendfile(sv[0], self->fd, &at, n + 3 - at);

		ASSERT_LT(0, sent);
		ASSERT_EQ(sent, read_all(sv[1], self->mem + from, sent));
	}
	for (size_t i = 3; i < n + 3; i++)
		ASSERT_EQ((char)pattern(i, 41), self->mem[i]);
	close(sv[0]);
	close(sv[1]);
}

TEST_F(splice, copy_file_range_between_buffers)
{
	const off_t n = self->length - 100;
	off_t from = 1, to = 50;
	int fd = buf_create(variant->backing, self->length, variant->flags);

	ASSERT_LE(0, fd);
	fill(self->mem, self->length, 43);
	ASSERT_EQ((ssize_t)n, pwrite(self->fd, self->mem, n, 1));
	while (from < n + 1)
		ASSERT_LT(0, copy_file_range(self->fd, &from, fd, &to,
					     n + 1 - from, 0));
	EXPECT_EQ(n + 50, to);
	memset(self->mem, 0, self->length);
	ASSERT_EQ((ssize_t)n, pread(fd, self->mem, n, 50));
	EXPECT_EQ((size_t)n, mismatch(self->mem, n, 43));
	close(fd);
}

TEST_F(splice, copy_file_range_onto_itself)
{
	off_t from = 0, to = 10;

	EXPECT_EQ(-1, copy_file_range(self->fd, &from, self->fd, &to, 11, 0));
	EXPECT_EQ(EINVAL, errno);
	fill(self->map, 20, 47);
	EXPECT_EQ(10, copy_file_range(self->fd, &from, self->fd, &to, 10, 0));
	EXPECT_EQ(10U, mismatch(self->map + 10, 10, 47));
}

/* A node is no regular file. */
TEST_F(splice, copy_file_range_with_a_node)
{
	off_t from = 0, to = 0;
	int node;

	buf_destroy("splice-test");
	node = buf_create_named("splice-test", variant->backing, 1,
				variant->flags, 0);
	ASSERT_LE(0, node);
	close(node);
	node = node_open("splice-test", O_RDWR);
	ASSERT_LE(0, node);
	EXPECT_EQ(-1, copy_file_range(self->fd, &from, node, &to, 10, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, copy_file_range(node, &from, self->fd, &to, 10, 0));
	EXPECT_EQ(EINVAL, errno);
	close(node);
	EXPECT_EQ(0, buf_destroy("splice-test"));
}

/* Between file systems it is not for the kernel to do. */
TEST_F(splice, copy_file_range_to_another_file)
{
	int memfd = memfd_create("splice-test", MFD_CLOEXEC);
	off_t from = 0, to = 0;

	ASSERT_LE(0, memfd);
	EXPECT_EQ(-1, copy_file_range(self->fd, &from, memfd, &to, 10, 0));
	EXPECT_EQ(EXDEV, errno);
	close(memfd);
}

TEST_HARNESS_MAIN
