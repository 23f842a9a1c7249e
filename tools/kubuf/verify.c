// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf verify: that the user's page and the kernel's are one.
 *
 * What the user stores in the mapping, pread() loads at the kernel's own address;
 * what pwrite() stores there, the user loads; and the frame numbers of both sides
 * are compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "kubuf.h"

/* A word of /proc/PID/pagemap. */
#define PM_PRESENT_BIT	63
#define PM_PFN		((1ULL << 55) - 1)

/**
 * struct verify - the buffer under test
 * @name: its name
 * @fd: its file
 * @map: its mapping
 * @pages: frame numbers of the kernel; none if they can't be seen
 * @pagemap: those of the user, or -1
 * @saved: what was in the page
 * @want: what was stored
 * @seen: what was loaded
 * @all: every page
 * @nr_checked: pages
 * @nr_frames: pages of which both frame numbers could be seen
 * @nr_different: pages
 */
struct verify {
	const char *name;
	int fd;
	char *map;
	struct pages pages;
	int pagemap;
	char *saved;
	char *want;
	char *seen;
	bool all;
	size_t nr_checked;
	size_t nr_frames;
	size_t nr_different;
};

/* Bytes that are the same in no two pages, and of the two sides neither. */
static void make(char *to, size_t index, char side)
{
	size_t n = page_size();

	for (size_t i = 0; i < n; i++)
		to[i] = (char)(i * 13 + index * 7 + (size_t)side);
	memcpy(to, &index, sizeof(index));
}

static void kernel_load(struct verify *v, char *to, size_t at)
{
	ssize_t n = pread(v->fd, to, page_size(), (off_t)at);

	if (n != (ssize_t)page_size())
		die(EX_IOERR, "%s: read at %zu: %s", v->name, at,
		    n < 0 ? strerror(errno) : "too few bytes");
}

static void kernel_store(struct verify *v, const char *from, size_t at)
{
	ssize_t n = pwrite(v->fd, from, page_size(), (off_t)at);

	if (n != (ssize_t)page_size())
		die(EX_IOERR, "%s: write at %zu: %s", v->name, at,
		    n < 0 ? strerror(errno) : "too few bytes");
}

static void user_store(struct verify *v, size_t at)
{
	for (size_t i = 0; i < page_size(); i++)
		__atomic_store_n(&v->map[at + i], v->want[i], __ATOMIC_RELAXED);
}

static void user_load(struct verify *v, size_t at)
{
	for (size_t i = 0; i < page_size(); i++)
		v->seen[i] = __atomic_load_n(&v->map[at + i], __ATOMIC_RELAXED);
}

/* What the page table of this process holds; 0 if that can't be seen. */
static __u64 user_frame(const struct verify *v, size_t at)
{
	__u64 word = 0;

	if (v->pagemap < 0 ||
	    pread(v->pagemap, &word, sizeof(word),
		  (off_t)((uintptr_t)(v->map + at) / page_size() *
			  sizeof(word))) != sizeof(word))
		return 0;
	return word >> PM_PRESENT_BIT ? word & PM_PFN : 0;
}

static const char *frame_text(__u64 frame, char text[24])
{
	if (frame)
		snprintf(text, 24, "%#llx", frame);
	else
		strcpy(text, "-");
	return text;
}

static const char *same(bool it_is)
{
	return it_is ? "same" : "DIFFERENT";
}

