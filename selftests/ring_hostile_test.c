// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring of which the other side stores what it likes: who is asked to produce or
 * to consume comes back, touches nothing but the ring, and goes on when the other
 * side behaves again. In the kernel, and in a program.
 */
#include <sys/time.h>

#include "kselftest_harness.h"
#include "kubuf_ring_side.h"

/* In ms: what has no reason to come back does not, for so long. */
#define A_WHILE		300
#define A_MOMENT	30

/* What is beside the ring, in the same page and in other buffers. */
#define GUARDS		2
#define GUARD_LENGTH	(64 * KIB)

struct guards {
	int fd[GUARDS];
	char *map[GUARDS];
};

static int guard_open(struct guards *g, int i)
{
	g->fd[i] = buf_create(KUBUF_BACKING_VMALLOC, GUARD_LENGTH, 0);
	if (g->fd[i] < 0)
		return g->fd[i];
	g->map[i] = buf_map(g->fd[i], GUARD_LENGTH, PROT_READ | PROT_WRITE);
	if (g->map[i] == MAP_FAILED)
		return -ENOMEM;
	fill(g->map[i], GUARD_LENGTH, i);
	return 0;
}

static bool guard_close(struct guards *g, int i)
{
	bool good = mismatch(g->map[i], GUARD_LENGTH, i) == GUARD_LENGTH;

	munmap(g->map[i], GUARD_LENGTH);
	close(g->fd[i]);
	return good;
}

/* What of the header's page is nobody's. */
static void fill_page(struct kubuf_ring_header *header)
{
	memset(header + 1, 0x5a, page_size() - sizeof(*header));
}

static bool page_is_whole(const struct kubuf_ring_header *header)
{
	return all_bytes(header + 1, page_size() - sizeof(*header), 0x5a);
}

struct attack {
	struct pair p;
	struct guards guards;
	struct kubuf_ring_header *header;
	char *data;
	__u32 victim;
	__u32 friend;
	int stop;
	__u64 stores;
};

/* A store beside the data of a program is to end it, where there is room. */
static void wall_in(const struct kubuf_ring *ring)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

	mmap(ring->data - page_size(), page_size(), PROT_NONE, flags, -1, 0);
	mmap(ring->data + 2 * kubuf_ring_size(ring), page_size(), PROT_NONE, flags, -1, 0);
}

static int attack_open(struct attack *a, __u32 victim, bool in_kernel,
		       __u32 flags, size_t size)
{
	int err;

	a->victim = victim;
	a->friend = victim == JOB_PRODUCE ? JOB_CONSUME : JOB_PRODUCE;
	a->p.in_kernel = in_kernel ? victim : 0;
	a->p.flags = flags;
	a->p.size = size;
	err = guard_open(&a->guards, 0);
	if (!err)
		err = open_pair(&a->p, KUBUF_BACKING_VMALLOC);
	if (!err)
		err = guard_open(&a->guards, 1);
	if (err)
		return err;
	a->header = header_of(&a->p);
	if (!in_kernel)
		wall_in(&a->p.side[victim].ring);
	a->data = buf_map(a->p.fd, size, PROT_READ | PROT_WRITE);
	fill_page(a->header);
	return a->data == MAP_FAILED ? -ENOMEM : 0;
}

static bool attack_close(struct attack *a)
{
	bool good = page_is_whole(a->header);

	munmap(a->data, a->p.size);
	close_pair(&a->p);
	good &= guard_close(&a->guards, 0);
	return guard_close(&a->guards, 1) && good;
}

static struct ring_job job_of(const struct attack *a, __u32 what, __u32 flags)
{
	struct ring_job job = {
		.what = what,
		.flags = flags,
		.length = 100,
		.count = 200,
		.seed = 7,
	};

	if (a->p.flags & BYTES) {
		job.flags |= JOB_BYTES;
		job.count *= 100;
	} else {
		job.flags |= JOB_RANDOM | JOB_NUMBERED;
	}
	return job;
}

/* The victim does some of what it does, and does not wait. */
static struct ring_job provoke(struct attack *a)
{
	struct ring_job job = job_of(a, a->victim, JOB_TRIES);

	run_job(&a->p, &job);
	return job;
}

