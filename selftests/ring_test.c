// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring in a buffer: what one side produces the other receives, whichever of
 * them is in the kernel.
 */
#include <sys/time.h>

#include "kselftest_harness.h"
#include "kubuf_ring_side.h"

/* How often everything goes round. */
#define ROUNDS		16

struct both {
	struct pair p;
	struct ring_job produce;
	struct ring_job consume;
};

/* Records are about as long as a page, and shorter than the ring. */
static __u32 usual_length(const struct pair *p)
{
	return p->size < 8 * page_size() ? p->size / 8 : page_size();
}

static int open_both(struct both *b, const struct kind *kind)
{
	b->p.in_kernel = kind->in_kernel;
	b->p.flags = kind->flags;
	b->p.size = kind->size ? : page_size();
	b->produce = (struct ring_job) {
		.what = JOB_PRODUCE,
		.flags = kind->flags & BYTES ? JOB_BYTES : JOB_NUMBERED,
		.length = usual_length(&b->p),
		.seed = 1,
	};
	b->consume = b->produce;
	b->consume.what = JOB_CONSUME;
	return open_pair(&b->p, kind->backing);
}

/* So much of both that all of the ring is used so often. */
static void set_count(struct both *b, __u64 times)
{
	__u32 mean = b->produce.flags & JOB_RANDOM ? b->produce.length / 2 :
						     b->produce.length;

	b->produce.count = times * b->p.size;
	if (!(b->p.flags & BYTES))
		b->produce.count /= job_need(mean);
	b->consume.count = b->produce.count;
}

FIXTURE(ring)
{
	struct both b;
};

FIXTURE_VARIANT(ring)
{
	struct kind kind;
};

RING_VARIANTS(ring, records, 0);
RING_VARIANTS(ring, records_over, OVERWRITE);
RING_VARIANTS(ring, bytes, BYTES);
RING_VARIANTS(ring, bytes_over, BYTES | OVERWRITE);

FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, open_both(&self->b, &variant->kind));
}

FIXTURE_TEARDOWN(ring)
{
	close_pair(&self->b.p);
	EXPECT_EQ(-ENOENT, node_open(RING_NODE, O_RDWR));
}

/* Each once, in order and whole; where they may be lost, none is unaccounted. */
TEST_F(ring, all_arrives)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;

	b->produce.flags |= p->flags & BYTES ? 0 : JOB_RANDOM;
	b->consume.flags = b->produce.flags;
	set_count(b, rounds(4 * ROUNDS));
	ASSERT_EQ(0, run_both(p, &b->produce, &b->consume));
	EXPECT_EQ(0, b->produce.err);
	EXPECT_EQ(0, b->consume.err);
	EXPECT_EQ(0U, b->consume.bad);
	EXPECT_EQ(b->produce.count, b->produce.done);
	EXPECT_EQ(b->produce.done,
		  b->consume.done + b->consume.missed);
	EXPECT_EQ(b->consume.missed, header_of(p)->lost);
	if (!(p->flags & OVERWRITE))
		EXPECT_EQ(0U, b->consume.missed);
	EXPECT_LT(0U, b->consume.done);
	EXPECT_EQ(header_of(p)->head, header_of(p)->tail);
}

/* Nobody is woken who has not said that he sleeps. */
TEST_F(ring, who_is_awake_is_not_woken)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;

	b->consume.flags |= JOB_SPINS;
	/* All of it has room: the producer does not sleep either. */
	set_count(b, 1);
	ASSERT_EQ(0, run_both(p, &b->produce, &b->consume));
	EXPECT_EQ(0, b->consume.err);
	EXPECT_EQ(b->consume.count, b->consume.done);
	EXPECT_EQ(0, sequence_of(p->fd));
}

FIXTURE(dropping)
{
	struct both b;
};

FIXTURE_VARIANT(dropping)
{
	struct kind kind;
};

