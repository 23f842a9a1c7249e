// SPDX-License-Identifier: GPL-2.0-only
/*
 * The drivers of samples/, and through them what a driver can do with kubuf:
 * a buffer through a node of its own, a ring that the kernel fills, and a ring
 * that it empties.
 */
#include <time.h>

#include <kubuf_producer.h>
#include <kubuf_ring.h>

#include "kselftest_harness.h"
#include "kubuf_disk.h"
#include "kubuf_map.h"
#include "kubuf_module.h"

#define MINIMAL		"kubuf_minimal"
#define PRODUCER	"kubuf_producer"
#define ECHO		"kubuf_echo"

#define NODE		"/dev/kubuf-minimal"
#define TEXT		"Hello from the kernel\n"

/* In milliseconds, for what comes at once; in a test that is not to hang. */
#define LONG		60000

static int sample_unload(const char *name)
{
	return syscall(__NR_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static bool is_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

FIXTURE(minimal) {
	size_t page;
	char *writer;
	char *reader;
};

FIXTURE_SETUP(minimal)
{
	self->page = page_size();
	self->writer = MAP_FAILED;
	self->reader = MAP_FAILED;
	ASSERT_EQ(0, module_load_other(MINIMAL, ""));
}

FIXTURE_TEARDOWN(minimal)
{
	munmap(self->writer, self->page);
	munmap(self->reader, self->page);
	if (is_loaded(MINIMAL))
		EXPECT_EQ(0, sample_unload(MINIMAL));
}

/* Its page, with the access that is asked for; MAP_FAILED if it is refused. */
static char *minimal_map(int flags, int prot)
{
	int fd = open(NODE, flags | O_CLOEXEC), err;
	char *p;

	if (fd < 0)
		return MAP_FAILED;
	p = mmap(NULL, page_size(), prot, MAP_SHARED, fd, 0);
	err = errno;
	close(fd);
	errno = err;
	return p;
}

TEST_F(minimal, maps_its_text)
{
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	EXPECT_STREQ(TEXT, self->reader);
	EXPECT_TRUE(all_bytes(self->reader + sizeof(TEXT),
			      self->page - sizeof(TEXT), 0));
}

TEST_F(minimal, all_map_the_same_page)
{
	self->writer = minimal_map(O_RDWR, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->writer);
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	self->writer[0] = 'J';
	EXPECT_EQ('J', load(self->reader));
	EXPECT_EQ(pfn_of(self->writer), pfn_of(self->reader));
}

TEST_F(minimal, read_only_is_not_mapped_writable)
{
	self->writer = minimal_map(O_RDONLY, PROT_READ | PROT_WRITE);
	EXPECT_EQ(MAP_FAILED, self->writer);
	EXPECT_EQ(EACCES, errno);
}

TEST_F(minimal, read_only_does_not_become_writable)
{
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	EXPECT_EQ(-1, mprotect(self->reader, self->page,
			       PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(minimal, is_not_mapped_executable)
{
	EXPECT_EQ(MAP_FAILED, minimal_map(O_RDONLY, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EPERM, errno);
}

TEST_F(minimal, nothing_past_the_end_is_mapped)
{
	int fd = open(NODE, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * self->page, PROT_READ, MAP_SHARED,
				   fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->page, PROT_READ, MAP_SHARED, fd,
				   (off_t)self->page));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_F(minimal, goes_to_a_disk_without_a_copy)
{
	char text[sizeof(TEXT)];
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no file system for direct I/O");
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	ASSERT_EQ((ssize_t)self->page,
		  pwrite(disk, self->reader, self->page, 0));
	ASSERT_EQ(0, fcntl(disk, F_SETFL, 0));
	ASSERT_EQ((ssize_t)sizeof(text), pread(disk, text, sizeof(text), 0));
	EXPECT_STREQ(TEXT, text);
	close(disk);
}

TEST_F(minimal, open_node_keeps_it)
{
	int fd = open(NODE, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(MINIMAL));
	close(fd);
	EXPECT_EQ(0, sample_unload(MINIMAL));
	EXPECT_NE(0, access(NODE, F_OK));
}

TEST_F(minimal, mapping_alone_keeps_it)
{
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(MINIMAL));
	EXPECT_STREQ(TEXT, self->reader);
	munmap(self->reader, self->page);
	EXPECT_EQ(0, sample_unload(MINIMAL));
}

/* With a buffer of its own, in which the last user's stores are not. */
TEST_F(minimal, comes_again)
{
	self->writer = minimal_map(O_RDWR, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->writer);
	memset(self->writer, 'x', self->page);
	munmap(self->writer, self->page);
	ASSERT_EQ(0, sample_unload(MINIMAL));
	ASSERT_EQ(0, module_load_other(MINIMAL, ""));
	self->reader = minimal_map(O_RDONLY, PROT_READ);
	ASSERT_NE(MAP_FAILED, self->reader);
	EXPECT_STREQ(TEXT, self->reader);
	EXPECT_TRUE(all_bytes(self->reader + sizeof(TEXT),
			      self->page - sizeof(TEXT), 0));
}

TEST_F(minimal, keeps_kubuf)
{
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
}

/* The ring of a sample's node, by a file of its own. */
struct side {
	struct kubuf_ring ring;
	int fd;
};

static int side_open(struct side *side, const char *name)
{
	side->fd = node_open(name, O_RDWR);
	if (side->fd < 0)
		return side->fd;
	if (!kubuf_ring_open(&side->ring, side->fd))
		return 0;
	close(side->fd);
	return -errno;
}

static void side_close(struct side *side)
{
	kubuf_ring_close(&side->ring);
	close(side->fd);
}

FIXTURE(producer) {
	struct side side;
};

FIXTURE_SETUP(producer)
{
	/* Or it is in no state to be tested. */
	ASSERT_FALSE(is_loaded(PRODUCER));
}

FIXTURE_TEARDOWN(producer)
{
	if (is_loaded(PRODUCER))
		EXPECT_EQ(0, sample_unload(PRODUCER));
}

static long long producer_number(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/module/" PRODUCER "/parameters/%s",
		 name);
	return file_number(path);
}

static int producer_run(bool on)
{
	return file_write("/sys/module/" PRODUCER "/parameters/running",
			  on ? "1" : "0");
}

/* Wait until it has made so many; false if it does not. */
static bool producer_made(long long n)
{
	for (int i = 0; i < LONG / 10; i++) {
		if (producer_number("made") >= n)
			return true;
		usleep(10000);
	}
	return false;
}

/* Load it, so that it begins when the ring is mapped. */
static int producer_begin(struct side *side, const char *parameters)
{
	char all[256];
	int ret;

	snprintf(all, sizeof(all), "%s running=0", parameters);
	ret = module_load_other(PRODUCER, all);
	if (ret)
		return ret;
	ret = side_open(side, "producer");
	return ret ? ret : producer_run(true);
}

static bool is_right(const struct producer_record *record, size_t size)
{
	for (size_t i = 0; i < size / sizeof(record->words[0]); i++)
		if (record->words[i] != producer_word(record->sequence, i))
			return false;
	return true;
}

/* What came out of the ring up to its end. */
struct account {
	long long records;
	long long wrong;	/* of another length, or with other words */
	long long disorder;	/* not after the one before, in number and time */
	long long gaps;		/* numbers that did not come */
	__u64 first;
	__u64 last;
	int end;		/* errno of what ended it */
};

static void account_for(struct account *a, const struct producer_record *record,
			__u32 length, size_t size, __u64 *time)
{
	if (length != sizeof(*record) + size || !is_right(record, size))
		a->wrong++;
	if (!a->records++)
		a->first = record->sequence;
	else if (record->sequence <= a->last || record->time < *time)
		a->disorder++;
	else
		a->gaps += (long long)(record->sequence - a->last - 1);
	a->last = record->sequence;
	*time = record->time;
}

/* Consume until there will be no more, with a pause each so many records. */
static struct account consume(struct kubuf_ring *ring, size_t size, int pause)
{
	struct account a = { .end = 0 };
	const size_t room = sizeof(struct producer_record) + size;
	struct producer_record *copy = malloc(room);
	const void *record;
	__u32 length;
	__u64 time = 0;

	while (copy && !kubuf_ring_wait_data(ring, LONG)) {
		while ((record = kubuf_ring_next(ring, &length))) {
			memcpy(copy, record, length < room ? length : room);
			/* What was overwritten meanwhile is no record. */
			if (!kubuf_ring_release(ring))
				continue;
			account_for(&a, copy, length, size, &time);
			if (pause && a.records % pause == 0)
				usleep(1000);
		}
	}
	a.end = errno;
	free(copy);
	return a;
}

TEST_F(producer, all_records_come_in_order)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side,
				    "rate=2000 size=1000 count=1000"));
	a = consume(&self->side.ring, 1000, 0);
	EXPECT_EQ(ENODATA, a.end);
	EXPECT_EQ(1000, a.records);
	EXPECT_EQ(0U, a.first);
	EXPECT_EQ(0, a.wrong);
	EXPECT_EQ(0, a.disorder);
	EXPECT_EQ(0, a.gaps);
	EXPECT_EQ(1000, producer_number("made"));
	EXPECT_EQ(0, producer_number("lost"));
	side_close(&self->side);
}

TEST_F(producer, records_of_every_size)
{
	static const size_t sizes[] = { 0, 8, 16, 104, 4072, 4096, 65504 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char parameters[64];
		struct account a;

		snprintf(parameters, sizeof(parameters),
			 "rate=1000 count=15 size=%zu", sizes[i]);
		ASSERT_EQ(0, producer_begin(&self->side, parameters));
		a = consume(&self->side.ring, sizes[i], 0);
		EXPECT_EQ(15, a.records);
		EXPECT_EQ(0, a.wrong + a.disorder + a.gaps);
		side_close(&self->side);
		ASSERT_EQ(0, sample_unload(PRODUCER));
	}
}

/* More a second than there are ticks. */
TEST_F(producer, several_records_a_tick)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side,
				    "rate=500000 size=8 count=20000"));
	a = consume(&self->side.ring, 8, 0);
	EXPECT_EQ(20000, a.records);
	EXPECT_EQ(0, a.wrong + a.disorder + a.gaps);
	side_close(&self->side);
}

