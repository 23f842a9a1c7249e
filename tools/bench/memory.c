// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bookkeeping: how much less memory is free than was asked for.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/resource.h>

#include "bench.h"

/* The kernel counts free memory in pages: let there be many of its objects. */
#define TOTAL	(256 * MIB)
#define MANY	4096

static struct buffer held[MANY], measured[MANY];

/* Memory that was given back may be free only some time later. */
static void settle(void)
{
	usleep(100000);
}

/* Free pages: of the buddy allocator, and those that processors have at hand. */
static long free_pages(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	char line[256];
	long total = 0, n;

	if (!f)
		err(1, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " pages free %ld", &n) == 1 ||
		    sscanf(line, " count: %ld", &n) == 1)
			total += n;
	fclose(f);
	return total;
}

static size_t create_all(const struct subject *subject, size_t size,
			 struct buffer *bufs, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (buffer_create(subject, size, &bufs[i]))
			break;
	return i;
}

static void destroy_all(struct buffer *bufs, size_t nr)
{
	while (nr--)
		buffer_destroy(&bufs[nr]);
}

/*
 * Report how many bytes each of @nr buffers takes beyond its own. What the
 * kernel had in reserve for its objects is used up by others first.
 */
static void measure(const char *name, const struct subject *subject,
		    size_t size, size_t nr)
{
	struct sample s = { .cost = 0 };
	long before, after;
	size_t i, n;

	n = create_all(subject, size, held, nr);
	settle();
	before = free_pages();
	i = create_all(subject, size, measured, nr);
	if (i < nr)
		s.cost = -errno;
	settle();
	after = free_pages();
	destroy_all(measured, i);
	destroy_all(held, n);
	report(name, subject, size,
	       (double)(before - after) * PAGE / nr - size, "bytes", &s);
}

/**
 * measure_memory() - the case "memory", and "memory-first"
 *
 * Page tables for the kernel's own mappings stay when a mapping goes and serve
 * the next one, so that only the first buffers of all pay for them: these are
 * told apart.
 */
void measure_memory(void)
{
	static const size_t sizes[] = {
		32 * MIB, 4 * KIB, 64 * KIB, 2 * MIB, 4 * MIB, 128 * MIB,
	};
	struct rlimit limit = { MANY * 2 + 64, MANY * 2 + 64 };
	size_t i, j;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < nr_subjects; i++) {
		const struct subject *subject = &subjects[i];

		if (subject->anonymous || subject->extra)
			continue;
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			size_t size = sizes[j];
			size_t nr = TOTAL / size < MANY ? TOTAL / size : MANY;

			if (size > subject->max)
				continue;
			measure("memory-first", subject, size, nr);
			measure("memory", subject, size, nr);
		}
	}
}