RING_VARIANTS(dropping, records, 0);

FIXTURE_SETUP(dropping)
{
	ASSERT_EQ(0, open_both(&self->b, &variant->kind));
}

FIXTURE_TEARDOWN(dropping)
{
	close_pair(&self->b.p);
}

/* Without a consumer the room is used up, and then the others are lost. */
TEST_F(dropping, the_newest_are_dropped)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;
	__u64 fit;

	fit = p->size / job_need(b->produce.length);
	b->produce.flags |= JOB_TRIES;
	set_count(b, ROUNDS);
	ASSERT_EQ(0, run_job(p, &b->produce));
	EXPECT_EQ(b->produce.count - fit, b->produce.refused);
	EXPECT_EQ(b->produce.refused, header_of(p)->lost);
	b->consume.count = fit;
	ASSERT_EQ(0, run_job(p, &b->consume));
	EXPECT_EQ(fit, b->consume.done);
	EXPECT_EQ(0U, b->consume.missed);
	EXPECT_EQ(0U, b->consume.bad);
}

/* A consumer that never sleeps gets what the producer found room for. */
TEST_F(dropping, what_is_dropped_is_counted)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;

	b->produce.flags |= JOB_DROPS | JOB_RANDOM;
	b->consume.flags |= JOB_SPINS | JOB_RANDOM;
	set_count(b, rounds(4 * ROUNDS));
	ASSERT_EQ(0, run_both(p, &b->produce, &b->consume));
	EXPECT_EQ(0, b->produce.err);
	EXPECT_EQ(0, b->consume.err);
	EXPECT_EQ(0U, b->consume.bad);
	EXPECT_EQ(b->consume.missed, b->produce.refused);
	EXPECT_EQ(b->consume.missed, header_of(p)->lost);
	EXPECT_EQ(b->produce.count,
		  b->consume.done + b->consume.missed);
}

/* Payloads of each length up to two pages, or to what the ring can hold. */
TEST_F(dropping, each_length)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;
	__u32 length = 2 * page_size();

	if (length > p->size - sizeof(struct kubuf_record))
		length = p->size - sizeof(struct kubuf_record);
	b->produce.flags = JOB_EACH;
	b->produce.length = length;
	b->produce.count = length + 1;
	b->consume = b->produce;
	b->consume.what = JOB_CONSUME;
	ASSERT_EQ(0, run_both(p, &b->produce, &b->consume));
	EXPECT_EQ(0, b->produce.err);
	EXPECT_EQ(0, b->consume.err);
	EXPECT_EQ(0U, b->consume.bad);
	EXPECT_EQ(length + 1, b->consume.done);
}

FIXTURE(overwriting)
{
	struct both b;
};

FIXTURE_VARIANT(overwriting)
{
	struct kind kind;
};

RING_VARIANTS(overwriting, records, OVERWRITE);
RING_VARIANTS(overwriting, bytes, BYTES | OVERWRITE);

FIXTURE_SETUP(overwriting)
{
	ASSERT_EQ(0, open_both(&self->b, &variant->kind));
}

FIXTURE_TEARDOWN(overwriting)
{
	close_pair(&self->b.p);
}

/* Without a consumer the ring holds the newest: as many as fit. */
TEST_F(overwriting, the_oldest_are_overwritten)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;
	__u64 fit;

	fit = p->flags & BYTES ? p->size :
				 p->size / job_need(b->produce.length);
	set_count(b, ROUNDS);
	ASSERT_EQ(0, run_job(p, &b->produce));
	EXPECT_EQ(0U, b->produce.refused);
	EXPECT_EQ(b->produce.count - fit, header_of(p)->lost);
	if (p->flags & BYTES) {
		/* It begins where the consumer's position is. */
		b->consume.count = fit;
		ASSERT_EQ(0, run_job(p, &b->consume));
		EXPECT_EQ(0U, b->consume.missed);
	} else {
		ASSERT_EQ(0, run_job(p, &b->consume));
		EXPECT_EQ(header_of(p)->lost, b->consume.missed);
	}
	EXPECT_EQ(fit, b->consume.done);
	EXPECT_EQ(0U, b->consume.torn);
	EXPECT_EQ(0U, b->consume.bad);
}

