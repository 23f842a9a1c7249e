/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests need that do much of something: random numbers, time, and whether
 * everything has come back.
 */
#ifndef KUBUF_STORM_H
#define KUBUF_STORM_H

#include <dirent.h>
#include <time.h>

#include "kubuf_task.h"

/* A sequence that looks random and is the same each time. */
static inline unsigned int next(unsigned int *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wait, and do not sleep: a timer is too coarse. */
static inline void spin(double how_long)
{
	const double end = seconds() + how_long;

	while (seconds() < end)
		;
}

/* Buffers that there are, named or not; -errno if debugfs does not tell. */
static inline long live_buffers(void)
{
	DIR *dir = opendir(DEBUGFS);
	struct dirent *d;
	long n = 0;

	if (!dir)
		return -errno;
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/*
 * Is it exactly so many MiB, to the page, that the driver counts for all
 * buffers together? What it lets in below a limit tells.
 */
static inline bool charged_is(unsigned long mib)
{
	char before[32], limit[32];
	int fd, more;

	snprintf(limit, sizeof(limit), "%lu", mib + 1);
	if (parameter_get("limit_mb", before, sizeof(before)) ||
	    parameter_set("limit_mb", limit))
		return false;
	fd = buf_create(KUBUF_BACKING_VMALLOC, MIB, 0);
	more = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	if (fd >= 0)
		close(fd);
	if (more >= 0)
		close(more);
	parameter_set("limit_mb", before);
	return fd >= 0 && more == -ENOSPC;
}

/*
 * KiB that one could allocate. Each processor keeps some free pages to itself,
 * which are in no sum, and the more of them the more come and go.
 */
static inline long long free_kib(void)
{
	long long kib = file_field("/proc/meminfo", "MemAvailable");
	FILE *f = fopen("/proc/zoneinfo", "re");
	char line[256];
	long count;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			kib += count * (long)(page_size() / KIB);
	fclose(f);
	return kib;
}

/*
 * KiB that a number has grown by, with a sign of 1, or shrunk. Some memory is
 * freed only when all processors have passed by: wait for it.
 */
static inline long long lost(long long (*number)(void), int sign,
			     long long before)
{
	long long kib = 0;

	for (int i = 0; i < 300; i++) {
		kib = sign * (number() - before);
		if (kib <= (long)KIB)
			break;
		usleep(10000);
	}
	return kib;
}

#endif /* KUBUF_STORM_H */
