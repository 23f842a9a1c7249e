// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes killed at any moment of what they do with a buffer, two thousand
 * of them: nothing stays behind of any.
 */
#include <pthread.h>
#include <sched.h>

#include "kselftest_harness.h"

#include "kubuf_disk.h"
#include "kubuf_map.h"
#include "kubuf_uring.h"
#include "kubuf_storm.h"
#include "kubuf_module.h"
#include "kubuf_task.h"

#define NAME	"kill-test"

#define RW	(PROT_READ | PROT_WRITE)

#define LENGTH	(2 * MIB)
#define PAGES	((long)(LENGTH / page_size()))

/* Pages that are pinned at once. */
#define PINNED	64

/*
 * Processes that each test kills, and after how many it looks at every page.
 * Where all is slow, as with a debug kernel, it ends with one of these looks
 * after so many seconds.
 */
#define KILLS	84
#define BATCH	12
#define SECONDS	15

/* What all tests kill, but those that the kernel lacks something for. */
#define ALL_KILLS	2000

#define THREADS	2

/* Where a thread is when it dies. */
enum stage {
	BEFORE,
	CREATE,
	MAP,
	FAULT,
	PIN,
	IO,
	UNPIN,
	UNMAP,
	CLOSE,
	DESTROY,
	STAGES,
};

static const char * const stages[STAGES] = {
	"before", "create", "map", "fault", "pin", "I/O", "unpin", "unmap",
	"close", "destroy",
};

/* Of all tests: they run in processes of their own. */
static struct totals {
	long kills;
	/* For want of time, or of something in the kernel. */
	long not_run;
	long stage[STAGES];
} *totals;