FIXTURE(records)
{
	struct both b;
};

FIXTURE_VARIANT(records)
{
	struct kind kind;
};

RING_VARIANTS(records, drop, 0);
RING_VARIANTS(records, over, OVERWRITE);

FIXTURE_SETUP(records)
{
	ASSERT_EQ(0, open_both(&self->b, &variant->kind));
}

FIXTURE_TEARDOWN(records)
{
	close_pair(&self->b.p);
}

/* The largest record fills the ring, wherever in it that begins. */
TEST_F(records, the_largest_fits)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;

	for (int i = 0; i < 3; i++) {
		b->produce.length = p->size - sizeof(struct kubuf_record);
		b->produce.count = 1;
		b->produce.done = 0;
		b->consume = b->produce;
		b->consume.what = JOB_CONSUME;
		ASSERT_EQ(0, run_job(p, &b->produce));
		EXPECT_EQ(p->size, header_of(p)->head - header_of(p)->tail);
		ASSERT_EQ(0, run_job(p, &b->consume));
		EXPECT_EQ(1U, b->consume.done);
		/* Go on from somewhere else. */
		b->produce.length = 8;
		b->produce.done = 0;
		b->consume.length = 8;
		b->consume.done = 0;
		ASSERT_EQ(0, run_job(p, &b->produce));
		ASSERT_EQ(0, run_job(p, &b->consume));
	}
}

static int wait_room_for(struct pair *p, __u32 length)
{
	struct ring_args args = { .job.length = length };

	if (p->in_kernel == JOB_PRODUCE)
		return kioctl(p->driver, RING_WAIT_ROOM, &args);
	return job_wait_room(&p->side[JOB_PRODUCE].ring, length);
}

/* One byte more is refused, is counted, and harms none that are there. */
TEST_F(records, one_more_does_not_fit)
{
	struct both *b = &self->b;
	struct pair *p = &b->p;
	__u32 most = p->size - sizeof(struct kubuf_record);

	EXPECT_EQ(0, wait_room_for(p, most));
	EXPECT_EQ(-EMSGSIZE, wait_room_for(p, most + 1));
	EXPECT_EQ(-EMSGSIZE, wait_room_for(p, UINT32_MAX));
	b->produce.count = 1;
	ASSERT_EQ(0, run_job(p, &b->produce));
	for (__u64 i = 1; i < 3; i++) {
		struct ring_job large = b->produce;

		large.flags |= JOB_TRIES;
		large.length = i == 1 ? most + 1 : UINT32_MAX;
		large.done = 0;
		ASSERT_EQ(0, run_job(p, &large));
		EXPECT_EQ(1U, large.refused);
		EXPECT_EQ(i, header_of(p)->lost);
	}
	b->consume.count = 1;
	ASSERT_EQ(0, run_job(p, &b->consume));
	EXPECT_EQ(1U, b->consume.done);
}

FIXTURE(end)
{
	struct pair p;
};

FIXTURE_VARIANT(end)
{
	__u32 in_kernel;
};

FIXTURE_VARIANT_ADD(end, from_kernel) { .in_kernel = JOB_PRODUCE };
FIXTURE_VARIANT_ADD(end, to_kernel) { .in_kernel = JOB_CONSUME };

FIXTURE_SETUP(end)
{
	self->p.in_kernel = variant->in_kernel;
	self->p.size = page_size();
	self->p.flags = 0;
	ASSERT_EQ(0, open_pair(&self->p, KUBUF_BACKING_VMALLOC));
}

FIXTURE_TEARDOWN(end)
{
	close_pair(&self->p);
}

