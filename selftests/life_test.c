// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a buffer lives, and what its users' comings and goings leave: the
 * count of mappings, the module's count of users.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_pass.h"
#include "kubuf_task.h"

#define NAME	"life-test"

FIXTURE(life) {
	int fd;
	size_t length;
};

FIXTURE_VARIANT(life) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(life);

FIXTURE_SETUP(life)
{
	buf_destroy(NAME);
	self->length = 64 * page_size();
	self->fd = buf_create_named(NAME, variant->backing, self->length,
				    variant->flags, 0);
	ASSERT_LE(0, self->fd);
}

/* Whatever was done, nothing maps it any more. */
FIXTURE_TEARDOWN(life)
{
	if (self->fd >= 0) {
		EXPECT_EQ(0, buf_mappings(self->fd));
		close(self->fd);
	}
	buf_destroy(NAME);
}

static char *map_all(int fd, size_t length)
{
	char *p = buf_map(fd, length, PROT_READ | PROT_WRITE);

	return p == MAP_FAILED ? NULL : p;
}

/* Destroying is an unlink: who has it, has it. */
TEST_F(life, destroyed_while_open_and_mapped)
{
	struct kubuf_info info;
	char byte = 0;
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	fill(p, self->length, 1);
	ASSERT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-ENOENT, node_open(NAME, O_RDWR));
	EXPECT_EQ(-ENOENT, list_find(NAME, &info));
	EXPECT_EQ(-ENOENT, buf_destroy(NAME));

	ASSERT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ((__u32)(KUBUF_INFO_NAMED | KUBUF_INFO_DESTROYED),
		  info.flags & (KUBUF_INFO_NAMED | KUBUF_INFO_DESTROYED));
	EXPECT_STREQ(NAME, info.name);
	EXPECT_EQ(1U, info.mappings);

	EXPECT_EQ(self->length, mismatch(p, self->length, 1));
	EXPECT_EQ(self->length, kernel_mismatch(self->fd, self->length, 1));
	p[5] = 'x';
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 5));
	EXPECT_EQ('x', byte);
	/* And it can be mapped anew. */
	munmap(p, self->length);
	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	EXPECT_EQ('x', p[5]);
	munmap(p, self->length);
}

TEST_F(life, destroyed_name_is_another_buffer)
{
	int second;
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	fill(p, self->length, 2);
	ASSERT_EQ(0, buf_destroy(NAME));
	second = buf_create_named(NAME, variant->backing, self->length,
				  variant->flags, 0);
	ASSERT_LE(0, second);
	EXPECT_EQ(0, buf_mappings(second));
	ASSERT_TRUE(kernel_fill(second, self->length, 3));
	EXPECT_EQ(self->length, mismatch(p, self->length, 2));
	munmap(p, self->length);
	EXPECT_EQ(self->length, kernel_mismatch(second, self->length, 3));
	close(second);
}

TEST_F(life, mapping_alone_keeps_it)
{
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	ASSERT_TRUE(kernel_fill(self->fd, self->length, 4));
	ASSERT_EQ(0, buf_destroy(NAME));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(self->length, mismatch(p, self->length, 4));
	munmap(p, self->length);
}

/* O_PATH holds a name and no file: the buffer goes, and leads nowhere. */
TEST_F(life, path_alone_does_not_keep_it)
{
	struct kubuf_info info;
	char debugfs[64];
	int path, again;

	path = reopen(self->fd, O_PATH);
	ASSERT_LE(0, path);
	again = reopen(path, O_RDONLY);
	EXPECT_LE(0, again);
	close(again);
	ASSERT_EQ(0, buf_info(self->fd, &info));
	snprintf(debugfs, sizeof(debugfs), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	close(self->fd);
	self->fd = -1;
	/* With its last file went what the path leads to, not yet the buffer. */
	EXPECT_EQ(-ENXIO, reopen(path, O_RDONLY));
	again = node_open(NAME, O_RDWR);
	EXPECT_LE(0, again);
	EXPECT_EQ(-ENXIO, reopen(path, O_RDONLY));
	close(again);
	ASSERT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-1, access(debugfs, F_OK));
	EXPECT_EQ(-ENXIO, reopen(path, O_RDONLY));
	close(path);
}

