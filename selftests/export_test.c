// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer as a dma-buf: what a process can do with it, and what a device is
 * told. The device is a module of these tests, or vgem.
 */
#include <poll.h>

#include <linux/dma-buf.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "kubuf_import.h"
#include "kubuf_map.h"
#include "kubuf_vgem.h"

#define NAME	"export-test"

/* As much as has a whole piece of a huge buffer, and more. */
#define LENGTH	(3 * MIB)

#define RW	(PROT_READ | PROT_WRITE)

static int export_part(int fd, __u32 flags, __u64 offset, __u64 length)
{
	struct kubuf_export e = {
		.size = sizeof(e),
		.flags = flags,
		.offset = offset,
		.length = length,
	};

	return kioctl(fd, KUBUF_EXPORT, &e);
}

static int map_result(int fd, size_t length, int prot, int flags, off_t offset)
{
	char *map = mmap(NULL, length, prot, flags, fd, offset);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, length);
	return 0;
}

/* Is the buffer of that number still there? */
static bool exists(__u64 id)
{
	char path[64];

	snprintf(path, sizeof(path), DEBUGFS "%llu", (unsigned long long)id);
	return !access(path, F_OK);
}

static __u64 id_of(int fd)
{
	struct kubuf_info info;

	return buf_info(fd, &info) ? 0 : info.id;
}

FIXTURE(export)
{
	size_t length;
	int fd;
	int dmabuf;
};

FIXTURE_VARIANT(export)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(export);

FIXTURE_SETUP(export)
{
	self->length = LENGTH;
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->dmabuf = export_part(self->fd, KUBUF_EXPORT_WRITE, 0, 0);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_TRUE(kernel_fill(self->fd, self->length, 1));
}

FIXTURE_TEARDOWN(export)
{
	close(self->dmabuf);
	close(self->fd);
}

TEST_F(export, has_the_size)
{
	EXPECT_EQ((off_t)self->length, lseek(self->dmabuf, 0, SEEK_END));
}

TEST_F(export, closes_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->dmabuf, F_GETFD));
}

TEST_F(export, is_the_same_memory)
{
	char *map = buf_map(self->dmabuf, self->length, RW);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(self->length, mismatch(map, self->length, 1));
	fill(map, self->length, 2);
	EXPECT_EQ(self->length, kernel_mismatch(self->fd, self->length, 2));
	munmap(map, self->length);
}

TEST_F(export, maps_nothing_before_the_first_access)
{
	char *map = buf_map(self->dmabuf, self->length, RW);
	const long pages = (long)(self->length / page_size());

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, mapped(self->fd, 0, pages, NULL, NULL));
	touch(map, self->length);
	EXPECT_EQ(pages, mapped(self->fd, 0, pages, NULL, NULL));
	munmap(map, self->length);
	EXPECT_EQ(0, mapped(self->fd, 0, pages, NULL, NULL));
}