static int let_go(const struct pair *p)
{
	struct ring_args args = {};

	return kioctl(p->driver, RING_PUT, &args);
}

static void produce_some(struct pair *p, __u64 count, __u32 length)
{
	struct ring_job job = {
		.what = JOB_PRODUCE,
		.flags = JOB_TRIES,
		.length = length,
		.count = count,
	};

	run_job(p, &job);
}

struct waiter {
	struct pair *p;
	pid_t tid;
	int err;
};

static void *wait_for_other(void *arg)
{
	struct waiter *w = arg;
	bool produces = w->p->in_kernel == JOB_CONSUME;
	struct side *side = &w->p->side[produces ? JOB_PRODUCE : JOB_CONSUME];

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	w->err = produces ? job_wait_room(&side->ring, 100) :
			    job_wait_data(&side->ring);
	return NULL;
}

/* Wait until a thread sleeps. */
static bool is_asleep(const pid_t *at)
{
	char path[64], line[256];
	const char *state;
	pid_t tid;

	for (int i = 0; i < JOB_LOST; i++) {
		tid = __atomic_load_n(at, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		if (tid && !file_line(path, line, sizeof(line))) {
			state = strrchr(line, ')');
			if (state && state[2] == 'S')
				return true;
		}
		usleep(1000);
	}
	return false;
}

/* Who sleeps is told. */
TEST_F(end, wakes_who_waits)
{
	struct waiter w = { .p = &self->p };
	pthread_t thread;

	if (variant->in_kernel == JOB_CONSUME)
		produce_some(&self->p, 100, 100);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_other, &w));
	EXPECT_TRUE(is_asleep(&w.tid));
	EXPECT_EQ(0, let_go(&self->p));
	pthread_join(thread, NULL);
	EXPECT_EQ(variant->in_kernel == JOB_CONSUME ? -EPIPE : -ENODATA, w.err);
}

/* A thread of the driver that waits for the program ends when it is to. */
TEST_F(end, a_thread_of_the_driver_can_be_stopped)
{
	struct ring_job job = {
		.what = variant->in_kernel,
		.length = 100,
		.count = 1000,
	};
	__u32 *sleeps = job.what == JOB_CONSUME ?
			&header_of(&self->p)->consumer_sleeps :
			&header_of(&self->p)->producer_sleeps;

	ASSERT_EQ(0, start_job(&self->p, &job));
	while (!JOB_LOAD(*sleeps))
		usleep(1000);
	ASSERT_EQ(0, end_job(&self->p, &job, 10));
	EXPECT_EQ(-ETIME, job.err);
	EXPECT_GT(1000U, job.done);
	EXPECT_EQ(0U, JOB_LOAD(*sleeps));
	EXPECT_EQ(0, let_go(&self->p));
}

static void nothing(int signal)
{
}

/* And a program that waits in the driver can be interrupted. */
TEST_F(end, a_signal_interrupts)
{
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	struct sigaction act = { .sa_handler = nothing };
	struct ring_args args = { .job.length = 100 };
	bool consumes = variant->in_kernel == JOB_CONSUME;

	if (!consumes)
		produce_some(&self->p, 100, 100);
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
	EXPECT_EQ(-EINTR, kioctl(self->p.driver, consumes ? RING_WAIT_DATA :
				 RING_WAIT_ROOM, &args));
	EXPECT_EQ(0, let_go(&self->p));
}

/* The memory stays as long as somebody maps it. */
TEST_F(end, the_mapping_stays)
{
	struct kubuf_ring_header *header = header_of(&self->p);

	ASSERT_EQ(0, let_go(&self->p));
	EXPECT_EQ(1U, header->closed);
	header->tail = 5;
	EXPECT_EQ(5U, header->tail);
	EXPECT_EQ(-ENXIO, let_go(&self->p));
}

