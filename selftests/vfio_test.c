// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping given to a device: VFIO, by its type 1 and by iommufd. The device is
 * "edu", which QEMU emulates for teaching: it copies memory to memory.
 */
#include "kselftest_harness.h"

#include "kubuf_edu.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

/* Where in the buffer to copy: its begin and its end, and between pages. */
static size_t place(size_t i, size_t length)
{
	const size_t places[] = {
		0, 3 * page_size() - EDU_PIECE / 2, length - EDU_PIECE,
	};

	return i < ARRAY_SIZE(places) ? places[i] : length;
}

/*
 * Does the device copy what is at IOVA to IOVA_TO, which is the memory of the
 * buffer TO, and nothing else?
 */
static bool device_copies(const struct edu *e, int to, size_t length,
			  unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok = tmp;
	size_t at = 0, end = 0;

	ok = ok && kernel_fill(to, length, seed + 1);
	for (size_t i = 0; ok && place(i, length) < length; i++)
		ok = edu_copy(e, (__u32)(IOVA + place(i, length)),
			      (__u32)(IOVA_TO + place(i, length)));
	ok = ok && pread(to, tmp, length, 0) == (ssize_t)length;
	for (size_t i = 0; ok && end < length; i++) {
		at = place(i, length);
		ok = matches_at(tmp + end, at - end, end, seed + 1);
		end = at < length ? at + EDU_PIECE : length;
		if (at < length)
			ok = ok && matches_at(tmp + at, EDU_PIECE, at, seed);
	}
	free(tmp);
	return ok;
}

FIXTURE(vfio)
{
	size_t len;
	bool accepted;
	const char *why;
	struct edu e;
	int fd;
	int to;
	char *p;
	char *q;
};

FIXTURE_VARIANT(vfio)
{
	KUBUF_VARIANT_FIELDS
	bool iommufd;
};

FIXTURE_VARIANT_ADD(vfio, type1_pages)
{
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(vfio, type1_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(vfio, type1_huge)
{
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(vfio, type1_kmalloc)
{
	.backing = KUBUF_BACKING_KMALLOC,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, type1_pages_reserved)
{
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, type1_vmalloc_reserved)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_pages)
{
	.backing = KUBUF_BACKING_PAGES,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_huge)
{
	.backing = KUBUF_BACKING_HUGE,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_kmalloc)
{
	.backing = KUBUF_BACKING_KMALLOC,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_pages_reserved)
{
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_vmalloc_reserved)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_SETUP(vfio)
{
	int err = edu_open(&self->e, variant->iommufd, &self->why);

	/* The tests skip: with older frameworks they run all the same. */
	if (self->why)
		return;
	ASSERT_EQ(0, err);
	/* Type 1 takes reserved memory without a pin, by frame number. */
	self->accepted = !variant->pfn ||
			 (variant->flags & KUBUF_CREATE_RESERVED &&
			  !variant->iommufd);
	self->len = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	/* Not touched: the device is the first to want the pages. */
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	self->to = buf_create(KUBUF_BACKING_PAGES, self->len, 0);
	ASSERT_LE(0, self->to);
	self->q = buf_map(self->to, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->q);
	ASSERT_EQ(0, dma_map(&self->e, IOVA_TO, self->q, self->len, RW));
}

FIXTURE_TEARDOWN(vfio)
{
	edu_close(&self->e);
	if (self->why)
		return;
	munmap(self->p, self->len);
	munmap(self->q, self->len);
	close(self->fd);
	close(self->to);
}

/* The device loads what the kernel has stored, and what the program stores. */
TEST_F(vfio, device_loads)
{
	int ret;

	if (self->why)
		SKIP(return, "%s", self->why);
	ret = dma_map(&self->e, IOVA, self->p, self->len, RW);
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, ret);
		return;
	}
	ASSERT_EQ(0, ret);
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	fill(self->p, self->len, 5);
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 5));
}

