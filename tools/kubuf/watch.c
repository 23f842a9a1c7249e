// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf watch: the pages of a buffer, as they are mapped and let go.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "kubuf.h"

/* The lines around the map, and what is before its cells. */
#define LINES		6
#define LABEL		10
/* One frame, which is to fit an ordinary page. */
#define ONCE_COLUMNS	64
#define ONCE_ROWS	16

/* The other screen, no cursor, and no line that goes on in the next. */
#define ENTER		"\033[?1049h\033[?25l\033[?7l"
#define LEAVE		"\033[?7h\033[?25h\033[?1049l"

/**
 * struct watch - what is watched
 * @info: the buffer
 * @faults: what counts its faults
 * @counts: it does
 * @last: faults at the last frame
 * @last_ns: when that was
 * @size: of the map
 * @interval_ms: between two frames
 */
struct watch {
	struct kubuf_info info;
	struct faults faults;
	bool counts;
	__u64 last;
	__u64 last_ns;
	struct map_size size;
	int interval_ms;
};

static struct termios terminal;
static bool entered, has_terminal;

static void to_terminal(const char *text, size_t n)
{
	while (n) {
		ssize_t put = write(STDOUT_FILENO, text, n);

		if (put < 0 && errno != EINTR)
			_exit(EX_IOERR);
		if (put > 0) {
			text += put;
			n -= (size_t)put;
		}
	}
}

static void enter(void)
{
	struct termios quiet;

	has_terminal = !tcgetattr(STDIN_FILENO, &terminal);
	if (has_terminal) {
		quiet = terminal;
		quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
	}
	to_terminal(ENTER, strlen(ENTER));
	entered = true;
}

static void leave(void)
{
	if (!entered)
		return;
	entered = false;
	to_terminal(LEAVE, strlen(LEAVE));
	if (has_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

static void measure_terminal(struct watch *w)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_col || !ws.ws_row) {
		ws.ws_col = 80;
		ws.ws_row = 24;
	}
	w->size.columns = ws.ws_col > LABEL + 16 ?
			  (ws.ws_col - LABEL) / 16 * 16 : 8;
	w->size.rows = ws.ws_row > LINES ? ws.ws_row - LINES : 1;
}

static void print_counts(FILE *out, const struct pages *pages)
{
	size_t mapped = 0, pinned = 0, reserved = 0;

	for (size_t i = 0; i < pages->nr; i++) {
		mapped += !!(pages->states[i] & PAGE_MAPPED);
		pinned += !!(pages->states[i] & PAGE_PINNED);
		reserved += !!(pages->states[i] & PAGE_RESERVED);
	}
	fprintf(out, "mappings %llu  mapped %zu  pinned %zu  reserved %zu  ",
		pages->mappings, mapped, pinned, reserved);
}

static void print_faults(FILE *out, struct watch *w)
{
	__u64 now = now_ns(), count;

	if (!w->counts) {
		fputs("faults -\n", out);
		return;
	}
	count = faults_count(&w->faults);
	fprintf(out, "faults %llu (%.1f/s)\n", count,
		(double)(count - w->last) * 1e9 / (double)(now - w->last_ns));
	w->last = count;
	w->last_ns = now;
}

/* 0, or an error, as of pages_read(). */
static int print_frame(FILE *out, struct watch *w)
{
	struct pages pages;
	char size[24];
	int err = pages_read(&pages, w->info.id);

	if (err)
		return err;
	fprintf(out, "%s  %s %s  %zu pages\n", w->info.name,
		backing_name(w->info.backing),
		format_size(w->info.length, size), pages.nr);
	print_counts(out, &pages);
	print_faults(out, w);
	fputc('\n', out);
	map_print(out, &pages, &w->size);
	pages_free(&pages);
	return 0;
}

/* All at once, so that it does not flicker; each line clears what was there. */
static int draw(struct watch *w)
{
	char *frame = NULL, *text = NULL;
	size_t n = 0, n_text = 0;
	FILE *out = must_alloc(open_memstream(&frame, &n)), *to;
	int err = print_frame(out, w);

	if (fclose(out))
		die(EX_OSERR, "out of memory");
	to = must_alloc(open_memstream(&text, &n_text));
	fputs("\033[H", to);
	for (size_t i = 0; i < n; i++) {
		if (frame[i] == '\n')
			fputs("\033[K", to);
		fputc(frame[i], to);
	}
	fputs("\033[K\033[J", to);
	if (fclose(to))
		die(EX_OSERR, "out of memory");
	if (!err)
		to_terminal(text, n_text);
	free(frame);
	free(text);
	return err;
}

