// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * ring: take records out of a ring that a driver has put into a kubuf buffer
 *
 *	cc -I driver/include/uapi -I tools/include -o ring tools/examples/ring.c
 *	./ring /dev/kubuf/NAME [COUNT]
 *
 * Prints each record, as hexadecimal digits, until there are COUNT of them or
 * there will be no more, and then how many there were. All that has to be known
 * of rings is in kubuf_ring.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kubuf_ring.h>

/* So far. */
static unsigned long long records, bytes;

static unsigned long long parse(const char *text)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		errx(2, "no number of records: %s", text);
	return n;
}

static void take(const unsigned char *payload, __u32 length)
{
	for (__u32 i = 0; i < length; i++)
		printf("%02x", payload[i]);
	putchar('\n');
	if (fflush(stdout))
		err(1, "standard output");
	records++;
	bytes += length;
}

/* All that is there, but no more than so many. */
static void take_all(struct kubuf_ring *ring, unsigned char *copy,
		     unsigned long long count)
{
	const void *payload;
	__u32 length;

	while (records < count) {
		payload = kubuf_ring_next(ring, &length);
		if (!payload)
			return;
		/* Where the producer overwrites, it may do so just now. */
		memcpy(copy, payload, length);
		if (kubuf_ring_release(ring))
			take(copy, length);
	}
}

int main(int argc, char **argv)
{
	unsigned long long count = ~0ULL;
	struct kubuf_ring ring;
	unsigned char *copy;
	int fd;

	if (argc != 2 && argc != 3)
		errx(2, "usage: ring /dev/kubuf/NAME [COUNT]");
	if (argc == 3)
		count = parse(argv[2]);
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "open %s", argv[1]);
	if (kubuf_ring_open(&ring, fd))
		err(1, "kubuf_ring_open %s", argv[1]);
	if (ring.header->flags & KUBUF_RING_BYTES)
		errx(1, "%s has bytes, not records", argv[1]);
	copy = malloc(kubuf_ring_size(&ring));
	if (!copy)
		err(1, "malloc");

	while (records < count && !kubuf_ring_wait_data(&ring, -1))
		take_all(&ring, copy, count);
	/* ENODATA: there is none any more, and there will be none. */
	if (records < count && errno != ENODATA)
		err(1, "kubuf_ring_wait_data");
	fprintf(stderr, "%llu records, %llu bytes, %llu lost\n", records, bytes,
		ring.header->lost);

	free(copy);
	kubuf_ring_close(&ring);
	close(fd);
	return 0;
}