/* What is there can be taken, and then there is no more. */
TEST(the_rest_can_be_taken)
{
	struct pair p = { .in_kernel = JOB_PRODUCE, .size = page_size() };
	struct kubuf_ring *ring = &p.side[JOB_CONSUME].ring;
	const void *payload;
	__u32 length;

	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	produce_some(&p, 2, 100);
	ASSERT_EQ(0, let_go(&p));
	for (__u64 i = 0; i < 2; i++) {
		EXPECT_EQ(0, kubuf_ring_wait_data(ring, JOB_LOST));
		payload = kubuf_ring_next(ring, &length);
		ASSERT_NE(NULL, payload);
		EXPECT_EQ(100U, length);
		EXPECT_TRUE(job_is(payload, length, i));
		EXPECT_TRUE(kubuf_ring_release(ring));
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-1, kubuf_ring_wait_data(ring, JOB_LOST));
		EXPECT_EQ(ENODATA, errno);
	}
	close_pair(&p);
}

/* A program that produces says that it is done. */
FIXTURE(done)
{
	struct pair p;
	struct ring_job job;
};

FIXTURE_VARIANT(done)
{
	__u32 in_kernel;
};

FIXTURE_VARIANT_ADD(done, to_kernel) { .in_kernel = JOB_CONSUME };
FIXTURE_VARIANT_ADD(done, programs) { .in_kernel = 0 };

FIXTURE_SETUP(done)
{
	self->p.in_kernel = variant->in_kernel;
	self->p.size = page_size();
	self->p.flags = 0;
	ASSERT_EQ(0, open_pair(&self->p, KUBUF_BACKING_VMALLOC));
	self->job = (struct ring_job) {
		.what = JOB_CONSUME,
		.length = 100,
		.count = 3,
	};
}

FIXTURE_TEARDOWN(done)
{
	close_pair(&self->p);
}

/* The consumer takes what there is, and then there is no more. */
TEST_F(done, the_rest_can_be_taken)
{
	struct ring_job *job = &self->job;

	produce_some(&self->p, 2, 100);
	kubuf_ring_end(&self->p.side[JOB_PRODUCE].ring);
	EXPECT_EQ(-ENODATA, run_job(&self->p, job));
	EXPECT_EQ(2U, job->done);
	EXPECT_EQ(0U, job->bad);
	job->done = 0;
	EXPECT_EQ(-ENODATA, run_job(&self->p, job));
	EXPECT_EQ(0U, job->done);
}

TEST_F(done, wakes_who_waits)
{
	struct ring_job *job = &self->job;

	ASSERT_EQ(0, start_job(&self->p, job));
	while (!JOB_LOAD(header_of(&self->p)->consumer_sleeps))
		usleep(1000);
	kubuf_ring_end(&self->p.side[JOB_PRODUCE].ring);
	EXPECT_EQ(0, end_job(&self->p, job, JOB_LOST));
	EXPECT_EQ(-ENODATA, job->err);
	EXPECT_EQ(0U, job->done);
}

/* What a producer has dropped is counted with what found no room. */
TEST(drops_are_counted)
{
	struct pair p = { .size = page_size() };
	struct kubuf_ring *ring = &p.side[JOB_PRODUCE].ring;

	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	kubuf_ring_drop(ring, 5);
	EXPECT_EQ(5U, header_of(&p)->lost);
	EXPECT_EQ(NULL, kubuf_ring_reserve(ring, (__u32)page_size()));
	EXPECT_EQ(6U, header_of(&p)->lost);
	kubuf_ring_drop(ring, 1ULL << 40);
	EXPECT_EQ(6 + (1ULL << 40), header_of(&p)->lost);
	close_pair(&p);
}

/* Where tools/kubuf is in a tree, seen from where the tests are. */
#define EXAMPLE	"../../../../kubuf/examples/ring.py"

