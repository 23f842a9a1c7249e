// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf doctor: what about this machine would keep buffers from working.
 *
 * Everything is read from files, so that a directory that looks like a machine
 * can be given instead: see in_root().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/openat2.h>

#include "kubuf.h"

#define CAP_IPC_LOCK	14
#define PARAMETERS	"/sys/module/kubuf/parameters/"
/* A variable of the firmware: four bytes of attributes are before its value. */
#define SECURE_BOOT	\
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/**
 * struct doctor - what is known so far
 * @root: the directory that is taken for /
 * @release: of the kernel
 * @problems: how many there are
 * @loaded: the module is
 * @loadable: the module would be found
 */
struct doctor {
	int root;
	char release[128];
	int problems;
	bool loaded;
	bool loadable;
};

enum verdict { OK, NOTE, PROBLEM };

static void say(struct doctor *d, enum verdict how, const char *what,
		const char *format, ...) __printf(4, 5);

/* What is behind a newline is what to do. */
static void say(struct doctor *d, enum verdict how, const char *what,
		const char *format, ...)
{
	static const char * const verdicts[] = { "ok", "note", "problem" };
	char text[1024], *line, *rest = text;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line = strsep(&rest, "\n");
	printf("%-8s %-14s %s\n", verdicts[how], what, line);
	while ((line = strsep(&rest, "\n")))
		printf("%-8s %-14s   %s\n", "", "", line);
	d->problems += how == PROBLEM;
}

/* A path is looked up below the root, whatever links there are on the way. */
static int in_root(const struct doctor *d, const char *path, __u64 flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT,
	};

	return (int)syscall(SYS_openat2, d->root, path, &how, sizeof(how));
}

