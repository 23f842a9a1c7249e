// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each capability buys, what a file descriptor in other hands is good for,
 * and what a buffer leaves behind: those statements of
 * Documentation/misc-devices/kubuf-security.rst that no other program shows.
 */
#include <sys/personality.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "kselftest_harness.h"
#include "kubuf_cgroup.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define NAME	"security-test"
#define USER	54321
#define OTHER	54322

#define RW	(PROT_READ | PROT_WRITE)

static int memlock_set(rlim_t bytes)
{
	struct rlimit rl = { .rlim_cur = bytes, .rlim_max = bytes };

	return setrlimit(RLIMIT_MEMLOCK, &rl) ? -errno : 0;
}

/* The sets of capabilities of this process. */
struct caps {
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static int caps_get(struct caps *c)
{
	memset(c, 0, sizeof(*c));
	c->head.version = _LINUX_CAPABILITY_VERSION_3;
	return syscall(SYS_capget, &c->head, c->data) ? -errno : 0;
}

static int caps_set(struct caps *c)
{
	return syscall(SYS_capset, &c->head, c->data) ? -errno : 0;
}

/* Become USER for good, with all capabilities. */
static int become_with_all(uid_t user)
{
	struct caps c;
	int ret;

	if (prctl(PR_SET_KEEPCAPS, 1))
		return -errno;
	ret = become(user);
	if (!ret)
		ret = caps_get(&c);
	if (ret)
		return ret;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		c.data[i].effective = c.data[i].permitted;
	return caps_set(&c);
}

/* The same with one. */
static int become_with(uid_t user, int cap)
{
	struct caps c;
	int ret = become_with_all(user);

	if (!ret)
		ret = caps_get(&c);
	if (ret)
		return ret;
	memset(c.data, 0, sizeof(c.data));
	c.data[cap / 32].effective = 1U << cap % 32;
	c.data[cap / 32].permitted = 1U << cap % 32;
	return caps_set(&c);
}

/* What a process was granted, of all that takes a capability. */
enum {
	GOT_NAMED = 1,
	GOT_DESTROY = 2,
	GOT_RESERVED = 4,
	GOT_RESERVED_MAPPING = 8,
	GOT_ABOVE_MEMLOCK = 16,
	GOT_NODE = 32,
};

struct asked {
	int reserved;		/* a reserved buffer of root's */
	int cap;
	rlim_t memlock;
};

/* Bits of the enumeration above, or -errno of what no capability is for. */
static long ask_for_all(const struct asked *a)
{
	long got = 0;
	int ret;

	ret = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	got |= ret >= 0 ? GOT_ABOVE_MEMLOCK : 0;
	ret = ret == -ENOMEM ? 0 : ret;
	if (ret < 0)
		return ret;
	/* From here on it is not the limit that forbids. */
	if (!got && a->memlock)
		return -EIO;
	ret = buf_create_named(NAME "-2", KUBUF_BACKING_VMALLOC, 1, 0, 0);
	got |= ret >= 0 ? GOT_NAMED : 0;
	ret = buf_create(KUBUF_BACKING_PAGES, 1, KUBUF_CREATE_RESERVED);
	got |= ret >= 0 ? GOT_RESERVED : 0;
	if (buf_map(a->reserved, page_size(), PROT_READ) != MAP_FAILED)
		got |= GOT_RESERVED_MAPPING;
	got |= node_open(NAME, O_RDWR) >= 0 ? GOT_NODE : 0;
	got |= buf_destroy(NAME) == 0 ? GOT_DESTROY : 0;
	return got;
}

static long ask_with_one(void *arg)
{
	const struct asked *a = arg;
	int ret = memlock_set(a->memlock);

	if (!ret)
		ret = become_with(USER, a->cap);
	return ret ? ret : ask_for_all(a);
}

/* A user of this number, and every capability but those the driver asks for. */
static long ask_with_the_rest(void *arg)
{
	const struct asked *a = arg;
	const int without[] = {
		CAP_SYS_ADMIN, CAP_SYS_RAWIO, CAP_IPC_LOCK,
		CAP_DAC_OVERRIDE,
	};
	int ret = memlock_set(a->memlock);

	/* Root owns the node, with a capability or not. */
	if (!ret)
		ret = become_with_all(USER);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(without); i++)
		ret = drop(without[i]);
	return ret ? ret : ask_for_all(a);
}

