// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * hello: the kernel, this program and another one use the same memory
 *
 *	cc -I driver/include/uapi -o hello tools/examples/hello.c
 *	./hello [BYTES [kmalloc|pages|vmalloc|huge]]
 *
 * Makes a buffer without a name and maps it. What is stored through the mapping
 * is what the kernel loads for pread(); what the kernel stores for pwrite() is
 * what is loaded through the mapping. A child has the same from the descriptor.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/kubuf.h>

static const char * const backings[] = { "", "kmalloc", "pages", "vmalloc", "huge" };

static __u32 backing_of(const char *name)
{
	for (__u32 i = KUBUF_BACKING_KMALLOC; i <= KUBUF_BACKING_HUGE; i++) {
		if (!strcmp(name, backings[i]))
			return i;
	}
	errx(2, "no such backing: %s", name);
}

static __u64 parse(const char *text)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		errx(2, "no number of bytes: %s", text);
	return n;
}

/* The buffer lives until its last descriptor and its last mapping are gone. */
static int create(struct kubuf_create *args)
{
	int control, fd;

	control = open("/dev/kubuf/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		err(1, "open /dev/kubuf/control");
	fd = ioctl(control, KUBUF_CREATE, args);
	if (fd < 0)
		err(1, "KUBUF_CREATE");
	close(control);
	return fd;
}

static char *map(int fd, size_t length)
{
	char *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

/* Store a short text at the beginning, and say so. */
static void store(char *p, const char *who, const char *text)
{
	memcpy(p, text, strlen(text) + 1);
	printf("%s stores \"%s\"\n", who, p);
}

/* The child has the descriptor from its parent; the mapping is its own. */
static void run_child(int fd, size_t length)
{
	char *p = map(fd, length);

	printf("child     loads  \"%s\"\n", p);
	store(p, "child    ", "three");
	exit(0);
}

int main(int argc, char **argv)
{
	struct kubuf_create args = { .size = sizeof(args) };
	int fd, status;
	char seen[4], *p;
	pid_t pid;

	args.length = argc > 1 ? parse(argv[1]) : 1 << 20;
	args.backing = backing_of(argc > 2 ? argv[2] : "vmalloc");
	fd = create(&args);
	printf("created   %llu bytes, %s\n", args.length, backings[args.backing]);

	p = map(fd, args.length);
	store(p, "mapping  ", "one");
	if (pread(fd, seen, sizeof(seen), 0) != sizeof(seen))
		err(1, "pread");
	printf("pread()   loads  \"%.4s\"\n", seen);

	if (pwrite(fd, "two", 4, 0) != 4)
		err(1, "pwrite");
	printf("pwrite()  stores \"two\"\n");
	printf("mapping   loads  \"%s\"\n", p);

	fflush(stdout);		/* or the child would print it once more */
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		run_child(fd, args.length);
	if (waitpid(pid, &status, 0) < 0 || status)
		errx(1, "the child failed");
	printf("mapping   loads  \"%s\"\n", p);

	munmap(p, args.length);
	close(fd);
	return 0;
}
