// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of each call when the kernel has no memory for it, or can't
 * reach the caller's: the first allocation or copy of the call fails, then the
 * second, and so on, until it goes through without a failure. Each time the
 * call says so by a documented error, or does without; what there was before is
 * there, nothing else is, and the same call works the next time.
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>

#include "kubuf_cgroup.h"
#include "kubuf_drive.h"
#include "kubuf_fail.h"
#include "kubuf_import.h"
#include "kubuf_map.h"

/*
 * The kernel stores to the rseq area of a thread whenever it has been preempted,
 * and kills who can't be stored to. After fork() that takes a page, the area is
 * copied on write: not an allocation to fail. glibc registers the area before
 * main(), unless it is told not to.
 */
__attribute__((constructor))
static void without_rseq(int argc, char **argv)
{
	if (getenv("GLIBC_TUNABLES"))
		return;
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	execvp(argv[0], argv);
}

#define NAME		"fail-test"
#define NAME_CALL	"fail-test-call"

#define RW		(PROT_READ | PROT_WRITE)
#define SHORT		(64 * KIB)

/* Far from all else: whoever maps it has to make page tables of each level. */
#define FAR_AWAY	((char *)0x100000000000)

/* No call has as many points; one that never ends does. */
#define MOST_POINTS	3000U

/* Failures of all tests together, each of which is a process. */
static long *failures;

/* A kernel that can't inject failures has no use for any of the tests. */
static void __attribute__((constructor)) start(void)
{
	const char *lacks = fail_lacks();

	if (lacks)
		ksft_exit_skip("no fault injection: the kernel lacks %s\n",
			       lacks);
	failures = mmap(NULL, sizeof(*failures), RW, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (failures == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
}

/* What must be the same after a call that failed as before it. */
struct state {
	long long module_users;
	long buffers;
	long names;
	long mappings;
	long references;
	long next_fd;
};

/* The buffer NAME, mapped and filled, and all that calls need. */
struct env {
	struct fail_saved saved;
	struct memcg cgroup;
	char limit_mb[32];
	struct state state;
	__u32 backing;
	__u32 flags;
	size_t length;
	/* Of all buffers together, and of this process. */
	size_t limit;
	int nth;
	int control;
	int fd;
	char *p;
	/* Of the call: what it was asked for, and what it gave. */
	struct kubuf_create create;
	char *at;
	char *copy;
	int fds[2];
	int prot;
	size_t touched;
	/* Points before this one belong to others. */
	unsigned int first;
	/* Failures that cost no more than a node in /dev. */
	unsigned int lost_nodes;
	/* The driver's node, and a buffer of its own or of its memory. */
	int client;
	int object;
	bool wrapped;
};

struct call {
	const char *name;
	/* What the call needs, each time anew; false if it can't be had. */
	bool (*before)(struct env *env);
	/* What is to be failed: what it gives, or -errno. */
	long (*call)(struct env *env);
	/* Whether it did what it says, which is then undone. */
	bool (*after)(struct env *env, long ret);
	/* Errors that it may give, as documented. */
	int errors[4];
	/* It allocates nothing and copies nothing. */
	bool needs_nothing;
	/* It makes buffers, or frees them. */
	bool makes_buffers;
	/* What must be as it was before; expect_sound() if NULL. */
	void (*expect)(struct __test_metadata *_metadata,
		       const struct env *env);
};

/* Points that a call has when nothing fails, by kind. */
struct points {
	unsigned int slab;
	unsigned int pages;
	unsigned int copies;
};

static long dir_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	long n = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Of all pages of the buffer, as the driver sees them. */
static long references(const struct env *env)
{
	long n = (long)(env->length / page_size());
	struct page_state *st = calloc((size_t)n, sizeof(*st));
	long sum = 0;

	if (!st || page_states(env->fd, st, n) != n)
		sum = -EIO;
	for (long i = 0; !(sum < 0) && i < n; i++)
		sum += st[i].refs;
	free(st);
	return sum;
}

static void state_get(const struct env *env, struct state *state)
{
	state->module_users = module_users();
	state->buffers = dir_entries(DEBUGFS);
	state->names = named_count();
	state->mappings = buf_mappings(env->fd);
	state->references = references(env);
	state->next_fd = next_fd();
}

/*
 * Nothing but the buffer is charged, to all or to the user: what is left of
 * both limits can be had, and not a page more.
 */
static int limits_are_met(const struct env *env)
{
	size_t left = env->limit - env->length;
	int fd = buf_create(KUBUF_BACKING_HUGE, left, 0);

	if (fd < 0)
		return fd;
	close(fd);
	fd = buf_create(KUBUF_BACKING_HUGE, left + page_size(), 0);
	if (fd >= 0)
		close(fd);
	return fd == -ENOSPC ? 0 : -ERANGE;
}

/* Neither the buffer nor anything else is other than it was. */
static void expect_sound(struct __test_metadata *_metadata,
			 const struct env *env)
{
	struct state now;

	state_get(env, &now);
	ASSERT_EQ(env->state.module_users, now.module_users);
	ASSERT_EQ(env->state.buffers, now.buffers);
	ASSERT_EQ(env->state.names, now.names);
	ASSERT_EQ(env->state.mappings, now.mappings);
	ASSERT_EQ(env->state.references, now.references);
	ASSERT_EQ(env->state.next_fd, now.next_fd);
	ASSERT_EQ(env->length, mismatch(env->p, env->length, 1));
	ASSERT_EQ(env->length, kernel_mismatch(env->fd, env->length, 1));
}

/*
 * Pages that are charged to the cgroup, for the kernel's own use: not those of
 * the process itself, which come and go. Counted page by page, as the sums that
 * the cgroup gives are off by what each processor has in stock.
 */
static long charged_pages(const struct memcg *cg)
{
	const __u64 others = 1ULL << 3 /* up to date */ | 1ULL << 5 /* LRU */ |
			     1ULL << 12 /* anonymous */ |
			     1ULL << 26 /* page table */;
	static __u64 words[8192];
	unsigned long pfn = 0;
	struct stat st;
	long n = 0;
	ssize_t got;
	int fd;

	if (!cg->dir[0])
		return 0;
	fd = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || stat(cg->dir, &st))
		return -errno;
	while ((got = read(fd, words, sizeof(words))) > 0)
		for (size_t i = 0; i < (size_t)got / sizeof(*words); i++, pfn++)
			n += words[i] == st.st_ino &&
			     !(page_flags(pfn) & others);
	close(fd);
	return got < 0 ? -EIO : n;
}

/* What goes, goes late: it may have to wait for other processors. */
static bool comes_back_to(const struct memcg *cg, long pages)
{
	for (int i = 0; i < 50; i++) {
		if (charged_pages(cg) <= pages)
			return true;
		usleep(100000);
	}
	return false;
}

static bool is_documented(const struct call *call, long ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(call->errors); i++)
		if (call->errors[i] && ret == -call->errors[i])
			return true;
	return false;
}