TEST_F(export, mappings_are_counted)
{
	char *map = buf_map(self->dmabuf, self->length, RW);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(0, munmap(map + page_size(), page_size()));
	EXPECT_EQ(2, buf_mappings(self->fd));
	munmap(map, self->length);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

TEST_F(export, sync)
{
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW,
	};

	EXPECT_EQ(0, kioctl(self->dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	EXPECT_EQ(0, kioctl(self->dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
}

TEST_F(export, a_part)
{
	const size_t from = MIB + page_size(), length = 64 * KIB;
	int part = export_part(self->fd, KUBUF_EXPORT_WRITE, from, length);
	char *map;

	ASSERT_LE(0, part);
	EXPECT_EQ((off_t)length, lseek(part, 0, SEEK_END));
	map = buf_map(part, length, RW);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(matches_at(map, length, from, 1));
	munmap(map, length);
	map = mmap(NULL, page_size(), RW, MAP_SHARED, part,
		   (off_t)(3 * page_size()));
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(matches_at(map, page_size(), from + 3 * page_size(), 1));
	munmap(map, page_size());
	close(part);
}

TEST_F(export, the_rest)
{
	const size_t from = self->length - page_size();
	int part = export_part(self->fd, 0, from, 0);

	ASSERT_LE(0, part);
	EXPECT_EQ((off_t)page_size(), lseek(part, 0, SEEK_END));
	close(part);
}

TEST_F(export, no_way_out_of_a_part)
{
	const size_t page = page_size();
	int part = export_part(self->fd, KUBUF_EXPORT_WRITE, page, 2 * page);
	char *map;

	ASSERT_LE(0, part);
	EXPECT_EQ(-EINVAL, map_result(part, 3 * page, RW, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, map_result(part, page, RW, MAP_SHARED,
				      (off_t)(2 * page)));
	EXPECT_EQ(-EOVERFLOW, map_result(part, page, RW, MAP_SHARED,
					 -(off_t)page));
	map = buf_map(part, 2 * page, RW);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(MAP_FAILED, mremap(map, 2 * page, 3 * page, MREMAP_MAYMOVE));
	/* To what would be the third page; it takes the mapping away. */
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, map, page, 0, 2, 0));
	EXPECT_EQ(EINVAL, errno);
	munmap(map, 2 * page);
	map = buf_map(part, 2 * page, RW);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, syscall(SYS_remap_file_pages, map, page, 0, 1, 0));
	EXPECT_TRUE(matches_at(map, page, 2 * page, 1));
	munmap(map, 2 * page);
	close(part);
}

TEST_F(export, bad_ranges)
{
	const __u64 page = page_size(), end = self->length;
	const __u64 huge = -page;
	const __u64 ranges[][2] = {
		{ 1, page },		{ page - 1, page },
		{ 0, 1 },		{ 0, page + 1 },
		{ end, 0 },		{ end, page },
		{ 0, end + page },	{ page, end },
		{ end - page, 2 * page }, { end + page, 0 },
		{ page, huge },		{ huge, page },
		{ huge, 0 },		{ huge, huge },
		{ 1ULL << 63, 0 },	{ 0, 1ULL << 63 },
		{ UINT64_MAX, 0 },	{ 0, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(-EINVAL, export_part(self->fd, 0, ranges[i][0],
					       ranges[i][1])) {
			TH_LOG("range %zu", i);
		}
	}
}

TEST_F(export, bad_flags)
{
	EXPECT_EQ(-EINVAL, export_part(self->fd, 2, 0, 0));
	EXPECT_EQ(-EINVAL, export_part(self->fd, 1U << 31, 0, 0));
}

TEST_F(export, bad_sizes)
{
	struct {
		struct kubuf_export e;
		__u64 more;
	} big = { .e.size = sizeof(big) };
	int fd;

	fd = kioctl(self->fd, KUBUF_EXPORT, &big);
	EXPECT_LE(0, fd);
	close(fd);
	big.more = 1;
	EXPECT_EQ(-E2BIG, kioctl(self->fd, KUBUF_EXPORT, &big));
	big.e.size = sizeof(big.e) - 1;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_EXPORT, &big));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_EXPORT, NULL));
}

TEST_F(export, of_a_read_only_file)
{
	int fd = reopen(self->fd, O_RDONLY), dmabuf;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, export_part(fd, KUBUF_EXPORT_WRITE, 0, 0));
	dmabuf = export_part(fd, 0, 0, 0);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(-EACCES, map_result(dmabuf, page_size(), RW, MAP_SHARED, 0));
	EXPECT_EQ(0, map_result(dmabuf, page_size(), PROT_READ, MAP_SHARED,
				0));
	close(dmabuf);
	close(fd);
}

