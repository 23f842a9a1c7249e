// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CREATE, DESTROY, LIST and INFO do. What they refuse is in refuse_test.
 */
#include "kselftest_harness.h"
#include "kubuf_task.h"

/* No buffer of another test has such a name. */
#define NAME	"api-test"

FIXTURE(backing) {
	struct kubuf_create create;
};

FIXTURE_VARIANT(backing) {
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(backing);

FIXTURE_SETUP(backing)
{
	buf_destroy(NAME);
	self->create.size = sizeof(self->create);
	self->create.flags = variant->flags;
	self->create.backing = variant->backing;
	self->create.length = 1;
}

FIXTURE_TEARDOWN(backing)
{
	buf_destroy(NAME);
}

TEST_F(backing, fd_is_read_write_and_close_on_exec)
{
	int fd = create_args(&self->create);

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, close(fd));
}

TEST_F(backing, length_is_rounded_up)
{
	const size_t page = page_size();
	const size_t ask[] = {
		1, page - 1, page, page + 1, 2 * page, 3 * page - 5,
		MIB - 1, MIB, MIB + 1, 4 * MIB - 1, 4 * MIB,
	};

	for (size_t i = 0; i < ARRAY_SIZE(ask); i++) {
		const size_t want = (ask[i] + page - 1) / page * page;
		struct kubuf_info info;
		struct stat st;
		int fd;

		self->create.length = ask[i];
		fd = create_args(&self->create);
		ASSERT_LE(0, fd) {
			TH_LOG("length %zu", ask[i]);
		}
		EXPECT_EQ(want, self->create.length);
		ASSERT_EQ(0, buf_info(fd, &info));
		EXPECT_EQ(want, info.length);
		ASSERT_EQ(0, fstat(fd, &st));
		EXPECT_EQ(want, (size_t)st.st_size);
		EXPECT_EQ((off_t)want, lseek(fd, 0, SEEK_END));
		close(fd);
	}
}

/* Nothing but the length is written back. */
TEST_F(backing, arguments_are_kept)
{
	struct kubuf_create before;
	int fd;

	before = self->create;
	fd = create_args(&self->create);
	ASSERT_LE(0, fd);
	before.length = page_size();
	EXPECT_EQ(0, memcmp(&before, &self->create, sizeof(before)));
	close(fd);
}

TEST_F(backing, contents_are_zero)
{
	const size_t length = MIB + page_size();
	int fds[8];
	char *p;

	/*
	 * What some buffers leave behind is what the next ones are likely to
	 * be given: the page allocator hands out last what came back first.
	 */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			self->create.length = length - 1;
			fds[i] = create_args(&self->create);
			ASSERT_LE(0, fds[i]);
			p = buf_map(fds[i], length, PROT_READ | PROT_WRITE);
			ASSERT_NE(MAP_FAILED, p);
			EXPECT_TRUE(all_bytes(p, length, 0));
			memset(p, 0x5a, length);
			munmap(p, length);
		}
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			close(fds[i]);
	}
}

TEST_F(backing, info_has_every_field)
{
	__u32 flags = 0;
	struct kubuf_info info;
	int fd;

	if (variant->flags & KUBUF_CREATE_RESERVED)
		flags |= KUBUF_INFO_RESERVED;
	if (variant->pfn)
		flags |= KUBUF_INFO_PFN;
	fd = create_args(&self->create);
	ASSERT_LE(0, fd);
	/* Every byte is the kernel's, whatever was there before. */
	memset(&info, 0xaa, sizeof(info));
	info.size = sizeof(info);
	ASSERT_EQ(0, kioctl(fd, KUBUF_INFO, &info));
	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_EQ(flags, info.flags);
	EXPECT_NE(0U, info.id);
	EXPECT_EQ(page_size(), info.length);
	EXPECT_EQ(0U, info.mappings);
	EXPECT_EQ(variant->backing, info.backing);
	EXPECT_EQ(0U, info.mode);
	EXPECT_TRUE(all_bytes(info.name, sizeof(info.name), 0));
	close(fd);
}

