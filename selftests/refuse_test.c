// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the calls refuse, with which error, and that nothing is left behind.
 */
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>

#include "kselftest_harness.h"
#include "kubuf_task.h"

#define NAME	"refuse-test"

/* In the kernel's half, and in neither half. */
#define KERNEL_ADDRESS		((void *)0xffff888000000000UL)
#define NO_ADDRESS		((void *)0x8000000000000000UL)

/* Space for a structure at the end of a page that nothing follows. */
static char *page_end(size_t length)
{
	char *p = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p + page_size(), page_size()))
		abort();
	return p + page_size() - length;
}

/* A copy of a structure that the kernel can read and not write. */
static void *read_only(const void *from, size_t length)
{
	char *p = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	memcpy(p, from, length);
	if (mprotect(p, page_size(), PROT_READ))
		abort();
	return p;
}

FIXTURE(create) {
	int control;
	int next_fd;
	long named;
	/* Two requests that would be granted; a test spoils one. */
	struct kubuf_create anon;
	struct kubuf_create name;
};

FIXTURE_SETUP(create)
{
	buf_destroy(NAME);
	self->control = control_open();
	ASSERT_LE(0, self->control);
	self->next_fd = next_fd();
	self->named = named_count();
	self->anon.size = sizeof(self->anon);
	self->anon.length = page_size();
	self->anon.backing = KUBUF_BACKING_VMALLOC;
	self->name = self->anon;
	self->name.flags = KUBUF_CREATE_NAMED;
	name_set(self->name.name, NAME);
}

/* Whatever was refused has left no fd and no node. */
FIXTURE_TEARDOWN(create)
{
	EXPECT_EQ(self->next_fd, next_fd());
	EXPECT_EQ(self->named, named_count());
	close(self->control);
}

#define CREATE(arg)	kioctl(self->control, KUBUF_CREATE, arg)

/* Of the two requests themselves nothing is wrong. */
TEST_F(create, unspoilt)
{
	int fd = CREATE(&self->anon);

	EXPECT_LE(0, fd);
	close(fd);
	fd = CREATE(&self->name);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, buf_destroy(NAME));
}

TEST_F(create, length_0)
{
	for (self->anon.backing = KUBUF_BACKING_KMALLOC;
	     self->anon.backing <= KUBUF_BACKING_HUGE; self->anon.backing++) {
		self->anon.length = 0;
		EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	}
}

#ifdef __x86_64__
TEST_F(create, length_above_contiguous_memory)
{
	int fd;

	for (self->anon.backing = KUBUF_BACKING_KMALLOC;
	     self->anon.backing <= KUBUF_BACKING_PAGES; self->anon.backing++) {
		self->anon.length = 4 * MIB + 1;
		EXPECT_EQ(-EFBIG, CREATE(&self->anon));
		/* 1 in 32 bits. */
		self->anon.length = (1ULL << 32) + 1;
		EXPECT_EQ(-EFBIG, CREATE(&self->anon));
		self->anon.length = 4 * MIB;
		fd = CREATE(&self->anon);
		EXPECT_LE(0, fd);
		close(fd);
	}
}
#endif

TEST_F(create, length_above_all_memory)
{
	struct sysinfo si;

	ASSERT_EQ(0, sysinfo(&si));
	for (self->anon.backing = KUBUF_BACKING_KMALLOC;
	     self->anon.backing <= KUBUF_BACKING_HUGE; self->anon.backing++) {
		self->anon.length = (__u64)si.totalram * si.mem_unit + 1;
		EXPECT_EQ(-EFBIG, CREATE(&self->anon));
	}
}