/* There is room for all of them. */
TEST_F(producer, thread_without_a_beat)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side, "rate=0 size=8 count=20000"));
	a = consume(&self->side.ring, 8, 0);
	EXPECT_EQ(20000, a.records);
	EXPECT_EQ(0, a.wrong + a.disorder + a.gaps);
	side_close(&self->side);
}

/* Of 1 KiB each in the ring: it holds 64 of them. */
#define FULL	"ring_size=65536 size=1000 count=200 "

TEST_F(producer, without_room_the_newest_are_dropped)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side, FULL "rate=10000"));
	ASSERT_TRUE(producer_made(200));
	a = consume(&self->side.ring, 1000, 0);
	EXPECT_EQ(64, a.records);
	EXPECT_EQ(0U, a.first);
	EXPECT_EQ(63U, a.last);
	EXPECT_EQ(0, a.wrong + a.disorder + a.gaps);
	EXPECT_EQ(136, producer_number("lost"));
	EXPECT_EQ(136U, self->side.ring.header->lost);
	side_close(&self->side);
}

TEST_F(producer, without_room_the_oldest_are_overwritten)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side, FULL "rate=10000 overwrite=1"));
	ASSERT_TRUE(producer_made(200));
	a = consume(&self->side.ring, 1000, 0);
	EXPECT_EQ(64, a.records);
	EXPECT_EQ(136U, a.first);
	EXPECT_EQ(199U, a.last);
	EXPECT_EQ(0, a.wrong + a.disorder + a.gaps);
	EXPECT_EQ(136, producer_number("lost"));
	EXPECT_EQ(136U, self->side.ring.header->lost);
	side_close(&self->side);
}

