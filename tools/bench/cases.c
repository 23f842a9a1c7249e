// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's cases. Each runs once; bench.c repeats it and divides.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

/* What a program reads at a time. */
#define PIECE		(128 * KIB)
/* What goes between a disk and memory at a time. */
#define DISK_PIECE	(1 * MIB)
#define DISK_SIZE	(32 * MIB)

static char *scratch;	/* the program's own buffer, touched */
static int in_fd = -1, out_fd = -1, in_direct_fd = -1, out_direct_fd = -1;

/* Here the compiler has to have worked the value out. */
static void use(__u64 value)
{
	asm volatile("" : : "r" (value));
}

static char *get_scratch(void)
{
	const size_t size = 4 * MIB;

	if (!scratch) {
		/* Not aligned as buffers are: copying would find the worst case. */
		scratch = aligned_alloc(PMD, size + PMD);
		if (!scratch)
			err(1, "memory");
		scratch += 37 * PAGE;
		memset(scratch, 1, size);
		/* A fork would cost what was measured before it. */
		if (madvise(scratch, size, MADV_DONTFORK))
			err(1, "madvise");
	}
	return scratch;
}

static long nr_faults(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return self.ru_minflt + self.ru_majflt +
	       children.ru_minflt + children.ru_majflt;
}

static void store_each(char *p, size_t len, size_t step)
{
	for (char *q = p; q < p + len; q += step)
		touch(q);
}

static void load_each(const char *p, size_t len, size_t step)
{
	for (const char *q = p; q < p + len; q += step)
		use(__atomic_load_n(q, __ATOMIC_RELAXED));
}

static __u64 sum(const char *p, size_t len)
{
	const __u64 *end = (const __u64 *)(p + len);
	__u64 s = 0;

	for (const __u64 *q = (const __u64 *)p; q < end; q++)
		s += *q;
	return s;
}

/* Memory that comes with the mapping is cleared when it is touched. */
static void count_zeroed(const struct buffer *buf, size_t touched,
			 struct sample *s)
{
	if (buf->subject->anonymous)
		s->zeroed += touched;
}

static void map_touch_unmap(const struct buffer *buf, int prot, size_t size,
			    size_t step, struct sample *s)
{
	__u64 start = now();
	char *p = buffer_map(buf, prot);

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	if (prot & PROT_WRITE)
		store_each(p, size, step);
	else
		load_each(p, size, step);
	buffer_unmap(buf, p);
	s->cost = now() - start;
}

static void run_dense(const struct buffer *buf, size_t size, struct sample *s)
{
	map_touch_unmap(buf, PROT_READ | PROT_WRITE, size, PAGE, s);
	count_zeroed(buf, size, s);
}

static void run_dense_read(const struct buffer *buf, size_t size,
			   struct sample *s)
{
	map_touch_unmap(buf, PROT_READ, size, PAGE, s);
}

static void run_sparse(const struct buffer *buf, size_t size, struct sample *s)
{
	map_touch_unmap(buf, PROT_READ | PROT_WRITE, size, PMD, s);
	count_zeroed(buf, buf->subject->advice == MADV_HUGEPAGE ? size :
		     size / PMD * PAGE, s);
}

static void run_one_touch(const struct buffer *buf, size_t size,
			  struct sample *s)
{
	__u64 start = now();
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	store_each(p + size / 2, 1, 1);
	buffer_unmap(buf, p);
	s->cost = now() - start;
	count_zeroed(buf, buf->subject->advice == MADV_HUGEPAGE ? PMD : PAGE,
		     s);
}

/* The fault alone, without mmap() and munmap(). */
static void run_one_fault(const struct buffer *buf, size_t size,
			  struct sample *s)
{
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);
	__u64 start;

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	start = now();
	touch(p + size / 2);
	s->cost = now() - start;
	buffer_unmap(buf, p);
	count_zeroed(buf, buf->subject->advice == MADV_HUGEPAGE ? PMD : PAGE,
		     s);
}

/*
 * Let the kernel do what it has put off, such as to free what RCU kept of the
 * last process, which would fall into a run or not. Sleeping costs no time on a
 * clock that leaps.
 */
static void settle(void)
{
	const struct timespec ts = { .tv_nsec = 50000000 };

	if (count_instructions)
		nanosleep(&ts, NULL);
}

