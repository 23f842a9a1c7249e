// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the pages of a buffer come from: the NUMA node that was asked for, and
 * smaller folios where memory is fragmented.
 */
#include "kselftest_harness.h"

#include <sys/syscall.h>

#include "kubuf_map.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define MAX_NODES	64

/* Not machines that would take minutes to fill. */
#define MOST_MEMORY_KIB	(2560 * 1024LL)

FIXTURE(node)
{
	int nodes[MAX_NODES];
	int nr;
};

FIXTURE_VARIANT(node)
{
	KUBUF_VARIANT_FIELDS
};

/* Where there is no page to ask for its node, there is no answer. */
KUBUF_PAGE_VARIANTS(node);

FIXTURE_SETUP(node)
{
	char path[64];

	for (int i = 0; i < MAX_NODES; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d",
			 i);
		if (!access(path, F_OK))
			self->nodes[self->nr++] = i;
	}
}

FIXTURE_TEARDOWN(node)
{
}

/* The node of the page at an address, or -errno. */
static int node_of(char *p)
{
	void *page = p;
	int status = -1;

	if (syscall(SYS_move_pages, 0, 1L, &page, NULL, &status, 0))
		return -errno;
	return status;
}

/*
 * Every page is on the node that was asked for, whichever that is. Another node
 * helps out where that one has no piece of the size: ask for a small one of what
 * comes in one piece, and make room.
 */
TEST_F(node, memory_is_where_it_was_asked_for)
{
	const size_t length = variant->backing == KUBUF_BACKING_PAGES ?
			      64 * KIB : 3 * MIB;

	file_write("/proc/sys/vm/compact_memory", "1");
	if (self->nr < 2)
		SKIP(return, "one NUMA node, or none");
	for (int i = 0; i < self->nr; i++) {
		struct kubuf_create c = {
			.size = sizeof(c),
			.flags = KUBUF_CREATE_NODE,
			.length = length,
			.backing = variant->backing,
			.node = (__u32)self->nodes[i],
		};
		int fd = create_args(&c);
		char *p = buf_map(fd, length, RW);

		ASSERT_LE(0, fd);
		ASSERT_NE(MAP_FAILED, p);
		for (size_t off = 0; off < length; off += page_size()) {
			p[off] = 1;
			ASSERT_EQ(self->nodes[i], node_of(p + off));
		}
		munmap(p, length);
		close(fd);
	}
}

FIXTURE(fragments)
{
	struct page_state *st;
	char limit[32];
	int *fds;
	int nr;
};

FIXTURE_SETUP(fragments)
{
	ASSERT_EQ(0, parameter_get("limit_mb", self->limit,
				   sizeof(self->limit)));
	self->fds = calloc(2048, sizeof(*self->fds));
	self->st = calloc(pmd_size() / page_size(), sizeof(*self->st));
	ASSERT_NE(NULL, self->fds);
	ASSERT_NE(NULL, self->st);
}

FIXTURE_TEARDOWN(fragments)
{
	while (self->nr)
		close(self->fds[--self->nr]);
	EXPECT_EQ(0, parameter_set("limit_mb", self->limit));
	free(self->st);
	free(self->fds);
}

/* Is a buffer of the size of a PMD entry in several pieces? */
static bool in_pieces(int fd, struct page_state *st)
{
	const long pages = (long)(pmd_size() / page_size());

	if (page_states(fd, st, pages) != pages)
		return false;
	for (long i = 1; i < pages; i++)
		if (st[i].pfn != st[i - 1].pfn + 1)
			return true;
	return false;
}

/*
 * Fill memory with buffers, which can't be moved out of the way, until there
 * is no piece of the full size left but enough of smaller ones. The buffer that
 * is made of these is like any other.
 */
TEST_F_TIMEOUT(fragments, smaller_folios_do, 900)
{
	const size_t length = pmd_size();
	const long pages = (long)(length / page_size());
	struct rlimit files = { 4096, 4096 };
	int fd = -1;
	char *p;

	if (file_field("/proc/meminfo", "MemTotal") > MOST_MEMORY_KIB)
		SKIP(return, "more than %lld MiB of memory to fill",
		     MOST_MEMORY_KIB / 1024);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_EQ(0, parameter_set("limit_mb", "4096"));
	while (self->nr < 2048) {
		fd = buf_create(KUBUF_BACKING_HUGE, length, 0);
		ASSERT_LE(0, fd);
		self->fds[self->nr++] = fd;
		if (in_pieces(fd, self->st))
			break;
	}
	ASSERT_TRUE(in_pieces(fd, self->st));
	/* Room for the test itself. */
	for (int i = 0; i < self->nr - 1; i++)
		close(self->fds[i]);
	self->fds[0] = fd;
	self->nr = 1;

	ASSERT_TRUE(kernel_fill(fd, length, 1));
	p = map_fresh(fd, length, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(length, mismatch(p, length, 1));
	fill(p, length, 2);
	EXPECT_EQ(length, kernel_mismatch(fd, length, 2));
	EXPECT_EQ(pages, mapped(fd, 0, pages, NULL, NULL));
	for (long i = 0; i < pages; i++)
		EXPECT_EQ(self->st[i].pfn, pfn_of(p + (size_t)i * page_size()));
	munmap(p, length);
}

TEST_HARNESS_MAIN