TEST_F(backing, info_of_a_named_buffer)
{
	struct kubuf_info info;
	int fd;

	fd = buf_create_named(NAME, variant->backing, 1, variant->flags, 0640);
	ASSERT_LE(0, fd);
	memset(&info, 0xaa, sizeof(info));
	info.size = sizeof(info);
	ASSERT_EQ(0, kioctl(fd, KUBUF_INFO, &info));
	EXPECT_EQ((__u32)KUBUF_INFO_NAMED, info.flags & KUBUF_INFO_NAMED);
	EXPECT_EQ(0U, info.flags & KUBUF_INFO_DESTROYED);
	EXPECT_EQ(0640U, info.mode);
	EXPECT_STREQ(NAME, info.name);
	EXPECT_TRUE(all_bytes(info.name + sizeof(NAME),
			      sizeof(info.name) - sizeof(NAME), 0));
	close(fd);
}

TEST_F(backing, named_buffer_outlives_its_fd)
{
	char byte = 'k';
	int fd;

	fd = buf_create_named(NAME, variant->backing, 1, variant->flags, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, &byte, 1, 77));
	close(fd);
	fd = node_open(NAME, O_RDWR);
	ASSERT_LE(0, fd);
	byte = 0;
	EXPECT_EQ(1, pread(fd, &byte, 1, 77));
	EXPECT_EQ('k', byte);
	close(fd);
}

TEST_F(backing, fd_and_node_are_one_buffer)
{
	struct kubuf_info a, b;
	char *p, *q;
	int fd, node;

	fd = buf_create_named(NAME, variant->backing, 1, variant->flags, 0);
	ASSERT_LE(0, fd);
	node = node_open(NAME, O_RDWR);
	ASSERT_LE(0, node);
	ASSERT_EQ(0, buf_info(fd, &a));
	ASSERT_EQ(0, buf_info(node, &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	p = buf_map(fd, page_size(), PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, p);
	q = buf_map(node, page_size(), PROT_READ);
	ASSERT_NE(MAP_FAILED, q);
	p[123] = 'x';
	EXPECT_EQ('x', q[123]);
	munmap(p, page_size());
	munmap(q, page_size());
	close(fd);
	close(node);
}

TEST_F(backing, node_and_list_element_appear_and_go)
{
	struct kubuf_info info;
	struct stat st;
	int fd;

	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
	EXPECT_EQ(-ENOENT, list_find(NAME, &info));
	fd = buf_create_named(NAME, variant->backing, 1, variant->flags, 0);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, node_stat(NAME, &st));
	EXPECT_EQ((mode_t)(S_IFCHR | 0600), st.st_mode);
	EXPECT_EQ(0U, st.st_uid);
	EXPECT_EQ(0U, st.st_gid);
	EXPECT_EQ(0, st.st_size);
	ASSERT_EQ(0, list_find(NAME, &info));
	EXPECT_EQ(variant->backing, info.backing);
	EXPECT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
	EXPECT_EQ(-ENOENT, list_find(NAME, &info));
}

/*
 * The largest that the two contiguous backings have on every architecture is
 * not known here; above it the others must still work.
 */
TEST_F(backing, more_than_contiguous_memory)
{
	const size_t length = 9 * MIB + 3 * page_size();
	bool contiguous = variant->backing == KUBUF_BACKING_KMALLOC ||
			  variant->backing == KUBUF_BACKING_PAGES;
	char *p;
	int fd;

	self->create.length = length;
	fd = create_args(&self->create);
	if (contiguous) {
		EXPECT_EQ(-EFBIG, fd);
		return;
	}
	ASSERT_LE(0, fd);
	EXPECT_EQ(length, self->create.length);
	p = buf_map(fd, length, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, length, 3);
	EXPECT_EQ(length, mismatch(p, length, 3));
	munmap(p, length);
	close(fd);
}

FIXTURE(named) {
	long before;
};

FIXTURE_SETUP(named)
{
	buf_destroy(NAME);
	self->before = named_count();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(named)
{
	buf_destroy(NAME);
	EXPECT_EQ(self->before, named_count());
}

/* The mode is the creator's word: its umask has no say. */
TEST_F(named, mode_is_honoured)
{
	const __u32 modes[] = { 0600, 0640, 0444, 0666, 0222, 0004 };

	umask(0777);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct kubuf_info info;
		struct stat st;
		int fd;

		fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0,
				      modes[i]);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, node_stat(NAME, &st));
		EXPECT_EQ(S_IFCHR | modes[i], st.st_mode);
		ASSERT_EQ(0, buf_info(fd, &info));
		EXPECT_EQ(modes[i], info.mode);
		close(fd);
		ASSERT_EQ(0, buf_destroy(NAME));
	}
}

