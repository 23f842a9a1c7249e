// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two who do at the same moment what must not be mixed up: the end of something
 * and a new use of it. A fixed number of rounds, each with both held back until
 * the other is there, and then for a different while.
 */
#include <sched.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_module.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define NAME	"race-test"

#define RW	(PROT_READ | PROT_WRITE)

#define ROUNDS		200
#define LOADS		60

#define PAGES		32

/* What the two share. */
struct race {
	int arrived;
	/* Seconds: the most that one lets the other have as a start. */
	double start;
	/* Seconds that the other one begins later still. */
	double late;
	/* What came of it for the other one, for the first to look at. */
	int result;
	long wrong;
};

/* Go on when the other is there, too; asleep, if it takes its time. */
static void wait_for_other(struct race *r, bool sleep)
{
	int goal = (__atomic_fetch_add(&r->arrived, 1, __ATOMIC_ACQ_REL) / 2 +
		    1) * 2;

	for (int i = 0; __atomic_load_n(&r->arrived, __ATOMIC_ACQUIRE) < goal;
	     i++)
		if (sleep && i > 100)
			usleep(100);
		else
			sched_yield();
}

static void meet(struct race *r)
{
	wait_for_other(r, true);
}

/* Both awake and at once, and then neither of them is always first. */
static void race(struct race *r, unsigned int *state)
{
	meet(r);
	wait_for_other(r, false);
	spin(r->start / (1U << next(state) % 12));
}

static struct race *race_new(void)
{
	struct race *r = mmap(NULL, sizeof(*r), RW, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0);

	if (r == MAP_FAILED)
		return NULL;
	r->start = 0.0002;
	return r;
}

/* The module's last user against the first of the next. */
FIXTURE(unload)
{
	struct race *r;
	bool can_load;
};

FIXTURE_VARIANT(unload)
{
	const char *path;
};

FIXTURE_VARIANT_ADD(unload, node) {
	.path = "/dev/kubuf/a",
};

FIXTURE_VARIANT_ADD(unload, control) {
	.path = CONTROL,
};

FIXTURE_SETUP(unload)
{
	char *path = module_file();

	self->can_load = path;
	free(path);
	self->r = race_new();
	ASSERT_NE(NULL, self->r);
	if (self->can_load)
		ASSERT_EQ(0, module_unload());
}

FIXTURE_TEARDOWN(unload)
{
	if (self->can_load)
		EXPECT_EQ(0, module_load(""));
}

/* Open, say what came of it, and keep it until that was looked at. */
static void open_in_turn(struct race *r, const char *path)
{
	unsigned int state = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < LOADS; i++) {
		int fd;

		race(r, &state);
		spin(r->late);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r->result = fd < 0 ? -errno : 0;
		meet(r);
		meet(r);
		if (fd >= 0)
			close(fd);
		meet(r);
	}
	_exit(0);
}

/* The one or the other, never both, and nothing in between. */
TEST_F_TIMEOUT(unload, or_open, 600)
{
	struct race *r = self->r;
	unsigned int state = 2;
	int opened = 0;
	pid_t pid;

	if (!self->can_load)
		SKIP(return, "module not found: set KUBUF_KO");
	pid = fork();
	if (!pid)
		open_in_turn(r, variant->path);
	ASSERT_LT(0, pid);
	for (int i = 0; i < LOADS; i++) {
		int ret;

		ASSERT_EQ(0, module_load("buffers=a:64K"));
		race(r, &state);
		ret = module_unload();
		meet(r);
		/* On the way to a use that then fails it is in use, too. */
		EXPECT_TRUE(!ret || ret == -EWOULDBLOCK);
		EXPECT_TRUE(!r->result || r->result == -ENOENT ||
			    r->result == -ENODEV || r->result == -ENXIO);
		EXPECT_FALSE(!ret && !r->result);
		opened += !r->result;
		/* However slow either is, about half of the rounds each. */
		r->late = r->result ? r->late / 2 : r->late * 2 + 0.00005;
		meet(r);
		meet(r);
		if (ret)
			ASSERT_EQ(0, module_unload());
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	TH_LOG("%d rounds: %d opened", LOADS, opened);
	/* Both have happened. */
	EXPECT_LT(0, opened);
	EXPECT_GT(LOADS, opened);
}

FIXTURE(race)
{
	struct page_state st[PAGES];
	struct race *r;
	size_t len;
	int flags;
	int fd;
};

FIXTURE_VARIANT(race)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(race);

FIXTURE_SETUP(race)
{
	buf_destroy(NAME);
	self->len = PAGES * page_size();
	self->r = race_new();
	ASSERT_NE(NULL, self->r);
	self->flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->flags);
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, self->st, PAGES));
}