/* The call without a failure, and how many points it passes. */
static unsigned int count(struct __test_metadata *_metadata, struct env *env,
			  const struct call *call)
{
	unsigned int left;
	long ret;

	ASSERT_TRUE(!call->before || call->before(env));
	ASSERT_TRUE(fail_arm(env->nth, FAIL_NEVER));
	ret = call->call(env);
	left = fail_stop(env->nth);
	ASSERT_LE(0, ret)
		TH_LOG("%s without a failure: error %ld", call->name, -ret);
	ASSERT_TRUE(!call->after || call->after(env, ret));
	return FAIL_NEVER - left;
}

/* One kind after the other is taken out of the count. */
static struct points count_kinds(struct __test_metadata *_metadata,
				 struct env *env, const struct call *call)
{
	struct points points;
	unsigned int all, no_slab;

	/* What is there once and for all after the first time. */
	count(_metadata, env, call);
	all = count(_metadata, env, call);
	ASSERT_EQ(0, fail_set("failslab/cache-filter", "Y"));
	no_slab = count(_metadata, env, call);
	ASSERT_EQ(0, fail_set("fail_page_alloc/min-order", "31"));
	points.copies = count(_metadata, env, call);
	points.pages = no_slab - points.copies;
	points.slab = all - no_slab;
	ASSERT_EQ(0, fail_set("fail_page_alloc/min-order", "0"));
	ASSERT_EQ(0, fail_set("failslab/cache-filter", "N"));
	return points;
}

/* Fail point N: whether there was one, and what the call said. */
static bool fail_one(struct __test_metadata *_metadata, struct env *env,
		     const struct call *call, unsigned int n, long *ret)
{
	bool hit;

	ASSERT_TRUE(!call->before || call->before(env));
	ASSERT_TRUE(fail_arm(env->nth, n));
	*ret = call->call(env);
	hit = !fail_stop(env->nth);
	ASSERT_TRUE(*ret >= 0 || (hit && is_documented(call, *ret)))
		TH_LOG("%s, point %u: error %ld", call->name, n, -*ret);
	ASSERT_TRUE(!call->after || call->after(env, *ret))
		TH_LOG("%s, point %u: returned %ld", call->name, n, *ret);
	return hit;
}

static void expect_as_before(struct __test_metadata *_metadata,
			     const struct env *env, const struct call *call)
{
	if (call->expect) {
		call->expect(_metadata, env);
		return;
	}
	expect_sound(_metadata, env);
	if (call->makes_buffers)
		ASSERT_EQ(0, limits_are_met(env));
}

/* Fail the points one by one: how many there were. */
static unsigned int fail_each(struct __test_metadata *_metadata,
			      struct env *env, const struct call *call,
			      unsigned int *failed)
{
	unsigned int first = env->first ? env->first : 1;
	unsigned int n;
	long ret;

	for (n = first; n < MOST_POINTS; n++) {
		bool hit = fail_one(_metadata, env, call, n, &ret);

		expect_as_before(_metadata, env, call);
		if (!hit)
			break;
		if (ret >= 0)
			continue;
		++*failed;
		count(_metadata, env, call);
	}
	EXPECT_GT(MOST_POINTS, n);
	return n - first;
}

/* All points of a call, and what is left when all are done. */
static void sweep(struct __test_metadata *_metadata, struct env *env,
		  const struct call *call)
{
	struct points points = count_kinds(_metadata, env, call);
	unsigned int injected, failed = 0;
	long charged = 0;

	if (!call->expect)
		state_get(env, &env->state);
	if (call->makes_buffers)
		charged = charged_pages(&env->cgroup);
	injected = fail_each(_metadata, env, call, &failed);
	if (call->makes_buffers)
		EXPECT_TRUE(comes_back_to(&env->cgroup, charged))
			TH_LOG("%s: %ld pages charged, %ld before", call->name,
			       charged_pages(&env->cgroup), charged);
	EXPECT_EQ(call->needs_nothing, !injected);
	*failures += injected;
	TH_LOG("%s: %u failures, %u failed it, %u lost a node; points: %u slab, %u page, %u copy",
	       call->name, injected, failed, env->lost_nodes, points.slab,
	       points.pages, points.copies);
}

/* A buffer of the name, and limits that leave nothing unseen. */
static void env_setup(struct __test_metadata *_metadata, struct env *env)
{
	size_t room = (env->length + env->touched) / MIB + 1;
	struct rlimit memlock = { room * MIB, room * MIB };
	char limit[16];

	buf_destroy(NAME);
	buf_destroy(NAME_CALL);
	ASSERT_EQ(0, parameter_get("limit_mb", env->limit_mb,
				   sizeof(env->limit_mb)));
	env->limit = room * MIB;
	snprintf(limit, sizeof(limit), "%zu", room);
	ASSERT_EQ(0, parameter_set("limit_mb", limit));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &memlock));
	ASSERT_EQ(0, drop(CAP_IPC_LOCK));
	ASSERT_EQ(0, memcg_make(&env->cgroup));
	if (env->cgroup.dir[0])
		ASSERT_EQ(0, memcg_enter(env->cgroup.dir));

	env->control = control_open();
	ASSERT_LE(0, env->control);
	env->fd = buf_create_named(NAME, env->backing, env->length, env->flags,
				   0);
	ASSERT_LE(0, env->fd);
	ASSERT_TRUE(kernel_fill(env->fd, env->length, 1));
	env->p = buf_map(env->fd, env->length, RW);
	ASSERT_NE(MAP_FAILED, env->p);
	touch(env->p, env->length);
	env->copy = malloc(env->length);
	ASSERT_NE(NULL, env->copy);
	memset(env->copy, 1, env->length);
	ASSERT_EQ(0, fail_setup(&env->saved));
	env->nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, env->nth);
}

static void env_teardown(struct __test_metadata *_metadata, struct env *env)
{
	fail_restore(&env->saved);
	close(env->nth);
	free(env->copy);
	munmap(env->p, env->length);
	close(env->fd);
	close(env->control);
	EXPECT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(0, parameter_set("limit_mb", env->limit_mb));
	if (env->cgroup.dir[0])
		memcg_enter(env->cgroup.top);
	EXPECT_EQ(0, memcg_remove(&env->cgroup));
}

/* Each way of making a buffer, and of its pages. */
FIXTURE(create)
{
	struct env env;
};

FIXTURE_VARIANT(create)
{
	KUBUF_VARIANT_FIELDS
	size_t length;
};

FIXTURE_VARIANT_ADD(create, kmalloc) {
	.backing = KUBUF_BACKING_KMALLOC,
	.length = SHORT,
};

FIXTURE_VARIANT_ADD(create, pages) {
	.backing = KUBUF_BACKING_PAGES,
	.length = SHORT,
};

/* No folio has this size. */
FIXTURE_VARIANT_ADD(create, pages_split) {
	.backing = KUBUF_BACKING_PAGES,
	.length = SHORT - 4 * KIB,
};

