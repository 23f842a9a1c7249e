// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of one thread, and of two at the same time in one address space.
 *
 * This takes the clock on the wall, on a machine that may have other things to
 * do. So a subject and memfd are measured in turn, one thread and two, in rounds
 * that are too short for much to change meanwhile, and equally long: threads do
 * not begin and end at quite the same moment. The ratio to memfd is taken of each
 * round, and what counts is the median of many rounds: what disturbs one of them
 * makes it an outlier, and a change of the machine's speed is in both.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>

#include "bench.h"

#define SIZE		(4 * MIB)
#define MAX_MAPS	160
#define ROUNDS		101
#define ROUND_NS	16000000

/* A buffer, mapped so often that touching all takes a while. */
struct field {
	struct buffer buf;
	size_t nr_maps;
	char *maps[MAX_MAPS];
};

/* Of each round: pages a second and ratios. */
struct rounds {
	double one[ROUNDS];
	double two[ROUNDS];
	double ratio[ROUNDS];
	double to_memfd[ROUNDS];
};

/* The second thread: touches its half of a field each time it is started. */
static pthread_t second;
static pthread_barrier_t barrier;
static const struct field *second_field;	/* NULL: go home */
static int ready;
static __u64 second_start, second_end;

static __u64 ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void touch_field(const struct field *f, size_t start, size_t end)
{
	size_t i, off;

	for (i = 0; i < f->nr_maps; i++)
		for (off = start; off < end; off += PAGE)
			touch(f->maps[i] + off);
}

/* Both threads leave at the same moment: a barrier wakes them one by one. */
static void start_together(void)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 2)
		sched_yield();
}

/* Else the scheduler may take long to find that there is another processor. */
static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "two processors are needed");
}

static void *run_second(void *unused)
{
	(void)unused;
	stay_on(1);
	for (;;) {
		pthread_barrier_wait(&barrier);
		if (!second_field)
			return NULL;
		start_together();
		second_start = ns();
		touch_field(second_field, SIZE / 2, SIZE);
		second_end = ns();
		pthread_barrier_wait(&barrier);
	}
}

static void map_field(struct field *f)
{
	size_t i;

	for (i = 0; i < f->nr_maps; i++) {
		f->maps[i] = buffer_map(&f->buf, PROT_READ | PROT_WRITE);
		if (f->maps[i] == MAP_FAILED)
			err(1, "mmap of %s", f->buf.subject->name);
	}
}

static void unmap_field(struct field *f)
{
	size_t i;

	for (i = 0; i < f->nr_maps; i++)
		buffer_unmap(&f->buf, f->maps[i]);
}

static __u64 time_one(struct field *f)
{
	__u64 start, end;

	map_field(f);
	start = ns();
	touch_field(f, 0, SIZE);
	end = ns();
	unmap_field(f);
	return end - start;
}

static __u64 time_two(struct field *f)
{
	__u64 start, end;

	map_field(f);
	second_field = f;
	ready = 0;
	pthread_barrier_wait(&barrier);
	start_together();
	start = ns();
	touch_field(f, 0, SIZE / 2);
	end = ns();
	pthread_barrier_wait(&barrier);
	unmap_field(f);
	return (second_end > end ? second_end : end) -
	       (second_start < start ? second_start : start);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), compare_doubles);
	return values[ROUNDS / 2];
}

static void add_round(struct rounds *r, unsigned int i, struct field *own,
		      struct field *memfd)
{
	const double pages = (double)own->nr_maps * SIZE / PAGE * 1e9;
	double own_one, own_two, its_one, its_two;

	/* Neither is always the first. */
	if (i % 2) {
		its_one = (double)time_one(memfd);
		own_one = (double)time_one(own);
		own_two = (double)time_two(own);
		its_two = (double)time_two(memfd);
	} else {
		own_one = (double)time_one(own);
		its_one = (double)time_one(memfd);
		its_two = (double)time_two(memfd);
		own_two = (double)time_two(own);
	}
	r->one[i] = pages / own_one;
	r->two[i] = pages / own_two;
	r->ratio[i] = own_one / own_two;
	r->to_memfd[i] = r->ratio[i] / (its_one / its_two);
}

static int make_field(struct field *f, const struct subject *subject)
{
	__u64 once;

	*f = (struct field){ .nr_maps = 1 };
	if (buffer_create(subject, SIZE, &f->buf))
		return -1;
	time_one(f);
	once = time_one(f);
	f->nr_maps = once ? ROUND_NS / once : MAX_MAPS;
	if (!f->nr_maps)
		f->nr_maps = 1;
	if (f->nr_maps > MAX_MAPS)
		f->nr_maps = MAX_MAPS;
	return 0;
}

static void measure_subject(const struct subject *subject)
{
	static struct field own, memfd;
	static struct rounds r;
	struct sample s = { .cost = 0 };
	unsigned int i;

	if (make_field(&own, subject))
		return;
	if (make_field(&memfd, find_subject("memfd")))
		err(1, "memfd");
	for (i = 0; i < ROUNDS; i++)
		add_round(&r, i, &own, &memfd);
	buffer_destroy(&memfd.buf);
	buffer_destroy(&own.buf);

	report("threads-1", subject, SIZE, median(r.one), "pages/s", &s);
	report("threads-2", subject, SIZE, median(r.two), "pages/s", &s);
	report("threads-ratio", subject, SIZE, median(r.ratio), "times", &s);
	report("threads-to-memfd", subject, SIZE, median(r.to_memfd), "times",
	       &s);
}

/**
 * measure_threads() - the cases "threads-1", "threads-2", "threads-ratio"
 * (two threads in times of one) and "threads-to-memfd" (that, in times of
 * memfd's in the same round); medians
 */
void measure_threads(void)
{
	unsigned int i;

	stay_on(0);
	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&second, NULL, run_second, NULL))
		errx(1, "no second thread");
	for (i = 0; i < nr_subjects; i++)
		if (!subjects[i].anonymous && !subjects[i].map_flags)
			measure_subject(&subjects[i]);
	second_field = NULL;
	pthread_barrier_wait(&barrier);
	pthread_join(second, NULL);
}
