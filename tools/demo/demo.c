// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf-demo: one file through a kernel buffer, with copies and without
 *
 * Usage: kubuf-demo SOURCE DIRECTORY
 *
 * Brings the file SOURCE to DIRECTORY/copy.memcpy and to DIRECTORY/copy.mmap,
 * each time by way of a kubuf buffer, checks both against SOURCE and says what
 * each way cost. Then shows that a store by user space and a store by the
 * kernel land in one and the same page frame. Exits with 1 if anything differs.
 *
 * Both ways move the same pieces, through a buffer of the same size, and start
 * with an empty page cache. Needs root: for the page cache and frame numbers.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/kubuf.h>

#define CONTROL		"/dev/kubuf/control"
#define DEBUGFS		"/sys/kernel/debug/kubuf"
#define PIECE		(8UL << 20)
/* What O_DIRECT wants of lengths and offsets; enough for any disk block. */
#define DIRECT_ALIGN	4096UL
#define BAR		40
#define SHA256_HEX	64

/* A word of /proc/PID/pagemap. */
#define PM_PRESENT_BIT	63
#define PM_PFN		((1ULL << 55) - 1)

/* What a way of moving the file has cost so far. */
struct cost {
	const char *name;
	__u64 copied;	/* bytes that the CPU copied */
	__u64 calls;		/* system calls */
	__u64 faults;	/* page faults, getrusage() */
	__u64 user_us;
	__u64 sys_us;
	__u64 wall_us;
	__u64 cached;	/* pages of both files in the page cache */
	int bar;
};

/*
 * One end of a transfer. read() and write() copy each byte once between the
 * caller's memory and the page cache or the buffer; with O_DIRECT the disk
 * transfers to or from the caller's memory itself and the CPU copies nothing.
 */
struct end {
	int fd;
	bool direct;
};

static size_t page_size;

/* 1234567 as "1,234,567". Four results live at a time. */
static const char *grouped(__u64 n)
{
	static char bufs[4][32];
	static unsigned int turn;
	char *p = bufs[turn++ % 4] + sizeof(bufs[0]) - 1;
	int digits = 0;

	*p = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--p = ',';
		*--p = (char)('0' + n % 10);
		digits++;
		n /= 10;
	} while (n);
	return p;
}

/* One mark each fortieth of the way; needs no cursor movement. */
static void progress(struct cost *c, __u64 done, __u64 all)
{
	int want = (int)(done * BAR / all);

	for (; c->bar < want; c->bar++)
		putchar('#');
	fflush(stdout);
}

static __u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000 + (__u64)ts.tv_nsec / 1000;
}

static __u64 tv_us(struct timeval tv)
{
	return (__u64)tv.tv_sec * 1000000 + (__u64)tv.tv_usec;
}

static void cost_begin(struct cost *c)
{
	struct rusage ru;

	printf("  %-10s ", c->name);
	fflush(stdout);
	getrusage(RUSAGE_SELF, &ru);
	c->faults -= (__u64)(ru.ru_minflt + ru.ru_majflt);
	c->user_us -= tv_us(ru.ru_utime);
	c->sys_us -= tv_us(ru.ru_stime);
	c->wall_us -= now_us();
}

static void cost_end(struct cost *c)
{
	struct rusage ru;

	c->wall_us += now_us();
	getrusage(RUSAGE_SELF, &ru);
	c->faults += (__u64)(ru.ru_minflt + ru.ru_majflt);
	c->user_us += tv_us(ru.ru_utime);
	c->sys_us += tv_us(ru.ru_stime);
	printf(" done\n");
}

/* Every page of file data on the disk and nowhere else. */
static void empty_page_cache(void)
{
	const char *path = "/proc/sys/vm/drop_caches";
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3\n", 2) != 2)
		err(1, "%s", path);
	close(fd);
}

static __u64 pages_cached(const char *path)
{
	unsigned char *vec;
	__u64 n = 0;
	size_t pages;
	struct stat st;
	void *map;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	pages = ((size_t)st.st_size + page_size - 1) / page_size;
	map = mmap(NULL, pages * page_size, PROT_READ, MAP_SHARED, fd, 0);
	vec = calloc(pages, 1);
	if (map == MAP_FAILED || !vec || mincore(map, pages * page_size, vec))
		err(1, "mincore %s", path);
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	munmap(map, pages * page_size);
	close(fd);
	return n;
}