/* What the example prints for the records of a job; false if anything else. */
static bool prints_records(FILE *f, const struct ring_job *job)
{
	unsigned char *payload = malloc(job->length);
	char *line = NULL, digits[3];
	bool good = payload;
	size_t room = 0;
	__u32 length;

	for (__u64 i = 0; i < job->count && good; i++) {
		length = job_length(job, i);
		job_fill(payload, length, i);
		good = getline(&line, &room, f) == 2 * (ssize_t)length + 1;
		for (__u32 at = 0; at < length && good; at++) {
			snprintf(digits, sizeof(digits), "%02x", payload[at]);
			good = !memcmp(line + 2 * at, digits, 2);
		}
	}
	good = good && getline(&line, &room, f) < 0;
	free(payload);
	free(line);
	return good;
}

static bool has_ended(pid_t pid)
{
	siginfo_t si = {};

	return waitid(P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT) ||
	       si.si_pid;
}

/* The example in Python takes all of them, waits, and ends when the ring does. */
TEST(an_example_in_python)
{
	struct pair p = { .in_kernel = JOB_PRODUCE, .size = page_size() };
	struct ring_job job = {
		.what = JOB_PRODUCE,
		.flags = JOB_RANDOM,
		.length = 200,
		.count = 1000,
	};
	FILE *f = tmpfile();
	int status = -1;
	pid_t pid;

	if (system("command -v python3 >/dev/null"))
		SKIP(return, "no python3");
	ASSERT_NE(NULL, f);
	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	pid = fork();
	if (!pid) {
		dup2(fileno(f), STDOUT_FILENO);
		execlp("python3", "python3", "-I", "-S", EXAMPLE,
		       "/dev/kubuf/" RING_NODE, NULL);
		_exit(127);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, start_job(&p, &job));
	/* When there is no more to take, it sleeps, and is told of the end. */
	while (!(JOB_LOAD(header_of(&p)->head) &&
		 job_is_empty(header_of(&p)) &&
		 JOB_LOAD(header_of(&p)->consumer_sleeps)) && !has_ended(pid))
		usleep(1000);
	EXPECT_FALSE(has_ended(pid));
	ASSERT_EQ(0, end_job(&p, &job, JOB_LOST));
	EXPECT_EQ(0, job.err);
	EXPECT_EQ(0, let_go(&p));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	rewind(f);
	EXPECT_TRUE(prints_records(f, &job));
	fclose(f);
	close_pair(&p);
}

/* What was reserved is given by one commit, what was looked at by one release. */
TEST(several_at_once)
{
	struct pair p = { .size = page_size() };
	struct kubuf_ring *in = &p.side[JOB_PRODUCE].ring;
	struct kubuf_ring *out = &p.side[JOB_CONSUME].ring;
	__u32 length, n;
	void *payload;

	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	for (n = 0; (payload = kubuf_ring_reserve(in, 24)); n++)
		job_fill(payload, 24, n);
	EXPECT_EQ(page_size() / 32, n);
	EXPECT_EQ(1U, header_of(&p)->lost);
	EXPECT_EQ(NULL, kubuf_ring_next(out, &length));
	kubuf_ring_commit(in);

	for (n = 0; (payload = (void *)kubuf_ring_next(out, &length)); n++)
		EXPECT_TRUE(length == 24 && job_is(payload, length, n));
	EXPECT_EQ(page_size() / 32, n);
	EXPECT_EQ(NULL, kubuf_ring_reserve(in, 0));
	EXPECT_TRUE(kubuf_ring_release(out));
	EXPECT_NE(NULL, kubuf_ring_reserve(in, 0));
	close_pair(&p);
}

