// SPDX-License-Identifier: GPL-2.0-only
/*
 * Telling others that there is something new: KUBUF_NOTIFY, its number, poll()
 * and eventfds.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define NAME	"notify-test"

/* Long enough that only a wake-up that was lost takes as long, in ms. */
#define LOST	60000

static int notify(int fd)
{
	struct kubuf_notify n = { .size = sizeof(n) };

	return kioctl(fd, KUBUF_NOTIFY, &n);
}

static int watch(int fd, int eventfd)
{
	struct kubuf_eventfd e = { .size = sizeof(e), .fd = eventfd };

	return kioctl(fd, KUBUF_EVENTFD, &e);
}

/* The number of notifications, which FD has then seen; negative on error. */
static long long sequence(int fd)
{
	struct kubuf_info info;
	int ret = buf_info(fd, &info);

	return ret ? ret : (long long)info.sequence;
}

/* What poll() says of FD after at most TIMEOUT ms; -1 if nothing. */
static int poll_for(int fd, short events, int timeout)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, timeout) == 1 ? p.revents : -1;
}

/* What an eventfd has counted since it was last read. */
static long long counted(int fd)
{
	eventfd_t value;

	return eventfd_read(fd, &value) ? -errno : (long long)value;
}

FIXTURE(notify)
{
	int fd;
	int other;	/* another file of the same buffer */
	int event;
};

FIXTURE_SETUP(notify)
{
	self->fd = buf_create(KUBUF_BACKING_VMALLOC, page_size(), 0);
	ASSERT_LE(0, self->fd);
	self->other = reopen(self->fd, O_RDWR);
	ASSERT_LE(0, self->other);
	self->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_LE(0, self->event);
}

FIXTURE_TEARDOWN(notify)
{
	close(self->event);
	close(self->other);
	close(self->fd);
}

TEST_F(notify, counts)
{
	EXPECT_EQ(0, sequence(self->fd));
	for (int i = 1; i <= 3; i++) {
		EXPECT_EQ(0, notify(self->fd));
		EXPECT_EQ(i, sequence(self->other));
	}
}

TEST_F(notify, shown_in_fdinfo)
{
	char value[16];

	EXPECT_EQ(0, notify(self->fd));
	ASSERT_TRUE(fdinfo_value(self->fd, "kubuf-sequence", value,
				 sizeof(value)));
	EXPECT_STREQ("1", value);
}

TEST_F(notify, shown_in_the_list)
{
	struct kubuf_info info;
	int fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, notify(fd));
	EXPECT_EQ(0, list_find(NAME, &info));
	EXPECT_EQ(1U, info.sequence);
	EXPECT_EQ(0, buf_destroy(NAME));
	close(fd);
}

TEST_F(notify, after_the_node_has_gone)
{
	int fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(0, notify(fd));
	EXPECT_EQ(1, sequence(fd));
	close(fd);
}

TEST_F(notify, not_through_a_read_only_file)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, notify(fd));
	EXPECT_EQ(0, sequence(fd));
	close(fd);
}

TEST_F(notify, flags_are_refused)
{
	struct kubuf_notify n = { .size = sizeof(n), .flags = 1 };

	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_NOTIFY, &n));
	EXPECT_EQ(0, sequence(self->fd));
}

TEST_F(notify, sizes)
{
	struct {
		struct kubuf_notify n;
		__u64 more;
	} big = { .n.size = sizeof(big) };

	EXPECT_EQ(0, kioctl(self->fd, KUBUF_NOTIFY, &big));
	big.more = 1;
	EXPECT_EQ(-E2BIG, kioctl(self->fd, KUBUF_NOTIFY, &big));
	big.n.size = sizeof(big.n) - 1;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_NOTIFY, &big));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_NOTIFY, NULL));
	EXPECT_EQ(1, sequence(self->fd));
}

TEST_F(notify, reading_and_writing_never_wait)
{
	EXPECT_EQ(POLLIN | POLLOUT, poll_for(self->fd, POLLIN | POLLOUT, 0));
}

TEST_F(notify, poll_says_so_until_asked)
{
	EXPECT_EQ(-1, poll_for(self->fd, POLLPRI, 0));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(POLLPRI, poll_for(self->fd, POLLPRI, 0));
	EXPECT_EQ(POLLPRI, poll_for(self->fd, POLLPRI, 0));
	EXPECT_EQ(1, sequence(self->fd));
	EXPECT_EQ(-1, poll_for(self->fd, POLLPRI, 0));
}

TEST_F(notify, each_file_asks_for_itself)
{
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, sequence(self->fd));
	EXPECT_EQ(POLLPRI, poll_for(self->other, POLLPRI, 0));
}

