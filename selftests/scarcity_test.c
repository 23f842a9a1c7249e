// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup whose limit is met by a fault: what the fault needs besides
 * the pages of the buffer, page tables and private copies, is charged to the
 * one who faults. It is a process of that group that is killed then, and all
 * that it has comes back. That creation fails instead is in limit_test.
 */
#include "kselftest_harness.h"

#include "kubuf_cgroup.h"
#include "kubuf_map.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define LIMIT	"8M"

/* Twice what the limit lets have. */
#define LENGTH		(4 * MIB)
#define COPIES		4
#define TABLES		4096

FIXTURE(scarcity)
{
	struct memcg memcg;
	pid_t bystander;
	long buffers;
	int fd;
};

FIXTURE_VARIANT(scarcity)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(scarcity);

/* One that the OOM killer would take first, if it were not in another group. */
static pid_t stand_by(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	file_write("/proc/self/oom_score_adj", "1000");
	for (;;)
		pause();
}

FIXTURE_SETUP(scarcity)
{
	ASSERT_EQ(0, memcg_make(&self->memcg));
	self->bystander = stand_by();
	ASSERT_LT(0, self->bystander);
	self->fd = buf_create(variant->backing, LENGTH, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, LENGTH, 1));
	self->buffers = live_buffers();
	if (!memcg_is_there(&self->memcg))
		return;
	ASSERT_EQ(0, memcg_write(&self->memcg, "memory.max", LIMIT));
	/* Not there without swap. */
	memcg_write(&self->memcg, "memory.swap.max", "0");
}

FIXTURE_TEARDOWN(scarcity)
{
	kill_wait(self->bystander);
	close(self->fd);
	EXPECT_EQ(0, memcg_remove(&self->memcg));
}

struct member {
	const struct memcg *memcg;
	int fd;
};

/* One page table for each page that is mapped so far from the next. */
static long take_page_tables(void *arg)
{
	const struct member *m = arg;
	const size_t pmd = pmd_size();
	char *at = fresh_range(TABLES * pmd, 0);

	if (at == MAP_FAILED || memcg_join(m->memcg))
		return 1;
	for (size_t i = 0; i < TABLES; i++, at += pmd) {
		char *p = mmap(at, page_size(), RW, MAP_SHARED | MAP_FIXED,
			       m->fd, 0);

		if (p == MAP_FAILED)
			return 2;
		if ((unsigned char)load(p) != pattern(0, 1))
			return 3;
	}
	return 0;
}

/* A copy of each page that is stored to. */
static long take_copies(void *arg)
{
	const struct member *m = arg;

	if (memcg_join(m->memcg))
		return 1;
	for (int i = 0; i < COPIES; i++) {
		char *p = mmap(NULL, LENGTH, RW, MAP_PRIVATE, m->fd, 0);

		if (p == MAP_FAILED)
			return 2;
		for (size_t off = 0; off < LENGTH; off += page_size())
			store(p + off, 'c');
	}
	return 0;
}

/* The sum of a group goes down when the processors have passed by. */
static bool all_came_back(const struct memcg *g)
{
	for (int i = 0; i < 500; i++) {
		if (memcg_read(g, "memory.current") < (long long)MIB)
			return true;
		usleep(10000);
	}
	return false;
}

static bool is_alive(pid_t pid)
{
	return !waitpid(pid, NULL, WNOHANG);
}

TEST_F_TIMEOUT(scarcity, page_tables_of_faults, 300)
{
	struct member m = { &self->memcg, self->fd };

	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	EXPECT_EQ(DIED - SIGKILL, in_child(take_page_tables, &m));
	EXPECT_EQ(1, memcg_event(&self->memcg, "oom_kill"));
	EXPECT_TRUE(is_alive(self->bystander));
	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_TRUE(all_came_back(&self->memcg));
	EXPECT_EQ(LENGTH, kernel_mismatch(self->fd, LENGTH, 1));
}

TEST_F_TIMEOUT(scarcity, copies_of_private_writes, 300)
{
	struct member m = { &self->memcg, self->fd };

	if (variant->pfn)
		return;
	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	EXPECT_EQ(DIED - SIGKILL, in_child(take_copies, &m));
	EXPECT_EQ(1, memcg_event(&self->memcg, "oom_kill"));
	EXPECT_TRUE(is_alive(self->bystander));
	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_TRUE(all_came_back(&self->memcg));
	EXPECT_EQ(LENGTH, kernel_mismatch(self->fd, LENGTH, 1));
}

/* The pages of the buffer are the creator's: who maps them pays for none. */
static long touch_all(void *arg)
{
	const struct member *m = arg;

	for (int i = 0; i < COPIES; i++) {
		char *p;

		if (!i && memcg_join(m->memcg))
			return 1;
		p = buf_map(m->fd, LENGTH, RW);
		if (p == MAP_FAILED)
			return 2;
		touch(p, LENGTH);
	}
	return 0;
}

TEST_F_TIMEOUT(scarcity, pages_of_the_buffer_are_not_charged_again, 300)
{
	struct member m = { &self->memcg, self->fd };

	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	/* More than the limit, were they counted once for each mapping. */
	EXPECT_EQ(0, in_child(touch_all, &m));
	EXPECT_EQ(0, memcg_event(&self->memcg, "oom_kill"));
}

/* Killed in the middle of it by another's need: nothing is left of it. */
static long create_and_take_copies(void *arg)
{
	struct member m = *(struct member *)arg;
	int fd;

	if (memcg_join(m.memcg))
		return 1;
	fd = buf_create(KUBUF_BACKING_VMALLOC, MIB, 0);
	if (fd < 0 || buf_map(fd, MIB, RW) == MAP_FAILED)
		return 2;
	return take_copies(&m);
}

TEST_F_TIMEOUT(scarcity, buffers_of_the_killed_go, 300)
{
	struct member m = { &self->memcg, self->fd };

	if (variant->pfn)
		return;
	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	EXPECT_EQ(DIED - SIGKILL, in_child(create_and_take_copies, &m));
	EXPECT_EQ(self->buffers, live_buffers());
	EXPECT_TRUE(charged_is(LENGTH / MIB));
	EXPECT_TRUE(all_came_back(&self->memcg));
}

TEST_HARNESS_MAIN
