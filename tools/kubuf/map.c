// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of a buffer as a map: a cell a page, or a group of pages.
 */
#include "kubuf.h"

/* What a cell can show, the strongest first. */
static const struct {
	unsigned int state;
	char letter;
	const char *colour;
	const char *name;
} looks[] = {
	{ PAGE_PINNED, 'p', "\033[1;31m", "pinned" },
	{ PAGE_RESERVED, 'r', "\033[33m", "reserved" },
	{ PAGE_MAPPED, 'm', "\033[32m", "mapped (2-9, +: so often)" },
	{ 0, '.', "\033[2m", "neither" },
};

#define NO_COLOUR	"\033[0m"

/* As many pages a cell as it takes, a power of two. */
static size_t pages_in_cell(size_t nr, const struct map_size *size)
{
	size_t cells = (size_t)size->columns * size->rows, group = 1;

	while ((nr + group - 1) / group > cells)
		group *= 2;
	return group;
}

static size_t look_of(const struct pages *pages, size_t first, size_t group)
{
	unsigned int all = 0;
	size_t i;

	for (i = first; i < pages->nr && i < first + group; i++)
		all |= pages->states[i];
	for (i = 0; looks[i].state && !(all & looks[i].state); i++)
		;
	return i;
}

/* By how many entries of page tables a page of the group is mapped, at most. */
static unsigned int most_maps(const struct pages *pages, size_t first,
			      size_t group)
{
	unsigned int most = 0;

	for (size_t i = first; i < pages->nr && i < first + group; i++)
		if (pages->maps[i] > most)
			most = pages->maps[i];
	return most;
}

static void print_look(FILE *out, size_t look, char letter, bool colour)
{
	if (colour)
		fprintf(out, "%s%c" NO_COLOUR, looks[look].colour, letter);
	else
		fputc(letter, out);
}

static void print_cell(FILE *out, const struct pages *pages, size_t first,
		       size_t group, bool colour)
{
	size_t look = look_of(pages, first, group);
	char letter = looks[look].letter;

	if (looks[look].state == PAGE_MAPPED) {
		unsigned int maps = most_maps(pages, first, group);

		if (maps > 1)
			letter = maps > 9 ? '+' : (char)('0' + maps);
	}
	print_look(out, look, letter, colour);
}

/**
 * map_print() - print the map, and what it means
 * @out: where to
 * @pages: the pages
 * @size: room for the cells, and whether they may have colours
 */
void map_print(FILE *out, const struct pages *pages,
	       const struct map_size *size)
{
	size_t group = pages_in_cell(pages->nr, size), cell = 0;

	for (size_t i = 0; i < pages->nr; i += group, cell++) {
		if (cell % size->columns == 0)
			fprintf(out, "%s%8zu  ", cell ? "\n" : "", i);
		print_cell(out, pages, i, group, size->colour);
	}
	fputs("\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		print_look(out, i, looks[i].letter, size->colour);
		fprintf(out, " %s  ", looks[i].name);
	}
	fprintf(out, " a cell: %zu page%s", group, group > 1 ? "s" : "");
}
