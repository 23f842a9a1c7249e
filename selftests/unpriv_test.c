// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user without capabilities can do and cannot, and that nothing such a
 * user can read tells where a buffer lies.
 */
#include <ctype.h>
#include <sched.h>
#include <sys/klog.h>

#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_task.h"

#define NAME	"unpriv-test"

/* 6 pages: a length that no frame number of ordinary memory is likely to be. */
#define PAGES	6

/* Make it what a request would be that is granted to root. */
static long create_named(void *arg)
{
	(void)arg;
	return buf_create_named(NAME "-2", KUBUF_BACKING_VMALLOC, 1, 0, 0666);
}

static long create_reserved(void *arg)
{
	(void)arg;
	return buf_create(KUBUF_BACKING_PAGES, 1, KUBUF_CREATE_RESERVED);
}

static long destroy_named(void *arg)
{
	(void)arg;
	return buf_destroy(NAME);
}

static long destroy_missing(void *arg)
{
	(void)arg;
	return buf_destroy("not-there");
}

/* Make, map, use: 0 if all of it goes. */
static long use_anonymous(void *arg)
{
	__u32 backing = *(__u32 *)arg;
	size_t length = PAGES * page_size();
	int fd = buf_create(backing, length, 0);
	char *p;

	if (fd < 0)
		return fd;
	p = buf_map(fd, length, PROT_READ | PROT_WRITE);
	if (p == MAP_FAILED)
		return -errno;
	fill(p, length, 1);
	if (kernel_mismatch(fd, length, 1) != length)
		return 1;
	if (!kernel_fill(fd, length, 2) || mismatch(p, length, 2) != length)
		return 2;
	return 0;
}

FIXTURE(unpriv) {
	int fd;
};

/* A named buffer of root's, which root alone can open. */
FIXTURE_SETUP(unpriv)
{
	buf_destroy(NAME);
	self->fd = buf_create_named(NAME, KUBUF_BACKING_VMALLOC,
				    PAGES * page_size(), 0, 0600);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(unpriv)
{
	struct stat st;

	/* Nobody else has taken it away. */
	EXPECT_EQ(0, node_stat(NAME, &st));
	EXPECT_EQ(0, buf_destroy(NAME));
	EXPECT_EQ(-ENOENT, node_stat(NAME "-2", &st));
	close(self->fd);
}

TEST_F(unpriv, anonymous_buffers)
{
	for (__u32 backing = KUBUF_BACKING_KMALLOC;
	     backing <= KUBUF_BACKING_HUGE; backing++)
		EXPECT_EQ(0, as_user(NOBODY, use_anonymous, &backing));
}

TEST_F(unpriv, named)
{
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_named, NULL));
}

TEST_F(unpriv, reserved)
{
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_reserved, NULL));
}

/* Whether there is such a buffer, too. */
TEST_F(unpriv, destroy)
{
	EXPECT_EQ(-EPERM, as_user(NOBODY, destroy_named, NULL));
	EXPECT_EQ(-EPERM, as_user(NOBODY, destroy_missing, NULL));
}

static long create_wrong(void *arg)
{
	struct kubuf_create c = *(struct kubuf_create *)arg;

	return create_args(&c);
}

/* What is wrong with a request is said before who may make it. */
TEST_F(unpriv, bad_request)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = KUBUF_CREATE_NAMED,
		.length = 1,
		.backing = KUBUF_BACKING_KMALLOC,
	};

	EXPECT_EQ(-EINVAL, as_user(NOBODY, create_wrong, &c));
	memset(c.name, 'a', sizeof(c.name));
	EXPECT_EQ(-ENAMETOOLONG, as_user(NOBODY, create_wrong, &c));
	c.name[1] = '\0';
	c.flags |= KUBUF_CREATE_RESERVED;
	EXPECT_EQ(-EINVAL, as_user(NOBODY, create_wrong, &c));
	/* And this comes after. */
	c.backing = KUBUF_BACKING_PAGES;
	c.length = ~0ULL;
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_wrong, &c));
	c.flags = KUBUF_CREATE_NAMED;
	EXPECT_EQ(-EPERM, as_user(NOBODY, create_wrong, &c));
	memset(c.name, 0, sizeof(c.name));
	c.flags = 0;
	EXPECT_EQ(-EFBIG, as_user(NOBODY, create_wrong, &c));
}