/* What is missing is what was counted, and nothing that came is damaged. */
#define FLOOD	"rate=0 ring_size=65536 size=1000 count=20000 "

TEST_F(producer, slow_consumer_misses_what_was_dropped)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side, FLOOD));
	a = consume(&self->side.ring, 1000, 50);
	EXPECT_EQ(ENODATA, a.end);
	EXPECT_EQ(0, a.wrong);
	EXPECT_EQ(0, a.disorder);
	EXPECT_LT(0, producer_number("lost"));
	EXPECT_EQ(20000, a.records + producer_number("lost"));
	EXPECT_EQ(producer_number("lost"), a.gaps + 19999 - (long long)a.last);
	side_close(&self->side);
}

TEST_F(producer, slow_consumer_misses_what_was_overwritten)
{
	struct account a;

	ASSERT_EQ(0, producer_begin(&self->side, FLOOD "overwrite=1"));
	a = consume(&self->side.ring, 1000, 50);
	EXPECT_EQ(ENODATA, a.end);
	EXPECT_EQ(0, a.wrong);
	EXPECT_EQ(0, a.disorder);
	EXPECT_LT(0, producer_number("lost"));
	EXPECT_EQ(20000, a.records + producer_number("lost"));
	EXPECT_EQ(19999U, a.last);
	side_close(&self->side);
}

