// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf fill
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/random.h>

#include "kubuf.h"

#define PIECE	((size_t)1 << 20)

/**
 * struct filler - what is filled in
 * @pattern: repeated from the beginning on; %NULL for random bytes
 * @length: of the pattern
 * @state: of the random generator
 * @tell: nobody gave a seed
 */
struct filler {
	const char *pattern;
	size_t length;
	__u64 state;
	bool tell;
};

/* splitmix64: what a seed gives is the same everywhere. */
static __u64 next_random(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* The bytes of the part from @at on, which is a multiple of 8. */
static void make(struct filler *f, char *to, size_t n, __u64 at)
{
	__u64 word = 0;

	for (size_t i = 0; i < n; i++) {
		if (f->pattern) {
			to[i] = f->pattern[(at + i) % f->length];
			continue;
		}
		/* The lowest byte first, whatever the machine does. */
		if (i % 8 == 0)
			word = next_random(&f->state);
		to[i] = (char)(word >> (i % 8 * 8));
	}
}

static void fill_range(int fd, const char *name, const struct range *range,
		       struct filler *f)
{
	char *memory = must_alloc(malloc(PIECE));
	__u64 done = 0;
	ssize_t put;
	size_t n;

	while (done < range->length) {
		n = range->length - done < PIECE ?
			(size_t)(range->length - done) : PIECE;
		make(f, memory, n, done);
		for (size_t i = 0; i < n; i += (size_t)put) {
			put = pwrite(fd, memory + i, n - i,
				     (off_t)(range->offset + done + i));
			if (put < 0)
				die(errno == EPERM ? EX_NOPERM : EX_IOERR,
				    "%s: %s%s", name, strerror(errno),
				    errno == EPERM ? ": it is sealed" : "");
		}
		done += n;
	}
	free(memory);
}

static void fill_option(struct filler *f, int option)
{
	static char byte;

	switch (option) {
	case OPT_BYTE:
		byte = (char)number_arg("--byte", optarg, 255);
		f->pattern = &byte;
		f->length = 1;
		break;
	case OPT_PATTERN:
		f->pattern = optarg;
		f->length = strlen(optarg);
		if (!f->length)
			die(EX_USAGE, "--pattern '': it has to have a character");
		break;
	case OPT_RANDOM:
		if (optarg)
			f->state = number_arg("--random", optarg, ~0ULL);
		else if (getrandom(&f->state, sizeof(f->state), 0) < 0)
			die(EX_OSERR, "getrandom(): %s", strerror(errno));
		f->tell = !optarg;
		f->pattern = NULL;
		break;
	}
}

static int fill(int argc, char **argv)
{
	static const struct option options[] = {
		{ "byte", required_argument, NULL, OPT_BYTE },
		{ "pattern", required_argument, NULL, OPT_PATTERN },
		{ "random", optional_argument, NULL, OPT_RANDOM },
		{ "offset", required_argument, NULL, OPT_OFFSET },
		{ "length", required_argument, NULL, OPT_LENGTH },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	struct filler f = { .pattern = "", .length = 1 };
	struct range range = { 0 };
	struct kubuf_info info;
	int option, fd, n = 0;

	while ((option = next_option(&cmd_fill, argc, argv, options)) >= 0) {
		if (range_option(&range, option, optarg))
			continue;
		if (n++)
			die(EX_USAGE, "only one of --byte, --pattern and --random");
		fill_option(&f, option);
	}
	want_args(argc, 1, 1);
	fd = buffer_open(argv[optind], O_WRONLY, &info);
	range_check(&range, argv[optind], info.length);
	if (f.tell)
		printf("seed %#llx\n", f.state);
	fill_range(fd, argv[optind], &range, &f);
	return 0;
}

const struct command cmd_fill = {
	.name = "fill",
	.run = fill,
	.summary = "fill a buffer with a byte, a text or random bytes",
	.help = "NAME [--byte=N | --pattern=TEXT | --random[=SEED]] [OPTION...]\n"
		"\n"
		"  --byte=N         that byte, as 0xff or 255; else 0\n"
		"  --pattern=TEXT   that text, over and over\n"
		"  --random[=SEED]  random bytes, the same for the same seed; without one it\n"
		"                   prints the seed that it took\n"
		"  --offset=BYTES   begin there in the buffer; else at its beginning\n"
		"  --length=BYTES   so many bytes; else up to the end\n"
};
