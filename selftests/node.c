// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers for the programs of programs_test.sh:
 *
 *	node create NAME BACKING BYTES	a named one
 *	node destroy NAME
 *	node map NAME			map it, print the address, and stop
 *	node run BACKING BYTES COMMAND	an unnamed one as fd 9 of a command
 *
 * BACKING is one of the variants that the other tests have.
 */
#include <signal.h>

#include "kselftest.h"
#include "kubuf_util.h"

#define COMMAND_FD	9

static const struct {
	const char *name;
	__u32 backing;
	__u32 flags;
} variants[] = {
	{ "pages", KUBUF_BACKING_PAGES, 0 },
	{ "vmalloc", KUBUF_BACKING_VMALLOC, 0 },
	{ "huge", KUBUF_BACKING_HUGE, 0 },
	{ "kmalloc", KUBUF_BACKING_KMALLOC, 0 },
	{ "pages_reserved", KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED },
	{ "vmalloc_reserved", KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED },
};

/* An fd, or -errno. NAME is NULL for a buffer without one. */
static int create(const char *name, const char *variant, const char *bytes)
{
	__u64 length = strtoull(bytes, NULL, 10);

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		if (strcmp(variants[i].name, variant))
			continue;
		return name ?
			buf_create_named(name, variants[i].backing, length,
					 variants[i].flags, 0) :
			buf_create(variants[i].backing, length,
				   variants[i].flags);
	}
	return -EINVAL;
}

/* Touch all of it, so that there is nothing to fault in for who looks on. */
static int map(const char *name)
{
	char path[64], seen = 0;
	off_t length;
	char *p;
	int fd;

	snprintf(path, sizeof(path), "/dev/kubuf/%s", name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -errno;
	length = lseek(fd, 0, SEEK_END);
	p = buf_map(fd, (size_t)length, PROT_READ | PROT_WRITE);
	if (p == MAP_FAILED)
		return -errno;
	for (off_t i = 0; i < length; i += (off_t)page_size())
		seen |= p[i];
	printf("%#lx %d\n", (unsigned long)p, seen);
	fflush(stdout);
	raise(SIGSTOP);
	return 0;
}

static int run(const char *variant, const char *bytes, char **command)
{
	int fd = create(NULL, variant, bytes);

	if (fd < 0)
		return fd;
	if (dup2(fd, COMMAND_FD) < 0)
		return -errno;
	execvp(command[0], command);
	return -errno;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int ret = -EINVAL;

	if (!strcmp(what, "create") && argc == 5)
		ret = create(argv[2], argv[3], argv[4]);
	else if (!strcmp(what, "destroy") && argc == 3)
		ret = buf_destroy(argv[2]);
	else if (!strcmp(what, "map") && argc == 3)
		ret = map(argv[2]);
	else if (!strcmp(what, "run") && argc > 4)
		ret = run(argv[2], argv[3], argv + 4);
	if (ret >= 0)
		return 0;
	fprintf(stderr, "node: %s: %s\n", what, strerror(-ret));
	return 1;
}