FIXTURE_VARIANT_ADD(create, vmalloc) {
	.backing = KUBUF_BACKING_VMALLOC,
	.length = SHORT,
};

/* A piece and its tail. */
FIXTURE_VARIANT_ADD(create, huge) {
	.backing = KUBUF_BACKING_HUGE,
	.length = 2 * MIB + SHORT,
};

FIXTURE_VARIANT_ADD(create, pages_reserved) {
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.length = SHORT,
};

FIXTURE_VARIANT_ADD(create, vmalloc_reserved) {
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.length = SHORT,
};

FIXTURE_SETUP(create)
{
	self->env.backing = KUBUF_BACKING_VMALLOC;
	self->env.length = SHORT;
	/* Set anew before each call, which may change it. */
	self->env.touched = variant->length;
	env_setup(_metadata, &self->env);
	self->env.create = (struct kubuf_create) {
		.size = sizeof(self->env.create),
		.flags = variant->flags,
		.backing = variant->backing,
	};
}

FIXTURE_TEARDOWN(create)
{
	env_teardown(_metadata, &self->env);
}

static bool before_create(struct env *env)
{
	env->create.length = env->touched;
	return true;
}

static long call_create(struct env *env)
{
	return kioctl(env->control, KUBUF_CREATE, &env->create);
}

/* The first and the last page are there, and zero. */
static bool is_new_buffer(const struct env *env, int fd)
{
	char page[4096];
	struct kubuf_info info;

	if (buf_info(fd, &info) || info.length != env->touched)
		return false;
	for (int i = 0; i < 2; i++)
		if (pread(fd, page, sizeof(page),
			  i ? env->touched - sizeof(page) : 0) !=
		    sizeof(page) || !all_bytes(page, sizeof(page), 0))
			return false;
	return true;
}

/*
 * The node in /dev is the core's affair, which does without memory for its
 * name: then there is none, or it stays and opens nothing.
 */
static bool is_left_over(struct env *env, const char *name, int error)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/kubuf/%s", name);
	env->lost_nodes++;
	return error == -ENODEV && !unlink(path);
}

static bool is_node_gone(struct env *env, const char *name)
{
	int fd = node_open(name, O_RDONLY);

	return fd == -ENOENT || is_left_over(env, name, fd);
}

static bool is_named(struct env *env)
{
	struct kubuf_info info;
	int fd = node_open(NAME_CALL, O_RDWR);

	env->lost_nodes += fd == -ENOENT;
	if (fd >= 0)
		close(fd);
	return (fd >= 0 || fd == -ENOENT) && !list_find(NAME_CALL, &info) &&
	       !buf_destroy(NAME_CALL);
}

static bool after_create(struct env *env, long ret)
{
	bool named = env->create.flags & KUBUF_CREATE_NAMED;
	bool good;

	if (ret < 0)
		return !named || node_open(NAME_CALL, O_RDONLY) == -ENOENT;
	good = is_new_buffer(env, (int)ret);
	close((int)ret);
	return good && (!named || is_named(env));
}

