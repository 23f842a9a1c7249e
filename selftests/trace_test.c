// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints: each tells of what happened, once, and what is true of it.
 */
#include <ctype.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "kubuf_import.h"
#include "kubuf_map.h"

#define NAME	"trace-test"

/* Less than one PMD entry maps, so that it is mapped by windows. */
#define PAGES	256UL

#define RW	(PROT_READ | PROT_WRITE)

/* A tracing instance of our own. */
struct trace {
	char dir[64];
	__u64 id;	/* of the buffer whose events are read */
	char *text;
};

static const char *tracefs(void)
{
	if (!access("/sys/kernel/tracing/events/kubuf", F_OK))
		return "/sys/kernel/tracing";
	if (!access("/sys/kernel/debug/tracing/events/kubuf", F_OK))
		return "/sys/kernel/debug/tracing";
	return NULL;
}

static bool put(const char *dir, const char *file, const char *value)
{
	char path[128];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd >= 0) {
		n = write(fd, value, strlen(value));
		close(fd);
	}
	return n == (ssize_t)strlen(value);
}

/* What was traced up to now, and no more of it from now on. */
static bool stop(struct trace *t)
{
	const size_t room = 8 * MIB;
	size_t length = 0;
	char path[128];
	ssize_t n;
	int fd;

	if (!put(t->dir, "events/kubuf/enable", "0"))
		return false;
	snprintf(path, sizeof(path), "%s/trace", t->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	t->text = calloc(1, room);
	if (fd < 0 || !t->text)
		return false;
	while ((n = read(fd, t->text + length, room - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	return !n && length < room - 1;
}

/*
 * The next event of that name, on our buffer: what follows its name, up to the
 * end of the line. The first one if PREVIOUS is NULL.
 */
static const char *next_event(const struct trace *t, const char *name,
			      const char *previous)
{
	const char *at = previous ?: t->text;
	char start[64];

	snprintf(start, sizeof(start), ": kubuf_%s: id=%llu ", name,
		 (unsigned long long)t->id);
	at = strstr(at, start);
	return at ? at + strlen(start) : NULL;
}

static int count(const struct trace *t, const char *name)
{
	const char *e = NULL;
	int n = 0;

	while ((e = next_event(t, name, e)))
		n++;
	return n;
}

/* Has the event that field, with that value? */
static bool has(const char *event, const char *field, const char *value)
{
	char wanted[128];
	size_t length;
	const char *at;

	length = (size_t)snprintf(wanted, sizeof(wanted), "%s=%s", field,
				  value);
	for (at = event; at && *at != '\n'; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (!strncmp(at, wanted, length) && isspace(at[length]))
			return true;
	}
	return false;
}

/* The number that a field has; -1 if there is no such field. */
static long long number(const char *event, const char *field)
{
	size_t length = strlen(field);
	const char *at, *end = strchrnul(event, '\n');

	for (at = event; at && at < end; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (!strncmp(at, field, length) && at[length] == '=')
			return (long long)strtoull(at + length + 1, NULL, 0);
	}
	return -1;
}

static bool begin(struct trace *t, int fd)
{
	struct kubuf_info info;

	if (fd >= 0) {
		if (buf_info(fd, &info))
			return false;
		t->id = info.id;
	}
	return put(t->dir, "events/kubuf/enable", "1");
}

FIXTURE(trace)
{
	struct trace t;
	struct windows windows;
	size_t length;
	int fd;
};

FIXTURE_VARIANT(trace)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(trace);

static const char *const backings[] = {
	[KUBUF_BACKING_KMALLOC] = "kmalloc",
	[KUBUF_BACKING_PAGES] = "pages",
	[KUBUF_BACKING_VMALLOC] = "vmalloc",
	[KUBUF_BACKING_HUGE] = "huge",
};

FIXTURE_SETUP(trace)
{
	const char *root = tracefs();

	if (!root)
		SKIP(return, "the kernel has no trace events");
	ASSERT_EQ(0, windows_get(&self->windows));
	/*
	 * The names of tasks are of no use here, and would have the scheduler
	 * patched again and again, which an emulator is not always up to.
	 */
	ASSERT_TRUE(put(root, "options/record-cmd", "0"));
	snprintf(self->t.dir, sizeof(self->t.dir), "%s/instances/%s", root,
		 NAME);
	ASSERT_EQ(0, mkdir(self->t.dir, 0700));
	self->length = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->length, variant->flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(trace)
{
	windows_put(&self->windows);
	close(self->fd);
	free(self->t.text);
	rmdir(self->t.dir);
	put(tracefs(), "options/record-cmd", "1");
}

TEST_F(trace, create)
{
	struct kubuf_info info;
	const char *e;
	int fd;

	ASSERT_TRUE(begin(&self->t, -1));
	fd = buf_create_named(NAME, variant->backing, self->length,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &info));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(fd);
	ASSERT_TRUE(stop(&self->t));

	self->t.id = info.id;
	e = next_event(&self->t, "create", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_TRUE(has(e, "name", NAME));
	EXPECT_TRUE(has(e, "backing", backings[variant->backing]));
	EXPECT_TRUE(has(e, "reserved", variant->flags ? "1" : "0"));
	EXPECT_EQ((long long)PAGES, number(e, "pages"));
	EXPECT_EQ(1, count(&self->t, "create"));
}

/* The node goes first, then, with the last user, the memory. */
TEST_F(trace, destroy_and_free)
{
	const char *destroyed, *freed;
	int fd;

	fd = buf_create_named(NAME, variant->backing, self->length,
			      variant->flags, 0);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(begin(&self->t, fd));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(fd);
	ASSERT_TRUE(stop(&self->t));

	destroyed = next_event(&self->t, "destroy", NULL);
	freed = next_event(&self->t, "free", NULL);
	ASSERT_NE(NULL, destroyed);
	ASSERT_NE(NULL, freed);
	EXPECT_LT(destroyed, freed);
	EXPECT_TRUE(has(destroyed, "name", NAME));
	EXPECT_TRUE(has(freed, "name", NAME));
	EXPECT_EQ(1, count(&self->t, "destroy"));
	EXPECT_EQ(1, count(&self->t, "free"));
}

TEST_F(trace, mmap_maps_nothing)
{
	const char *e;
	char *map;

	ASSERT_TRUE(begin(&self->t, self->fd));
	map = mmap(NULL, 3 * page_size(), RW, MAP_SHARED, self->fd,
		   (off_t)(2 * page_size()));
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(stop(&self->t));
	munmap(map, 3 * page_size());

	e = next_event(&self->t, "mmap", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_EQ((long long)(uintptr_t)map, number(e, "start"));
	EXPECT_EQ((long long)(uintptr_t)map + 3 * (long long)page_size(),
		  number(e, "end"));
	EXPECT_EQ(2, number(e, "index"));
	EXPECT_EQ(1, number(e, "mappings"));
	EXPECT_EQ(1, count(&self->t, "mmap"));
	EXPECT_EQ(0, count(&self->t, "fault"));
	EXPECT_EQ(0, count(&self->t, "map"));
}

TEST_F(trace, fork_opens_and_exit_closes)
{
	const char *opened, *closed;
	char *map;
	pid_t pid;

	map = buf_map(self->fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(begin(&self->t, self->fd));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	munmap(map, self->length);
	ASSERT_TRUE(stop(&self->t));

	opened = next_event(&self->t, "open", NULL);
	ASSERT_NE(NULL, opened);
	EXPECT_EQ((long long)(uintptr_t)map, number(opened, "start"));
	EXPECT_EQ(2, number(opened, "mappings"));
	EXPECT_EQ(1, count(&self->t, "open"));
	closed = next_event(&self->t, "close", NULL);
	ASSERT_NE(NULL, closed);
	EXPECT_LT(opened, closed);
	EXPECT_EQ(1, number(closed, "mappings"));
	closed = next_event(&self->t, "close", closed);
	ASSERT_NE(NULL, closed);
	EXPECT_EQ(0, number(closed, "mappings"));
	EXPECT_EQ(2, count(&self->t, "close"));
}

TEST_F(trace, fault_names_the_page)
{
	const unsigned long index = 37;
	struct page_state state;
	const char *e;
	char *map;

	map = map_fresh(self->fd, self->length, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, page_state(self->fd, index, &state));
	ASSERT_TRUE(begin(&self->t, self->fd));
	store(map + index * page_size() + 5, 1);
	ASSERT_TRUE(stop(&self->t));
	munmap(map, self->length);

	e = next_event(&self->t, "fault", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_EQ((long long)index, number(e, "index"));
	EXPECT_EQ((long long)state.pfn, number(e, "pfn"));
	/* The core gives the address of the page. */
	EXPECT_EQ((long long)(uintptr_t)(map + index * page_size()),
		  number(e, "address"));
	EXPECT_EQ(1, number(e, "write"));
	EXPECT_EQ(0, number(e, "error"));
	EXPECT_EQ(NULL, next_event(&self->t, "fault", e));
}

/* Not longer than all of it; nothing, where the clock goes in ticks. */
TEST_F(trace, fault_takes_time)
{
	struct timespec from, to, resolution;
	const char *e;
	char *map;

	ASSERT_EQ(0, clock_getres(CLOCK_MONOTONIC, &resolution));
	map = map_fresh(self->fd, self->length, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(begin(&self->t, self->fd));
	clock_gettime(CLOCK_MONOTONIC, &from);
	load(map);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ASSERT_TRUE(stop(&self->t));
	munmap(map, self->length);

	e = next_event(&self->t, "fault", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_LT(resolution.tv_nsec == 1 ? 0 : -1, number(e, "ns"));
	EXPECT_GE((to.tv_sec - from.tv_sec) * 1000000000LL +
		  to.tv_nsec - from.tv_nsec, number(e, "ns"));
	EXPECT_EQ(0, number(e, "write"));
}

/* How many of the pages a sweep has mapped, each once. */
static unsigned long swept(const struct trace *t, long long *largest)
{
	bool seen[PAGES] = {};
	unsigned long nr = 0;
	const char *e = NULL;

	while ((e = next_event(t, "map", e))) {
		unsigned long index = (unsigned long)number(e, "index");
		unsigned long window = (unsigned long)number(e, "window");

		if (number(e, "order") || !window)
			return 0;
		if ((long long)window > *largest)
			*largest = (long long)window;
		for (; window--; index++) {
			if (index >= PAGES || seen[index])
				return 0;
			seen[index] = true;
			nr++;
		}
	}
	/* A page that the core was given. */
	while ((e = next_event(t, "fault", e))) {
		unsigned long index = (unsigned long)number(e, "index");

		if (number(e, "mapped"))
			continue;
		if (index >= PAGES || seen[index])
			return 0;
		seen[index] = true;
		nr++;
	}
	return nr;
}

/*
 * What the driver has mapped, and what it has given to the core, is all of it.
 * Of a folio the core may map more than it was given.
 */
TEST_F(trace, windows_add_up)
{
	long long largest = 0;
	unsigned long nr;
	char *map;

	ASSERT_EQ(0, windows_set(64));
	map = map_fresh(self->fd, self->length, RW, MAP_SHARED, page_size());
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(begin(&self->t, self->fd));
	touch(map, self->length);
	ASSERT_TRUE(stop(&self->t));
	munmap(map, self->length);

	nr = swept(&self->t, &largest);
	if (variant->backing == KUBUF_BACKING_VMALLOC || variant->pfn) {
		EXPECT_EQ(PAGES, nr);
		EXPECT_EQ(64, largest);
	} else {
		EXPECT_LT(0UL, nr);
	}
}

/* A whole piece by one entry: by the driver, or of a page that the core got. */
TEST_F(trace, one_entry)
{
	const size_t piece = pmd_size();
	const char *e, *m;
	char *map;
	int fd;

	fd = buf_create(KUBUF_BACKING_HUGE, 2 * piece, 0);
	ASSERT_LE(0, fd);
	map = map_fresh(fd, 2 * piece, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(begin(&self->t, fd));
	touch(map + piece, piece);
	ASSERT_TRUE(stop(&self->t));
	munmap(map, 2 * piece);
	close(fd);

	e = next_event(&self->t, "fault", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NULL, next_event(&self->t, "fault", e));
	m = next_event(&self->t, "map", NULL);
	EXPECT_EQ(!!m, number(e, "mapped"));
	if (m) {
		EXPECT_EQ((long long)(piece / page_size()), number(m, "index"));
		EXPECT_EQ((long long)(piece / page_size()),
			  number(m, "window"));
		EXPECT_EQ((long long)(piece / page_size()),
			  1LL << number(m, "order"));
	}
}

TEST_F(trace, notify)
{
	struct kubuf_notify n = { .size = sizeof(n) };
	const char *e;

	EXPECT_EQ(0, kioctl(self->fd, KUBUF_NOTIFY, &n));
	ASSERT_TRUE(begin(&self->t, self->fd));
	EXPECT_EQ(0, kioctl(self->fd, KUBUF_NOTIFY, &n));
	ASSERT_TRUE(stop(&self->t));

	e = next_event(&self->t, "notify", NULL);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(2, number(e, "sequence"));
	EXPECT_EQ(1, count(&self->t, "notify"));
}

TEST_F(trace, pages_for_a_device)
{
	struct kubuf_export x = {
		.size = sizeof(x), .flags = KUBUF_EXPORT_WRITE,
		.offset = 3 * page_size(), .length = 4 * page_size(),
	};
	struct importer_args *args = calloc(1, sizeof(*args));
	const char *pinned, *unpinned;
	int importer, dmabuf;

	ASSERT_NE(NULL, args);
	dmabuf = kioctl(self->fd, KUBUF_EXPORT, &x);
	if (dmabuf == -EOPNOTSUPP)
		SKIP(return, "the kernel has no dma-buf");
	ASSERT_LE(0, dmabuf);
	importer = importer_open();
	ASSERT_LE(0, importer);
	ASSERT_TRUE(begin(&self->t, self->fd));
	ASSERT_EQ(0, attach(importer, args, dmabuf));
	EXPECT_EQ(0, map_for(importer, args, BIDIRECTIONAL));
	EXPECT_EQ(0, kioctl(importer, IMPORTER_UNMAP, args));
	ASSERT_TRUE(stop(&self->t));
	close(importer);
	importer_unload();
	close(dmabuf);
	free(args);

	pinned = next_event(&self->t, "pin", NULL);
	unpinned = next_event(&self->t, "unpin", NULL);
	ASSERT_NE(NULL, pinned);
	ASSERT_NE(NULL, unpinned);
	EXPECT_LT(pinned, unpinned);
	for (int i = 0; i < 2; i++) {
		const char *e = i ? unpinned : pinned;

		EXPECT_EQ(3, number(e, "index"));
		EXPECT_EQ(4, number(e, "pages"));
		EXPECT_TRUE(has(e, "device", "kubuf-importer"));
	}
	EXPECT_EQ(1, count(&self->t, "pin"));
	EXPECT_EQ(1, count(&self->t, "unpin"));
}

TEST_HARNESS_MAIN