/* A node of root's, which root alone can open, and a reserved buffer. */
FIXTURE(capability) {
	struct asked asked;
	int fd;
};

FIXTURE_SETUP(capability)
{
	buf_destroy(NAME);
	buf_destroy(NAME "-2");
	self->fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0600);
	ASSERT_LE(0, self->fd);
	self->asked.reserved = buf_create(KUBUF_BACKING_PAGES, 1,
					  KUBUF_CREATE_RESERVED);
	ASSERT_LE(0, self->asked.reserved);
	self->asked.memlock = MIB;
}

FIXTURE_TEARDOWN(capability)
{
	buf_destroy(NAME);
	buf_destroy(NAME "-2");
	close(self->asked.reserved);
	close(self->fd);
}

TEST_F(capability, sys_admin)
{
	self->asked.cap = CAP_SYS_ADMIN;
	EXPECT_EQ(GOT_ABOVE_MEMLOCK | GOT_NAMED | GOT_DESTROY,
		  in_child(ask_with_one, &self->asked));
}

TEST_F(capability, sys_rawio)
{
	self->asked.cap = CAP_SYS_RAWIO;
	EXPECT_EQ(GOT_ABOVE_MEMLOCK | GOT_RESERVED | GOT_RESERVED_MAPPING,
		  in_child(ask_with_one, &self->asked));
}

TEST_F(capability, ipc_lock)
{
	self->asked.cap = CAP_IPC_LOCK;
	self->asked.memlock = 0;
	EXPECT_EQ(GOT_ABOVE_MEMLOCK, in_child(ask_with_one, &self->asked));
}

/* Those who may make names pay for the memory as anybody. */
TEST_F(capability, sys_admin_is_charged)
{
	self->asked.cap = CAP_SYS_ADMIN;
	self->asked.memlock = 0;
	EXPECT_EQ(GOT_DESTROY, in_child(ask_with_one, &self->asked));
}

/* The kernel's own: the mode of a node does not hold for it. */
TEST_F(capability, dac_override)
{
	self->asked.cap = CAP_DAC_OVERRIDE;
	EXPECT_EQ(GOT_ABOVE_MEMLOCK | GOT_NODE,
		  in_child(ask_with_one, &self->asked));
}

TEST_F(capability, all_others)
{
	self->asked.memlock = 0;
	EXPECT_EQ(0, in_child(ask_with_the_rest, &self->asked));
}

static long touch_mapping(void *arg)
{
	touch(arg, page_size());
	return 0;
}

static long map_and_drop(void *arg)
{
	int fd = *(int *)arg;
	char *p = buf_map(fd, page_size(), PROT_READ);

	if (p == MAP_FAILED)
		return -errno;
	if (drop(CAP_SYS_RAWIO))
		return 1;
	if (buf_map(fd, page_size(), PROT_READ) != MAP_FAILED ||
	    errno != EPERM)
		return 2;
	touch(p, page_size());
	return in_child(touch_mapping, p) ? 3 : 0;
}

/* It is asked for by mmap(), and not by a fault or by fork(). */
TEST_F(capability, reserved_mapping_outlives_it)
{
	EXPECT_EQ(0, in_child(map_and_drop, &self->asked.reserved));
}

static long change_parameters(void *arg)
{
	const char *const parameters[] = { "limit_mb", "window", "pfn_window" };
	char value[32];

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (parameter_get(parameters[i], value, sizeof(value)))
			return 1;
		if (parameter_set(parameters[i], value) != -EACCES)
			return 2;
	}
	return 0;
}

TEST(parameters_are_for_root)
{
	EXPECT_EQ(0, as_user(USER, change_parameters, NULL));
}

/* A child that has a buffer, until it is killed; the number of its fd. */
static pid_t owner(uid_t user, int *fd)
{
	int ready[2];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		*fd = become(user) ? -EPERM :
			buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
		if (write(ready[1], fd, sizeof(*fd)) == sizeof(*fd))
			pause();
		_exit(1);
	}
	if (pid > 0 && read(ready[0], fd, sizeof(*fd)) != sizeof(*fd))
		*fd = -EIO;
	close(ready[0]);
	close(ready[1]);
	return pid;
}

struct theirs {
	pid_t pid;
	int fd;
};

