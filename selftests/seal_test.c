// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sealed buffer: there is no new way to write to it. What could write before
 * still can, as with F_SEAL_FUTURE_WRITE of a memfd.
 */
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_uring.h"
#include "kubuf_task.h"

#define NAME	"seal-test"

#define RW	(PROT_READ | PROT_WRITE)

static int seal(int fd, __u32 seals)
{
	struct kubuf_seal s = { .size = sizeof(s), .seals = seals };

	return kioctl(fd, KUBUF_SEAL, &s);
}

static int export(int fd, __u32 flags)
{
	struct kubuf_export e = { .size = sizeof(e), .flags = flags };

	return kioctl(fd, KUBUF_EXPORT, &e);
}

/* What a call that answers -1 on error answers, as 0 or -errno. */
static int result(ssize_t ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static int map_result(int fd, int prot, int flags)
{
	char *map = mmap(NULL, page_size(), prot, flags, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, page_size());
	return 0;
}

FIXTURE(seal)
{
	size_t length;
	int fd;
	char *old;	/* mapped before */
	char *data;
};

FIXTURE_VARIANT(seal)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(seal);

FIXTURE_SETUP(seal)
{
	self->length = 4 * page_size();
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->old = buf_map(self->fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, self->old);
	self->data = malloc(self->length);
	ASSERT_NE(NULL, self->data);
	memset(self->data, 0xff, self->length);
	ASSERT_TRUE(kernel_fill(self->fd, self->length, 1));
	ASSERT_EQ(0, seal(self->fd, KUBUF_SEAL_WRITE));
}

/* Whatever was tried, the bytes are as they were. */
FIXTURE_TEARDOWN(seal)
{
	EXPECT_EQ(self->length, kernel_mismatch(self->fd, self->length, 1));
	free(self->data);
	munmap(self->old, self->length);
	close(self->fd);
}

TEST_F(seal, shown)
{
	struct kubuf_info info;
	char value[16];

	EXPECT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(KUBUF_SEAL_WRITE, info.seals);
	ASSERT_TRUE(fdinfo_value(self->fd, "kubuf-seals", value,
				 sizeof(value)));
	EXPECT_STREQ("0x1", value);
}

TEST_F(seal, stays)
{
	struct kubuf_info info;

	EXPECT_EQ(0, seal(self->fd, 0));
	EXPECT_EQ(0, seal(self->fd, KUBUF_SEAL_WRITE));
	EXPECT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(KUBUF_SEAL_WRITE, info.seals);
}

TEST_F(seal, write)
{
	EXPECT_EQ(-EPERM, result(write(self->fd, self->data, 1)));
	EXPECT_EQ(-EPERM, result(pwrite(self->fd, self->data, 1, 3)));
	EXPECT_EQ(-EPERM, result(pwrite(self->fd, self->data, self->length,
					0)));
	EXPECT_EQ(-EPERM, result(pwrite(self->fd, self->data, 1,
					(off_t)self->length)));
	EXPECT_EQ(0, result(write(self->fd, self->data, 0)));
}

TEST_F(seal, vectors)
{
	struct iovec iov = { self->data, 2 };

	EXPECT_EQ(-EPERM, result(writev(self->fd, &iov, 1)));
	EXPECT_EQ(-EPERM, result(pwritev2(self->fd, &iov, 1, 0, RWF_NOWAIT)));
}

TEST_F(seal, splice)
{
	int pipe[2];

	ASSERT_EQ(0, pipe2(pipe, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(5, write(pipe[1], self->data, 5));
	EXPECT_EQ(-EPERM, result(splice(pipe[0], NULL, self->fd, NULL, 5, 0)));
	close(pipe[0]);
	close(pipe[1]);
}

TEST_F(seal, sendfile)
{
	int from = buf_create(KUBUF_BACKING_VMALLOC, self->length, 0);

	ASSERT_LE(0, from);
	EXPECT_EQ(-EPERM, result(sendfile(self->fd, from, NULL,
					  self->length)));
	close(from);
}

TEST_F(seal, copy_file_range)
{
	int from = buf_create(KUBUF_BACKING_VMALLOC, self->length, 0);
	int ret;

	ASSERT_LE(0, from);
	ret = result(copy_file_range(from, NULL, self->fd, NULL, self->length,
				     0));
	EXPECT_EQ(-EPERM, ret);
	close(from);
}

TEST_F(seal, uring)
{
	struct ring ring;
	int err = ring_open(&ring);

	ASSERT_EQ(0, err);
	EXPECT_EQ(-EPERM, ring_io(&ring, IORING_OP_WRITE, self->fd, self->data,
				  1, 0));
	ring_close(&ring);
}

TEST_F(seal, new_writable_mapping)
{
	EXPECT_EQ(-EPERM, map_result(self->fd, RW, MAP_SHARED));
	EXPECT_EQ(-EPERM, map_result(self->fd, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EPERM, map_result(self->fd, RW, MAP_SHARED | MAP_POPULATE));
	EXPECT_EQ(1, buf_mappings(self->fd));
}

TEST_F(seal, through_another_file)
{
	int fd = reopen(self->fd, O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, result(write(fd, self->data, 1)));
	EXPECT_EQ(-EPERM, map_result(fd, RW, MAP_SHARED));
	close(fd);
}

TEST_F(seal, a_mapping_for_reading)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(self->length, mismatch(map, self->length, 1));
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	munmap(map, self->length);
}

TEST_F(seal, no_way_by_mprotect)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-EACCES, result(mprotect(map, self->length, RW)));
	munmap(map, self->length);
	map = buf_map(self->fd, self->length, PROT_NONE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-EACCES, result(mprotect(map, self->length, RW)));
	munmap(map, self->length);
}

TEST_F(seal, no_way_by_remap_file_pages)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);

	ASSERT_NE(MAP_FAILED, map);
	/* Moves what is mapped, and may: but never makes it writable. */
	syscall(SYS_remap_file_pages, map, page_size(), 0, 1, 0);
	EXPECT_EQ(-EACCES, result(mprotect(map, page_size(), RW)));
	munmap(map, self->length);
}