/* Its file in debugfs is there as long as the buffer, named or not. */
TEST_F(life, debugfs_file)
{
	struct kubuf_info info;
	char path[64];
	char *p;

	ASSERT_EQ(0, buf_info(self->fd, &info));
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	if (access(path, F_OK))
		SKIP(return, "debugfs is not mounted");
	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, buf_destroy(NAME));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, access(path, F_OK));
	munmap(p, self->length);
	EXPECT_EQ(-1, access(path, F_OK));
	EXPECT_EQ(ENOENT, errno);
}

/* Faults need nothing that a close takes away. */
TEST_F(life, closed_before_the_first_touch)
{
	int fd = buf_create(variant->backing, self->length, variant->flags);
	char *p;

	ASSERT_LE(0, fd);
	p = map_all(fd, self->length);
	ASSERT_NE(NULL, p);
	close(fd);
	EXPECT_TRUE(all_bytes(p, self->length, 0));
	fill(p, self->length, 5);
	EXPECT_EQ(self->length, mismatch(p, self->length, 5));
	munmap(p, self->length);
}

struct peer {
	int sock;
	size_t length;
};

/* Map what comes, check it, answer in it. */
static long peer(void *arg)
{
	struct peer *peer = arg;
	int fd = receive_fd(peer->sock, MSG_CMSG_CLOEXEC);
	char *p;

	if (fd < 0)
		return fd;
	p = map_all(fd, peer->length);
	if (!p)
		return -errno;
	if (mismatch(p, peer->length, 6) != peer->length)
		return 1;
	fill(p, peer->length, 7);
	/* This one, the sender's, and what was inherited of that. */
	return buf_mappings(fd) == 3 ? 0 : 2;
}

TEST_F(life, sent_over_a_socket)
{
	struct peer arg = { .length = self->length };
	int sv[2], fd;
	char *p;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, fd);
	p = map_all(fd, self->length);
	ASSERT_NE(NULL, p);
	fill(p, self->length, 6);
	/* On its way it is in no process. */
	ASSERT_EQ(0, send_fd(sv[0], fd));
	close(fd);
	arg.sock = sv[1];
	EXPECT_EQ(0, in_child(peer, &arg));
	EXPECT_EQ(self->length, mismatch(p, self->length, 7));
	munmap(p, self->length);
	close(sv[0]);
	close(sv[1]);
}

/* A program that is started has neither the fd nor the mapping. */
TEST_F(life, exec)
{
	char script[64];
	int status;
	pid_t pid;

	snprintf(script, sizeof(script), "[ ! -e /proc/self/fd/%d ]", self->fd);
	pid = fork();
	if (!pid) {
		char *p = map_all(self->fd, self->length);

		if (!p || buf_mappings(self->fd) != 1)
			_exit(10);
		touch(p, self->length);
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(11);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

TEST_F(life, count_of_two_mappings)
{
	char *p, *q;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(1, buf_mappings(self->fd));
	q = map_all(self->fd, page_size());
	ASSERT_NE(NULL, q);
	EXPECT_EQ(2, buf_mappings(self->fd));
	munmap(p, self->length);
	EXPECT_EQ(1, buf_mappings(self->fd));
	munmap(q, page_size());
	EXPECT_EQ(0, buf_mappings(self->fd));
}

/* A child that inherits a mapping, and lives until it is told. */
static pid_t child_until(int *go_on)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = fork();
	if (!pid) {
		char byte;

		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1)
			_exit(0);
		_exit(1);
	}
	close(fds[0]);
	*go_on = fds[1];
	return pid;
}

