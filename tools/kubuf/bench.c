// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf bench: what the ways to a buffer cost on this machine, beside memfd.
 *
 * A short form of tools/bench, which measures more, and in instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kubuf.h"

#define ROUNDS	7

/**
 * struct bench - one kind of memory
 * @fd: its file
 * @size: bytes
 * @map: a mapping of it, all of which is mapped
 * @user: as much memory of the program's own
 */
struct bench {
	int fd;
	size_t size;
	char *map;
	char *user;
};

/* An fd, or -errno; with backing 0 it is a memfd. */
static int make(__u32 backing, size_t size)
{
	struct kubuf_create args = {
		.size = sizeof(args),
		.length = size,
		.backing = backing,
	};
	int control, fd, err;

	if (!backing) {
		fd = memfd_create("kubuf-bench", MFD_CLOEXEC);
		if (fd >= 0 && !ftruncate(fd, (off_t)size))
			return fd;
		err = errno;
		if (fd >= 0)
			close(fd);
		return -err;
	}
	control = control_open();
	fd = ioctl(control, KUBUF_CREATE, &args);
	err = errno;
	close(control);
	return fd < 0 ? -err : fd;
}

static char *map(const struct bench *b, int fd)
{
	char *p = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die(EX_OSERR, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < b->size; i += page_size())
		__atomic_store_n(&p[i], 1, __ATOMIC_RELAXED);
	return p;
}

static void do_map(const struct bench *b)
{
	munmap(map(b, b->fd), b->size);
}

static void do_memcpy(const struct bench *b)
{
	memcpy(b->user, b->map, b->size);
	/* So that the compiler does not leave it out. */
	__asm__ volatile("" : : "r" (b->user) : "memory");
}

static void do_read(const struct bench *b)
{
	if (pread(b->fd, b->user, b->size, 0) != (ssize_t)b->size)
		die(EX_IOERR, "read: %s", strerror(errno));
}

static void do_write(const struct bench *b)
{
	if (pwrite(b->fd, b->user, b->size, 0) != (ssize_t)b->size)
		die(EX_IOERR, "write: %s", strerror(errno));
}

/* Nanoseconds: what disturbs a round only ever adds. */
static double least(const struct bench *b, void (*what)(const struct bench *b))
{
	__u64 best = ~0ULL, took;

	what(b);
	for (int i = 0; i < ROUNDS; i++) {
		took = now_ns();
		what(b);
		took = now_ns() - took;
		if (took < best)
			best = took;
	}
	return best ? (double)best : 1;
}

/* Whether it could be had. */
static bool bench_one(const char *name, __u32 backing, size_t size)
{
	struct bench b = { .size = size };
	char text[24];

	printf("%-8s ", name);
	fflush(stdout);
	b.fd = make(backing, size);
	if (b.fd == -EFBIG) {
		printf("too large: at most %s\n",
		       format_size(backing_largest(backing), text));
		return false;
	}
	if (b.fd < 0) {
		printf("%s\n", strerror(-b.fd));
		return false;
	}
	b.map = map(&b, b.fd);
	b.user = map(&b, -1);
	printf("%16.1f ", least(&b, do_map) /
	       (double)((size + page_size() - 1) / page_size()));
	printf("%12.2f ", (double)size / least(&b, do_memcpy));
	printf("%12.2f ", (double)size / least(&b, do_read));
	printf("%12.2f\n", (double)size / least(&b, do_write));
	munmap(b.user, size);
	munmap(b.map, size);
	close(b.fd);
	return true;
}

static void explain(__u64 size)
{
	char text[24];

	printf("%s each; of %d rounds after a first one the fastest counts.\n\n",
	       format_size(size, text), ROUNDS);
	printf("%-8s %16s %12s %12s %12s\n", "", "map+touch+unmap",
	       "memcpy from", "read()", "write()");
	printf("%-8s %16s %12s %12s %12s\n", "", "ns/page", "GB/s", "GB/s",
	       "GB/s");
}

static int bench(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, OPT_SIZE },
		{ "backing", required_argument, NULL, OPT_BACKING },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	__u64 size = 4 << 20;
	__u32 only = 0;
	int option, n = 0;

	while ((option = next_option(&cmd_bench, argc, argv, options)) >= 0) {
		if (option == OPT_BACKING)
			only = backing_arg(optarg);
		else
			size = size_arg("--size", optarg);
	}
	want_args(argc, 0, 0);
	if (!size || size > 1ULL << 30)
		die(EX_USAGE, "--size %llu: right is from 1 byte to 1G", size);
	close(control_open());
	explain(size);
	for (__u32 i = KUBUF_BACKING_KMALLOC; i <= KUBUF_BACKING_HUGE; i++)
		if (!only || only == i)
			n += bench_one(backing_name(i), i, (size_t)size);
	bench_one("memfd", 0, (size_t)size);
	puts("\nmap+touch+unmap: a store to each page of a new mapping. memcpy from: from a\n"
	     "mapping to other memory. read(), write(): copies by the kernel. GB are 10^9.");
	return n ? 0 : EX_UNAVAILABLE;
}

const struct command cmd_bench = {
	.name = "bench",
	.run = bench,
	.summary = "measure this machine: each backing, and memfd beside it",
	.help = "[--size=SIZE] [--backing=BACKING]\n"
		"\n"
		"  --size=SIZE        of each buffer; else 4M\n"
		"  --backing=BACKING  that one, and memfd; else all\n"
};
