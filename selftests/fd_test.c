// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file descriptor of a buffer is one like any other: how it comes to
 * another process, what it may do there, what exec() leaves of it.
 */
#include <poll.h>
#include <sched.h>
#include <sys/uio.h>

#include <linux/close_range.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_pass.h"
#include "kubuf_task.h"

#define NAME	"fd-test"
#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(fd) {
	int fd;
	size_t len;
};

FIXTURE_VARIANT(fd) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(fd);

FIXTURE_SETUP(fd)
{
	buf_destroy(NAME);
	self->len = 8 * page_size();
	self->fd = buf_create_named(NAME, variant->backing, self->len,
				    variant->flags, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
}

FIXTURE_TEARDOWN(fd)
{
	close(self->fd);
	buf_destroy(NAME);
}

/* What a reader must not be able to do: 0, or the number of what went wrong. */
static int widens(int ro, size_t len)
{
	char *p;

	if (pwrite(ro, "x", 1, 0) != -1 || errno != EBADF)
		return 1;
	if (buf_map(ro, len, RW) != MAP_FAILED || errno != EACCES)
		return 2;
	p = buf_map(ro, len, PROT_READ);
	if (p == MAP_FAILED || mismatch(p, len, 1) != len)
		return 3;
	if (!mprotect(p, len, RW) || errno != EACCES)
		return 4;
	if (access_signal(p, true) != SIGSEGV)
		return 5;
	munmap(p, len);
	return 0;
}

/*
 * A child with a buffer of its own, without a node, filled and with the
 * position at 5: its pid, and the number of its fd.
 */
static pid_t holder(__u32 backing, __u32 create, size_t len, int flags,
		    int *theirs)
{
	int ready[2];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		int fd = buf_create(backing, len, create);

		if (fd < 0 || !kernel_fill(fd, len, 1))
			_exit(1);
		if (flags != O_RDWR)
			fd = reopen(fd, flags);
		if (lseek(fd, 5, SEEK_SET) == 5 &&
		    write(ready[1], &fd, sizeof(fd)) == sizeof(fd))
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], theirs, sizeof(*theirs)) !=
	    sizeof(*theirs))
		pid = -1;
	close(ready[0]);
	return pid;
}

static int take(pid_t pid, int theirs)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int fd;

	if (pidfd < 0)
		return -errno;
	fd = syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	if (fd < 0)
		fd = -errno;
	close(pidfd);
	return fd;
}

/* What is taken is the file itself, with its position, not a new one. */
TEST_F(fd, pidfd_getfd)
{
	int theirs, fd;
	pid_t pid;
	char *p;

	pid = holder(variant->backing, variant->flags, self->len, O_RDWR,
		     &theirs);
	ASSERT_LT(0, pid);
	fd = take(pid, theirs);
	kill_wait(pid);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(5, lseek(fd, 0, SEEK_CUR));
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	EXPECT_EQ(self->len, mismatch(p, self->len, 1));
	munmap(p, self->len);
}

TEST_F(fd, pidfd_getfd_of_a_reader)
{
	int theirs, fd;
	pid_t pid;

	pid = holder(variant->backing, variant->flags, self->len, O_RDONLY,
		     &theirs);
	ASSERT_LT(0, pid);
	fd = take(pid, theirs);
	kill_wait(pid);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, widens(fd, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(fd, self->len, 1));
	close(fd);
}

/* A new file, with a position of its own, and only as much as was asked for. */
TEST_F(fd, reopened_through_another_process)
{
	char path[64];
	int theirs, fd;
	pid_t pid;

	pid = holder(variant->backing, variant->flags, self->len, O_RDWR,
		     &theirs);
	ASSERT_LT(0, pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, theirs);
	fd = open(path, O_RDONLY);
	kill_wait(pid);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(0, widens(fd, self->len));
	EXPECT_EQ(self->len, kernel_mismatch(fd, self->len, 1));
	close(fd);
}

/* fcntl() answers 0 and ignores the mode. */
TEST_F(fd, status_flags_do_not_widen)
{
	int ro = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, ro);
	ASSERT_EQ(0, fcntl(ro, F_SETFL, O_RDWR));
	EXPECT_EQ(O_RDONLY, fcntl(ro, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, widens(ro, self->len));
	close(ro);
}

TEST_F(fd, cannot_be_made_direct)
{
	EXPECT_EQ(-1, fcntl(self->fd, F_SETFL, O_DIRECT));
	EXPECT_EQ(EINVAL, errno);
}

struct reader {
	int sock;
	int fd;
	size_t len;
};

static long read_what_comes(void *arg)
{
	struct reader *r = arg;
	int fd;

	close(r->fd);
	fd = receive_fd(r->sock, MSG_CMSG_CLOEXEC);
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_GETFD) != FD_CLOEXEC)
		return 10;
	if (reopen(fd, O_RDWR) != -EACCES)
		return 11;
	return widens(fd, r->len);
}

/* A message hands on no more than the sender's file may do. */
TEST_F(fd, reader_sent_over_a_socket)
{
	struct reader r = { .fd = self->fd, .len = self->len };
	int ro = reopen(self->fd, O_RDONLY), sv[2];

	ASSERT_LE(0, ro);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	ASSERT_EQ(0, send_fd(sv[0], ro));
	close(ro);
	r.sock = sv[1];
	/* Mapping a reserved one takes a capability that this user has not. */
	EXPECT_EQ(variant->flags & KUBUF_CREATE_RESERVED ? 3 : 0,
		  as_user(NOBODY, read_what_comes, &r));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(sv[0]);
	close(sv[1]);
}