static void run_fork(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);
	__u64 start;
	pid_t pid;

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	store_each(p, size, PAGE);
	settle();
	s->faults = -nr_faults();
	start = now();
	pid = fork();
	if (!pid) {
		store_each(p, size, PAGE);
		_exit(0);
	}
	s->cost = pid > 0 && waitpid(pid, NULL, 0) == pid ?
		  (__s64)(now() - start) : -errno;
	s->faults += nr_faults();
	buffer_unmap(buf, p);
	if (buf->subject->anonymous)
		s->copied = size;
}

static void run_read(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = get_scratch();
	__u64 start = now();

	if (pread(buf->fd, p, size, 0) != (ssize_t)size) {
		s->cost = -(errno ?: EIO);
		return;
	}
	s->cost = now() - start;
	s->copied = size;
}

static void run_write(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = get_scratch();
	__u64 start = now();

	if (pwrite(buf->fd, p, size, 0) != (ssize_t)size) {
		s->cost = -(errno ?: EIO);
		return;
	}
	s->cost = now() - start;
	s->copied = size;
}

static void run_consume_read(const struct buffer *buf, size_t size,
			     struct sample *s)
{
	char *p = get_scratch();
	__u64 start = now();
	size_t off, n;
	__u64 total = 0;

	for (off = 0; off < size; off += n) {
		n = size - off < PIECE ? size - off : PIECE;
		if (pread(buf->fd, p, n, off) != (ssize_t)n) {
			s->cost = -(errno ?: EIO);
			return;
		}
		total += sum(p, n);
	}
	s->cost = now() - start;
	s->copied = size;
	use(total);
}

static void run_consume_map(const struct buffer *buf, size_t size,
			    struct sample *s)
{
	struct buffer part = *buf;
	__u64 start = now();
	char *p;

	/* As much of it as can be mapped by itself. */
	part.size = (size + buf->subject->min - 1) & ~(buf->subject->min - 1);
	p = buffer_map(&part, PROT_READ);
	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	use(sum(p, size));
	buffer_unmap(&part, p);
	s->cost = now() - start;
}

static void run_create(const struct buffer *buf, size_t size, struct sample *s)
{
	const struct subject *subject = buf->subject;
	struct buffer new;
	__u64 start = now();

	if (buffer_create(subject, size, &new)) {
		s->cost = -errno;
		return;
	}
	if (subject->anonymous) {
		char *p = buffer_map(&new, PROT_READ | PROT_WRITE);

		if (p == MAP_FAILED) {
			s->cost = -errno;
			return;
		}
		madvise(p, size, MADV_POPULATE_WRITE);
		buffer_unmap(&new, p);
	}
	buffer_destroy(&new);
	s->cost = now() - start;
	s->zeroed = size;
}

static void run_steady(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);
	__u64 start;

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	store_each(p, size, PAGE);
	s->faults = -nr_faults();
	start = now();
	use(sum(p, size));
	s->cost = now() - start;
	s->faults += nr_faults();
	buffer_unmap(buf, p);
}

/*
 * An interrupt can be in the way of any fault, but not each time of the same:
 * the least that each page took is kept from run to run.
 */
static void run_longest(const struct buffer *buf, size_t size, struct sample *s)
{
	static __u64 least[32 * MIB / PAGE];
	static const struct subject *whose;
	static size_t whose_size;
	size_t i, nr = size / PAGE;
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	if (whose != buf->subject || whose_size != size) {
		memset(least, 0xff, sizeof(least));
		whose = buf->subject;
		whose_size = size;
	}
	for (i = 0; i < nr; i++) {
		__u64 start = now();

		touch(p + i * PAGE);
		start = now() - start;
		if (start < least[i])
			least[i] = start;
	}
	buffer_unmap(buf, p);
	for (i = 0; i < nr; i++)
		if ((__s64)least[i] > s->cost)
			s->cost = least[i];
	count_zeroed(buf, buf->subject->advice == MADV_HUGEPAGE ? PMD : PAGE,
		     s);
}

/**
 * own_time() - the clock that stands still while the processor has nothing to do
 *
 * Return: instructions, or nanoseconds.
 */