static const struct call anonymous_call = {
	.name = "KUBUF_CREATE",
	.before = before_create,
	.call = call_create,
	.after = after_create,
	.errors = { ENOMEM, EFAULT },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(create, anonymous, 600)
{
	sweep(_metadata, &self->env, &anonymous_call);
}

static const struct call named_call = {
	.name = "KUBUF_CREATE, named",
	.before = before_create,
	.call = call_create,
	.after = after_create,
	.errors = { ENOMEM, EFAULT, EBUSY },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(create, named, 600)
{
	self->env.create.flags |= KUBUF_CREATE_NAMED;
	name_set(self->env.create.name, NAME_CALL);
	sweep(_metadata, &self->env, &named_call);
}

/* Calls on a buffer, which are the same for all of its kinds. */
FIXTURE(buffer)
{
	struct env env;
};

FIXTURE_VARIANT(buffer)
{
	KUBUF_VARIANT_FIELDS
};

/* By page, by folio, by frame number. */
KUBUF_VARIANT(buffer, vmalloc, KUBUF_BACKING_VMALLOC, 0, false);
KUBUF_VARIANT(buffer, huge, KUBUF_BACKING_HUGE, 0, false);
KUBUF_VARIANT(buffer, kmalloc, KUBUF_BACKING_KMALLOC, 0, true);

FIXTURE_SETUP(buffer)
{
	self->env.backing = variant->backing;
	self->env.flags = variant->flags;
	self->env.length = SHORT;
	env_setup(_metadata, &self->env);
}

FIXTURE_TEARDOWN(buffer)
{
	env_teardown(_metadata, &self->env);
}

static bool before_copy(struct env *env)
{
	memset(env->copy, 0, env->length);
	return true;
}

static long call_read(struct env *env)
{
	ssize_t n = pread(env->fd, env->copy, env->length, 0);

	return n < 0 ? -errno : n;
}

static bool after_read(struct env *env, long ret)
{
	return ret < 0 || (ret && matches_at(env->copy, (size_t)ret, 0, 1));
}

static const struct call read_call = {
	.name = "read",
	.before = before_copy,
	.call = call_read,
	.after = after_read,
	.errors = { EFAULT },
};

TEST_F_TIMEOUT(buffer, read, 600)
{
	sweep(_metadata, &self->env, &read_call);
}

/* The same bytes as there are: what arrives of them is right. */
static bool before_write(struct env *env)
{
	fill(env->copy, env->length, 1);
	return true;
}

static long call_write(struct env *env)
{
	ssize_t n = pwrite(env->fd, env->copy, env->length, 0);

	return n < 0 ? -errno : n;
}

static bool after_write(struct env *env, long ret)
{
	return ret;
}

static const struct call write_call = {
	.name = "write",
	.before = before_write,
	.call = call_write,
	.after = after_write,
	.errors = { EFAULT },
};

TEST_F_TIMEOUT(buffer, write, 600)
{
	sweep(_metadata, &self->env, &write_call);
}

static long export_with(struct env *env, __u32 flags)
{
	struct kubuf_export e = { .size = sizeof(e), .flags = flags };

	return kioctl(env->fd, KUBUF_EXPORT, &e);
}

static long call_export(struct env *env)
{
	return export_with(env, KUBUF_EXPORT_WRITE);
}

static long call_export_to_read(struct env *env)
{
	return export_with(env, 0);
}

/* A dma-buf that is there is the buffer. */
static bool after_export(struct env *env, long ret)
{
	bool good;
	char *p;

	if (ret < 0)
		return true;
	p = buf_map((int)ret, env->length, PROT_READ);
	good = p != MAP_FAILED && mismatch(p, env->length, 1) == env->length;
	munmap(p, env->length);
	close((int)ret);
	return good;
}

static const struct call export_call = {
	.name = "KUBUF_EXPORT",
	.call = call_export,
	.after = after_export,
	.errors = { ENOMEM, EFAULT, ENFILE, EMFILE },
};

static const struct call export_to_read_call = {
	.name = "KUBUF_EXPORT, read-only",
	.call = call_export_to_read,
	.after = after_export,
	.errors = { ENOMEM, EFAULT, ENFILE, EMFILE },
};

TEST_F_TIMEOUT(buffer, export_to_read, 600)
{
	sweep(_metadata, &self->env, &export_to_read_call);
}

TEST_F_TIMEOUT(buffer, export, 600)
{
	struct kubuf_seal s = { .size = sizeof(s), .seals = KUBUF_SEAL_WRITE };

	sweep(_metadata, &self->env, &export_call);
	/* None of those that failed is taken for one to write to. */
	EXPECT_EQ(0, kioctl(self->env.fd, KUBUF_SEAL, &s));
}

static struct importer_args importer_args;

/* A dma-buf, and a device that has none yet. */
static bool before_device(struct env *env)
{
	env->fds[0] = (int)call_export(env);
	env->fds[1] = importer_open();
	return env->fds[0] >= 0 && env->fds[1] >= 0;
}

static long call_device(struct env *env)
{
	int ret = attach(env->fds[1], &importer_args, env->fds[0]);

	return ret ? ret : map_for(env->fds[1], &importer_args, BIDIRECTIONAL);
}

/* All of it was told to the device, or there is nothing to take back. */
static bool after_device(struct env *env, long ret)
{
	int unmapped = kioctl(env->fds[1], IMPORTER_UNMAP, &importer_args);
	__u64 told = 0;
	bool good;

	for (__u32 i = 0; !ret && i < importer_args.nr; i++)
		told += importer_args.pieces[i].length;
	if (!ret)
		good = told == env->length && !unmapped;
	else
		/* It may be that only the answer could not be given. */
		good = unmapped == -EINVAL || (ret == -EFAULT && !unmapped);
	close(env->fds[1]);
	close(env->fds[0]);
	return good;
}

static const struct call device_call = {
	.name = "dma_buf_attach, dma_buf_map_attachment",
	.before = before_device,
	.call = call_device,
	.after = after_device,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(buffer, device, 600)
{
	ASSERT_EQ(0, importer_load());
	sweep(_metadata, &self->env, &device_call);
	importer_unload();
}

static bool before_pipe(struct env *env)
{
	return !pipe2(env->fds, O_CLOEXEC | O_NONBLOCK);
}

static bool after_pipe(struct env *env)
{
	return !close(env->fds[0]) && !close(env->fds[1]);
}

static long call_splice_out(struct env *env)
{
	loff_t pos = 0;
	ssize_t n = splice(env->fd, &pos, env->fds[1], NULL, env->length, 0);

	return n < 0 ? -errno : n;
}

/* If the new offset can't be stored, the call fails and has moved the data. */
static bool after_splice_out(struct env *env, long ret)
{
	ssize_t n = read(env->fds[0], env->copy, env->length);
	bool empty = n == -1 && errno == EAGAIN;

	if (!after_pipe(env))
		return false;
	if (ret < 0 && empty)
		return true;
	return n > 0 && (ret < 0 || n == ret) &&
	       matches_at(env->copy, (size_t)n, 0, 1);
}

static const struct call splice_out = {
	.name = "splice to a pipe",
	.before = before_pipe,
	.call = call_splice_out,
	.after = after_splice_out,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(buffer, splice_out, 600)
{
	sweep(_metadata, &self->env, &splice_out);
}

static bool before_splice_in(struct env *env)
{
	before_write(env);
	return before_pipe(env) &&
	       write(env->fds[1], env->copy, SHORT) == SHORT;
}

static long call_splice_in(struct env *env)
{
	loff_t pos = 0;
	ssize_t n = splice(env->fds[0], NULL, env->fd, &pos, SHORT, 0);

	return n < 0 ? -errno : n;
}

static bool after_splice_in(struct env *env, long ret)
{
	return ret && after_pipe(env);
}

static const struct call splice_in = {
	.name = "splice from a pipe",
	.before = before_splice_in,
	.call = call_splice_in,
	.after = after_splice_in,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(buffer, splice_in, 600)
{
	sweep(_metadata, &self->env, &splice_in);
}

static long call_mmap(struct env *env)
{
	env->at = mmap(FAR_AWAY, env->length, RW, MAP_SHARED, env->fd, 0);
	return env->at == MAP_FAILED ? -errno : 0;
}

static bool after_mmap(struct env *env, long ret)
{
	return ret < 0 || (buf_mappings(env->fd) == 2 &&
			   !munmap(env->at, env->length));
}

static const struct call mmap_call = {
	.name = "mmap",
	.call = call_mmap,
	.after = after_mmap,
	.errors = { ENOMEM },
};

TEST_F_TIMEOUT(buffer, mmap, 600)
{
	sweep(_metadata, &self->env, &mmap_call);
}

static bool before_split(struct env *env)
{
	return !call_mmap(env) &&
	       matches_at(env->at, env->length, 0, 1);
}

static long call_munmap(struct env *env)
{
	return munmap(env->at + page_size(), page_size()) ? -errno : 0;
}

/* One that fails may have split the mapping, but has unmapped nothing. */
static bool after_munmap(struct env *env, long ret)
{
	long pieces = buf_mappings(env->fd) - 1;

	return (ret < 0 ? pieces >= 1 && pieces <= 3 : pieces == 2) &&
	       (!ret || matches_at(env->at, env->length, 0, 1)) &&
	       !munmap(env->at, env->length);
}

static const struct call munmap_call = {
	.name = "munmap of a part",
	.before = before_split,
	.call = call_munmap,
	.after = after_munmap,
	.errors = { ENOMEM },
};

TEST_F_TIMEOUT(buffer, munmap, 600)
{
	sweep(_metadata, &self->env, &munmap_call);
}

static long call_mprotect(struct env *env)
{
	return mprotect(env->at + page_size(), page_size(), PROT_READ) ?
	       -errno : 0;
}

/* Split or not, or half, each piece is counted and maps what it did. */
static bool after_mprotect(struct env *env, long ret)
{
	long pieces = buf_mappings(env->fd) - 1;

	return (ret < 0 ? pieces >= 1 && pieces <= 3 : pieces == 3) &&
	       matches_at(env->at, env->length, 0, 1) &&
	       !munmap(env->at, env->length);
}

static const struct call mprotect_call = {
	.name = "mprotect of a part",
	.before = before_split,
	.call = call_mprotect,
	.after = after_mprotect,
	.errors = { ENOMEM },
};

TEST_F_TIMEOUT(buffer, mprotect, 600)
{
	sweep(_metadata, &self->env, &mprotect_call);
}

static long call_mremap(struct env *env)
{
	char *to = mremap(env->at, env->length, env->length,
			  MREMAP_MAYMOVE | MREMAP_FIXED,
			  FAR_AWAY + 4096 * MIB);

	if (to == MAP_FAILED)
		return -errno;
	env->at = to;
	return 0;
}

static bool after_mremap(struct env *env, long ret)
{
	return buf_mappings(env->fd) == 2 &&
	       matches_at(env->at, env->length, 0, 1) &&
	       !munmap(env->at, env->length);
}

static const struct call mremap_call = {
	.name = "mremap to elsewhere",
	.before = before_split,
	.call = call_mremap,
	.after = after_mremap,
	.errors = { ENOMEM },
};

TEST_F_TIMEOUT(buffer, mremap, 600)
{
	sweep(_metadata, &self->env, &mremap_call);
}

/* The child finds the data, changes nothing, and its mapping goes with it. */
static long call_fork(struct env *env)
{
	pid_t pid = fork();

	if (!pid)
		_exit(mismatch(env->p, env->length, 1) != env->length);
	return pid < 0 ? -errno : pid;
}

static bool after_fork(struct env *env, long ret)
{
	int status;

	return ret < 0 ||
	       (waitpid((pid_t)ret, &status, 0) == ret && !status);
}

static const struct call fork_call = {
	.name = "fork",
	.call = call_fork,
	.after = after_fork,
	.errors = { ENOMEM },
};

TEST_F_TIMEOUT(buffer, fork, 600)
{
	sweep(_metadata, &self->env, &fork_call);
}

static long call_debugfs(struct env *env)
{
	int fd = open((const char *)env->at, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = read(fd, env->copy, env->length);
	err = errno;
	close(fd);
	return n < 0 ? -err : n;
}

static bool after_debugfs(struct env *env, long ret)
{
	return ret < 0 || !strncmp(env->copy, "# kubuf ", 8);
}

static const struct call debugfs_call = {
	.name = "debugfs: open, read",
	.before = before_copy,
	.call = call_debugfs,
	.after = after_debugfs,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(buffer, debugfs, 600)
{
	struct kubuf_info info;
	char path[64];

	ASSERT_EQ(0, buf_info(self->env.fd, &info));
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	self->env.at = path;
	sweep(_metadata, &self->env, &debugfs_call);
}

/*
 * What a driver calls, by the module that stands for one: the allocations of
 * the memory that it wraps fail, too.
 */
FIXTURE(driver)
{
	struct env env;
};

FIXTURE_VARIANT(driver)
{
	bool wrapped;
	__u32 kind;	/* of memory, or a backing */
	__u32 flags;
};

FIXTURE_VARIANT_ADD(driver, made) {
	.kind = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(driver, kmalloc) {
	.wrapped = true,
	.kind = CLIENT_KMALLOC,
	.flags = CLIENT_PFN_PATH,
};

FIXTURE_VARIANT_ADD(driver, compound_row) {
	.wrapped = true,
	.kind = CLIENT_COMPOUND,
	.flags = CLIENT_PFN_PATH | CLIENT_ROW,
};

FIXTURE_VARIANT_ADD(driver, vmalloc) {
	.wrapped = true,
	.kind = CLIENT_VMALLOC,
};

FIXTURE_VARIANT_ADD(driver, vmalloc_pfn) {
	.wrapped = true,
	.kind = CLIENT_VMALLOC,
	.flags = CLIENT_PFN_PATH,
};

FIXTURE_VARIANT_ADD(driver, exact) {
	.wrapped = true,
	.kind = CLIENT_EXACT,
};

FIXTURE_VARIANT_ADD(driver, single) {
	.wrapped = true,
	.kind = CLIENT_SINGLE,
};

FIXTURE_SETUP(driver)
{
	struct env *env = &self->env;

	env->backing = KUBUF_BACKING_VMALLOC;
	env->length = SHORT;
	env_setup(_metadata, env);
	env->wrapped = variant->wrapped;
	env->create.backing = variant->kind;
	env->create.flags = variant->flags;
	ASSERT_EQ(0, client_load());
	env->client = client_open(O_RDWR);
	ASSERT_LE(0, env->client);
}

FIXTURE_TEARDOWN(driver)
{
	close(self->env.client);
	EXPECT_EQ(0, client_unload());
	env_teardown(_metadata, &self->env);
}

static long call_obtain(struct env *env)
{
	env->object = env->wrapped ?
		client_wrap(env->client, env->create.backing, env->length,
			    env->create.flags) :
		client_create(env->client, env->create.backing, env->length,
			      env->create.flags);
	return env->object;
}

/* All is given back, and what was wrapped is released: once, or it complains. */
static bool is_dropped(const struct env *env)
{
	return !client_do(env->client, CLIENT_DROP, 0);
}

/* If only the answer could not be given, there is a buffer, of no use. */
static bool after_obtain(struct env *env, long ret)
{
	bool good = ret < 0 ||
		    (client_fill(env->client, (__u32)ret, env->length, 2) &&
		     client_holds(env->client, (__u32)ret, env->length, 2));

	return is_dropped(env) && good;
}

static const struct call obtain_call = {
	.name = "kubuf_create, kubuf_wrap",
	.call = call_obtain,
	.after = after_obtain,
	.errors = { ENOMEM, EFAULT },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(driver, obtain, 600)
{
	sweep(_metadata, &self->env, &obtain_call);
}

static bool before_register(struct env *env)
{
	return call_obtain(env) > 0 &&
	       client_fill(env->client, (__u32)env->object, env->length, 2);
}

static long call_register(struct env *env)
{
	return client_register(env->client, (__u32)env->object, NAME_CALL, 0);
}

/* The node shows the buffer, and goes with it; the driver has it as before. */
static bool after_register(struct env *env, long ret)
{
	__u32 object = (__u32)env->object;
	int fd = node_open(NAME_CALL, O_RDONLY);
	bool good = client_holds(env->client, object, env->length, 2);
	struct kubuf_info info;

	if (!ret)
		good = good && !list_find(NAME_CALL, &info);
	else if (ret != -EFAULT)
		good = good && fd == -ENOENT;
	if (fd >= 0) {
		good = good && pread(fd, env->copy, env->length, 0) ==
			       (ssize_t)env->length &&
		       mismatch(env->copy, env->length, 2) == env->length;
		close(fd);
	} else {
		env->lost_nodes += !ret;
	}
	good = is_dropped(env) && good;
	return good && is_node_gone(env, NAME_CALL);
}

static const struct call register_call = {
	.name = "kubuf_register",
	.before = before_register,
	.call = call_register,
	.after = after_register,
	.errors = { ENOMEM, EFAULT, EBUSY },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(driver, register, 600)
{
	sweep(_metadata, &self->env, &register_call);
}

static bool before_unregister(struct env *env)
{
	return before_register(env) && !call_register(env);
}

static long call_unregister(struct env *env)
{
	return client_do(env->client, CLIENT_UNREGISTER, (__u32)env->object);
}

static bool after_unregister(struct env *env, long ret)
{
	__u32 object = (__u32)env->object;
	bool good = client_holds(env->client, object, env->length, 2);

	return is_dropped(env) && good && is_node_gone(env, NAME_CALL);
}

static const struct call unregister_call = {
	.name = "kubuf_unregister",
	.before = before_unregister,
	.call = call_unregister,
	.after = after_unregister,
	.errors = { EFAULT },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(driver, unregister, 600)
{
	sweep(_metadata, &self->env, &unregister_call);
}

static bool before_own_mmap(struct env *env)
{
	return before_register(env) &&
	       !client_do(env->client, CLIENT_SELECT, (__u32)env->object);
}

static long call_own_mmap(struct env *env)
{
	env->at = mmap(FAR_AWAY, env->length, RW, MAP_SHARED, env->client, 0);
	return env->at == MAP_FAILED ? -errno : 0;
}

static bool after_own_mmap(struct env *env, long ret)
{
	bool good = ret < 0 ||
		    (mismatch(env->at, env->length, 2) == env->length &&
		     !munmap(env->at, env->length));

	return is_dropped(env) && good;
}

static const struct call own_mmap_call = {
	.name = "kubuf_mmap",
	.before = before_own_mmap,
	.call = call_own_mmap,
	.after = after_own_mmap,
	.errors = { ENOMEM },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(driver, mmap, 600)
{
	sweep(_metadata, &self->env, &own_mmap_call);
}

/* The first access to a page, on each path through the fault handler. */
FIXTURE(fault)
{
	struct windows windows;
	struct env env;
};

FIXTURE_VARIANT(fault)
{
	KUBUF_VARIANT_FIELDS
	size_t length;
	/* Pages that the mapping has when it faults. */
	size_t first;
	unsigned int window;
	bool is_private;
	/* There is nothing to allocate for it. */
	bool needs_nothing;
};

FIXTURE_VARIANT_ADD(fault, page) {
	.backing = KUBUF_BACKING_VMALLOC,
	.length = SHORT,
	.window = 1,
};

/* In the page table of an earlier fault: there is none to make. */
FIXTURE_VARIANT_ADD(fault, window) {
	.backing = KUBUF_BACKING_VMALLOC,
	.length = SHORT,
	.window = 128,
	.first = 1,
	.needs_nothing = true,
};

FIXTURE_VARIANT_ADD(fault, folio) {
	.backing = KUBUF_BACKING_PAGES,
	.length = SHORT,
	.window = 1,
};

FIXTURE_VARIANT_ADD(fault, pmd) {
	.backing = KUBUF_BACKING_HUGE,
	.length = 2 * MIB,
	.window = 1,
};

FIXTURE_VARIANT_ADD(fault, pfn) {
	.backing = KUBUF_BACKING_KMALLOC,
	.length = SHORT,
	.window = 1,
};

FIXTURE_VARIANT_ADD(fault, pfn_window) {
	.backing = KUBUF_BACKING_KMALLOC,
	.length = SHORT,
	.window = 512,
	.first = 1,
	.needs_nothing = true,
};

FIXTURE_VARIANT_ADD(fault, pfn_pmd) {
	.backing = KUBUF_BACKING_KMALLOC,
	.length = 2 * MIB,
	.window = 1,
};

FIXTURE_VARIANT_ADD(fault, reserved) {
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.length = SHORT,
	.window = 1,
};

FIXTURE_VARIANT_ADD(fault, private_page) {
	.backing = KUBUF_BACKING_VMALLOC,
	.length = SHORT,
	.window = 1,
	.is_private = true,
};

FIXTURE_VARIANT_ADD(fault, private_folio) {
	.backing = KUBUF_BACKING_PAGES,
	.length = SHORT,
	.window = 1,
	.is_private = true,
};

FIXTURE_SETUP(fault)
{
	self->env.backing = variant->backing;
	self->env.flags = variant->flags;
	self->env.length = variant->length;
	self->env.touched = variant->first * page_size();
	self->env.prot = variant->is_private ? MAP_PRIVATE : MAP_SHARED;
	ASSERT_EQ(0, windows_get(&self->windows));
	ASSERT_EQ(0, windows_set(variant->window));
	env_setup(_metadata, &self->env);
}

FIXTURE_TEARDOWN(fault)
{
	env_teardown(_metadata, &self->env);
	windows_put(&self->windows);
}

static bool before_fault(struct env *env)
{
	env->at = mmap(FAR_AWAY, env->length, RW, env->prot, env->fd, 0);
	if (env->at != FAR_AWAY)
		return false;
	touch(env->at, env->touched);
	return true;
}

/* The byte that is there: a store of it is seen by nobody. */
static long call_store(struct env *env)
{
	store(env->at + env->touched, (char)pattern(env->touched, 1));
	return 0;
}

static bool after_fault(struct env *env, long ret)
{
	return matches_at(env->at, env->length, 0, 1) &&
	       !munmap(env->at, env->length);
}

static const struct call store_call = {
	.name = "store",
	.before = before_fault,
	.call = call_store,
	.after = after_fault,
};

static const struct call store_call_at_hand = {
	.name = "store",
	.before = before_fault,
	.call = call_store,
	.after = after_fault,
	.needs_nothing = true,
};

/* A program never sees it: the access is made again. */
TEST_F_TIMEOUT(fault, by_a_store, 600)
{
	sweep(_metadata, &self->env, variant->needs_nothing ?
	      &store_call_at_hand : &store_call);
}

/* The kernel's own access, to give the program what it asked for. */
static long call_read_into(struct env *env)
{
	ssize_t n = pread(env->fd, env->at + env->touched, page_size(),
			  (off_t)env->touched);

	return n < 0 ? -errno : n;
}

static bool after_read_into(struct env *env, long ret)
{
	return ret && after_fault(env, ret);
}

static const struct call read_into_call = {
	.name = "read into the mapping",
	.before = before_fault,
	.call = call_read_into,
	.after = after_read_into,
	.errors = { EFAULT },
};

TEST_F_TIMEOUT(fault, by_the_kernel, 600)
{
	sweep(_metadata, &self->env, &read_into_call);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

static long call_populate(struct env *env)
{
	return madvise(env->at, env->length, MADV_POPULATE_WRITE) ? -errno : 0;
}

static const struct call populate_call = {
	.name = "MADV_POPULATE_WRITE",
	.before = before_fault,
	.call = call_populate,
	.after = after_fault,
	.errors = { ENOMEM },
};

static const struct call populate_call_at_hand = {
	.name = "MADV_POPULATE_WRITE",
	.before = before_fault,
	.call = call_populate,
	.after = after_fault,
	.errors = { ENOMEM },
	.needs_nothing = true,
};

TEST_F_TIMEOUT(fault, by_populate, 600)
{
	struct kubuf_info info;

	ASSERT_EQ(0, buf_info(self->env.fd, &info));
	if (info.flags & KUBUF_INFO_PFN)
		return;
	sweep(_metadata, &self->env, variant->needs_nothing ?
	      &populate_call_at_hand : &populate_call);
}

/* The rest of the calls. */
FIXTURE(other)
{
	struct env env;
};

FIXTURE_SETUP(other)
{
	self->env.backing = KUBUF_BACKING_VMALLOC;
	self->env.length = SHORT;
	env_setup(_metadata, &self->env);
}

FIXTURE_TEARDOWN(other)
{
	env_teardown(_metadata, &self->env);
}

/* The measure itself: a buffer weighs as much as it has pages. */
TEST_F_TIMEOUT(other, weight, 600)
{
	struct env *env = &self->env;
	int fds[KUBUF_BACKING_HUGE + 1];
	long before;

	if (!env->cgroup.dir[0])
		SKIP(return, "no memory controller in cgroup v2");
	before = charged_pages(&env->cgroup);
	for (__u32 b = KUBUF_BACKING_KMALLOC; b <= KUBUF_BACKING_HUGE; b++) {
		fds[b] = buf_create(b, SHORT, 0);
		ASSERT_LE(0, fds[b]);
	}
	EXPECT_EQ(4 * (long)(SHORT / page_size()),
		  charged_pages(&env->cgroup) - before);
	for (__u32 b = KUBUF_BACKING_KMALLOC; b <= KUBUF_BACKING_HUGE; b++)
		close(fds[b]);
}

static bool after_open(struct env *env, long ret)
{
	return ret < 0 || !close((int)ret);
}

static long call_open_control(struct env *env)
{
	int fd = control_open();

	return fd < 0 ? -errno : fd;
}

static const struct call open_control = {
	.name = "open of control",
	.call = call_open_control,
	.after = after_open,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(other, open_control, 600)
{
	sweep(_metadata, &self->env, &open_control);
}

static long call_open_node(struct env *env)
{
	return node_open(NAME, O_RDWR);
}

static const struct call open_node = {
	.name = "open of a node",
	.call = call_open_node,
	.after = after_open,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(other, open_node, 600)
{
	sweep(_metadata, &self->env, &open_node);
}

/* There is no other file: the inode is made for this one, and the mount. */
static bool before_open_first(struct env *env)
{
	return !munmap(env->p, env->length) && !close(env->fd);
}

static bool after_open_first(struct env *env, long ret)
{
	if (!after_open(env, ret))
		return false;
	env->fd = node_open(NAME, O_RDWR);
	env->p = buf_map(env->fd, env->length, RW);
	if (env->fd < 0 || env->p == MAP_FAILED)
		return false;
	touch(env->p, env->length);
	return true;
}

static const struct call open_node_first = {
	.name = "open of a node, the first file",
	.before = before_open_first,
	.call = call_open_node,
	.after = after_open_first,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(other, open_node_first, 600)
{
	sweep(_metadata, &self->env, &open_node_first);
}

static long call_reopen(struct env *env)
{
	return reopen(env->fd, O_RDWR);
}

static const struct call reopen_call = {
	.name = "open of /proc/self/fd/N",
	.call = call_reopen,
	.after = after_open,
	.errors = { ENOMEM, EFAULT, ENOENT },
};

TEST_F_TIMEOUT(other, reopen, 600)
{
	sweep(_metadata, &self->env, &reopen_call);
}

static bool before_destroy(struct env *env)
{
	int fd = buf_create_named(NAME_CALL, KUBUF_BACKING_VMALLOC, SHORT, 0,
				  0);

	return fd >= 0 && !close(fd);
}

static long call_destroy(struct env *env)
{
	struct kubuf_destroy d = { .size = sizeof(d), .name = NAME_CALL };

	return kioctl(env->control, KUBUF_DESTROY, &d);
}

static bool after_destroy(struct env *env, long ret)
{
	int fd = node_open(NAME_CALL, O_RDWR);

	if (!ret)
		return fd == -ENOENT || is_left_over(env, NAME_CALL, fd);
	return fd >= 0 && !close(fd) && !buf_destroy(NAME_CALL);
}

static const struct call destroy_call = {
	.name = "KUBUF_DESTROY",
	.before = before_destroy,
	.call = call_destroy,
	.after = after_destroy,
	.errors = { EFAULT },
	.makes_buffers = true,
};

TEST_F_TIMEOUT(other, destroy, 600)
{
	sweep(_metadata, &self->env, &destroy_call);
}

static long call_list(struct env *env)
{
	struct kubuf_list l = {
		.size = sizeof(l),
		.infos = (uintptr_t)env->copy,
		.info_size = sizeof(struct kubuf_info),
		.count = 1,
	};
	int ret = kioctl(env->control, KUBUF_LIST, &l);

	return ret ? ret : (long)l.count;
}

static bool after_list(struct env *env, long ret)
{
	const struct kubuf_info *info = (const void *)env->copy;

	return ret < 0 || (ret == 1 && !strcmp(info->name, NAME));
}

static const struct call list_call = {
	.name = "KUBUF_LIST",
	.before = before_copy,
	.call = call_list,
	.after = after_list,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(other, list, 600)
{
	sweep(_metadata, &self->env, &list_call);
}

static long call_info(struct env *env)
{
	struct kubuf_info info;
	int ret = buf_info(env->fd, &info);

	return ret ? ret : (long)info.length;
}

static bool after_info(struct env *env, long ret)
{
	return ret < 0 || ret == (long)env->length;
}

static const struct call info_call = {
	.name = "KUBUF_INFO",
	.call = call_info,
	.after = after_info,
	.errors = { EFAULT },
};

TEST_F_TIMEOUT(other, info, 600)
{
	sweep(_metadata, &self->env, &info_call);
}

static long call_lseek(struct env *env)
{
	off_t pos = lseek(env->fd, 0, SEEK_END);

	return pos < 0 ? -errno : pos;
}

static const struct call lseek_call = {
	.name = "lseek",
	.call = call_lseek,
	.after = after_info,
	.needs_nothing = true,
};

TEST_F_TIMEOUT(other, lseek, 600)
{
	sweep(_metadata, &self->env, &lseek_call);
}

/* The list of files is copied, which is all. */
static long call_poll(struct env *env)
{
	struct pollfd pfd = { .fd = env->fd, .events = POLLIN | POLLOUT };
	int ret = poll(&pfd, 1, 0);

	return ret < 0 ? -errno : pfd.revents;
}

static bool after_poll(struct env *env, long ret)
{
	return ret < 0 || ret == (POLLIN | POLLOUT);
}

static const struct call poll_call = {
	.name = "poll",
	.call = call_poll,
	.after = after_poll,
	.errors = { EFAULT },
};

TEST_F_TIMEOUT(other, poll, 600)
{
	sweep(_metadata, &self->env, &poll_call);
}

static bool before_fdinfo(struct env *env)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", env->fd);
	env->fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	return env->fds[0] >= 0 && before_copy(env);
}

static long call_fdinfo(struct env *env)
{
	ssize_t n = pread(env->fds[0], env->copy, env->length - 1, 0);

	return n < 0 ? -errno : n;
}

static bool after_fdinfo(struct env *env, long ret)
{
	return !close(env->fds[0]) &&
	       (ret < 0 || strstr(env->copy, "kubuf-name:\t" NAME "\n"));
}

static const struct call fdinfo_call = {
	.name = "read of fdinfo",
	.before = before_fdinfo,
	.call = call_fdinfo,
	.after = after_fdinfo,
	.errors = { ENOMEM, EFAULT },
};

TEST_F_TIMEOUT(other, fdinfo, 600)
{
	sweep(_metadata, &self->env, &fdinfo_call);
}

/* The module itself, with buffers of each backing. */
#define BUFFERS	"buffers=fail-a:64K,fail-b:60K:pages,fail-c:64K:kmalloc,fail-d:2112K:huge"

static const char * const module_names[] = {
	"fail-a", "fail-b", "fail-c", "fail-d",
};

/* The module's points until it finds a parameter wrong are not more. */
#define MODULE_FIRST	10U

FIXTURE(loader)
{
	struct env env;
};

/*
 * Out of memory of its own: what reading the file takes from a disk or a
 * server is not to be failed.
 */
static int module_copy(int *flags)
{
	int from = module_open(flags);
	int copy = memfd_create("kubuf", MFD_CLOEXEC);
	char chunk[4096];
	ssize_t n;
	int fd;

	if (from < 0 || copy < 0)
		return from < 0 ? from : -errno;
	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (write(copy, chunk, (size_t)n) != n)
			return -EIO;
	fd = n ? -EIO : reopen(copy, O_RDONLY);
	close(copy);
	close(from);
	return fd;
}

FIXTURE_SETUP(loader)
{
	struct env *env = &self->env;

	env->fds[0] = module_copy(&env->fds[1]);
	if (env->fds[0] == -ENOENT)
		SKIP(return, "module not found: set KUBUF_KO");
	ASSERT_LE(0, env->fds[0]);
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, memcg_make(&env->cgroup));
	if (env->cgroup.dir[0])
		ASSERT_EQ(0, memcg_enter(env->cgroup.dir));
	ASSERT_EQ(0, fail_setup(&env->saved));
	env->nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, env->nth);
}

FIXTURE_TEARDOWN(loader)
{
	struct env *env = &self->env;

	if (env->fds[0] < 0)
		return;
	fail_restore(&env->saved);
	if (env->cgroup.dir[0])
		memcg_enter(env->cgroup.top);
	EXPECT_EQ(0, memcg_remove(&env->cgroup));
	if (!module_is_loaded())
		EXPECT_EQ(0, module_load(""));
}

static long load_with(struct env *env, const char *parameters)
{
	return syscall(__NR_finit_module, env->fds[0], parameters,
		       env->fds[1]) ? -errno : 0;
}

static long call_load(struct env *env)
{
	return load_with(env, BUFFERS);
}

/* Points of a load that the module refuses nearly at once. */
static unsigned int points_of_the_loader(struct __test_metadata *_metadata,
					 struct env *env)
{
	unsigned int left;

	ASSERT_TRUE(fail_arm(env->nth, FAIL_NEVER));
	ASSERT_EQ(-EINVAL, load_with(env, "buffers=:"));
	left = fail_stop(env->nth);
	return FAIL_NEVER - left;
}

/* Unload, and of what stays in /dev nothing opens. */
static bool unload_all(struct env *env)
{
	int ret = module_is_loaded() ? module_unload() : 0;

	for (size_t i = 0; i < ARRAY_SIZE(module_names); i++)
		if (!is_node_gone(env, module_names[i]))
			return false;
	if (!is_node_gone(env, "control"))
		return false;
	rmdir("/dev/kubuf");
	return !ret && all_gone();
}

/* A buffer whose node could not be made is not there at all. */
static bool after_load(struct env *env, long ret)
{
	long nodes = 0;

	if (ret < 0)
		return all_gone();
	for (size_t i = 0; i < ARRAY_SIZE(module_names); i++) {
		struct kubuf_info info;
		int fd = node_open(module_names[i], O_RDONLY);

		if (fd >= 0)
			close(fd);
		nodes += fd >= 0;
		env->lost_nodes += fd < 0 && !list_find(module_names[i], &info);
	}
	env->touched = (size_t)nodes;
	return nodes >= 3 && unload_all(env);
}

static void expect_gone(struct __test_metadata *_metadata,
			const struct env *env)
{
	ASSERT_TRUE(all_gone());
}

static const struct call load_call = {
	.name = "loading the module",
	.call = call_load,
	.after = after_load,
	.errors = { ENOMEM, EFAULT },
	.makes_buffers = true,
	.expect = expect_gone,
};

/*
 * Not the loader's own points, at some of which it fills the log: from a few
 * before those of the module on.
 */
TEST_F_TIMEOUT(loader, load, 1800)
{
	unsigned int before = points_of_the_loader(_metadata, &self->env);

	ASSERT_LT(MODULE_FIRST, before);
	self->env.first = before - MODULE_FIRST;
	sweep(_metadata, &self->env, &load_call);
	EXPECT_EQ(ARRAY_SIZE(module_names), self->env.touched);
}

static bool before_unload(struct env *env)
{
	return !call_load(env);
}

static long call_unload(struct env *env)
{
	return module_unload();
}

static bool after_unload(struct env *env, long ret)
{
	return unload_all(env);
}

static const struct call unload_call = {
	.name = "unloading the module",
	.before = before_unload,
	.call = call_unload,
	.after = after_unload,
	.errors = { EFAULT },
	.makes_buffers = true,
	.expect = expect_gone,
};

TEST_F_TIMEOUT(loader, unload, 1800)
{
	sweep(_metadata, &self->env, &unload_call);
}

/* Objects that nobody points to, with where they were allocated. */
static int leaks_log(struct __test_metadata *_metadata)
{
	FILE *f = fopen(KMEMLEAK, "re");
	char line[256];
	int n = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		n += !strncmp(line, "unreferenced", 12);
		TH_LOG("%.*s", (int)strcspn(line, "\n"), line);
	}
	fclose(f);
	return n;
}

/* What all others left: a fixture of its own comes last, and alone. */
FIXTURE(leaks)
{
};

FIXTURE_SETUP(leaks)
{
}

FIXTURE_TEARDOWN(leaks)
{
}

TEST_F_TIMEOUT(leaks, none, 600)
{
	TH_LOG("%ld failures injected in all", *failures);
	EXPECT_LT(0, *failures);
	if (access(KMEMLEAK, F_OK))
		SKIP(return, "the kernel lacks CONFIG_DEBUG_KMEMLEAK");
	/* An object of the last seconds is not reported. */
	sleep(6);
	ASSERT_EQ(0, file_write(KMEMLEAK, "scan"));
	ASSERT_EQ(0, file_write(KMEMLEAK, "scan"));
	EXPECT_EQ(0, leaks_log(_metadata));
}

TEST_HARNESS_MAIN
