// SPDX-License-Identifier: GPL-2.0-only
/*
 * Futexes in a buffer, shared by processes that know nothing of each other but
 * the buffer: on the page path they work as in any file, on the PFN path there
 * is no page that could name them.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_uring.h"
#include "kubuf_task.h"

#define NAME	"futex-test"

/* As much as has a whole piece of a huge buffer, and more. */
#define LENGTH	(3 * MIB)

#define TURNS	5000

static long futex(__u32 *word, int op, __u32 value)
{
	const struct timespec timeout = { .tv_sec = 60 };
	long ret = syscall(SYS_futex, word, op, value,
			   op == FUTEX_WAIT ? &timeout : NULL, NULL, 0);

	return ret < 0 ? -errno : ret;
}

FIXTURE(futex)
{
	size_t length;
	int fd;
	char *map;
};

FIXTURE_VARIANT(futex)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(futex);

FIXTURE_SETUP(futex)
{
	self->length = LENGTH;
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
	self->map = buf_map(self->fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(futex)
{
	munmap(self->map, self->length);
	close(self->fd);
}

/* What is shared, at the start of the buffer. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	sem_t sem[2];
	long counter;
	long turn;
};

struct partner {
	int fd;
	const void *parents;	/* where the parent has mapped it */
	size_t length;
	size_t offset;
	long (*fn)(struct shared *shared);
};

/* In a child: forget the mapping of the parent, and make one elsewhere. */
static long partner_fn(void *arg)
{
	struct partner *p = arg;
	char *map;

	munmap((void *)p->parents, p->length);
	/* Keep the place, so that this one is mapped at another. */
	mmap((void *)p->parents, p->length, PROT_NONE, MAP_PRIVATE |
	     MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	map = buf_map(p->fd, p->length, PROT_READ | PROT_WRITE);
	if (map == MAP_FAILED || map == p->parents)
		return -ENOMEM;
	return p->fn((void *)(map + p->offset));
}

struct running {
	pthread_t thread;
	struct partner partner;
	long ret;
};

static void *run_partner(void *arg)
{
	struct running *r = arg;

	r->ret = in_child(partner_fn, &r->partner);
	return NULL;
}

static bool start_partner(struct running *r, int fd, const void *map,
			  size_t length, long (*fn)(struct shared *shared))
{
	r->partner = (struct partner){
		.fd = fd,
		.parents = map,
		.length = length,
		.fn = fn,
	};
	return !pthread_create(&r->thread, NULL, run_partner, r);
}

static long end_partner(struct running *r)
{
	pthread_join(r->thread, NULL);
	return r->ret;
}

static void init_mutex(pthread_mutex_t *mutex, bool robust)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (robust)
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

static long count_up(struct shared *shared)
{
	long seen;

	for (int i = 0; i < TURNS; i++) {
		if (pthread_mutex_lock(&shared->mutex))
			return -EDEADLK;
		seen = shared->counter;
		/* Let the other one come, and have to sleep. */
		if (i % 16 == 0)
			sched_yield();
		shared->counter = seen + 1;
		pthread_mutex_unlock(&shared->mutex);
	}
	return 0;
}

TEST_F(futex, mutex)
{
	struct shared *shared = (void *)self->map;
	struct running partner;

	init_mutex(&shared->mutex, false);
	ASSERT_TRUE(start_partner(&partner, self->fd, self->map, self->length,
				  count_up));
	EXPECT_EQ(0, count_up(shared));
	EXPECT_EQ(0, end_partner(&partner));
	EXPECT_EQ(2 * TURNS, shared->counter);
}

/* Take turns; who is called for begins with MINE. */
static long take_turns(struct shared *shared, long mine)
{
	pthread_mutex_lock(&shared->mutex);
	for (int i = 0; i < TURNS; i++) {
		while (shared->turn % 2 != mine)
			pthread_cond_wait(&shared->cond, &shared->mutex);
		shared->turn++;
		pthread_cond_signal(&shared->cond);
	}
	pthread_mutex_unlock(&shared->mutex);
	return 0;
}

static long odd_turns(struct shared *shared)
{
	return take_turns(shared, 1);
}

TEST_F(futex, condition_variable)
{
	struct shared *shared = (void *)self->map;
	pthread_condattr_t attr;
	struct running partner;

	init_mutex(&shared->mutex, false);
	pthread_condattr_init(&attr);
	pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &attr);
	pthread_condattr_destroy(&attr);
	ASSERT_TRUE(start_partner(&partner, self->fd, self->map, self->length,
				  odd_turns));
	EXPECT_EQ(0, take_turns(shared, 0));
	EXPECT_EQ(0, end_partner(&partner));
	EXPECT_EQ(2 * TURNS, shared->turn);
}

static long answer_posts(struct shared *shared)
{
	for (int i = 0; i < TURNS; i++) {
		while (sem_wait(&shared->sem[0]))
			;
		shared->counter++;
		sem_post(&shared->sem[1]);
	}
	return 0;
}

TEST_F(futex, semaphore)
{
	struct shared *shared = (void *)self->map;
	struct running partner;

	sem_init(&shared->sem[0], 1, 0);
	sem_init(&shared->sem[1], 1, 0);
	ASSERT_TRUE(start_partner(&partner, self->fd, self->map, self->length,
				  answer_posts));
	for (int i = 0; i < TURNS; i++) {
		sem_post(&shared->sem[0]);
		while (sem_wait(&shared->sem[1]))
			;
		if (shared->counter != i + 1)
			break;
	}
	EXPECT_EQ(0, end_partner(&partner));
	EXPECT_EQ(TURNS, shared->counter);
}

static long die_with_it(struct shared *shared)
{
	pthread_mutex_lock(&shared->mutex);
	raise(SIGKILL);
	return 0;
}

TEST_F(futex, owner_dies)
{
	struct shared *shared = (void *)self->map;
	struct running partner;

	init_mutex(&shared->mutex, true);
	ASSERT_TRUE(start_partner(&partner, self->fd, self->map, self->length,
				  die_with_it));
	EXPECT_EQ(DIED - SIGKILL, end_partner(&partner));
	EXPECT_EQ(EOWNERDEAD, pthread_mutex_lock(&shared->mutex));
	EXPECT_EQ(0, pthread_mutex_consistent(&shared->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&shared->mutex));
}

struct waiter {
	pthread_t thread;
	__u32 *word;
	long ret;
};

static void *wait_for_wake(void *arg)
{
	struct waiter *w = arg;

	w->ret = futex(w->word, FUTEX_WAIT, 0);
	return NULL;
}

/* Wake up to N who sleep at WORD, as soon as there is one. */
static long wake_soon(__u32 *word, __u32 n)
{
	long ret = 0;

	for (int i = 0; i < 60000 && !ret; i++) {
		ret = futex(word, FUTEX_WAKE, n);
		if (!ret)
			usleep(1000);
	}
	return ret;
}

/* Through another mapping, at another address. */
TEST_F(futex, another_mapping)
{
	char *map = buf_map(self->fd, self->length, PROT_READ | PROT_WRITE);
	struct waiter w = { .word = (__u32 *)(self->map + 64) };

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	EXPECT_EQ(1, wake_soon((__u32 *)(map + 64), 1));
	pthread_join(w.thread, NULL);
	EXPECT_EQ(0, w.ret);
	munmap(map, self->length);
}

TEST_F(futex, another_file)
{
	int fd = reopen(self->fd, O_RDWR);
	struct waiter w = { .word = (__u32 *)self->map };
	char *map;

	ASSERT_LE(0, fd);
	map = buf_map(fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	EXPECT_EQ(1, wake_soon((__u32 *)map, 1));
	pthread_join(w.thread, NULL);
	EXPECT_EQ(0, w.ret);
	munmap(map, self->length);
	close(fd);
}

TEST_F(futex, read_only_mapping)
{
	char *map = buf_map(self->fd, self->length, PROT_READ);
	struct waiter w = { .word = (__u32 *)map };

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	EXPECT_EQ(1, wake_soon((__u32 *)self->map, 1));
	pthread_join(w.thread, NULL);
	EXPECT_EQ(0, w.ret);
	munmap(map, self->length);
}

/* Each page is another name, be it of one folio or of many. */
TEST_F(futex, pages_are_told_apart)
{
	const size_t last = self->length / page_size() - 1;
	const size_t pages[] = { 0, 1, 3, 511, 512, 513, last };
	struct waiter w[ARRAY_SIZE(pages)];

	touch(self->map, self->length);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		w[i].word = (__u32 *)(self->map + pages[i] * page_size());
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, wait_for_wake,
					    &w[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		EXPECT_EQ(1, wake_soon(w[i].word, INT_MAX)) {
			TH_LOG("page %zu", pages[i]);
		}
		pthread_join(w[i].thread, NULL);
		EXPECT_EQ(0, w[i].ret);
	}
}

TEST_F(futex, buffers_are_told_apart)
{
	int fd = buf_create(variant->backing, self->length, variant->flags);
	struct waiter w = { .word = (__u32 *)self->map };
	char *map;

	ASSERT_LE(0, fd);
	map = buf_map(fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	usleep(50000);
	EXPECT_EQ(0, futex((__u32 *)map, FUTEX_WAKE, INT_MAX));
	EXPECT_EQ(1, wake_soon((__u32 *)self->map, 1));
	pthread_join(w.thread, NULL);
	munmap(map, self->length);
	close(fd);
}

/* A page of a private mapping that was copied is no longer the buffer's. */
TEST_F(futex, private_copy)
{
	char *map = mmap(NULL, self->length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE, self->fd, 0);
	struct waiter w = { .word = (__u32 *)self->map };

	ASSERT_NE(MAP_FAILED, map);
	store(map + 64, 1);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	usleep(50000);
	EXPECT_EQ(0, futex((__u32 *)map, FUTEX_WAKE, INT_MAX));
	EXPECT_EQ(1, wake_soon((__u32 *)self->map, 1));
	pthread_join(w.thread, NULL);
	munmap(map, self->length);
}

/*
 * What names a page goes with the last file, while a pin keeps the page. Who
 * opens the buffer again gives it a new one.
 */
TEST_F(futex, pin_outlives_the_name)
{
	const char *why;
	struct waiter w;
	struct ring ring;
	int fd, ret;
	char *map;

	buf_destroy(NAME);
	fd = buf_create_named(NAME, variant->backing, self->length,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	map = buf_map(fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, map);
	store(map, 0);
	EXPECT_EQ(0, futex((__u32 *)map, FUTEX_WAKE, 1));
	ret = ring_with(&ring, map, self->length, &why);
	if (ret && why)
		SKIP(goto out, "%s", why);
	EXPECT_EQ(0, ret);
	munmap(map, self->length);
	close(fd);

	fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, fd);
	map = buf_map(fd, self->length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, map);
	w.word = (__u32 *)(map + page_size());
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_for_wake, &w));
	EXPECT_EQ(1, wake_soon((__u32 *)(map + page_size()), 1));
	pthread_join(w.thread, NULL);
	EXPECT_EQ(0, w.ret);
out:
	ring_close(&ring);
	munmap(map, self->length);
	close(fd);
	EXPECT_EQ(0, buf_destroy(NAME));
}

FIXTURE(no_futex)
{
	int fd;
	__u32 *map;
};

FIXTURE_VARIANT(no_futex)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_PFN_VARIANTS(no_futex);

FIXTURE_SETUP(no_futex)
{
	self->fd = buf_create(variant->backing, page_size(), variant->flags);
	ASSERT_LE(0, self->fd);
	self->map = (__u32 *)buf_map(self->fd, page_size(),
				     PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(no_futex)
{
	munmap(self->map, page_size());
	close(self->fd);
}

TEST_F(no_futex, shared)
{
	*self->map = 0;
	EXPECT_EQ(-EFAULT, futex(self->map, FUTEX_WAKE, 1));
	EXPECT_EQ(-EFAULT, futex(self->map, FUTEX_WAIT, 0));
}

/* That is named by the address: between the threads of a process. */
TEST_F(no_futex, of_one_process)
{
	*self->map = 1;
	EXPECT_EQ(0, futex(self->map, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1));
	EXPECT_EQ(-EAGAIN, futex(self->map, FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
				 0));
}

TEST_HARNESS_MAIN