/* Lengths that wrap when they are rounded up, or are negative as an offset. */
TEST_F(create, length_near_2_to_the_64)
{
	const __u64 lengths[] = {
		ULLONG_MAX, ULLONG_MAX - 4094, ULLONG_MAX - 4095,
		ULLONG_MAX - 4096, ULLONG_MAX - MIB, 1ULL << 63,
		(1ULL << 63) - 1, (1ULL << 63) + 1,
		/* A number of pages that is 0, or 1, in 32 bits. */
		(1ULL << 32) * page_size(), ((1ULL << 32) + 1) * page_size(),
	};

	for (self->anon.backing = KUBUF_BACKING_KMALLOC;
	     self->anon.backing <= KUBUF_BACKING_HUGE; self->anon.backing++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			self->anon.length = lengths[i];
			EXPECT_EQ(-EFBIG, CREATE(&self->anon)) {
				TH_LOG("%#llx",
				       (unsigned long long)lengths[i]);
			}
		}
	}
}

TEST_F(create, unknown_flags)
{
	for (int bit = 3; bit < 32; bit++) {
		struct kubuf_create c = self->anon;

		c.flags |= 1U << bit;
		EXPECT_EQ(-EINVAL, CREATE(&c));
	}
}

TEST_F(create, backing_0)
{
	self->anon.backing = 0;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

TEST_F(create, unknown_backing)
{
	self->anon.backing = KUBUF_BACKING_HUGE + 1;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	self->anon.backing = UINT_MAX;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

TEST_F(create, reserved_field)
{
	self->anon.__reserved = 1;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	self->anon.__reserved = 1U << 31;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

TEST_F(create, no_pointer)
{
	EXPECT_EQ(-EFAULT, CREATE(NULL));
}

TEST_F(create, pointer_to_nothing)
{
	char *p = page_end(0);

	EXPECT_EQ(-EFAULT, CREATE(p));
	/* The size can be read; what it is the size of cannot. */
	p -= sizeof(self->anon) - 8;
	memcpy(p, &self->anon, sizeof(self->anon) - 8);
	EXPECT_EQ(-EFAULT, CREATE(p));
	/* And where not even the size can. */
	EXPECT_EQ(-EFAULT, CREATE(p + sizeof(self->anon) - 8 - 2));
}

TEST_F(create, pointer_into_the_kernel)
{
	EXPECT_EQ(-EFAULT, CREATE(KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, CREATE(NO_ADDRESS));
	EXPECT_EQ(-EFAULT, CREATE((void *)ULONG_MAX));
	EXPECT_EQ(-EFAULT, CREATE((void *)(ULONG_MAX - 31)));
}

/* The length is written back: a request that cannot be answered is undone. */
TEST_F(create, structure_that_cannot_be_written)
{
	struct stat st;

	EXPECT_EQ(-EFAULT,
		  CREATE(read_only(&self->anon, sizeof(self->anon))));
	EXPECT_EQ(-EFAULT,
		  CREATE(read_only(&self->name, sizeof(self->name))));
	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
}

TEST_F(create, short_structure)
{
	const __u32 sizes[] = { 0, 1, 4, 32, sizeof(self->anon) - 1 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->anon.size = sizes[i];
		EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	}
}

TEST_F(create, long_structure_with_a_tail)
{
	struct {
		struct kubuf_create c;
		char later[64];
	} big = { .c = self->anon };

	big.c.size = sizeof(big);
	big.later[0] = 1;
	EXPECT_EQ(-E2BIG, CREATE(&big));
	big.later[0] = 0;
	big.later[sizeof(big.later) - 1] = 1;
	EXPECT_EQ(-E2BIG, CREATE(&big));
}

/* The size is the caller's word for what may be read. */
TEST_F(create, longer_than_its_memory)
{
	struct kubuf_create *c = (void *)page_end(sizeof(*c));

	*c = self->anon;
	c->size = sizeof(*c) + 1;
	EXPECT_EQ(-EFAULT, CREATE(c));
}

TEST_F(create, name_empty)
{
	memset(self->name.name, 0, sizeof(self->name.name));
	EXPECT_EQ(-EINVAL, CREATE(&self->name));
}

TEST_F(create, name_without_an_end)
{
	memset(self->name.name, 'a', sizeof(self->name.name));
	EXPECT_EQ(-ENAMETOOLONG, CREATE(&self->name));
}

/* A name of this directory, of the one above, and hidden ones. */
TEST_F(create, name_that_begins_with_a_dot)
{
	const char * const names[] = { ".", "..", ".x", "...", "..x" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_EQ(-EINVAL, buf_create_named(names[i],
						    KUBUF_BACKING_VMALLOC, 1,
						    0, 0));
}

TEST_F(create, name_with_a_slash)
{
	const char * const names[] = { "/", "/a", "a/", "a/b", "../a" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_EQ(-EINVAL, buf_create_named(names[i],
						    KUBUF_BACKING_VMALLOC, 1,
						    0, 0));
}

/* Every byte but those that are documented, first, in the middle and last. */
TEST_F(create, name_with_a_bad_character)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	for (int c = 1; c < 256; c++) {
		if (memchr(good, c, sizeof(good) - 1))
			continue;
		for (int at = 0; at < 3; at++) {
			char name[] = "abc";

			name[at] = (char)c;
			EXPECT_EQ(-EINVAL,
				  buf_create_named(name, KUBUF_BACKING_VMALLOC,
						   1, 0, 0)) {
				TH_LOG("character %#x at %d", c, at);
			}
		}
	}
}

TEST_F(create, name_taken)
{
	struct kubuf_info before, after;
	int fd = CREATE(&self->name);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &before));
	EXPECT_EQ(-EEXIST, CREATE(&self->name));
	/* Whose name it is has not changed. */
	ASSERT_EQ(0, list_find(NAME, &after));
	EXPECT_EQ(before.id, after.id);
	close(fd);
	EXPECT_EQ(-EEXIST, CREATE(&self->name));
	EXPECT_EQ(0, buf_destroy(NAME));
}

TEST_F(create, name_of_the_control_node)
{
	struct stat st;

	memset(self->name.name, 0, sizeof(self->name.name));
	name_set(self->name.name, "control");
	EXPECT_EQ(-EEXIST, CREATE(&self->name));
	EXPECT_EQ(0, node_stat("control", &st));
}

TEST_F(create, name_without_the_flag)
{
	name_set(self->anon.name, NAME);
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	/* Also where it would not be part of a name. */
	memset(self->anon.name, 0, sizeof(self->anon.name));
	self->anon.name[KUBUF_NAME_SIZE - 1] = 'a';
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

TEST_F(create, mode_without_the_flag)
{
	self->anon.mode = 0600;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

/* Nothing of a device can be executed, and no bit has a meaning beyond. */
TEST_F(create, mode_outside_0666)
{
	const __u32 modes[] = {
		0100, 0010, 0001, 0777, 04600, 02600, 01600, 0100600,
		1U << 31 | 0600,
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		self->name.mode = modes[i];
		EXPECT_EQ(-EINVAL, CREATE(&self->name)) {
			TH_LOG("mode %#o", modes[i]);
		}
	}
}

TEST_F(create, node_without_the_flag)
{
	self->anon.node = 1;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

/* Past the last that can be, and past what an int holds. */
TEST_F(create, absurd_node)
{
	const __u32 nodes[] = { 1024, 65536, INT_MAX, 1U << 31, UINT_MAX };

	self->anon.flags = KUBUF_CREATE_NODE;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		self->anon.node = nodes[i];
		EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	}
}

TEST_F(create, node_that_is_not_there)
{
	char path[64];
	int node;

	self->anon.flags = KUBUF_CREATE_NODE;
	for (node = 1; node < 1024; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d",
			 node);
		if (access(path, F_OK))
			break;
	}
	self->anon.node = node;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

/* PG_reserved is illegal on the pages of these two. */
TEST_F(create, reserved_kmalloc_or_huge)
{
	self->anon.flags = KUBUF_CREATE_RESERVED;
	self->anon.backing = KUBUF_BACKING_KMALLOC;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
	self->anon.backing = KUBUF_BACKING_HUGE;
	EXPECT_EQ(-EINVAL, CREATE(&self->anon));
}

/* Of two errors the documented order says which is reported. */
TEST_F(create, bad_name_comes_before_bad_length)
{
	self->name.name[0] = '/';
	self->name.length = ULLONG_MAX;
	EXPECT_EQ(-EINVAL, CREATE(&self->name));
}

TEST_F(create, bad_length_comes_before_taken_name)
{
	int fd = CREATE(&self->name);

	ASSERT_LE(0, fd);
	close(fd);
	self->name.length = ULLONG_MAX;
	EXPECT_EQ(-EFBIG, CREATE(&self->name));
	EXPECT_EQ(0, buf_destroy(NAME));
}

/*
 * No number is left for the fd. What was made for it must go again: the node,
 * and what was counted against the limit.
 */
TEST_F(create, no_fd_left)
{
	struct rlimit old, none;
	char limit[32];
	struct stat st;
	int fd;

	ASSERT_EQ(0, parameter_get("limit_mb", limit, sizeof(limit)));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = self->next_fd;
	self->anon.length = 4 * MIB;
	self->name.length = 4 * MIB;

	EXPECT_EQ(0, parameter_set("limit_mb", "4"));
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-EMFILE, CREATE(&self->anon));
		EXPECT_EQ(-EMFILE, CREATE(&self->name));
	}
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
	fd = CREATE(&self->anon);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, parameter_set("limit_mb", limit));
}

FIXTURE(destroy) {
	int control;
	struct kubuf_destroy args;
};

FIXTURE_SETUP(destroy)
{
	int fd;

	buf_destroy(NAME);
	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	self->control = control_open();
	ASSERT_LE(0, self->control);
	self->args.size = sizeof(self->args);
	name_set(self->args.name, NAME);
}

/* What was refused has destroyed nothing. */
FIXTURE_TEARDOWN(destroy)
{
	struct stat st;

	EXPECT_EQ(0, node_stat(NAME, &st));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(self->control);
}

#define DESTROY(arg)	kioctl(self->control, KUBUF_DESTROY, arg)

TEST_F(destroy, name_that_is_not_there)
{
	EXPECT_EQ(-ENOENT, buf_destroy("refuse-tes"));
	EXPECT_EQ(-ENOENT, buf_destroy("refuse-test2"));
	EXPECT_EQ(-ENOENT, buf_destroy("REFUSE-TEST"));
}

TEST_F(destroy, twice)
{
	int fd = buf_create_named(NAME "2", KUBUF_BACKING_VMALLOC, 1, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, buf_destroy(NAME "2"));
	/* The buffer is still there, its name is not. */
	EXPECT_EQ(-ENOENT, buf_destroy(NAME "2"));
	close(fd);
}

/* The node of the calls themselves is not a buffer. */
TEST_F(destroy, control_node)
{
	struct stat st;

	EXPECT_EQ(-ENOENT, buf_destroy("control"));
	EXPECT_EQ(0, node_stat("control", &st));
}

TEST_F(destroy, bad_name)
{
	EXPECT_EQ(-EINVAL, buf_destroy(""));
	EXPECT_EQ(-EINVAL, buf_destroy("."));
	EXPECT_EQ(-EINVAL, buf_destroy("../" NAME));
	EXPECT_EQ(-EINVAL, buf_destroy("\xff"));
}

TEST_F(destroy, name_without_an_end)
{
	memset(self->args.name, 'a', sizeof(self->args.name));
	EXPECT_EQ(-ENAMETOOLONG, DESTROY(&self->args));
}

TEST_F(destroy, flags)
{
	for (int bit = 0; bit < 32; bit++) {
		self->args.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, DESTROY(&self->args));
	}
}

TEST_F(destroy, bad_pointer)
{
	char *p = page_end(sizeof(self->args) - 1);

	EXPECT_EQ(-EFAULT, DESTROY(NULL));
	EXPECT_EQ(-EFAULT, DESTROY(KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, DESTROY(NO_ADDRESS));
	memcpy(p, &self->args, sizeof(self->args) - 1);
	EXPECT_EQ(-EFAULT, DESTROY(p));
}

TEST_F(destroy, bad_size)
{
	struct {
		struct kubuf_destroy d;
		char later[8];
	} big = { .d = self->args, .later[7] = 1 };

	self->args.size = 0;
	EXPECT_EQ(-EINVAL, DESTROY(&self->args));
	self->args.size = sizeof(self->args) - 1;
	EXPECT_EQ(-EINVAL, DESTROY(&self->args));
	big.d.size = sizeof(big);
	EXPECT_EQ(-E2BIG, DESTROY(&big));
}

FIXTURE(list) {
	int control;
	struct kubuf_list args;
	struct kubuf_info infos[4];
};

/* A list with two elements at least, and room for them. */
FIXTURE_SETUP(list)
{
	int fd;

	buf_destroy(NAME);
	buf_destroy(NAME "2");
	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	fd = buf_create_named(NAME "2", KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	self->control = control_open();
	ASSERT_LE(0, self->control);
	self->args.size = sizeof(self->args);
	self->args.infos = (uintptr_t)self->infos;
	self->args.info_size = sizeof(self->infos[0]);
	self->args.count = 2;
}

FIXTURE_TEARDOWN(list)
{
	EXPECT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(0, buf_destroy(NAME "2"));
	close(self->control);
}

#define LIST(arg)	kioctl(self->control, KUBUF_LIST, arg)

TEST_F(list, bad_array)
{
	void * const bad[] = { NULL, KERNEL_ADDRESS, NO_ADDRESS, page_end(0) };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->args.infos = (uintptr_t)bad[i];
		self->args.count = 2;
		EXPECT_EQ(-EFAULT, LIST(&self->args));
	}
}

/* There is room for the first element, and a promise of more. */
TEST_F(list, array_that_ends_early)
{
	struct kubuf_info *info = (void *)page_end(sizeof(*info));

	self->args.infos = (uintptr_t)info;
	EXPECT_EQ(-EFAULT, LIST(&self->args));
	self->args.count = UINT_MAX;
	EXPECT_EQ(-EFAULT, LIST(&self->args));
	self->args.count = 1;
	EXPECT_EQ(0, LIST(&self->args));
	EXPECT_EQ(sizeof(*info), info->size);
}

/* Strides that do not fit a first element, or put a second one far away. */
TEST_F(list, bad_stride)
{
	const __u32 sizes[] = { 0, 1, 64, sizeof(struct kubuf_info) - 1 };
	struct kubuf_info *info = (void *)page_end(sizeof(*info));

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->args.info_size = sizes[i];
		self->args.count = 2;
		EXPECT_EQ(-EINVAL, LIST(&self->args));
		/* The more so when there is nothing to write. */
		self->args.count = 0;
		EXPECT_EQ(-EINVAL, LIST(&self->args));
	}
	/* Nor is there room for what no version will ever fill. */
	self->args.infos = (uintptr_t)info;
	self->args.count = UINT_MAX;
	self->args.info_size = (__u32)page_size() + 1;
	EXPECT_EQ(-E2BIG, LIST(&self->args));
	self->args.info_size = UINT_MAX;
	EXPECT_EQ(-E2BIG, LIST(&self->args));
}

TEST_F(list, flags)
{
	for (int bit = 0; bit < 32; bit++) {
		self->args.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, LIST(&self->args));
	}
}

