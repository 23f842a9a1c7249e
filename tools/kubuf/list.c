// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf list, kubuf info
 */
#include <stdlib.h>
#include <string.h>

#include "kubuf.h"

/* What there is to say besides, as "reserved,pfn"; "-" if there is nothing. */
static const char *flags_of(const struct kubuf_info *info, char text[64])
{
	snprintf(text, 64, "%s%s%s%s",
		 info->flags & KUBUF_INFO_RESERVED ? ",reserved" : "",
		 info->flags & KUBUF_INFO_PFN ? ",pfn" : "",
		 info->seals & KUBUF_SEAL_WRITE ? ",sealed" : "",
		 info->flags & KUBUF_INFO_DESTROYED ? ",destroyed" : "");
	return *text ? text + 1 : "-";
}

static const char *yes(bool it_is)
{
	return it_is ? "true" : "false";
}

/* A name has no character that JSON wants escaped: see check_name(). */
static void print_json(const struct kubuf_info *info)
{
	printf("{\"name\": \"%s\", \"id\": %llu, \"size\": %llu, ", info->name,
	       info->id, info->length);
	printf("\"backing\": \"%s\", \"mode\": \"%04o\", \"mappings\": %llu, ",
	       backing_name(info->backing), info->mode, info->mappings);
	printf("\"notifications\": %llu, \"reserved\": %s, \"pfn\": %s, \"sealed\": %s}",
	       info->sequence, yes(info->flags & KUBUF_INFO_RESERVED),
	       yes(info->flags & KUBUF_INFO_PFN),
	       yes(info->seals & KUBUF_SEAL_WRITE));
}

static void print_table(const struct kubuf_info *infos, __u32 count)
{
	char size[24], flags[64];
	int width = 4;

	for (__u32 i = 0; i < count; i++)
		if ((int)strlen(infos[i].name) > width)
			width = (int)strlen(infos[i].name);
	printf("%-*s %9s  %-7s  %-4s  %8s  %s\n", width, "NAME", "SIZE",
	       "BACKING", "MODE", "MAPPINGS", "FLAGS");
	for (__u32 i = 0; i < count; i++)
		printf("%-*s %9s  %-7s  %04o  %8llu  %s\n", width,
		       infos[i].name, format_size(infos[i].length, size),
		       backing_name(infos[i].backing), infos[i].mode,
		       infos[i].mappings, flags_of(&infos[i], flags));
}

static bool json_option(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	bool json = false;

	while (next_option(command, argc, argv, options) >= 0)
		json = true;
	return json;
}

static int list(int argc, char **argv)
{
	bool json = json_option(&cmd_list, argc, argv);
	struct kubuf_info *infos;
	__u32 count;

	want_args(argc, 0, 0);
	infos = list_buffers(&count);
	if (!json) {
		print_table(infos, count);
	} else {
		putchar('[');
		for (__u32 i = 0; i < count; i++) {
			printf(i ? ",\n " : "\n ");
			print_json(&infos[i]);
		}
		puts("\n]");
	}
	free(infos);
	return 0;
}

const struct command cmd_list = {
	.name = "list",
	.run = list,
	.summary = "show the buffers that have a node",
	.help = "[--json]\n"
		"\n"
		"FLAGS: reserved (PG_reserved while mapped), pfn (mapped by frame number: no\n"
		"O_DIRECT), sealed (no new way to write).\n"
};

static int info(int argc, char **argv)
{
	bool json = json_option(&cmd_info, argc, argv);
	char size[24], flags[64];
	struct kubuf_info info;

	want_args(argc, 1, 1);
	find_buffer(argv[optind], &info);
	if (json) {
		print_json(&info);
		putchar('\n');
		return 0;
	}
	printf("name           %s\n", info.name);
	printf("id             %llu\n", info.id);
	printf("size           %llu (%s)\n", info.length,
	       format_size(info.length, size));
	printf("backing        %s\n", backing_name(info.backing));
	printf("mode           %04o\n", info.mode);
	printf("mappings       %llu\n", info.mappings);
	printf("notifications  %llu\n", info.sequence);
	printf("flags          %s\n", flags_of(&info, flags));
	return 0;
}

const struct command cmd_info = {
	.name = "info",
	.run = info,
	.summary = "describe a buffer",
	.help = "NAME [--json]\n"
};