TEST_F(notify, a_question_that_fails_does_not_count)
{
	struct kubuf_info *info = mmap(NULL, page_size(), PROT_READ |
				       PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				       -1, 0);

	ASSERT_NE(MAP_FAILED, info);
	info->size = sizeof(*info);
	ASSERT_EQ(0, mprotect(info, page_size(), PROT_READ));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO, info));
	EXPECT_EQ(POLLPRI, poll_for(self->fd, POLLPRI, 0));
	munmap(info, page_size());
}

TEST_F(notify, a_new_file_has_seen_what_was)
{
	int fd;

	EXPECT_EQ(0, notify(self->fd));
	fd = reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, poll_for(fd, POLLPRI, 0));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(POLLPRI, poll_for(fd, POLLPRI, 0));
	close(fd);
}

TEST_F(notify, an_edge_each_time)
{
	struct epoll_event e = { .events = EPOLLPRI | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &e));
	EXPECT_EQ(0, epoll_wait(ep, &e, 1, 0));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, notify(self->other));
		EXPECT_EQ(1, epoll_wait(ep, &e, 1, 0));
		EXPECT_EQ((__u32)EPOLLPRI, e.events);
		EXPECT_EQ(0, epoll_wait(ep, &e, 1, 0));
	}
	close(ep);
}

TEST_F(notify, an_eventfd_counts)
{
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(-EAGAIN, counted(self->event));
	EXPECT_EQ(0, notify(self->other));
	EXPECT_EQ(1, counted(self->event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(0, notify(self->other));
	EXPECT_EQ(2, counted(self->event));
}

TEST_F(notify, an_eventfd_through_a_read_only_file)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, watch(fd, self->event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, counted(self->event));
	close(fd);
}

TEST_F(notify, an_eventfd_for_each_file)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(0, watch(self->other, event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, counted(self->event));
	EXPECT_EQ(1, counted(event));
	close(event);
}

TEST_F(notify, one_eventfd_for_two_files)
{
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(0, watch(self->other, self->event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(2, counted(self->event));
}

TEST_F(notify, an_eventfd_is_replaced)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	EXPECT_EQ(0, watch(self->fd, event));
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, counted(self->event));
	EXPECT_EQ(-EAGAIN, counted(event));
	close(event);
}

TEST_F(notify, an_eventfd_is_taken_away)
{
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(0, watch(self->fd, -1));
	EXPECT_EQ(0, watch(self->fd, -1));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(-EAGAIN, counted(self->event));
}

TEST_F(notify, an_eventfd_goes_with_its_file)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, watch(fd, self->event));
	close(fd);
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(-EAGAIN, counted(self->event));
}

/* Signalled though nobody else has it any more: nothing is to happen. */
TEST_F(notify, an_eventfd_that_is_closed)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	EXPECT_EQ(0, watch(self->fd, event));
	close(event);
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, sequence(self->fd));
}

TEST_F(notify, an_eventfd_that_is_none)
{
	EXPECT_EQ(-EINVAL, watch(self->fd, self->fd));
	EXPECT_EQ(-EBADF, watch(self->fd, next_fd()));
	EXPECT_EQ(-EBADF, watch(self->fd, -2));
	/* What was there before stays. */
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(-EINVAL, watch(self->fd, self->fd));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, counted(self->event));
}

TEST_F(notify, eventfd_fields)
{
	struct kubuf_eventfd e = { .size = sizeof(e), .fd = self->event };

	e.flags = 1;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_EVENTFD, &e));
	e.flags = 0;
	e.__reserved = 1;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_EVENTFD, &e));
	e.__reserved = 0;
	e.size--;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_EVENTFD, &e));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_EVENTFD, NULL));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(-EAGAIN, counted(self->event));
}

/* An eventfd that has counted all it can must not make the caller wait. */
TEST_F(notify, an_eventfd_that_is_full)
{
	const eventfd_t most = UINT64_MAX - 1;

	ASSERT_EQ(0, eventfd_write(self->event, most));
	EXPECT_EQ(0, watch(self->fd, self->event));
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(1, sequence(self->fd));
}

struct sleeper {
	int fd;
	pid_t tid;
	int revents;
};

static void *sleep_in_poll(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->revents = poll_for(s->fd, POLLPRI, LOST);
	return NULL;
}

/* Wait until a thread sleeps. */
static bool is_asleep(const pid_t *at)
{
	char path[64], line[256];
	const char *state;
	pid_t tid;

	for (int i = 0; i < LOST; i++) {
		tid = __atomic_load_n(at, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		if (tid && !file_line(path, line, sizeof(line))) {
			state = strrchr(line, ')');
			if (state && state[2] == 'S')
				return true;
		}
		usleep(1000);
	}
	return false;
}

TEST_F(notify, wakes_who_polls)
{
	struct sleeper s = { .fd = self->other };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sleep_in_poll, &s));
	EXPECT_TRUE(is_asleep(&s.tid));
	EXPECT_EQ(0, notify(self->fd));
	pthread_join(thread, NULL);
	EXPECT_EQ(POLLPRI, s.revents);
}