TEST_F(named, mode_0_is_0600)
{
	struct kubuf_info info;
	struct stat st;
	int fd;

	fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, node_stat(NAME, &st));
	EXPECT_EQ((mode_t)(S_IFCHR | 0600), st.st_mode);
	ASSERT_EQ(0, buf_info(fd, &info));
	EXPECT_EQ(0600U, info.mode);
	close(fd);
}

/*
 * Names of other misc devices are taken in the class of misc devices and in
 * /dev, not in the namespace of buffers.
 */
TEST_F(named, names_of_other_devices_are_free)
{
	const char * const names[] = {
		"kvm", "fuse", "vga_arbiter", "null", "hpet", "kubuf",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd, node;

		fd = buf_create_named(names[i], KUBUF_BACKING_VMALLOC, 1, 0, 0);
		EXPECT_LE(0, fd) {
			TH_LOG("%s", names[i]);
		}
		if (fd < 0)
			continue;
		node = node_open(names[i], O_RDWR);
		EXPECT_LE(0, node);
		EXPECT_EQ(0, buf_destroy(names[i]));
		close(node);
		close(fd);
	}
}

TEST_F(named, longest_name)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz01234";
	struct kubuf_info info;
	int fd;

	/* The NUL is the last byte that there is room for. */
	ASSERT_EQ((size_t)KUBUF_NAME_SIZE, sizeof(name));
	fd = buf_create_named(name, KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &info));
	EXPECT_STREQ(name, info.name);
	close(fd);
	fd = node_open(name, O_RDWR);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, buf_destroy(name));
}

TEST_F(named, every_character_that_a_name_may_have)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	/* Each as the first and only one, but '.', which only follows. */
	for (size_t i = 0; i < sizeof(chars) - 1; i++) {
		const char name[] = { chars[i], '\0' };
		int fd;

		fd = buf_create_named(name, KUBUF_BACKING_VMALLOC, 1, 0, 0);
		EXPECT_LE(0, fd) {
			TH_LOG("name %s", name);
		}
		close(fd);
		EXPECT_EQ(0, buf_destroy(name));
	}
}

TEST_F(named, dots_may_follow)
{
	struct stat st;
	int fd;

	fd = buf_create_named("a..b.", KUBUF_BACKING_VMALLOC, 1, 0, 0);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, node_stat("a..b.", &st));
	EXPECT_EQ(0, buf_destroy("a..b."));
}

TEST_F(named, destroyed_name_can_be_taken_again)
{
	struct kubuf_info first, second;
	int fd;

	fd = buf_create_named(NAME, KUBUF_BACKING_PAGES, 1, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &first));
	close(fd);
	ASSERT_EQ(0, buf_destroy(NAME));
	fd = buf_create_named(NAME, KUBUF_BACKING_HUGE, 1, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, buf_info(fd, &second));
	EXPECT_NE(first.id, second.id);
	close(fd);
}

/*
 * Kernels before 6.7 have 128 dynamic minors for all misc devices together:
 * half of them is what one may expect to get.
 */
TEST_F(named, sixty_four_at_once)
{
	char name[KUBUF_NAME_SIZE];
	struct kubuf_info info;

	for (int i = 0; i < 64; i++) {
		int fd;

		snprintf(name, sizeof(name), NAME "-%d", i);
		fd = buf_create_named(name, KUBUF_BACKING_VMALLOC, 1, 0, 0);
		EXPECT_LE(0, fd);
		close(fd);
	}
	EXPECT_EQ(self->before + 64, named_count());
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), NAME "-%d", i);
		EXPECT_EQ(0, list_find(name, &info));
		EXPECT_EQ(0, buf_destroy(name));
	}
}

TEST_F(named, calls_work_on_a_read_only_control)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = KUBUF_CREATE_NAMED,
		.length = 1,
		.backing = KUBUF_BACKING_VMALLOC,
		.name = NAME,
	};
	struct kubuf_destroy d = { .size = sizeof(d), .name = NAME };
	struct kubuf_list l = {
		.size = sizeof(l),
		.info_size = sizeof(struct kubuf_info),
	};
	int control = open(CONTROL, O_RDONLY | O_CLOEXEC);
	int fd;

	ASSERT_LE(0, control);
	fd = kioctl(control, KUBUF_CREATE, &c);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, kioctl(control, KUBUF_LIST, &l));
	EXPECT_EQ(self->before + 1, (long)l.count);
	EXPECT_EQ(0, kioctl(control, KUBUF_DESTROY, &d));
	close(fd);
	close(control);
}

