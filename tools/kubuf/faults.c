// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting the faults on a buffer, by the tracepoint kubuf:kubuf_fault.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/perf_event.h>

#include "kubuf.h"

static const char * const tracepoints[] = {
	"/sys/kernel/tracing/events/kubuf/kubuf_fault/id",
	DEBUGFS "/tracing/events/kubuf/kubuf_fault/id",
};

/* The number of the tracepoint; 0 if there is none, or none for us. */
static __u64 tracepoint(void)
{
	unsigned long long id = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tracepoints) && !id; i++) {
		FILE *f = fopen(tracepoints[i], "re");

		if (!f)
			continue;
		if (fscanf(f, "%llu", &id) != 1)
			id = 0;
		fclose(f);
	}
	return id;
}

/* One that counts on a processor what is on this buffer; -errno. */
static int event_open(struct perf_event_attr *attr, int cpu,
		      const char *filter)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1,
			      PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

/**
 * faults_open() - begin to count
 * @faults: where to put what counts; faults_close() takes that back
 * @id: of the buffer
 *
 * Return: whether there is something to count by.
 */
bool faults_open(struct faults *faults, __u64 id)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = tracepoint(),
		.disabled = 1,
	};
	int nr = (int)sysconf(_SC_NPROCESSORS_CONF), fd;
	char filter[40];

	faults->nr = 0;
	faults->fds = NULL;
	if (!attr.config)
		return false;
	snprintf(filter, sizeof(filter), "id == %llu", id);
	faults->fds = must_alloc(calloc((size_t)nr, sizeof(int)));
	for (int cpu = 0; cpu < nr; cpu++) {
		fd = event_open(&attr, cpu, filter);
		if (fd >= 0) {
			faults->fds[faults->nr++] = fd;
		} else if (fd != -ENODEV) {
			/* Any other than one that is switched off. */
			faults_close(faults);
			return false;
		}
	}
	return true;
}

/**
 * faults_count() - how many there were
 * @faults: what counts
 *
 * Return: faults since faults_open().
 */
__u64 faults_count(const struct faults *faults)
{
	__u64 sum = 0, n;

	for (int i = 0; i < faults->nr; i++)
		if (read(faults->fds[i], &n, sizeof(n)) == sizeof(n))
			sum += n;
	return sum;
}

/**
 * faults_close() - count no more
 * @faults: what counts
 */
void faults_close(struct faults *faults)
{
	while (faults->nr)
		close(faults->fds[--faults->nr]);
	free(faults->fds);
	faults->fds = NULL;
}
