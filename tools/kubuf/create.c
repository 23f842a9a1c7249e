// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf create, kubuf destroy
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include "kubuf.h"

#define LIMIT	"/sys/module/kubuf/parameters/limit_mb"

/* Permission bits, in octal as of chmod. */
static __u32 mode_arg(const char *text)
{
	size_t n = strspn(text, "01234567");
	unsigned long mode = strtoul(text, NULL, 8);

	if (!n || n > 4 || text[n] || mode & ~0666UL || !mode)
		die(EX_USAGE, "--mode %s: right are octal digits out of 0666, as 0660",
		    quoted(text));
	return (__u32)mode;
}

/* A line of a file in /sys, or a question mark. */
static const char *line_of(const char *path, char line[64])
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(line, 64, f))
		strcpy(line, "?");
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void create_failed(const struct kubuf_create *args)
{
	char text[24], line[64];

	switch (errno) {
	case EPERM:
		die(EX_NOPERM, "a buffer with a name needs CAP_SYS_ADMIN%s: try sudo",
		    args->flags & KUBUF_CREATE_RESERVED ?
		    ", and --reserved CAP_SYS_RAWIO" : "");
	case ENOSPC:
		die(EX_CANTCREAT,
		    "all buffers together would pass limit_mb (%s MiB): destroy some, or raise it in %s",
		    line_of(LIMIT, line), LIMIT);
	case ENOMEM:
		die(EX_CANTCREAT,
		    "no memory: it is taken or, for a large block, in pieces (try --backing=vmalloc); or RLIMIT_MEMLOCK ('ulimit -l') or the memory cgroup does not allow more");
	case EFBIG:
		die(EX_CANTCREAT, "size %llu: the largest of backing %s is %s",
		    args->length, backing_name(args->backing),
		    format_size(backing_largest(args->backing), text));
	case EEXIST:
		die(EX_CANTCREAT,
		    "there is a buffer of that name: %s; 'kubuf destroy' takes it away",
		    args->name);
	case EBUSY:
		die(EX_CANTCREAT, "no minor number is left for a node: destroy other buffers");
	case EINVAL:
		if (args->flags & KUBUF_CREATE_NODE)
			die(EX_USAGE, "--node %u: no node with memory; those with are %s",
			    args->node,
			    line_of("/sys/devices/system/node/has_memory", line));
		fallthrough;
	default:
		die(EX_OSERR, "KUBUF_CREATE: %s", strerror(errno));
	}
}

static void create_option(struct kubuf_create *args, int option)
{
	switch (option) {
	case OPT_BACKING:
		args->backing = backing_arg(optarg);
		break;
	case OPT_NODE:
		args->node = (__u32)number_arg("--node", optarg, 0xffffffff);
		args->flags |= KUBUF_CREATE_NODE;
		break;
	case OPT_MODE:
		args->mode = mode_arg(optarg);
		break;
	case OPT_RESERVED:
		args->flags |= KUBUF_CREATE_RESERVED;
		break;
	}
}

static int create(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backing", required_argument, NULL, OPT_BACKING },
		{ "node", required_argument, NULL, OPT_NODE },
		{ "mode", required_argument, NULL, OPT_MODE },
		{ "reserved", no_argument, NULL, OPT_RESERVED },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	struct kubuf_create args = {
		.size = sizeof(args),
		.flags = KUBUF_CREATE_NAMED,
		.backing = KUBUF_BACKING_VMALLOC,
	};
	int option, control;

	while ((option = next_option(&cmd_create, argc, argv, options)) >= 0)
		create_option(&args, option);
	want_args(argc, 2, 2);
	check_name(argv[optind]);
	strcpy(args.name, argv[optind]);
	args.length = size_arg("size", argv[optind + 1]);
	if (!args.length)
		die(EX_USAGE, "size %s: a buffer has at least one byte",
		    quoted(argv[optind + 1]));
	if (args.flags & KUBUF_CREATE_RESERVED &&
	    args.backing != KUBUF_BACKING_VMALLOC &&
	    args.backing != KUBUF_BACKING_PAGES)
		die(EX_USAGE, "--reserved is for the backings vmalloc and pages, not for %s",
		    backing_name(args.backing));

	control = control_open();
	if (ioctl(control, KUBUF_CREATE, &args) < 0)
		create_failed(&args);
	return 0;
}

const struct command cmd_create = {
	.name = "create",
	.run = create,
	.summary = "make a buffer with a node, /dev/kubuf/NAME",
	.help = "NAME SIZE [OPTION...]\n"
		"\n"
		"  --backing=BACKING  where the memory is from: vmalloc (single pages, the\n"
		"                     default), pages or kmalloc (contiguous), huge (2 MiB each)\n"
		"  --node=N           prefer memory of this NUMA node\n"
		"  --mode=MODE        permission bits of the node, as 0660; else 0600\n"
		"  --reserved         set PG_reserved while it is mapped (vmalloc, pages)\n"
};

/* An exit status, and why. */
static int destroy_one(int control, const char *name)
{
	struct kubuf_destroy args = { .size = sizeof(args) };

	strcpy(args.name, name);
	if (!ioctl(control, KUBUF_DESTROY, &args))
		return 0;
	switch (errno) {
	case EPERM:
		complain("%s: to destroy a buffer needs CAP_SYS_ADMIN: try sudo",
			 name);
		return EX_NOPERM;
	case ENOENT:
		complain("no such buffer: %s; 'kubuf list' shows those that there are",
			 name);
		return EX_NOINPUT;
	case EBUSY:
		complain("%s: a driver made it, and takes it away itself: unload that module",
			 name);
		return EX_UNAVAILABLE;
	default:
		complain("%s: KUBUF_DESTROY: %s", name, strerror(errno));
		return EX_OSERR;
	}
}

static int destroy(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	int control, failed, status = 0;

	while (next_option(&cmd_destroy, argc, argv, options) >= 0)
		;
	want_args(argc, 1, -1);
	for (int i = optind; i < argc; i++)
		check_name(argv[i]);

	control = control_open();
	for (int i = optind; i < argc; i++) {
		failed = destroy_one(control, argv[i]);
		if (!status)
			status = failed;
	}
	return status;
}

const struct command cmd_destroy = {
	.name = "destroy",
	.run = destroy,
	.summary = "take the nodes of buffers away",
	.help = "NAME...\n"
		"\n"
		"Who has a buffer open or mapped keeps it. If one can't be destroyed, the\n"
		"others still are.\n"
};
