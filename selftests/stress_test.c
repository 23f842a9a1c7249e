// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many at once: faults against faults, against mmap(), munmap(), fork(), the
 * destruction of nodes, and those who look on.
 */
#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define RW	(PROT_READ | PROT_WRITE)

#define THREADS	4

/* Is it page INDEX of a buffer that was filled with seed 1? */
static bool is_page(const char *p, size_t index)
{
	const size_t at = index * page_size();

	return (unsigned char)load(p) == pattern(at, 1) &&
	       (unsigned char)load(p + page_size() - 1) ==
	       pattern(at + page_size() - 1, 1);
}

FIXTURE(sweep)
{
	struct windows windows;
	size_t len;
	int fd;
};

FIXTURE_VARIANT(sweep)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(sweep);

#define SWEEP_PAGES	256

FIXTURE_SETUP(sweep)
{
	self->len = SWEEP_PAGES * page_size();
	ASSERT_EQ(0, windows_get(&self->windows));
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
}

FIXTURE_TEARDOWN(sweep)
{
	windows_put(&self->windows);
	close(self->fd);
}

struct sweeper {
	pthread_barrier_t *barrier;
	const char *p;
	unsigned int me;
	long faults;
	long wrong;
};

static long thread_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_minflt;
}

/* Half of them go through the pages in order, half at random. */
static void *sweep(void *arg)
{
	struct sweeper *s = arg;
	unsigned int state = s->me;
	long before;

	thread_faults();
	pthread_barrier_wait(s->barrier);
	before = thread_faults();
	for (size_t i = 0; i < SWEEP_PAGES; i++) {
		size_t page = i;

		if (s->me % 2)
			page = next(&state) % SWEEP_PAGES;
		s->wrong += !is_page(s->p + page * page_size(), page);
	}
	s->faults += thread_faults() - before;
	return NULL;
}

/*
 * No page faults twice in one thread, or a window would not get at the page
 * that it is for; and each page is the right one.
 */
TEST_F(sweep, crowd)
{
	const unsigned int windows[] = { 1, 16, 64 };
	struct sweeper s[THREADS];
	pthread_barrier_t barrier;
	pthread_t t[THREADS];

	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, THREADS));
	for (size_t round = 0; round < 2 * ARRAY_SIZE(windows); round++) {
		/* At the end of a page table, too. */
		size_t off = round % 2 ? pmd_size() - self->len / 2 : 0;
		char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, off);
		long faults = 0;

		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ(0, windows_set(windows[round / 2]));
		for (unsigned int i = 0; i < THREADS; i++) {
			s[i] = (struct sweeper) {
				.barrier = &barrier, .p = p, .me = i,
			};
			ASSERT_EQ(0, pthread_create(&t[i], NULL, sweep,
						    &s[i]));
		}
		for (int i = 0; i < THREADS; i++) {
			ASSERT_EQ(0, pthread_join(t[i], NULL));
			EXPECT_EQ(0, s[i].wrong);
			EXPECT_LE(s[i].faults, SWEEP_PAGES);
			faults += s[i].faults;
		}
		EXPECT_LE(1, faults);
		EXPECT_EQ(SWEEP_PAGES, mapped(self->fd, 0, SWEEP_PAGES, NULL,
					      NULL));
		ASSERT_EQ(0, munmap(p, self->len));
		EXPECT_EQ(0, mapped(self->fd, 0, SWEEP_PAGES, NULL, NULL));
	}
}

#define PAGES	32

FIXTURE(mix)
{
	size_t len;
	int fd;
	struct page_state before[PAGES];
};

FIXTURE_VARIANT(mix)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(mix);

FIXTURE_SETUP(mix)
{
	self->len = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, self->before, PAGES));
}

/* When all is quiet again nothing is left of it. */
FIXTURE_TEARDOWN(mix)
{
	struct page_state after[PAGES];

	EXPECT_EQ(0, buf_mappings(self->fd));
	EXPECT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(self->before[i].pfn, after[i].pfn);
		EXPECT_EQ(self->before[i].refs, after[i].refs);
		EXPECT_EQ(0, after[i].maps);
		EXPECT_FALSE(after[i].reserved);
	}
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	close(self->fd);
}

struct worker {
	int fd;
	unsigned int state;
	long wrong;
	bool *stop;
};

static bool stopped(const struct worker *w)
{
	return __atomic_load_n(w->stop, __ATOMIC_RELAXED);
}