/* What waiting for data answers; -EAGAIN if it does not come back for a while. */
static int wait_for_data(struct attack *a, int ms)
{
	/* Again and again: the first may come before there is a wait. */
	struct itimerval soon = {
		.it_value.tv_usec = ms * 1000,
		.it_interval.tv_usec = ms * 1000,
	};
	static const struct itimerval never;
	struct ring_args args = {};
	int err;

	if (!a->p.in_kernel) {
		err = kubuf_ring_wait_data(&a->p.side[JOB_CONSUME].ring,
					   ms) ? -errno : 0;
		return err == -ETIMEDOUT ? -EAGAIN : err;
	}
	setitimer(ITIMER_REAL, &soon, NULL);
	err = kioctl(a->p.driver, RING_WAIT_DATA, &args);
	setitimer(ITIMER_REAL, &never, NULL);
	return err == -EINTR ? -EAGAIN : err;
}

static void nothing(int signal)
{
}

/* What a store to the header does last: to say again where the victim is. */
static void say_again(struct attack *a)
{
	struct ring_job job = { .what = a->victim };

	run_job(&a->p, &job);
}

/*
 * The other side behaves: a consumer takes it that there is nothing; a producer
 * begins where the consumer is, who waits. It opens the ring anew.
 */
static int behave(struct attack *a)
{
	struct kubuf_ring_header *header = a->header;

	header->magic = KUBUF_RING_MAGIC;
	header->flags = a->p.flags;
	header->size = a->p.size;
	header->closed = 0;
	header->consumer_sleeps = 0;
	header->producer_sleeps = 0;
	say_again(a);
	if (a->victim == JOB_PRODUCE) {
		header->tail = header->head;
	} else {
		header->head = header->tail;
		/* What it was told of before it takes to be there, up to here. */
		wait_for_data(a, A_MOMENT);
	}
	close_side(&a->p, a->friend);
	return open_side(&a->p, a->friend);
}

/* And all arrives again. */
static bool works_on(struct attack *a)
{
	struct ring_job produce, consume;
	bool whole;

	if (behave(a))
		return false;
	a->header = header_of(&a->p);
	produce = job_of(a, JOB_PRODUCE, 0);
	consume = job_of(a, JOB_CONSUME, 0);
	if (run_both(&a->p, &produce, &consume))
		return false;
	whole = produce.done == produce.count && !consume.bad &&
		consume.done + consume.missed == consume.count;
	return whole && !produce.err && !consume.err && consume.done;
}

/* Positions that mean trouble, beside the one of the victim. */
static __u64 trouble(const struct attack *a, __u64 own, unsigned int i)
{
	const __u64 size = a->p.size;
	const __u64 values[] = {
		0, 1, 7, size - 1, size, size + 1, own + 1, own - 1, own + 8,
		own - 8, own + size, own - size, own + size + 1, own - size - 1,
		own + size - 1, own - size + 1, own + size + 8, own - size - 8,
		own ^ 1ULL << 63, UINT64_MAX, UINT64_MAX - 7,
		UINT64_MAX - size, 1ULL << 32, 1ULL << 63, own,
	};

	return values[i % (ARRAY_SIZE(values))];
}

#define TROUBLES	25

FIXTURE(producer)
{
	struct attack a;
};

FIXTURE_VARIANT(producer)
{
	bool in_kernel;
	__u32 flags;
	size_t pages;
};

HOSTILE_VARIANTS(producer);

FIXTURE_SETUP(producer)
{
	ASSERT_EQ(0, attack_open(&self->a, JOB_PRODUCE, variant->in_kernel,
				 variant->flags, variant->pages * page_size()));
}

FIXTURE_TEARDOWN(producer)
{
	EXPECT_TRUE(attack_close(&self->a));
}

/* The consumer says that it is where it cannot be. */
TEST_F(producer, consumer_is_nowhere)
{
	struct attack *a = &self->a;
	struct ring_job job;
	__u64 head;

	for (unsigned int i = 0; i < TROUBLES; i++) {
		provoke(a);
		head = a->header->head;
		a->header->tail = trouble(a, head, i);
		job = provoke(a);
		EXPECT_EQ(0, job.err);
		/* With a position that cannot be there is no new room. */
		if (head - trouble(a, head, i) > a->p.size)
			EXPECT_GE(a->p.size, a->header->head - head);
		EXPECT_TRUE(works_on(a))
			TH_LOG("tail %u", i);
	}
}

