/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both sides of a ring, each in the kernel or in a thread of the test, and the
 * module that stands for a driver with a ring.
 */
#ifndef KUBUF_RING_SIDE_H
#define KUBUF_RING_SIDE_H

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <kubuf_ring.h>

#include "kubuf_map.h"
#include "kubuf_module.h"
#include "kubuf_storm.h"

#define JOB_LOAD(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)

/* Defined below, with what they wait for. */
static int job_wait_data(struct kubuf_ring *ring);
static int job_wait_room(struct kubuf_ring *ring, __u32 length);

static inline struct kubuf_ring_header *job_header(struct kubuf_ring *ring)
{
	return ring->header;
}

static inline void job_relax(void)
{
	sched_yield();
}

static inline __u64 job_ms(void)
{
	return (__u64)(seconds() * 1000);
}

static inline bool job_must_stop(void)
{
	return false;
}

#include "ring/kubuf_ring_job.h"

#define RING_NODE	"ring-test"

#define BYTES		KUBUF_RING_BYTES
#define OVERWRITE	KUBUF_RING_OVERWRITE

/*
 * A variant for each ring: which side is in the kernel, KUBUF_RING_*, bytes of
 * data (0 is a page), backing.
 */
struct kind {
	__u32 in_kernel;
	__u32 flags;
	size_t size;
	__u32 backing;
};

#define RING_VARIANT(fixture, name, k, f, s, b)				\
	FIXTURE_VARIANT_ADD(fixture, name) {				\
		.kind = {						\
			.in_kernel = k, .flags = f, .size = s,		\
			.backing = KUBUF_BACKING_##b,			\
		},							\
	}

