// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a driver can do by the interface in the kernel: make buffers, wrap memory
 * that it has, give them to user space by a name and by its own node, and get
 * its memory back once, when nobody has it any more.
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/uio.h>

#include "kselftest_harness.h"

#include "kubuf_disk.h"
#include "kubuf_drive.h"
#include "kubuf_map.h"
#include "kubuf_uring.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define NAME	"client-test"
#define OTHER	"client-other"

#define RW	(PROT_READ | PROT_WRITE)

/* Long enough that only a wake-up that was lost takes as long, in ms. */
#define LOST	60000

#define NOT_FOUND	"module not found: set KUBUF_KO"

/* How a buffer comes to be. */
struct kind {
	bool wrapped;
	__u32 kind;	/* of memory, or a backing */
	__u32 flags;
	size_t pages;
};

/*
 * Have the client's module, which stays from test to test: its node's fd;
 * -ENOENT if it can't be found.
 */
static int start(void)
{
	int ret = client_is_loaded() ? 0 : client_load();

	return ret ? ret : client_open(O_RDWR);
}

/* Nobody has anything of it any more, and each memory was released once. */
static int finish(int client)
{
	int ret = client_do(client, CLIENT_DROP, 0);

	close(client);
	return ret;
}

static int make(int client, const struct kind *k)
{
	size_t length = k->pages * page_size();

	return k->wrapped ? client_wrap(client, k->kind, length, k->flags) :
			    client_create(client, k->kind, length, k->flags);
}

static int export_all(int fd)
{
	struct kubuf_export e = {
		.size = sizeof(e),
		.flags = KUBUF_EXPORT_WRITE,
	};

	return kioctl(fd, KUBUF_EXPORT, &e);
}

FIXTURE(driver)
{
	int client;
	int object;
	size_t ps;
	size_t length;
	int fd;
	char *own;
	char *node;
};

FIXTURE_VARIANT(driver)
{
	struct kind kind;
	bool pfn;
};

FIXTURE_VARIANT_ADD(driver, made_kmalloc)
{
	.kind = { false, KUBUF_BACKING_KMALLOC, 0, 4 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, made_pages)
{
	.kind = { false, KUBUF_BACKING_PAGES, 0, 4 },
};

FIXTURE_VARIANT_ADD(driver, made_pages_reserved)
{
	.kind = { false, KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED, 4 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, made_vmalloc)
{
	.kind = { false, KUBUF_BACKING_VMALLOC, 0, 7 },
};

FIXTURE_VARIANT_ADD(driver, made_huge)
{
	.kind = { false, KUBUF_BACKING_HUGE, 0, 7 },
};

FIXTURE_VARIANT_ADD(driver, kmalloc_3)
{
	.kind = { true, CLIENT_KMALLOC, CLIENT_PFN_PATH, 3 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, kmalloc_16)
{
	.kind = { true, CLIENT_KMALLOC, CLIENT_PFN_PATH, 16 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, compound)
{
	.kind = { true, CLIENT_COMPOUND, CLIENT_PFN_PATH, 8 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, compound_part)
{
	.kind = { true, CLIENT_COMPOUND, CLIENT_PFN_PATH | CLIENT_PART, 7 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, compound_row)
{
	.kind = { true, CLIENT_COMPOUND, CLIENT_PFN_PATH | CLIENT_ROW, 8 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, heads)
{
	.kind = { true, CLIENT_HEADS, CLIENT_PFN_PATH, 5 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, vmalloc)
{
	.kind = { true, CLIENT_VMALLOC, 0, 7 },
};

FIXTURE_VARIANT_ADD(driver, vmalloc_row)
{
	.kind = { true, CLIENT_VMALLOC, CLIENT_ROW, 7 },
};

FIXTURE_VARIANT_ADD(driver, vmalloc_pfn)
{
	.kind = { true, CLIENT_VMALLOC, CLIENT_PFN_PATH, 7 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, exact)
{
	.kind = { true, CLIENT_EXACT, 0, 5 },
};

FIXTURE_VARIANT_ADD(driver, exact_pfn)
{
	.kind = { true, CLIENT_EXACT, CLIENT_PFN_PATH, 5 },
	.pfn = true,
};

FIXTURE_VARIANT_ADD(driver, single)
{
	.kind = { true, CLIENT_SINGLE, 0, 9 },
};

FIXTURE_VARIANT_ADD(driver, single_pfn)
{
	.kind = { true, CLIENT_SINGLE, CLIENT_PFN_PATH, 9 },
	.pfn = true,
};

FIXTURE_SETUP(driver)
{
	self->ps = page_size();
	self->length = variant->kind.pages * self->ps;
	self->client = start();
	if (self->client == -ENOENT)
		SKIP(return, NOT_FOUND);
	ASSERT_LE(0, self->client);
	self->object = make(self->client, &variant->kind);
	ASSERT_LT(0, self->object);
	ASSERT_EQ(0, client_register(self->client, self->object, NAME, 0));
	self->fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->own = client_map(self->client, self->object, self->length, RW);
	ASSERT_NE(MAP_FAILED, self->own);
	self->node = buf_map(self->fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, self->node);
}

FIXTURE_TEARDOWN(driver)
{
	if (self->client < 0)
		return;
	munmap(self->node, self->length);
	munmap(self->own, self->length);
	close(self->fd);
	EXPECT_EQ(0, finish(self->client));
}

TEST_F(driver, store_by_own_node)
{
	fill(self->own, self->length, 1);
	EXPECT_EQ(self->length, mismatch(self->node, self->length, 1));
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 1));
}

TEST_F(driver, store_by_node)
{
	fill(self->node, self->length, 2);
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 2));
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 2));
}

TEST_F(driver, store_by_kernel)
{
	/* Before the first touch of a mapping, and after. */
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 3));
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 3));
	EXPECT_EQ(self->length, mismatch(self->node, self->length, 3));
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 4));
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 4));
	EXPECT_EQ(self->length, mismatch(self->node, self->length, 4));
}

TEST_F(driver, read_and_write)
{
	char *tmp = malloc(self->length);

	ASSERT_NE(NULL, tmp);
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 5));
	ASSERT_EQ((ssize_t)self->length, pread(self->fd, tmp, self->length, 0));
	EXPECT_EQ(self->length, mismatch(tmp, self->length, 5));
	fill(tmp, self->length, 6);
	ASSERT_EQ((ssize_t)self->length,
		  pwrite(self->fd, tmp, self->length, 0));
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 6));
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 6));
	EXPECT_EQ(0, pread(self->fd, tmp, 1, (off_t)self->length));
	EXPECT_EQ(-1, pwrite(self->fd, tmp, 1, (off_t)self->length));
	EXPECT_EQ(ENOSPC, errno);
	free(tmp);
}

/* From each page on, and from within it: no more than there is of the buffer. */
TEST_F(driver, kernel_address)
{
	for (size_t pos = 0; pos < self->length; pos += self->ps / 2) {
		struct client_args args = {
			.object = self->object,
			.offset = pos,
			.length = SIZE_MAX,
		};

		ASSERT_EQ(0, kioctl(self->client, CLIENT_RUN, &args));
		EXPECT_LE(self->ps - pos % self->ps, args.length);
		EXPECT_GE(self->length - pos, args.length);
		if (variant->kind.wrapped &&
		    variant->kind.kind >= CLIENT_HEADS)
			EXPECT_EQ(self->ps - pos % self->ps, args.length);
		args.length = 1;
		ASSERT_EQ(0, kioctl(self->client, CLIENT_RUN, &args));
		EXPECT_EQ(1U, args.length);
	}
}