TEST_F(producer, interrupt_wakes_who_waits)
{
	struct kubuf_info before, after;
	__u32 length;

	ASSERT_EQ(0, producer_begin(&self->side, "rate=20 size=8"));
	ASSERT_EQ(0, buf_info(self->side.fd, &before));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, kubuf_ring_wait_data(&self->side.ring, LONG));
		while (kubuf_ring_next(&self->side.ring, &length))
			kubuf_ring_release(&self->side.ring);
	}
	ASSERT_EQ(0, buf_info(self->side.fd, &after));
	EXPECT_LT(before.sequence, after.sequence);
	side_close(&self->side);
}

/* There is nobody to be woken: no look at the clock would be worth it. */
TEST_F(producer, wakes_nobody_who_does_not_wait)
{
	struct kubuf_info info;

	ASSERT_EQ(0, producer_begin(&self->side, "rate=10000 size=8"));
	ASSERT_TRUE(producer_made(100));
	ASSERT_EQ(0, buf_info(self->side.fd, &info));
	EXPECT_EQ(0U, info.sequence);
	side_close(&self->side);
}

TEST_F(producer, waits_for_all_the_bytes_asked_for)
{
	size_t avail;

	ASSERT_EQ(0, producer_begin(&self->side, "rate=1000 size=1000"));
	ASSERT_EQ(0, kubuf_ring_wait_bytes(&self->side.ring, 32768, LONG));
	kubuf_ring_data(&self->side.ring, &avail);
	EXPECT_LE(32768U, avail);
	side_close(&self->side);
}

TEST_F(producer, pauses)
{
	long long made;

	ASSERT_EQ(0, producer_begin(&self->side, "rate=10000"));
	ASSERT_TRUE(producer_made(1));
	ASSERT_EQ(0, producer_run(false));
	/* A tick that has begun is one to its end. */
	usleep(100000);
	made = producer_number("made");
	usleep(100000);
	EXPECT_EQ(made, producer_number("made"));
	ASSERT_EQ(0, producer_run(true));
	EXPECT_TRUE(producer_made(made + 1));
	side_close(&self->side);
}

TEST_F(producer, open_node_keeps_it)
{
	int fd;

	ASSERT_EQ(0, module_load_other(PRODUCER, "rate=10000"));
	fd = node_open("producer", O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(PRODUCER));
	close(fd);
	EXPECT_EQ(0, sample_unload(PRODUCER));
	EXPECT_EQ(-ENOENT, node_open("producer", O_RDONLY));
}

