// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf: make buffers of kernel memory, look at them, and bring data there
 *
 * Usage: kubuf SUBCOMMAND [OPTION...] [ARGUMENT...]
 *
 * See the manual page kubuf(1), Documentation/man/kubuf.1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kubuf.h"

#ifndef KUBUF_VERSION
#define KUBUF_VERSION "unknown"
#endif

static const struct command *const commands[] = {
	&cmd_create, &cmd_destroy, &cmd_list, &cmd_info, &cmd_load, &cmd_dump,
	&cmd_fill, &cmd_verify, &cmd_watch, &cmd_bench, &cmd_doctor,
};

static void print_help(void)
{
	puts("usage: kubuf SUBCOMMAND [OPTION...] [ARGUMENT...]\n"
	     "\n"
	     "Buffers of the kernel that programs map without a copy.\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "  kubuf SUBCOMMAND --help   its options\n"
	     "  kubuf --version\n"
	     "\n"
	     "Sizes are written as 4096, 0x1000, 64M, 2GiB or 1.5G; K, KB and KiB are\n"
	     "1024 bytes. A name that begins with a hyphen goes behind \"--\".");
}

/**
 * next_option() - the next option of a subcommand
 * @command: the subcommand
 * @argc: of its command line
 * @argv: of its command line
 * @options: those that it has besides --help
 *
 * Return: what getopt_long() returns. Ends the program at a wrong one, and at
 * --help.
 */
int next_option(const struct command *command, int argc, char **argv,
		const struct option *options)
{
	int option = getopt_long(argc, argv, "h", options, NULL);

	if (option == '?') {
		fprintf(stderr, "Try '%s --help'.\n", command_name);
		exit(EX_USAGE);
	}
	if (option == 'h' || option == OPT_HELP) {
		printf("usage: kubuf %s %s", command->name, command->help);
		flush_stdout();
		exit(0);
	}
	return option;
}

/**
 * want_args() - end the program at too few or too many arguments
 * @argc: of the subcommand's command line
 * @least: that many behind the options
 * @most: that many at most; -1 for any number
 */
void want_args(int argc, int least, int most)
{
	int n = argc - optind;

	if (n < least || (most >= 0 && n > most))
		die(EX_USAGE, "too %s arguments; try '%s --help'",
		    n < least ? "few" : "many", command_name);
}

/*
 * What is opened must not become a standard file that is closed: a message would
 * go to a buffer. Opened the wrong way round it fails as if it were closed.
 */
static void fill_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			exit(EX_OSERR);
	}
}

static int run(const struct command *command, int argc, char **argv)
{
	char *name;
	int status;

	if (asprintf(&name, "kubuf %s", command->name) < 0)
		die(EX_OSERR, "out of memory");
	/* getopt_long() begins its messages with the one, we with the other. */
	argv[0] = name;
	command_name = name;
	/* So that getopt_long() begins anew. */
	optind = 0;
	status = command->run(argc, argv);
	flush_stdout();
	return status;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : NULL;

	fill_standard_files();
	/* An error of write() is told; a signal would end without a word. */
	signal(SIGPIPE, SIG_IGN);
	if (!what)
		die(EX_USAGE, "no subcommand; try 'kubuf --help'");
	if (!strcmp(what, "--help") || !strcmp(what, "-h") ||
	    !strcmp(what, "help")) {
		print_help();
		flush_stdout();
		return 0;
	}
	if (!strcmp(what, "--version") || !strcmp(what, "-V")) {
		puts("kubuf " KUBUF_VERSION);
		flush_stdout();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(what, commands[i]->name))
			return run(commands[i], argc - 1, argv + 1);
	die(EX_USAGE, "%s %s; try 'kubuf --help'", *what == '-' ?
	    "unknown option" : "unknown subcommand", quoted(what));
}