/* By force, as a debugger stores to what is not writable. */
TEST_F(seal, no_way_by_proc)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, mem);
	EXPECT_EQ(-EIO, result(pwrite(mem, self->data, 1, (off_t)map)));
	close(mem);
	munmap(map, self->length);
}

TEST_F(seal, no_way_by_map_files)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);
	char path[80];
	int fd;

	ASSERT_NE(MAP_FAILED, map);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)map, (unsigned long)map + self->length);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, result(write(fd, self->data, 1)));
	EXPECT_EQ(-EPERM, map_result(fd, RW, MAP_SHARED));
	close(fd);
	munmap(map, self->length);
}

TEST_F(seal, a_private_mapping)
{
	char *map;

	if (variant->pfn) {
		EXPECT_EQ(-EINVAL, map_result(self->fd, RW, MAP_PRIVATE));
		return;
	}
	map = mmap(NULL, self->length, RW, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, access_signal(map, true));
	EXPECT_EQ(1, load(map));
	munmap(map, self->length);
}

TEST_F(seal, no_export_to_write)
{
	EXPECT_EQ(-EPERM, export(self->fd, KUBUF_EXPORT_WRITE));
}

TEST_F(seal, an_export_to_read)
{
	int fd = export(self->fd, 0);
	char *map;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, map_result(fd, RW, MAP_SHARED));
	map = buf_map(fd, self->length, PROT_READ);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(self->length, mismatch(map, self->length, 1));
	EXPECT_EQ(-EACCES, result(mprotect(map, self->length, RW)));
	munmap(map, self->length);
	close(fd);
}

TEST_F(seal, reading)
{
	char c;

	EXPECT_EQ(1, pread(self->fd, &c, 1, 0));
	EXPECT_EQ((char)pattern(0, 1), c);
}

TEST_F(seal, notifying)
{
	struct kubuf_notify n = { .size = sizeof(n) };

	EXPECT_EQ(0, kioctl(self->fd, KUBUF_NOTIFY, &n));
}

/* Before the seal, or without one. */
FIXTURE(before)
{
	size_t length;
	int fd;
};

FIXTURE_VARIANT(before)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(before);

FIXTURE_SETUP(before)
{
	self->length = 4 * page_size();
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(before)
{
	close(self->fd);
}

/* Who hands a buffer out goes on writing. */
TEST_F(before, a_mapping_stays_writable)
{
	char *map = buf_map(self->fd, self->length, RW);
	char c = 0;

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, seal(self->fd, KUBUF_SEAL_WRITE));
	EXPECT_EQ(0, access_signal(map, true));
	EXPECT_EQ(0, access_signal(map + page_size(), true));
	EXPECT_EQ(1, pread(self->fd, &c, 1, (off_t)page_size()));
	EXPECT_EQ(1, c);
	munmap(map, self->length);
}

/* A device, or a driver, could write at any time. */
TEST_F(before, not_while_there_is_an_export_to_write)
{
	int fd = export(self->fd, KUBUF_EXPORT_WRITE);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, seal(self->fd, KUBUF_SEAL_WRITE));
	EXPECT_EQ(0, seal(self->fd, 0));
	EXPECT_EQ(1, write(self->fd, "x", 1));
	close(fd);
	EXPECT_EQ(0, seal(self->fd, KUBUF_SEAL_WRITE));
}

TEST_F(before, while_there_is_an_export_to_read)
{
	int fd = export(self->fd, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, seal(self->fd, KUBUF_SEAL_WRITE));
	EXPECT_EQ(-EACCES, map_result(fd, RW, MAP_SHARED));
	close(fd);
}

TEST_F(before, not_through_a_read_only_file)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, seal(fd, KUBUF_SEAL_WRITE));
	EXPECT_EQ(1, write(self->fd, "x", 1));
	close(fd);
}

TEST_F(before, seals_that_there_are_not)
{
	struct kubuf_info info;

	EXPECT_EQ(-EINVAL, seal(self->fd, 2));
	EXPECT_EQ(-EINVAL, seal(self->fd, KUBUF_SEAL_WRITE | 1U << 31));
	EXPECT_EQ(0, seal(self->fd, 0));
	EXPECT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(0U, info.seals);
}

TEST_F(before, sizes)
{
	struct kubuf_seal s = { .size = sizeof(s) - 1, .seals = 1 };

	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_SEAL, &s));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_SEAL, NULL));
	EXPECT_EQ(1, write(self->fd, "x", 1));
}

/* A seal is the buffer's and not the file's. */
TEST_F(before, outlives_the_files)
{
	int fd;

	buf_destroy(NAME);
	fd = buf_create_named(NAME, variant->backing, self->length,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, seal(fd, KUBUF_SEAL_WRITE));
	close(fd);
	fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, result(write(fd, "x", 1)));
	EXPECT_EQ(-EPERM, map_result(fd, RW, MAP_SHARED));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(fd);
}

TEST_HARNESS_MAIN