/* Read @want bytes of the @len asked for, or end the program. */
static void pull(struct cost *c, struct end from, char *buf, size_t len,
		 size_t want, __u64 pos)
{
	size_t got = 0;

	while (got < want) {
		ssize_t n = pread(from.fd, buf + got, len - got,
				  (off_t)(pos + got));

		c->calls++;
		if (!n)
			errx(1, "%s: the file ends early", c->name);
		if (n < 0)
			err(1, "%s: read at %llu", c->name, pos + got);
		if (!from.direct)
			c->copied += (__u64)n;
		got += (size_t)n;
	}
}

/* Write all of @len bytes, or end the program. */
static void push(struct cost *c, struct end to, const char *buf, size_t len,
		 __u64 pos)
{
	size_t put = 0;

	while (put < len) {
		ssize_t n = pwrite(to.fd, buf + put, len - put,
				   (off_t)(pos + put));

		c->calls++;
		if (n < 0)
			err(1, "%s: write at %llu", c->name, pos + put);
		if (!to.direct)
			c->copied += (__u64)n;
		put += (size_t)n;
	}
}

static struct end end_open(struct cost *c, const char *path, int flags)
{
	struct end end = { .direct = flags & O_DIRECT };

	end.fd = open(path, flags | O_CLOEXEC, 0644);
	c->calls++;
	if (end.fd < 0)
		err(1, "%s", path);
	return end;
}

static int buffer_create(struct cost *c, __u32 backing, __u64 length)
{
	struct kubuf_create create = {
		.size = sizeof(create),
		.length = length,
		.backing = backing,
	};
	int control, fd;

	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (control < 0)
		err(1, CONTROL);
	fd = ioctl(control, KUBUF_CREATE, &create);
	if (fd < 0)
		err(1, "KUBUF_CREATE");
	close(control);
	c->calls += 3;
	return fd;
}

/*
 * The file goes through user memory of its own, twice: disk, page cache, user
 * memory, buffer; and back by the same stations.
 */
static void way_memcpy(struct cost *c, const char *source, const char *target,
		       __u64 size)
{
	struct end from, to, buffer = { .direct = false };
	char *user;

	cost_begin(c);
	from = end_open(c, source, O_RDONLY);
	to = end_open(c, target, O_WRONLY | O_CREAT | O_TRUNC);
	buffer.fd = buffer_create(c, KUBUF_BACKING_HUGE, PIECE);
	user = mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (user == MAP_FAILED)
		err(1, "mmap");
	for (__u64 pos = 0; pos < size; pos += PIECE) {
		size_t len = size - pos < PIECE ? size - pos : PIECE;

		pull(c, from, user, len, len, pos);
		push(c, buffer, user, len, 0);
		/* Here a driver would work on the buffer. */
		pull(c, buffer, user, len, len, 0);
		push(c, to, user, len, pos);
		progress(c, pos + len, size);
	}
	if (fsync(to.fd))
		err(1, "fsync %s", target);
	munmap(user, PIECE);
	close(buffer.fd);
	close(to.fd);
	close(from.fd);
	c->calls += 6;
	cost_end(c);
}

/*
 * The buffer's own pages are the user memory: the disk reads into them and
 * writes out of them.
 */
static void way_mmap(struct cost *c, const char *source, const char *target,
		     __u64 size)
{
	struct end from, to;
	char *map;
	int fd;

	cost_begin(c);
	from = end_open(c, source, O_RDONLY | O_DIRECT);
	to = end_open(c, target, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT);
	fd = buffer_create(c, KUBUF_BACKING_HUGE, PIECE);
	map = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");
	for (__u64 pos = 0; pos < size; pos += PIECE) {
		size_t len = size - pos < PIECE ? size - pos : PIECE;
		size_t whole = (len + DIRECT_ALIGN - 1) & ~(DIRECT_ALIGN - 1);

		pull(c, from, map, whole, len, pos);
		/* Here a driver would work on the buffer. */
		push(c, to, map, whole, pos);
		progress(c, pos + len, size);
	}
	/* O_DIRECT wrote whole blocks: cut the last one. */
	if (ftruncate(to.fd, (off_t)size) || fsync(to.fd))
		err(1, "%s", target);
	munmap(map, PIECE);
	close(fd);
	close(to.fd);
	close(from.fd);
	c->calls += 7;
	cost_end(c);
}