TEST_F(list, bad_pointer)
{
	char *p = page_end(sizeof(self->args) - 1);

	EXPECT_EQ(-EFAULT, LIST(NULL));
	EXPECT_EQ(-EFAULT, LIST(KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, LIST(NO_ADDRESS));
	memcpy(p, &self->args, sizeof(self->args) - 1);
	EXPECT_EQ(-EFAULT, LIST(p));
	EXPECT_EQ(-EFAULT, LIST(read_only(&self->args, sizeof(self->args))));
}

TEST_F(list, bad_size)
{
	struct {
		struct kubuf_list l;
		char later[8];
	} big = { .l = self->args, .later[7] = 1 };

	self->args.size = 0;
	EXPECT_EQ(-EINVAL, LIST(&self->args));
	self->args.size = sizeof(self->args) - 1;
	EXPECT_EQ(-EINVAL, LIST(&self->args));
	big.l.size = sizeof(big);
	EXPECT_EQ(-E2BIG, LIST(&big));
}

FIXTURE(buffer) {
	int fd;
	int control;
};

FIXTURE_SETUP(buffer)
{
	self->fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);
	ASSERT_LE(0, self->fd);
	self->control = control_open();
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(buffer)
{
	close(self->fd);
	close(self->control);
}

TEST_F(buffer, info_bad_pointer)
{
	struct kubuf_info info = { .size = sizeof(info) };
	char *p = page_end(sizeof(info) - 1);

	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO, NULL));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO, KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO, NO_ADDRESS));
	memcpy(p, &info, sizeof(info) - 1);
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO, p));
	EXPECT_EQ(-EFAULT, kioctl(self->fd, KUBUF_INFO,
				  read_only(&info, sizeof(info))));
}

