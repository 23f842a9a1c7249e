// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading: who keeps the module, the buffers that it makes
 * itself, and that a load that fails leaves nothing. The module is loaded
 * without parameters before and after each test.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_module.h"
#include "kubuf_pass.h"

#define NAME	"module-test"

FIXTURE(module) {
	bool can_load;
};

FIXTURE_SETUP(module)
{
	char *path = module_file();

	self->can_load = path;
	free(path);
	if (!self->can_load)
		return;
	if (module_is_loaded())
		ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load(""));
}

FIXTURE_TEARDOWN(module)
{
	if (!self->can_load)
		return;
	if (module_is_loaded())
		EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load(""));
}

#define NOT_FOUND	"module not found: set KUBUF_KO"

TEST_F(module, unload_takes_everything)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	EXPECT_EQ(0, access(CONTROL, F_OK));
	EXPECT_EQ(0, module_users());
	ASSERT_EQ(0, module_unload());
	EXPECT_TRUE(all_gone());
}

TEST_F(module, control_fd_keeps_it)
{
	int control;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	control = control_open();
	ASSERT_LE(0, control);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(control);
	EXPECT_EQ(0, module_unload());
}

/* On the one path and on the other. */
static const struct {
	__u32 backing;
	__u32 flags;
} kinds[] = {
	{ KUBUF_BACKING_KMALLOC, 0 },
	{ KUBUF_BACKING_PAGES, 0 },
	{ KUBUF_BACKING_VMALLOC, 0 },
	{ KUBUF_BACKING_HUGE, 0 },
	{ KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED },
	{ KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED },
};

TEST_F(module, buffer_fd_keeps_it)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int fd = buf_create(kinds[i].backing, 1, kinds[i].flags);

		ASSERT_LE(0, fd);
		EXPECT_EQ(-EWOULDBLOCK, module_unload());
		close(fd);
		EXPECT_EQ(0, module_users());
	}
	EXPECT_EQ(0, module_unload());
}

/* Touched or not. */
TEST_F(module, mapping_alone_keeps_it)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		int fd = buf_create(kinds[i / 2].backing, 1,
				    kinds[i / 2].flags);
		char *p;

		ASSERT_LE(0, fd);
		p = buf_map(fd, page_size(), PROT_READ | PROT_WRITE);
		ASSERT_NE(MAP_FAILED, p);
		close(fd);
		if (i % 2)
			p[0] = 'k';
		EXPECT_EQ(-EWOULDBLOCK, module_unload());
		if (i % 2)
			EXPECT_EQ('k', p[0]);
		munmap(p, page_size());
		EXPECT_EQ(0, module_users());
	}
	EXPECT_EQ(0, module_unload());
}

TEST_F(module, mapping_of_a_child_keeps_it)
{
	char *p;
	pid_t pid;
	int fd;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	ASSERT_LE(0, fd);
	p = buf_map(fd, page_size(), PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	ASSERT_LT(0, pid);
	munmap(p, page_size());
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	kill_wait(pid);
	EXPECT_EQ(0, module_unload());
}

TEST_F(module, open_node_keeps_it)
{
	int fd;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	fd = node_open(NAME, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	/* The node gone, the fd is still there. */
	ASSERT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(fd);
	EXPECT_EQ(0, module_unload());
}

TEST_F(module, reopened_fd_keeps_it)
{
	int fd, again;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	ASSERT_LE(0, fd);
	again = reopen(fd, O_RDONLY);
	ASSERT_LE(0, again);
	close(fd);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(again);
	EXPECT_EQ(0, module_unload());
}

/* It does not keep the buffer, but the file system of the driver. */
TEST_F(module, path_of_a_gone_buffer_keeps_it)
{
	int fd, path;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	ASSERT_LE(0, fd);
	path = reopen(fd, O_PATH);
	ASSERT_LE(0, path);
	close(fd);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(path);
	EXPECT_EQ(0, module_unload());
}

/* The fd is in no process, but in a message that nobody has received. */
TEST_F(module, fd_on_its_way_keeps_it)
{
	int sv[2], fd;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_fd(sv[0], fd));
	close(fd);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(sv[0]);
	close(sv[1]);
	EXPECT_EQ(0, module_unload());
}

TEST_F(module, idle_named_buffer_does_not_keep_it)
{
	struct stat st;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char name[KUBUF_NAME_SIZE];
		char *p;
		int fd;

		snprintf(name, sizeof(name), NAME "-%zu", i);
		fd = buf_create_named(name, kinds[i].backing, MIB,
				      kinds[i].flags, 0);
		ASSERT_LE(0, fd);
		p = buf_map(fd, MIB, PROT_READ | PROT_WRITE);
		ASSERT_NE(MAP_FAILED, p);
		touch(p, MIB);
		munmap(p, MIB);
		close(fd);
	}
	ASSERT_EQ(0, module_unload());
	EXPECT_TRUE(all_gone());
	/* Loaded again, it knows nothing of them. */
	ASSERT_EQ(0, module_load(""));
	EXPECT_EQ(0, named_count());
	EXPECT_EQ(-ENOENT, node_stat(NAME "-0", &st));
}