/* The checksum by coreutils, a program that knows nothing of kubuf. */
static void sha256(const char *path, char sum[SHA256_HEX + 1])
{
	int fds[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		execlp("sha256sum", "sha256sum", "--", path, NULL);
		err(127, "sha256sum");
	}
	close(fds[1]);
	while (got < SHA256_HEX) {
		n = read(fds[0], sum + got, SHA256_HEX - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	sum[got] = '\0';
	/* Its file name need not be read, but it must get rid of it. */
	while (read(fds[0], &status, sizeof(status)) > 0)
		;
	close(fds[0]);
	if (waitpid(pid, &status, 0) != pid || status || got != SHA256_HEX)
		errx(1, "sha256sum %s failed", path);
}

static bool check_sums(const char *source, const char *const copies[2])
{
	char want[SHA256_HEX + 1], got[SHA256_HEX + 1];
	bool ok = true;

	empty_page_cache();
	printf("\nChecksums, read back from the disk (sha256sum)\n");
	sha256(source, want);
	printf("  original   %.32s...\n", want);
	for (int i = 0; i < 2; i++) {
		bool same;

		sha256(copies[i], got);
		same = !strcmp(want, got);
		printf("  %-10s %.32s...  %s\n", strrchr(copies[i], '.') + 1,
		       got, same ? "the same" : "DIFFERENT");
		ok &= same;
	}
	return ok;
}

/* Whether instructions are carried out one by one by a program. */
static bool is_emulated(void)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "QEMU TCG");
	if (f)
		fclose(f);
	return found;
}

static void row(const char *what, __u64 a, __u64 b)
{
	printf("  %-32s %16s %16s\n", what, grouped(a), grouped(b));
}

static void table(const struct cost *a, const struct cost *b, __u64 size)
{
	printf("\nWhat each way cost        (file: %s bytes; pieces of %lu MiB)\n",
	       grouped(size), PIECE >> 20);
	printf("  %-32s %16s %16s\n", "", a->name, b->name);
	row("bytes copied by the CPU [1]", a->copied, b->copied);
	row("system calls [2]", a->calls, b->calls);
	row("page faults [3]", a->faults, b->faults);
	row("CPU time, user + sys, ms [4]",
	    (a->user_us + a->sys_us + 500) / 1000,
	    (b->user_us + b->sys_us + 500) / 1000);
	row("elapsed, ms [4]", (a->wall_us + 500) / 1000,
	    (b->wall_us + 500) / 1000);
	row("pages left in the page cache [5]", a->cached, b->cached);
	puts("\n"
	     "  [1] Counted call by call, from what the call returned. read() and\n"
	     "      write() copy each byte once, between user memory and the page\n"
	     "      cache or the buffer: four times in all. With O_DIRECT the disk\n"
	     "      itself transfers to and from the pages of the buffer. What the\n"
	     "      disk transfers is not counted.\n"
	     "  [2] The program's own count of its calls, open() to close().\n"
	     "  [3] getrusage(): minor and major, those of O_DIRECT included.");
	puts(is_emulated() ?
	     "  [4] This processor is emulated by a program, which makes all slow, and\n"
	     "      not all alike: compare the ways, do not take it for a speed." :
	     "  [4] In a virtual machine.");
	puts("  [5] Of the two files, by mincore(): 0 shows that nothing went through\n"
	     "      the page cache.");
}

/* Frame number that the page table of this process holds; 0 if none. */
static __u64 frame_user(const void *addr)
{
	__u64 word = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &word, sizeof(word), (off_t)((uintptr_t)addr /
	    page_size * sizeof(word))) != sizeof(word))
		err(1, "/proc/self/pagemap");
	close(fd);
	return word >> PM_PRESENT_BIT ? word & PM_PFN : 0;
}

/* Frame number that the driver allocated for a page of the buffer. */
static __u64 frame_kernel(__u64 id, unsigned long page)
{
	char path[64], line[128];
	unsigned long index;
	__u64 pfn;
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "/%llu", id);
	f = fopen(path, "re");
	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lu 0x%llx", &index, &pfn) == 2 &&
		    index == page) {
			fclose(f);
			return pfn;
		}
	}
	errx(1, "%s has no page %lu", path, page);
}

/* A value from both sides; true if it is one. */
static bool both(const char *left, const char *a, const char *right,
		 const char *b)
{
	bool same = !strcmp(a, b);

	printf("  %-13s %-20s %-14s %-20s %s\n", left, a, right, b,
	       same ? "same" : "DIFFERENT");
	return same;
}