/* Get at an fd that was not given: 0 if that goes, or how it failed. */
static long open_theirs(void *arg)
{
	const struct theirs *t = arg;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->pid, t->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : 0;
}

static long take_theirs(void *arg)
{
	const struct theirs *t = arg;
	int pidfd = syscall(SYS_pidfd_open, t->pid, 0);

	if (pidfd < 0)
		return 1;
	return syscall(SYS_pidfd_getfd, pidfd, t->fd, 0) < 0 ? -errno : 0;
}

/* Nobody else comes to a buffer without a name by themselves. */
TEST(fd_of_another_user)
{
	struct theirs t;

	t.pid = owner(USER, &t.fd);
	ASSERT_LT(0, t.pid);
	EXPECT_LE(0, t.fd);
	EXPECT_EQ(-EACCES, as_user(OTHER, open_theirs, &t));
	EXPECT_EQ(-EPERM, as_user(OTHER, take_theirs, &t));
	EXPECT_EQ(0, as_user(USER, open_theirs, &t));
	EXPECT_EQ(0, as_user(USER, take_theirs, &t));
	kill_wait(t.pid);
}

static long widen(void *arg)
{
	int fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	int ro = reopen(fd, O_RDONLY);

	(void)arg;
	if (fd < 0 || ro < 0)
		return 1;
	close(fd);
	fd = reopen(ro, O_RDWR);
	return fd < 0 ? fd : 0;
}

/* As of any file that is one's own: a reader of the same user can write. */
TEST(reader_of_the_same_user)
{
	EXPECT_EQ(0, as_user(USER, widen, NULL));
}

/* Buffers of root's, in the hands of another user. */
FIXTURE(handed_over) {
	int fd;
	size_t len;
};

FIXTURE_VARIANT(handed_over) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(handed_over);
KUBUF_VARIANT(handed_over, kmalloc, KUBUF_BACKING_KMALLOC, 0, true);

FIXTURE_SETUP(handed_over)
{
	self->len = 5 * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
}

FIXTURE_TEARDOWN(handed_over)
{
	close(self->fd);
}

static long use_as_reader(void *arg)
{
	const size_t len = 5 * page_size();
	int fd = *(int *)arg;
	char *p = buf_map(fd, len, PROT_READ);

	if (p == MAP_FAILED || mismatch(p, len, 1) != len)
		return 1;
	if (kernel_mismatch(fd, len, 1) != len)
		return 2;
	if (pwrite(fd, "x", 1, 0) != -1 || errno != EBADF)
		return 3;
	if (buf_map(fd, len, RW) != MAP_FAILED || errno != EACCES)
		return 4;
	if (!mprotect(p, len, RW) || errno != EACCES)
		return 5;
	/* Its inode is root's. */
	if (reopen(fd, O_RDWR) != -EACCES || reopen(fd, O_WRONLY) != -EACCES)
		return 6;
	return 0;
}

/* A reader gets no further than that, in whatever way. */
TEST_F(handed_over, to_read)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, as_user(USER, use_as_reader, &fd));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(fd);
}

static long use_as_writer(void *arg)
{
	const size_t len = 5 * page_size();
	int fd = *(int *)arg;
	char *p = buf_map(fd, len, RW);

	if (p == MAP_FAILED || mismatch(p, len, 1) != len)
		return 1;
	fill(p, len, 2);
	return kernel_fill(fd, page_size(), 2) ? 0 : 2;
}

/* What counts is how the file was opened, not who has it now. */
TEST_F(handed_over, to_write)
{
	EXPECT_EQ(0, as_user(USER, use_as_writer, &self->fd));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
}

/*
 * Steps of one who had a node that everybody could open. 0 if the node of
 * another buffer, which took its number, stays out of reach.
 */
static long keep_stale_node(void *arg)
{
	struct stat before, after;
	int fd, path;

	(void)arg;
	if (buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0666) < 0)
		return 1;
	if (seteuid(USER))
		return 2;
	fd = node_open(NAME, O_RDWR);
	path = node_open(NAME, O_PATH);
	if (fd < 0 || path < 0 || fstat(path, &before) || seteuid(0))
		return 3;
	if (buf_destroy(NAME) ||
	    buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0600) < 0)
		return 4;
	/* Or all this shows nothing. */
	if (node_stat(NAME, &after) || before.st_rdev != after.st_rdev)
		return 5;
	if (seteuid(USER))
		return 6;
	if (reopen(fd, O_RDWR) != -EACCES || reopen(path, O_RDWR) != -EACCES)
		return 7;
	return 0;
}

