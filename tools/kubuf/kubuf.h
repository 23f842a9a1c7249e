/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the command share.
 */
#ifndef KUBUF_H
#define KUBUF_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include <linux/kubuf.h>

#define CONTROL		"/dev/kubuf/control"
#define DEBUGFS		"/sys/kernel/debug"

/* Exit status: verify found a difference, doctor found a problem. */
#define EX_FOUND	1

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __noreturn	__attribute((noreturn))
#define __printf(a, b)	__attribute((format(printf, a, b)))
#define fallthrough	__attribute((fallthrough))

/* What getopt_long() returns for options that have no letter. */
enum option_code {
	OPT_ALL = 0x100,
	OPT_BACKING,
	OPT_BYTE,
	OPT_HELP,
	OPT_INTERVAL,
	OPT_JSON,
	OPT_LENGTH,
	OPT_MODE,
	OPT_NODE,
	OPT_OFFSET,
	OPT_ONCE,
	OPT_PATTERN,
	OPT_RANDOM,
	OPT_RESERVED,
	OPT_ROOT,
	OPT_SIZE,
	OPT_VERBOSE,
};

/**
 * struct command - a subcommand
 * @name: its name
 * @run: does it, and returns the exit status
 * @summary: what it does, for the list of all
 * @help: what --help prints behind "usage: kubuf NAME"
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
	const char *help;
};

extern const struct command cmd_create, cmd_destroy, cmd_list, cmd_info;
extern const struct command cmd_load, cmd_dump, cmd_fill, cmd_verify;
extern const struct command cmd_watch, cmd_bench, cmd_doctor;

/* main.c */
int next_option(const struct command *command, int argc, char **argv,
		const struct option *options);
void want_args(int argc, int least, int most);

/* message.c */
extern const char *command_name;
const char *quoted(const char *text);
void complain(const char *format, ...) __printf(1, 2);
void die(int status, const char *format, ...) __printf(2, 3) __noreturn;
void *must_alloc(void *memory);
void flush_stdout(void);

/* size.c */
const char *parse_size(const char *text, __u64 *value);
__u64 size_arg(const char *what, const char *text);
__u64 number_arg(const char *what, const char *text, __u64 most);
const char *format_size(__u64 bytes, char text[24]);

/* device.c */
void check_name(const char *name);
const char *backing_name(__u32 backing);
__u32 backing_arg(const char *text);
__u64 backing_largest(__u32 backing);
int control_open(void);
struct kubuf_info *list_buffers(__u32 *count);
void find_buffer(const char *name, struct kubuf_info *info);
int buffer_open(const char *name, int flags, struct kubuf_info *info);
size_t page_size(void);
__u64 now_ns(void);

/**
 * struct range - a part of a buffer, as --offset and --length give it
 * @offset: first byte
 * @length: bytes
 * @has_length: there was a --length
 */
struct range {
	__u64 offset;
	__u64 length;
	bool has_length;
};

bool range_option(struct range *range, int option, const char *text);
void range_check(struct range *range, const char *name, __u64 size);

/* progress.c */
struct progress {
	bool on;
	const char *name;
	__u64 all;		/* bytes; 0: not known */
	__u64 begin;
	__u64 shown;
};

void progress_begin(struct progress *p, const char *name, __u64 all);
void progress(struct progress *p, __u64 done);
void progress_end(struct progress *p, __u64 done);

/* pages.c */
#define PAGE_MAPPED	1u
#define PAGE_PINNED	2u
#define PAGE_RESERVED	4u

/**
 * struct pages - what debugfs tells of the pages of a buffer
 * @mappings: of the buffer
 * @nr: pages
 * @frames: frame number of each
 * @states: PAGE_* of each
 * @maps: entries of page tables that map each, at most UCHAR_MAX
 */
struct pages {
	__u64 mappings;
	size_t nr;
	__u64 *frames;
	unsigned char *states;
	unsigned char *maps;
};

int pages_read(struct pages *pages, __u64 id);
void pages_free(struct pages *pages);

/* faults.c */
struct faults {
	int nr;
	int *fds;		/* an event for each processor */
};

bool faults_open(struct faults *faults, __u64 id);
__u64 faults_count(const struct faults *faults);
void faults_close(struct faults *faults);

/* map.c */
struct map_size {
	unsigned int columns;
	unsigned int rows;
	bool colour;
};

void map_print(FILE *out, const struct pages *pages,
	       const struct map_size *size);

#endif /* KUBUF_H */