TEST_F(buffer, info_bad_size)
{
	struct kubuf_info info = { .size = 0 };
	struct {
		struct kubuf_info i;
		char later[8];
	} big = { .i.size = sizeof(big), .later[7] = 1 };

	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_INFO, &info));
	info.size = sizeof(info) - 1;
	EXPECT_EQ(-EINVAL, kioctl(self->fd, KUBUF_INFO, &info));
	EXPECT_EQ(-E2BIG, kioctl(self->fd, KUBUF_INFO, &big));
}

/* Each kind of fd has its own calls. */
TEST_F(buffer, call_of_the_other_kind)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.length = 1,
		.backing = KUBUF_BACKING_VMALLOC,
	};
	struct kubuf_destroy d = { .size = sizeof(d), .name = NAME };
	struct kubuf_list l = {
		.size = sizeof(l),
		.info_size = sizeof(struct kubuf_info),
	};
	struct kubuf_info info = { .size = sizeof(info) };

	EXPECT_EQ(-ENOTTY, kioctl(self->fd, KUBUF_CREATE, &c));
	EXPECT_EQ(-ENOTTY, kioctl(self->fd, KUBUF_DESTROY, &d));
	EXPECT_EQ(-ENOTTY, kioctl(self->fd, KUBUF_LIST, &l));
	EXPECT_EQ(-ENOTTY, kioctl(self->control, KUBUF_INFO, &info));
	EXPECT_EQ(-ENOTTY, kioctl(self->control, KUBUF_NOTIFY, &info));
	EXPECT_EQ(-ENOTTY, kioctl(self->control, KUBUF_EVENTFD, &info));
	EXPECT_EQ(-ENOTTY, kioctl(self->control, KUBUF_SEAL, &info));
	EXPECT_EQ(-ENOTTY, kioctl(self->control, KUBUF_EXPORT, &info));
}