/* Map some of the buffer, do something to it, look at it, take it away. */
static void map_some(struct worker *w)
{
	const size_t ps = page_size();
	size_t first = next(&w->state) % PAGES;
	size_t n = 1 + next(&w->state) % (PAGES - first);
	size_t page = next(&w->state) % n;
	char *q, *p = mmap(NULL, n * ps, RW, MAP_SHARED, w->fd,
			   (off_t)(first * ps));
	pid_t pid;

	if (p == MAP_FAILED) {
		w->wrong++;
		return;
	}
	w->wrong += !is_page(p + page * ps, first + page);
	switch (next(&w->state) % 16) {
	case 0:
		pid = fork();
		if (!pid)
			_exit(!is_page(p + page * ps, first + page));
		w->wrong += pid < 0;
		if (pid > 0) {
			int status = -1;

			waitpid(pid, &status, 0);
			w->wrong += status != 0;
		}
		break;
	case 1:
	case 2:
	case 3:
		/* A hole, but not one that others would be given. */
		q = mmap(p + page * ps, ps, PROT_NONE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		w->wrong += q == MAP_FAILED;
		break;
	case 4:
	case 5:
		q = mremap(p, n * ps, n * ps, MREMAP_MAYMOVE | MREMAP_FIXED,
			   fresh_range(n * ps, 0));
		if (q == MAP_FAILED) {
			w->wrong++;
			break;
		}
		p = q;
		w->wrong += !is_page(p + page * ps, first + page);
		break;
	case 6:
		madvise(p, n * ps, MADV_DONTNEED);
		w->wrong += !is_page(p + page * ps, first + page);
		break;
	default:
		for (page = 0; page < n; page++)
			w->wrong += !is_page(p + page * ps, first + page);
	}
	munmap(p, n * ps);
}

static void *map_many(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 25; i++)
		map_some(w);
	return NULL;
}

static void read_file(struct worker *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	ssize_t n;

	if (fd < 0) {
		w->wrong++;
		return;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	w->wrong += n < 0;
	close(fd);
}

/* Look at the buffer from all sides until told to stop. */
static void *look_on(void *arg)
{
	char debugfs[64], fdinfo[64];
	struct worker *w = arg;
	struct kubuf_info info;

	w->wrong += buf_info(w->fd, &info) != 0;
	snprintf(debugfs, sizeof(debugfs), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	snprintf(fdinfo, sizeof(fdinfo), "/proc/self/fdinfo/%d", w->fd);
	while (!stopped(w)) {
		read_file(w, debugfs);
		read_file(w, fdinfo);
		read_file(w, "/proc/self/smaps");
		w->wrong += buf_info(w->fd, &info) != 0;
		w->wrong += named_count() < 0;
	}
	return NULL;
}

TEST_F(mix, map_unmap_fork)
{
	struct worker w[THREADS + 1];
	pthread_t t[THREADS + 1];
	bool stop = false;

	for (unsigned int i = 0; i < THREADS + 1; i++) {
		w[i] = (struct worker) {
			.fd = self->fd, .state = i, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&t[i], NULL,
					    i < THREADS ? map_many : look_on,
					    &w[i]));
	}
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(t[i], NULL));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(t[THREADS], NULL));
	for (int i = 0; i < THREADS + 1; i++)
		EXPECT_EQ(0, w[i].wrong);
}

struct toucher {
	struct worker w;
	char *p;
	long hits;
};

/* Touch the pages of a mapping that another thread replaces all the time. */
static void *touch_always(void *arg)
{
	struct toucher *t = arg;

	while (!stopped(&t->w)) {
		size_t page = next(&t->w.state) % PAGES;

		t->w.wrong += !is_page(t->p + page * page_size(), page);
		t->hits++;
	}
	return NULL;
}

TEST_F(mix, remap_under_faults)
{
	char *p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	struct toucher to[THREADS];
	pthread_t t[THREADS];
	bool stop = false;

	ASSERT_NE(MAP_FAILED, p);
	for (unsigned int i = 0; i < THREADS; i++) {
		to[i] = (struct toucher) {
			.w = { .state = i, .stop = &stop }, .p = p,
		};
		ASSERT_EQ(0, pthread_create(&t[i], NULL, touch_always,
					    &to[i]));
	}
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(p, mmap(p, self->len, RW, MAP_SHARED | MAP_FIXED,
				  self->fd, 0));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, to[i].w.wrong);
	}
	EXPECT_EQ(1, buf_mappings(self->fd));
	ASSERT_EQ(0, munmap(p, self->len));
}

