/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files for direct I/O, and what is in them.
 */
#ifndef KUBUF_DISK_H
#define KUBUF_DISK_H

#include <sys/statfs.h>
#include <sys/syscall.h>

#include <linux/aio_abi.h>
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

/* One request of kernel AIO: what came of it. */
static inline long long aio(int opcode, int fd, char *buf, size_t length)
{
	struct iocb cb = {
		.aio_lio_opcode = (__u16)opcode,
		.aio_fildes = (__u32)fd,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = length,
	};
	struct iocb *cbs[] = { &cb };
	struct io_event event = { .res = -EIO };
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx))
		return -errno;
	if (syscall(SYS_io_submit, ctx, 1, cbs) != 1 ||
	    syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL) != 1)
		event.res = -errno;
	syscall(SYS_io_destroy, ctx);
	return event.res;
}

#endif /* KUBUF_DISK_H */