TEST_F(producer, mapping_alone_keeps_it)
{
	ASSERT_EQ(0, producer_begin(&self->side, "rate=10000"));
	close(self->side.fd);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(PRODUCER));
	/* It is still delivered to. */
	EXPECT_TRUE(producer_made(100));
	EXPECT_NE(0U, self->side.ring.header->head);
	kubuf_ring_close(&self->side.ring);
	EXPECT_EQ(0, sample_unload(PRODUCER));
}

/* Interrupts, and a thread, that may be at work just now. */
TEST_F(producer, goes_while_it_delivers)
{
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, module_load_other(PRODUCER, i % 2 ? "rate=0" :
							   "rate=100000"));
		ASSERT_TRUE(producer_made(10));
		ASSERT_EQ(0, sample_unload(PRODUCER));
	}
}

TEST_F(producer, bad_parameters)
{
	EXPECT_EQ(-EINVAL, module_load_other(PRODUCER, "size=7"));
	EXPECT_EQ(-EINVAL, module_load_other(PRODUCER, "rate=1000001"));
	EXPECT_EQ(-EINVAL, module_load_other(PRODUCER, "ring_size=5000 size=8"));
	EXPECT_EQ(-EINVAL, module_load_other(PRODUCER,
					     "ring_size=65536 size=65520"));
	EXPECT_EQ(-EPERM, module_load_other(PRODUCER, "made=1"));
	EXPECT_FALSE(is_loaded(PRODUCER));
	EXPECT_EQ(0, module_load_other(PRODUCER, "ring_size=65536 size=65512"));
}

/* The name is taken: nothing is left of the load. */
TEST_F(producer, name_is_taken)
{
	int fd = buf_create_named("producer", KUBUF_BACKING_VMALLOC, 1, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, module_load_other(PRODUCER, "rate=1000"));
	EXPECT_EQ(-EBUSY, module_load_other(PRODUCER, "rate=0"));
	EXPECT_FALSE(is_loaded(PRODUCER));
	close(fd);
	ASSERT_EQ(0, buf_destroy("producer"));
	EXPECT_EQ(0, module_load_other(PRODUCER, ""));
}

#define ECHO_RING	65536U

FIXTURE(echo) {
	struct side in;
	struct side out;
	char *expected;
};

FIXTURE_SETUP(echo)
{
	self->expected = malloc(ECHO_RING);
	ASSERT_NE(NULL, self->expected);
	ASSERT_EQ(0, module_load_other(ECHO, "ring_size=65536"));
	ASSERT_EQ(0, side_open(&self->in, "echo-in"));
	ASSERT_EQ(0, side_open(&self->out, "echo-out"));
}

FIXTURE_TEARDOWN(echo)
{
	free(self->expected);
	if (!is_loaded(ECHO))
		return;
	side_close(&self->in);
	side_close(&self->out);
	EXPECT_EQ(0, sample_unload(ECHO));
}

/* Put a record in, when there is room; false if there comes none. */
static bool send(struct kubuf_ring *ring, __u32 length, unsigned int seed)
{
	char *to;

	if (kubuf_ring_wait_room(ring, length, LONG))
		return false;
	to = kubuf_ring_reserve(ring, length);
	if (!to)
		return false;
	fill(to, length, seed);
	kubuf_ring_commit(ring);
	return true;
}

/* Whether the next that comes out is that record. */
static bool comes_back(struct kubuf_ring *ring, __u32 length,
		       unsigned int seed)
{
	const void *record;
	__u32 got;
	bool same;

	if (kubuf_ring_wait_data(ring, LONG))
		return false;
	record = kubuf_ring_next(ring, &got);
	same = record && got == length &&
	       mismatch(record, length, seed) == length;
	return kubuf_ring_release(ring) && same;
}

TEST_F(echo, small_records_come_back)
{
	for (__u32 length = 0; length < 300; length++) {
		ASSERT_TRUE(send(&self->in.ring, length, length));
		ASSERT_TRUE(comes_back(&self->out.ring, length, length));
	}
}

