// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMA: a mapping registered with verbs, and two hosts that write to and read
 * from each other's buffer.
 */
#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_rdma.h"
#include "kubuf_task.h"

#define PAGES	32

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(mr)
{
	size_t len;
	bool up;
	const char *why;
	struct host h[2];
	int fd;
	char *p;
};

FIXTURE_VARIANT(mr)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(mr);

FIXTURE_SETUP(mr)
{
	/* The tests skip: with older frameworks they run all the same. */
	self->up = hosts_up(self->h, false, &self->why);
	self->len = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	/* Not touched: the device is the first to want the pages. */
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(mr)
{
	hosts_down(self->h);
	munmap(self->p, self->len);
	close(self->fd);
}

/* Registered memory is pinned, and given back. */
TEST_F(mr, registered)
{
	struct page_state before[PAGES], during[PAGES], after[PAGES];
	struct ibv_mr *mr;

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	mr = ibv_reg_mr(self->h[0].pd, self->p, self->len, ACCESS);
	if (variant->pfn) {
		EXPECT_EQ(NULL, mr);
		EXPECT_EQ(EFAULT, errno);
		return;
	}
	ASSERT_NE(NULL, mr);
	ASSERT_EQ(PAGES, page_states(self->fd, during, PAGES));
	EXPECT_EQ(0, ibv_dereg_mr(mr));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_TRUE(during[i].pinned);
		EXPECT_FALSE(after[i].pinned);
		EXPECT_EQ(before[i].refs, after[i].refs);
	}
}

/* A mapping for reading can be read from afar, but be given for nothing else. */
TEST_F(mr, read_only)
{
	struct ibv_mr *mr;
	char *r;

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	r = buf_map(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(NULL, ibv_reg_mr(self->h[0].pd, r, self->len, ACCESS));
	EXPECT_EQ(EFAULT, errno);
	mr = ibv_reg_mr(self->h[0].pd, r, self->len, IBV_ACCESS_REMOTE_READ);
	/* Until 6.2 whatever was registered had to be writable. */
	if (variant->pfn || kernel_before(6, 2)) {
		EXPECT_EQ(NULL, mr);
		EXPECT_EQ(EFAULT, errno);
	} else {
		ASSERT_NE(NULL, mr);
		EXPECT_EQ(0, ibv_dereg_mr(mr));
	}
	munmap(r, self->len);
}

/* A buffer on each host. */
FIXTURE(hosts)
{
	size_t len;
	bool up;
	const char *why;
	struct host h[2];
	int fd[2];
	char *p[2];
	struct ibv_mr *mr[2];
};

FIXTURE_VARIANT(hosts)
{
	__u32 backing;
	bool apart;
};

FIXTURE_VARIANT_ADD(hosts, pages)
{
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(hosts, vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(hosts, huge)
{
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(hosts, vmalloc_apart)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.apart = true,
};

FIXTURE_SETUP(hosts)
{
	self->up = hosts_up(self->h, variant->apart, &self->why);
	if (!self->up)
		return;
	self->len = PAGES * page_size();
	for (int i = 0; i < 2; i++) {
		self->fd[i] = buf_create(variant->backing, self->len, 0);
		ASSERT_LE(0, self->fd[i]);
		ASSERT_TRUE(kernel_fill(self->fd[i], self->len,
					(unsigned int)i + 1));
		self->p[i] = map_fresh(self->fd[i], self->len, RW, MAP_SHARED,
				       0);
		ASSERT_NE(MAP_FAILED, self->p[i]);
		self->mr[i] = ibv_reg_mr(self->h[i].pd, self->p[i], self->len,
					 ACCESS);
		ASSERT_NE(NULL, self->mr[i]);
	}
}

FIXTURE_TEARDOWN(hosts)
{
	for (int i = 0; i < 2 && self->up; i++) {
		ibv_dereg_mr(self->mr[i]);
		munmap(self->p[i], self->len);
		close(self->fd[i]);
	}
	hosts_down(self->h);
}

/* From the buffer of one host to that of the other, all of it. */
TEST_F(hosts, write)
{
	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_WRITE, self->mr[0],
			   self->mr[1], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[1], self->len, 1));
	EXPECT_EQ(self->len, mismatch(self->p[1], self->len, 1));
	/* And what a program has stored, the other way. */
	fill(self->p[1], self->len, 3);
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[1], IBV_WR_RDMA_WRITE, self->mr[1],
			   self->mr[0], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[0], self->len, 3));
}

/* Fetched by one host, of which the other does not know. */
TEST_F(hosts, read)
{
	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_READ, self->mr[0],
			   self->mr[1], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[0], self->len, 2));
	ASSERT_TRUE(kernel_fill(self->fd[1], self->len, 4));
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_READ, self->mr[0],
			   self->mr[1], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[0], self->len, 4));
}

/* Bytes from the middle of a page; what is beside them is let alone. */
TEST_F(hosts, part)
{
	const size_t at = 2 * page_size() - 1001, n = page_size() + 2003;

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_WRITE, self->mr[0],
			   self->mr[1], at, n));
	EXPECT_TRUE(matches_at(self->p[1], at, 0, 2));
	EXPECT_TRUE(matches_at(self->p[1] + at, n, at, 1));
	EXPECT_TRUE(matches_at(self->p[1] + at + n, self->len - at - n, at + n,
			       2));
}

/* Past the end of the buffer there is nothing to be had. */
TEST_F(hosts, past_the_end)
{
	struct ibv_mr beyond;

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	beyond = *self->mr[1];
	beyond.addr = self->p[1] + 1;
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
		  transfer(&self->h[0], IBV_WR_RDMA_WRITE, self->mr[0],
			   &beyond, 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[1], self->len, 2));
}

/* The other host reaches memory of a buffer that nobody here maps or has open. */
TEST_F(hosts, outlives_buffer)
{
	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_TRUE(self->up);
	ASSERT_EQ(0, munmap(self->p[1], self->len));
	ASSERT_EQ(0, close(self->fd[1]));
	ASSERT_TRUE(churn(variant->backing, 0, self->len));
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_READ, self->mr[0],
			   self->mr[1], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[0], self->len, 2));
	/* It can store there, too, and find that again. */
	ASSERT_TRUE(kernel_fill(self->fd[0], self->len, 5));
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_WRITE, self->mr[0],
			   self->mr[1], 0, self->len));
	ASSERT_TRUE(kernel_fill(self->fd[0], self->len, 6));
	ASSERT_TRUE(churn(variant->backing, 0, self->len));
	ASSERT_EQ(IBV_WC_SUCCESS,
		  transfer(&self->h[0], IBV_WR_RDMA_READ, self->mr[0],
			   self->mr[1], 0, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd[0], self->len, 5));
}

TEST_HARNESS_MAIN