TEST_F(life, count_of_a_fork)
{
	int go_on, status;
	pid_t pid;
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	touch(p, self->length);
	pid = child_until(&go_on);
	ASSERT_LT(0, pid);
	EXPECT_EQ(2, buf_mappings(self->fd));
	/* The parent's end does not touch the child's. */
	munmap(p, self->length);
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_EQ(1, write(go_on, "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, buf_mappings(self->fd));
	close(go_on);
}

TEST_F(life, count_of_a_killed_child)
{
	int go_on;
	pid_t pid;
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	touch(p, self->length);
	pid = child_until(&go_on);
	ASSERT_LT(0, pid);
	EXPECT_EQ(2, buf_mappings(self->fd));
	kill_wait(pid);
	EXPECT_EQ(1, buf_mappings(self->fd));
	munmap(p, self->length);
	close(go_on);
}

TEST_F(life, count_of_a_split)
{
	const size_t page = page_size();
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	fill(p, self->length, 8);
	ASSERT_EQ(0, munmap(p + 5 * page, page));
	EXPECT_EQ(2, buf_mappings(self->fd));
	EXPECT_EQ(5 * page, mismatch(p, 5 * page, 8));
	EXPECT_EQ(SIGSEGV, access_signal(p + 5 * page, false));
	for (size_t i = 6 * page; i < self->length; i++)
		ASSERT_EQ((char)pattern(i, 8), p[i]);
	ASSERT_EQ(0, munmap(p, 5 * page));
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_EQ(0, munmap(p, self->length));
	EXPECT_EQ(0, buf_mappings(self->fd));
}

/* A split before anything is touched: each part finds its own pages. */
TEST_F(life, split_before_the_first_touch)
{
	const size_t page = page_size();
	char *p;

	ASSERT_TRUE(kernel_fill(self->fd, self->length, 9));
	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, munmap(p + 20 * page, 3 * page));
	for (size_t i = 23 * page; i < self->length; i++)
		ASSERT_EQ((char)pattern(i, 9), p[i]);
	EXPECT_EQ(20 * page, mismatch(p, 20 * page, 9));
	munmap(p, self->length);
}

TEST_F(life, count_of_trimmed_ends)
{
	const size_t page = page_size();
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, munmap(p, page));
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_EQ(0, munmap(p + self->length - page, page));
	EXPECT_EQ(1, buf_mappings(self->fd));
	munmap(p, self->length);
}

/* Protection in the middle makes three of one. */
TEST_F(life, count_of_mprotect)
{
	const size_t page = page_size();
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, mprotect(p + 7 * page, page, PROT_READ));
	EXPECT_EQ(3, buf_mappings(self->fd));
	EXPECT_EQ(SIGSEGV, access_signal(p + 7 * page, true));
	EXPECT_EQ(0, access_signal(p + 8 * page, true));
	munmap(p, self->length);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

TEST_F(life, count_of_a_move)
{
	char *p, *to, *q;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	fill(p, self->length, 10);
	to = mmap(NULL, self->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1, 0);
	ASSERT_NE(MAP_FAILED, to);
	q = mremap(p, self->length, self->length,
		   MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, q);
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(self->length, mismatch(q, self->length, 10));
	EXPECT_EQ(SIGSEGV, access_signal(p, false));
	munmap(q, self->length);
}

TEST_F(life, count_of_shrinking)
{
	const size_t page = page_size();
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(p, mremap(p, self->length, page, 0));
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(SIGSEGV, access_signal(p + page, false));
	munmap(p, page);
}