TEST_F(export, read_only_stays_so)
{
	int dmabuf = export_part(self->fd, 0, 0, 0);
	char *map;

	ASSERT_LE(0, dmabuf);
	map = buf_map(dmabuf, self->length, PROT_READ);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-1, mprotect(map, page_size(), RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	syscall(SYS_remap_file_pages, map, page_size(), 0, 1, 0);
	EXPECT_EQ(-1, mprotect(map, page_size(), RW));
	munmap(map, self->length);
	close(dmabuf);
}

TEST_F(export, as_private_as_the_buffer)
{
	EXPECT_EQ(variant->pfn ? -EINVAL : 0,
		  map_result(self->dmabuf, page_size(), RW, MAP_PRIVATE, 0));
	EXPECT_EQ(-EPERM, map_result(self->dmabuf, page_size(),
				     PROT_READ | PROT_EXEC, MAP_SHARED, 0));
}

/* Whether pages can be pinned is as with the buffer. */
TEST_F(export, pins)
{
	char *map = buf_map(self->dmabuf, self->length, RW);
	int pipe[2];
	struct iovec iov;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe2(pipe, O_CLOEXEC));
	iov.iov_base = map;
	iov.iov_len = page_size();
	if (variant->pfn) {
		EXPECT_EQ(-1, vmsplice(pipe[1], &iov, 1, 0));
		EXPECT_EQ(EFAULT, errno);
	} else {
		EXPECT_EQ((ssize_t)page_size(), vmsplice(pipe[1], &iov, 1, 0));
	}
	close(pipe[0]);
	close(pipe[1]);
	munmap(map, self->length);
}

TEST_F(export, outlives_the_file)
{
	const __u64 id = id_of(self->fd);
	char *map;

	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(exists(id));
	map = buf_map(self->dmabuf, self->length, RW);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(self->length, mismatch(map, self->length, 1));
	close(self->dmabuf);
	self->dmabuf = -1;
	EXPECT_TRUE(exists(id));
	EXPECT_TRUE(matches_at(map + MIB, MIB, MIB, 1));
	munmap(map, self->length);
	EXPECT_FALSE(exists(id));
}

#define NO_VGEM	"this kernel has no vgem"

/* What another driver imports and exports again is the same memory. */
TEST_F(export, comes_back_from_vgem)
{
	int vgem = vgem_open(), fd;
	__u32 handle;
	char *map;

	if (vgem < 0)
		SKIP(return, NO_VGEM);
	ASSERT_EQ(0, vgem_import(vgem, self->dmabuf, &handle));
	fd = vgem_export(vgem, handle);
	ASSERT_LE(0, fd);
	map = buf_map(fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(self->length, mismatch(map, self->length, 1));
	fill(map, self->length, 2);
	EXPECT_EQ(self->length, kernel_mismatch(self->fd, self->length, 2));
	munmap(map, self->length);
	close(fd);
	close(vgem);
}

TEST_F(export, vgem_holds_the_buffer)
{
	const __u64 id = id_of(self->fd);
	int vgem = vgem_open();
	__u32 handle;

	if (vgem < 0)
		SKIP(return, NO_VGEM);
	ASSERT_EQ(0, vgem_import(vgem, self->dmabuf, &handle));
	close(self->fd);
	close(self->dmabuf);
	self->fd = -1;
	self->dmabuf = -1;
	EXPECT_TRUE(exists(id));
	EXPECT_EQ(0, vgem_drop(vgem, handle));
	EXPECT_FALSE(exists(id));
	close(vgem);
}

/* Who polls waits for a driver that says it is writing. */
TEST_F(export, poll_waits_for_vgem)
{
	struct pollfd p = { .fd = self->dmabuf, .events = POLLIN };
	int vgem = vgem_open();
	__u32 handle, fence;

	if (vgem < 0)
		SKIP(return, NO_VGEM);
	EXPECT_EQ(1, poll(&p, 1, 0));
	ASSERT_EQ(0, vgem_import(vgem, self->dmabuf, &handle));
	ASSERT_EQ(0, vgem_begin(vgem, handle, &fence));
	EXPECT_EQ(0, poll(&p, 1, 50));
	ASSERT_EQ(0, vgem_end(vgem, fence));
	EXPECT_EQ(1, poll(&p, 1, 10000));
	EXPECT_EQ(POLLIN, p.revents);
	close(vgem);
}

TEST_F(export, holds_the_module)
{
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
}

TEST_F(export, of_a_buffer_without_its_node)
{
	int fd, dmabuf;

	buf_destroy(NAME);
	fd = buf_create_named(NAME, variant->backing, page_size(),
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, buf_destroy(NAME));
	dmabuf = export_part(fd, KUBUF_EXPORT_WRITE, 0, 0);
	EXPECT_LE(0, dmabuf);
	close(fd);
	EXPECT_EQ(0, map_result(dmabuf, page_size(), RW, MAP_SHARED, 0));
	close(dmabuf);
}

static long export_without_room(void *arg)
{
	const int *fd = arg;
	struct rlimit none = {};

	/* Nothing above the lowest number that is free. */
	none.rlim_cur = (rlim_t)next_fd();
	none.rlim_max = none.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &none))
		return -errno;
	return export_part(*fd, KUBUF_EXPORT_WRITE, 0, 0);
}