/* The kernel copies from a page, which may be gone: the data, or EFAULT. */
static void *copy_always(void *arg)
{
	int file = memfd_create("kubuf", MFD_CLOEXEC);
	struct toucher *t = arg;
	char word[16];

	while (!stopped(&t->w)) {
		size_t at = next(&t->w.state) % PAGES * page_size();
		ssize_t n = pwrite(file, t->p + at, sizeof(word), 0);

		if (n < 0) {
			t->w.wrong += errno != EFAULT;
			continue;
		}
		/* It may be gone in the middle of the copying, too. */
		t->w.wrong += pread(file, word, sizeof(word), 0) < n ||
			      !matches_at(word, (size_t)n, at, 1);
		t->hits++;
	}
	close(file);
	return NULL;
}

TEST_F(mix, unmap_under_faults)
{
	char *p = fresh_range(self->len, 0);
	struct toucher to[THREADS];
	pthread_t t[THREADS];
	bool stop = false;

	ASSERT_NE(MAP_FAILED, p);
	for (unsigned int i = 0; i < THREADS; i++) {
		to[i] = (struct toucher) {
			.w = { .state = i, .stop = &stop }, .p = p,
		};
		ASSERT_EQ(0, pthread_create(&t[i], NULL, copy_always,
					    &to[i]));
	}
	for (int i = 0; i < 40; i++) {
		EXPECT_EQ(p, mmap(p, self->len, RW, MAP_SHARED | MAP_FIXED,
				  self->fd, 0));
		touch(p, self->len / 2);
		/* Not munmap(): others would be given these addresses. */
		EXPECT_EQ(p, mmap(p, self->len, PROT_NONE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, to[i].w.wrong);
	}
}

#define NODE	"stress-node"

/* Open the node, whenever it is there, and use what came of it. */
static void *open_always(void *arg)
{
	struct toucher *t = arg;

	while (!stopped(&t->w)) {
		int fd = node_open(NODE, O_RDWR);
		struct kubuf_info info;
		char *p;

		if (fd < 0) {
			/* Gone, on its way, or not yet let in. */
			t->w.wrong += fd != -ENOENT && fd != -ENODEV &&
				      fd != -ENXIO;
			continue;
		}
		t->hits++;
		p = buf_map(fd, page_size(), RW);
		t->w.wrong += p == MAP_FAILED;
		t->w.wrong += buf_info(fd, &info) || strcmp(info.name, NODE);
		close(fd);
		if (p == MAP_FAILED)
			continue;
		/* New, or written by the other who opens. */
		t->w.wrong += load(p) != 0 && load(p) != 'x';
		store(p, 'x');
		munmap(p, page_size());
	}
	return NULL;
}

static void *list_always(void *arg)
{
	struct toucher *t = arg;

	while (!stopped(&t->w)) {
		struct kubuf_info info;
		int ret = list_find(NODE, &info);
		DIR *dir = opendir(DEBUGFS);

		t->w.wrong += ret && ret != -ENOENT;
		t->w.wrong += !ret && info.length != page_size();
		t->hits += !ret;
		while (dir && readdir(dir))
			;
		if (dir)
			closedir(dir);
		t->w.wrong += !dir;
	}
	return NULL;
}

/* A node that comes and goes, and those who would open it. */
TEST(create_destroy_open)
{
	void *(*what[])(void *) = { open_always, open_always, list_always };
	struct toucher to[ARRAY_SIZE(what)];
	pthread_t t[ARRAY_SIZE(what)];
	const __u32 backings[] = {
		KUBUF_BACKING_KMALLOC, KUBUF_BACKING_PAGES,
		KUBUF_BACKING_VMALLOC, KUBUF_BACKING_HUGE,
	};
	struct kubuf_info info;
	bool stop = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(what); i++) {
		to[i] = (struct toucher) {
			.w = { .state = i, .stop = &stop },
		};
		ASSERT_EQ(0, pthread_create(&t[i], NULL, what[i], &to[i]));
	}
	for (int i = 0; i < 100; i++) {
		int fd = buf_create_named(NODE, backings[i % 4], page_size(),
					  0, 0);

		EXPECT_LE(0, fd);
		/* The node goes first, or the fd. */
		if (i % 2)
			close(fd);
		EXPECT_EQ(0, buf_destroy(NODE));
		if (i % 2 == 0)
			close(fd);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < ARRAY_SIZE(what); i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, to[i].w.wrong);
	}
	EXPECT_EQ(-ENOENT, list_find(NODE, &info));
	EXPECT_EQ(-ENOENT, node_open(NODE, O_RDONLY));
}

TEST_HARNESS_MAIN
