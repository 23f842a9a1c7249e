// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring in a storm: records without end among threads of noise, and sleeps, each
 * of which a wake-up has to end. KUBUF_RING_RECORDS and KUBUF_RING_SLEEPS say how
 * many.
 */
#include "kselftest_harness.h"
#include "kubuf_ring_side.h"

/* How many if nobody says, and how long it may take. */
#define RECORDS		400000
#define SLEEPS		3000
#define HOURS		24

/* Sleeps at a time. */
#define BATCH		1000000

#define NOISES		4

static __u64 how_many(const char *name, long usual)
{
	const char *given = getenv(name);

	return given ? strtoull(given, NULL, 10) : (__u64)rounds(usual);
}

FIXTURE(storm)
{
	struct pair p;
	struct ring_job produce;
	struct ring_job consume;
	int event;
};

FIXTURE_VARIANT(storm)
{
	__u32 in_kernel;
	bool event;
	__u32 share;		/* of the number, in percent */
	size_t size;		/* of a ring that few records do not fill */
};

FIXTURE_VARIANT_ADD(storm, from_kernel) {
	.in_kernel = JOB_PRODUCE, .share = 40, .size = 128 * KIB,
};

FIXTURE_VARIANT_ADD(storm, from_kernel_eventfd) {
	.in_kernel = JOB_PRODUCE, .event = true, .share = 20, .size = 128 * KIB,
};

FIXTURE_VARIANT_ADD(storm, to_kernel) {
	.in_kernel = JOB_CONSUME, .share = 20, .size = 128 * KIB,
};

FIXTURE_VARIANT_ADD(storm, programs) {
	.in_kernel = 0, .share = 20, .size = 16 * KIB,
};

FIXTURE_SETUP(storm)
{
	self->event = -1;
	if (variant->event) {
		self->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ASSERT_LE(0, self->event);
	}
	self->p.in_kernel = variant->in_kernel;
	self->p.flags = 0;
	self->produce = (struct ring_job) {
		.what = JOB_PRODUCE,
		.flags = JOB_NUMBERED,
		.length = 64,
		.seed = 1,
	};
	self->consume = self->produce;
	self->consume.what = JOB_CONSUME;
}

FIXTURE_TEARDOWN(storm)
{
	close_pair(&self->p);
	if (self->event >= 0)
		close(self->event);
}

/* A ring of so many bytes, and the eventfd for it, if it is to have one. */
static int begin(struct pair *p, size_t size, int event)
{
	struct kubuf_eventfd e = { .size = sizeof(e), .fd = event };
	struct side *consumer = &p->side[JOB_CONSUME];
	int err;

	p->size = size;
	err = open_pair(p, KUBUF_BACKING_VMALLOC);
	if (err || event < 0)
		return err;
	consumer->event = event;
	return kioctl(consumer->fd, KUBUF_EVENTFD, &e);
}

static __u64 part_of(__u64 all, __u32 share)
{
	return (all * share + 99) / 100;
}

static int noise(struct pair *p, __u32 nr)
{
	struct ring_args args = { .nr = nr };

	return p->driver < 0 ? 0 : kioctl(p->driver, RING_NOISE, &args);
}

/* Threads that take the processor, and ask for what needs the buffer's locks. */
struct noise {
	struct pair *p;
	pthread_t thread;
	int stop;
};

static void *make_noise(void *arg)
{
	struct noise *n = arg;
	unsigned int state = (unsigned int)(uintptr_t)&state;
	struct kubuf_notify args = { .size = sizeof(args) };

	while (!__atomic_load_n(&n->stop, __ATOMIC_RELAXED)) {
		spin((double)(next(&state) % 64) / 1e6);
		if (next(&state) % 2)
			kioctl(n->p->fd, KUBUF_NOTIFY, &args);
		else
			sequence_of(n->p->fd);
		usleep(50 + next(&state) % 2000);
	}
	return NULL;
}

