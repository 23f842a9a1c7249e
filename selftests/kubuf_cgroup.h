/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memory cgroup to be in, and to be short of memory in.
 */
#ifndef KUBUF_CGROUP_H
#define KUBUF_CGROUP_H

#include <sched.h>
#include <sys/mount.h>

#include "kubuf_task.h"

/* Without DIR if the kernel has none, or gives none. */
struct memcg {
	char top[32];
	char dir[64];
};

static inline bool memcg_is_there(const struct memcg *g)
{
	return g->dir[0];
}

static inline int memcg_write(const struct memcg *g, const char *file,
			      const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", g->dir, file);
	return file_write(path, text);
}

static inline long long memcg_read(const struct memcg *g, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", g->dir, file);
	return file_number(path);
}

/* How often something has happened in it; -1 if the kernel does not tell. */
static inline long long memcg_event(const struct memcg *g, const char *event)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.events", g->dir);
	return file_field(path, event);
}

/* 0 also if there can be none, or -errno. */
static inline int memcg_make(struct memcg *g)
{
	char control[64];

	memset(g, 0, sizeof(*g));
	snprintf(g->top, sizeof(g->top), "/tmp/kubuf-cgroup-XXXXXX");
	if (!mkdtemp(g->top))
		return -errno;
	/* A mount for this process alone, gone with it whatever happens. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("cgroup2", g->top, "cgroup2", 0, NULL))
		return 0;
	/* There already, or refused: the directory shows which. */
	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", g->top);
	file_write(control, "+memory");
	snprintf(g->dir, sizeof(g->dir), "%s/kubuf-%d", g->top, getpid());
	if (mkdir(g->dir, 0755))
		return -errno;
	if (memcg_read(g, "memory.current") < 0) {
		rmdir(g->dir);
		g->dir[0] = '\0';
	}
	return 0;
}

/* Nobody may be in it any more. */
static inline int memcg_remove(struct memcg *g)
{
	int ret = g->dir[0] && rmdir(g->dir) ? -errno : 0;

	umount(g->top);
	rmdir(g->top);
	return ret;
}

static inline int memcg_enter(const char *dir)
{
	char path[128], pid[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return file_write(path, pid);
}

/*
 * Join, and stay on one processor: each has a stock of charges of its own, by
 * which the numbers are too high.
 */
static inline int memcg_join(const struct memcg *g)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return -errno;
	return memcg_enter(g->dir);
}

#endif /* KUBUF_CGROUP_H */