TEST_F(driver, info)
{
	struct client_args args = { .object = self->object };
	struct kubuf_info info, listed;

	ASSERT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(variant->kind.wrapped ? KUBUF_BACKING_WRAPPED :
		  variant->kind.kind, info.backing);
	EXPECT_EQ(variant->pfn, !!(info.flags & KUBUF_INFO_PFN));
	EXPECT_EQ(self->length, info.length);
	EXPECT_EQ(2U, info.mappings);
	EXPECT_EQ(0600U, info.mode);
	EXPECT_STREQ(NAME, info.name);
	EXPECT_EQ(0U, info.flags & KUBUF_INFO_DESTROYED);
	ASSERT_EQ(0, list_find(NAME, &listed));
	EXPECT_EQ(0, memcmp(&info, &listed, sizeof(info)));
	ASSERT_EQ(0, kioctl(self->client, CLIENT_STATUS, &args));
	EXPECT_EQ(self->length, args.length);
}

TEST_F(driver, shown_in_fdinfo_and_debugfs)
{
	struct page_state st;
	char value[16];

	ASSERT_TRUE(fdinfo_value(self->fd, "kubuf-backing", value,
				 sizeof(value)));
	if (variant->kind.wrapped)
		EXPECT_STREQ("wrapped", value);
	touch(self->own, self->length);
	for (size_t i = 0; i < variant->kind.pages; i++) {
		ASSERT_EQ(0, page_state(self->fd, i, &st));
		EXPECT_TRUE(st.mapped);
	}
}

TEST_F(driver, past_the_end)
{
	const size_t n = self->length + self->ps;

	EXPECT_EQ(MAP_FAILED, client_map(self->client, self->object, n, RW));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, buf_map(self->fd, n, RW));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->ps, RW, MAP_SHARED,
				   self->client, (off_t)self->length));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(2, buf_mappings(self->fd));
}

TEST_F(driver, a_part_by_own_node)
{
	char *last;

	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 7));
	last = mmap(NULL, self->ps, RW, MAP_SHARED, self->client,
		    (off_t)(self->length - self->ps));
	ASSERT_NE(MAP_FAILED, last);
	EXPECT_TRUE(matches_at(last, self->ps, self->length - self->ps, 7));
	munmap(last, self->ps);
}

TEST_F(driver, not_executable)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->ps, PROT_READ | PROT_EXEC,
				   MAP_SHARED, self->client, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, mprotect(self->own, self->ps, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(driver, private_by_own_node)
{
	char *p = mmap(NULL, self->length, RW, MAP_PRIVATE, self->client, 0);

	if (variant->pfn) {
		EXPECT_EQ(MAP_FAILED, p);
		EXPECT_EQ(EINVAL, errno);
		return;
	}
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 8));
	memset(p, 0x55, self->length);
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 8));
	munmap(p, self->length);
}

/* The file behind the mapping could be written to: that must not help. */
TEST_F(driver, read_only_by_own_node)
{
	int client = client_open(O_RDONLY);
	char *p;

	ASSERT_LE(0, client);
	EXPECT_EQ(MAP_FAILED, client_map(client, self->object, self->length,
					 RW));
	EXPECT_EQ(EACCES, errno);
	p = client_map(client, self->object, self->length, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	close(client);
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 9));
	EXPECT_EQ(self->length, mismatch(p, self->length, 9));
	EXPECT_EQ(-1, mprotect(p, self->length, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, remap_file_pages(p, self->length, 0, 0, 0));
	EXPECT_EQ(-1, mprotect(p, self->length, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, access_signal(p, true));
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 9));
	munmap(p, self->length);
}

/* A seal holds for who comes by the driver's node as well. */
TEST_F(driver, sealed)
{
	struct kubuf_seal seal = {
		.size = sizeof(seal),
		.seals = KUBUF_SEAL_WRITE,
	};
	char *p;

	ASSERT_EQ(0, kioctl(self->fd, KUBUF_SEAL, &seal));
	EXPECT_EQ(MAP_FAILED, client_map(self->client, self->object,
					 self->length, RW));
	EXPECT_EQ(EPERM, errno);
	p = client_map(self->client, self->object, self->length, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, self->length, RW));
	EXPECT_EQ(EACCES, errno);
	munmap(p, self->length);
}

TEST_F(driver, mapping_of_a_child)
{
	pid_t pid;
	int status;

	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 1));
	pid = fork();
	if (!pid) {
		if (mismatch(self->own, self->length, 1) != self->length)
			_exit(1);
		fill(self->own, self->length, 2);
		_exit(0);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 2));
	EXPECT_EQ(2, buf_mappings(self->fd));
}

TEST_F(driver, direct_io)
{
	int disk = disk_file();

	if (disk < 0)
		SKIP(return, "no direct I/O in $KUBUF_DISK_DIR, . or /var/tmp");
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 1));
	ASSERT_TRUE(file_fill(disk, self->length, 2));
	if (variant->pfn) {
		EXPECT_EQ(-1, pwrite(disk, self->own, self->length, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, pread(disk, self->own, self->length, 0));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_TRUE(file_holds(disk, self->length, 2));
		EXPECT_TRUE(client_holds(self->client, self->object,
					 self->length, 1));
	} else {
		EXPECT_EQ((ssize_t)self->length,
			  pread(disk, self->own, self->length, 0));
		EXPECT_TRUE(client_holds(self->client, self->object,
					 self->length, 2));
		fill(self->own, self->length, 3);
		EXPECT_EQ((ssize_t)self->length,
			  pwrite(disk, self->own, self->length, 0));
		EXPECT_TRUE(file_holds(disk, self->length, 3));
	}
	close(disk);
}

TEST_F(driver, process_vm_readv)
{
	char *tmp = malloc(self->length);
	struct iovec local = { tmp, self->length };
	struct iovec remote = { self->own, self->length };

	ASSERT_NE(NULL, tmp);
	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 1));
	if (variant->pfn) {
		EXPECT_EQ(-1, process_vm_readv(getpid(), &local, 1, &remote, 1,
					       0));
		EXPECT_EQ(EFAULT, errno);
	} else {
		EXPECT_EQ((ssize_t)self->length,
			  process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
		EXPECT_EQ(self->length, mismatch(tmp, self->length, 1));
	}
	free(tmp);
}

static long futex(char *word, int op, __u32 value)
{
	const struct timespec timeout = { .tv_sec = 60 };
	long ret = syscall(SYS_futex, word, op, value,
			   op == FUTEX_WAIT ? &timeout : NULL, NULL, 0);

	return ret < 0 ? -errno : ret;
}

