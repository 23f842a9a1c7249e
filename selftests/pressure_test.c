// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that is short of memory swaps, but not the pages of a buffer: what
 * is in them stays, mapped or not.
 */
#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define LENGTH	(512 * KIB)
#define PAGES	((long)(LENGTH / page_size()))

/* Pages that have to be swapped out before it counts as short of memory. */
#define SWAPPED	20000

/* Not machines that would take minutes to fill. */
#define MOST_MEMORY_KIB	(2560 * 1024LL)
#define LEAST_SWAP_KIB	(256 * 1024LL)

struct kind {
	__u32 backing;
	__u32 flags;
};

static const struct kind kinds[] = {
	{ KUBUF_BACKING_KMALLOC, 0 },
	{ KUBUF_BACKING_PAGES, 0 },
	{ KUBUF_BACKING_VMALLOC, 0 },
	{ KUBUF_BACKING_HUGE, 0 },
	{ KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED },
	{ KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED },
};

/* Each kind twice: mapped, and not. */
#define BUFFERS	(2 * ARRAY_SIZE(kinds))

FIXTURE(pressure)
{
	int fd[BUFFERS];
	char *p[BUFFERS];
	struct page_state *before[BUFFERS];
};

FIXTURE_SETUP(pressure)
{
	for (unsigned int i = 0; i < BUFFERS; i++) {
		const struct kind *k = &kinds[i / 2];

		self->fd[i] = buf_create(k->backing, LENGTH, k->flags);
		ASSERT_LE(0, self->fd[i]);
		ASSERT_TRUE(kernel_fill(self->fd[i], LENGTH, i));
		self->before[i] = calloc((size_t)PAGES,
					 sizeof(*self->before[i]));
		ASSERT_NE(NULL, self->before[i]);
		ASSERT_EQ(PAGES, page_states(self->fd[i], self->before[i],
					     PAGES));
		if (i % 2)
			continue;
		self->p[i] = buf_map(self->fd[i], LENGTH, RW);
		ASSERT_NE(MAP_FAILED, self->p[i]);
		touch(self->p[i], LENGTH);
	}
}

FIXTURE_TEARDOWN(pressure)
{
	for (unsigned int i = 0; i < BUFFERS; i++) {
		close(self->fd[i]);
		free(self->before[i]);
	}
}

static long long swapped_out(void)
{
	return file_field("/proc/vmstat", "pswpout");
}

/*
 * Take memory until enough was swapped out: 0. A number in each page keeps it
 * from being one of many alike. Let it be the one who goes if it is too much.
 */
static long eat(void *arg)
{
	const long long free_kib = file_field("/proc/meminfo", "SwapFree");
	const long long ram_kib = file_field("/proc/meminfo", "MemTotal");
	const size_t most = (size_t)(ram_kib + free_kib / 2) * KIB;
	const long long start = swapped_out();
	const size_t step = 16 * MIB;
	char *p;

	if (file_write("/proc/self/oom_score_adj", "1000"))
		return 1;
	p = mmap(NULL, most, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return 2;
	/* Fewer faults to take it by; it is swapped out in single pages. */
	madvise(p, most, MADV_HUGEPAGE);
	for (size_t done = 0; done + step <= most; done += step) {
		for (size_t at = done; at < done + step; at += page_size())
			memcpy(p + at, &at, sizeof(at));
		if (swapped_out() - start >= SWAPPED)
			return 0;
	}
	return 3;
}

/* Every byte, by mapping and by read, and every page the same as before. */
TEST_F_TIMEOUT(pressure, contents_survive, 120)
{
	struct page_state *after = calloc((size_t)PAGES, sizeof(*after));

	if (file_field("/proc/meminfo", "SwapFree") < LEAST_SWAP_KIB)
		SKIP(return, "less than %lld MiB of free swap space",
		     LEAST_SWAP_KIB / 1024);
	if (file_field("/proc/meminfo", "MemTotal") > MOST_MEMORY_KIB)
		SKIP(return, "more than %lld MiB of memory to fill",
		     MOST_MEMORY_KIB / 1024);
	ASSERT_NE(NULL, after);
	ASSERT_EQ(0, in_child(eat, NULL));
	for (unsigned int i = 0; i < BUFFERS; i++) {
		long moved = 0;

		/* Mapped pages are not even unmapped. */
		EXPECT_EQ(self->p[i] ? PAGES : 0,
			  mapped(self->fd[i], 0, PAGES, NULL, NULL));
		EXPECT_TRUE(!self->p[i] ||
			    mismatch(self->p[i], LENGTH, i) == LENGTH);
		EXPECT_EQ(LENGTH, kernel_mismatch(self->fd[i], LENGTH, i));
		ASSERT_EQ(PAGES, page_states(self->fd[i], after, PAGES));
		for (long j = 0; j < PAGES; j++)
			moved += after[j].pfn != self->before[i][j].pfn;
		EXPECT_EQ(0, moved);
	}
	free(after);
}

TEST_HARNESS_MAIN