/* Up to one that fills the ring. */
TEST_F(echo, large_records_come_back)
{
	const __u32 most = ECHO_RING - sizeof(struct kubuf_record);

	for (__u32 length = 512; length < most; length *= 2) {
		for (__u32 l = length - 1; l <= length + 1; l++) {
			ASSERT_TRUE(send(&self->in.ring, l, l));
			ASSERT_TRUE(comes_back(&self->out.ring, l, l));
		}
	}
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_TRUE(send(&self->in.ring, most, i));
		ASSERT_TRUE(comes_back(&self->out.ring, most, i));
	}
}

/* Lengths that repeat themselves after long. */
static __u32 length_of(unsigned int i)
{
	return i * 7919 % 5000;
}

#define STREAM	5000U

/* Many at once: both sides wait for the other, now and then. */
TEST_F(echo, stream_comes_back)
{
	unsigned int i = 0;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		while (i < STREAM && send(&self->in.ring, length_of(i), i))
			i++;
		_exit(i != STREAM);
	}
	while (i < STREAM && comes_back(&self->out.ring, length_of(i), i))
		i++;
	EXPECT_EQ(STREAM, i);
	if (i < STREAM)
		kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* As many as there is room for in both, and none is lost. */
TEST_F(echo, waits_for_room)
{
	unsigned int sent = 0, i;

	/* What is on its way leaves room in the one or in the other. */
	while (!kubuf_ring_wait_room(&self->in.ring, 1000, 500))
		ASSERT_TRUE(send(&self->in.ring, 1000, sent++));
	EXPECT_EQ(ETIMEDOUT, errno);
	EXPECT_LE(2 * (ECHO_RING / 1008) - 1, sent);
	for (i = 0; i < sent; i++)
		ASSERT_TRUE(comes_back(&self->out.ring, 1000, i));
	EXPECT_EQ(0U, self->out.ring.header->lost);
}

/* What ends there ends here, when all has come back. */
TEST_F(echo, ends_when_the_program_does)
{
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_TRUE(send(&self->in.ring, 100, i));
	kubuf_ring_end(&self->in.ring);
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_TRUE(comes_back(&self->out.ring, 100, i));
	EXPECT_EQ(-1, kubuf_ring_wait_data(&self->out.ring, LONG));
	EXPECT_EQ(ENODATA, errno);
}

static void notify(struct side *side)
{
	struct kubuf_notify args = { .size = sizeof(args) };

	kioctl(side->fd, KUBUF_NOTIFY, &args);
}

/* Wait until the kernel has emptied the ring up to where its producer is. */
static bool is_emptied(const struct kubuf_ring *ring)
{
	for (int i = 0; i < LONG / 10; i++) {
		if (__atomic_load_n(&ring->header->tail, __ATOMIC_ACQUIRE) ==
		    __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE))
			return true;
		usleep(10000);
	}
	return false;
}

TEST_F(echo, record_that_is_too_long)
{
	static const __u32 lengths[] = { 1001, ECHO_RING, ~0U };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		char *to = kubuf_ring_reserve(&self->in.ring, 1000);

		ASSERT_NE(NULL, to);
		((struct kubuf_record *)to)[-1].length = lengths[i];
		kubuf_ring_commit(&self->in.ring);
		ASSERT_TRUE(is_emptied(&self->in.ring));
		/* It goes on with the next. */
		ASSERT_TRUE(send(&self->in.ring, 100, i));
		EXPECT_TRUE(comes_back(&self->out.ring, 100, i));
	}
}

TEST_F(echo, position_that_can_not_be)
{
	static const __u64 steps[] = {
		ECHO_RING + 8, 1ULL << 40, 1ULL << 63, -8ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct kubuf_ring_header *header = self->in.ring.header;

		__atomic_store_n(&header->head, header->tail + steps[i],
				 __ATOMIC_RELEASE);
		notify(&self->in);
		ASSERT_TRUE(is_emptied(&self->in.ring));
		/* Who begins anew finds a ring. */
		side_close(&self->in);
		ASSERT_EQ(0, side_open(&self->in, "echo-in"));
		ASSERT_TRUE(send(&self->in.ring, 100, i));
		EXPECT_TRUE(comes_back(&self->out.ring, 100, i));
	}
}

