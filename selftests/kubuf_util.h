/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every kubuf selftest needs: buffers of each kind, and a view of them
 * from /proc and debugfs.
 */
#ifndef KUBUF_UTIL_H
#define KUBUF_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/kubuf.h>

#define CONTROL		"/dev/kubuf/control"
#define PARAMETERS	"/sys/module/kubuf/parameters/"
#define DEBUGFS		"/sys/kernel/debug/kubuf/"

#define KPF_RESERVED	0x0000000100000000ULL
#define PM_PRESENT	0x8000000000000000ULL
#define PM_PFN		0x007fffffffffffffULL

/*
 * In seconds, to end what hangs. What is only slow must not be taken for that: a
 * kernel with every check, on an emulated processor, takes twenty times as long.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define KIB		1024UL
#define MIB		(1024UL * KIB)

/*
 * A variant for each way of making a buffer. LENGTH is what a test may ask for
 * of any backing; PFN says how it is mapped.
 */
#define KUBUF_VARIANT(fixture, name, b, f, p)				\
	FIXTURE_VARIANT_ADD(fixture, name) {				\
		.backing = b, .flags = f, .pfn = p,			\
	}

#define KUBUF_VARIANT_FIELDS						\
	__u32 backing;							\
	__u32 flags;							\
	bool pfn;

#define KUBUF_PAGE_VARIANTS(fixture)					\
	KUBUF_VARIANT(fixture, pages, KUBUF_BACKING_PAGES, 0, false);	\
	KUBUF_VARIANT(fixture, vmalloc, KUBUF_BACKING_VMALLOC, 0, false); \
	KUBUF_VARIANT(fixture, huge, KUBUF_BACKING_HUGE, 0, false)

#define KUBUF_RESERVED_VARIANTS(fixture)				\
	KUBUF_VARIANT(fixture, pages_reserved, KUBUF_BACKING_PAGES,	\
		      KUBUF_CREATE_RESERVED, true);			\
	KUBUF_VARIANT(fixture, vmalloc_reserved, KUBUF_BACKING_VMALLOC,	\
		      KUBUF_CREATE_RESERVED, true)

#define KUBUF_PFN_VARIANTS(fixture)					\
	KUBUF_VARIANT(fixture, kmalloc, KUBUF_BACKING_KMALLOC, 0, true); \
	KUBUF_RESERVED_VARIANTS(fixture)

#define KUBUF_VARIANTS(fixture)						\
	KUBUF_PAGE_VARIANTS(fixture);					\
	KUBUF_PFN_VARIANTS(fixture)

/* Where it is, the kernel checks each access as well. */
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

/*
 * How often to do what shows the more the more often it is done: on a kernel
 * that checks each access, a quarter of it.
 */
static inline long rounds(long n)
{
	return access(KMEMLEAK, F_OK) ? n : (n + 3) / 4;
}

/* A page as debugfs shows it. */
struct page_state {
	unsigned long index;
	unsigned long pfn;
	int refs;
	int maps;
	bool mapped;
	bool pinned;
	bool reserved;
};

static inline size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static inline int control_open(void)
{
	return open(CONTROL, O_RDWR | O_CLOEXEC);
}

/* ioctl() that answers -errno. */
static inline int kioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* A name that is too long fills the field and leaves no room for a NUL. */
static inline void name_set(char to[KUBUF_NAME_SIZE], const char *name)
{
	for (int i = 0; i < KUBUF_NAME_SIZE && name[i]; i++)
		to[i] = name[i];
}

static inline int create_args(struct kubuf_create *c)
{
	int control = control_open();
	int ret;

	if (control < 0)
		return -errno;
	ret = kioctl(control, KUBUF_CREATE, c);
	close(control);
	return ret;
}

/* An anonymous buffer: its fd, or -errno. */
static inline int buf_create(__u32 backing, __u64 length, __u32 flags)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = flags,
		.length = length,
		.backing = backing,
	};

	return create_args(&c);
}

/* A named buffer: its fd (the node is there besides), or -errno. */
static inline int buf_create_named(const char *name, __u32 backing,
				   __u64 length, __u32 flags, __u32 mode)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = flags | KUBUF_CREATE_NAMED,
		.length = length,
		.backing = backing,
		.mode = mode,
	};

	name_set(c.name, name);
	return create_args(&c);
}

static inline int buf_destroy(const char *name)
{
	struct kubuf_destroy d = { .size = sizeof(d) };
	int control = control_open();
	int ret;

	if (control < 0)
		return -errno;
	name_set(d.name, name);
	ret = kioctl(control, KUBUF_DESTROY, &d);
	close(control);
	return ret;
}

static inline int buf_info(int fd, struct kubuf_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return kioctl(fd, KUBUF_INFO, info);
}

/* Mappings of the buffer, as the driver counts them; negative on error. */
static inline long buf_mappings(int fd)
{
	struct kubuf_info info;
	int ret = buf_info(fd, &info);

	return ret ? ret : (long)info.mappings;
}

static inline char *buf_map(int fd, size_t length, int prot)
{
	return mmap(NULL, length, prot, MAP_SHARED, fd, 0);
}