static void __attribute__((constructor)) make_totals(void)
{
	totals = mmap(NULL, sizeof(*totals), RW, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (totals == MAP_FAILED)
		abort();
}

/* What a process that is about to be killed and its killer share. */
struct shared {
	int ready;
	int stage[THREADS];
	long rounds;
};

struct storm {
	__u32 backing;
	__u32 flags;
	int fd;
	int disk;
	struct shared *shared;
	/* How it was before anybody did anything. */
	long buffers;
	long long users;
	long long kib;
	struct page_state *before;
	struct page_state *after;
};

struct victim {
	const struct storm *storm;
	int me;
	unsigned int state;
	bool (*once)(struct victim *v);
};

static void at(struct victim *v, enum stage stage)
{
	__atomic_store_n(&v->storm->shared->stage[v->me], stage,
			 __ATOMIC_RELAXED);
}

/* Map all of the buffer; every other time it has to be page by page. */
static char *map_buffer(struct victim *v, int fd, size_t length)
{
	char *p;

	at(v, MAP);
	p = buf_map(fd, length, RW);
	if (p != MAP_FAILED && next(&v->state) % 2)
		madvise(p, length, MADV_NOHUGEPAGE);
	return p;
}

static bool unmap_buffer(struct victim *v, char *p, size_t length)
{
	at(v, UNMAP);
	return !munmap(p, length);
}

static bool fault_once(struct victim *v)
{
	char *p = map_buffer(v, v->storm->fd, LENGTH);

	if (p == MAP_FAILED)
		return false;
	at(v, FAULT);
	for (long i = 0; i < PAGES; i++) {
		size_t off = next(&v->state) % (size_t)PAGES * page_size();

		/* What was there: another one may be loading it. */
		store(p + off, (char)pattern(off, 1));
	}
	return unmap_buffer(v, p, LENGTH);
}

static bool map_once(struct victim *v)
{
	const size_t ps = page_size();
	size_t first = next(&v->state) % (size_t)PAGES;
	size_t n = 1 + next(&v->state) % ((size_t)PAGES - first);
	char *p, *q;

	at(v, MAP);
	p = mmap(NULL, n * ps, RW, MAP_SHARED, v->storm->fd,
		 (off_t)(first * ps));
	if (p == MAP_FAILED)
		return false;
	load(p + n / 2 * ps);
	if (mprotect(p + n / 2 * ps, ps, PROT_READ))
		return false;
	/* Move the part up to there. Its place may be another's at once. */
	if (n > 1) {
		q = mremap(p, n / 2 * ps, n / 2 * ps,
			   MREMAP_MAYMOVE | MREMAP_FIXED,
			   fresh_range(n / 2 * ps, 0));
		if (q == MAP_FAILED || !unmap_buffer(v, q, n / 2 * ps))
			return false;
	}
	return unmap_buffer(v, p + n / 2 * ps, (n - n / 2) * ps);
}

static bool create_once(struct victim *v)
{
	const struct storm *s = v->storm;
	size_t length = (1 + next(&v->state) % 512) * page_size();
	/* There is one node; who comes second finds the name taken. */
	bool named = next(&v->state) % 4 == 0;
	char *p;
	int fd;

	at(v, CREATE);
	fd = named ? buf_create_named(NAME, s->backing, length, s->flags, 0) :
		     buf_create(s->backing, length, s->flags);
	if (fd < 0)
		return named && fd == -EEXIST;
	p = map_buffer(v, fd, length);
	if (p == MAP_FAILED)
		return false;
	at(v, FAULT);
	store(p + length / 2, 1);
	at(v, CLOSE);
	close(fd);
	if (named) {
		at(v, DESTROY);
		buf_destroy(NAME);
	}
	return unmap_buffer(v, p, length);
}

/* Out to the disk and in again, all of it by the disk. */
static bool direct_once(struct victim *v)
{
	const size_t n = PINNED * page_size();
	const size_t off = next(&v->state) % (LENGTH / n) * n;
	char *p = map_buffer(v, v->storm->fd, LENGTH);

	if (p == MAP_FAILED)
		return false;
	at(v, PIN);
	if (pwrite(v->storm->disk, p + off, n, (off_t)off) != (ssize_t)n)
		return false;
	at(v, IO);
	if (pread(v->storm->disk, p + off, n, (off_t)off) != (ssize_t)n)
		return false;
	return unmap_buffer(v, p, LENGTH);
}

static bool uring_once(struct victim *v)
{
	const size_t n = PINNED * page_size();
	const size_t off = next(&v->state) % (LENGTH / n) * n;
	char *p = map_buffer(v, v->storm->fd, LENGTH);
	struct ring r;
	bool ok;

	if (p == MAP_FAILED)
		return false;
	at(v, PIN);
	if (ring_open(&r) || ring_register(&r, p + off, n))
		return false;
	at(v, IO);
	ok = ring_io(&r, IORING_OP_WRITE_FIXED, v->storm->disk, p + off, n,
		     (off_t)off) == (int)n;
	at(v, UNPIN);
	ring_unregister(&r);
	ring_close(&r);
	return unmap_buffer(v, p, LENGTH) && ok;
}

static bool vmsplice_once(struct victim *v)
{
	/* As many as a pipe has room for to begin with. */
	const size_t n = 16 * page_size();
	const size_t off = next(&v->state) % (LENGTH / n) * n;
	char *p = map_buffer(v, v->storm->fd, LENGTH);
	struct iovec iov = { p + off, n };
	int pipefd[2];
	bool ok;

	if (p == MAP_FAILED || pipe(pipefd))
		return false;
	at(v, PIN);
	ok = vmsplice(pipefd[1], &iov, 1, 0) == (ssize_t)n;
	ok &= unmap_buffer(v, p, LENGTH);
	at(v, UNPIN);
	close(pipefd[0]);
	close(pipefd[1]);
	return ok;
}

/* Until killed, or until something is wrong, which the killer sees. */
static void *go_on(void *arg)
{
	struct victim *v = arg;

	do {
		__atomic_fetch_add(&v->storm->shared->rounds, 1,
				   __ATOMIC_RELAXED);
		__atomic_store_n(&v->storm->shared->ready, 1,
				 __ATOMIC_RELEASE);
	} while (v->once(v));
	_exit(1);
}

static void be_victim(const struct storm *s, bool (*once)(struct victim *v),
		      unsigned int seed)
{
	struct victim v[THREADS];
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < THREADS; i++) {
		v[i] = (struct victim) {
			.storm = s,
			.me = i,
			.state = seed * THREADS + (unsigned int)i,
			.once = once,
		};
		next(&v[i].state);
	}
	if (pthread_create(&t, NULL, go_on, &v[1]))
		_exit(2);
	go_on(&v[0]);
}

