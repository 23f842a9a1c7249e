/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loading and unloading the module: from the file that KUBUF_KO names, or from
 * where it is installed.
 */
#ifndef KUBUF_MODULE_H
#define KUBUF_MODULE_H

#include "kubuf_task.h"

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE	4
#endif

/* The module's file, which the caller frees; NULL if there is none. */
static inline char *module_file(void)
{
	const char *given = getenv("KUBUF_KO");
	char *path;
	FILE *f;

	if (given)
		return strdup(given);
	path = calloc(1, 4096);
	f = popen("modinfo -n kubuf 2>/dev/null", "re");
	if (path && f && fgets(path, 4096, f))
		path[strcspn(path, "\n")] = '\0';
	if (f)
		pclose(f);
	/* Built in, it has none. */
	if (path && path[0] != '/') {
		free(path);
		path = NULL;
	}
	return path;
}

static inline bool module_is_loaded(void)
{
	return !access("/sys/module/kubuf", F_OK);
}

/* Open it: its fd, with the flags that finit_module() wants, or -errno. */
static inline int module_open(int *flags)
{
	char *path = module_file();
	const char *dot;
	int fd;

	if (!path)
		return -ENOENT;
	dot = strrchr(path, '.');
	*flags = dot && strcmp(dot, ".ko") ? MODULE_INIT_COMPRESSED_FILE : 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	return fd < 0 ? -errno : fd;
}

/* Load it: 0, or -errno as it said. */
static inline int module_load(const char *parameters)
{
	int flags, ret;
	int fd = module_open(&flags);

	if (fd < 0)
		return fd;
	ret = syscall(__NR_finit_module, fd, parameters, flags);
	ret = ret ? -errno : 0;
	close(fd);
	return ret;
}

/* Load another one, NAME.ko beside the driver's: 0, or -errno as it said. */
static inline int module_load_other(const char *name, const char *parameters)
{
	char *path = module_file(), *other = NULL;
	int fd, ret;

	if (!path)
		return -ENOENT;
	if (asprintf(&other, "%.*s/%s.ko", (int)(strrchr(path, '/') - path),
		     path, name) < 0)
		other = NULL;
	free(path);
	fd = other ? open(other, O_RDONLY | O_CLOEXEC) : -1;
	free(other);
	if (fd < 0)
		return -ENOENT;
	ret = syscall(__NR_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Unload it if nobody uses it. */
static inline int module_unload(void)
{
	return syscall(__NR_delete_module, "kubuf", O_NONBLOCK) ? -errno : 0;
}

/* Nothing of the driver is to be seen. */
static inline bool all_gone(void)
{
	return access("/sys/module/kubuf", F_OK) &&
	       access("/dev/kubuf/control", F_OK) &&
	       access("/dev/kubuf", F_OK) &&
	       access("/sys/kernel/debug/kubuf", F_OK) &&
	       access("/sys/class/misc/kubuf-control", F_OK);
}

static inline long long module_users(void)
{
	return file_number("/sys/module/kubuf/refcnt");
}

#endif /* KUBUF_MODULE_H */