static void check_page(struct verify *v, size_t index)
{
	__u64 kernel = v->pages.nr ? v->pages.frames[index] : 0, user;
	size_t at = index * page_size();
	char user_text[24], kernel_text[24];
	bool to_kernel, to_user, frames, good;
	sigset_t all, before;

	/* Not to end with something else in the page than there was. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	kernel_load(v, v->saved, at);
	make(v->want, index, 'u');
	user_store(v, at);
	kernel_load(v, v->seen, at);
	to_kernel = !memcmp(v->want, v->seen, page_size());
	make(v->want, index, 'k');
	kernel_store(v, v->want, at);
	user_load(v, at);
	to_user = !memcmp(v->want, v->seen, page_size());
	user = user_frame(v, at);
	kernel_store(v, v->saved, at);
	sigprocmask(SIG_SETMASK, &before, NULL);

	frames = user && kernel;
	good = to_kernel && to_user && (!frames || user == kernel);
	v->nr_checked++;
	v->nr_frames += frames;
	v->nr_different += !good;
	if (v->all && good)
		return;
	printf("%8zu  %-12s %-12s %-12s %-12s %s\n", index, same(to_kernel),
	       same(to_user), frame_text(user, user_text),
	       frame_text(kernel, kernel_text),
	       frames ? same(user == kernel) : "-");
}

static void check_pages(struct verify *v, size_t nr)
{
	size_t some[] = { 0, nr / 2, nr - 1 };

	printf("%8s  %-12s %-12s %-12s %s\n%8s  %-12s %-12s %-12s %s\n",
	       "", "user stores,", "kernel", "user's", "kernel's",
	       "page", "kernel loads", "stores, user", "frame", "frame");
	if (v->all) {
		for (size_t i = 0; i < nr; i++)
			check_page(v, i);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		if (!i || some[i] != some[i - 1])
			check_page(v, some[i]);
}

static void print_sum(const struct verify *v, const struct kubuf_info *info)
{
	if (v->nr_different)
		printf("%s: %zu of %zu pages DIFFERENT\n", v->name,
		       v->nr_different, v->nr_checked);
	else
		printf("%s: %zu pages checked, nothing differs\n", v->name,
		       v->nr_checked);
	if (v->nr_frames)
		return;
	puts(info->flags & KUBUF_INFO_PFN ?
	     "Frame numbers are not compared: of a mapping by them /proc/self/pagemap\n"
	     "shows none." :
	     "Frame numbers are not compared: that takes root, and debugfs.");
}

static void verify_open(struct verify *v, struct kubuf_info *info)
{
	v->fd = buffer_open(v->name, O_RDWR, info);
	if (info->seals & KUBUF_SEAL_WRITE)
		die(EX_NOPERM, "%s is sealed: nobody can write to it any more",
		    v->name);
	v->map = mmap(NULL, info->length, PROT_READ | PROT_WRITE, MAP_SHARED,
		      v->fd, 0);
	if (v->map == MAP_FAILED)
		die(errno == EPERM ? EX_NOPERM : EX_OSERR, "%s: mmap: %s%s",
		    v->name, strerror(errno), errno == EPERM ?
		    ": a reserved buffer needs CAP_SYS_RAWIO" : "");
	v->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	/* Without it, or without the right to, there is nothing to compare. */
	pages_read(&v->pages, info->id);
	if (v->pages.nr != info->length / page_size())
		pages_free(&v->pages);
	v->saved = must_alloc(malloc(page_size()));
	v->want = must_alloc(malloc(page_size()));
	v->seen = must_alloc(malloc(page_size()));
}

static int verify(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, OPT_ALL },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	struct verify v = { 0 };
	struct kubuf_info info;

	while (next_option(&cmd_verify, argc, argv, options) >= 0)
		v.all = true;
	want_args(argc, 1, 1);
	v.name = argv[optind];
	verify_open(&v, &info);
	check_pages(&v, info.length / page_size());
	print_sum(&v, &info);
	pages_free(&v.pages);
	return v.nr_different ? EX_FOUND : 0;
}

const struct command cmd_verify = {
	.name = "verify",
	.run = verify,
	.summary = "show that the user's pages and the kernel's are the same",
	.help = "NAME [--all]\n"
		"\n"
		"  --all   every page, of which those that differ are shown; else the first,\n"
		"          the middle and the last one\n"
		"\n"
		"Puts back what was in the buffer. Who else writes to it meanwhile is in the\n"
		"way: what they write can be lost, or be found as a difference.\n"
};