TEST(destroyed_node_opens_no_other)
{
	buf_destroy(NAME);
	EXPECT_EQ(0, in_child(keep_stale_node, NULL));
	EXPECT_EQ(0, buf_destroy(NAME));
}

/* Are all bytes of a new buffer 0? */
static bool is_zeroed(__u32 backing, size_t length)
{
	int fd = buf_create(backing, length, 0);
	char *p = fd < 0 ? MAP_FAILED : buf_map(fd, length, PROT_READ);
	bool zero;

	if (p == MAP_FAILED)
		return false;
	zero = all_bytes(p, length, 0);
	munmap(p, length);
	close(fd);
	return zero;
}

FIXTURE(gone) {
	size_t len;
};

FIXTURE_VARIANT(gone) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(gone);

FIXTURE_SETUP(gone)
{
	self->len = MIB;
}

FIXTURE_TEARDOWN(gone)
{
}

/* Other kinds of buffers, too, and memory of processes, get its pages next. */
TEST_F(gone, contents_are_not_seen_again)
{
	const size_t anon_len = 8 * self->len;
	int fds[8];
	char *p;

	for (__u32 next = 0; next <= KUBUF_BACKING_HUGE; next++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = buf_create(variant->backing, self->len,
					    variant->flags);
			ASSERT_LE(0, fds[i]);
			ASSERT_TRUE(kernel_fill(fds[i], self->len, 0x5a));
		}
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			close(fds[i]);
		if (next) {
			for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
				EXPECT_TRUE(is_zeroed(next, self->len));
			continue;
		}
		p = mmap(NULL, anon_len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_TRUE(all_bytes(p, anon_len, 0));
		munmap(p, anon_len);
	}
}

/* Pages in a pipe, as many as it takes. */
#define PIPE_PAGES	16

struct pinned {
	__u32 backing;
	int pipe;
	const struct memcg *cgroup;
};

/* Pin all of a buffer, let go of it, and take what the limit allows again. */
static long pin_and_create(void *arg)
{
	const struct pinned *p = arg;
	const size_t length = PIPE_PAGES * page_size();
	int fd, ret = memlock_set(length);
	struct iovec iov;

	if (!ret)
		ret = become(USER);
	if (ret)
		return ret;
	fd = buf_create(p->backing, length, 0);
	if (fd < 0)
		return fd;
	iov.iov_base = buf_map(fd, length, RW);
	iov.iov_len = length;
	if (iov.iov_base == MAP_FAILED)
		return -errno;
	if (vmsplice(p->pipe, &iov, 1, 0) != (ssize_t)length)
		return 1;
	close(fd);
	/* The mapping is left, so that it is still there. */
	if (buf_create(p->backing, length, 0) != -ENOMEM)
		return 2;
	munmap(iov.iov_base, length);
	fd = buf_create(p->backing, length, 0);
	return fd < 0 ? fd : 0;
}

FIXTURE(pinned) {
	int pipe[2];
};

FIXTURE_VARIANT(pinned) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_PAGE_VARIANTS(pinned);

FIXTURE_SETUP(pinned)
{
	ASSERT_EQ(0, pipe(self->pipe));
}

FIXTURE_TEARDOWN(pinned)
{
	close(self->pipe[0]);
	close(self->pipe[1]);
}

/* The limits count buffers: a page that a pin alone holds is in none. */
TEST_F(pinned, is_not_counted_by_the_limits)
{
	struct pinned p = { variant->backing, self->pipe[1], NULL };

	EXPECT_EQ(0, in_child(pin_and_create, &p));
}

/* More than the stock of charges that a processor has at hand, which is 64. */
#define MANY_PAGES	256