static bool is_there(const struct doctor *d, const char *path)
{
	int fd = in_root(d, path, O_PATH);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* The beginning of a file, as text; bytes, or -1. */
static ssize_t read_file(const struct doctor *d, const char *path, char *text,
			 size_t size)
{
	int fd = in_root(d, path, O_RDONLY | O_NONBLOCK);
	ssize_t n;

	*text = '\0';
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -1;
	text[n] = '\0';
	return n;
}

/* Its first line. */
static bool read_line(const struct doctor *d, const char *path, char *line,
		      size_t size)
{
	if (read_file(d, path, line, size) < 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	/* It is shown: nothing that a terminal would take for an order. */
	for (char *c = line; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	return true;
}

/* Whether a line of a file has a text in it. */
static bool file_has(const struct doctor *d, const char *path,
		     const char *text)
{
	int fd = in_root(d, path, O_RDONLY | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (f && !found && getline(&line, &room, f) > 0)
		found = strstr(line, text);
	free(line);
	if (f)
		fclose(f);
	return found;
}

static void check_kernel(struct doctor *d)
{
	unsigned int major = 0, minor = 0;

	if (!read_line(d, "/proc/sys/kernel/osrelease", d->release,
		       sizeof(d->release)) ||
	    sscanf(d->release, "%u.%u", &major, &minor) != 2 ||
	    strchr(d->release, '/')) {
		say(d, PROBLEM, "kernel", "its release is unknown\nmount -t proc none /proc");
		*d->release = '\0';
	} else if (major < 6 || (major == 6 && !minor)) {
		say(d, PROBLEM, "kernel", "%s is too old\nboot 6.1 or a newer one",
		    d->release);
	} else {
		say(d, OK, "kernel", "%s", d->release);
	}
}

static void check_module(struct doctor *d)
{
	char path[256];

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", d->release);
	d->loaded = is_there(d, "/sys/module/kubuf");
	d->loadable = file_has(d, path, "/kubuf.ko");
	if (d->loaded)
		say(d, OK, "module", "loaded");
	else if (d->loadable)
		say(d, PROBLEM, "module", "installed, but not loaded\nsudo modprobe kubuf");
	else
		say(d, PROBLEM, "module",
		    "not loaded, and not in %s\nbuild it by 'make', then 'sudo insmod build/%s/kubuf.ko'; if it is installed, 'sudo depmod'",
		    path, d->release);
}

static void check_headers(struct doctor *d)
{
	char path[256];

	snprintf(path, sizeof(path), "/lib/modules/%s/build/Makefile", d->release);
	if (is_there(d, path))
		say(d, OK, "headers", "there, to build the module");
	else
		say(d, d->loaded || d->loadable ? NOTE : PROBLEM, "headers",
		    "none, so that the module can't be built here\nsudo apt install linux-headers-%s",
		    d->release);
}

/* Who is loaded needs no signature any more. */
static void check_signatures(struct doctor *d)
{
	enum verdict bad = d->loaded ? NOTE : PROBLEM;
	char line[128] = "", variable[16];
	bool secure;

	secure = read_file(d, SECURE_BOOT, variable, sizeof(variable)) >= 5 &&
		 variable[4] == 1;
	if (secure)
		say(d, NOTE, "secure boot",
		    "on: kernels refuse modules without a signature then\nsign it by a key that 'mokutil --import' has enrolled");
	else
		say(d, OK, "secure boot", "off");

	if (read_line(d, "/sys/module/module/parameters/sig_enforce", line,
		      sizeof(line)) && *line == 'Y')
		say(d, bad, "signatures",
		    "modules must have one (sig_enforce)\nsign it by a key that the kernel knows, or boot without module.sig_enforce=1");
	else
		say(d, OK, "signatures", "modules need none");

	if (read_line(d, "/sys/kernel/security/lockdown", line, sizeof(line)) &&
	    !strstr(line, "[none]"))
		say(d, bad, "lockdown",
		    "%s: modules must be signed\nsign it, or switch secure boot off in the firmware",
		    line);
	else
		say(d, OK, "lockdown", "off");
}

static void check_control(struct doctor *d)
{
	int fd = in_root(d, CONTROL, O_PATH);
	struct stat st;

	if (fd < 0) {
		if (d->loaded)
			say(d, PROBLEM, "control",
			    "no %s though the module is loaded\nmount -t devtmpfs none /dev, or give the container that device",
			    CONTROL);
		else
			say(d, NOTE, "control", "%s comes with the module",
			    CONTROL);
		return;
	}
	if (fstat(fd, &st))
		say(d, PROBLEM, "control", "%s: %s", CONTROL, strerror(errno));
	else if ((st.st_mode & 0004) != 0004)
		say(d, NOTE, "control",
		    "%s has mode %04o: not everyone can make buffers\nsudo chmod 666 %s, or a rule of udev's",
		    CONTROL, st.st_mode & 07777, CONTROL);
	else
		say(d, OK, "control", "%s has mode %04o", CONTROL,
		    st.st_mode & 07777);
	close(fd);
}

static void check_group(struct doctor *d)
{
	char line[512];
	int fd = in_root(d, "/etc/group", O_RDONLY | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "kubuf:", 6);
	if (f)
		fclose(f);
	if (found)
		say(d, OK, "group", "kubuf is there");
	else
		say(d, NOTE, "group",
		    "no group kubuf: nodes are for root, or for all\nsudo groupadd --system kubuf, then 'chgrp kubuf /dev/kubuf/NAME' for --mode=0660");
}

static void check_huge(struct doctor *d)
{
	char line[128];

	if (!read_line(d, "/sys/kernel/mm/transparent_hugepage/enabled", line,
		       sizeof(line)))
		say(d, NOTE, "huge pages",
		    "not in this kernel: the backing huge is mapped page by page");
	else if (strstr(line, "[never]"))
		say(d, NOTE, "huge pages",
		    "off: the backing huge is mapped page by page\necho madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	else
		say(d, OK, "huge pages", "%s", line);
}

static bool may_lock(const struct doctor *d)
{
	char text[8192], *line;

	if (read_file(d, "/proc/self/status", text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "CapEff:");
	return line && strtoull(line + 7, NULL, 16) >> CAP_IPC_LOCK & 1;
}

static void check_memlock(struct doctor *d)
{
	char text[4096], *line, size[24];
	unsigned long long limit;

	if (may_lock(d)) {
		say(d, OK, "memlock", "RLIMIT_MEMLOCK is not asked of this user");
		return;
	}
	read_file(d, "/proc/self/limits", text, sizeof(text));
	line = strstr(text, "Max locked memory");
	if (!line) {
		say(d, NOTE, "memlock", "RLIMIT_MEMLOCK is unknown");
		return;
	}
	if (sscanf(line + strlen("Max locked memory"), "%llu", &limit) != 1)
		say(d, OK, "memlock", "RLIMIT_MEMLOCK is not limited");
	else if (!limit)
		say(d, PROBLEM, "memlock",
		    "RLIMIT_MEMLOCK is 0: this user can make no buffer\nraise it by 'ulimit -l' or in /etc/security/limits.conf");
	else
		say(d, NOTE, "memlock",
		    "this user's buffers can have %s in all (RLIMIT_MEMLOCK)\nfor more, 'ulimit -l' or /etc/security/limits.conf",
		    format_size(limit, size));
}

/* The least limit of the group and those above it; ~0ULL if there is none. */
static __u64 cgroup_limit(const struct doctor *d)
{
	char group[4096], path[4200], line[64], *end;
	__u64 least = ~0ULL, limit;

	if (!read_line(d, "/proc/self/cgroup", group, sizeof(group)) ||
	    strncmp(group, "0::/", 4))
		return least;
	for (;;) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max",
			 group + 3);
		if (read_line(d, path, line, sizeof(line)) &&
		    strcmp(line, "max")) {
			limit = strtoull(line, NULL, 10);
			if (limit < least)
				least = limit;
		}
		end = strrchr(group + 3, '/');
		if (!end)
			return least;
		*end = '\0';
	}
}

static void check_limits(struct doctor *d)
{
	__u64 limit = cgroup_limit(d);
	char line[64], size[24];

	if (limit == ~0ULL)
		say(d, OK, "memory cgroup", "no limit");
	else
		say(d, limit ? NOTE : PROBLEM, "memory cgroup",
		    "%s, of which buffers made here take\nfor more, raise memory.max of the group",
		    format_size(limit, size));

	if (!read_line(d, PARAMETERS "limit_mb", line, sizeof(line)))
		say(d, NOTE, "limit_mb", "known when the module is loaded");
	else if (!strtoull(line, NULL, 10))
		say(d, PROBLEM, "limit_mb",
		    "0: no buffer can be made\necho MIB | sudo tee %slimit_mb",
		    PARAMETERS);
	else
		say(d, OK, "limit_mb", "all buffers can have %s MiB", line);
}

static void check_mounts(struct doctor *d)
{
	if (file_has(d, "/proc/self/mounts", " /sys/kernel/debug debugfs "))
		say(d, OK, "debugfs", "mounted");
	else
		say(d, NOTE, "debugfs",
		    "not mounted: no states of pages (watch), no frame numbers (verify)\nsudo mount -t debugfs none /sys/kernel/debug");
	if (file_has(d, "/proc/self/mounts", " tracefs "))
		say(d, OK, "tracefs", "mounted");
	else
		say(d, NOTE, "tracefs",
		    "not mounted: no faults (watch)\nsudo mount -t tracefs none /sys/kernel/tracing");
}

static int doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, OPT_ROOT },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 }
	};
	struct doctor d = { 0 };
	const char *root = "/";

	while (next_option(&cmd_doctor, argc, argv, options) >= 0)
		root = optarg;
	want_args(argc, 0, 0);
	d.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d.root < 0)
		die(EX_NOINPUT, "--root %s: %s", quoted(root), strerror(errno));
	check_kernel(&d);
	check_module(&d);
	check_headers(&d);
	check_signatures(&d);
	check_control(&d);
	check_group(&d);
	check_huge(&d);
	check_memlock(&d);
	check_limits(&d);
	check_mounts(&d);
	close(d.root);
	return d.problems ? EX_FOUND : 0;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.run = doctor,
	.summary = "say what about this machine would keep it from working",
	.help = "[--root=DIR]\n"
		"\n"
		"  --root=DIR   look at the files below DIR as if that were /\n"
		"\n"
		"Each line is \"ok\", \"note\" or \"problem\", with what to do below it. Exit status 1\n"
		"if there is a problem.\n"
};