/* The word of /proc/PID/pagemap for an address; 0 if it cannot be read. */
static inline __u64 pagemap_word(pid_t pid, const void *addr)
{
	__u64 word = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &word, sizeof(word),
		  (uintptr_t)addr / page_size() * sizeof(word)) != sizeof(word))
		word = 0;
	close(fd);
	return word;
}

static inline bool is_present(const void *addr)
{
	return pagemap_word(getpid(), addr) & PM_PRESENT;
}

/* Frame number behind an address of this process; 0 if none. */
static inline unsigned long pfn_of(const void *addr)
{
	__u64 word = pagemap_word(getpid(), addr);

	return word & PM_PRESENT ? word & PM_PFN : 0;
}

/* Present pages among LENGTH bytes from ADDR on. */
static inline size_t count_present(const char *addr, size_t length)
{
	size_t n = 0;

	for (size_t off = 0; off < length; off += page_size())
		n += is_present(addr + off);
	return n;
}

static inline __u64 page_flags(unsigned long pfn)
{
	__u64 word = 0;
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &word, sizeof(word), (off_t)(pfn * sizeof(word))) !=
	    sizeof(word))
		word = 0;
	close(fd);
	return word;
}

/* The driver's own view of one page of the buffer behind FD. */
static inline int page_state(int fd, unsigned long index, struct page_state *st)
{
	struct kubuf_info info;
	char path[64], line[128], letters[8];
	int ret = buf_info(fd, &info);
	FILE *f;

	if (ret)
		return ret;
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	ret = -ENOENT;
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' ||
		    sscanf(line, "%lu %lx %d %d %7s", &st->index, &st->pfn,
			   &st->refs, &st->maps, letters) != 5 ||
		    st->index != index)
			continue;
		st->mapped = strchr(letters, 'm');
		st->pinned = strchr(letters, 'p');
		st->reserved = strchr(letters, 'r');
		ret = 0;
		break;
	}
	fclose(f);
	return ret;
}

/* The first line of a file. */
static inline int file_line(const char *path, char *line, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, line, room - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

static inline int parameter_get(const char *name, char *value, size_t room)
{
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return file_line(path, value, room);
}

static inline int parameter_set(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, value, strlen(value));
	err = errno;
	close(fd);
	return n < 0 ? -err : 0;
}

/* Huge pages that come by themselves, or can be asked for. */
static inline bool has_thp(void)
{
	return !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

static inline long minor_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

/* A field of /proc/self/smaps in KiB for the VMA at ADDR; -1 if not there. */
static inline long smaps_kib(const void *addr, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	size_t len = strlen(field);
	bool here = false;
	unsigned long start, end;
	char line[512];
	long kib = -1;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)addr >= start &&
			       (uintptr_t)addr < end;
		else if (here && !strncmp(line, field, len) &&
			 line[len] == ':') {
			kib = strtol(line + len + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	return kib;
}

/* A byte pattern that differs from page to page and from byte to byte. */
static inline unsigned char pattern(size_t offset, unsigned int seed)
{
	return (unsigned char)(offset * 31 + offset / 4096 * 7 + seed);
}

/* Up to the next multiple of 4096 it repeats itself after so many bytes. */
#define PATTERN_RUN	256

/* The bytes from OFFSET on that one run makes, by repeating it. */
static inline size_t pattern_run(char *run, size_t offset, size_t length,
				 unsigned int seed)
{
	size_t n = 4096 - offset % 4096;

	for (size_t i = 0; i < PATTERN_RUN; i++)
		run[i] = (char)(pattern(offset, seed) + i * 31);
	return n < length ? n : length;
}

static inline void fill(char *buf, size_t length, unsigned int seed)
{
	char run[PATTERN_RUN];

	for (size_t off = 0, n; off < length; off += n) {
		n = pattern_run(run, off, length - off, seed);
		for (size_t i = 0; i < n; i += PATTERN_RUN)
			memcpy(buf + off + i, run, n - i < PATTERN_RUN ?
			       n - i : PATTERN_RUN);
	}
}

/*
 * As mismatch(), for what begins at AT: the first byte of BUF that is not the
 * pattern's; LENGTH if none.
 */
static inline size_t mismatch_at(const char *buf, size_t length, size_t at,
				 unsigned int seed)
{
	char run[PATTERN_RUN];

	for (size_t off = 0, n; off < length; off += n) {
		n = pattern_run(run, at + off, length - off, seed);
		for (size_t i = 0; i < n; i++) {
			/* Whole runs at once, but for the one that differs. */
			if (i % PATTERN_RUN == 0 && n - i >= PATTERN_RUN &&
			    !memcmp(buf + off + i, run, PATTERN_RUN)) {
				i += PATTERN_RUN - 1;
				continue;
			}
			if (buf[off + i] != run[i % PATTERN_RUN])
				return off + i;
		}
	}
	return length;
}

/* Offset of the first byte that is not the pattern's; LENGTH if none. */
static inline size_t mismatch(const char *buf, size_t length, unsigned int seed)
{
	return mismatch_at(buf, length, 0, seed);
}

#endif /* KUBUF_UTIL_H */