static long map_fd(void *arg)
{
	char *p = buf_map(*(int *)arg, page_size(), PROT_READ);

	if (p == MAP_FAILED)
		return -errno;
	touch(p, page_size());
	return 0;
}

/* Root has made it and handed it over: the mapping is what is dangerous. */
TEST_F(unpriv, mapping_of_a_reserved_buffer)
{
	int fd = buf_create(KUBUF_BACKING_PAGES, 1, KUBUF_CREATE_RESERVED);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, as_user(NOBODY, map_fd, &fd));
	EXPECT_EQ(0, buf_mappings(fd));
	EXPECT_EQ(0, in_child(map_fd, &fd));
	close(fd);
	fd = buf_create(KUBUF_BACKING_VMALLOC, 1, KUBUF_CREATE_RESERVED);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, as_user(NOBODY, map_fd, &fd));
	close(fd);
	/* Another one, handed over, can be mapped. */
	EXPECT_EQ(0, as_user(NOBODY, map_fd, &self->fd));
}

static long open_node(void *arg)
{
	int fd = node_open(NAME, *(int *)arg);

	return fd < 0 ? fd : 0;
}

TEST_F(unpriv, node_of_root)
{
	int flags = O_RDONLY;

	EXPECT_EQ(-EACCES, as_user(NOBODY, open_node, &flags));
	flags = O_WRONLY;
	EXPECT_EQ(-EACCES, as_user(NOBODY, open_node, &flags));
}

/* The steps of a reader: which of them did not go as it must. */
static long read_only_node(void *arg)
{
	size_t length = PAGES * page_size();
	int fd = node_open(NAME "-ro", O_RDONLY);
	char *p;

	(void)arg;
	if (node_open(NAME "-ro", O_RDWR) != -EACCES)
		return 1;
	if (fd < 0)
		return 2;
	p = buf_map(fd, length, PROT_READ | PROT_WRITE);
	if (p != MAP_FAILED || errno != EACCES)
		return 3;
	p = buf_map(fd, length, PROT_READ);
	if (p == MAP_FAILED)
		return 4;
	if (mismatch(p, length, 5) != length)
		return 5;
	if (!mprotect(p, length, PROT_READ | PROT_WRITE) || errno != EACCES)
		return 6;
	if (access_signal(p, true) != SIGSEGV)
		return 7;
	/* Nor by way of /proc. */
	if (reopen(fd, O_RDWR) != -EACCES)
		return 8;
	if (pwrite(fd, "x", 1, 0) != -1 || errno != EBADF)
		return 9;
	if (kernel_mismatch(fd, length, 5) != length)
		return 10;
	return 0;
}

TEST_F(unpriv, node_to_read)
{
	size_t length = PAGES * page_size();
	const __u32 backings[] = {
		KUBUF_BACKING_KMALLOC, KUBUF_BACKING_PAGES,
		KUBUF_BACKING_VMALLOC, KUBUF_BACKING_HUGE,
	};

	buf_destroy(NAME "-ro");
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		int fd = buf_create_named(NAME "-ro", backings[i], length, 0,
					  0644);

		ASSERT_LE(0, fd);
		ASSERT_TRUE(kernel_fill(fd, length, 5));
		EXPECT_EQ(0, as_user(NOBODY, read_only_node, NULL));
		EXPECT_EQ(length, kernel_mismatch(fd, length, 5));
		close(fd);
		EXPECT_EQ(0, buf_destroy(NAME "-ro"));
	}
}

