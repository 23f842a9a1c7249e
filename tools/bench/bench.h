/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark: what is compared (subjects.c), what is measured (cases.c,
 * pins.c, threads.c, memory.c), and how it is repeated and told (bench.c).
 */
#ifndef _BENCH_H
#define _BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define KIB		1024UL
#define MIB		(1024 * KIB)
#define PAGE		4096UL
#define PMD		(2 * MIB)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct buffer;

/**
 * struct subject - a way to come by memory
 * @name: as in the results
 * @min: smallest size in bytes
 * @max: largest size in bytes
 * @create: get buf->size bytes, all there and zeroed; -1 and errno if not
 * @arg: for @create
 * @reserved: for @create
 * @map_flags: what mmap() is called with beside MAP_SHARED
 * @advice: for madvise() of each mapping, or 0
 * @anonymous: no file: memory comes with the mapping and goes with it
 * @fixed: to create it says nothing: it is there before, or as another
 * @extra: not in the short form
 */
struct subject {
	const char *name;
	size_t min;
	size_t max;
	int (*create)(struct buffer *buf);
	unsigned int arg;
	bool reserved;
	int map_flags;
	int advice;
	bool anonymous;
	bool fixed;
	bool extra;
};

/**
 * struct buffer - one of them
 * @subject: what it is
 * @size: bytes
 * @fd: what is mapped and read, or -1
 * @source: a second file that it is made of, or -1
 */
struct buffer {
	const struct subject *subject;
	size_t size;
	int fd;
	int source;
};

/* A store that the compiler leaves alone. */
static inline void touch(char *p)
{
	__atomic_store_n(p, 1, __ATOMIC_RELAXED);
}

extern const struct subject subjects[];
extern const size_t nr_subjects;

const struct subject *find_subject(const char *name);
int buffer_create(const struct subject *subject, size_t size,
		  struct buffer *buf);
void buffer_destroy(struct buffer *buf);
char *buffer_map(const struct buffer *buf, int prot);
void buffer_unmap(const struct buffer *buf, char *addr);

/**
 * struct sample - what one run of a case took
 * @cost: instructions or nanoseconds; negative is an errno
 * @faults: page faults
 * @copied: bytes that the processor copied
 * @zeroed: bytes that it cleared
 */
struct sample {
	__s64 cost;
	long faults;
	__u64 copied;
	__u64 zeroed;
};

enum per {
	PER_PAGE,
	PER_TOUCH,	/* one in each 2 MiB */
	PER_MIB,
	PER_RUN,
};

/**
 * struct bench_case - a thing to measure
 * @name: as in the results
 * @per: what the cost is divided by
 * @run: measure once, in a buffer that exists; for create, in one that does not
 * @sizes: of the buffer, or of the piece for @whole, ascending, ended by a 0
 * @short_sizes: those of the short form
 * @whole: the buffer is as large as can be, up to this
 * @no_buffer: @run makes its own
 * @no_anonymous: makes no sense without a file
 * @disk: needs one
 * @if_named: only if it is asked for
 * @repeat: how often, in the long form; the least is taken
 */
struct bench_case {
	const char *name;
	enum per per;
	void (*run)(const struct buffer *buf, size_t size, struct sample *s);
	const size_t *sizes;
	const size_t *short_sizes;
	size_t whole;
	bool no_buffer;
	bool no_anonymous;
	bool disk;
	bool if_named;
	unsigned int repeat;
};

extern const struct bench_case cases[];
extern const size_t nr_cases;

/* bench.c */
extern bool count_instructions;
extern bool short_form;
extern const char *disk;
__u64 now(void);
void report(const char *name, const struct subject *subject, size_t bytes,
	    double value, const char *unit, const struct sample *s);

/* cases.c */
__u64 own_time(void);
bool direct_prepare(void);
int direct_fd(bool write);

/* pins.c */
void run_register(const struct buffer *buf, size_t size, struct sample *s);
void run_vmsplice(const struct buffer *buf, size_t size, struct sample *s);
void run_disk(const struct buffer *buf, size_t size, struct sample *s);
void run_disk_fixed(const struct buffer *buf, size_t size, struct sample *s);

/* memory.c */
void measure_memory(void);

/* threads.c */
void measure_threads(void);

/* stream.c */
void measure_streams(void);

#endif /* _BENCH_H */
