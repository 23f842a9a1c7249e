// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers of bytes as people write them: 4096, 0x1000, 64M, 2GiB, 1.5G.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kubuf.h"

static const char digits[] = "0123456789";
static const char units[] = "KMGTPE";

/* The most digits of a fraction: below 2^63 when doubled. */
#define FRACTION_DIGITS	18

/* The exponent of a unit, K, KB or KiB of whatever case; -1 if it is none. */
static int parse_unit(const char *text)
{
	const char *unit;

	if (!*text)
		return 0;
	unit = strchr(units, *text & ~0x20);
	if (!unit || !*unit)
		return -1;
	text++;
	if (*text && strcasecmp(text, "B") && strcasecmp(text, "iB"))
		return -1;
	return 10 * (int)(unit - units + 1);
}

static const char *parse_digits(const char *text, size_t n, int base,
				__u64 *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		int c = text[i] | 0x20;
		unsigned int digit = (unsigned int)(c >= 'a' ? c - 'a' + 10 :
							       c - '0');

		if (__builtin_mul_overflow(*value, (__u64)base, value) ||
		    __builtin_add_overflow(*value, (__u64)digit, value))
			return "more than 64 bits";
	}
	return NULL;
}

/*
 * Whole and fraction times two, as often as the unit says. What is left of the
 * fraction then is no whole byte.
 */
static const char *scale(__u64 whole, const char *fraction, size_t n,
			 int shift, __u64 *value)
{
	__u64 one = 1, part;

	while (n && fraction[n - 1] == '0')
		n--;
	if (n > FRACTION_DIGITS)
		return "too many digits behind the point";
	parse_digits(fraction, n, 10, &part);
	while (n--)
		one *= 10;
	for (; shift; shift--) {
		if (whole > UINT64_MAX / 2)
			return "more than 64 bits";
		whole *= 2;
		part *= 2;
		if (part >= one) {
			part -= one;
			whole++;
		}
	}
	if (part)
		return "not a whole number of bytes";
	*value = whole;
	return NULL;
}

/**
 * parse_size() - a number of bytes
 * @text: as somebody wrote it
 * @value: where to put it
 *
 * K, KB and KiB are all 1024, and so on up to E; a fraction must give whole
 * bytes; a hexadecimal number has no unit.
 *
 * Return: %NULL, or what is wrong.
 */
const char *parse_size(const char *text, __u64 *value)
{
	const char *fraction = "", *problem;
	size_t n, n_fraction = 0;
	__u64 whole;
	int shift;

	if (!*text)
		return "empty";
	if (*text == '-')
		return "negative";
	if (text[0] == '0' && (text[1] | 0x20) == 'x') {
		n = strspn(text + 2, "0123456789abcdefABCDEF");
		if (!n || text[2 + n])
			return "not a hexadecimal number";
		return parse_digits(text + 2, n, 16, value);
	}

	n = strspn(text, digits);
	if (!n)
		return "not a number";
	problem = parse_digits(text, n, 10, &whole);
	if (problem)
		return problem;
	text += n;
	if (*text == '.') {
		fraction = ++text;
		n_fraction = strspn(text, digits);
		if (!n_fraction)
			return "no digit behind the point";
		text += n_fraction;
	}
	shift = parse_unit(text);
	if (shift < 0)
		return "an unknown unit";
	return scale(whole, fraction, n_fraction, shift, value);
}

/**
 * size_arg() - a number of bytes on the command line
 * @what: its name there
 * @text: what was given
 *
 * Return: bytes. Ends the program if it is none.
 */
__u64 size_arg(const char *what, const char *text)
{
	const char *problem;
	__u64 value;

	problem = parse_size(text, &value);
	if (problem)
		die(EX_USAGE,
		    "%s %s: %s; right are 4096, 0x1000, 64M, 2GiB or 1.5G (K, KB and KiB are 1024)",
		    what, quoted(text), problem);
	return value;
}

/**
 * number_arg() - a whole number on the command line
 * @what: its name there
 * @text: what was given
 * @most: the largest that is right
 *
 * Return: the number. Ends the program if it is none.
 */
__u64 number_arg(const char *what, const char *text, __u64 most)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	const char *problem;
	__u64 value = 0;

	problem = parse_size(text, &value);
	if (!problem && !hex && text[strspn(text, digits)])
		problem = "not a whole number";
	if (!problem && value > most)
		problem = "too large";
	if (problem)
		die(EX_USAGE,
		    "%s %s: %s; right is a number from 0 to %llu, also as 0x1f",
		    what, quoted(text), problem, most);
	return value;
}

/**
 * format_size() - a number of bytes, to be read
 * @bytes: how many
 * @text: where to put it
 *
 * Return: @text: exact, with the largest unit that leaves no fraction.
 */
const char *format_size(__u64 bytes, char text[24])
{
	const char *unit = NULL;

	for (const char *u = units; *u && bytes && bytes % 1024 == 0; u++) {
		bytes /= 1024;
		unit = u;
	}
	snprintf(text, 24, "%llu%.*s", bytes, unit ? 1 : 0, unit ? unit : "");
	return text;
}
