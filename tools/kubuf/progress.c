// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far a transfer is, on standard error, if that is a terminal.
 */
#include <unistd.h>
#include <sys/ioctl.h>

#include "kubuf.h"

#define BAR		24
#define EVERY_NS	100000000
/* What is behind the name. */
#define REST		(BAR + 44)

static unsigned int terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) || !ws.ws_col)
		return 80;
	return ws.ws_col;
}

/* Bytes as "12.3M". */
static void print_bytes(double bytes)
{
	static const char units[] = " KMGTPE";
	const char *unit = units;

	for (; bytes >= 1024 && unit[1]; unit++)
		bytes /= 1024;
	fprintf(stderr, *unit == ' ' ? "%6.0f%c" : "%6.1f%c", bytes, *unit);
}

static void print_left(double seconds)
{
	unsigned long s = (unsigned long)(seconds + 0.5);

	if (seconds > 359999)
		fputs("  --:--:-- left", stderr);
	else
		fprintf(stderr, "  %02lu:%02lu:%02lu left", s / 3600,
			s / 60 % 60, s % 60);
}

static void show(struct progress *p, __u64 done, __u64 now)
{
	double seconds = (double)(now - p->begin) / 1e9;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	unsigned int marks;

	fputc('\r', stderr);
	if (terminal_width() >= REST + KUBUF_NAME_SIZE)
		fprintf(stderr, "%s ", p->name);
	if (p->all) {
		marks = (unsigned int)((double)done / (double)p->all * BAR);
		fputc('[', stderr);
		for (unsigned int i = 0; i < BAR; i++)
			fputc(i < marks ? '#' : ' ', stderr);
		fprintf(stderr, "] %3.0f%%",
			(double)done / (double)p->all * 100);
	}
	print_bytes((double)done);
	print_bytes(rate);
	fputs("/s", stderr);
	if (p->all && rate > 0)
		print_left((double)(p->all - done) / rate);
	fflush(stderr);
	p->shown = now;
}

/**
 * progress_begin() - a transfer begins
 * @p: of which nothing need be set
 * @name: of what is transferred
 * @all: bytes; 0 if that is not known
 */
void progress_begin(struct progress *p, const char *name, __u64 all)
{
	p->on = isatty(STDERR_FILENO);
	p->name = name;
	p->all = all;
	p->begin = now_ns();
	p->shown = 0;
}

/**
 * progress() - show how far it is, but not each time
 * @p: the transfer
 * @done: bytes
 */
void progress(struct progress *p, __u64 done)
{
	__u64 now;

	if (!p->on)
		return;
	now = now_ns();
	if (now - p->shown >= EVERY_NS)
		show(p, done, now);
}

/**
 * progress_end() - show what it came to
 * @p: the transfer
 * @done: bytes
 */
void progress_end(struct progress *p, __u64 done)
{
	if (!p->on)
		return;
	show(p, done, now_ns());
	fputc('\n', stderr);
}