TEST_F(module, default_parameters)
{
	char value[64];
	struct sysinfo si;
	long mib;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, sysinfo(&si));
	ASSERT_EQ(0, parameter_get("limit_mb", value, sizeof(value)));
	/* Some memory may have come or gone since. */
	mib = (long)(si.totalram * si.mem_unit / 2 / MIB);
	EXPECT_LE(mib - 1, strtol(value, NULL, 10));
	EXPECT_GE(mib + 1, strtol(value, NULL, 10));
	ASSERT_EQ(0, parameter_get("window", value, sizeof(value)));
	EXPECT_STREQ("128", value);
	ASSERT_EQ(0, parameter_get("pfn_window", value, sizeof(value)));
	EXPECT_STREQ("512", value);
	EXPECT_EQ(-EACCES, parameter_set("buffers", "a:64K"));
}

TEST_F(module, limits_as_parameters)
{
	char value[64];

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("limit_mb=7 window=3"));
	ASSERT_EQ(0, parameter_get("limit_mb", value, sizeof(value)));
	EXPECT_STREQ("7", value);
	ASSERT_EQ(0, parameter_get("window", value, sizeof(value)));
	EXPECT_STREQ("3", value);
	EXPECT_EQ(-ENOSPC, buf_create(KUBUF_BACKING_VMALLOC, 7 * MIB + 1, 0));
}

/* What a node of a parameter is: INFO, and that it works. */
static int check_node(const char *name, __u32 backing, size_t length)
{
	struct kubuf_info info;
	struct stat st;
	char *p, byte;
	int fd;

	if (node_stat(name, &st) || st.st_mode != (S_IFCHR | 0600))
		return 1;
	fd = node_open(name, O_RDWR);
	if (fd < 0 || buf_info(fd, &info))
		return 2;
	if (info.backing != backing || info.length != length ||
	    info.flags & KUBUF_INFO_RESERVED || info.mode != 0600 ||
	    strcmp(info.name, name))
		return 3;
	p = buf_map(fd, length, PROT_READ | PROT_WRITE);
	if (p == MAP_FAILED || !all_bytes(p, length, 0))
		return 4;
	p[length - 1] = 'n';
	if (pread(fd, &byte, 1, length - 1) != 1 || byte != 'n')
		return 5;
	munmap(p, length);
	close(fd);
	return 0;
}

TEST_F(module, buffers)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("buffers=a:64K,b:1M:huge"));
	EXPECT_EQ(2, named_count());
	EXPECT_EQ(0, check_node("a", KUBUF_BACKING_VMALLOC, 64 * KIB));
	EXPECT_EQ(0, check_node("b", KUBUF_BACKING_HUGE, MIB));
	/* They are like any other. */
	EXPECT_EQ(-EEXIST, buf_create_named("a", KUBUF_BACKING_PAGES, 1, 0, 0));
	EXPECT_EQ(0, buf_destroy("a"));
	EXPECT_EQ(1, named_count());
	EXPECT_EQ(0, module_unload());
	EXPECT_TRUE(all_gone());
}

TEST_F(module, buffers_of_every_backing_and_size)
{
	static const char parameters[] =
		"buffers=km:65536:kmalloc,pg:1m:pages,vm:3M:vmalloc,hg:5000K:huge,odd.n_4-me:1";

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load(parameters));
	EXPECT_EQ(5, named_count());
	EXPECT_EQ(0, check_node("km", KUBUF_BACKING_KMALLOC, 64 * KIB));
	EXPECT_EQ(0, check_node("pg", KUBUF_BACKING_PAGES, MIB));
	EXPECT_EQ(0, check_node("vm", KUBUF_BACKING_VMALLOC, 3 * MIB));
	EXPECT_EQ(0, check_node("hg", KUBUF_BACKING_HUGE, 5000 * KIB));
	EXPECT_EQ(0, check_node("odd.n_4-me", KUBUF_BACKING_VMALLOC,
				page_size()));
}

TEST_F(module, no_buffers)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("buffers="));
	EXPECT_EQ(0, named_count());
}