#define RING_SIZES(fixture, name, k, f)					\
	RING_VARIANT(fixture, name##_page, k, f, 0, VMALLOC);		\
	RING_VARIANT(fixture, name##_64k, k, f, 64 * KIB, PAGES);	\
	RING_VARIANT(fixture, name##_4m, k, f, 4 * MIB, HUGE)

#define RING_VARIANTS(fixture, name, f)					\
	RING_SIZES(fixture, name##_from_kernel, JOB_PRODUCE, f);	\
	RING_SIZES(fixture, name##_to_kernel, JOB_CONSUME, f);		\
	RING_SIZES(fixture, name##_programs, 0, f)

/* The same for a side that the other one attacks: whether that is the kernel's. */
#define HOSTILE_VARIANT(fixture, name, k, f, n)				\
	FIXTURE_VARIANT_ADD(fixture, name) {				\
		.in_kernel = k, .flags = f, .pages = n,			\
	}

#define HOSTILE_VARIANTS(fixture)					\
	HOSTILE_VARIANT(fixture, kernel_records, true, 0, 1);		\
	HOSTILE_VARIANT(fixture, kernel_records_over, true, OVERWRITE, 1); \
	HOSTILE_VARIANT(fixture, kernel_records_over_16, true, OVERWRITE, 16); \
	HOSTILE_VARIANT(fixture, kernel_bytes, true, BYTES, 1);		\
	HOSTILE_VARIANT(fixture, kernel_bytes_over, true, BYTES | OVERWRITE, \
			16);						\
	HOSTILE_VARIANT(fixture, program_records, false, 0, 1);		\
	HOSTILE_VARIANT(fixture, program_records_over, false, OVERWRITE, 16); \
	HOSTILE_VARIANT(fixture, program_bytes, false, BYTES, 1);	\
	HOSTILE_VARIANT(fixture, program_bytes_over, false,		\
			BYTES | OVERWRITE, 1)

/* In ms: the test itself is ended before. */
#define JOB_FOREVER	(24 * 3600 * 1000)

/**
 * struct side - one side of a ring, if it is in this process
 * @ring: the ring, first: job_wait_data() knows no more of it
 * @fd: a file of the buffer that is this side's alone
 * @event: an eventfd to wait on for data, or -1
 * @thread: what does a job
 * @job: the job
 */
struct side {
	struct kubuf_ring ring;
	int fd;
	int event;
	pthread_t thread;
	struct ring_job job;
};

/**
 * struct pair - a ring and both sides of it
 * @driver: the module's device, or -1 if both sides are in this process
 * @fd: the buffer, a file that neither side uses
 * @size: bytes of data
 * @flags: KUBUF_RING_*
 * @in_kernel: which side is there: JOB_PRODUCE, JOB_CONSUME, or 0
 * @side: the other one, or both; by JOB_*
 */
struct pair {
	int driver;
	int fd;
	size_t size;
	__u32 flags;
	__u32 in_kernel;
	struct side side[3];
};

/* With an eventfd instead of poll() on the buffer. */
static inline int wait_event(struct side *side)
{
	struct kubuf_ring *ring = &side->ring;
	struct pollfd p = { .fd = side->event, .events = POLLIN };
	eventfd_t value;

	while (!kubuf_ring_has_data(ring)) {
		__atomic_store_n(&ring->header->consumer_sleeps, 1,
				 __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (kubuf_ring_has_data(ring))
			break;
		if (poll(&p, 1, JOB_LOST) != 1)
			return -ETIMEDOUT;
		if (eventfd_read(side->event, &value))
			return -errno;
	}
	__atomic_store_n(&ring->header->consumer_sleeps, 0, __ATOMIC_RELAXED);
	return 0;
}

static inline int job_wait_data(struct kubuf_ring *ring)
{
	struct side *side = (struct side *)ring;

	if (side->event >= 0)
		return wait_event(side);
	return kubuf_ring_wait_data(ring, JOB_LOST) ? -errno : 0;
}

static inline int job_wait_room(struct kubuf_ring *ring, __u32 length)
{
	return kubuf_ring_wait_room(ring, length, JOB_LOST) ? -errno : 0;
}

/* Load the module, if it is not loaded, from where the driver's file is. */
static inline int ring_driver_load(void)
{
	int ret = module_load_other("kubuf_ring_driver", "");

	return ret == -EEXIST ? 0 : ret;
}

static inline void ring_driver_unload(void)
{
	syscall(__NR_delete_module, "kubuf_ring_driver", O_NONBLOCK);
}

static inline int ring_driver_open(void)
{
	int fd, err = ring_driver_load();

	if (err)
		return err;
	fd = open("/dev/kubuf-ring", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Open what this process has of the ring. */
static inline int open_side(struct pair *p, __u32 what)
{
	struct side *side = &p->side[what];

	side->event = -1;
	if (p->in_kernel == what)
		return 0;
	side->fd = reopen(p->fd, O_RDWR);
	if (side->fd < 0)
		return side->fd;
	return kubuf_ring_open(&side->ring, side->fd) ? -errno : 0;
}

static inline void close_side(struct pair *p, __u32 what)
{
	if (!p->side[what].ring.data)
		return;
	kubuf_ring_close(&p->side[what].ring);
	memset(&p->side[what].ring, 0, sizeof(p->side[what].ring));
	close(p->side[what].fd);
}

static inline int create_ring(struct pair *p, __u32 backing)
{
	struct ring_args args = {
		.name = RING_NODE,
		.size = p->size,
		.backing = backing,
		.flags = p->flags,
	};
	int err;

	p->driver = -1;
	if (!p->in_kernel) {
		p->fd = buf_create(backing, p->size + page_size(), 0);
		if (p->fd < 0)
			return p->fd;
		return kubuf_ring_init(p->fd, p->flags) ? -errno : 0;
	}
	p->driver = ring_driver_open();
	if (p->driver < 0)
		return p->driver;
	err = kioctl(p->driver, RING_CREATE, &args);
	if (err)
		return err;
	p->fd = node_open(RING_NODE, O_RDWR);
	return p->fd < 0 ? p->fd : 0;
}

/* A ring and its sides: 0 or -errno. */
static inline int open_pair(struct pair *p, __u32 backing)
{
	int err;

	memset(p->side, 0, sizeof(p->side));
	err = create_ring(p, backing);
	if (!err)
		err = open_side(p, JOB_PRODUCE);
	return err ? err : open_side(p, JOB_CONSUME);
}

static inline void close_pair(struct pair *p)
{
	close_side(p, JOB_PRODUCE);
	close_side(p, JOB_CONSUME);
	close(p->fd);
	if (p->driver >= 0)
		close(p->driver);
	ring_driver_unload();
}

static inline void *job_thread(void *arg)
{
	struct side *side = arg;

	job_run(&side->ring, &side->job);
	return NULL;
}

static inline struct kubuf_ring_header *header_of(const struct pair *p)
{
	return p->side[p->in_kernel == JOB_CONSUME ? JOB_PRODUCE :
						     JOB_CONSUME].ring.header;
}

/* Let a thread, here or there, do a job. */
static inline int start_job(struct pair *p, struct ring_job *job)
{
	struct side *side = &p->side[job->what];
	struct ring_args args;

	job->size = p->size;
	job->begin = JOB_LOAD(header_of(p)->tail);
	if (p->in_kernel == job->what) {
		memset(&args, 0, sizeof(args));
		args.job = *job;
		return kioctl(p->driver, RING_START, &args);
	}
	side->job = *job;
	return -pthread_create(&side->thread, NULL, job_thread, side);
}

/* Wait for it, if it is in the kernel for so many ms: what became of it. */
static inline int end_job(struct pair *p, struct ring_job *job, __u32 timeout)
{
	struct side *side = &p->side[job->what];
	struct ring_args args;
	int err;

	if (p->in_kernel == job->what) {
		memset(&args, 0, sizeof(args));
		args.timeout = timeout;
		args.job = *job;
		err = kioctl(p->driver, RING_JOIN, &args);
		*job = args.job;
		return err;
	}
	err = -pthread_join(side->thread, NULL);
	*job = side->job;
	return err;
}

/* Do a job now, in this thread. */
static inline int run_job(struct pair *p, struct ring_job *job)
{
	struct ring_args args;
	int err;

	job->size = p->size;
	job->begin = JOB_LOAD(header_of(p)->tail);
	if (p->in_kernel != job->what) {
		job_run(&p->side[job->what].ring, job);
		return job->err;
	}
	memset(&args, 0, sizeof(args));
	args.job = *job;
	err = kioctl(p->driver, RING_RUN, &args);
	*job = args.job;
	return err ? err : job->err;
}

/* Both at a time. Who consumes has not much to do any more at the end. */
static inline int run_both(struct pair *p, struct ring_job *produce,
			   struct ring_job *consume)
{
	int err = start_job(p, consume);

	if (err)
		return err;
	err = start_job(p, produce);
	if (!err)
		err = end_job(p, produce, JOB_FOREVER);
	return end_job(p, consume, err ? 0 : JOB_LOST) ? : err;
}

/* The number of notifications; negative on error. */
static inline long long sequence_of(int fd)
{
	struct kubuf_info info;
	int ret = buf_info(fd, &info);

	return ret ? ret : (long long)info.sequence;
}

#endif /* KUBUF_RING_SIDE_H */