/* Every record arrives once, whole and in order, whoever else runs or notifies. */
TEST_F_TIMEOUT(storm, records, HOURS * 3600)
{
	__u64 count = part_of(how_many("KUBUF_RING_RECORDS", RECORDS),
			      variant->share);
	struct noise noises[NOISES];
	double start = seconds(), took;
	int nr = self->p.in_kernel ? NOISES / 2 : NOISES;

	ASSERT_EQ(0, begin(&self->p, variant->size, self->event));
	ASSERT_EQ(0, noise(&self->p, NOISES - nr));
	for (int i = 0; i < nr; i++) {
		noises[i] = (struct noise) { .p = &self->p };
		ASSERT_EQ(0, pthread_create(&noises[i].thread, NULL, make_noise,
					    &noises[i]));
	}
	self->produce.flags |= JOB_RANDOM;
	self->consume.flags |= JOB_RANDOM;
	self->produce.count = count;
	self->consume.count = count;
	EXPECT_EQ(0, run_both(&self->p, &self->produce, &self->consume));
	for (int i = 0; i < nr; i++) {
		__atomic_store_n(&noises[i].stop, 1, __ATOMIC_RELAXED);
		pthread_join(noises[i].thread, NULL);
	}
	ASSERT_EQ(0, noise(&self->p, 0));
	EXPECT_EQ(0, self->produce.err);
	EXPECT_EQ(0, self->consume.err);
	EXPECT_EQ(0U, self->consume.bad);
	EXPECT_EQ(0U, self->consume.missed);
	EXPECT_EQ(count, self->consume.done);
	took = seconds() - start;
	TH_LOG("%llu records with %d threads of noise: each once, in order; %.0f s, %.0f a second",
	       (unsigned long long)self->consume.done, NOISES, took,
	       (double)self->consume.done / took);
}

/*
 * One of the two goes on only when the other sleeps or is about to: each time the
 * word that says so, and the position that makes it untrue, are stored at about
 * the same time. Who is not woken then sleeps on, as nobody wakes him later.
 */
static bool sleep_often(struct pair *p, struct ring_job *produce,
			struct ring_job *consume, __u64 sleeps)
{
	const long long begin = sequence_of(p->fd);
	__u64 slept = 0, batch;

	/* Not everybody sleeps who is about to. */
	while (slept < sleeps) {
		batch = sleeps - slept < BATCH ? sleeps - slept : BATCH;
		produce->count = batch;
		produce->done = 0;
		produce->seed++;
		consume->count = batch;
		consume->done = 0;
		consume->seed++;
		if (run_both(p, produce, consume) || produce->err ||
		    consume->err || consume->bad || consume->missed ||
		    consume->done != batch)
			return false;
		slept = sequence_of(p->fd) - begin;
		/* Somebody must have slept, or this would not end. */
		if (!slept)
			return false;
	}
	return true;
}

static void report(struct __test_metadata *_metadata, const struct pair *p,
		   const char *who, double start)
{
	double took = seconds() - start;
	long long n = sequence_of(p->fd);

	TH_LOG("%lld sleeps of the %s, none of them too long; %.0f s, %.0f a second",
	       n, who, took, (double)n / took);
}

TEST_F_TIMEOUT(storm, the_consumer_sleeps, HOURS * 3600)
{
	__u64 sleeps = part_of(how_many("KUBUF_RING_SLEEPS", SLEEPS),
			       variant->share) * 3 / 4;
	double start = seconds();

	ASSERT_EQ(0, begin(&self->p, 16 * KIB, self->event));
	self->produce.flags |= JOB_PACED;
	EXPECT_TRUE(sleep_often(&self->p, &self->produce, &self->consume,
				sleeps));
	EXPECT_EQ(0, self->produce.err);
	EXPECT_EQ(0, self->consume.err);
	report(_metadata, &self->p, "consumer", start);
}

TEST_F_TIMEOUT(storm, the_producer_sleeps, HOURS * 3600)
{
	__u64 sleeps = part_of(how_many("KUBUF_RING_SLEEPS", SLEEPS),
			       variant->share) / 4 + 1;
	double start = seconds();

	ASSERT_EQ(0, begin(&self->p, page_size(), self->event));
	self->consume.flags |= JOB_PACED;
	/* One fills the ring, so that it is full most of the time. */
	self->produce.length = (__u32)page_size() - sizeof(struct kubuf_record);
	self->consume.length = self->produce.length;
	EXPECT_TRUE(sleep_often(&self->p, &self->produce, &self->consume,
				sleeps));
	EXPECT_EQ(0, self->produce.err);
	EXPECT_EQ(0, self->consume.err);
	report(_metadata, &self->p, "producer", start);
}

TEST_HARNESS_MAIN
