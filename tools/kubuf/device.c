// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device: its nodes, the buffers that there are, and what they are called.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include "kubuf.h"

static const char * const backings[] = {
	[KUBUF_BACKING_KMALLOC] = "kmalloc",
	[KUBUF_BACKING_PAGES] = "pages",
	[KUBUF_BACKING_VMALLOC] = "vmalloc",
	[KUBUF_BACKING_HUGE] = "huge",
	[KUBUF_BACKING_WRAPPED] = "wrapped",
};

size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

__u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

/**
 * check_name() - end the program unless a buffer could have the name
 * @name: what was given
 *
 * The same as in the driver. It also keeps what is opened in /dev/kubuf.
 */
void check_name(const char *name)
{
	const char *problem = NULL;

	if (!*name)
		problem = "it is empty";
	else if (*name == '.')
		problem = "it begins with a dot";
	else if (strlen(name) >= KUBUF_NAME_SIZE)
		problem = "it is too long";
	else if (!strcmp(name, "control"))
		problem = "that is the control device";
	for (const char *c = name; *c && !problem; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			problem = "it has other characters";
	if (problem)
		die(EX_USAGE,
		    "no name for a buffer: %s: %s; right are 1 to %d of A-Z a-z 0-9 . _ -",
		    quoted(name), problem, KUBUF_NAME_SIZE - 1);
}

/**
 * backing_name() - a backing as people write it
 * @backing: what the driver says
 *
 * Return: the name; "unknown" for what a later driver may have.
 */
const char *backing_name(__u32 backing)
{
	if (backing >= ARRAY_SIZE(backings) || !backings[backing])
		return "unknown";
	return backings[backing];
}

/**
 * backing_arg() - a backing on the command line
 * @text: what was given
 *
 * Return: the backing. Ends the program if there is none of the name.
 */
__u32 backing_arg(const char *text)
{
	for (__u32 i = KUBUF_BACKING_KMALLOC; i <= KUBUF_BACKING_HUGE; i++)
		if (!strcmp(text, backings[i]))
			return i;
	die(EX_USAGE,
	    "--backing %s: right are vmalloc, pages, kmalloc and huge",
	    quoted(text));
}

/* The largest block of the page allocator: a column of buddyinfo each order. */
static __u64 largest_block(void)
{
	static const char blank[] = "\n ";
	__u64 bytes = page_size() / 2;
	char line[512], *column;
	FILE *f = fopen("/proc/buddyinfo", "re");

	if (!f || !fgets(line, sizeof(line), f)) {
		if (f)
			fclose(f);
		return 0;
	}
	fclose(f);
	/* Node 0, zone DMA 1 0 0 1 ... */
	column = strstr(line, "zone");
	if (!column)
		return 0;
	strtok(column, blank);
	strtok(NULL, blank);
	while (strtok(NULL, blank))
		bytes *= 2;
	return bytes;
}

/**
 * backing_largest() - the largest buffer of a backing
 * @backing: the backing
 *
 * Return: bytes; 0 if this is not known.
 */
__u64 backing_largest(__u32 backing)
{
	switch (backing) {
	case KUBUF_BACKING_KMALLOC:
	case KUBUF_BACKING_PAGES:
		return largest_block();
	default:
		return (__u64)sysconf(_SC_PHYS_PAGES) * page_size();
	}
}

/**
 * control_open() - open the control device
 *
 * Return: its file descriptor. Ends the program if it can't be opened.
 */
int control_open(void)
{
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	/* Reading is enough. */
	if (fd < 0 && errno == EACCES)
		fd = open(CONTROL, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		die(EX_UNAVAILABLE,
		    "no %s: is the module loaded? Try 'sudo modprobe kubuf'; 'kubuf doctor' tells more",
		    CONTROL);
	case EACCES:
	case EPERM:
		die(EX_NOPERM, "%s: %s: try sudo", CONTROL, strerror(errno));
	default:
		die(EX_OSERR, "%s: %s", CONTROL, strerror(errno));
	}
}

/**
 * list_buffers() - describe all named buffers
 * @count: how many there are
 *
 * Return: an array of them, to be freed. Ends the program at an error.
 */
struct kubuf_info *list_buffers(__u32 *count)
{
	struct kubuf_list list = {
		.size = sizeof(list),
		.info_size = sizeof(struct kubuf_info),
	};
	struct kubuf_info *infos = NULL;
	int control = control_open();
	__u32 room = 0;

	/* More may be made meanwhile. */
	do {
		room = list.count + 8;
		free(infos);
		infos = must_alloc(calloc(room, sizeof(*infos)));
		list.infos = (__u64)(unsigned long)infos;
		list.count = room;
		if (ioctl(control, KUBUF_LIST, &list))
			die(EX_OSERR, "KUBUF_LIST: %s", strerror(errno));
	} while (list.count > room);
	close(control);
	*count = list.count;
	return infos;
}

static void no_such_buffer(const char *name)
{
	die(EX_NOINPUT, "no such buffer: %s; 'kubuf list' shows those that there are",
	    quoted(name));
}

/**
 * find_buffer() - describe a buffer, which anyone may ask for
 * @name: its name, unchecked
 * @info: where to put the description
 *
 * Ends the program if there is none.
 */
void find_buffer(const char *name, struct kubuf_info *info)
{
	struct kubuf_info *infos;
	__u32 count, i;

	check_name(name);
	infos = list_buffers(&count);
	for (i = 0; i < count; i++)
		if (!strcmp(infos[i].name, name))
			break;
	if (i == count)
		no_such_buffer(name);
	*info = infos[i];
	free(infos);
}

/**
 * buffer_open() - open the node of a buffer, and describe it
 * @name: its name, unchecked
 * @flags: as of open()
 * @info: where to put the description
 *
 * Return: its file descriptor. Ends the program if it can't be opened.
 */
int buffer_open(const char *name, int flags, struct kubuf_info *info)
{
	char path[sizeof("/dev/kubuf/") + KUBUF_NAME_SIZE];
	int fd;

	check_name(name);
	snprintf(path, sizeof(path), "/dev/kubuf/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0) {
		switch (errno) {
		case ENOENT:
		case ENODEV:
		case ENXIO:
			/* Tells if the module is missing. */
			close(control_open());
			no_such_buffer(name);
			break;
		case EACCES:
		case EPERM:
			die(EX_NOPERM, "%s: %s: see its mode by 'ls -l %s', or try sudo",
			    path, strerror(errno), path);
		default:
			die(EX_OSERR, "%s: %s", path, strerror(errno));
		}
	}
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (ioctl(fd, KUBUF_INFO, info))
		die(EX_OSERR, "%s: KUBUF_INFO: %s", path, strerror(errno));
	return fd;
}

/**
 * range_option() - take --offset or --length
 * @range: where to put it
 * @option: what getopt_long() returned
 * @text: its argument
 *
 * Return: whether it was one of them.
 */
bool range_option(struct range *range, int option, const char *text)
{
	switch (option) {
	case OPT_OFFSET:
		range->offset = size_arg("--offset", text);
		return true;
	case OPT_LENGTH:
		range->length = size_arg("--length", text);
		range->has_length = true;
		return true;
	default:
		return false;
	}
}

/**
 * range_check() - end the program unless a part is inside of a buffer
 * @range: the part; without --length it becomes all behind the offset
 * @name: of the buffer
 * @size: of the buffer
 */
void range_check(struct range *range, const char *name, __u64 size)
{
	if (range->offset > size)
		die(EX_USAGE, "--offset %llu: %s has %llu bytes",
		    range->offset, name, size);
	if (!range->has_length)
		range->length = size - range->offset;
	if (range->length > size - range->offset)
		die(EX_USAGE, "--length %llu: %s has %llu bytes from offset %llu on",
		    range->length, name, size - range->offset, range->offset);
}