/* Lengths that were stored over those of the producer, which walks along them. */
TEST_F(producer, lengths_are_overwritten)
{
	static const __u32 lengths[] = {
		0, 1, 8, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
	};
	struct attack *a = &self->a;
	struct ring_job job;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		provoke(a);
		for (size_t at = 0; at < a->p.size; at += sizeof(__u32))
			memcpy(a->data + at, &lengths[i], sizeof(__u32));
		job = provoke(a);
		EXPECT_EQ(0, job.err);
		EXPECT_TRUE(works_on(a))
			TH_LOG("length %#x", lengths[i]);
	}
}

/* What the header says of the ring is for the consumer alone. */
TEST_F(producer, header_is_overwritten)
{
	struct attack *a = &self->a;
	struct ring_job job;
	__u64 head;

	memset(a->header, 0xff, sizeof(*a->header));
	job = provoke(a);
	EXPECT_EQ(0, job.err);
	EXPECT_TRUE(works_on(a));

	/* With the tail as it should be, it is as if nothing were wrong. */
	head = a->header->head;
	a->header->magic = 0;
	a->header->size = 1ULL << 62;
	a->header->flags = ~a->p.flags;
	a->header->head = 12345;
	job = provoke(a);
	EXPECT_EQ(0, job.err);
	EXPECT_LT(head, a->header->head);
	EXPECT_GE(a->p.size, a->header->head - a->header->tail);
	EXPECT_TRUE(works_on(a));
}

/* Each thing that is produced is told of; that costs, and that is all. */
TEST_F(producer, consumer_always_sleeps)
{
	struct attack *a = &self->a;
	long long before = sequence_of(a->p.fd);

	for (int i = 0; i < 100; i++) {
		a->header->consumer_sleeps = 0xffffffff;
		provoke(a);
		a->header->tail = a->header->head;
	}
	EXPECT_EQ(before + 100, sequence_of(a->p.fd));
	EXPECT_TRUE(works_on(a));
}

/* One that waits for room sleeps on, and goes on when there is some. */
TEST_F(producer, waits_until_the_consumer_behaves)
{
	struct attack *a = &self->a;
	struct kubuf_notify args = { .size = sizeof(args) };
	struct ring_job full = job_of(a, JOB_PRODUCE, JOB_TRIES);
	struct ring_job job = job_of(a, JOB_PRODUCE, 0);
	__u64 tail;

	provoke(a);
	full.count = a->p.size;
	run_job(&a->p, &full);
	a->header->tail = a->header->head + 8;
	job.count = 1;
	ASSERT_EQ(0, start_job(&a->p, &job));
	for (int i = 0; i < TROUBLES; i++) {
		tail = trouble(a, a->header->head, i);
		if (a->header->head - tail <= a->p.size)
			tail = a->header->head + 8;
		__atomic_store_n(&a->header->tail, tail, __ATOMIC_RELAXED);
		while (!JOB_LOAD(a->header->producer_sleeps))
			usleep(1000);
		a->header->producer_sleeps = 0;
		ASSERT_EQ(0, kioctl(a->p.fd, KUBUF_NOTIFY, &args));
	}
	a->header->tail = a->header->head;
	ASSERT_EQ(0, kioctl(a->p.fd, KUBUF_NOTIFY, &args));
	ASSERT_EQ(0, end_job(&a->p, &job, JOB_LOST));
	EXPECT_EQ(0, job.err);
	EXPECT_EQ(1U, job.done);
	a->header->tail = a->header->head;
	EXPECT_TRUE(works_on(a));
}

static __u64 random_word(unsigned int *state)
{
	return (__u64)next(state) << 48 ^ (__u64)next(state) << 32 ^
	       (__u64)next(state) << 16 ^ next(state);
}