TEST_F(buffer, unknown_call)
{
	const unsigned long calls[] = {
		_IO(KUBUF_IOC_MAGIC, 8), _IO(KUBUF_IOC_MAGIC, 0xff),
		/* The right numbers in another shape. */
		_IOWR(KUBUF_IOC_MAGIC, 0, struct kubuf_create),
		_IOWR(KUBUF_IOC_MAGIC, 3, struct kubuf_info),
		_IO(KUBUF_IOC_MAGIC + 1, 0), _IO('T', 1), 0xdeadbeef,
	};
	struct kubuf_create c = { .size = sizeof(c) };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(-ENOTTY, kioctl(self->fd, calls[i], &c));
		EXPECT_EQ(-ENOTTY, kioctl(self->control, calls[i], &c));
	}
}

/* The control node has calls and nothing else. */
TEST_F(buffer, control_is_not_a_buffer)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->control, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->control, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, buf_map(self->control, page_size(), PROT_READ));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-1, fsync(self->control));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, lseek(self->control, 5, SEEK_SET));
	EXPECT_EQ(0, lseek(self->control, 0, SEEK_CUR));
}

/* There is nothing to wait for. */
TEST_F(buffer, control_is_always_ready)
{
	struct pollfd p = { .fd = self->control, .events = POLLIN | POLLOUT };
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, p.revents);
	ASSERT_LE(0, epoll);
	EXPECT_EQ(-1, epoll_ctl(epoll, EPOLL_CTL_ADD, self->control, &event));
	EXPECT_EQ(EPERM, errno);
	close(epoll);
}

TEST_HARNESS_MAIN