static void need_pages(int err)
{
	if (err == -EACCES || err == -EPERM)
		die(EX_NOPERM, "the states of pages are for root only: try sudo");
	if (access(DEBUGFS "/kubuf", F_OK))
		die(EX_UNAVAILABLE, "no %s/kubuf: mount -t debugfs none %s",
		    DEBUGFS, DEBUGFS);
	die(EX_NOINPUT, "the buffer is gone");
}

/* False: end. */
static bool take_signal(int signals)
{
	struct signalfd_siginfo si;

	if (read(signals, &si, sizeof(si)) != sizeof(si))
		return true;
	switch (si.ssi_signo) {
	case SIGWINCH:
		return true;
	case SIGTSTP:
		leave();
		raise(SIGSTOP);
		enter();
		return true;
	}
	leave();
	/* So that who started it sees what ended it. */
	signal((int)si.ssi_signo, SIG_DFL);
	raise((int)si.ssi_signo);
	return false;
}

static bool take_key(void)
{
	char key = 0;

	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q';
}

static int open_signals(sigset_t *set)
{
	static const int which[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP,
	};
	int fd;

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(which); i++)
		sigaddset(set, which[i]);
	fd = signalfd(-1, set, SFD_CLOEXEC);
	if (fd < 0 || sigprocmask(SIG_BLOCK, set, NULL))
		die(EX_OSERR, "signalfd(): %s", strerror(errno));
	return fd;
}

static int watch_live(struct watch *w)
{
	struct pollfd fds[2] = { { .events = POLLIN },
				 { .fd = STDIN_FILENO, .events = POLLIN } };
	sigset_t set;
	int err;

	fds[0].fd = open_signals(&set);
	atexit(leave);
	enter();
	for (;;) {
		measure_terminal(w);
		err = draw(w);
		if (err)
			break;
		/* Keys are for who has the terminal; who has none sends none. */
		poll(fds, has_terminal ? 2 : 1, w->interval_ms);
		if (fds[0].revents && !take_signal(fds[0].fd))
			sigprocmask(SIG_UNBLOCK, &set, NULL);
		if (has_terminal && fds[1].revents && !take_key())
			return 0;
	}
	leave();
	complain("%s: the buffer is gone", w->info.name);
	return 0;
}

static int watch_once(struct watch *w, bool wait)
{
	int err;

	w->size.columns = ONCE_COLUMNS;
	w->size.rows = ONCE_ROWS;
	if (wait)
		poll(NULL, 0, w->interval_ms);
	err = print_frame(stdout, w);
	if (err)
		need_pages(err);
	putchar('\n');
	return 0;
}

/* Seconds, in milliseconds. */
static int interval_arg(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (text[strspn(text, "0123456789.")] || *end ||
	    !(seconds >= 0.1 && seconds <= 3600))
		die(EX_USAGE, "--interval %s: right are seconds from 0.1 to 3600",
		    quoted(text));
	return (int)(seconds * 1000);
}

/* Faults are counted if there is a time to count them in. */
static void watch_open(struct watch *w, const char *name, bool count)
{
	struct pages pages;
	const char *no_colour = getenv("NO_COLOR");
	int err;

	find_buffer(name, &w->info);
	/* Before the screen is switched. */
	err = pages_read(&pages, w->info.id);
	if (err)
		need_pages(err);
	pages_free(&pages);
	w->size.colour = !no_colour || !*no_colour;
	w->last_ns = now_ns();
	w->counts = count && faults_open(&w->faults, w->info.id);
}

static int watch(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, OPT_INTERVAL },
		{ "once", no_argument, NULL, OPT_ONCE },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	struct watch w = { 0 };
	bool once = false;
	int option, status;

	while ((option = next_option(&cmd_watch, argc, argv, options)) >= 0) {
		if (option == OPT_ONCE)
			once = true;
		else
			w.interval_ms = interval_arg(optarg);
	}
	want_args(argc, 1, 1);
	if (!once && !isatty(STDOUT_FILENO))
		die(EX_USAGE, "standard output is no terminal: --once prints one frame");
	watch_open(&w, argv[optind], !once || w.interval_ms);
	if (once) {
		w.size.colour = false;
		status = watch_once(&w, w.interval_ms);
	} else {
		if (!w.interval_ms)
			w.interval_ms = 1000;
		status = watch_live(&w);
	}
	faults_close(&w.faults);
	return status;
}

const struct command cmd_watch = {
	.name = "watch",
	.run = watch,
	.summary = "show which pages of a buffer are mapped, pinned, reserved",
	.help = "NAME [--interval=SECONDS] [--once]\n"
		"\n"
		"  --interval=SECONDS  how often; else each second\n"
		"  --once              one frame, as plain text; with --interval, the faults of\n"
		"                      that time\n"
		"\n"
		"q or Ctrl-C ends it. A cell shows the strongest state of its pages. Needs root.\n"
};
