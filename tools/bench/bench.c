// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf-bench: what it costs to share memory with the kernel
 *
 * Usage: kubuf-bench [-i] [-s] [-d DIRECTORY] [CASE...]
 *
 *	-i	count instructions: the clock is one that advances by a
 *		nanosecond an instruction; else nanoseconds are counted
 *	-s	the short form
 *	-d	where files can be made, for the cases that take a disk
 *
 * Without CASE: all but "memory", "threads", "stream", "register" and "vmsplice",
 * after which memory is not as it was. Prints a line a figure, with tabs: case, subject,
 * bytes, value or the name of an error, unit, page faults, bytes copied, bytes
 * zeroed. A subject that is not there prints "absent".
 *
 * Each figure is the least of some runs: what disturbs a run, such as the tick
 * of the clock, only ever adds.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>

#include "bench.h"

bool count_instructions;
bool short_form;
const char *disk;

/**
 * now() - the clock
 *
 * Return: instructions, or nanoseconds.
 */
__u64 now(void)
{
	struct timespec ts;

#ifdef __x86_64__
	/* Of the emulated processor: exact, and free. */
	if (count_instructions)
		return __builtin_ia32_rdtsc();
#endif
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/**
 * report() - print a figure
 * @name: of the case
 * @subject: of what
 * @bytes: size
 * @value: the figure
 * @unit: of the figure, without "instructions/" or "ns/" if it begins with '/'
 * @s: what else there is to say, or what failed
 */
void report(const char *name, const struct subject *subject, size_t bytes,
	    double value, const char *unit, const struct sample *s)
{
	printf("%s\t%s\t%zu\t", name, subject->name, bytes);
	if (s->cost < 0)
		printf("%s", strerrorname_np(-s->cost));
	else
		printf("%.2f", value);
	if (!*unit || *unit == '/')
		printf("\t%s", count_instructions ? "instructions" : "ns");
	else
		printf("\t");
	printf("%s\t%ld\t%llu\t%llu\n", unit, s->faults, s->copied, s->zeroed);
	/* Nothing of it is to be on its way while the next one is measured. */
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
}

static long self_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/* The least of some runs, and one before it that warms up. */
static struct sample measure(const struct bench_case *c,
			     const struct buffer *buf, size_t size)
{
	unsigned int runs = c->repeat * (count_instructions ? 1 : 10);
	struct sample best = { .cost = 0 };
	unsigned int i;

	/* A tick is not in the way of all of four; large ones take too long. */
	if (runs < 4 && size <= 4 * MIB)
		runs = 4;
	for (i = 0; i <= runs; i++) {
		struct sample s = { .cost = 0 };
		long faults = self_faults();

		c->run(buf, size, &s);
		faults = self_faults() - faults;
		if (s.cost < 0)
			return s;
		/* Some cases count for themselves. */
		if (!s.faults)
			s.faults = faults;
		if (i == 1 || (i > 1 && s.cost < best.cost))
			best = s;
	}
	return best;
}

static double divide(const struct bench_case *c, size_t size, __s64 cost)
{
	switch (c->per) {
	case PER_PAGE:
		return (double)cost / ((size + PAGE - 1) / PAGE);
	case PER_TOUCH:
		return (double)cost / ((size + PMD - 1) / PMD);
	case PER_MIB:
		return (double)cost * MIB / size;
	case PER_RUN:
		break;
	}
	return cost;
}

static const char *unit_name(const struct bench_case *c)
{
	switch (c->per) {
	case PER_PAGE:
		return "/page";
	case PER_TOUCH:
		return "/touch";
	case PER_MIB:
		return "/MiB";
	case PER_RUN:
		break;
	}
	return "";
}

static void run_size(const struct bench_case *c, const struct subject *subject,
		     size_t size)
{
	struct buffer buf = { .subject = subject, .fd = -1, .source = -1 };
	size_t whole = c->whole ?: size;
	struct sample s;

	if (whole > subject->max)
		whole = subject->max;
	if (size > subject->max || whole < subject->min)
		return;
	if (!c->no_buffer && buffer_create(subject, whole, &buf)) {
		s = (struct sample){ .cost = -errno };
	} else {
		s = measure(c, &buf, size);
		if (!c->no_buffer)
			buffer_destroy(&buf);
	}
	report(c->name, subject, size, divide(c, size, s.cost), unit_name(c),
	       &s);
}

static bool is_present(const struct subject *subject)
{
	struct buffer buf;

	if (buffer_create(subject, subject->min, &buf)) {
		printf("absent\t%s\t0\t%s\t\t0\t0\t0\n", subject->name,
		       strerrorname_np(errno));
		return false;
	}
	buffer_destroy(&buf);
	return true;
}

static bool is_wanted(const char *name, bool if_named, char **wanted)
{
	if (!*wanted)
		return !if_named;
	for (; *wanted; wanted++)
		if (!strcmp(name, *wanted))
			return true;
	return false;
}

static void run_case(const struct bench_case *c, const struct subject *subject)
{
	const size_t *size = short_form ? c->short_sizes : c->sizes;

	if (!size || (c->no_anonymous && subject->anonymous) ||
	    (c->no_buffer && subject->fixed))
		return;
	if (c->disk && !direct_prepare())
		return;
	for (; *size; size++)
		run_size(c, subject, *size);
}

int main(int argc, char **argv)
{
	size_t i, j;
	int opt;

	while ((opt = getopt(argc, argv, "isd:")) != -1) {
		switch (opt) {
		case 'i':
			count_instructions = true;
			break;
		case 's':
			short_form = true;
			break;
		case 'd':
			disk = optarg;
			break;
		default:
			errx(2, "usage: %s [-i] [-s] [-d DIRECTORY] [CASE...]",
			     argv[0]);
		}
	}
	argv += optind;

	if (is_wanted("memory", true, argv))
		measure_memory();
	if (is_wanted("threads", true, argv))
		measure_threads();
	if (is_wanted("stream", true, argv))
		measure_streams();
	for (i = 0; i < nr_subjects; i++) {
		if ((short_form && subjects[i].extra) ||
		    !is_present(&subjects[i]))
			continue;
		for (j = 0; j < nr_cases; j++)
			if (is_wanted(cases[j].name, cases[j].if_named, argv))
				run_case(&cases[j], &subjects[i]);
	}
	return 0;
}