/* The good ones before a bad one go again. */
TEST_F(module, bad_buffers)
{
	const struct {
		const char *buffers;
		int error;
	} bad[] = {
		{ "a", EINVAL },
		{ "a:", EINVAL },
		{ ":64K", EINVAL },
		{ ":", EINVAL },
		{ "a:0", EINVAL },
		{ "a:0M", EINVAL },
		{ "a:K", EINVAL },
		{ "a:64Q", EINVAL },
		{ "a:64KB", EINVAL },
		{ "a:-1", EINVAL },
		{ "a:64K:", EINVAL },
		{ "a:64K:foo", EINVAL },
		{ "a:64K:huge:1", EINVAL },
		{ "a:64K,", EINVAL },
		{ ",a:64K", EINVAL },
		{ "a:64K,,b:64K", EINVAL },
		{ "a/b:64K", EINVAL },
		{ ".:64K", EINVAL },
		{ ".a:64K", EINVAL },
		/* Not EEXIST: modprobe takes that for a module that is there. */
		{ "a:64K,a:64K", EINVAL },
		{ "a:64K,control:64K", EINVAL },
		{ "abcdefghijklmnopqrstuvwxyz012345:64K", ENAMETOOLONG },
		{ "a:64K,b:9M:kmalloc", EFBIG },
		{ "a:64K,b:9M:pages", EFBIG },
		{ "a:64K,b:99999999G", EFBIG },
		{ "a:64K,b:17179869185G", EFBIG },
		{ "a:18446744073709551615", EFBIG },
		{ "a:18446744073709551616", EFBIG },
	};

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char parameters[128];
		int ret;

		snprintf(parameters, sizeof(parameters), "buffers=%s",
			 bad[i].buffers);
		ret = module_load(parameters);
		EXPECT_EQ(-bad[i].error, ret) {
			TH_LOG("%s", parameters);
			module_unload();
		}
		EXPECT_TRUE(all_gone());
		/* Nor is a name or a place in memory still taken. */
		ASSERT_EQ(0, module_load("buffers=a:64K,b:64K"));
		EXPECT_EQ(2, named_count());
		ASSERT_EQ(0, module_unload());
	}
}

/* Four hundred megabytes, of which most would be missing. */
TEST_F_TIMEOUT(module, bad_buffers_leak_nothing, 900)
{
	long long before, kib = 0;

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	before = file_field("/proc/meminfo", "MemAvailable");
	ASSERT_LT(0, before);
	for (int i = 0; i < 25; i++)
		ASSERT_EQ(-EINVAL, module_load("buffers=a:8M,b:8M:huge,c:"));
	for (int i = 0; i < 300; i++) {
		kib = before - file_field("/proc/meminfo", "MemAvailable");
		if (kib < 100 * (long)KIB)
			break;
		usleep(10000);
	}
	EXPECT_GT(100 * (long)KIB, kib);
}

TEST_F(module, buffers_above_the_limit)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(-ENOSPC, module_load("limit_mb=1 buffers=a:1025K"));
	EXPECT_EQ(-ENOSPC, module_load("limit_mb=1 buffers=a:1M,b:4K"));
	/* Whatever the order of the parameters. */
	EXPECT_EQ(-ENOSPC, module_load("buffers=a:1M,b:4K limit_mb=1"));
	EXPECT_TRUE(all_gone());
	ASSERT_EQ(0, module_load("limit_mb=1 buffers=a:512K,b:512K"));
	EXPECT_EQ(2, named_count());
	EXPECT_EQ(-ENOSPC, buf_create(KUBUF_BACKING_VMALLOC, 1, 0));
}

TEST_F(module, bad_limits)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(-EINVAL, module_load("limit_mb=much"));
	EXPECT_EQ(-EINVAL, module_load("window=-1"));
	EXPECT_TRUE(all_gone());
}

TEST_F_TIMEOUT(module, again_and_again, 900)
{
	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	for (long i = 0; i < rounds(30); i++) {
		ASSERT_EQ(0, module_unload());
		ASSERT_EQ(0, module_load("buffers=a:1M,b:1M:huge,c:1M:pages"));
		ASSERT_EQ(0, check_node("b", KUBUF_BACKING_HUGE, MIB));
	}
}

/* Open, make and map whatever there is at the moment, until killed. */
static void user(unsigned long *used)
{
	for (;;) {
		int fd = buf_create(KUBUF_BACKING_VMALLOC, MIB, 0);
		int node = node_open("a", O_RDWR);
		char *p = node < 0 ? MAP_FAILED :
				     buf_map(node, MIB, PROT_READ | PROT_WRITE);

		if (p != MAP_FAILED) {
			p[5] = 'k';
			munmap(p, MIB);
			__atomic_fetch_add(used, 1, __ATOMIC_RELAXED);
		}
		if (node >= 0)
			close(node);
		if (fd >= 0)
			close(fd);
		/* Leave moments in which nobody uses it. */
		usleep(300);
	}
}

/*
 * Users that come at any moment of a load or unload. An unload may be refused;
 * what may not be is a user of something that is gone.
 */
TEST_F_TIMEOUT(module, users_at_any_moment, 900)
{
	const time_t end = time(NULL) + 60;
	unsigned long *used;
	int unloaded = 0;
	pid_t pids[2];

	if (!self->can_load)
		SKIP(return, NOT_FOUND);
	used = mmap(NULL, sizeof(*used), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, used);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("buffers=a:1M"));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (!pids[i])
			user(used);
		ASSERT_LT(0, pids[i]);
	}
	while (unloaded < 30 && time(NULL) < end) {
		int ret = module_unload();

		if (ret == -EWOULDBLOCK) {
			sched_yield();
			continue;
		}
		ASSERT_EQ(0, ret);
		unloaded++;
		ASSERT_EQ(0, module_load("buffers=a:1M"));
	}
	/* Both have happened. */
	EXPECT_LT(0, unloaded);
	EXPECT_LT(0UL, *used);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		kill_wait(pids[i]);
	EXPECT_EQ(0, module_users());
}

TEST_HARNESS_MAIN