/* Who waits by the one mapping is woken by the other. */
TEST_F(driver, futex)
{
	char *word = self->own + self->length - self->ps;
	char *same = self->node + self->length - self->ps;
	int status, woken = 0;
	pid_t pid;

	ASSERT_TRUE(client_fill(self->client, self->object, self->length, 1));
	if (variant->pfn) {
		EXPECT_EQ(-EFAULT, futex(word, FUTEX_WAKE, 1));
		return;
	}
	__atomic_store_n((__u32 *)word, 1, __ATOMIC_SEQ_CST);
	pid = fork();
	if (!pid)
		_exit(futex(word, FUTEX_WAIT, 1) ? 1 : 0);
	ASSERT_LT(0, pid);
	for (int i = 0; i < LOST && !woken; i++) {
		woken = (int)futex(same, FUTEX_WAKE, 1);
		usleep(1000);
	}
	EXPECT_EQ(1, woken);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

struct notifier {
	int client;
	int object;
};

static void *notify_later(void *arg)
{
	struct notifier *n = arg;

	usleep(50000);
	client_do(n->client, CLIENT_NOTIFY, n->object);
	return NULL;
}

TEST_F(driver, notify)
{
	struct pollfd p = { .fd = self->fd, .events = POLLPRI };
	struct notifier n = { self->client, self->object };
	struct kubuf_info info;
	pthread_t thread;

	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, notify_later, &n));
	EXPECT_EQ(1, poll(&p, 1, LOST));
	EXPECT_EQ(POLLPRI, p.revents);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(1U, info.sequence);
	EXPECT_EQ(0, poll(&p, 1, 0));
}

/* Open files and mappings stay, and say that there is no node any more. */
TEST_F(driver, unregister_leaves_files)
{
	struct kubuf_info info;
	struct stat st;
	char c;

	fill(self->own, self->length, 1);
	ASSERT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, self->object));
	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
	EXPECT_EQ(-ENOENT, list_find(NAME, &info));
	ASSERT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(KUBUF_INFO_NAMED | KUBUF_INFO_DESTROYED,
		  info.flags & (KUBUF_INFO_NAMED | KUBUF_INFO_DESTROYED));
	EXPECT_EQ(1, pread(self->fd, &c, 1, 0));
	EXPECT_EQ(self->length, mismatch(self->node, self->length, 1));
	/* And the driver goes on, too. */
	EXPECT_TRUE(client_holds(self->client, self->object, self->length, 1));
	EXPECT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, self->object));
	EXPECT_EQ(0, client_released(self->client, self->object));
}

/* A file that the driver's put leaves behind does all that it did before. */
TEST_F(driver, put_leaves_files)
{
	struct kubuf_info info;

	fill(self->own, self->length, 1);
	ASSERT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, self->object));
	ASSERT_EQ(0, client_do(self->client, CLIENT_PUT, self->object));
	EXPECT_EQ(0, client_released(self->client, self->object));
	EXPECT_EQ(0, buf_info(self->fd, &info));
	EXPECT_EQ(self->length, kernel_mismatch(self->fd, self->length, 1));
	fill(self->node, self->length, 2);
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 2));
	EXPECT_EQ(MAP_FAILED, client_map(self->client, self->object,
					 self->length, RW));
	EXPECT_EQ(ENODEV, errno);
}

/* What can hold a buffer, and how each lets it go. */
enum holder {
	BY_FD,
	BY_NODE,
	BY_OWN_NODE,
	BY_REGISTRATION,
	BY_DRIVER,
	BY_DMABUF,
	HOLDERS,
};

struct holders {
	int client;
	int object;
	bool wrapped;
	size_t length;
	int fd;
	char *node;
	char *own;
	int dmabuf;	/* -EOPNOTSUPP: the kernel has none */
	char debugfs[64];
};

/* One of each, of a new buffer filled with a pattern: what failed, or NULL. */
static const char *hold(struct holders *h, int client, const struct kind *k)
{
	struct kubuf_info info;

	*h = (struct holders) {
		.client = client,
		.object = make(client, k),
		.wrapped = k->wrapped,
		.length = k->pages * page_size(),
	};
	if (h->object < 0)
		return "make";
	if (client_register(client, h->object, OTHER, 0))
		return "register";
	h->fd = node_open(OTHER, O_RDWR);
	if (h->fd < 0)
		return "open";
	if (buf_info(h->fd, &info))
		return "info";
	snprintf(h->debugfs, sizeof(h->debugfs), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	h->node = buf_map(h->fd, h->length, RW);
	h->own = client_map(client, h->object, h->length, RW);
	if (h->node == MAP_FAILED || h->own == MAP_FAILED)
		return "mmap";
	fill(h->own, h->length, 1);
	h->dmabuf = export_all(h->fd);
	if (h->dmabuf < 0 && h->dmabuf != -EOPNOTSUPP)
		return "export";
	return NULL;
}

static int let_go(struct holders *h, enum holder by)
{
	switch (by) {
	case BY_FD:
		return close(h->fd);
	case BY_NODE:
		return munmap(h->node, h->length);
	case BY_OWN_NODE:
		return munmap(h->own, h->length);
	case BY_REGISTRATION:
		return client_do(h->client, CLIENT_UNREGISTER, h->object);
	case BY_DRIVER:
		return client_do(h->client, CLIENT_PUT, h->object);
	default:
		return h->dmabuf < 0 ? 0 : close(h->dmabuf);
	}
}

/* Is it there, and not released, or gone, and released once? */
static bool is_held(const struct holders *h, bool held)
{
	int released = client_released(h->client, h->object);

	return (!h->wrapped || released == !held) &&
	       !access(h->debugfs, F_OK) == held;
}

/* Memory that was freed is given out again, and overwritten. */
static bool overwrite(size_t length)
{
	int fd = buf_create(KUBUF_BACKING_VMALLOC, 4 * length, 0);
	bool ok = fd >= 0 && kernel_fill(fd, 4 * length, 99);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Does the pipe hold what the buffer held? */
static bool pipe_holds(int fd, size_t length)
{
	char *tmp = malloc(length);
	bool ok = tmp && read(fd, tmp, length) == (ssize_t)length &&
		  mismatch(tmp, length, 1) == length;

	free(tmp);
	return ok;
}

/*
 * Let all go in an order, and on the page path have a pipe that outlives them:
 * what failed, or NULL.
 */
static const char *go_in_order(int client, const struct kind *k, bool pfn,
			       const enum holder *order)
{
	int pipefd[2] = { -1, -1 };
	struct holders h;
	struct iovec iov;
	const char *what = hold(&h, client, k);

	if (what)
		return what;
	iov.iov_base = h.own;
	iov.iov_len = h.length;
	if (pipe(pipefd))
		return "pipe";
	if (vmsplice(pipefd[1], &iov, 1, 0) != (pfn ? -1 : (ssize_t)h.length))
		return "vmsplice";
	for (int i = 0; i < HOLDERS; i++) {
		/* Without dma-bufs there may be nobody left to let go. */
		if ((order[i] != BY_DMABUF || h.dmabuf >= 0) &&
		    !is_held(&h, true))
			return "released too early";
		if (let_go(&h, order[i]))
			return "letting go";
	}
	if (!is_held(&h, false))
		return "not released once";
	if (pfn && h.wrapped && !client_reusable(client, h.object))
		return "not as it was before";
	if (!overwrite(h.length))
		return "overwriting";
	if (!pfn && !pipe_holds(pipefd[0], h.length))
		return "what the pipe holds";
	close(pipefd[0]);
	close(pipefd[1]);
	if (h.wrapped && client_released(client, h.object) != 1)
		return "released again";
	if (client_do(client, CLIENT_DROP, h.object))
		return "drop";
	return NULL;
}

/* Each of them once as the last, and once as the first. */
TEST_F(driver, release_once)
{
	enum holder order[HOLDERS];
	const char *what;

	for (int i = 0; i < 2 * HOLDERS; i++) {
		for (int j = 0; j < HOLDERS; j++)
			order[j] = (i < HOLDERS ? i + j :
				    2 * HOLDERS + i - j) % HOLDERS;
		what = go_in_order(self->client, &variant->kind, variant->pfn,
				   order);
		ASSERT_EQ(NULL, what) {
			TH_LOG("order %d: %s", i, what);
		}
	}
}

TEST_F(driver, uring_outlives_all)
{
	int file = memfd_create("client-test", MFD_CLOEXEC);
	struct holders h;
	const char *why;
	struct ring r;
	int err;

	ASSERT_LE(0, file);
	ASSERT_EQ(NULL, hold(&h, self->client, &variant->kind));
	err = ring_with(&r, h.own, h.length, &why);
	if (!err) {
		for (int i = 0; i < HOLDERS; i++)
			EXPECT_EQ(0, let_go(&h, i));
		EXPECT_TRUE(is_held(&h, false));
		ASSERT_TRUE(overwrite(h.length));
		ASSERT_EQ((int)h.length,
			  ring_io(&r, IORING_OP_WRITE_FIXED, file, h.own,
				  h.length, 0));
		EXPECT_TRUE(file_holds(file, h.length, 1));
		/* And nobody else is hurt by a write to it. */
		ASSERT_TRUE(file_fill(file, h.length, 2));
		ASSERT_EQ((int)h.length,
			  ring_io(&r, IORING_OP_READ_FIXED, file, h.own,
				  h.length, 0));
		ASSERT_EQ((int)h.length,
			  ring_io(&r, IORING_OP_WRITE_FIXED, file, h.own,
				  h.length, 0));
		EXPECT_TRUE(file_holds(file, h.length, 2));
		ring_close(&r);
	} else {
		for (int i = 0; i < HOLDERS; i++)
			let_go(&h, i);
		EXPECT_TRUE(is_held(&h, false));
	}
	close(file);
	if (why)
		SKIP(return, "%s", why);
	EXPECT_EQ(variant->pfn ? -EFAULT : 0, err);
}

/* What the PFN path gives back can be given again, and is not zeroed. */
TEST_F(driver, wrap_again)
{
	struct client_args args = {
		.flags = variant->kind.flags,
		.length = self->length,
	};
	int object;

	object = make(self->client, &variant->kind);
	ASSERT_LT(0, object);
	args.object = object;
	ASSERT_TRUE(client_fill(self->client, object, self->length, 1));
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP_AGAIN, &args));
	ASSERT_EQ(0, client_do(self->client, CLIENT_PUT, object));
	if (variant->kind.wrapped && variant->pfn) {
		ASSERT_EQ(0, kioctl(self->client, CLIENT_WRAP_AGAIN, &args));
		EXPECT_TRUE(client_holds(self->client, object, self->length,
					 1));
		EXPECT_EQ(0, client_released(self->client, object));
	} else {
		EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP_AGAIN,
					  &args));
	}
	EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
}