/* The device stores; the kernel and the program see it. */
TEST_F(vfio, device_stores)
{
	size_t at;
	int ret;

	if (self->why)
		SKIP(return, "%s", self->why);
	at = self->len - EDU_PIECE;
	ret = dma_map(&self->e, IOVA, self->p, self->len, RW);
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, ret);
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
		return;
	}
	ASSERT_EQ(0, ret);
	ASSERT_TRUE(kernel_fill(self->to, self->len, 2));
	ASSERT_TRUE(edu_copy(&self->e, (__u32)(IOVA_TO + at),
			     (__u32)(IOVA + at)));
	EXPECT_TRUE(matches_at(self->p, at, 0, 1));
	EXPECT_TRUE(matches_at(self->p + at, EDU_PIECE, at, 2));
	ASSERT_EQ((ssize_t)EDU_PIECE, pread(self->fd, self->q, EDU_PIECE,
					    (off_t)at));
	EXPECT_TRUE(matches_at(self->q, EDU_PIECE, at, 2));
}

/* The device may do no more than the mapping. */
TEST_F(vfio, read_only)
{
	char *r;

	if (self->why)
		SKIP(return, "%s", self->why);
	r = buf_map(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, r, self->len, RW));
	if (self->accepted) {
		ASSERT_EQ(0, dma_map(&self->e, IOVA, r, self->len, PROT_READ));
		EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	} else {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, r, self->len,
					   PROT_READ));
	}
	munmap(r, self->len);
}

/* What the device has is pinned, if it can be, and given back. */
TEST_F(vfio, given_back)
{
	struct page_state before[PAGES], during[PAGES], after[PAGES];

	if (self->why)
		SKIP(return, "%s", self->why);
	touch(self->p, self->len);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, self->p, self->len,
					   RW));
		memcpy(during, before, sizeof(during));
	} else {
		ASSERT_EQ(0, dma_map(&self->e, IOVA, self->p, self->len, RW));
		ASSERT_EQ(PAGES, page_states(self->fd, during, PAGES));
		EXPECT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
	}
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(!variant->pfn, during[i].pinned);
		EXPECT_FALSE(after[i].pinned);
		EXPECT_EQ(before[i].refs, after[i].refs);
	}
}

/*
 * The device keeps its memory when that is unmapped. What is reserved it has not
 * pinned, which VFIO knows by PG_reserved alone: have that set when it is done.
 */
TEST_F(vfio, munmap_first)
{
	struct page_state before[PAGES], after[PAGES];

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, self->p, self->len,
					   RW));
		return;
	}
	ASSERT_EQ(0, dma_map(&self->e, IOVA, self->p, self->len, RW));
	ASSERT_EQ(0, munmap(self->p, self->len));
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	self->p = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->p);
	touch(self->p, self->len);
	ASSERT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(before[i].refs, after[i].refs);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* What makes no sense where pages cannot be pinned. */
FIXTURE(hold)
{
	size_t len;
	const char *why;
	struct edu e;
	int to;
	char *q;
};

FIXTURE_VARIANT(hold)
{
	__u32 backing;
	bool iommufd;
};

FIXTURE_VARIANT_ADD(hold, type1_pages)
{
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(hold, type1_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(hold, type1_huge)
{
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(hold, iommufd_pages)
{
	.backing = KUBUF_BACKING_PAGES,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(hold, iommufd_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(hold, iommufd_huge)
{
	.backing = KUBUF_BACKING_HUGE,
	.iommufd = true,
};

FIXTURE_SETUP(hold)
{
	int err = edu_open(&self->e, variant->iommufd, &self->why);

	if (self->why)
		return;
	ASSERT_EQ(0, err);
	self->len = PAGES * page_size();
	self->to = buf_create(KUBUF_BACKING_PAGES, self->len, 0);
	ASSERT_LE(0, self->to);
	self->q = buf_map(self->to, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->q);
	ASSERT_EQ(0, dma_map(&self->e, IOVA_TO, self->q, self->len, RW));
}

FIXTURE_TEARDOWN(hold)
{
	edu_close(&self->e);
	if (self->why)
		return;
	munmap(self->q, self->len);
	close(self->to);
}

/* A pin outlives the mapping and the file. */
TEST_F(hold, outlives_buffer)
{
	char *p;
	int fd;

	if (self->why)
		SKIP(return, "%s", self->why);
	fd = buf_create(variant->backing, self->len, 0);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(kernel_fill(fd, self->len, 1));
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, dma_map(&self->e, IOVA, p, self->len, RW));
	ASSERT_EQ(0, munmap(p, self->len));
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(churn(variant->backing, 0, self->len));
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	ASSERT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
}

TEST_HARNESS_MAIN
