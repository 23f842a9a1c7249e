// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf-capture: what a driver puts into a ring, to a file
 *
 * Usage: kubuf-capture [-m ring|direct|copy] [-s FILE] NODE FILE
 *	  kubuf-capture -v SIZE FILE
 *
 * Writes all that comes out of the ring NODE, as it is there, to FILE, until its
 * producer says that there will be no more:
 *
 *	ring	from the mapped ring to the disk (O_DIRECT): the processor copies
 *		no byte. The ring is mapped twice, so that no write is cut in two.
 *	direct	read() into memory of its own, and from there O_DIRECT
 *	copy	read() and write(), as of any file
 *
 * With -s it writes "1" to a file when it is ready: that sets off the producer.
 * Says what it did as one line of NAME=VALUE.
 *
 * The second form checks a file of records of kubuf_producer, of SIZE bytes each
 * besides number and time, and counts what is missing.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kubuf_producer.h>
#include <kubuf_ring.h>

/* What O_DIRECT wants of lengths and addresses; enough for any disk. */
#define BLOCK	((size_t)4096)
/* The most that one write takes, and the least, but for the last. */
#define MOST	((size_t)8 << 20)
#define LEAST	(64 * BLOCK)

enum mode { RING, DIRECT, COPY };

static const char * const modes[] = { "ring", "direct", "copy" };

struct capture {
	struct kubuf_ring ring;
	enum mode mode;
	const char *node;
	const char *file;
	int source;
	int target;
	char *memory;
	__u64 pos;		/* of the consumer, in the ring */
	__u64 bytes;		/* written to the file */
	__u64 copied;		/* by the processor */
	__u64 writes;
};

static __u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

/* How often the producer had to wake someone. */
static __u64 wakeups(int fd)
{
	struct kubuf_info info = { .size = sizeof(info) };

	if (ioctl(fd, KUBUF_INFO, &info))
		err(1, "KUBUF_INFO");
	return info.sequence;
}