/* What is in a buffer can't be wrapped as well, on either path. */
TEST_F(driver, not_twice)
{
	struct client_args args = {
		.object = self->object,
		.kind = CLIENT_OBJECT,
		.flags = variant->kind.flags & CLIENT_ROW,
		.length = self->length,
	};

	if (!variant->kind.wrapped)
		args.flags = 0;
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP, &args));
	/* Nothing tells of a large kmalloc() that kubuf itself has made it. */
	args.flags |= CLIENT_PFN_PATH;
	if (variant->kind.wrapped ||
	    variant->kind.kind != KUBUF_BACKING_KMALLOC)
		EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP, &args));
	EXPECT_TRUE(client_fill(self->client, self->object, self->length, 1));
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 1));
}

/* Who alone has the buffer keeps the module of the driver. */
TEST_F(driver, unload_with_users)
{
	int dmabuf = export_all(self->fd);

	fill(self->own, self->length, 1);
	close(self->client);
	self->client = -1;
	EXPECT_EQ(-EWOULDBLOCK, client_unload());

	/* By its own node. */
	munmap(self->node, self->length);
	close(self->fd);
	if (dmabuf >= 0)
		close(dmabuf);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());
	EXPECT_EQ(self->length, mismatch(self->own, self->length, 1));

	/* A file of the node. */
	self->fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, self->fd);
	munmap(self->own, self->length);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());

	/* A mapping of that. */
	self->node = buf_map(self->fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, self->node);
	dmabuf = export_all(self->fd);
	close(self->fd);
	if (dmabuf >= 0)
		close(dmabuf);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());
	EXPECT_EQ(self->length, mismatch(self->node, self->length, 1));

	/* A dma-buf. */
	self->fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, self->fd);
	munmap(self->node, self->length);
	dmabuf = export_all(self->fd);
	close(self->fd);
	if (dmabuf >= 0) {
		EXPECT_EQ(-EWOULDBLOCK, client_unload());
		close(dmabuf);
	}
	EXPECT_EQ(0, client_unload());
	EXPECT_EQ(-ENOENT, node_open(NAME, O_RDWR));
}

/* The fd is what is left of the driver's doings, then a mapping of it is. */
TEST_F(driver, unload_after_put)
{
	ASSERT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, self->object));
	ASSERT_EQ(0, client_do(self->client, CLIENT_PUT, self->object));
	close(self->client);
	self->client = -1;
	munmap(self->own, self->length);
	munmap(self->node, self->length);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());
	self->node = buf_map(self->fd, self->length, RW);
	ASSERT_NE(MAP_FAILED, self->node);
	close(self->fd);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());
	munmap(self->node, self->length);
	EXPECT_EQ(0, client_unload());
}

/* Every order, of memory that is freed and of memory that is kept. */
FIXTURE(order)
{
	int client;
};

FIXTURE_VARIANT(order)
{
	struct kind kind;
	bool pfn;
};

FIXTURE_VARIANT_ADD(order, page_path)
{
	.kind = { true, CLIENT_SINGLE, 0, 3 },
};

FIXTURE_VARIANT_ADD(order, pfn_path)
{
	.kind = { true, CLIENT_KMALLOC, CLIENT_PFN_PATH, 3 },
	.pfn = true,
};

FIXTURE_SETUP(order)
{
	self->client = start();
	if (self->client == -ENOENT)
		SKIP(return, NOT_FOUND);
	ASSERT_LE(0, self->client);
}

FIXTURE_TEARDOWN(order)
{
	if (self->client < 0)
		return;
	EXPECT_EQ(0, finish(self->client));
}

/* The next one in the order of a dictionary; false after the last. */
static bool next_order(enum holder *order, int n)
{
	int i = n - 2, j = n - 1;
	enum holder tmp;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[j] < order[i])
		j--;
	tmp = order[i];
	order[i] = order[j];
	order[j] = tmp;
	for (i++, j = n - 1; i < j; i++, j--) {
		tmp = order[i];
		order[i] = order[j];
		order[j] = tmp;
	}
	return true;
}