/* The new mapping is there before or after the old one, never both. */
TEST_F(life, count_of_fixed_over_itself)
{
	const size_t page = page_size();
	char *p;

	ASSERT_TRUE(kernel_fill(self->fd, self->length, 11));
	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	touch(p, self->length);
	ASSERT_EQ(p, mmap(p, self->length, PROT_READ, MAP_SHARED | MAP_FIXED,
			  self->fd, 0));
	EXPECT_EQ(1, buf_mappings(self->fd));
	EXPECT_EQ(self->length, mismatch(p, self->length, 11));
	/* One page of the middle shows another page of the buffer. */
	ASSERT_EQ(p + 9 * page, mmap(p + 9 * page, page, PROT_READ,
				     MAP_SHARED | MAP_FIXED, self->fd,
				     2 * page));
	EXPECT_EQ(3, buf_mappings(self->fd));
	EXPECT_EQ(0, memcmp(p + 9 * page, p + 2 * page, page));
	EXPECT_EQ((char)pattern(10 * page, 11), p[10 * page]);
	munmap(p, self->length);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

TEST_F(life, count_of_memory_fixed_over_it)
{
	char *p;

	p = map_all(self->fd, self->length);
	ASSERT_NE(NULL, p);
	p[0] = 'k';
	ASSERT_EQ(p, mmap(p, self->length, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_EQ(0, p[0]);
	munmap(p, self->length);
}

/* A mapping that is refused is not counted. */
TEST_F(life, count_of_refused_mappings)
{
	const int prot = PROT_READ | PROT_WRITE;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->length + page_size(), prot,
				   MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), prot, MAP_SHARED,
				   self->fd, self->length));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), prot | PROT_EXEC,
				   MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, buf_mappings(self->fd));
}

/* At the limit of mappings a split cannot be. */
static long split_at_the_limit(void *arg)
{
	const size_t page = page_size();
	int fd = *(int *)arg;
	long n = file_number("/proc/sys/vm/max_map_count");
	char *p = map_all(fd, 8 * page);
	char *fillers;

	if (!p)
		return -errno;
	/* Every second page has another protection: each is a mapping. */
	fillers = mmap(NULL, (n + 2) * page, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fillers == MAP_FAILED)
		return -errno;
	for (long i = 1; i <= n; i += 2)
		if (mprotect(fillers + i * page, page, PROT_READ)) {
			if (errno != ENOMEM)
				return -errno;
			break;
		}
	/* One may be left. It is used up here, and none by what fails. */
	while (mmap(NULL, page, PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0) != MAP_FAILED)
		;
	if (!munmap(p + 3 * page, page))
		return 1;
	if (errno != ENOMEM)
		return -errno;
	if (buf_mappings(fd) != 1)
		return 2;
	/* All of it is still there. */
	fill(p, 8 * page, 12);
	if (mismatch(p, 8 * page, 12) != 8 * page)
		return 3;
	/* An end can go: that makes no second mapping. */
	if (munmap(p + 7 * page, page) || buf_mappings(fd) != 1)
		return 4;
	if (munmap(p, 8 * page) || buf_mappings(fd))
		return 5;
	return 0;
}

TEST_F_TIMEOUT(life, split_at_the_limit_of_mappings, 900)
{
	const char *path = "/proc/sys/vm/max_map_count";
	/*
	 * Some systems allow a million, which takes long. The kernel's default
	 * harms nobody meanwhile.
	 */
	const long long most = rounds(65530);
	long long limit = file_number(path);
	char text[32];

	ASSERT_LT(0, limit);
	snprintf(text, sizeof(text), "%lld", most);
	if (limit > most)
		ASSERT_EQ(0, file_write(path, text));
	EXPECT_EQ(0, in_child(split_at_the_limit, &self->fd));
	EXPECT_EQ(0, buf_mappings(self->fd));
	snprintf(text, sizeof(text), "%lld", limit);
	EXPECT_EQ(0, file_write(path, text));
}

/* What a child that is going to be killed does, again and again. */
struct stage {
	int fd;
	size_t length;
	__u32 backing;
	__u32 flags;
	long rounds;
};

static void stage_create(struct stage *s)
{
	close(buf_create(s->backing, 4 * MIB, s->flags));
}

static void stage_name(struct stage *s)
{
	close(buf_create_named(NAME "-2", s->backing, s->length, s->flags, 0));
	buf_destroy(NAME "-2");
}

static void stage_open(struct stage *s)
{
	(void)s;
	close(node_open(NAME, O_RDWR));
}

