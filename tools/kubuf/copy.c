// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf load, kubuf dump: a file into a buffer, and back.
 *
 * Where both sides can, whole blocks go between the disk and the pages of the
 * buffer themselves: by O_DIRECT, with the mapping of the buffer as the memory.
 * All else is read() and write().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kubuf.h"

/* What O_DIRECT wants addresses, lengths and offsets to be multiples of. */
#define BLOCK		((__u64)4096)
/* The most of one call. */
#define PIECE		((__u64)4 << 20)
#define BOUNCE		((__u64)1 << 20)

/**
 * struct copy - one transfer
 * @load: into the buffer; else out of it
 * @verbose: say how it was done
 * @name: of the buffer
 * @file_name: for messages
 * @range: the part of the buffer
 * @info: the buffer
 * @buffer: its file descriptor
 * @file: the other file
 * @map: the mapping of the buffer, as long as O_DIRECT is used; else %NULL
 * @bounce: memory for what is copied
 * @done: bytes
 * @direct: of them, without a copy
 * @why: why the others were not; %NULL if none were
 * @known: the length is that of a file, or was asked for
 */
struct copy {
	bool load;
	bool verbose;
	const char *name;
	const char *file_name;
	struct range range;
	struct kubuf_info info;
	int buffer;
	int file;
	char *map;
	char *bounce;
	__u64 done;
	__u64 direct;
	const char *why;
	bool known;
};

static bool is_standard(const char *path)
{
	return !strcmp(path, "-");
}

static void open_file(struct copy *c, const char *path)
{
	if (is_standard(path)) {
		c->file = c->load ? STDIN_FILENO : STDOUT_FILENO;
		c->file_name = c->load ? "standard input" : "standard output";
		return;
	}
	c->file_name = quoted(path);
	c->file = open(path, O_CLOEXEC | (c->load ? O_RDONLY :
		       O_WRONLY | O_CREAT | O_TRUNC), 0666);
	if (c->file >= 0)
		return;
	if (errno == EACCES || errno == EPERM)
		die(EX_NOPERM, "%s: %s", c->file_name, strerror(errno));
	die(c->load ? EX_NOINPUT : EX_CANTCREAT, "%s: %s", c->file_name,
	    strerror(errno));
}