TEST_F_TIMEOUT(order, release_once, 900)
{
	enum holder order[HOLDERS];
	const char *what;
	int n = 0;

	for (int i = 0; i < HOLDERS; i++)
		order[i] = i;
	do {
		n++;
		what = go_in_order(self->client, &variant->kind, variant->pfn,
				   order);
		ASSERT_EQ(NULL, what) {
			TH_LOG("order %d: %s", n, what);
		}
	} while (next_order(order, HOLDERS));
	EXPECT_EQ(720, n);
}

/* Memory that must not be given away. */
FIXTURE(refuse)
{
	int client;
	char *page;
	size_t length;
};

FIXTURE_VARIANT(refuse)
{
	__u32 kind;
	__u32 flags;
	size_t pages;
	size_t bytes;		/* instead of pages */
	bool page_path_only;	/* it is what the PFN path is for */
};

FIXTURE_VARIANT_ADD(refuse, slab)
{
	.kind = CLIENT_SLAB,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, slab_of_two_pages)
{
	.kind = CLIENT_SLAB,
	.pages = 2,
};

FIXTURE_VARIANT_ADD(refuse, stack)
{
	.kind = CLIENT_STACK,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, stack_of_a_task)
{
	.kind = CLIENT_TASK_STACK,
	.pages = 2,
};

FIXTURE_VARIANT_ADD(refuse, pages_of_such_a_stack)
{
	.kind = CLIENT_TASK_STACK,
	.flags = CLIENT_ROW,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, module_data)
{
	.kind = CLIENT_DATA,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, module_bss)
{
	.kind = CLIENT_BSS,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, kernel_image)
{
	.kind = CLIENT_KERNEL,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, never_mapped)
{
	.kind = CLIENT_VMALLOC,
	.flags = CLIENT_BEYOND,
	.pages = 3,
};

FIXTURE_VARIANT_ADD(refuse, nothing)
{
	.kind = CLIENT_NOTHING,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, address_and_pages)
{
	.kind = CLIENT_VMALLOC,
	.flags = CLIENT_BOTH,
	.pages = 2,
};

FIXTURE_VARIANT_ADD(refuse, unaligned)
{
	.kind = CLIENT_EXACT,
	.flags = CLIENT_UNALIGNED,
	.pages = 1,
};

FIXTURE_VARIANT_ADD(refuse, unaligned_kmalloc)
{
	.kind = CLIENT_KMALLOC,
	.flags = CLIENT_UNALIGNED,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, no_length)
{
	.kind = CLIENT_EXACT,
};

FIXTURE_VARIANT_ADD(refuse, half_a_page)
{
	.kind = CLIENT_EXACT,
	.bytes = 2048,
};

FIXTURE_VARIANT_ADD(refuse, a_page_and_a_byte)
{
	.kind = CLIENT_VMALLOC,
	.bytes = 65537,
};

FIXTURE_VARIANT_ADD(refuse, block_that_was_not_split)
{
	.kind = CLIENT_BLOCK,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, pages_of_such_a_block)
{
	.kind = CLIENT_BLOCK,
	.flags = CLIENT_ROW,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, compound)
{
	.kind = CLIENT_COMPOUND,
	.pages = 4,
	.page_path_only = true,
};

FIXTURE_VARIANT_ADD(refuse, pages_of_a_compound)
{
	.kind = CLIENT_COMPOUND,
	.flags = CLIENT_ROW,
	.pages = 4,
	.page_path_only = true,
};

FIXTURE_VARIANT_ADD(refuse, heads)
{
	.kind = CLIENT_HEADS,
	.pages = 4,
	.page_path_only = true,
};

FIXTURE_VARIANT_ADD(refuse, tail_of_a_compound)
{
	.kind = CLIENT_COMPOUND,
	.flags = CLIENT_TAIL,
	.pages = 3,
};

FIXTURE_VARIANT_ADD(refuse, tail_of_a_kmalloc)
{
	.kind = CLIENT_KMALLOC,
	.flags = CLIENT_TAIL,
	.pages = 3,
};

FIXTURE_VARIANT_ADD(refuse, kmalloc)
{
	.kind = CLIENT_KMALLOC,
	.pages = 3,
	.page_path_only = true,
};

FIXTURE_VARIANT_ADD(refuse, pages_with_a_hole)
{
	.kind = CLIENT_SINGLE,
	.flags = CLIENT_HOLE,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, page_twice)
{
	.kind = CLIENT_SINGLE,
	.flags = CLIENT_TWICE,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, vmalloc_page_twice)
{
	.kind = CLIENT_VMALLOC,
	.flags = CLIENT_TWICE,
	.pages = 4,
};

FIXTURE_VARIANT_ADD(refuse, compound_head_twice)
{
	.kind = CLIENT_COMPOUND,
	.flags = CLIENT_TWICE,
	.pages = 4,
};

FIXTURE_SETUP(refuse)
{
	self->client = start();
	if (self->client == -ENOENT)
		SKIP(return, NOT_FOUND);
	ASSERT_LE(0, self->client);
}

FIXTURE_TEARDOWN(refuse)
{
	if (self->client < 0)
		return;
	EXPECT_EQ(0, finish(self->client));
}

TEST_F(refuse, page_path)
{
	size_t length = variant->pages * page_size() + variant->bytes;
	long before = live_buffers();

	EXPECT_EQ(-EINVAL, client_wrap(self->client, variant->kind, length,
				       variant->flags));
	EXPECT_EQ(before, live_buffers());
}

TEST_F(refuse, pfn_path)
{
	size_t length = variant->pages * page_size() + variant->bytes;
	int object = client_wrap(self->client, variant->kind, length,
				 variant->flags | CLIENT_PFN_PATH);

	EXPECT_EQ(variant->page_path_only, object > 0);
	if (object < 0)
		EXPECT_EQ(-EINVAL, object);
}

/* The rest of what there is to be refused, and all that is no variant. */
FIXTURE(client)
{
	int client;
	size_t ps;
};

FIXTURE_SETUP(client)
{
	self->ps = page_size();
	self->client = start();
	if (self->client == -ENOENT)
		SKIP(return, NOT_FOUND);
	ASSERT_LE(0, self->client);
}

FIXTURE_TEARDOWN(client)
{
	if (self->client < 0)
		return;
	EXPECT_EQ(0, finish(self->client));
}

/* What the driver pins of a process: on both paths the first error, or 0. */
static int wrap_user(int client, const void *p)
{
	struct client_args args = {
		.kind = CLIENT_USER,
		.length = page_size(),
		.address = (uintptr_t)p,
	};
	int ret = kioctl(client, CLIENT_WRAP, &args);

	if (ret != -EINVAL)
		return ret;
	args.flags = CLIENT_PFN_PATH;
	return kioctl(client, CLIENT_WRAP, &args);
}