/*
 * Kill a process a while after it began: whether it was that what ended it.
 * How many rounds there were.
 */
static bool kill_one(const struct storm *s, bool (*once)(struct victim *v),
		     unsigned int seed, double delay, long *rounds)
{
	int status = 0;
	pid_t pid;

	memset(s->shared, 0, sizeof(*s->shared));
	pid = fork();
	if (!pid)
		be_victim(s, once, seed);
	if (pid < 0)
		return false;
	while (!__atomic_load_n(&s->shared->ready, __ATOMIC_ACQUIRE) &&
	       !waitpid(pid, &status, WNOHANG))
		sched_yield();
	spin(delay);
	kill(pid, SIGKILL);
	if (!status && waitpid(pid, &status, 0) != pid)
		return false;
	*rounds = s->shared->rounds;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Buffers, files and mappings are where they were. */
static bool is_quiet(const struct storm *s)
{
	return !buf_mappings(s->fd) && live_buffers() == s->buffers &&
	       module_users() == s->users;
}

/* So is every page, and all that is counted. */
static bool is_as_before(const struct storm *s)
{
	if (page_states(s->fd, s->after, PAGES) != PAGES)
		return false;
	for (long i = 0; i < PAGES; i++)
		if (s->after[i].refs != s->before[i].refs ||
		    s->after[i].maps || s->after[i].reserved)
			return false;
	return kernel_mismatch(s->fd, LENGTH, 1) == LENGTH &&
	       charged_is(LENGTH / MIB);
}

/* A ring of a killed process is taken down by a worker of the kernel. */
static bool comes_true(bool (*is)(const struct storm *s), const struct storm *s)
{
	const double end = seconds() + 20;

	while (!is(s)) {
		if (seconds() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static void count_stages(const struct storm *s)
{
	totals->kills++;
	for (int i = 0; i < THREADS; i++)
		totals->stage[s->shared->stage[i]]++;
}

/* How many were killed as they should and left nothing, or had no time to. */
static int kill_many(const struct storm *s, bool (*once)(struct victim *v))
{
	const double sample = 0.05;
	const double end = seconds() + SECONDS;
	unsigned int state = 1;
	double spread;
	int kills = 0;
	long rounds;

	/* How long one round takes, of which there have to be some. */
	if (!kill_one(s, once, 0, sample, &rounds))
		return -1;
	buf_destroy(NAME);
	if (!comes_true(is_quiet, s))
		return -1;
	spread = 2 * sample * THREADS / (double)rounds;
	while (kills < KILLS) {
		double delay = spread * (next(&state) % 1024) / 1024;

		if (!kill_one(s, once, (unsigned int)kills + 1, delay,
			      &rounds))
			break;
		count_stages(s);
		/* A node outlives the one who made it. */
		buf_destroy(NAME);
		if (!comes_true(is_quiet, s))
			break;
		if (++kills % BATCH)
			continue;
		if (!comes_true(is_as_before, s))
			break;
		if (seconds() > end) {
			totals->not_run += KILLS - kills;
			return KILLS;
		}
	}
	return kills;
}

static bool storm_begin(struct storm *s, __u32 backing, __u32 flags)
{
	const size_t n = (size_t)PAGES;

	buf_destroy(NAME);
	*s = (struct storm) {
		.backing = backing,
		.flags = flags,
		.fd = buf_create(backing, LENGTH, flags),
		.disk = disk_file(),
		.shared = mmap(NULL, sizeof(*s->shared), RW,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		.before = calloc(n, sizeof(*s->before)),
		.after = calloc(n, sizeof(*s->after)),
	};
	if (s->fd < 0 || s->shared == MAP_FAILED || !s->before || !s->after)
		return false;
	/* The disk holds what the buffer does. */
	if (s->disk >= 0 && !file_fill(s->disk, LENGTH, 1))
		return false;
	s->buffers = live_buffers();
	s->users = module_users();
	return kernel_fill(s->fd, LENGTH, 1) &&
	       page_states(s->fd, s->before, PAGES) == PAGES;
}

static void storm_end(struct storm *s)
{
	close(s->fd);
	close(s->disk);
	free(s->before);
	free(s->after);
}

FIXTURE(kill)
{
	struct storm storm;
};

FIXTURE_VARIANT(kill)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(kill);

FIXTURE_SETUP(kill)
{
	ASSERT_TRUE(storm_begin(&self->storm, variant->backing,
				variant->flags));
}

FIXTURE_TEARDOWN(kill)
{
	storm_end(&self->storm);
}

TEST_F_TIMEOUT(kill, while_faulting, 300)
{
	EXPECT_EQ(KILLS, kill_many(&self->storm, fault_once));
}

TEST_F_TIMEOUT(kill, while_mapping, 300)
{
	EXPECT_EQ(KILLS, kill_many(&self->storm, map_once));
}

TEST_F_TIMEOUT(kill, while_creating, 300)
{
	const long long before = free_kib();

	ASSERT_LT(0, before);
	EXPECT_EQ(KILLS, kill_many(&self->storm, create_once));
	/* A page of each would be less, but not all of a buffer of each. */
	EXPECT_GE(8 * (long)KIB, lost(free_kib, -1, before));
}

/* What can't be pinned can't be killed meanwhile. */
FIXTURE(kill_pin)
{
	struct storm storm;
};

FIXTURE_VARIANT(kill_pin)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(kill_pin);

FIXTURE_SETUP(kill_pin)
{
	ASSERT_TRUE(storm_begin(&self->storm, variant->backing,
				variant->flags));
}

FIXTURE_TEARDOWN(kill_pin)
{
	storm_end(&self->storm);
}

TEST_F_TIMEOUT(kill_pin, while_a_disk_has_it, 300)
{
	if (self->storm.disk < 0) {
		totals->not_run += KILLS;
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	}
	EXPECT_EQ(KILLS, kill_many(&self->storm, direct_once));
}

/* Why no ring takes a mapping of a buffer; NULL if one does. */
static const char *no_ring(int fd)
{
	char *p = buf_map(fd, page_size(), RW);
	const char *why = "no mapping";
	struct ring r;

	if (p == MAP_FAILED)
		return why;
	ring_with(&r, p, page_size(), &why);
	ring_close(&r);
	munmap(p, page_size());
	return why;
}

TEST_F_TIMEOUT(kill_pin, while_a_ring_has_it, 300)
{
	const char *why = no_ring(self->storm.fd);

	if (!why && self->storm.disk < 0)
		why = "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp";
	if (why) {
		totals->not_run += KILLS;
		SKIP(return, "%s", why);
	}
	EXPECT_TRUE(comes_true(is_as_before, &self->storm));
	EXPECT_EQ(KILLS, kill_many(&self->storm, uring_once));
}

TEST_F_TIMEOUT(kill_pin, while_a_pipe_has_it, 300)
{
	EXPECT_EQ(KILLS, kill_many(&self->storm, vmsplice_once));
}

/* The last one: what all the others add up to. */
FIXTURE(kill_all)
{
	int unused;
};

FIXTURE_SETUP(kill_all)
{
}

FIXTURE_TEARDOWN(kill_all)
{
}

TEST_F(kill_all, two_thousand)
{
	char line[512];
	int len = 0;

	for (int i = 0; i < STAGES; i++)
		len += snprintf(line + len, sizeof(line) - (size_t)len,
				" %s %ld", stages[i], totals->stage[i]);
	TH_LOG("%ld processes killed, %ld not; where their %d threads were:%s",
	       totals->kills, totals->not_run, THREADS, line);
	EXPECT_LE(ALL_KILLS, totals->kills + totals->not_run);
	EXPECT_LT(0, totals->stage[CREATE]);
	EXPECT_LT(0, totals->stage[MAP]);
	EXPECT_LT(0, totals->stage[FAULT]);
	EXPECT_LT(0, totals->stage[PIN]);
}

TEST_HARNESS_MAIN