/* What a file has is what is loaded, unless a part of it was asked for. */
static void measure_file(struct copy *c)
{
	struct range *range = &c->range;
	struct stat st;
	off_t at;
	__u64 size;

	if (fstat(c->file, &st))
		die(EX_OSERR, "%s: %s", c->file_name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		die(EX_NOINPUT, "%s: %s", c->file_name, strerror(EISDIR));
	c->known = range->has_length;
	at = lseek(c->file, 0, SEEK_CUR);
	if (!S_ISREG(st.st_mode) || at < 0)
		return;
	size = st.st_size > at ? (__u64)(st.st_size - at) : 0;
	/* Files in /proc and /sys do not tell. */
	if (!size)
		return;
	if (size > range->length && !range->has_length)
		die(EX_DATAERR,
		    "%s has %llu bytes, and %s room for %llu from offset %llu on; --length takes a part",
		    c->file_name, size, c->name, range->length, range->offset);
	if (size < range->length && range->has_length)
		die(EX_DATAERR, "%s has %llu bytes, fewer than --length %llu",
		    c->file_name, size, range->length);
	if (!range->has_length)
		range->length = size;
	c->known = true;
}

static void set_direct(struct copy *c, bool direct)
{
	int flags = fcntl(c->file, F_GETFL);

	flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
	if (flags < 0 || fcntl(c->file, F_SETFL, flags))
		c->why = "the file system has no O_DIRECT";
}

/* From here on by read() and write(). */
static void stop_direct(struct copy *c, const char *why)
{
	set_direct(c, false);
	munmap(c->map, c->info.length);
	c->map = NULL;
	c->why = why;
}

static void start_direct(struct copy *c)
{
	struct stat st;

	if (c->info.flags & KUBUF_INFO_PFN)
		c->why = "the buffer is mapped by frame number";
	else if (c->range.offset % BLOCK)
		c->why = "the offset is no multiple of 4096";
	/* The flag would stay with whoever has the file, too. */
	else if (c->file <= STDERR_FILENO || fstat(c->file, &st) ||
		 !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		c->why = "the other side is no file on a disk that we opened";
	else
		set_direct(c, true);
	if (c->why)
		return;
	c->map = mmap(NULL, c->info.length,
		      PROT_READ | (c->load ? PROT_WRITE : 0), MAP_SHARED,
		      c->buffer, 0);
	if (c->map == MAP_FAILED) {
		c->map = NULL;
		set_direct(c, false);
		c->why = "the buffer can't be mapped";
	}
}

/* Bytes moved; 0 if there is nothing to be had by O_DIRECT, now or any more. */
static size_t move_direct(struct copy *c)
{
	__u64 left = c->range.length - c->done;
	size_t want = (size_t)((left < PIECE ? left : PIECE) / BLOCK * BLOCK);
	char *at = c->map + c->range.offset + c->done;
	ssize_t n;

	if (!want) {
		stop_direct(c, "the last bytes are no whole block");
		return 0;
	}
	n = c->load ? read(c->file, at, want) : write(c->file, at, want);
	if (n < 0) {
		/* What both may give for want of O_DIRECT. */
		if (errno != EINVAL && errno != EFAULT && errno != EOPNOTSUPP)
			die(EX_IOERR, "%s: %s", c->file_name, strerror(errno));
		stop_direct(c, errno == EFAULT ?
			    "the memory can't be pinned" :
			    "the file system refuses O_DIRECT");
		return 0;
	}
	if (n % (ssize_t)BLOCK || !n)
		stop_direct(c, "the last bytes are no whole block");
	c->direct += (__u64)n;
	return (size_t)n;
}

/* Write all of it, to the position of the file, or to one in the buffer. */
static void put(struct copy *c, const char *from, size_t n)
{
	off_t at = (off_t)(c->range.offset + c->done);
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		got = c->load ? pwrite(c->buffer, from + done, n - done,
				       at + (off_t)done) :
				write(c->file, from + done, n - done);
		if (got < 0)
			die(EX_IOERR, "%s: %s", c->load ? c->name :
			    c->file_name, strerror(errno));
		done += (size_t)got;
	}
}

/* Bytes moved; 0 at the end of the file. */
static size_t move_copy(struct copy *c)
{
	__u64 left = c->range.length - c->done;
	size_t want = (size_t)(left < BOUNCE ? left : BOUNCE);
	ssize_t n;

	if (c->load)
		n = read(c->file, c->bounce, want);
	else
		n = pread(c->buffer, c->bounce, want,
			  (off_t)(c->range.offset + c->done));
	if (n < 0)
		die(EX_IOERR, "%s: %s", c->load ? c->file_name : c->name,
		    strerror(errno));
	put(c, c->bounce, (size_t)n);
	return (size_t)n;
}

static void move_all(struct copy *c)
{
	struct progress p;
	size_t n;

	c->bounce = must_alloc(malloc(BOUNCE));
	progress_begin(&p, c->name, c->known ? c->range.length : 0);
	while (c->done < c->range.length) {
		n = c->map ? move_direct(c) : 0;
		if (!n)
			n = move_copy(c);
		if (!n)
			break;
		c->done += n;
		progress(&p, c->done);
	}
	progress_end(&p, c->done);
	if (c->map)
		stop_direct(c, NULL);
	free(c->bounce);
}

/* Was it what was asked for, and all that there is? */
static void check_end(struct copy *c)
{
	char more;

	if (c->range.has_length && c->done < c->range.length)
		die(EX_DATAERR, "%s ends after %llu of %llu bytes",
		    c->file_name, c->done, c->range.length);
	if (c->load && !c->range.has_length && c->done == c->range.length &&
	    read(c->file, &more, 1) > 0)
		die(EX_DATAERR, "%s has more than the %llu bytes that were loaded",
		    c->file_name, c->done);
	if (!c->load && c->file > STDERR_FILENO && close(c->file))
		die(EX_IOERR, "%s: %s", c->file_name, strerror(errno));
}

static void say_how(const struct copy *c)
{
	if (c->direct)
		complain("%llu bytes without a copy (O_DIRECT and the mapping)",
			 c->direct);
	if (c->done > c->direct || !c->done)
		complain("%llu bytes by read() and write()%s%s",
			 c->done - c->direct, c->why ? ": " : "",
			 c->why ? c->why : "");
}

static int copy(struct copy *c, const struct command *command, int argc,
		char **argv)
{
	static const struct option options[] = {
		{ "offset", required_argument, NULL, OPT_OFFSET },
		{ "length", required_argument, NULL, OPT_LENGTH },
		{ "verbose", no_argument, NULL, OPT_VERBOSE },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	int option;

	while ((option = next_option(command, argc, argv, options)) >= 0)
		if (!range_option(&c->range, option, optarg))
			c->verbose = true;
	want_args(argc, 2, 2);
	c->name = argv[optind];
	c->buffer = buffer_open(c->name, c->load ? O_RDWR : O_RDONLY, &c->info);
	range_check(&c->range, c->name, c->info.length);
	if (c->load && c->info.seals & KUBUF_SEAL_WRITE)
		die(EX_NOPERM, "%s is sealed: nobody can write to it any more",
		    c->name);
	open_file(c, argv[optind + 1]);
	c->known = true;
	if (c->load)
		measure_file(c);
	start_direct(c);
	move_all(c);
	check_end(c);
	if (c->verbose)
		say_how(c);
	return 0;
}

#define COPY_OPTIONS							\
	"  --offset=BYTES   begin there in the buffer; else at its beginning\n"	\
	"  --length=BYTES   so many bytes\n"				\
	"  --verbose        say what went without a copy, and what not and why\n" \
	"\n"								\
	"Whole blocks go to and from the disk without a copy, where the file system\n" \
	"has O_DIRECT and the buffer is not mapped by frame number.\n"

static int load(int argc, char **argv)
{
	struct copy c = { .load = true };

	return copy(&c, &cmd_load, argc, argv);
}

const struct command cmd_load = {
	.name = "load",
	.run = load,
	.summary = "bring a file into a buffer",
	.help = "NAME FILE [OPTION...]      FILE - is standard input\n"
		"\n" COPY_OPTIONS
};

static int dump(int argc, char **argv)
{
	struct copy c = { .load = false };

	return copy(&c, &cmd_dump, argc, argv);
}

const struct command cmd_dump = {
	.name = "dump",
	.run = dump,
	.summary = "bring a buffer into a file",
	.help = "NAME FILE [OPTION...]      FILE - is standard output\n"
		"\n" COPY_OPTIONS
};