TEST_F(named, control_is_there_for_everyone)
{
	struct stat st;

	ASSERT_EQ(0, stat(CONTROL, &st));
	EXPECT_EQ((mode_t)(S_IFCHR | 0666), st.st_mode);
	ASSERT_EQ(0, stat("/dev/kubuf", &st));
	EXPECT_EQ((mode_t)(S_IFDIR | 0755), st.st_mode);
}

TEST_F(named, anonymous_buffers_are_not_listed)
{
	int fd = buf_create(KUBUF_BACKING_VMALLOC, 1, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(self->before, named_count());
	close(fd);
}

/* A node may be given for an anonymous buffer as for a named one. */
TEST_F(named, numa_node_0)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = KUBUF_CREATE_NODE,
		.length = 3 * page_size(),
	};

	for (c.backing = KUBUF_BACKING_KMALLOC;
	     c.backing <= KUBUF_BACKING_HUGE; c.backing++) {
		int fd = create_args(&c);

		EXPECT_LE(0, fd);
		close(fd);
	}
}

FIXTURE(three) {
	int control;
	long before;
	struct kubuf_list list;
};

/* Three named buffers and a call that asks for all. */
FIXTURE_SETUP(three)
{
	char name[KUBUF_NAME_SIZE];
	int fd;

	self->before = named_count();
	/* The elements of others would have to be told apart. */
	ASSERT_EQ(0, self->before);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), NAME "-%d", i);
		fd = buf_create_named(name, KUBUF_BACKING_VMALLOC,
				      page_size() * (i + 1), 0, 0600 + 2 * i);
		ASSERT_LE(0, fd);
		close(fd);
	}
	self->control = control_open();
	ASSERT_LE(0, self->control);
	self->list.size = sizeof(self->list);
	self->list.info_size = sizeof(struct kubuf_info);
}

FIXTURE_TEARDOWN(three)
{
	char name[KUBUF_NAME_SIZE];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), NAME "-%d", i);
		EXPECT_EQ(0, buf_destroy(name));
	}
	close(self->control);
	EXPECT_EQ(self->before, named_count());
}

TEST_F(three, list_says_what_info_says)
{
	struct kubuf_info infos[5], info;
	unsigned int seen = 0;

	memset(infos, 0xaa, sizeof(infos));
	self->list.infos = (uintptr_t)infos;
	self->list.count = ARRAY_SIZE(infos);
	ASSERT_EQ(0, kioctl(self->control, KUBUF_LIST, &self->list));
	ASSERT_EQ(3U, self->list.count);
	for (int i = 0; i < 3; i++) {
		int fd = node_open(infos[i].name, O_RDONLY);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, buf_info(fd, &info));
		EXPECT_EQ(0, memcmp(&info, &infos[i], sizeof(info)));
		EXPECT_EQ(page_size() * ((infos[i].mode - 0600) / 2 + 1),
			  infos[i].length);
		seen |= 1U << (infos[i].mode - 0600) / 2;
		close(fd);
	}
	EXPECT_EQ(7U, seen);
	/* What no element is for stays as it was. */
	EXPECT_TRUE(all_bytes(&infos[3], 2 * sizeof(info), 0xaa));
}

TEST_F(three, list_into_a_short_array)
{
	struct kubuf_info infos[3];

	memset(infos, 0xaa, sizeof(infos));
	self->list.infos = (uintptr_t)infos;
	self->list.count = 2;
	ASSERT_EQ(0, kioctl(self->control, KUBUF_LIST, &self->list));
	EXPECT_EQ(3U, self->list.count);
	EXPECT_EQ(sizeof(infos[0]), infos[0].size);
	EXPECT_EQ(sizeof(infos[0]), infos[1].size);
	EXPECT_NE(infos[0].id, infos[1].id);
	EXPECT_TRUE(all_bytes(&infos[2], sizeof(infos[2]), 0xaa));
}

TEST_F(three, list_without_an_array_counts)
{
	ASSERT_EQ(0, kioctl(self->control, KUBUF_LIST, &self->list));
	EXPECT_EQ(3U, self->list.count);
}