TEST_F(client, refuses_an_anonymous_page)
{
	char *p = mmap(NULL, self->ps, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	store(p, 1);
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	munmap(p, self->ps);
}

TEST_F(client, refuses_the_zero_page)
{
	char *p = mmap(NULL, self->ps, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	load(p);
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	munmap(p, self->ps);
}

TEST_F(client, refuses_shared_memory)
{
	char *p = mmap(NULL, self->ps, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	store(p, 1);
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	munmap(p, self->ps);
}

TEST_F(client, refuses_a_page_of_a_file)
{
	int fd = disk_file();
	char *p;

	if (fd < 0)
		SKIP(return, "no file system of a disk");
	ASSERT_TRUE(file_fill(fd, self->ps, 1));
	p = buf_map(fd, self->ps, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	munmap(p, self->ps);
	close(fd);
}

/* Of a large page, too, be it one. */
TEST_F(client, refuses_a_huge_page)
{
	char *p = fresh_range(pmd_size(), 0);

	ASSERT_NE(MAP_FAILED, p);
	p = mmap(p, pmd_size(), RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	madvise(p, pmd_size(), MADV_HUGEPAGE);
	memset(p, 1, pmd_size());
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p + self->ps));
	munmap(p, pmd_size());
}

TEST_F(client, refuses_a_page_of_another_buffer)
{
	int fd = buf_create(KUBUF_BACKING_VMALLOC, self->ps, 0);
	char *p;

	ASSERT_LE(0, fd);
	p = buf_map(fd, self->ps, RW);
	ASSERT_NE(MAP_FAILED, p);
	store(p, 1);
	EXPECT_EQ(-EINVAL, wrap_user(self->client, p));
	munmap(p, self->ps);
	close(fd);
}

/* The first of what is no memory and large enough; 0 if there is none. */
static __u64 device_memory(size_t length)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long long from, to, found = 0;
	char line[256], name[128];

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx : %127[^\n]", &from, &to, name) !=
		    3 || line[0] == ' ')
			continue;
		if (strstr(name, "RAM") || strstr(name, "eserved") ||
		    strstr(name, "ACPI") || strstr(name, "Persistent") ||
		    from % length || to - from + 1 < length)
			continue;
		found = from;
	}
	if (f)
		fclose(f);
	return found;
}

TEST_F(client, refuses_memory_of_a_device)
{
	struct client_args args = {
		.kind = CLIENT_DEVICE,
		.length = self->ps,
		.address = device_memory(self->ps),
	};

	ASSERT_NE(0U, args.address);
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP, &args));
	args.flags = CLIENT_PFN_PATH;
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_WRAP, &args));
}

/* A table of pages that nobody can allocate; not one that wraps around. */
TEST_F(client, no_memory_for_the_table)
{
	EXPECT_EQ(-ENOMEM, client_wrap(self->client, CLIENT_KERNEL,
				       SIZE_MAX / self->ps / 2 * self->ps, 0));
	EXPECT_EQ(-ENOMEM, client_wrap(self->client, CLIENT_KERNEL,
				       SIZE_MAX & ~(self->ps - 1), 0));
}

TEST_F(client, create_refuses)
{
	const size_t ps = self->ps;

	EXPECT_EQ(-EINVAL, client_create(self->client, 0, ps, 0));
	EXPECT_EQ(-EINVAL, client_create(self->client, KUBUF_BACKING_WRAPPED,
					 ps, 0));
	EXPECT_EQ(-EINVAL, client_create(self->client, KUBUF_BACKING_VMALLOC,
					 0, 0));
	EXPECT_EQ(-EINVAL, client_create(self->client, KUBUF_BACKING_KMALLOC,
					 ps, KUBUF_CREATE_RESERVED));
	EXPECT_EQ(-EINVAL, client_create(self->client, KUBUF_BACKING_VMALLOC,
					 ps, KUBUF_CREATE_NODE));
	EXPECT_EQ(-EINVAL, client_create(self->client, KUBUF_BACKING_VMALLOC,
					 ps, KUBUF_CREATE_NAMED));
	EXPECT_EQ(-EFBIG, client_create(self->client, KUBUF_BACKING_PAGES,
					SIZE_MAX, 0));
}

TEST_F(client, create_on_a_node)
{
	struct client_args args = {
		.kind = KUBUF_BACKING_VMALLOC,
		.length = self->ps,
		.node = 0,
	};

	EXPECT_EQ(0, kioctl(self->client, CLIENT_CREATE, &args));
	args.node = 1 << 20;
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_CREATE, &args));
	args.node = -2;
	EXPECT_EQ(-EINVAL, kioctl(self->client, CLIENT_CREATE, &args));
}

TEST_F(client, length_is_rounded_up)
{
	struct client_args args = {
		.object = client_create(self->client, KUBUF_BACKING_VMALLOC, 1,
					0),
	};

	ASSERT_LT(0, (int)args.object);
	ASSERT_EQ(0, kioctl(self->client, CLIENT_STATUS, &args));
	EXPECT_EQ(self->ps, args.length);
}

/* Others can't ask for what only a driver can. */
TEST_F(client, user_space_does_not_wrap)
{
	EXPECT_EQ(-EINVAL, buf_create(KUBUF_BACKING_WRAPPED, self->ps, 0));
	EXPECT_EQ(-EINVAL, buf_create_named(OTHER, KUBUF_BACKING_WRAPPED,
					    self->ps, 0, 0));
}

TEST_F(client, parameter_does_not_wrap)
{
	close(self->client);
	ASSERT_EQ(0, client_unload());
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(-EINVAL, module_load("buffers=a:1:wrapped"));
	ASSERT_EQ(0, module_load(""));
	self->client = start();
	ASSERT_LE(0, self->client);
}

/* kubuf is the one that has its memory: it must not go first. */
TEST_F(client, keeps_kubuf)
{
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
}

/* Five pages, wrapped. */
static int five(int client)
{
	return client_wrap(client, CLIENT_VMALLOC, 5 * page_size(), 0);
}

TEST_F(client, register_refuses_names)
{
	char name[CLIENT_NAME_SIZE] = "";
	int object = five(self->client);

	ASSERT_LT(0, object);
	EXPECT_EQ(-EINVAL, client_register(self->client, object, "", 0));
	EXPECT_EQ(-EINVAL, client_register(self->client, object, ".a", 0));
	EXPECT_EQ(-EINVAL, client_register(self->client, object, "a/b", 0));
	EXPECT_EQ(-EINVAL, client_register(self->client, object, "a b", 0));
	EXPECT_EQ(-EINVAL, client_register(self->client, object, "\xe4", 0));
	EXPECT_EQ(-EEXIST, client_register(self->client, object, "control",
					   0));
	memset(name, 'a', KUBUF_NAME_SIZE);
	EXPECT_EQ(-ENAMETOOLONG, client_register(self->client, object, name,
						 0));
	/* It has no node for all that, and may have one. */
	name[KUBUF_NAME_SIZE - 1] = '\0';
	EXPECT_EQ(0, client_register(self->client, object, name, 0));
}

TEST_F(client, register_taken_name)
{
	int object = five(self->client), other = five(self->client);
	int fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);

	ASSERT_LT(0, object);
	ASSERT_LT(0, other);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EEXIST, client_register(self->client, object, NAME, 0));
	ASSERT_EQ(0, buf_destroy(NAME));
	close(fd);
	EXPECT_EQ(0, client_register(self->client, object, NAME, 0));
	EXPECT_EQ(-EEXIST, client_register(self->client, other, NAME, 0));
	EXPECT_EQ(-EEXIST, buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0,
					    0));
	/* The name is free at once. */
	ASSERT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, object));
	EXPECT_EQ(0, client_register(self->client, other, NAME, 0));
}