static long debugfs(void *arg)
{
	int fd = open(arg, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

/* The file itself, not only the directory that it lies in. */
TEST_F(unpriv, debugfs)
{
	struct kubuf_info info;
	char path[64];
	struct stat st;

	ASSERT_EQ(0, buf_info(self->fd, &info));
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	if (stat(path, &st))
		SKIP(return, "debugfs is not mounted");
	EXPECT_EQ((mode_t)(S_IFREG | 0400), st.st_mode);
	EXPECT_EQ(0U, st.st_uid);
	EXPECT_EQ(0, in_child(debugfs, path));
	EXPECT_EQ(-EACCES, as_user(NOBODY, debugfs, path));
}

/* Everything that another user can read of a buffer, and where it lies. */
struct secrets {
	int fd;
	const char *map;
	unsigned long pfn[PAGES];
	bool by_pfn;
	__u64 id;
};

/* The lowest that the kernel has, whatever the levels of its page tables. */
#define KERNEL_START	0xff00000000000000ULL
/* The one mapping there that is for users. */
#define VSYSCALL	0xffffffffff600000ULL

/*
 * Is a word of a text one of the secrets, as a frame number or an address, in
 * decimal or in hexadecimal?
 */
static bool word_tells(const struct secrets *s, const char *word)
{
	const char *hex = strncmp(word, "0x", 2) ? word : word + 2;
	unsigned long long shift = __builtin_ctzl(page_size());
	char *end;

	for (int base = 10; base <= 16; base += 6) {
		unsigned long long v = strtoull(base == 16 ? hex : word, &end,
						base);

		if (*end || end == word)
			continue;
		/* Any address of the kernel, whatever is there. */
		if (v >= KERNEL_START && v < VSYSCALL)
			return true;
		for (int i = 0; i < PAGES; i++)
			if (v == s->pfn[i] || v >> shift == s->pfn[i])
				return true;
	}
	return false;
}

/* The first word of a text that tells, if one does. */
static const char *text_tells(const struct secrets *s, char *text)
{
	char *word = text;

	while (*word) {
		char *end = word;
		char after;

		while (isalnum((unsigned char)*end))
			end++;
		after = *end;
		*end = '\0';
		if (end != word && word_tells(s, word))
			return word;
		if (!after)
			break;
		word = end + 1;
	}
	return NULL;
}

/* Memory is where a number can lie at any byte. */
static bool bytes_tell(const struct secrets *s, const void *from, size_t length)
{
	const unsigned long long shift = __builtin_ctzl(page_size());

	for (size_t at = 0; at + 8 <= length; at++) {
		unsigned long long v;

		memcpy(&v, (const char *)from + at, sizeof(v));
		if (v >= KERNEL_START && v < VSYSCALL)
			return true;
		for (int i = 0; i < PAGES; i++)
			if (v == s->pfn[i] || v >> shift == s->pfn[i])
				return true;
	}
	return false;
}

/* Lines of a file, or those with a word in them; "" if it cannot be read. */
static char *file_text(const char *path, const char *with)
{
	char *text = calloc(1, MIB), line[4096];
	FILE *f = fopen(path, "re");
	size_t used = 0;

	while (text && f && fgets(line, sizeof(line), f)) {
		size_t n = strlen(line);

		if ((with && !strstr(line, with)) || used + n >= MIB)
			continue;
		memcpy(text + used, line, n);
		used += n;
	}
	if (f)
		fclose(f);
	return text;
}

/* Steps, each a number that says which one tells too much. */
static long pagemap_tells(void *arg)
{
	struct secrets *s = arg;

	for (int i = 0; i < PAGES; i++) {
		const char *at = s->map + i * page_size();
		__u64 word;

		touch(at, page_size());
		word = pagemap_word(getpid(), at);
		/*
		 * That a page is there is no secret: it was read. Of what is
		 * mapped by frame number pagemap does not say even that.
		 */
		if (!(word & PM_PRESENT) != s->by_pfn)
			return 1;
		if (word & PM_PFN)
			return 2;
	}
	return 0;
}

static long fdinfo_tells(void *arg)
{
	struct secrets *s = arg;
	char path[64];
	char *text;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->fd);
	text = file_text(path, NULL);
	/* This must find what is there. */
	if (!strstr(text, "kubuf-id:"))
		return 1;
	return text_tells(s, text) ? 2 : 0;
}

static long maps_tell(void *arg)
{
	struct secrets *s = arg;
	char *text = file_text("/proc/self/maps", "kubuf");

	if (!strstr(text, "kubuf"))
		return 1;
	/* These are addresses of one's own. */
	return text_tells(s, text) ? 2 : 0;
}

static long info_tells(void *arg)
{
	struct secrets *s = arg;
	struct kubuf_info info;

	if (buf_info(s->fd, &info) || info.id != s->id)
		return 1;
	return bytes_tell(s, &info, sizeof(info)) ? 2 : 0;
}

static long list_tells(void *arg)
{
	struct kubuf_info info;

	if (list_find(NAME, &info))
		return 1;
	return bytes_tell(arg, &info, sizeof(info)) ? 2 : 0;
}

/* 3 if the log cannot be read. */
static long log_tells(void *arg)
{
	char *text = calloc(1, 4 * MIB);
	char *line, *rest;

	/* SYSLOG_ACTION_READ_ALL */
	if (klogctl(3, text, 4 * MIB - 1) < 0)
		return 3;
	for (line = text; line; line = rest) {
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = '\0';
		if (strstr(line, "kubuf") && text_tells(arg, line))
			return 2;
	}
	return 0;
}

FIXTURE(secret) {
	struct secrets s;
	bool known;
};

FIXTURE_VARIANT(secret) {
	KUBUF_VARIANT_FIELDS
};

/* A user like this cannot map reserved ones. */
KUBUF_PAGE_VARIANTS(secret);
KUBUF_VARIANT(secret, kmalloc, KUBUF_BACKING_KMALLOC, 0, true);

/* What is to be kept, as root sees it. */
FIXTURE_SETUP(secret)
{
	size_t length = PAGES * page_size();
	struct secrets *s = &self->s;
	struct page_state st;
	struct kubuf_info info;

	buf_destroy(NAME);
	s->fd = buf_create_named(NAME, variant->backing, length,
				 variant->flags, 0);
	ASSERT_LE(0, s->fd);
	s->map = buf_map(s->fd, length, PROT_READ);
	ASSERT_NE(MAP_FAILED, s->map);
	ASSERT_EQ(0, buf_info(s->fd, &info));
	s->id = info.id;
	s->by_pfn = variant->pfn;
	for (int i = 0; i < PAGES; i++) {
		if (page_state(s->fd, i, &st))
			return;
		s->pfn[i] = st.pfn;
		/* What is not secret must not look like it. */
		ASSERT_NE(0UL, st.pfn);
		ASSERT_NE((unsigned long)length, st.pfn);
		ASSERT_NE((unsigned long)info.id, st.pfn);
	}
	self->known = true;
}

FIXTURE_TEARDOWN(secret)
{
	munmap((void *)self->s.map, PAGES * page_size());
	close(self->s.fd);
	EXPECT_EQ(0, buf_destroy(NAME));
}

#define NOT_KNOWN	"debugfs is not mounted"

/* The search finds what it looks for. */
TEST_F(secret, is_found_where_it_is)
{
	struct secrets *s = &self->s;
	char text[128];
	char bytes[20] = "";

	if (!self->known)
		SKIP(return, NOT_KNOWN);
	snprintf(text, sizeof(text), "a line: %lu.\n", s->pfn[PAGES - 1]);
	EXPECT_NE(NULL, text_tells(s, text));
	snprintf(text, sizeof(text), "at 0x%lx\n", s->pfn[0]);
	EXPECT_NE(NULL, text_tells(s, text));
	snprintf(text, sizeof(text), "(%lx)", s->pfn[0] * page_size() + 5);
	EXPECT_NE(NULL, text_tells(s, text));
	snprintf(text, sizeof(text), "ffff888012345678 and so on");
	EXPECT_NE(NULL, text_tells(s, text));
	snprintf(text, sizeof(text), "with five levels, 0xff11000012345678");
	EXPECT_NE(NULL, text_tells(s, text));
	snprintf(text, sizeof(text), "kubuf: nothing of it");
	EXPECT_EQ(NULL, text_tells(s, text));
	EXPECT_FALSE(bytes_tell(s, bytes, sizeof(bytes)));
	/* Aligned or not. */
	memcpy(bytes + 5, &s->pfn[3], sizeof(s->pfn[3]));
	EXPECT_TRUE(bytes_tell(s, bytes, sizeof(bytes)));
	/* And root does see the frame number in pagemap, if it is a page. */
	touch(s->map, page_size());
	EXPECT_EQ(s->by_pfn ? 0 : s->pfn[0], pfn_of(s->map));
}

TEST_F(secret, pagemap)
{
	if (!self->known)
		SKIP(return, NOT_KNOWN);
	EXPECT_EQ(0, as_user(NOBODY, pagemap_tells, &self->s));
}

TEST_F(secret, fdinfo)
{
	if (!self->known)
		SKIP(return, NOT_KNOWN);
	EXPECT_EQ(0, as_user(NOBODY, fdinfo_tells, &self->s));
}

TEST_F(secret, maps)
{
	if (!self->known)
		SKIP(return, NOT_KNOWN);
	EXPECT_EQ(0, as_user(NOBODY, maps_tell, &self->s));
}

TEST_F(secret, info)
{
	if (!self->known)
		SKIP(return, NOT_KNOWN);
	EXPECT_EQ(0, as_user(NOBODY, info_tells, &self->s));
}

TEST_F(secret, list)
{
	if (!self->known)
		SKIP(return, NOT_KNOWN);
	EXPECT_EQ(0, as_user(NOBODY, list_tells, &self->s));
}

TEST_F(secret, kernel_log)
{
	long ret;

	if (!self->known)
		SKIP(return, NOT_KNOWN);
	/* Whatever might be worth a line has happened. */
	touch(self->s.map, PAGES * page_size());
	ASSERT_TRUE(kernel_fill(self->s.fd, PAGES * page_size(), 1));
	EXPECT_EQ(0, as_user(NOBODY, map_fd, &self->s.fd));
	ret = as_user(NOBODY, log_tells, &self->s);
	/* Where users may not read it, root's view shows what is in it. */
	if (ret == 3)
		ret = in_child(log_tells, &self->s);
	EXPECT_EQ(0, ret);
}

/* Be root in a user namespace of one's own, where one has every capability. */
static int enter_userns(void)
{
	uid_t user = getuid();
	char map[32];

	if (unshare(CLONE_NEWUSER))
		return -errno;
	snprintf(map, sizeof(map), "0 %u 1", user);
	if (file_write("/proc/self/uid_map", map))
		return -EIO;
	return getuid() == 0 ? 0 : -EIO;
}

/* What there is no user namespace for. */
#define NO_USERNS	1000

static long userns_can(void *arg)
{
	int fd = *(int *)arg;
	struct rlimit none = { 0, 0 };
	int ret = enter_userns();

	if (ret == -EIO)
		return 1;
	if (ret)
		return NO_USERNS;
	if (create_named(NULL) != -EPERM)
		return 2;
	if (create_reserved(NULL) != -EPERM)
		return 3;
	if (destroy_named(NULL) != -EPERM)
		return 4;
	if (map_fd(&fd) != -EPERM)
		return 5;
	/* Nor does CAP_IPC_LOCK there mean anything here. */
	if (setrlimit(RLIMIT_MEMLOCK, &none))
		return 6;
	if (buf_create(KUBUF_BACKING_VMALLOC, 1, 0) != -ENOMEM)
		return 7;
	return 0;
}

TEST_F(unpriv, root_of_a_user_namespace)
{
	int fd = buf_create(KUBUF_BACKING_PAGES, 1, KUBUF_CREATE_RESERVED);
	long ret;

	ASSERT_LE(0, fd);
	ret = as_user(NOBODY, userns_can, &fd);
	close(fd);
	if (ret == NO_USERNS)
		SKIP(return, "users cannot make user namespaces (USER_NS)");
	EXPECT_EQ(0, ret);
}

TEST_HARNESS_MAIN
