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

/* Load it: 0, or -errno as it said. */
static inline int module_load(const char *parameters)
{
	char *path = module_file();
	int fd, ret;

	if (!path)
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
	} else {
		const char *dot = strrchr(path, '.');
		int flags = dot && strcmp(dot, ".ko") ?
			MODULE_INIT_COMPRESSED_FILE : 0;

		ret = syscall(__NR_finit_module, fd, parameters, flags);
		ret = ret ? -errno : 0;
		close(fd);
	}
	free(path);
	return ret;
}

/* Unload it if nobody uses it. */
static inline int module_unload(void)
{
	return syscall(__NR_delete_module, "kubuf", O_NONBLOCK) ? -errno : 0;
}

static inline long long module_users(void)
{
	return file_number("/sys/module/kubuf/refcnt");
}

#endif /* KUBUF_MODULE_H */