/* A consumer that says it has had what was never there: no room. */
TEST_F(echo, consumer_that_lies)
{
	struct kubuf_ring_header *header = self->out.ring.header;
	__u64 tail = header->tail;

	__atomic_store_n(&header->tail, tail + 8 * ECHO_RING, __ATOMIC_RELEASE);
	ASSERT_TRUE(send(&self->in.ring, 100, 1));
	usleep(100000);
	EXPECT_EQ(tail, __atomic_load_n(&header->head, __ATOMIC_ACQUIRE));
	__atomic_store_n(&header->tail, tail, __ATOMIC_RELEASE);
	notify(&self->out);
	EXPECT_TRUE(comes_back(&self->out.ring, 100, 1));
}

/* Whatever a program writes, all the time, to both rings. */
TEST_F_TIMEOUT(echo, stands_a_vandal, 600)
{
	const time_t end = time(NULL) + 3;
	unsigned int x = 1;

	while (time(NULL) < end) {
		struct side *side = x >> 16 & 1 ? &self->in : &self->out;
		struct kubuf_ring_header *header = side->ring.header;
		__u32 *words = (__u32 *)side->ring.data;

		for (int i = 0; i < 100; i++) {
			x = x * 1664525 + 1013904223;
			words[x >> 8 & (ECHO_RING / 4 - 1)] = x >> 20;
		}
		header->head = x & 8 ? header->tail + (x >> 12) : x;
		header->tail = x & 16 ? header->head - (x >> 14) : x;
		header->consumer_sleeps = x >> 30 & 1;
		header->producer_sleeps = x >> 31;
		notify(side);
	}
	/* It is there, and goes when it is told to. */
	side_close(&self->in);
	side_close(&self->out);
	EXPECT_EQ(0, sample_unload(ECHO));
}

TEST_F(echo, open_nodes_keep_it)
{
	side_close(&self->in);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(ECHO));
	side_close(&self->out);
	EXPECT_EQ(0, sample_unload(ECHO));
}

TEST_F(echo, who_waits_keeps_it)
{
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(!kubuf_ring_wait_data(&self->out.ring, -1));
	side_close(&self->in);
	side_close(&self->out);
	usleep(100000);
	EXPECT_EQ(-EWOULDBLOCK, sample_unload(ECHO));
	kill_wait(pid);
	EXPECT_EQ(0, sample_unload(ECHO));
}

TEST_F(echo, goes_while_it_waits_for_room)
{
	unsigned int sent = 0;

	while (!kubuf_ring_wait_room(&self->in.ring, 1000, 500))
		ASSERT_TRUE(send(&self->in.ring, 1000, sent++));
	EXPECT_EQ(ETIMEDOUT, errno);
	side_close(&self->in);
	side_close(&self->out);
	EXPECT_EQ(0, sample_unload(ECHO));
}

/* The first node is there when the second can't be: so it stays, and says so. */
TEST_F(echo, second_name_is_taken)
{
	int fd;

	side_close(&self->in);
	side_close(&self->out);
	ASSERT_EQ(0, sample_unload(ECHO));
	fd = buf_create_named("echo-in", KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, module_load_other(ECHO, "ring_size=65536"));
	EXPECT_EQ(0, sample_unload(ECHO));
	close(fd);
	ASSERT_EQ(0, buf_destroy("echo-in"));
	fd = buf_create_named("echo-out", KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, module_load_other(ECHO, "ring_size=65536"));
	EXPECT_EQ(-ENOENT, node_open("echo-in", O_RDONLY));
	close(fd);
	ASSERT_EQ(0, buf_destroy("echo-out"));
}

TEST_HARNESS_MAIN