/* Bytes that the cgroup is charged with when all has gone but the pins. */
static long pin_and_weigh(void *arg)
{
	const struct pinned *p = arg;
	const size_t length = MANY_PAGES * page_size();
	int fd, ret = memcg_join(p->cgroup);
	long long before;
	struct iovec iov;

	if (ret)
		return ret;
	/* So that what the first call needs itself is there already. */
	close(buf_create(p->backing, length, 0));
	before = memcg_read(p->cgroup, "memory.current");
	fd = buf_create(p->backing, length, 0);
	if (fd < 0)
		return fd;
	iov.iov_base = buf_map(fd, length, RW);
	iov.iov_len = length;
	if (iov.iov_base == MAP_FAILED)
		return -errno;
	if (vmsplice(p->pipe, &iov, 1, 0) != (ssize_t)length)
		return -EIO;
	munmap(iov.iov_base, length);
	close(fd);
	return memcg_read(p->cgroup, "memory.current") - before;
}

/* What the limits leave out the cgroup holds, until the pins are gone. */
TEST_F(pinned, stays_charged_to_the_cgroup)
{
	const long length = MANY_PAGES * page_size();
	const long least = length - 64 * page_size();
	struct pinned p = { variant->backing, self->pipe[1], NULL };
	char *tmp = malloc(length);
	struct memcg cgroup;
	long long charged;

	ASSERT_EQ(0, memcg_make(&cgroup));
	if (!memcg_is_there(&cgroup))
		SKIP(return, "no memory controller in cgroup v2");
	ASSERT_LE(length, fcntl(self->pipe[1], F_SETPIPE_SZ, length));
	p.cgroup = &cgroup;
	EXPECT_LE(least, in_child(pin_and_weigh, &p));
	charged = memcg_read(&cgroup, "memory.current");
	EXPECT_LE(least, charged);
	ASSERT_EQ(length, read(self->pipe[0], tmp, length));
	EXPECT_GE(charged - least, memcg_read(&cgroup, "memory.current"));
	EXPECT_EQ(0, memcg_remove(&cgroup));
	free(tmp);
}

/* May the mapping at ADDR be executed, as /proc/self/maps has it? */
static bool is_executable(const void *addr)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char perms[8], line[512];
	bool found = true;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 ||
		    (uintptr_t)addr < start || (uintptr_t)addr >= end)
			continue;
		found = strchr(perms, 'x');
		break;
	}
	if (f)
		fclose(f);
	return found;
}

static long map_where_read_is_exec(void *arg)
{
	int fd = *(int *)arg;
	char *before = buf_map(fd, page_size(), PROT_READ), *p;

	if (before == MAP_FAILED || personality(READ_IMPLIES_EXEC) == -1)
		return 1;
	/* This must be what it says. */
	p = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED || !is_executable(p))
		return 2;
	if (mprotect(before, page_size(), RW) || is_executable(before))
		return 3;
	p = buf_map(fd, page_size(), PROT_READ);
	/* Where the file system has no programs the kernel asks for none. */
	if (p == MAP_FAILED)
		return errno == EPERM ? 0 : 4;
	return is_executable(p) ? 5 : 0;
}

/* A mark of old programs, for which all that can be read can be executed. */
TEST_F(handed_over, no_exec_where_read_implies_it)
{
	int node;

	EXPECT_EQ(0, in_child(map_where_read_is_exec, &self->fd));
	buf_destroy(NAME);
	node = buf_create_named(NAME, variant->backing, 1, 0, 0);
	ASSERT_LE(0, node);
	close(node);
	node = node_open(NAME, O_RDWR);
	ASSERT_LE(0, node);
	EXPECT_EQ(0, in_child(map_where_read_is_exec, &node));
	close(node);
	EXPECT_EQ(0, buf_destroy(NAME));
}

/* The label that a security module has on a file: 0, or -errno. */
static int label(int fd)
{
	const char *const names[] = { "security.selinux", "security.SMACK64" };
	char value[256];
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (fgetxattr(fd, names[i], value, sizeof(value)) >= 0)
			return 0;
		err = -errno;
	}
	return err;
}

/* Security modules look at nodes, and not at what KUBUF_CREATE returns. */
TEST(labels_of_security_modules)
{
	int control = control_open();
	int fd, node;

	ASSERT_LE(0, control);
	if (label(control))
		SKIP(close(control); return, "no security module with labels");
	buf_destroy(NAME);
	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	node = node_open(NAME, O_RDWR);
	EXPECT_EQ(0, label(node));
	EXPECT_EQ(-EOPNOTSUPP, label(fd));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(node);
	close(fd);
	close(control);
}

TEST_HARNESS_MAIN
