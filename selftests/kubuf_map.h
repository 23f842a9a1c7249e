/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address space: ranges that no page table covers yet, what is mapped in them,
 * and the kernel's loads and stores to compare with.
 */
#ifndef KUBUF_MAP_H
#define KUBUF_MAP_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>

#include "kubuf_util.h"

/* Bytes that one PMD entry maps, or the page table below it. */
static inline size_t pmd_size(void)
{
	return page_size() / sizeof(__u64) * page_size();
}

/*
 * LENGTH bytes of address space that begin OFFSET bytes into a PMD entry, in
 * entries that map nothing else. Mapped PROT_NONE; MAP_FIXED goes over it.
 */
static inline char *fresh_range(size_t length, size_t offset)
{
	size_t pmd = pmd_size();
	size_t room = pmd + (offset + length + pmd - 1) / pmd * pmd;
	char *p = mmap(NULL, room, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return p;
	return (char *)(((uintptr_t)p + pmd - 1) / pmd * pmd) + offset;
}

/* Map the start of a buffer OFFSET bytes into a fresh range. */
static inline char *map_fresh(int fd, size_t length, int prot, int flags,
			      size_t offset)
{
	char *p = fresh_range(length, offset);

	if (p == MAP_FAILED)
		return p;
	return mmap(p, length, prot, flags | MAP_FIXED, fd, 0);
}

/* The words of pagemap of N pages from ADDR on. */
static inline bool pagemap_read(const void *addr, __u64 *words, size_t n)
{
	size_t bytes = n * sizeof(*words);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = pread(fd, words, bytes, (uintptr_t)addr / page_size() *
		   sizeof(*words)) == (ssize_t)bytes;
	close(fd);
	return ok;
}

/*
 * Present pages among N; the first and the last of them, if there is one. None
 * is where frame numbers are mapped: pagemap passes over them.
 */
static inline size_t present(const void *addr, size_t n, size_t *first,
			     size_t *last)
{
	__u64 *words = calloc(n, sizeof(*words));
	size_t count = 0;

	if (!words || !pagemap_read(addr, words, n)) {
		free(words);
		return SIZE_MAX;
	}
	for (size_t i = 0; i < n; i++) {
		if (!(words[i] & PM_PRESENT))
			continue;
		if (!count++ && first)
			*first = i;
		if (last)
			*last = i;
	}
	free(words);
	return count;
}

/* The driver's own view of the first N pages: how many there were, or -errno */
static inline long page_states(int fd, struct page_state *st, long n)
{
	struct kubuf_info info;
	char path[64], line[128];
	int ret = buf_info(fd, &info);
	long i = 0;
	FILE *f;

	if (ret)
		return ret;
	snprintf(path, sizeof(path), DEBUGFS "%llu",
		 (unsigned long long)info.id);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	/* There can be thousands of lines: not by sscanf(), which is slow. */
	while (i < n && fgets(line, sizeof(line), f)) {
		struct page_state *s = &st[i];
		char *at;

		if (line[0] == '#')
			continue;
		s->index = strtoul(line, &at, 10);
		s->pfn = strtoul(at, &at, 16);
		s->refs = (int)strtol(at, &at, 10);
		s->maps = (int)strtol(at, &at, 10);
		s->mapped = strchr(at, 'm');
		s->pinned = strchr(at, 'p');
		s->reserved = strchr(at, 'r');
		i++;
	}
	fclose(f);
	return i;
}

/* Pieces that are whole in memory: a PMD entry can map each. */
static inline bool whole_pieces(const struct page_state *st, long pages)
{
	const long piece = (long)(pmd_size() / page_size());

	for (long i = 0; i < pages / piece * piece; i++) {
		if (i % piece == 0 ? st[i].pfn % (unsigned long)piece != 0 :
				     st[i].pfn != st[i - 1].pfn + 1)
			return false;
	}
	return has_thp();
}

/*
 * Pages that the driver says are mapped, among N from INDEX on; the first and
 * the last of them by their index in the buffer. -1 if it says nothing.
 */
static inline long mapped(int fd, long index, long n, long *first, long *last)
{
	struct page_state *st = calloc((size_t)(index + n), sizeof(*st));
	long count = 0;

	if (!st || page_states(fd, st, index + n) != index + n) {
		free(st);
		return -1;
	}
	for (long i = index; i < index + n; i++) {
		if (!st[i].mapped || st[i].maps < 1)
			continue;
		if (!count++ && first)
			*first = i;
		if (last)
			*last = i;
	}
	free(st);
	return count;
}

/* Let the kernel store the pattern, at its own address of the buffer. */
static inline bool kernel_fill(int fd, size_t length, unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok;

	if (!tmp)
		return false;
	fill(tmp, length, seed);
	ok = pwrite(fd, tmp, length, 0) == (ssize_t)length;
	free(tmp);
	return ok;
}

/* Let the kernel load: the first byte that is not the pattern's, or LENGTH. */
static inline size_t kernel_mismatch(int fd, size_t length, unsigned int seed)
{
	char *tmp = malloc(length);
	size_t off = 0;

	if (tmp && pread(fd, tmp, length, 0) == (ssize_t)length)
		off = mismatch(tmp, length, seed);
	free(tmp);
	return off;
}

/* Memory of a gone buffer would be given out again here, and overwritten. */
static inline bool churn(__u32 backing, __u32 flags, size_t length)
{
	const size_t anon = 8 * MIB;
	int fds[16];
	bool ok = true;
	char *p;

	for (int i = 0; i < 16; i++) {
		fds[i] = buf_create(backing, length, flags);
		ok = ok && fds[i] >= 0 && kernel_fill(fds[i], length, 99);
	}
	p = mmap(NULL, anon, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	memset(p, 0xee, anon);
	munmap(p, anon);
	for (int i = 0; i < 16; i++)
		close(fds[i]);
	return ok;
}

/*
 * Is there a system call of that number? For those that look at their flags
 * before all else and know no flags of all ones.
 */
static inline bool has_syscall(long number)
{
	return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) == -1 &&
	       errno == EINVAL;
}

/* Another open file of the same buffer. */
static inline int reopen(int fd, int flags)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, flags | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

/* The most pages that one fault maps, on the page path and on the PFN path. */
struct windows {
	char page[16];
	char pfn[16];
};

static inline int windows_get(struct windows *w)
{
	int ret = parameter_get("window", w->page, sizeof(w->page));

	return ret ? ret : parameter_get("pfn_window", w->pfn, sizeof(w->pfn));
}

static inline void windows_put(const struct windows *w)
{
	parameter_set("window", w->page);
	parameter_set("pfn_window", w->pfn);
}

static inline int windows_set(unsigned int pages)
{
	char value[16];
	int ret;

	snprintf(value, sizeof(value), "%u", pages);
	ret = parameter_set("window", value);
	return ret ? ret : parameter_set("pfn_window", value);
}

/* One load and one store that no compiler takes away. */
static inline char load(const char *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void store(char *p, char c)
{
	__atomic_store_n(p, c, __ATOMIC_RELAXED);
}

/* Load a byte of each page. */
static inline void touch(const char *p, size_t length)
{
	for (size_t off = 0; off < length; off += page_size())
		load(p + off);
}

/* Is it the pattern as it is from AT on? */
static inline bool matches_at(const char *buf, size_t length, size_t at,
			      unsigned int seed)
{
	return mismatch_at(buf, length, at, seed) == length;
}

static sigjmp_buf access_env;

static inline void access_died(int sig)
{
	siglongjmp(access_env, sig);
}

/*
 * The signal that a load or store of one byte brings; 0 if none does. For one
 * thread at a time.
 */
static inline int access_signal(char *p, bool write)
{
	struct sigaction died = { .sa_handler = access_died };
	struct sigaction segv, bus;
	int sig;

	sigaction(SIGSEGV, &died, &segv);
	sigaction(SIGBUS, &died, &bus);
	sig = sigsetjmp(access_env, 1);
	if (!sig) {
		if (write)
			store(p, 1);
		else
			load(p);
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

#endif /* KUBUF_MAP_H */