/* The point of it all. */
static bool show_goal(void)
{
	static const char by_user[] = "stored by user";
	static const char by_kernel[] = "stored by kernel";
	const unsigned long page = 5;
	struct kubuf_info info = { .size = sizeof(info) };
	struct cost unused = { 0 };
	char seen[32] = "", user[32], kernel[32];
	size_t at = page * page_size;
	bool ok = true;
	__u64 pfn;
	char *map;
	int fd;

	fd = buffer_create(&unused, KUBUF_BACKING_VMALLOC, 16 * page_size);
	if (ioctl(fd, KUBUF_INFO, &info))
		err(1, "KUBUF_INFO");
	map = mmap(NULL, 16 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap");

	printf("\nOne page, two address spaces (page %lu of buffer %llu, a `vmalloc` buffer)\n",
	       page, info.id);
	pfn = frame_user(map + at);
	printf("  after mmap(), before the first access: %s\n",
	       pfn ? "ALREADY MAPPED" : "no frame mapped");
	ok &= !pfn;

	/* The user stores; pread() makes the kernel load, at its own address. */
	for (size_t i = 0; i < sizeof(by_user); i++)
		__atomic_store_n(&map[at + i], by_user[i], __ATOMIC_RELAXED);
	if (pread(fd, seen, sizeof(by_user), (off_t)at) != sizeof(by_user))
		err(1, "pread");
	ok &= both("user stores", by_user, "kernel loads", seen);

	/* pwrite() makes the kernel store; the user loads. */
	if (pwrite(fd, by_kernel, sizeof(by_kernel), (off_t)at) !=
	    sizeof(by_kernel))
		err(1, "pwrite");
	for (size_t i = 0; i < sizeof(by_kernel); i++)
		seen[i] = __atomic_load_n(&map[at + i], __ATOMIC_RELAXED);
	ok &= both("kernel stores", by_kernel, "user loads", seen);

	snprintf(user, sizeof(user), "0x%llx", frame_user(map + at));
	snprintf(kernel, sizeof(kernel), "0x%llx",
		 frame_kernel(info.id, page));
	ok &= both("user's frame", user, "kernel's frame", kernel);
	printf("  (user's: /proc/self/pagemap; kernel's: %s/%llu)\n", DEBUGFS,
	       info.id);

	munmap(map, 16 * page_size);
	close(fd);
	return ok;
}

int main(int argc, char **argv)
{
	struct cost memcpy_way = { .name = "memcpy" };
	struct cost mmap_way = { .name = "mmap" };
	char *copies[2];
	struct stat st;
	bool ok;

	if (argc != 3)
		errx(2, "usage: kubuf-demo SOURCE DIRECTORY");
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	if (stat(argv[1], &st))
		err(1, "%s", argv[1]);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		errx(1, "%s: not a file with bytes in it", argv[1]);
	if (asprintf(&copies[0], "%s/copy.memcpy", argv[2]) < 0 ||
	    asprintf(&copies[1], "%s/copy.mmap", argv[2]) < 0)
		errx(1, "out of memory");

	printf("A file of %s MiB goes from the disk into a buffer of the kernel, and from\n"
	       "there to another file, in two ways:\n"
	       "  memcpy   read() the file, write() the buffer; read() the buffer,\n"
	       "           write() the file\n"
	       "  mmap     map the buffer; the disk reads into its pages and writes out\n"
	       "           of them (O_DIRECT)\n\n",
	       grouped(((__u64)st.st_size + (1 << 19)) >> 20));
	empty_page_cache();
	way_memcpy(&memcpy_way, argv[1], copies[0], (__u64)st.st_size);
	memcpy_way.cached = pages_cached(argv[1]) + pages_cached(copies[0]);
	empty_page_cache();
	way_mmap(&mmap_way, argv[1], copies[1], (__u64)st.st_size);
	mmap_way.cached = pages_cached(argv[1]) + pages_cached(copies[1]);

	ok = check_sums(argv[1], (const char *const *)copies);
	table(&memcpy_way, &mmap_way, (__u64)st.st_size);
	ok &= show_goal();

	printf("\nkubuf: the demo %s\n",
	       ok ? "passed: nothing differs" : "FAILED");
	free(copies[0]);
	free(copies[1]);
	return ok ? 0 : 1;
}