TEST_F(export, no_descriptor_left)
{
	struct kubuf_seal s = { .size = sizeof(s), .seals = KUBUF_SEAL_WRITE };
	const __u64 id = id_of(self->fd);

	EXPECT_EQ(-EMFILE, in_child(export_without_room, &self->fd));
	close(self->dmabuf);
	/* There is none to write to any more. */
	EXPECT_EQ(0, kioctl(self->fd, KUBUF_SEAL, &s));
	close(self->fd);
	self->dmabuf = -1;
	self->fd = -1;
	EXPECT_FALSE(exists(id));
}

static long map_without_rawio(void *arg)
{
	const int *dmabuf = arg;
	int err = drop(CAP_SYS_RAWIO);

	return err ?: map_result(*dmabuf, page_size(), RW, MAP_SHARED, 0);
}

TEST_F(export, reserved_needs_rawio)
{
	const bool reserved = variant->flags & KUBUF_CREATE_RESERVED;

	EXPECT_EQ(reserved ? -EPERM : 0,
		  in_child(map_without_rawio, &self->dmabuf));
}

/* The module that stands for a device. */
FIXTURE(device)
{
	size_t length;
	int fd;
	int dmabuf;
	int importer;
	struct importer_args *args;
};

FIXTURE_VARIANT(device)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(device);

FIXTURE_SETUP(device)
{
	self->length = LENGTH;
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->dmabuf = export_part(self->fd, KUBUF_EXPORT_WRITE, 0, 0);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_TRUE(kernel_fill(self->fd, self->length, 1));
	self->importer = importer_open();
	ASSERT_LE(0, self->importer);
	self->args = calloc(1, sizeof(*self->args));
	ASSERT_NE(NULL, self->args);
}

FIXTURE_TEARDOWN(device)
{
	free(self->args);
	close(self->importer);
	close(self->dmabuf);
	close(self->fd);
	importer_unload();
}

/* The sum of all bytes of a pattern. */
static __u64 sum_of(size_t length, unsigned int seed)
{
	__u64 sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += pattern(i, seed);
	return sum;
}

/* Is the device told of the pages from INDEX on, in this order, and no more? */
static bool told(int fd, const struct importer_args *args, size_t index,
		 size_t nr)
{
	const size_t all = index + nr, page = page_size();
	struct page_state *st = calloc(all, sizeof(*st));
	bool good = st && page_states(fd, st, (long)all) == (long)all &&
		    args->nr <= IMPORTER_PIECES;

	for (__u32 i = 0; good && i < args->nr; i++)
		for (__u64 at = 0; good && at < args->pieces[i].length;
		     at += page)
			good = index < all &&
			       st[index++].pfn * page ==
			       args->pieces[i].address + at;
	free(st);
	return good && index == all;
}

TEST_F(device, is_told_the_frames)
{
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, BIDIRECTIONAL));
	EXPECT_TRUE(told(self->fd, self->args, 0,
			 self->length / page_size()));
	if (variant->backing == KUBUF_BACKING_PAGES ||
	    variant->backing == KUBUF_BACKING_KMALLOC) {
		EXPECT_EQ(1U, self->args->nr);
	}
}

TEST_F(device, is_told_of_a_part_only)
{
	const size_t index = 3, nr = 600;
	int part = export_part(self->fd, KUBUF_EXPORT_WRITE,
			       index * page_size(), nr * page_size());

	ASSERT_LE(0, part);
	ASSERT_EQ(0, attach(self->importer, self->args, part));
	ASSERT_EQ(0, map_for(self->importer, self->args, BIDIRECTIONAL));
	EXPECT_TRUE(told(self->fd, self->args, index, nr));
	close(part);
}

TEST_F(device, writes)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, FROM_DEVICE));
	self->args->byte = 0x5a;
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_WRITE, self->args));
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_UNMAP, self->args));
	EXPECT_TRUE(all_bytes(map, self->length, 0x5a));
	munmap(map, self->length);
}