static void stage_map(struct stage *s)
{
	char *p = map_all(s->fd, s->length);

	munmap(p + s->length / 2, page_size());
	munmap(p, s->length);
}

static void stage_fault(struct stage *s)
{
	char *p = map_all(s->fd, s->length);

	for (size_t off = 0; off < s->length; off += page_size())
		p[off] = 1;
	munmap(p, s->length);
}

static void stage_copy(struct stage *s)
{
	static char buf[256 * KIB];

	if (pwrite(s->fd, buf, s->length, 0) < 0 ||
	    pread(s->fd, buf, s->length, 0) < 0)
		_exit(1);
}

static void stage_fork(struct stage *s)
{
	char *p = map_all(s->fd, s->length);
	pid_t pid;

	touch(p, s->length);
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	munmap(p, s->length);
}

static void loop(void (*stage)(struct stage *s), struct stage *s)
{
	for (;;) {
		stage(s);
		__atomic_fetch_add(&s->rounds, 1, __ATOMIC_RELEASE);
	}
}

/* Kill children at a stage: how many of them left something behind. */
static int kill_at(void (*stage)(struct stage *s), struct stage *s)
{
	long long users = file_number("/sys/module/kubuf/refcnt");
	int bad = 0;

	for (long i = 0; i < rounds(25); i++) {
		pid_t pid;

		s->rounds = 0;
		pid = fork();
		if (pid < 0)
			return -1;
		if (!pid)
			loop(stage, s);
		/* Not after a time but in some round, wherever that finds it */
		while (__atomic_load_n(&s->rounds, __ATOMIC_ACQUIRE) < i % 6)
			sched_yield();
		kill_wait(pid);
		bad += buf_mappings(s->fd) != 0;
		if (stage == stage_name)
			buf_destroy(NAME "-2");
		bad += file_number("/sys/module/kubuf/refcnt") != users;
	}
	return bad;
}

static struct stage *stage_new(int fd, size_t length, __u32 backing,
			       __u32 flags)
{
	struct stage *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		abort();
	*s = (struct stage) {
		.fd = fd,
		.length = length,
		.backing = backing,
		.flags = flags,
	};
	return s;
}

#define KILL_AT(stage)							\
	kill_at(stage, stage_new(self->fd, self->length,		\
				 variant->backing, variant->flags))

TEST_F_TIMEOUT(life, killed_while_creating, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_create));
}

TEST_F_TIMEOUT(life, killed_while_naming, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_name));
}

TEST_F_TIMEOUT(life, killed_while_opening, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_open));
}

TEST_F_TIMEOUT(life, killed_while_mapping, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_map));
}

TEST_F_TIMEOUT(life, killed_while_faulting, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_fault));
}

TEST_F_TIMEOUT(life, killed_while_copying, 900)
{
	EXPECT_EQ(0, KILL_AT(stage_copy));
}

TEST_F_TIMEOUT(life, killed_while_forking, 900)
{
	struct stage *s = stage_new(self->fd, self->length, variant->backing,
				    variant->flags);

	/* The grandchild may end a little later than the child. */
	for (long i = 0; i < rounds(25); i++) {
		int alive[2];
		char byte;
		pid_t pid;

		ASSERT_EQ(0, pipe(alive));
		s->rounds = 0;
		pid = fork();
		if (!pid)
			loop(stage_fork, s);
		ASSERT_LT(0, pid);
		close(alive[1]);
		while (__atomic_load_n(&s->rounds, __ATOMIC_ACQUIRE) < i % 6)
			sched_yield();
		kill_wait(pid);
		/* The end of the file is the end of the last of them. */
		EXPECT_EQ(0, read(alive[0], &byte, 1));
		close(alive[0]);
		for (int t = 0; t < 1000 && buf_mappings(self->fd); t++)
			usleep(1000);
		EXPECT_EQ(0, buf_mappings(self->fd));
	}
}

TEST_HARNESS_MAIN
