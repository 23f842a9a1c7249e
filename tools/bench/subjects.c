// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's subjects: the backings of kubuf, and what else there is to
 * come by memory that two address spaces, or two processes, can share.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/dma-heap.h>
#include <linux/kubuf.h>
#include <linux/udmabuf.h>

#include "bench.h"

/* An address that nobody else uses, for what has to be aligned. */
#define ANONYMOUS_HINT	((void *)(1UL << 40))

/* One open of the device serves all buffers. */
static int open_once(int *fd, const char *path)
{
	if (*fd < 0)
		*fd = open(path, O_RDWR | O_CLOEXEC);
	return *fd;
}

static int create_kubuf(struct buffer *buf)
{
	static int control = -1;
	struct kubuf_create args = {
		.size = sizeof(args),
		.flags = buf->subject->reserved ? KUBUF_CREATE_RESERVED : 0,
		.length = buf->size,
		.backing = buf->subject->arg,
	};

	if (open_once(&control, "/dev/kubuf/control") < 0)
		return -1;
	buf->fd = ioctl(control, KUBUF_CREATE, &args);
	return buf->fd < 0 ? -1 : 0;
}

/* Memory of a file in memory is there only when it was touched. */
static int create_memfd(struct buffer *buf)
{
	int advice = buf->subject->advice;
	char *p;

	buf->fd = memfd_create("bench", MFD_CLOEXEC | buf->subject->arg);
	if (buf->fd < 0 || ftruncate(buf->fd, buf->size))
		return -1;
	p = mmap(NULL, buf->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | (advice ? 0 : MAP_POPULATE), buf->fd, 0);
	if (p == MAP_FAILED)
		return -1;
	if (advice) {
		madvise(p, buf->size, advice);
		madvise(p, buf->size, MADV_POPULATE_WRITE);
	}
	return munmap(p, buf->size);
}