TEST_F(device, reads)
{
	char *map = buf_map(self->fd, self->length, RW);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, self->length, 9);
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, TO_DEVICE));
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_READ, self->args));
	EXPECT_EQ(sum_of(self->length, 9), self->args->sum);
	munmap(map, self->length);
}

TEST_F(device, writes_a_part_only)
{
	const size_t from = 5 * page_size(), length = 7 * page_size();
	int part = export_part(self->fd, KUBUF_EXPORT_WRITE, from, length);
	char *map = buf_map(self->fd, self->length, PROT_READ);
	const size_t end = from + length;

	ASSERT_LE(0, part);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, attach(self->importer, self->args, part));
	ASSERT_EQ(0, map_for(self->importer, self->args, FROM_DEVICE));
	self->args->byte = 0xa5;
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_WRITE, self->args));
	EXPECT_TRUE(matches_at(map, from, 0, 1));
	EXPECT_TRUE(all_bytes(map + from, length, 0xa5));
	EXPECT_TRUE(matches_at(map + end, self->length - end, end, 1));
	munmap(map, self->length);
	close(part);
}

TEST_F(device, driver_stores)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	self->args->byte = 0x77;
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_STORE, self->args));
	EXPECT_TRUE(all_bytes(map, self->length, 0x77));
	munmap(map, self->length);
}

TEST_F(device, driver_loads)
{
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_LOAD, self->args));
	EXPECT_EQ(sum_of(self->length, 1), self->args->sum);
}

TEST_F(device, driver_loads_a_part)
{
	const size_t from = self->length - 2 * page_size();
	int part = export_part(self->fd, KUBUF_EXPORT_WRITE, from, 0);

	ASSERT_LE(0, part);
	ASSERT_EQ(0, attach(self->importer, self->args, part));
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_LOAD, self->args));
	EXPECT_EQ(sum_of(self->length, 1) - sum_of(from, 1), self->args->sum);
	close(part);
}

/* What the processor stores meanwhile is what the device reads. */
TEST_F(device, sees_what_the_driver_stores)
{
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, TO_DEVICE));
	self->args->byte = 1;
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_STORE, self->args));
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_READ, self->args));
	EXPECT_EQ(self->length, self->args->sum);
}

TEST_F(device, two_at_once)
{
	int other = importer_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, BIDIRECTIONAL));
	ASSERT_EQ(0, attach(other, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(other, self->args, BIDIRECTIONAL));
	self->args->byte = 3;
	ASSERT_EQ(0, kioctl(self->importer, IMPORTER_WRITE, self->args));
	ASSERT_EQ(0, kioctl(other, IMPORTER_READ, self->args));
	EXPECT_EQ(3 * self->length, self->args->sum);
	close(other);
}

TEST_F(device, cannot_write_what_is_exported_to_read)
{
	int dmabuf = export_part(self->fd, 0, 0, 0);

	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, attach(self->importer, self->args, dmabuf));
	EXPECT_EQ(-EPERM, map_for(self->importer, self->args, BIDIRECTIONAL));
	EXPECT_EQ(-EPERM, map_for(self->importer, self->args, FROM_DEVICE));
	EXPECT_EQ(-EINVAL, kioctl(self->importer, IMPORTER_STORE, self->args));
	EXPECT_EQ(0, map_for(self->importer, self->args, TO_DEVICE));
	close(dmabuf);
}

TEST_F(device, holds_the_buffer)
{
	const __u64 id = id_of(self->fd);

	ASSERT_EQ(0, attach(self->importer, self->args, self->dmabuf));
	ASSERT_EQ(0, map_for(self->importer, self->args, BIDIRECTIONAL));
	close(self->dmabuf);
	close(self->fd);
	self->dmabuf = -1;
	self->fd = -1;
	EXPECT_TRUE(exists(id));
	EXPECT_EQ(0, kioctl(self->importer, IMPORTER_READ, self->args));
	EXPECT_EQ(sum_of(self->length, 1), self->args->sum);
	close(self->importer);
	self->importer = -1;
	EXPECT_FALSE(exists(id));
}

TEST_HARNESS_MAIN