/* Of several that were looked at some may be overwritten: it is told of once. */
TEST(several_overwritten)
{
	struct pair p = {
		.size = page_size(), .flags = KUBUF_RING_OVERWRITE,
	};
	struct kubuf_ring *in = &p.side[JOB_PRODUCE].ring;
	struct kubuf_ring *out = &p.side[JOB_CONSUME].ring;
	__u32 length;

	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	for (size_t n = 0; n < page_size() / 32; n++)
		ASSERT_NE(NULL, kubuf_ring_reserve(in, 24));
	kubuf_ring_commit(in);
	EXPECT_NE(NULL, kubuf_ring_next(out, &length));
	EXPECT_NE(NULL, kubuf_ring_next(out, &length));
	ASSERT_NE(NULL, kubuf_ring_reserve(in, 24));
	kubuf_ring_commit(in);
	EXPECT_FALSE(kubuf_ring_release(out));
	EXPECT_NE(NULL, kubuf_ring_next(out, &length));
	EXPECT_TRUE(kubuf_ring_release(out));
	close_pair(&p);
}

TEST(not_a_ring)
{
	struct pair p = { .size = page_size() };
	struct kubuf_ring_header *header;
	struct kubuf_ring ring;
	int fd;

	fd = buf_create(KUBUF_BACKING_VMALLOC, 2 * page_size(), 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, kubuf_ring_open(&ring, fd));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
	for (size_t n = 1; n < 5; n++) {
		bool fits = n == 2 || n == 3;

		fd = buf_create(KUBUF_BACKING_VMALLOC, n * page_size(), 0);
		ASSERT_LE(0, fd);
		EXPECT_EQ(fits ? 0 : -1, kubuf_ring_init(fd, 0));
		EXPECT_EQ(fits ? 0 : -1, kubuf_ring_open(&ring, fd));
		EXPECT_EQ(fits ? 0 : EINVAL, fits ? 0 : errno);
		if (fits)
			kubuf_ring_close(&ring);
		EXPECT_EQ(0, buf_mappings(fd));
		close(fd);
	}
	ASSERT_EQ(0, open_pair(&p, KUBUF_BACKING_VMALLOC));
	header = header_of(&p);
	header->size = 2 * page_size();
	EXPECT_EQ(-1, kubuf_ring_open(&ring, p.fd));
	EXPECT_EQ(EINVAL, errno);
	header->size = page_size();
	header->magic++;
	EXPECT_EQ(-1, kubuf_ring_open(&ring, p.fd));
	EXPECT_EQ(EINVAL, errno);
	header->magic--;
	EXPECT_EQ(0, kubuf_ring_open(&ring, p.fd));
	kubuf_ring_close(&ring);
	close_pair(&p);
}

/* What a driver may not ask for. */
TEST(driver_asks_for_nonsense)
{
	struct ring_args args = { .name = RING_NODE };
	static const struct {
		__u64 size;
		__u32 backing;
		__u32 flags;
		int err;
	} asks[] = {
		{ 0, KUBUF_BACKING_VMALLOC, 0, -EINVAL },
		{ 2048, KUBUF_BACKING_VMALLOC, 0, -EINVAL },
		{ 12288, KUBUF_BACKING_VMALLOC, 0, -EINVAL },
		{ 4097, KUBUF_BACKING_VMALLOC, 0, -EINVAL },
		{ 1ULL << 62, KUBUF_BACKING_VMALLOC, 0, -EINVAL },
		{ 1ULL << 61, KUBUF_BACKING_VMALLOC, 0, -EFBIG },
		{ 4096, 0, 0, -EINVAL },
		{ 4096, KUBUF_BACKING_WRAPPED, 0, -EINVAL },
		{ 4096, KUBUF_BACKING_VMALLOC, 4, -EINVAL },
	};
	int driver = ring_driver_open();

	ASSERT_LE(0, driver);
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		args.size = asks[i].size;
		args.backing = asks[i].backing;
		args.flags = asks[i].flags;
		EXPECT_EQ(asks[i].err, kioctl(driver, RING_CREATE, &args))
			TH_LOG("%zu", i);
	}
	close(driver);
	ring_driver_unload();
}

TEST_HARNESS_MAIN
