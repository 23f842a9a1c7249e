// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom the memory of a buffer is charged to, what happens at each limit, and
 * that all of it comes back.
 */
#include <limits.h>
#include <sched.h>

#include "kselftest_harness.h"
#include "kubuf_cgroup.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define NAME		"limit-test"

/* Users of these tests only, so that nothing is charged to them before. */
#define USER		64123
#define OTHER_USER	64124

/* The limit of all buffers together; as it was after each test. */
FIXTURE(limit) {
	char limit_mb[32];
};

FIXTURE_VARIANT(limit) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(limit);

FIXTURE_SETUP(limit)
{
	buf_destroy(NAME);
	ASSERT_EQ(0, parameter_get("limit_mb", self->limit_mb,
				   sizeof(self->limit_mb)));
	ASSERT_EQ(0, named_count());
}

FIXTURE_TEARDOWN(limit)
{
	buf_destroy(NAME);
	EXPECT_EQ(0, parameter_set("limit_mb", self->limit_mb));
}

#define CREATE(length)	buf_create(variant->backing, length, variant->flags)

TEST_F(limit, more_than_is_allowed)
{
	int fd;

	ASSERT_EQ(0, parameter_set("limit_mb", "2"));
	EXPECT_EQ(-ENOSPC, CREATE(2 * MIB + 1));
	/* What was refused was not counted. */
	EXPECT_EQ(-ENOSPC, CREATE(2 * MIB + 1));
	fd = CREATE(2 * MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(limit, exactly_what_is_allowed)
{
	int fd, second;

	ASSERT_EQ(0, parameter_set("limit_mb", "4"));
	for (int i = 0; i < 5; i++) {
		fd = CREATE(4 * MIB);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-ENOSPC, CREATE(1));
		close(fd);
	}
	/* The sum of all counts, not each. */
	fd = CREATE(2 * MIB);
	ASSERT_LE(0, fd);
	second = CREATE(2 * MIB);
	ASSERT_LE(0, second);
	EXPECT_EQ(-ENOSPC, CREATE(1));
	close(second);
	second = CREATE(1);
	EXPECT_LE(0, second);
	close(second);
	close(fd);
}

/* As long as anybody has it: another fd, then a mapping alone. */
TEST_F(limit, counted_until_the_last_user_is_gone)
{
	char *p;
	int fd, second;

	ASSERT_EQ(0, parameter_set("limit_mb", "4"));
	fd = CREATE(4 * MIB);
	ASSERT_LE(0, fd);
	second = dup(fd);
	close(fd);
	EXPECT_EQ(-ENOSPC, CREATE(1));
	p = buf_map(second, page_size(), PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	close(second);
	EXPECT_EQ(-ENOSPC, CREATE(1));
	munmap(p, page_size());
	fd = CREATE(4 * MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(limit, named_is_counted_until_destroyed)
{
	int fd;

	ASSERT_EQ(0, parameter_set("limit_mb", "4"));
	fd = buf_create_named(NAME, variant->backing, 4 * MIB, variant->flags,
			      0);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-ENOSPC, CREATE(1));
	/* Destroyed and still open. */
	fd = node_open(NAME, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-ENOSPC, CREATE(1));
	close(fd);
	fd = CREATE(4 * MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

/* Before a taken name is noticed the memory is there, and must go again. */
TEST_F(limit, taken_name_is_not_counted)
{
	int fd;

	ASSERT_EQ(0, parameter_set("limit_mb", "5"));
	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, MIB, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(-EEXIST, buf_create_named(NAME, variant->backing,
						    4 * MIB, variant->flags,
						    0));
	/* Of two errors this one comes first. */
	ASSERT_EQ(0, parameter_set("limit_mb", "4"));
	EXPECT_EQ(-ENOSPC, buf_create_named(NAME, variant->backing, 4 * MIB,
					    variant->flags, 0));
}

TEST_F(limit, lowered_below_what_is_there)
{
	int fd;

	ASSERT_EQ(0, parameter_set("limit_mb", "4"));
	fd = CREATE(4 * MIB);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, parameter_set("limit_mb", "1"));
	EXPECT_EQ(-ENOSPC, CREATE(1));
	EXPECT_EQ(1, pwrite(fd, "k", 1, 4 * MIB - 1));
	close(fd);
	fd = CREATE(MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(limit, nothing_at_all)
{
	ASSERT_EQ(0, parameter_set("limit_mb", "0"));
	EXPECT_EQ(-ENOSPC, CREATE(1));
}

/* More MiB than there are bytes in 64 bits. */
TEST_F(limit, absurdly_high)
{
	const char * const limits[] = {
		"18446744073709551615", "17592186044416", "17592186044417",
		"8796093022208",
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int fd;

		ASSERT_EQ(0, parameter_set("limit_mb", limits[i]));
		fd = CREATE(MIB);
		EXPECT_LE(0, fd);
		close(fd);
	}
}

/* What all creators share: how much of the limit they know to be taken. */
struct creators {
	long taken;
	long most;
	long granted;
	long wrong;
	__u32 backing;
	__u32 flags;
	long length;
};

#define CREATORS	64

/* One creator: all at the same moment, then again and again. */
static void creator(struct creators *c, bool hold, int gate)
{
	char byte;

	/* Asleep until it opens: to look would keep the last from being forked. */
	if (read(gate, &byte, 1))
		abort();
	for (long i = 0; i < (hold ? 1 : rounds(100)); i++) {
		int fd = buf_create(c->backing, c->length, c->flags);
		long now, most;

		if (fd < 0) {
			if (fd != -ENOSPC)
				__atomic_fetch_add(&c->wrong, 1,
						   __ATOMIC_RELAXED);
			continue;
		}
		/* Never more than there really is: after it, and before. */
		now = __atomic_add_fetch(&c->taken, c->length,
					 __ATOMIC_SEQ_CST);
		most = __atomic_load_n(&c->most, __ATOMIC_RELAXED);
		while (now > most &&
		       !__atomic_compare_exchange_n(&c->most, &most, now, false,
						    __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST))
			;
		__atomic_fetch_add(&c->granted, 1, __ATOMIC_RELEASE);
		if (hold)
			pause();
		sched_yield();
		__atomic_fetch_sub(&c->taken, c->length, __ATOMIC_SEQ_CST);
		close(fd);
	}
	_exit(0);
}

static struct creators *start_creators(__u32 backing, __u32 flags, long length,
				       bool hold, pid_t pids[CREATORS])
{
	struct creators *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int gate[2];

	if (c == MAP_FAILED || pipe(gate))
		abort();
	c->backing = backing;
	c->flags = flags;
	c->length = length;
	for (int i = 0; i < CREATORS; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(gate[1]);
			creator(c, hold, gate[0]);
		}
		if (pids[i] < 0)
			abort();
	}
	close(gate[0]);
	close(gate[1]);
	return c;
}

#define MOST_IDS	256

/* The numbers of the buffers that there are: how many. */
static int buffer_ids(unsigned long ids[MOST_IDS])
{
	DIR *dir = opendir(DEBUGFS);
	struct dirent *d;
	int n = 0;

	while (dir && n < MOST_IDS && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			ids[n++] = strtoul(d->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return n;
}

/*
 * How many buffers there were at one moment: those that are listed before it
 * and after it. No number is given twice.
 */
static int buffers_at_once(void)
{
	unsigned long before[MOST_IDS], after[MOST_IDS];
	int nr_before = buffer_ids(before), nr_after = buffer_ids(after);
	int n = 0;

	for (int i = 0; i < nr_before; i++)
		for (int j = 0; j < nr_after; j++)
			n += before[i] == after[j];
	return n;
}

/* Look on until all creators have ended: the most buffers that were seen. */
static int watch_creators(int *looks)
{
	int most = 0, ended = 0;

	while (ended < CREATORS) {
		int n = buffers_at_once();

		++*looks;
		most = n > most ? n : most;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			ended++;
	}
	return most;
}

TEST_F_TIMEOUT(limit, creators_at_once_never_pass_it, 900)
{
	pid_t pids[CREATORS];
	int most, looks = 0;
	struct creators *c;
	int fd;

	/* There is room for eight, so that most of them come when there is none. */
	ASSERT_EQ(0, parameter_set("limit_mb", "1"));
	c = start_creators(variant->backing, variant->flags, 128 * KIB, false,
			   pids);
	most = watch_creators(&looks);
	EXPECT_EQ(0, c->wrong);
	EXPECT_LT(0, c->granted);
	/* By those who have them, and by the kernel's own list of them. */
	EXPECT_GE((long)MIB, c->most);
	EXPECT_GE(8, most);
	TH_LOG("%d creators were given %ld buffers: at most %ld KiB at once; %d in %d looks",
	       CREATORS, c->granted, c->most / 1024, most, looks);
	/* And nothing of it is still counted. */
	EXPECT_EQ(0, c->taken);
	fd = CREATE(MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

/* Each wants a fifth of it and keeps it: five get it, and the others do not. */
TEST_F_TIMEOUT(limit, creators_at_once_use_all_of_it, 900)
{
	pid_t pids[CREATORS];
	struct creators *c;
	int ended = 0;
	int fd;

	ASSERT_EQ(0, parameter_set("limit_mb", "5"));
	c = start_creators(variant->backing, variant->flags, MIB, true, pids);
	/* Until each has got its share, or has not. */
	while (ended + __atomic_load_n(&c->granted, __ATOMIC_ACQUIRE) <
	       CREATORS) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		for (int i = 0; pid > 0 && i < CREATORS; i++)
			if (pids[i] == pid)
				pids[i] = 0;
		ended += pid > 0;
		sched_yield();
	}
	EXPECT_EQ(0, c->wrong);
	EXPECT_EQ((long)(5 * MIB), c->taken);
	EXPECT_EQ(-ENOSPC, CREATE(1));
	for (int i = 0; i < CREATORS; i++)
		if (pids[i])
			kill_wait(pids[i]);
	/* Killed is as good as closed. */
	fd = CREATE(4 * MIB);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST(limit_mb_refuses_what_is_not_a_number)
{
	char before[32], after[32];

	ASSERT_EQ(0, parameter_get("limit_mb", before, sizeof(before)));
	EXPECT_EQ(-EINVAL, parameter_set("limit_mb", "much"));
	EXPECT_EQ(-EINVAL, parameter_set("limit_mb", "-1"));
	EXPECT_EQ(-ERANGE, parameter_set("limit_mb", "18446744073709551616"));
	ASSERT_EQ(0, parameter_get("limit_mb", after, sizeof(after)));
	EXPECT_STREQ(before, after);
}

/* RLIMIT_MEMLOCK: what a user may have in all its processes. */
FIXTURE(memlock) {
	int unused;
};

FIXTURE_VARIANT(memlock) {
	KUBUF_VARIANT_FIELDS
};

/* Reserved buffers are not for such users. */
KUBUF_PAGE_VARIANTS(memlock);
KUBUF_VARIANT(memlock, kmalloc, KUBUF_BACKING_KMALLOC, 0, true);

FIXTURE_SETUP(memlock)
{
}

FIXTURE_TEARDOWN(memlock)
{
}

static int memlock_set(rlim_t bytes)
{
	struct rlimit rl = { .rlim_cur = bytes, .rlim_max = bytes };

	return setrlimit(RLIMIT_MEMLOCK, &rl) ? -errno : 0;
}

struct ask {
	__u32 backing;
	size_t limit;
	size_t length;
	uid_t user;
};

static long create_under_fn(void *arg)
{
	struct ask *ask = arg;
	int ret = memlock_set(ask->limit);

	if (!ret && ask->user)
		ret = become(ask->user);
	if (!ret)
		ret = buf_create(ask->backing, ask->length, 0);
	return ret < 0 ? ret : 0;
}

/* Have a user create one buffer under a limit, and give it back. */
static long create_under(uid_t user, struct ask *ask)
{
	ask->user = user;
	return in_child(create_under_fn, ask);
}

TEST_F(memlock, exactly_what_is_allowed)
{
	struct ask ask = { variant->backing, MIB, MIB, 0 };

	EXPECT_EQ(0, create_under(USER, &ask));
	ask.length = MIB + 1;
	EXPECT_EQ(-ENOMEM, create_under(USER, &ask));
	ask.limit = RLIM_INFINITY;
	EXPECT_EQ(0, create_under(USER, &ask));
	ask.limit = 0;
	ask.length = 1;
	EXPECT_EQ(-ENOMEM, create_under(USER, &ask));
}

static long fill_and_refill(void *arg)
{
	struct ask *ask = arg;
	int fd, ret;

	ret = memlock_set(2 * MIB);
	for (int i = 0; !ret && i < 5; i++) {
		fd = buf_create(ask->backing, 2 * MIB, 0);
		if (fd < 0)
			return fd;
		ret = buf_create(ask->backing, 1, 0);
		if (ret != -ENOMEM)
			return 1;
		ret = 0;
		close(fd);
	}
	return ret;
}

TEST_F(memlock, comes_back_with_the_last_close)
{
	struct ask ask = { .backing = variant->backing };

	EXPECT_EQ(0, as_user(USER, fill_and_refill, &ask));
}

/* A child that keeps a buffer until it is killed. */
static pid_t holder(uid_t user, __u32 backing, size_t length, size_t limit,
		    int *fd)
{
	int ready[2];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		*fd = memlock_set(limit) || become(user) ?
			-EPERM : buf_create(backing, length, 0);
		if (write(ready[1], fd, sizeof(*fd)) == sizeof(*fd))
			pause();
		_exit(1);
	}
	if (pid > 0 && read(ready[0], fd, sizeof(*fd)) != sizeof(*fd))
		*fd = -EIO;
	close(ready[0]);
	close(ready[1]);
	return pid;
}

TEST_F(memlock, is_shared_by_all_processes_of_a_user)
{
	struct ask ask = { variant->backing, MIB, 512 * KIB, 0 };
	pid_t pid;
	int fd;

	pid = holder(USER, variant->backing, MIB, MIB, &fd);
	ASSERT_LT(0, pid);
	EXPECT_LE(0, fd);
	EXPECT_EQ(-ENOMEM, create_under(USER, &ask));
	/* Others have a limit of their own. */
	EXPECT_EQ(0, create_under(OTHER_USER, &ask));
	kill_wait(pid);
	EXPECT_EQ(0, create_under(USER, &ask));
}

/* The one who made it pays, as long as anybody has it. */
TEST_F(memlock, is_charged_to_the_creator)
{
	struct ask ask = { variant->backing, MIB, 512 * KIB, 0 };
	int pidfd, theirs, fd;
	pid_t pid;

	pid = holder(USER, variant->backing, MIB, MIB, &theirs);
	ASSERT_LT(0, pid);
	EXPECT_LE(0, theirs);
	pidfd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	fd = syscall(__NR_pidfd_getfd, pidfd, theirs, 0);
	ASSERT_LE(0, fd);
	kill_wait(pid);
	close(pidfd);
	EXPECT_EQ(1, pwrite(fd, "k", 1, 0));
	EXPECT_EQ(-ENOMEM, create_under(USER, &ask));
	close(fd);
	EXPECT_EQ(0, create_under(USER, &ask));
}

/* CAP_IPC_LOCK. */
TEST_F(memlock, is_not_for_root)
{
	struct ask ask = { variant->backing, 0, MIB, 0 };

	EXPECT_EQ(0, create_under(0, &ask));
}

/* A cgroup with a limit, and none of its own if the kernel has none. */
FIXTURE(cgroup) {
	struct memcg memcg;
};

FIXTURE_VARIANT(cgroup) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(cgroup);

FIXTURE_SETUP(cgroup)
{
	ASSERT_EQ(0, memcg_make(&self->memcg));
}

FIXTURE_TEARDOWN(cgroup)
{
	EXPECT_EQ(0, memcg_remove(&self->memcg));
}

struct member {
	const struct memcg *memcg;
	__u32 backing;
	__u32 flags;
	size_t length;
	/* Bytes that the cgroup has: before, meanwhile, after. */
	long long before;
	long long with;
	long long after;
	int made;
};

/* Make buffers until it fails: how it failed. */
static long create_many(void *arg)
{
	struct member *m = arg;
	int ret = memcg_join(m->memcg);

	while (!ret && m->made < 32) {
		ret = buf_create(m->backing, m->length, m->flags);
		if (ret < 0)
			break;
		m->made++;
		ret = 0;
	}
	return ret;
}

static bool member_share(struct member **m)
{
	*m = mmap(NULL, sizeof(**m), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return *m != MAP_FAILED;
}

TEST_F_TIMEOUT(cgroup, too_much_fails_and_kills_nobody, 900)
{
	struct member *m;

	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	ASSERT_TRUE(member_share(&m));
	*m = (struct member) {
		.memcg = &self->memcg,
		.backing = variant->backing,
		.flags = variant->flags,
		.length = 4 * MIB,
	};
	ASSERT_EQ(0, memcg_write(&self->memcg, "memory.max", "18M"));
	EXPECT_EQ(-ENOMEM, in_child(create_many, m));
	EXPECT_EQ(4, m->made);
	EXPECT_EQ(0, memcg_event(&self->memcg, "oom_kill"));
	/* The limit was met, or all this shows nothing. */
	EXPECT_LT(0, memcg_event(&self->memcg, "max"));
}

/* One that is far above the limit; what was allocated for it goes again. */
TEST_F_TIMEOUT(cgroup, far_too_much_leaves_nothing, 900)
{
	char limit[32];
	struct member *m;
	int fd;

	if (variant->backing == KUBUF_BACKING_KMALLOC ||
	    variant->backing == KUBUF_BACKING_PAGES)
		return;
	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	ASSERT_TRUE(member_share(&m));
	*m = (struct member) {
		.memcg = &self->memcg,
		.backing = variant->backing,
		.flags = variant->flags,
		.length = 64 * MIB,
	};
	ASSERT_EQ(0, parameter_get("limit_mb", limit, sizeof(limit)));
	ASSERT_EQ(0, parameter_set("limit_mb", "64"));
	ASSERT_EQ(0, memcg_write(&self->memcg, "memory.max", "16M"));
	EXPECT_EQ(-ENOMEM, in_child(create_many, m));
	EXPECT_EQ(0, m->made);
	EXPECT_GT((long long)MIB, memcg_read(&self->memcg, "memory.current"));
	EXPECT_EQ(0, memcg_event(&self->memcg, "oom_kill"));
	/* Nor is it counted against the other limit. */
	fd = CREATE(64 * MIB);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, parameter_set("limit_mb", limit));
}

static long create_and_weigh(void *arg)
{
	struct member *m = arg;
	int ret = memcg_join(m->memcg);
	int a, b;

	if (ret)
		return ret;
	/* So that what the first call needs itself is there already. */
	a = buf_create(m->backing, m->length, m->flags);
	close(a);
	m->before = memcg_read(m->memcg, "memory.current");
	a = buf_create(m->backing, m->length, m->flags);
	b = buf_create(m->backing, m->length, m->flags);
	m->with = memcg_read(m->memcg, "memory.current");
	close(a);
	close(b);
	m->after = memcg_read(m->memcg, "memory.current");
	return a < 0 ? a : b < 0 ? b : 0;
}

/* Paid at creation, before anything is touched. */
TEST_F_TIMEOUT(cgroup, is_charged_and_gets_it_back, 900)
{
	const long long slack = MIB, sum = 8 * MIB;
	struct member *m;

	if (!memcg_is_there(&self->memcg))
		SKIP(return, "no memory controller in cgroup v2");
	ASSERT_TRUE(member_share(&m));
	*m = (struct member) {
		.memcg = &self->memcg,
		.backing = variant->backing,
		.flags = variant->flags,
		.length = 4 * MIB,
	};
	ASSERT_EQ(0, in_child(create_and_weigh, m));
	EXPECT_LE(m->before + sum - slack, m->with);
	EXPECT_GE(m->before + sum + slack, m->with);
	EXPECT_LE(m->before - slack, m->after);
	EXPECT_GE(m->before + slack, m->after);
}

/* Memory comes back, whatever was done with it. */
FIXTURE(leak) {
	long long before;
};

FIXTURE_VARIANT(leak) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(leak);

FIXTURE_SETUP(leak)
{
	buf_destroy(NAME);
}

FIXTURE_TEARDOWN(leak)
{
}

static long long slab_kib(void)
{
	return file_field("/proc/meminfo", "Slab");
}

static int use_once(__u32 backing, __u32 flags)
{
	const size_t length = 4 * MIB;
	int fd = buf_create(backing, length, flags);
	char *p;

	if (fd < 0)
		return fd;
	p = buf_map(fd, length, PROT_READ | PROT_WRITE);
	if (p == MAP_FAILED)
		return -errno;
	for (size_t off = 0; off < length; off += page_size())
		p[off] = 1;
	close(fd);
	munmap(p, length);
	return 0;
}

/*
 * Do something many times and see whether memory is missing afterwards. Others
 * may have taken it, once or twice; a leak is there each time.
 */
#define TRIES	3

/* 800 MiB in all, or 200: every page of each may not be lost. */
TEST_F_TIMEOUT(leak, memory, 1800)
{
	long long before, kib = LONG_MAX;

	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, use_once(variant->backing, variant->flags));
	for (int try = 0; try < TRIES && kib > 4 * (long)KIB; try++) {
		before = free_kib();
		ASSERT_LT(0, before);
		for (long i = 0; i < rounds(200); i++)
			ASSERT_EQ(0, use_once(variant->backing,
					      variant->flags));
		kib = lost(free_kib, -1, before);
	}
	EXPECT_GE(4 * (long)KIB, kib);
}

TEST_F_TIMEOUT(leak, memory_of_what_was_refused, 1800)
{
	long long before, kib = LONG_MAX;
	int fd;

	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	for (int try = 0; try < TRIES && kib > 4 * (long)KIB; try++) {
		before = free_kib();
		ASSERT_LT(0, before);
		for (long i = 0; i < rounds(50); i++)
			ASSERT_EQ(-EEXIST,
				  buf_create_named(NAME, variant->backing,
						   4 * MIB, variant->flags,
						   0));
		kib = lost(free_kib, -1, before);
	}
	EXPECT_GE(4 * (long)KIB, kib);
	close(fd);
	EXPECT_EQ(0, buf_destroy(NAME));
}

static int describe_once(__u32 backing, __u32 flags, bool named)
{
	int fd = named ? buf_create_named(NAME, backing, 1, flags, 0) :
			 buf_create(backing, 1, flags);

	if (fd < 0)
		return fd;
	close(fd);
	return named ? buf_destroy(NAME) : 0;
}

/*
 * KiB that come and go: KASAN keeps a MiB of freed objects for each processor
 * before it thinks of giving some back. There kmemleak finds what is lost.
 */
static long kept_back(void)
{
	return access(KMEMLEAK, F_OK) ? 0 : sysconf(_SC_NPROCESSORS_CONF) * KIB;
}

/* Half a kilobyte of each is too much, and half a page. */
TEST_F_TIMEOUT(leak, descriptions_and_single_pages, 1800)
{
	const long n = rounds(2000), slab_noise = n / 2 + kept_back();
	long long slab = LONG_MAX, pages = LONG_MAX;

	for (int i = 0; i < 200; i++)
		ASSERT_EQ(0, describe_once(variant->backing, variant->flags,
					   i % 2));
	for (int try = 0; try < TRIES; try++) {
		long long slab_before = slab_kib(), free_before = free_kib();

		ASSERT_LT(0, slab_before);
		ASSERT_LT(0, free_before);
		for (long i = 0; i < n; i++)
			ASSERT_EQ(0, describe_once(variant->backing,
						   variant->flags, i % 4 == 0));
		slab = lost(slab_kib, 1, slab_before);
		pages = lost(free_kib, -1, free_before);
		if (slab <= slab_noise && pages <= 2 * n)
			break;
	}
	EXPECT_GE(slab_noise, slab);
	EXPECT_GE(2 * n, pages);
}

TEST_HARNESS_MAIN
