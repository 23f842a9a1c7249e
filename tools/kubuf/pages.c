// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of a buffer as the kernel has them, from debugfs.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "kubuf.h"

static void add_page(struct pages *pages, size_t *room, __u64 frame,
		     unsigned int maps, const char *state)
{
	size_t i = pages->nr++;

	if (i == *room) {
		*room = *room ? 2 * *room : 1024;
		pages->frames = must_alloc(realloc(pages->frames,
						   *room * sizeof(frame)));
		pages->states = must_alloc(realloc(pages->states, *room));
		pages->maps = must_alloc(realloc(pages->maps, *room));
	}
	pages->frames[i] = frame;
	pages->maps[i] = maps < UCHAR_MAX ? (unsigned char)maps : UCHAR_MAX;
	pages->states[i] = (strchr(state, 'm') ? PAGE_MAPPED : 0) |
			   (strchr(state, 'p') ? PAGE_PINNED : 0) |
			   (strchr(state, 'r') ? PAGE_RESERVED : 0);
}

/**
 * pages_read() - look at all pages of a buffer
 * @pages: where to put them; pages_free() takes that back
 * @id: of the buffer
 *
 * Return: 0, or an error: -ENOENT if there is no such buffer, or no
 * debugfs.
 */
int pages_read(struct pages *pages, __u64 id)
{
	char path[64], line[160], state[8];
	size_t room = 0;
	__u64 index, frame;
	unsigned int maps;
	FILE *f;

	memset(pages, 0, sizeof(*pages));
	snprintf(path, sizeof(path), DEBUGFS "/kubuf/%llu", id);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	/*
	 * # kubuf 7 frames huge 8388608 mappings 1
	 * # index pfn refs maps state
	 * 0 0x1a2e00 2 1 m
	 */
	while (fgets(line, sizeof(line), f)) {
		const char *mappings = strstr(line, " mappings ");

		if (*line == '#' && mappings && !pages->nr)
			pages->mappings = strtoull(mappings + 10, NULL, 10);
		else if (sscanf(line, "%llu 0x%llx %*s %u %7s", &index, &frame,
				&maps, state) == 4 && index == pages->nr)
			add_page(pages, &room, frame, maps, state);
	}
	fclose(f);
	if (pages->nr)
		return 0;
	/* The buffer went while it was read. */
	pages_free(pages);
	return -ENOENT;
}

/**
 * pages_free() - forget them
 * @pages: of pages_read()
 */
void pages_free(struct pages *pages)
{
	free(pages->frames);
	free(pages->states);
	free(pages->maps);
	memset(pages, 0, sizeof(*pages));
}
