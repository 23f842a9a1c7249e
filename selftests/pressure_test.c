// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that is short of memory swaps, but not the pages of a buffer, and
 * kills in the end: what is in a buffer stays, mapped or not.
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

/*
 * Take memory that can't be swapped out until there is none. It has to be the
 * first to be killed.
 */
static long eat_all(void *arg)
{
	const size_t step = 16 * MIB;

	if (file_write("/proc/self/oom_score_adj", "1000"))
		return 1;
	for (;;) {
		char *p = mmap(NULL, step, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED || mlock(p, step))
			return 2;
	}
}

static const char *cannot_fill(void)
{
	return file_field("/proc/meminfo", "MemTotal") > MOST_MEMORY_KIB ?
		"more than 2560 MiB of memory to fill" : NULL;
}

/* Every byte, by mapping and by read, and every page the same as before. */
static bool survived(char *p, int fd, unsigned int seed,
		     const struct page_state *before)
{
	struct page_state *after = calloc((size_t)PAGES, sizeof(*after));
	bool ok = after && page_states(fd, after, PAGES) == PAGES;

	for (long i = 0; ok && i < PAGES; i++)
		ok = after[i].pfn == before[i].pfn;
	free(after);
	/* Mapped pages are not even unmapped. */
	return ok && mapped(fd, 0, PAGES, NULL, NULL) == (p ? PAGES : 0) &&
	       (!p || mismatch(p, LENGTH, seed) == LENGTH) &&
	       kernel_mismatch(fd, LENGTH, seed) == LENGTH;
}

TEST_F_TIMEOUT(pressure, contents_survive, 900)
{
	const char *why_not = cannot_fill();

	if (file_field("/proc/meminfo", "SwapFree") < LEAST_SWAP_KIB)
		SKIP(return, "less than %lld MiB of free swap space",
		     LEAST_SWAP_KIB / 1024);
	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_EQ(0, in_child(eat, NULL));
	for (unsigned int i = 0; i < BUFFERS; i++)
		EXPECT_TRUE(survived(self->p[i], self->fd[i], i,
				     self->before[i]));
}

/* The one who has taken all is killed, and nothing else is lost. */
TEST_F_TIMEOUT(pressure, contents_survive_the_oom_killer, 900)
{
	const long long kills = file_field("/proc/vmstat", "oom_kill");
	const char *why_not = cannot_fill();

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_EQ(DIED - SIGKILL, in_child(eat_all, NULL));
	EXPECT_EQ(kills + 1, file_field("/proc/vmstat", "oom_kill"));
	for (unsigned int i = 0; i < BUFFERS; i++)
		EXPECT_TRUE(survived(self->p[i], self->fd[i], i,
				     self->before[i]));
}

TEST_HARNESS_MAIN