TEST_F(client, register_once)
{
	int object = five(self->client);

	ASSERT_LT(0, object);
	ASSERT_EQ(0, client_register(self->client, object, NAME, 0));
	EXPECT_EQ(-EBUSY, client_register(self->client, object, NAME, 0));
	EXPECT_EQ(-EBUSY, client_register(self->client, object, OTHER, 0));
	ASSERT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, object));
	EXPECT_EQ(-EBUSY, client_register(self->client, object, OTHER, 0));
}

TEST_F(client, register_mode)
{
	static const __u32 good[] = { 0666, 0644, 0400, 0602 };
	static const __u32 bad[] = { 0777, 01600, 0100644, 0601 };
	struct kubuf_info info;
	struct stat st;
	int object;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		object = five(self->client);
		ASSERT_LT(0, object);
		EXPECT_EQ(-EINVAL, client_register(self->client, object, NAME,
						   bad[i]));
		EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		object = five(self->client);
		ASSERT_LT(0, object);
		ASSERT_EQ(0, client_register(self->client, object, NAME,
					     good[i]));
		ASSERT_EQ(0, node_stat(NAME, &st));
		EXPECT_EQ(good[i], st.st_mode & 07777);
		ASSERT_EQ(0, list_find(NAME, &info));
		EXPECT_EQ(good[i], info.mode);
		EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
	}
}

static long open_for_reading(void *arg)
{
	int fd = node_open(NAME, O_RDONLY);

	return fd < 0 ? fd : node_open(NAME, O_RDWR);
}

TEST_F(client, mode_is_for_all)
{
	int object = five(self->client);

	ASSERT_LT(0, object);
	ASSERT_EQ(0, client_register(self->client, object, NAME, 0644));
	EXPECT_EQ(-EACCES, as_user(NOBODY, open_for_reading, NULL));
}

TEST_F(client, destroy_is_not_for_others)
{
	int object = five(self->client);
	struct stat st;

	ASSERT_LT(0, object);
	ASSERT_EQ(0, client_register(self->client, object, NAME, 0));
	EXPECT_EQ(-EBUSY, buf_destroy(NAME));
	EXPECT_EQ(0, node_stat(NAME, &st));
	EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
	EXPECT_EQ(-ENOENT, buf_destroy(NAME));
}

TEST_F(client, unregister_without_a_node)
{
	int object = five(self->client);

	ASSERT_LT(0, object);
	EXPECT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, object));
	EXPECT_EQ(0, client_do(self->client, CLIENT_UNREGISTER, object));
	EXPECT_EQ(0, client_released(self->client, object));
	EXPECT_EQ(0, client_register(self->client, object, NAME, 0));
}

/* Without a node: the driver's own is the only way. */
TEST_F(client, own_node_alone)
{
	int object = five(self->client);
	long before = live_buffers();
	char *p;

	ASSERT_LT(0, object);
	p = client_map(self->client, object, 5 * self->ps, RW);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, 5 * self->ps, 1);
	EXPECT_TRUE(client_holds(self->client, object, 5 * self->ps, 1));
	ASSERT_EQ(0, client_do(self->client, CLIENT_PUT, object));
	EXPECT_EQ(5 * self->ps, mismatch(p, 5 * self->ps, 1));
	EXPECT_EQ(0, client_released(self->client, object));
	EXPECT_EQ(-EBUSY, client_do(self->client, CLIENT_DROP, object));
	/* Halves count as one, each on its own as well. */
	munmap(p, 2 * self->ps);
	EXPECT_EQ(0, client_released(self->client, object));
	munmap(p + 2 * self->ps, 3 * self->ps);
	EXPECT_EQ(1, client_released(self->client, object));
	EXPECT_EQ(before - 1, live_buffers());
	EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
}

TEST_F(client, mapping_that_moved)
{
	int object = five(self->client);
	size_t length = 5 * self->ps;
	char *p, *q;

	ASSERT_LT(0, object);
	p = client_map(self->client, object, length, RW);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, length, 1);
	q = fresh_range(length, 0);
	ASSERT_NE(MAP_FAILED, q);
	q = mremap(p, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(length, mismatch(q, length, 1));
	EXPECT_EQ(0, client_do(self->client, CLIENT_PUT, object));
	EXPECT_EQ(0, client_released(self->client, object));
	munmap(q, length);
	EXPECT_EQ(1, client_released(self->client, object));
}

/* Root can open what is behind a mapping: one more that holds the buffer. */
TEST_F(client, file_behind_a_mapping)
{
	int object = five(self->client);
	size_t length = 5 * self->ps;
	struct kubuf_info info;
	char path[64], *p;
	int fd, again;

	ASSERT_LT(0, object);
	p = client_map(self->client, object, length, RW);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, length, 1);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)p, (unsigned long)p + length);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	munmap(p, length);
	ASSERT_EQ(0, client_do(self->client, CLIENT_PUT, object));
	again = reopen(fd, O_RDWR);
	ASSERT_LE(0, again);
	close(fd);
	EXPECT_EQ(length, kernel_mismatch(again, length, 1));
	ASSERT_EQ(0, buf_info(again, &info));
	EXPECT_EQ((__u32)KUBUF_BACKING_WRAPPED, info.backing);
	EXPECT_EQ(0U, info.flags & KUBUF_INFO_NAMED);
	EXPECT_EQ(0, client_released(self->client, object));
	close(self->client);
	EXPECT_EQ(-EWOULDBLOCK, client_unload());
	self->client = client_open(O_RDWR);
	ASSERT_LE(0, self->client);
	close(again);
	EXPECT_EQ(1, client_released(self->client, object));
}

/* A buffer that is made counts for the limit, one that is wrapped does not. */
TEST_F(client, limit)
{
	char before[32];
	int object;

	ASSERT_TRUE(charged_is(0));
	ASSERT_EQ(0, parameter_get("limit_mb", before, sizeof(before)));
	ASSERT_EQ(0, parameter_set("limit_mb", "1"));
	for (__u32 b = KUBUF_BACKING_KMALLOC; b <= KUBUF_BACKING_HUGE; b++)
		EXPECT_EQ(-ENOSPC, client_create(self->client, b,
						 MIB + self->ps, 0));
	object = client_create(self->client, KUBUF_BACKING_VMALLOC, MIB, 0);
	EXPECT_LT(0, object);
	EXPECT_EQ(-ENOSPC, client_create(self->client, KUBUF_BACKING_VMALLOC,
					 self->ps, 0));
	EXPECT_LT(0, client_wrap(self->client, CLIENT_VMALLOC, MIB, 0));
	EXPECT_EQ(0, parameter_set("limit_mb", before));
	EXPECT_TRUE(charged_is(1));
	EXPECT_EQ(0, client_do(self->client, CLIENT_DROP, object));
	EXPECT_TRUE(charged_is(0));
}