static int create_udmabuf(struct buffer *buf)
{
	static int device = -1;
	struct udmabuf_create args = { .size = buf->size };

	if (open_once(&device, "/dev/udmabuf") < 0 || create_memfd(buf))
		return -1;
	if (fcntl(buf->fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	buf->source = buf->fd;
	args.memfd = buf->source;
	buf->fd = ioctl(device, UDMABUF_CREATE, &args);
	return buf->fd < 0 ? -1 : 0;
}

static int create_dma_heap(struct buffer *buf)
{
	static int device = -1;
	struct dma_heap_allocation_data args = {
		.len = buf->size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};

	if (open_once(&device, "/dev/dma_heap/system") < 0 ||
	    ioctl(device, DMA_HEAP_IOCTL_ALLOC, &args))
		return -1;
	buf->fd = args.fd;
	return 0;
}

static int create_remap(struct buffer *buf)
{
	buf->fd = open("/dev/kubuf-bench-remap", O_RDWR | O_CLOEXEC);
	return buf->fd < 0 ? -1 : 0;
}

static int create_naive(struct buffer *buf)
{
	buf->fd = open("/dev/kubuf-bench-naive", O_RDWR | O_CLOEXEC);
	return buf->fd < 0 ? -1 : 0;
}

static int create_nothing(struct buffer *buf)
{
	buf->fd = -1;
	return 0;
}

#define KUBUF(_name, _max, _backing, ...) {			\
	.name = "kubuf-" _name, .min = PAGE, .max = _max,	\
	.create = create_kubuf,					\
	.arg = KUBUF_BACKING_ ## _backing, __VA_ARGS__ }

const struct subject subjects[] = {
	KUBUF("huge", 256 * MIB, HUGE),
	KUBUF("vmalloc", 256 * MIB, VMALLOC),
	KUBUF("pages", 4 * MIB, PAGES),
	KUBUF("kmalloc", 4 * MIB, KMALLOC),
	KUBUF("vmalloc-reserved", 256 * MIB, VMALLOC,
	      .reserved = true, .extra = true),
	KUBUF("pages-reserved", 4 * MIB, PAGES,
	      .reserved = true, .extra = true),
	{ .name = "memfd", .min = PAGE, .max = 256 * MIB,
	  .create = create_memfd },
	{ .name = "memfd-populate", .min = PAGE, .max = 256 * MIB,
	  .create = create_memfd, .map_flags = MAP_POPULATE, .fixed = true,
	  .extra = true },
	{ .name = "memfd-huge", .min = PMD, .max = 256 * MIB,
	  .create = create_memfd, .advice = MADV_HUGEPAGE, .extra = true },
	{ .name = "anonymous", .min = PAGE, .max = 256 * MIB,
	  .create = create_nothing, .anonymous = true,
	  .advice = MADV_NOHUGEPAGE },
	{ .name = "anonymous-huge", .min = PMD, .max = 256 * MIB,
	  .create = create_nothing, .anonymous = true,
	  .advice = MADV_HUGEPAGE },
	{ .name = "hugetlbfs", .min = PMD, .max = 256 * MIB,
	  .create = create_memfd, .arg = MFD_HUGETLB, .extra = true },
	{ .name = "udmabuf", .min = PAGE, .max = 256 * MIB,
	  .create = create_udmabuf, .arg = MFD_ALLOW_SEALING, .extra = true },
	{ .name = "dma-heap", .min = PAGE, .max = 256 * MIB,
	  .create = create_dma_heap, .extra = true },
	{ .name = "remap-kmalloc", .min = PAGE, .max = 4 * MIB,
	  .create = create_remap, .fixed = true, .extra = true },
	{ .name = "naive", .min = PAGE, .max = 32 * MIB,
	  .create = create_naive, .fixed = true, .extra = true },
};

const size_t nr_subjects = ARRAY_SIZE(subjects);

/**
 * find_subject() - look one up
 * @name: its name
 *
 * Return: the subject, or %NULL.
 */
const struct subject *find_subject(const char *name)
{
	size_t i;

	for (i = 0; i < nr_subjects; i++)
		if (!strcmp(subjects[i].name, name))
			return &subjects[i];
	return NULL;
}

/**
 * buffer_create() - make one
 * @subject: of what
 * @size: bytes
 * @buf: filled in
 *
 * Return: 0, or -1 and errno; there is nothing to destroy then.
 */
int buffer_create(const struct subject *subject, size_t size,
		  struct buffer *buf)
{
	int err;

	*buf = (struct buffer){
		.subject = subject, .size = size, .fd = -1, .source = -1,
	};
	if (!subject->create(buf))
		return 0;
	err = errno;
	buffer_destroy(buf);
	errno = err;
	return -1;
}

/**
 * buffer_destroy() - give it back
 * @buf: not mapped any more
 */
void buffer_destroy(struct buffer *buf)
{
	if (buf->fd >= 0)
		close(buf->fd);
	if (buf->source >= 0)
		close(buf->source);
}

/**
 * buffer_map() - map all of it
 * @buf: the buffer
 * @prot: as of mmap()
 *
 * Return: its address, or MAP_FAILED and errno.
 */
char *buffer_map(const struct buffer *buf, int prot)
{
	const struct subject *s = buf->subject;
	int flags = s->map_flags;
	void *hint = NULL;
	char *p;

	flags |= s->anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	/* Older kernels do not align it by themselves. */
	if (s->anonymous && s->advice == MADV_HUGEPAGE)
		hint = ANONYMOUS_HINT;
	p = mmap(hint, buf->size, prot, flags, buf->fd, 0);
	if (p != MAP_FAILED && s->advice)
		madvise(p, buf->size, s->advice);
	return p;
}

/**
 * buffer_unmap() - undo buffer_map()
 * @buf: the buffer
 * @addr: what buffer_map() returned
 */
void buffer_unmap(const struct buffer *buf, char *addr)
{
	munmap(addr, buf->size);
}