/* One that only reaches itself is found to be garbage by the core. */
TEST_F(fd, lost_in_a_circle_of_sockets)
{
	int fd = buf_create(variant->backing, self->len, variant->flags);
	struct kubuf_info info;
	char path[64];
	int sv[2];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &info));
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	ASSERT_EQ(0, send_fd(sv[0], fd));
	ASSERT_EQ(0, send_fd(sv[0], sv[1]));
	ASSERT_EQ(0, send_fd(sv[1], sv[0]));
	close(fd);
	ASSERT_EQ(0, access(path, F_OK));
	close(sv[0]);
	close(sv[1]);
	/* It looks when a socket is closed, on newer kernels by a worker. */
	for (int i = 0; i < 1000 && !access(path, F_OK); i++) {
		close(socket(AF_UNIX, SOCK_STREAM, 0));
		usleep(10000);
	}
	EXPECT_EQ(-1, access(path, F_OK));
	EXPECT_EQ(ENOENT, errno);
}

/* What a shell makes of SCRIPT, started by a child: its exit status. */
static int shell(const char *script)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* dup2() leaves out close-on-exec: the program started has the buffer. */
TEST_F(fd, kept_by_exec)
{
	char seen[4] = "";

	ASSERT_EQ(9, dup2(self->fd, 9));
	EXPECT_EQ(0, shell("printf seen >&9"));
	EXPECT_EQ(4, lseek(self->fd, 0, SEEK_CUR));
	close(9);
	EXPECT_EQ(4, pread(self->fd, seen, sizeof(seen), 0));
	EXPECT_EQ(0, memcmp(seen, "seen", sizeof(seen)));
}

/* 0 if a program that is started has no such fd. */
static int kept_fd(int fd)
{
	char script[64];

	snprintf(script, sizeof(script), "[ ! -e /proc/self/fd/%d ]", fd);
	return shell(script);
}

TEST_F(fd, node_is_closed_by_exec)
{
	int fd = open("/dev/kubuf/" NAME, O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(1, kept_fd(fd));
	ASSERT_EQ(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
	EXPECT_EQ(0, kept_fd(fd));
	close(fd);
	fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, kept_fd(fd));
	close(fd);
}

TEST_F(fd, duplicate_is_closed_by_exec)
{
	int kept = dup(self->fd);
	int fd = fcntl(self->fd, F_DUPFD_CLOEXEC, 20);

	ASSERT_LE(0, kept);
	EXPECT_LE(20, fd);
	EXPECT_EQ(1, kept_fd(kept));
	EXPECT_EQ(0, kept_fd(fd));
	close(fd);
	close(kept);
}

TEST_F(fd, range_is_closed_by_exec)
{
	int fd = dup2(self->fd, 60);

	ASSERT_EQ(60, fd);
	EXPECT_EQ(1, kept_fd(fd));
	ASSERT_EQ(0, syscall(SYS_close_range, fd, fd, CLOSE_RANGE_CLOEXEC));
	EXPECT_EQ(0, kept_fd(fd));
	close(fd);
}

/* No call on a buffer waits for anybody, so that nothing would block. */
TEST_F(fd, opened_nonblocking)
{
	const int opened[] = {
		node_open(NAME, O_RDWR | O_NONBLOCK),
		reopen(self->fd, O_RDWR | O_NONBLOCK),
	};

	for (size_t i = 0; i < ARRAY_SIZE(opened); i++) {
		struct pollfd ready = { .fd = opened[i],
					.events = POLLIN | POLLOUT };
		char *p;

		ASSERT_LE(0, opened[i]);
		EXPECT_TRUE(fcntl(opened[i], F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(1, poll(&ready, 1, 0));
		EXPECT_EQ(POLLIN | POLLOUT, ready.revents);
		ASSERT_TRUE(kernel_fill(opened[i], self->len, 3 + i));
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len,
						     3 + i));
		p = buf_map(opened[i], self->len, RW);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(self->len, mismatch(p, self->len, 3 + i));
		munmap(p, self->len);
		close(opened[i]);
	}
}

/* The end of the buffer, not a call that would have to wait. */
TEST_F(fd, nonblocking_at_the_end)
{
	int fd = reopen(self->fd, O_RDWR | O_NONBLOCK);
	char byte;

	ASSERT_LE(0, fd);
	ASSERT_EQ((off_t)self->len, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, read(fd, &byte, 1));
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(ENOSPC, errno);
	close(fd);
}

/* The same of a single call. */
TEST_F(fd, nowait_of_one_call)
{
	char *data = malloc(self->len);
	struct iovec iov = { data, self->len };

	ASSERT_NE(NULL, data);
	EXPECT_EQ((ssize_t)self->len,
		  preadv2(self->fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(self->len, mismatch(data, self->len, 1));
	fill(data, self->len, 2);
	EXPECT_EQ((ssize_t)self->len,
		  pwritev2(self->fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 2));
	free(data);
}

/* A promise that nobody has made. */
TEST_F(fd, unknown_flag_of_one_call)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };

	EXPECT_EQ(-1, preadv2(self->fd, &iov, 1, 0, 1 << 30));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, pwritev2(self->fd, &iov, 1, 0, 1 << 30));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

TEST_HARNESS_MAIN