FIXTURE_TEARDOWN(race)
{
	close(self->fd);
	close(self->flags);
}

/* Which pages of the buffer are reserved, a bit for each. */
static __u32 reserved_pages(int flags, const struct page_state *st)
{
	__u32 bits = 0;

	for (int i = 0; i < PAGES; i++) {
		__u64 word = 0;

		if (pread(flags, &word, sizeof(word),
			  (off_t)(st[i].pfn * sizeof(word))) != sizeof(word))
			return ~0U;
		bits |= (__u32)!!(word & KPF_RESERVED) << i;
	}
	return bits;
}

/* Is it, and stays, the data that was there, on the pages of a set? */
static bool is_data(const char *p, __u32 pages)
{
	const size_t ps = page_size();

	for (size_t i = 0; i < PAGES; i++)
		if (pages & 1U << i &&
		    (unsigned char)load(p + i * ps + i) !=
		    pattern(i * ps + i, 1))
			return false;
	return true;
}

/* Map when the other unmaps, touch some pages, and keep them for a while. */
static void map_in_turn(struct race *r, int fd, size_t len)
{
	unsigned int state = 3;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < ROUNDS; i++) {
		__u32 pages = next(&state) | 1U;
		char *p;

		race(r, &state);
		p = buf_map(fd, len, RW);
		r->wrong += p == MAP_FAILED || !is_data(p, pages);
		r->result = (int)pages;
		meet(r);
		meet(r);
		munmap(p, len);
		meet(r);
	}
	_exit(0);
}

/*
 * The count is right at the end of each round, and a page reserved if it was
 * touched and the buffer is mapped, and otherwise not.
 */
TEST_F_TIMEOUT(race, last_munmap_or_first_fault, 300)
{
	const bool reserved = variant->flags & KUBUF_CREATE_RESERVED;
	struct race *r = self->r;
	unsigned int state = 4;
	pid_t pid = fork();

	if (!pid)
		map_in_turn(r, self->fd, self->len);
	ASSERT_LT(0, pid);
	for (int i = 0; i < ROUNDS; i++) {
		char *p = buf_map(self->fd, self->len, RW);
		__u32 touched, bits;

		ASSERT_NE(MAP_FAILED, p);
		EXPECT_TRUE(is_data(p, next(&state)));
		race(r, &state);
		munmap(p, self->len);
		meet(r);
		EXPECT_EQ(1, buf_mappings(self->fd));
		touched = (__u32)r->result;
		bits = reserved_pages(self->flags, self->st);
		EXPECT_EQ(reserved ? touched : 0, bits & touched);
		meet(r);
		meet(r);
		EXPECT_EQ(0, buf_mappings(self->fd));
		EXPECT_EQ(0U, reserved_pages(self->flags, self->st));
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, r->wrong);
}

/* Take the node away at the moment at which the other maps. */
static void destroy_in_turn(struct race *r)
{
	unsigned int state = 5;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < ROUNDS; i++) {
		race(r, &state);
		r->wrong += buf_destroy(NAME) != 0;
		meet(r);
	}
	_exit(0);
}

/*
 * Whoever has it open maps it whether there is a node or not, and it goes with
 * the mapping.
 */
TEST_F_TIMEOUT(race, destroy_and_mmap, 300)
{
	const long buffers = live_buffers();
	struct race *r = self->r;
	unsigned int state = 6;
	pid_t pid = fork();

	if (!pid)
		destroy_in_turn(r);
	ASSERT_LT(0, pid);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = buf_create_named(NAME, variant->backing, self->len,
					  variant->flags, 0);
		char *p;

		ASSERT_LE(0, fd);
		ASSERT_TRUE(kernel_fill(fd, self->len, 1));
		race(r, &state);
		p = buf_map(fd, self->len, RW);
		close(fd);
		EXPECT_NE(MAP_FAILED, p);
		EXPECT_TRUE(p != MAP_FAILED && is_data(p, ~0U));
		meet(r);
		EXPECT_EQ(-ENOENT, node_open(NAME, O_RDONLY));
		EXPECT_TRUE(p != MAP_FAILED && is_data(p, ~0U));
		munmap(p, self->len);
		EXPECT_EQ(buffers, live_buffers());
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, r->wrong);
}

TEST_HARNESS_MAIN
