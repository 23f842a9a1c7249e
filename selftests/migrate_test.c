// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who want to move memory while a buffer is in use: compaction, migration
 * between nodes, and taking a block of memory offline. The pages of a buffer
 * stay where they are, and so does what is in them.
 */
#include <pthread.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define LENGTH	(2 * MIB)
#define PAGES	((long)(LENGTH / page_size()))

#define MEMORY	"/sys/devices/system/memory/"

/* At least so often and so long. */
#define ROUNDS	5
#define SECONDS	0.5

#ifndef MPOL_BIND
#define MPOL_BIND		2
#endif
#ifndef MPOL_MF_MOVE_ALL
#define MPOL_MF_MOVE_ALL	4
#endif

/* The one who uses it meanwhile. */
struct load {
	int fd;
	bool stop;
	long rounds;
	long wrong;
};

FIXTURE(migrate)
{
	struct page_state *before;
	struct page_state *after;
	struct load load;
	pthread_t thread;
	char *p;
	int fd;
};

FIXTURE_VARIANT(migrate)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(migrate);

/* Store by a mapping and load by the kernel, and the other way round. */
static long exchange(int fd, char *p, unsigned int *state)
{
	const size_t at = next(state) % LENGTH;
	char byte = (char)pattern(at, 1);
	long wrong = load(p + at) != byte;

	store(p + at, (char)~byte);
	wrong += pread(fd, &byte, 1, (off_t)at) != 1 ||
		 byte != (char)~pattern(at, 1);
	byte = (char)~byte;
	wrong += pwrite(fd, &byte, 1, (off_t)at) != 1;
	return wrong + (load(p + at) != byte);
}

static void *use(void *arg)
{
	struct load *l = arg;
	unsigned int state = 1;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		char *p = buf_map(l->fd, LENGTH, RW);

		if (p == MAP_FAILED) {
			l->wrong++;
			break;
		}
		for (int i = 0; i < 64; i++)
			l->wrong += exchange(l->fd, p, &state);
		munmap(p, LENGTH);
		__atomic_fetch_add(&l->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

FIXTURE_SETUP(migrate)
{
	self->before = calloc((size_t)PAGES, sizeof(*self->before));
	self->after = calloc((size_t)PAGES, sizeof(*self->after));
	ASSERT_NE(NULL, self->before);
	ASSERT_NE(NULL, self->after);
	self->fd = buf_create(variant->backing, LENGTH, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, LENGTH, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, self->before, PAGES));
	self->p = buf_map(self->fd, LENGTH, RW);
	ASSERT_NE(MAP_FAILED, self->p);
	touch(self->p, LENGTH);
	self->load.fd = self->fd;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, use, &self->load));
}

/* Nothing has moved, and nothing was lost. */
FIXTURE_TEARDOWN(migrate)
{
	long moved = 0;

	__atomic_store_n(&self->load.stop, true, __ATOMIC_RELAXED);
	EXPECT_EQ(0, pthread_join(self->thread, NULL));
	EXPECT_EQ(0, self->load.wrong);
	EXPECT_EQ(PAGES, page_states(self->fd, self->after, PAGES));
	for (long i = 0; i < PAGES; i++)
		moved += self->before[i].pfn != self->after[i].pfn;
	EXPECT_EQ(0, moved);
	EXPECT_EQ(LENGTH, mismatch(self->p, LENGTH, 1));
	EXPECT_EQ(LENGTH, kernel_mismatch(self->fd, LENGTH, 1));
	munmap(self->p, LENGTH);
	close(self->fd);
	free(self->before);
	free(self->after);
}

/* Is it to be done once more? Not before the load has gone on, too. */
static bool again(int done, double start, struct load *l, long rounds)
{
	return done < ROUNDS || seconds() - start < SECONDS ||
	       __atomic_load_n(&l->rounds, __ATOMIC_RELAXED) < rounds + ROUNDS;
}