/* Store nonsense all the time, some of it near the truth. */
static void *attack_without_end(void *arg)
{
	struct attack *a = arg;
	struct kubuf_ring_header *header = a->header;
	unsigned int state = 1;
	__u64 own, word;
	size_t at;

	while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
		own = a->victim == JOB_PRODUCE ? JOB_LOAD(header->head) :
						 JOB_LOAD(header->tail);
		word = next(&state) % 8 ? trouble(a, own, next(&state)) :
					  random_word(&state);
		if (next(&state) % 4 == 0)
			word = own - next(&state) % (a->p.size + 1);
		__atomic_store_n(a->victim == JOB_PRODUCE ? &header->tail :
				 &header->head, word, __ATOMIC_RELAXED);
		at = next(&state) * 8 % a->p.size;
		word = random_word(&state);
		__atomic_store_n((__u32 *)(a->data + at),
				 next(&state) % 2 ? word : word % 256,
				 __ATOMIC_RELAXED);
		switch (next(&state) % 8) {
		case 0:
			header->magic = word;
			header->size = word;
			break;
		case 1:
			header->flags = word;
			break;
		case 2:
			header->consumer_sleeps = word;
			header->producer_sleeps = word;
			break;
		case 3:
			__atomic_store_n(a->victim == JOB_PRODUCE ?
					 &header->head : &header->tail,
					 trouble(a, own, next(&state)),
					 __ATOMIC_RELAXED);
			break;
		}
		a->stores++;
	}
	return NULL;
}

static bool attack_for(struct attack *a, double how_long)
{
	double end = seconds() + how_long;
	pthread_t thread;

	a->stop = 0;
	a->stores = 0;
	if (pthread_create(&thread, NULL, attack_without_end, a))
		return false;
	while (seconds() < end) {
		provoke(a);
		/* What is told of nonsense is for the next look to tell again. */
		if (a->victim == JOB_CONSUME)
			wait_for_data(a, A_WHILE);
	}
	__atomic_store_n(&a->stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return a->stores > 100;
}

/* Values that change between any two looks at them. */
TEST_F(producer, consumer_stores_without_end)
{
	struct attack *a = &self->a;

	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(attack_for(a, 1));
		EXPECT_TRUE(works_on(a));
	}
}

FIXTURE(consumer)
{
	struct attack a;
};

FIXTURE_VARIANT(consumer)
{
	bool in_kernel;
	__u32 flags;
	size_t pages;
};

HOSTILE_VARIANTS(consumer);

FIXTURE_SETUP(consumer)
{
	struct sigaction act = { .sa_handler = nothing };

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, attack_open(&self->a, JOB_CONSUME, variant->in_kernel,
				 variant->flags, variant->pages * page_size()));
}

FIXTURE_TEARDOWN(consumer)
{
	EXPECT_TRUE(attack_close(&self->a));
}

/* The producer says that it is where it cannot be: it is told once, and is over. */
TEST_F(consumer, producer_is_nowhere)
{
	struct attack *a = &self->a;
	__u64 tail, head;

	for (unsigned int i = 0; i < TROUBLES; i++) {
		tail = a->header->tail;
		head = trouble(a, tail, i);
		/* What can be is not this test's. */
		if (head - tail <= a->p.size)
			continue;
		a->header->head = head;
		EXPECT_EQ(-EAGAIN, provoke(a).err);
		EXPECT_EQ(head, a->header->tail);
		EXPECT_EQ(-EPROTO, wait_for_data(a, A_WHILE));
		EXPECT_EQ(-EAGAIN, wait_for_data(a, A_MOMENT));
		EXPECT_TRUE(works_on(a))
			TH_LOG("head %u", i);
	}
}

/* As far as the consumer can see there may be such data. */
TEST_F(consumer, producer_gives_what_it_has_not_stored)
{
	struct attack *a = &self->a;

	memset(a->data, 0xff, a->p.size);
	a->header->head = a->header->tail + a->p.size;
	while (!provoke(a).err)
		;
	if (a->p.flags & BYTES) {
		EXPECT_EQ(-EAGAIN, wait_for_data(a, A_MOMENT));
	} else {
		EXPECT_EQ(-EPROTO, wait_for_data(a, A_WHILE));
		EXPECT_EQ(-EAGAIN, wait_for_data(a, A_MOMENT));
	}
	EXPECT_EQ(a->header->head, a->header->tail);
	EXPECT_TRUE(works_on(a));
}

