// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the command speaks to the user, and how it ends.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kubuf.h"

/* "kubuf", or "kubuf create". */
const char *command_name = "kubuf";

/**
 * must_alloc() - end the program if there is no memory
 * @memory: what malloc() and the like returned
 *
 * Return: @memory.
 */
void *must_alloc(void *memory)
{
	if (!memory)
		die(EX_OSERR, "out of memory");
	return memory;
}

/**
 * quoted() - what somebody else wrote, to be shown
 * @text: anything
 *
 * A terminal must not take any of it for an order.
 *
 * Return: the text in quotes, with what can't be printed as in C. It is never
 * freed: it is for a message, after which the program mostly ends.
 */
const char *quoted(const char *text)
{
	char *out = must_alloc(malloc(4 * strlen(text) + 3));
	char *to = out;

	*to++ = '\'';
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c >= 0x7f)
			to += sprintf(to, "\\x%02x", c);
		else if (c == '\\' || c == '\'')
			to += sprintf(to, "\\%c", c);
		else
			*to++ = (char)c;
	}
	*to++ = '\'';
	*to = '\0';
	return out;
}

static void say(const char *format, va_list args)
{
	fprintf(stderr, "%s: ", command_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

/**
 * complain() - say what is wrong, and go on
 * @format: as of printf(), without a newline
 */
void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

/**
 * die() - say what is wrong, and end
 * @status: exit status
 * @format: as of printf(), without a newline
 */
void die(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(status);
}

/**
 * flush_stdout() - end the program if its output did not get out
 *
 * A full disk and a closed pipe show here at the latest.
 */
void flush_stdout(void)
{
	if (fflush(stdout) || ferror(stdout))
		die(EX_IOERR, "standard output: %s",
		    errno ? strerror(errno) : "not all of it was written");
}