/* poll() keeps the file: who sleeps is woken, and then finds no file there. */
TEST_F(notify, close_under_poll)
{
	struct sleeper s = { .fd = reopen(self->fd, O_RDONLY) };
	pthread_t thread;

	ASSERT_LE(0, s.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, sleep_in_poll, &s));
	EXPECT_TRUE(is_asleep(&s.tid));
	close(s.fd);
	EXPECT_EQ(0, notify(self->fd));
	pthread_join(thread, NULL);
	EXPECT_EQ(POLLNVAL, s.revents);
}

/* The file goes while it is in an epoll set. */
TEST_F(notify, close_under_epoll)
{
	struct epoll_event e = { .events = EPOLLPRI };
	int fd = reopen(self->fd, O_RDONLY);
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	close(fd);
	EXPECT_EQ(0, notify(self->fd));
	EXPECT_EQ(0, epoll_wait(ep, &e, 1, 0));
	close(ep);
}

#define PRODUCERS	4

struct storm {
	int fd;
	int event;	/* or -1 */
	long each;	/* notifications of a producer */
	long long seen;
};

static void *produce(void *arg)
{
	const struct storm *storm = arg;

	for (long i = 0; i < storm->each; i++) {
		if (notify(storm->fd))
			return arg;
		/* So that the consumer sleeps again, now and then. */
		if (i % 64 == 0)
			usleep(200);
		else if (i % 8 == 0)
			sched_yield();
	}
	return NULL;
}

/* Sleep until all was seen; false if a wake-up was lost. */
static bool consume(struct storm *storm)
{
	int fd = storm->event < 0 ? storm->fd : storm->event;
	short events = storm->event < 0 ? POLLPRI : POLLIN;
	long long n;

	while (storm->seen < PRODUCERS * storm->each) {
		if (poll_for(fd, events, LOST) != events)
			return false;
		if (storm->event < 0) {
			storm->seen = sequence(fd);
		} else {
			n = counted(fd);
			if (n <= 0)
				return false;
			storm->seen += n;
		}
	}
	return true;
}

static bool run_storm(struct storm *storm)
{
	pthread_t thread[PRODUCERS];
	bool good;
	void *err;

	for (int i = 0; i < PRODUCERS; i++)
		if (pthread_create(&thread[i], NULL, produce, storm))
			return false;
	good = consume(storm);
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(thread[i], &err);
		good &= !err;
	}
	return good;
}

TEST_F(notify, no_wakeup_is_lost)
{
	struct storm storm = {
		.fd = self->fd,
		.event = -1,
		.each = rounds(20000),
	};

	EXPECT_TRUE(run_storm(&storm));
	EXPECT_EQ(PRODUCERS * storm.each, storm.seen);
	EXPECT_EQ(PRODUCERS * storm.each, sequence(self->fd));
}

TEST_F(notify, no_signal_is_lost)
{
	struct storm storm = {
		.fd = self->fd,
		.event = self->event,
		.each = rounds(20000),
	};

	ASSERT_EQ(0, watch(self->other, self->event));
	EXPECT_TRUE(run_storm(&storm));
	EXPECT_EQ(PRODUCERS * storm.each, storm.seen);
}

static void *watch_and_not(void *arg)
{
	const struct storm *storm = arg;
	void *err = NULL;

	for (long i = 0; i < storm->each && !err; i++)
		if (watch(storm->fd, i % 2 ? -1 : storm->event))
			err = arg;
	return err;
}

/* Files come, watch and go while others notify. */
TEST_F(notify, watchers_come_and_go)
{
	struct storm storm = {
		.fd = self->fd,
		.event = self->event,
		.each = rounds(4000),
	};
	pthread_t producer, watcher;
	void *err;
	int fd;

	ASSERT_EQ(0, pthread_create(&producer, NULL, produce, &storm));
	ASSERT_EQ(0, pthread_create(&watcher, NULL, watch_and_not, &storm));
	for (long i = 0; i < storm.each; i++) {
		fd = reopen(self->fd, O_RDONLY);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, watch(fd, self->event));
		close(fd);
	}
	pthread_join(watcher, &err);
	EXPECT_EQ(NULL, err);
	pthread_join(producer, &err);
	EXPECT_EQ(NULL, err);
	EXPECT_EQ(storm.each, sequence(self->fd));
}

TEST_HARNESS_MAIN