/* Neither memory, nor anything that is counted. */
TEST_F(client, failures_leave_nothing)
{
	const long n = rounds(400);
	long buffers = live_buffers();
	long long users = module_users();
	long long before = 0;
	char limit[32];

	ASSERT_EQ(0, parameter_get("limit_mb", limit, sizeof(limit)));
	for (int warm = 1; warm >= 0; warm--) {
		if (!warm)
			before = free_kib();
		for (long i = 0; i < (warm ? 10 : n); i++) {
			ASSERT_EQ(0, parameter_set("limit_mb", "0"));
			EXPECT_EQ(-ENOSPC,
				  client_create(self->client,
						KUBUF_BACKING_HUGE, MIB, 0));
			ASSERT_EQ(0, parameter_set("limit_mb", limit));
			EXPECT_EQ(-EINVAL,
				  client_wrap(self->client, CLIENT_VMALLOC,
					      MIB, CLIENT_HOLE));
			EXPECT_EQ(-EINVAL,
				  client_wrap(self->client, CLIENT_SINGLE,
					      64 * KIB, CLIENT_TWICE));
		}
	}
	EXPECT_GE((long)(8 * KIB), lost(free_kib, -1, before));
	EXPECT_EQ(buffers, live_buffers());
	EXPECT_EQ(users, module_users());
	EXPECT_TRUE(charged_is(0));
}

/* What racers have seen. */
struct seen {
	int stop;
	long opened;
	long reopened;
	long by_mapping;
	long wrong;
	int last_wrong;
};

/* A node that goes may be gone, or on its way. */
static void judge(struct seen *s, long *good, int fd)
{
	if (fd >= 0) {
		__atomic_add_fetch(good, 1, __ATOMIC_RELAXED);
	} else if (fd != -ENOENT && fd != -ENODEV && fd != -ENXIO) {
		__atomic_add_fetch(&s->wrong, 1, __ATOMIC_RELAXED);
		s->last_wrong = fd;
	}
}

/* Opens the node, and again what is open. */
static void race_by_node(struct seen *s)
{
	unsigned int state = 1;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		int fd = node_open(NAME, O_RDWR), again;
		char *p;

		judge(s, &s->opened, fd);
		if (fd < 0) {
			usleep(200);
			continue;
		}
		p = buf_map(fd, page_size(), RW);
		if (p != MAP_FAILED)
			store(p, 1);
		again = reopen(fd, O_RDWR);
		judge(s, &s->reopened, again);
		close(fd);
		if (p != MAP_FAILED)
			munmap(p, page_size());
		if (again >= 0)
			close(again);
		usleep(next(&state) % 2000);
	}
}

struct behind {
	struct seen *seen;
	char path[64];
};

/* Opens the file behind a mapping that another thread makes and takes away. */
static void *open_behind(void *arg)
{
	struct behind *b = arg;
	struct seen *s = b->seen;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		int fd = open(b->path, O_RDWR | O_CLOEXEC), again;

		judge(s, &s->by_mapping, fd < 0 ? -errno : fd);
		if (fd < 0) {
			sched_yield();
			continue;
		}
		again = reopen(fd, O_RDWR);
		judge(s, &s->reopened, again);
		close(fd);
		if (again >= 0)
			close(again);
	}
	return NULL;
}

static void race_by_own_node(struct seen *s)
{
	const size_t ps = page_size();
	char *p = mmap(NULL, ps, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct behind b = { .seen = s };
	unsigned int state = 2;
	pthread_t thread;

	snprintf(b.path, sizeof(b.path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)p, (unsigned long)p + ps);
	if (p == MAP_FAILED || pthread_create(&thread, NULL, open_behind, &b)) {
		s->wrong++;
		return;
	}
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		int client = client_open(O_RDWR);

		if (client >= 0) {
			if (!client_do(client, CLIENT_SELECT, 1) &&
			    mmap(p, ps, RW, MAP_SHARED | MAP_FIXED, client,
				 0) != MAP_FAILED)
				store(p, 1);
			close(client);
		}
		usleep(next(&state) % 500);
		mmap(p, ps, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		usleep(next(&state) % 4000);
	}
	pthread_join(thread, NULL);
}

/* Whoever opens meanwhile: the module goes as soon as it can. */
static int unload_soon(void)
{
	double end = seconds() + TEST_TIMEOUT_DEFAULT / 2;
	int ret;

	do {
		ret = client_unload();
		if (ret == -EWOULDBLOCK)
			usleep(100);
	} while (ret == -EWOULDBLOCK && seconds() < end);
	return ret;
}

TEST_F_TIMEOUT(client, opened_while_it_goes, 4 * TEST_TIMEOUT_DEFAULT)
{
	static void (*const racers[])(struct seen *s) = {
		race_by_node,
		race_by_own_node,
	};
	struct seen *s = mmap(NULL, sizeof(*s), RW, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0);
	pid_t pids[ARRAY_SIZE(racers)];
	unsigned int state = 3;
	const long n = rounds(300);

	ASSERT_NE(MAP_FAILED, s);
	close(self->client);
	ASSERT_EQ(0, client_unload());
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			racers[i](s);
			_exit(0);
		}
		ASSERT_LT(0, pids[i]);
	}
	for (long i = 0; i < n; i++) {
		int client, object;

		ASSERT_EQ(0, client_load());
		client = client_open(O_RDWR);
		ASSERT_LE(0, client);
		object = client_wrap(client, i & 4 ? CLIENT_SINGLE :
				     CLIENT_KMALLOC, 3 * self->ps,
				     i & 4 ? 0 : CLIENT_PFN_PATH);
		ASSERT_EQ(1, object);
		ASSERT_EQ(0, client_register(client, object, NAME, 0));
		usleep(next(&state) % 5000);
		/* Itself, in the one order, or in the other; or its exit. */
		if ((i & 3) == 1)
			EXPECT_EQ(0, client_do(client, CLIENT_PUT, object));
		if (i & 3)
			EXPECT_EQ(0, client_do(client, CLIENT_UNREGISTER,
					       object));
		if ((i & 3) == 2)
			EXPECT_EQ(0, client_do(client, CLIENT_PUT, object));
		close(client);
		ASSERT_EQ(0, unload_soon());
	}
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++)
		waitpid(pids[i], NULL, 0);
	TH_LOG("%ld rounds: %ld opened, %ld again, %ld by a mapping", n,
	       s->opened, s->reopened, s->by_mapping);
	EXPECT_LT(0, s->opened);
	EXPECT_LT(0, s->reopened);
	EXPECT_LT(0, s->by_mapping);
	EXPECT_EQ(0, s->wrong) {
		TH_LOG("error %d", s->last_wrong);
	}
	EXPECT_EQ(0, live_buffers());
	self->client = start();
	ASSERT_LE(0, self->client);
}

/* The last of all: the module goes, and leaves nothing. */
FIXTURE(end)
{
};

FIXTURE_SETUP(end)
{
}

FIXTURE_TEARDOWN(end)
{
}

TEST_F(end, unload)
{
	if (!client_is_loaded())
		SKIP(return, NOT_FOUND);
	EXPECT_EQ(0, client_unload());
	EXPECT_NE(0, access(CLIENT_NODE, F_OK));
	EXPECT_EQ(0, live_buffers());
	EXPECT_EQ(0, module_users());
}

TEST_HARNESS_MAIN