TEST_F_TIMEOUT(migrate, compaction, 300)
{
	const long rounds = self->load.rounds;
	const double start = seconds();

	if (access("/proc/sys/vm/compact_memory", F_OK))
		SKIP(return, "this kernel does not compact memory");
	for (int i = 0; again(i, start, &self->load, rounds); i++)
		ASSERT_EQ(0, file_write("/proc/sys/vm/compact_memory", "1"));
}

static bool has_two_nodes(void)
{
	return !access("/sys/devices/system/node/node1", F_OK);
}

/* How many of the pages are on that node already, or are not moved there. */
static long move_all(char *p, int node)
{
	void **at = calloc((size_t)PAGES, sizeof(*at));
	int *nodes = calloc((size_t)PAGES, sizeof(*nodes));
	int *status = calloc((size_t)PAGES, sizeof(*status));
	long n = -1;

	if (!at || !nodes || !status)
		goto out;
	for (long i = 0; i < PAGES; i++) {
		at[i] = p + (size_t)i * page_size();
		nodes[i] = node;
	}
	if (syscall(SYS_move_pages, 0, PAGES, at, nodes, status,
		    MPOL_MF_MOVE_ALL) < 0)
		goto out;
	n = 0;
	for (long i = 0; i < PAGES; i++)
		n += status[i] < 0 || status[i] == node;
out:
	free(at);
	free(nodes);
	free(status);
	return n;
}

TEST_F_TIMEOUT(migrate, move_pages, 300)
{
	const long rounds = self->load.rounds;
	const double start = seconds();

	if (!has_two_nodes())
		SKIP(return, "one NUMA node, or none");
	for (int i = 0; again(i, start, &self->load, rounds); i++)
		ASSERT_EQ(PAGES, move_all(self->p, i % 2));
}

/* All of the process: what it may move besides moves. */
TEST_F_TIMEOUT(migrate, migrate_pages, 300)
{
	const unsigned long nodes[] = { 1, 2 };
	const long rounds = self->load.rounds;
	const double start = seconds();

	if (!has_two_nodes())
		SKIP(return, "one NUMA node, or none");
	for (int i = 0; again(i, start, &self->load, rounds); i++)
		ASSERT_LE(0, syscall(SYS_migrate_pages, 0, 64,
				     &nodes[i % 2], &nodes[(i + 1) % 2]));
}

TEST_F_TIMEOUT(migrate, mbind, 300)
{
	const unsigned long nodes[] = { 1, 2 };
	const long rounds = self->load.rounds;
	const double start = seconds();

	if (!has_two_nodes())
		SKIP(return, "one NUMA node, or none");
	for (int i = 0; again(i, start, &self->load, rounds); i++)
		ASSERT_EQ(0, syscall(SYS_mbind, self->p, LENGTH, MPOL_BIND,
				     &nodes[i % 2], 64, MPOL_MF_MOVE_ALL));
}

/* The directory of the block of memory that a page is in; false if none. */
static bool memory_block(unsigned long pfn, char path[64])
{
	char size[32] = "";
	unsigned long bytes;
	int fd = open(MEMORY "block_size_bytes", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, size, sizeof(size) - 1) <= 0)
		size[0] = '\0';
	close(fd);
	bytes = strtoul(size, NULL, 16);
	if (!bytes)
		return false;
	snprintf(path, 64, MEMORY "memory%lu/state",
		 pfn / (bytes / page_size()));
	return !access(path, W_OK);
}

/* It can't be, as nobody can move what is in it. */
TEST_F_TIMEOUT(migrate, memory_offline, 300)
{
	const long rounds = self->load.rounds;
	const double start = seconds();
	char path[64];

	if (!memory_block(self->before[0].pfn, path))
		SKIP(return, "memory can't be taken offline here");
	for (int i = 0; again(i, start, &self->load, rounds); i++) {
		int ret = file_write(path, "offline");

		EXPECT_NE(0, ret);
		if (!ret)
			file_write(path, "online");
	}
}

TEST_HARNESS_MAIN
