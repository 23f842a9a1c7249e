/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files for direct I/O, and what is in them.
 */
#ifndef KUBUF_DISK_H
#define KUBUF_DISK_H

#include <sys/statfs.h>

#include <linux/magic.h>

#include "kubuf_util.h"

/*
 * A file without a name, for direct I/O, on a file system that has a disk below
 * it: one that lives in memory copies instead of pinning. -1 if there is none.
 */
static inline int file_below(const char *dir)
{
	char path[256];
	struct statfs fs;
	int fd;

	if (!dir || statfs(dir, &fs) || fs.f_type == TMPFS_MAGIC ||
	    fs.f_type == RAMFS_MAGIC)
		return -1;
	snprintf(path, sizeof(path), "%s/kubuf-%d", dir, getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC,
		  0600);
	unlink(path);
	return fd;
}

static inline int disk_file(void)
{
	int fd = file_below(getenv("KUBUF_DISK_DIR"));

	if (fd < 0)
		fd = file_below(".");
	if (fd < 0)
		fd = file_below("/var/tmp");
	return fd;
}

/* Does the file hold the pattern? */
static inline bool file_holds(int fd, size_t length, unsigned int seed)
{
	char *tmp = aligned_alloc(page_size(), length);
	bool ok = tmp && pread(fd, tmp, length, 0) == (ssize_t)length &&
		  mismatch(tmp, length, seed) == length;

	free(tmp);
	return ok;
}

static inline bool file_fill(int fd, size_t length, unsigned int seed)
{
	char *tmp = aligned_alloc(page_size(), length);
	bool ok;

	if (!tmp)
		return false;
	fill(tmp, length, seed);
	ok = pwrite(fd, tmp, length, 0) == (ssize_t)length;
	free(tmp);
	return ok;
}

#endif /* KUBUF_DISK_H */
