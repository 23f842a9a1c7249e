/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Children, lesser users, lists, and the module itself.
 */
#ifndef KUBUF_TASK_H
#define KUBUF_TASK_H

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <linux/capability.h>

#include "kubuf_util.h"

/* The user that owns nothing. */
#define NOBODY		65534

/* What in_child() answers for a child that a signal ended. */
#define DIED		(-100000L)

/*
 * What FN(ARG) answers in a child. The harness cannot assert there: on older
 * kernels its record is not shared with children.
 */
static inline long in_child(long (*fn)(void *arg), void *arg)
{
	long *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	long ret;
	pid_t pid;

	if (answer == MAP_FAILED)
		return -errno;
	pid = fork();
	if (!pid) {
		*answer = fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ret = -errno;
	else if (WIFSIGNALED(status))
		ret = DIED - WTERMSIG(status);
	else
		ret = *answer;
	munmap(answer, sizeof(*answer));
	return ret;
}

/*
 * Become USER for good, without capabilities. The process stays dumpable, or
 * its own files in /proc would belong to root.
 */
static inline int become(uid_t user)
{
	if (setgroups(0, NULL) || setresgid(user, user, user) ||
	    setresuid(user, user, user) || prctl(PR_SET_DUMPABLE, 1))
		return -errno;
	return 0;
}

struct as_user {
	uid_t user;
	long (*fn)(void *arg);
	void *arg;
};

static inline long as_user_fn(void *arg)
{
	struct as_user *as = arg;
	int ret = become(as->user);

	return ret ? ret : as->fn(as->arg);
}

/* What FN(ARG) answers in a child that USER runs. */
static inline long as_user(uid_t user, long (*fn)(void *arg), void *arg)
{
	struct as_user as = { .user = user, .fn = fn, .arg = arg };

	return in_child(as_user_fn, &as);
}

/* Do without a capability from now on. */
static inline int drop(int cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[cap / 32].effective &= ~(1U << cap % 32);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* End a child at once and take its status. */
static inline void kill_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Named buffers that there are, or -errno. */
static inline long named_count(void)
{
	struct kubuf_list l = {
		.size = sizeof(l),
		.info_size = sizeof(struct kubuf_info),
	};
	int control = control_open();
	int ret;

	if (control < 0)
		return -errno;
	ret = kioctl(control, KUBUF_LIST, &l);
	close(control);
	return ret ? ret : (long)l.count;
}

/* The element of LIST with that name: 0, -ENOENT or another -errno. */
static inline int list_find(const char *name, struct kubuf_info *info)
{
	const __u32 room = 512;
	struct kubuf_info *infos = calloc(room, sizeof(*infos));
	struct kubuf_list l = {
		.size = sizeof(l),
		.infos = (uintptr_t)infos,
		.info_size = sizeof(*infos),
		.count = room,
	};
	int control = control_open();
	int ret;

	memset(info, 0, sizeof(*info));
	if (!infos || control < 0) {
		ret = -errno;
		goto out;
	}
	ret = kioctl(control, KUBUF_LIST, &l);
	if (ret)
		goto out;
	ret = -ENOENT;
	for (__u32 i = 0; i < l.count && i < room; i++) {
		if (strncmp(infos[i].name, name, sizeof(infos[i].name)))
			continue;
		*info = infos[i];
		ret = 0;
		break;
	}
out:
	if (control >= 0)
		close(control);
	free(infos);
	return ret;
}

/* Open the node of a named buffer: its fd, or -errno. */
static inline int node_open(const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/kubuf/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline int node_stat(const char *name, struct stat *st)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/kubuf/%s", name);
	return stat(path, st) ? -errno : 0;
}

/* The number that open() would give next. */
static inline int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

/* A number from a one-line file; -errno if it cannot be read. */
static inline long long file_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n <= 0 ? -EIO : strtoll(text, NULL, 10);
}

static inline int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* A field of a file such as /proc/meminfo or fdinfo; -1 if not there. */
static inline long long file_field(const char *path, const char *field)
{
	size_t len = strlen(field);
	long long value = -1;
	char line[512];
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, len) ||
		    (line[len] != ':' && line[len] != ' '))
			continue;
		value = strtoll(line + len + 1, NULL, 10);
		break;
	}
	fclose(f);
	return value;
}

/* The text after KEY and a tab in the fdinfo of FD; false if not there. */
static inline bool fdinfo_value(int fd, const char *key, char *value,
				size_t room)
{
	size_t len = strlen(key);
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) || strncmp(line + len, ":\t", 2))
			continue;
		line[strcspn(line, "\n")] = '\0';
		memset(value, 0, room);
		memcpy(value, line + len + 2,
		       strnlen(line + len + 2, room - 1));
		found = true;
	}
	fclose(f);
	return found;
}

/* For what others do one way until a version and another way since. */
static inline bool kernel_before(unsigned int major, unsigned int minor)
{
	unsigned int is_major, is_minor;
	struct utsname u;

	return !uname(&u) &&
	       sscanf(u.release, "%u.%u", &is_major, &is_minor) == 2 &&
	       (is_major < major ||
		(is_major == major && is_minor < minor));
}

/* Are all bytes of it C? */
static inline bool all_bytes(const void *buf, size_t length, unsigned char c)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < length; i++)
		if (p[i] != c)
			return false;
	return true;
}

#endif /* KUBUF_TASK_H */