/* A program built for a later kernel has larger elements. */
TEST_F(three, list_with_a_wider_stride)
{
	struct {
		struct kubuf_info info;
		__u64 later[7];
	} infos[3];
	__u64 ids = 0;

	memset(infos, 0, sizeof(infos));
	self->list.infos = (uintptr_t)infos;
	self->list.info_size = sizeof(infos[0]);
	self->list.count = 3;
	ASSERT_EQ(0, kioctl(self->control, KUBUF_LIST, &self->list));
	EXPECT_EQ(3U, self->list.count);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(sizeof(struct kubuf_info), infos[i].info.size);
		EXPECT_EQ(0, strncmp(infos[i].info.name, NAME, strlen(NAME)));
		EXPECT_NE(ids, infos[i].info.id);
		ids = infos[i].info.id;
		EXPECT_TRUE(all_bytes(infos[i].later,
				      sizeof(infos[i].later), 0));
	}
}

/* A count is a promise of room: nothing is allocated for it, or wraps. */
TEST_F(three, list_with_room_for_all_there_can_be)
{
	struct kubuf_info infos[4];

	memset(infos, 0xaa, sizeof(infos));
	self->list.infos = (uintptr_t)infos;
	self->list.count = 0xffffffff;
	ASSERT_EQ(0, kioctl(self->control, KUBUF_LIST, &self->list));
	EXPECT_EQ(3U, self->list.count);
	EXPECT_TRUE(all_bytes(&infos[3], sizeof(infos[3]), 0xaa));
}

TEST_F(three, list_counts_mappings)
{
	struct kubuf_info info;
	char *p;
	int fd;

	fd = node_open(NAME "-1", O_RDWR);
	ASSERT_LE(0, fd);
	p = buf_map(fd, page_size(), PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	ASSERT_EQ(0, list_find(NAME "-1", &info));
	EXPECT_EQ(1U, info.mappings);
	munmap(p, page_size());
	ASSERT_EQ(0, list_find(NAME "-1", &info));
	EXPECT_EQ(0U, info.mappings);
}

/* Also not after the first one is gone, and whatever the backing. */
TEST(ids_are_never_given_twice)
{
	__u64 last = 0;

	for (int i = 0; i < 200; i++) {
		int fd = buf_create(KUBUF_BACKING_KMALLOC + i % 4, 1, 0);
		struct kubuf_info info;

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, buf_info(fd, &info));
		/* Growing is the simplest way of it, so that will do. */
		EXPECT_LT(last, info.id);
		last = info.id;
		close(fd);
	}
}

/* Programs built for a later kernel work when they use nothing of it. */
TEST(longer_structures_with_a_zero_tail)
{
	struct {
		struct kubuf_create c;
		__u64 later[3];
	} create = {
		.c = {
			.size = sizeof(create),
			.flags = KUBUF_CREATE_NAMED,
			.length = 1,
			.backing = KUBUF_BACKING_VMALLOC,
			.name = NAME,
		},
	};
	struct {
		struct kubuf_destroy d;
		__u64 later[3];
	} destroy = { .d = { .size = sizeof(destroy), .name = NAME } };
	struct {
		struct kubuf_list l;
		__u64 later[3];
	} list = {
		.l = {
			.size = sizeof(list),
			.info_size = sizeof(struct kubuf_info),
		},
	};
	struct {
		struct kubuf_info i;
		__u64 later[3];
	} info = { .i = { .size = sizeof(info) } };
	int control = control_open();
	int fd;

	ASSERT_LE(0, control);
	buf_destroy(NAME);
	fd = kioctl(control, KUBUF_CREATE, &create);
	ASSERT_LE(0, fd);
	EXPECT_EQ(page_size(), create.c.length);
	EXPECT_EQ(0, kioctl(control, KUBUF_LIST, &list));
	EXPECT_NE(0U, list.l.count);
	EXPECT_EQ(0, kioctl(fd, KUBUF_INFO, &info));
	/* The kernel says how much of it is its own. */
	EXPECT_EQ(sizeof(info.i), info.i.size);
	EXPECT_STREQ(NAME, info.i.name);
	EXPECT_EQ(0, kioctl(control, KUBUF_DESTROY, &destroy));
	close(fd);
	close(control);
}

TEST(info_on_a_read_only_and_a_write_only_fd)
{
	struct kubuf_info info;
	int fd, ro, wo;

	buf_destroy(NAME);
	fd = buf_create_named(NAME, KUBUF_BACKING_PAGES, 1, 0, 0);
	ASSERT_LE(0, fd);
	ro = node_open(NAME, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(0, buf_info(ro, &info));
	wo = node_open(NAME, O_WRONLY);
	ASSERT_LE(0, wo);
	EXPECT_EQ(0, buf_info(wo, &info));
	EXPECT_EQ(0, buf_destroy(NAME));
	close(fd);
	close(ro);
	close(wo);
}

TEST_HARNESS_MAIN