static void start(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

/* The bytes of the ring from its consumer's position on, in memory of its own. */
static const void *read_ring(struct capture *c, size_t n)
{
	const __u64 size = c->ring.header->size;
	size_t done = 0;

	while (done < n) {
		__u64 pos = (c->pos + done) % size;
		size_t part = n - done;
		ssize_t got;

		if (part > size - pos)
			part = (size_t)(size - pos);
		got = pread(c->source, c->memory + done, part, (off_t)pos);
		if (got <= 0)
			err(1, "read %s", c->node);
		done += (size_t)got;
	}
	c->copied += n;
	return c->memory;
}

static void put(struct capture *c, const void *from, size_t n)
{
	ssize_t put = pwrite(c->target, from, n, (off_t)c->bytes);

	if (put < 0)
		err(1, "write %s", c->file);
	if ((size_t)put != n)
		errx(1, "%s: no room", c->file);
	if (c->mode == COPY)
		c->copied += n;
	c->bytes += n;
	c->writes++;
}

/* What is no whole block can only be the end, and goes by way of the cache. */
static void put_end(struct capture *c, const void *from, size_t n)
{
	if (c->mode != COPY && fcntl(c->target, F_SETFL, 0))
		err(1, "%s", c->file);
	put(c, from, n);
	if (c->mode != COPY)
		c->copied += n;
}

/* Whether there was something. */
static bool drain(struct capture *c)
{
	const void *from;
	size_t n;

	/* Not a block at a time: a write costs the same, however much it is of. */
	if (kubuf_ring_wait_bytes(&c->ring, LEAST, -1)) {
		if (errno == ENODATA)
			return false;
		err(1, "%s", c->node);
	}
	from = kubuf_ring_data(&c->ring, &n);
	if (n > MOST)
		n = MOST;
	if (n >= BLOCK)
		n -= n % BLOCK;
	if (c->mode != RING)
		from = read_ring(c, n);
	if (n % BLOCK)
		put_end(c, from, n);
	else
		put(c, from, n);
	kubuf_ring_consume(&c->ring, n);
	c->pos += n;
	return true;
}

/*
 * Fault all of the ring in, as it is after it has been gone round once: what is
 * counted is what goes on for ever.
 */
static void touch(struct capture *c)
{
	const size_t all = 2 * (size_t)c->ring.header->size;
	const char *from;
	size_t n;

	/* Nothing was consumed: the first byte of the ring. */
	from = kubuf_ring_data(&c->ring, &n);
	for (size_t i = 0; i < all; i += BLOCK)
		__atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void capture(struct capture *c, const char *starter)
{
	const struct kubuf_ring_header *header;
	__u64 ns, woken;

	c->source = open(c->node, O_RDWR | O_CLOEXEC);
	if (c->source < 0 || kubuf_ring_open(&c->ring, c->source))
		err(1, "%s", c->node);
	header = c->ring.header;
	c->pos = header->tail;
	/* What the disk is writing must not be overwritten meanwhile. */
	if (header->flags & KUBUF_RING_OVERWRITE)
		errx(1, "%s: may be overwritten", c->node);
	if (c->pos || header->size < 2 * MOST)
		errx(1, "%s: used before, or too small", c->node);
	c->target = open(c->file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC |
		     (c->mode == COPY ? 0 : O_DIRECT), 0644);
	if (c->target < 0)
		err(1, "%s", c->file);
	c->memory = aligned_alloc(BLOCK, MOST);
	if (!c->memory)
		err(1, "memory");
	memset(c->memory, 0, MOST);
	touch(c);

	woken = wakeups(c->source);
	if (starter)
		start(starter);
	ns = cpu_ns();
	while (drain(c))
		;
	ns = cpu_ns() - ns;
	woken = wakeups(c->source) - woken;
	printf("mode=%s bytes=%llu copied=%llu writes=%llu cpu_ns=%llu woken=%llu lost=%llu\n",
	       modes[c->mode], c->bytes, c->copied, c->writes, ns, woken,
	       header->lost);
	if (fsync(c->target) || close(c->target))
		err(1, "%s", c->file);
	free(c->memory);
	kubuf_ring_close(&c->ring);
	close(c->source);
}

/* The record in the file, or what is wrong with it. */
static const char *wrong(const struct kubuf_record *head,
			 const struct producer_record *record, size_t size)
{
	if (head->length != sizeof(*record) + size || head->__reserved)
		return "is no record";
	for (size_t i = 0; i < size / sizeof(record->words[0]); i++)
		if (record->words[i] != producer_word(record->sequence, i))
			return "has another word than was made";
	return NULL;
}

static void verify(const char *path, size_t size)
{
	const size_t all = sizeof(struct kubuf_record) +
			   sizeof(struct producer_record) + size;
	struct kubuf_record *head = malloc(all);
	struct producer_record *record = (struct producer_record *)(head + 1);
	__u64 records = 0, missing = 0, next = 0, time = 0;
	FILE *f = fopen(path, "re");
	const char *what;
	size_t n;

	if (!f || !head)
		err(1, "%s", path);
	while ((n = fread(head, 1, all, f)) == all) {
		what = wrong(head, record, size);
		if (!what && (record->sequence < next || record->time < time))
			what = "is older than the one before";
		if (what)
			errx(1, "%s: record %llu %s", path, records, what);
		missing += record->sequence - next;
		next = record->sequence + 1;
		time = record->time;
		records++;
	}
	if (n || ferror(f))
		errx(1, "%s: ends within a record", path);
	printf("records=%llu missing=%llu next=%llu\n", records, missing, next);
	fclose(f);
	free(head);
}

static void bad_usage(void)
{
	errx(2, "usage: kubuf-capture [-m ring|direct|copy] [-s FILE] NODE FILE | -v SIZE FILE");
}

static enum mode parse_mode(const char *name)
{
	for (enum mode m = RING; m <= COPY; m++)
		if (!strcmp(name, modes[m]))
			return m;
	bad_usage();
	return RING;
}

int main(int argc, char **argv)
{
	struct capture c = { .mode = RING };
	const char *starter = NULL, *size = NULL;
	int option;

	while ((option = getopt(argc, argv, "m:s:v:")) != -1) {
		if (option == 'm')
			c.mode = parse_mode(optarg);
		else if (option == 's')
			starter = optarg;
		else if (option == 'v')
			size = optarg;
		else
			bad_usage();
	}
	argv += optind;
	if (argc - optind != (size ? 1 : 2))
		bad_usage();
	if (size) {
		verify(argv[0], strtoul(size, NULL, 10));
		return 0;
	}
	c.node = argv[0];
	c.file = argv[1];
	capture(&c, starter);
	return 0;
}