/* One who sleeps until there is room is told that nonsense has made some. */
TEST_F(consumer, nonsense_makes_room)
{
	struct attack *a = &self->a;
	long long before = sequence_of(a->p.fd);

	a->header->producer_sleeps = 1;
	a->header->head = a->header->tail + a->p.size + 8;
	EXPECT_EQ(-EAGAIN, provoke(a).err);
	EXPECT_EQ(0U, a->header->producer_sleeps);
	EXPECT_EQ(before + 1, sequence_of(a->p.fd));
	EXPECT_EQ(-EPROTO, wait_for_data(a, A_WHILE));
	EXPECT_TRUE(works_on(a));
}

TEST_F(consumer, header_is_overwritten)
{
	struct attack *a = &self->a;

	memset(a->header, 0xff, sizeof(*a->header));
	a->header->closed = 0;
	provoke(a);
	wait_for_data(a, A_WHILE);
	EXPECT_TRUE(works_on(a));
}

/* A producer that has ended, and then has not. */
TEST_F(consumer, end_is_taken_back)
{
	struct attack *a = &self->a;

	a->header->closed = ~0U;
	EXPECT_EQ(-ENODATA, wait_for_data(a, A_WHILE));
	EXPECT_EQ(-ENODATA, wait_for_data(a, A_WHILE));
	EXPECT_TRUE(works_on(a));
}

TEST_F(consumer, producer_stores_without_end)
{
	struct attack *a = &self->a;

	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(attack_for(a, 1));
		EXPECT_TRUE(works_on(a));
	}
}

FIXTURE(record)
{
	struct attack a;
};

FIXTURE_VARIANT(record)
{
	bool in_kernel;
	__u32 flags;
	size_t pages;
};

HOSTILE_VARIANT(record, kernel, true, 0, 1);
HOSTILE_VARIANT(record, kernel_over, true, OVERWRITE, 16);
HOSTILE_VARIANT(record, program, false, 0, 1);
HOSTILE_VARIANT(record, program_over, false, OVERWRITE, 16);

FIXTURE_SETUP(record)
{
	struct sigaction act = { .sa_handler = nothing };

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, attack_open(&self->a, JOB_CONSUME, variant->in_kernel,
				 variant->flags, variant->pages * page_size()));
}

FIXTURE_TEARDOWN(record)
{
	EXPECT_TRUE(attack_close(&self->a));
}

/* A length that goes beyond what is there, or not. */
TEST_F(record, of_any_length)
{
	static const struct {
		__u32 length;
		__u32 there;
		int err;
	} tries[] = {
		{ 0, 8, 0 },
		{ 1, 16, 0 },
		{ 8, 16, 0 },
		{ 9, 16, -EPROTO },
		{ 1, 8, -EPROTO },
		{ 0, 7, -EPROTO },
		{ 0, 1, -EPROTO },
		{ 100, 16, -EPROTO },
		{ 4088, 4096, 0 },
		{ 4089, 4096, -EPROTO },
		{ 0x7fffffff, 4096, -EPROTO },
		{ 0xfffffff7, 8, -EPROTO },
		{ 0xfffffff8, 8, -EPROTO },
		{ 0xffffffff, 8, -EPROTO },
		{ 0xffffffff, 4096, -EPROTO },
	};
	struct attack *a = &self->a;
	struct ring_job job;
	void *at;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		/* Mapped twice: it need not be where a record can be. */
		at = kubuf_ring_at(&a->p.side[JOB_PRODUCE].ring,
				   a->header->tail);
		memcpy(at, &tries[i].length, sizeof(tries[i].length));
		a->header->head = a->header->tail + tries[i].there;
		job = job_of(a, JOB_CONSUME, JOB_TRIES);
		run_job(&a->p, &job);
		EXPECT_EQ(-EAGAIN, job.err);
		/* It is not what was sent, but it was a record. */
		EXPECT_EQ(tries[i].err ? 0U : 1U, job.bad + job.done);
		EXPECT_EQ(a->header->head, a->header->tail);
		EXPECT_EQ(tries[i].err ? : -EAGAIN, wait_for_data(a, A_WHILE))
			TH_LOG("%zu", i);
		EXPECT_TRUE(works_on(a));
	}
}

TEST_HARNESS_MAIN