__u64 own_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int open_file(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", disk, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/**
 * direct_prepare() - make the files
 *
 * Return: whether there is a place for them.
 */
bool direct_prepare(void)
{
	char *p = get_scratch();
	size_t off;

	if (!disk)
		return false;
	if (in_fd >= 0)
		return true;
	in_fd = open_file("in", O_RDWR | O_CREAT);
	out_fd = open_file("out", O_RDWR | O_CREAT);
	for (off = 0; off < DISK_SIZE; off += DISK_PIECE) {
		memset(p, 1 + off / DISK_PIECE, DISK_PIECE);
		if (pwrite(in_fd, p, DISK_PIECE, off) != DISK_PIECE ||
		    pwrite(out_fd, p, DISK_PIECE, off) != DISK_PIECE)
			err(1, "%s", disk);
	}
	if (fsync(in_fd) || fsync(out_fd))
		err(1, "%s", disk);
	in_direct_fd = open_file("in", O_RDONLY | O_DIRECT);
	out_direct_fd = open_file("out", O_WRONLY | O_DIRECT);
	return true;
}

static void drop_cache(void)
{
	fsync(out_fd);
	posix_fadvise(in_fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(out_fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* What was written must be what was read: for each buffer once. */
static void check_out(const struct buffer *buf, size_t size)
{
	static const struct subject *checked;
	static size_t checked_size;
	static char piece[DISK_PIECE];
	char *p = get_scratch();
	size_t off;

	if (buf->subject == checked && size == checked_size)
		return;
	checked = buf->subject;
	checked_size = size;
	drop_cache();
	for (off = 0; off < size; off += DISK_PIECE)
		if (pread(in_fd, p, DISK_PIECE, off) != DISK_PIECE ||
		    pread(out_fd, piece, DISK_PIECE, off) != DISK_PIECE ||
		    memcmp(p, piece, DISK_PIECE))
			errx(1, "a file changed on its way");
	memset(p, 0, DISK_PIECE);
	for (off = 0; off < size; off += DISK_PIECE)
		if (pwrite(out_fd, p, DISK_PIECE, off) != DISK_PIECE)
			err(1, "%s", disk);
	drop_cache();
}

typedef ssize_t (*mover)(int fd, void *p, size_t n, off_t off);

/* pread() or pwrite() all; returns 0 or a negative errno. */
static int move(mover mover, int fd, char *p, size_t size, size_t piece)
{
	size_t off;

	for (off = 0; off < size; off += piece) {
		errno = 0;
		if (mover(fd, p + off, piece, off) != (ssize_t)piece)
			return -(errno ?: EIO);
	}
	return 0;
}

#define write_all(...) move((mover)pwrite, __VA_ARGS__)
#define read_all(...) move(pread, __VA_ARGS__)

/**
 * direct_fd() - a file that goes by the processor's caches
 * @write: the one to write to, else the one to read from
 *
 * Return: its descriptor, after direct_prepare().
 */
int direct_fd(bool write)
{
	return write ? out_direct_fd : in_direct_fd;
}

static void run_direct(const struct buffer *buf, size_t size, struct sample *s)
{
	__u64 start = own_time();
	char *p = buffer_map(buf, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED) {
		s->cost = -errno;
		return;
	}
	s->cost = read_all(in_direct_fd, p, size, DISK_PIECE);
	if (!s->cost)
		s->cost = write_all(out_direct_fd, p, size, DISK_PIECE);
	buffer_unmap(buf, p);
	if (s->cost)
		return;
	s->cost = own_time() - start;
	count_zeroed(buf, size, s);
	check_out(buf, size);
}

/* The same by read() and write(); without a file, into memory of one's own. */
static void run_copy(const struct buffer *buf, size_t size, struct sample *s)
{
	char *p = get_scratch();
	size_t off;
	int ret = 0;
	__u64 start;

	drop_cache();
	start = own_time();
	for (off = 0; off < size && !ret; off += DISK_PIECE) {
		if (pread(in_fd, p, DISK_PIECE, off) != DISK_PIECE)
			ret = -(errno ?: EIO);
		else if (!buf->subject->anonymous &&
			 pwrite(buf->fd, p, DISK_PIECE, off) != DISK_PIECE)
			ret = -(errno ?: EIO);
	}
	for (off = 0; off < size && !ret; off += DISK_PIECE) {
		if (!buf->subject->anonymous &&
		    pread(buf->fd, p, DISK_PIECE, off) != DISK_PIECE)
			ret = -(errno ?: EIO);
		else if (pwrite(out_fd, p, DISK_PIECE, off) != DISK_PIECE)
			ret = -(errno ?: EIO);
	}
	if (!ret && fsync(out_fd))
		ret = -errno;
	if (ret) {
		s->cost = ret;
		return;
	}
	s->cost = own_time() - start;
	s->copied = (buf->subject->anonymous ? 2 : 4) * size;
}

#define SIZES(...) ((const size_t[]){ __VA_ARGS__, 0 })

#define BAR_SIZES SIZES(64 * KIB, 2 * MIB, 4 * MIB, 32 * MIB)
#define ALL_SIZES							\
	SIZES(4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1 * MIB, 2 * MIB,	\
	      4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB)
#define CREATE_SIZES							\
	SIZES(4 * KIB, 64 * KIB, 1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB,	\
	      256 * MIB)
#define CONSUME_SIZES							\
	SIZES(64, 256, 1 * KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB,	\
	      64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1 * MIB,	\
	      2 * MIB, 4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB)
#define LARGE_SIZES SIZES(4 * MIB, 32 * MIB)
#define PIECE_SIZES SIZES(64, 4 * KIB, 4 * MIB)

const struct bench_case cases[] = {
	{ .name = "dense", .run = run_dense, .repeat = 4,
	  .sizes = ALL_SIZES, .short_sizes = BAR_SIZES },
	{ .name = "dense-read", .run = run_dense_read, .repeat = 3,
	  .sizes = LARGE_SIZES },
	{ .name = "sparse", .run = run_sparse, .per = PER_TOUCH, .repeat = 6,
	  .sizes = LARGE_SIZES, .short_sizes = LARGE_SIZES },
	{ .name = "one-touch", .run = run_one_touch, .per = PER_RUN,
	  .repeat = 8,
	  .sizes = SIZES(4 * KIB, 64 * KIB, 2 * MIB, 4 * MIB, 32 * MIB),
	  .short_sizes = BAR_SIZES },
	{ .name = "one-fault", .run = run_one_fault, .per = PER_RUN,
	  .repeat = 8, .sizes = SIZES(4 * KIB, 64 * KIB, 4 * MIB, 32 * MIB),
	  .short_sizes = SIZES(64 * KIB, 4 * MIB) },
	{ .name = "longest-fault", .run = run_longest, .per = PER_RUN,
	  .repeat = 3, .sizes = LARGE_SIZES, .short_sizes = LARGE_SIZES },
	{ .name = "fork", .run = run_fork, .repeat = 3,
	  .sizes = LARGE_SIZES, .short_sizes = LARGE_SIZES },
	{ .name = "read", .run = run_read, .per = PER_RUN, .repeat = 8,
	  .sizes = PIECE_SIZES, .short_sizes = PIECE_SIZES,
	  .whole = 4 * MIB, .no_anonymous = true },
	{ .name = "write", .run = run_write, .per = PER_RUN, .repeat = 8,
	  .sizes = PIECE_SIZES, .short_sizes = PIECE_SIZES,
	  .whole = 4 * MIB, .no_anonymous = true },
	{ .name = "consume-read", .run = run_consume_read, .per = PER_RUN,
	  .repeat = 2, .sizes = CONSUME_SIZES, .whole = 32 * MIB,
	  .no_anonymous = true },
	{ .name = "consume-map", .run = run_consume_map, .per = PER_RUN,
	  .repeat = 2, .sizes = CONSUME_SIZES, .whole = 32 * MIB,
	  .no_anonymous = true },
	{ .name = "create", .run = run_create, .per = PER_RUN, .repeat = 1,
	  .sizes = CREATE_SIZES, .short_sizes = SIZES(4 * KIB, 4 * MIB),
	  .no_buffer = true },
	{ .name = "steady", .run = run_steady, .repeat = 3,
	  .sizes = LARGE_SIZES, .short_sizes = SIZES(4 * MIB) },
	{ .name = "register", .run = run_register, .per = PER_RUN,
	  .repeat = 3, .if_named = true,
	  .sizes = LARGE_SIZES, .short_sizes = LARGE_SIZES },
	{ .name = "vmsplice", .run = run_vmsplice, .per = PER_MIB, .repeat = 3,
	  .if_named = true,
	  .sizes = LARGE_SIZES, .short_sizes = LARGE_SIZES },
	{ .name = "direct", .run = run_direct, .repeat = 2, .disk = true,
	  .sizes = LARGE_SIZES },
	{ .name = "disk", .run = run_disk, .per = PER_MIB, .repeat = 6,
	  .disk = true, .sizes = LARGE_SIZES },
	{ .name = "disk-fixed", .run = run_disk_fixed, .per = PER_MIB,
	  .repeat = 6, .disk = true, .sizes = LARGE_SIZES },
	{ .name = "copy", .run = run_copy, .repeat = 2, .disk = true,
	  .sizes = LARGE_SIZES },
};

const size_t nr_cases = ARRAY_SIZE(cases);
