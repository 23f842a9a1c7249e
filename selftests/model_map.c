// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings: to make them, change them, take them away.
 *
 * The model knows a mapping as regions, each of which the kernel treats alike.
 * They are never larger than what the kernel has; they may be smaller.
 */
#include "model.h"

/*
 * Where a worker maps things at addresses of its own choice. The kernel chooses
 * from above, so that no hole here is given to another thread.
 */
#define WINDOW		(512 * MIB)

static size_t pmd_bytes(void)
{
	return ps / sizeof(__u64) * ps;
}

static bool is_free(const struct worker *w, const char *addr, size_t len)
{
	unsigned int i;

	if (addr < w->window || addr + len > w->window + WINDOW)
		return false;
	for (i = 0; i < MAX_REGIONS; i++)
		if (w->regions[i].len &&
		    addr < w->regions[i].addr + w->regions[i].len &&
		    w->regions[i].addr < addr + len)
			return false;
	return true;
}

/*
 * The region in a place or, if there is none, in the next. They keep their
 * places, so that which one is drawn depends little on what others there are.
 */
struct region *region_at(struct worker *w, unsigned int place)
{
	while (!w->regions[place % MAX_REGIONS].len)
		place++;
	return &w->regions[place % MAX_REGIONS];
}

/* Where nothing is mapped; NULL to let the kernel choose. */
static char *free_addr(struct worker *w, struct op *op, size_t len,
		       size_t off)
{
	size_t pmd = pmd_bytes();
	unsigned int try;
	char *addr;

	for (try = 0; try < 16; try++) {
		unsigned int how = draw(op, 10);

		if (how < 3 && w->nr_regions) {
			const struct region *r =
				region_at(w, draw(op, MAX_REGIONS));

			addr = r->addr + r->len;
		} else if (how < 7) {
			/* So that one entry can map as much as it can. */
			addr = w->window + off % pmd +
			       draw(op, WINDOW / pmd) * pmd;
		} else {
			addr = w->window + draw(op, WINDOW / 8 / ps) * ps;
		}
		if (is_free(w, addr, len))
			return addr;
	}
	return NULL;
}

/* In a place or, if that is taken, in the next that is not. */
static struct region *region_add(struct worker *w, unsigned int place,
				 struct buf *buf, size_t off)
{
	while (w->regions[place % MAX_REGIONS].len)
		place++;
	w->regions[place % MAX_REGIONS] = (struct region) {
		.buf = buf, .off = off,
	};
	w->nr_regions++;
	buf->refs++;
	return &w->regions[place % MAX_REGIONS];
}

/* The pages from AT on become a region of their own, which is returned. */
static struct region *split(struct worker *w, struct region *r, size_t at)
{
	struct region *tail = region_add(w, (unsigned int)(r - w->regions),
					 r->buf, r->off + at * ps);
	size_t nr = r->len / ps - at;

	tail->addr = r->addr + at * ps;
	tail->len = nr * ps;
	tail->prot = r->prot;
	tail->shared = r->shared;
	tail->may_write = r->may_write;
	if (r->own) {
		tail->own = calloc(nr, sizeof(*tail->own));
		memcpy(tail->own, r->own + at, nr * sizeof(*tail->own));
	}
	r->len = at * ps;
	return tail;
}

static struct region *isolate(struct worker *w, struct region *r, size_t first,
			      size_t nr)
{
	if ((first + nr) * ps < r->len)
		split(w, r, first + nr);
	return first ? split(w, r, first) : r;
}

/* Some pages of a region: all, if there is no room to split it. */
static void pick_pages(const struct worker *w, const struct region *r,
		       struct op *op, size_t *first, size_t *nr)
{
	size_t pages = r->len / ps;

	*first = 0;
	*nr = pages;
	if (w->nr_regions + 2 > MAX_REGIONS || draw(op, 5) < 2)
		return;
	*first = draw(op, (__u32)pages);
	*nr = 1 + draw(op, (__u32)(pages - *first));
}

static void forget_page(struct region *r, size_t page)
{
	free(r->own[page]);
	r->own[page] = NULL;
}

/* It is not mapped any more. */
void region_drop(struct worker *w, struct region *r)
{
	size_t i;

	for (i = 0; r->own && i < r->len / ps; i++)
		forget_page(r, i);
	free(r->own);
	buf_put(w, r->buf);
	*r = (struct region){ 0 };
	w->nr_regions--;
}

void region_unmap(struct worker *w, struct region *r)
{
	expect(w, "munmap()", result(munmap(r->addr, r->len)), 0);
	region_drop(w, r);
}

/* What was read from byte X of a region on. */
void region_compare(struct worker *w, struct region *r, size_t x,
		    const unsigned char *got, size_t len)
{
	size_t n;

	if (!r->own) {
		compare(w, r->buf, r->off + x, got, len);
		return;
	}
	for (; len; len -= n, x += n, got += n) {
		unsigned char *own = r->own[x / ps];

		n = ps - x % ps;
		if (n > len)
			n = len;
		if (own)
			compare_bytes(w, r->buf, r->off + x, got, own + x % ps,
				      n);
		else
			compare(w, r->buf, r->off + x, got, n);
	}
}

/* The first store to a page of a private region: it is a copy from now on. */
static void page_copied(struct worker *w, struct region *r, size_t page,
			size_t from, size_t to)
{
	unsigned char *own = malloc(ps);
	size_t off = r->off + page * ps;

	memcpy(own, r->addr + page * ps, ps);
	compare(w, r->buf, off, own, from);
	compare(w, r->buf, off + to, own + to, ps - to);
	r->own[page] = own;
}

/*
 * LEN bytes at X of a private region were written; DATA is what; NULL if nothing
 * was but a copy was made all the same.
 */
void region_copied(struct worker *w, struct region *r, size_t x,
		   const unsigned char *data, size_t len)
{
	size_t n;

	for (; len; len -= n, x += n) {
		size_t page = x / ps, from = x % ps;

		n = ps - from;
		if (n > len)
			n = len;
		if (!r->own[page])
			page_copied(w, r, page, data ? from : 0,
				    data ? from + n : 0);
		if (data) {
			memcpy(r->own[page] + from, data, n);
			data += n;
		}
	}
}

/**
 * struct wish - what mmap() is asked for
 * @slot: of which buffer
 * @mode: by which of its files
 * @prot: as for mmap()
 * @shared: MAP_SHARED
 * @first: page of the buffer
 * @nr: pages
 */
struct wish {
	struct slot *slot;
	enum mode mode;
	int prot;
	bool shared;
	size_t first;
	size_t nr;
};

static long wish_result(const struct wish *wish)
{
	const struct buf *buf = wish->slot->buf;

	if (wish->mode == MODE_WO)
		return -EACCES;
	if (wish->shared && wish->prot & PROT_WRITE && wish->mode != MODE_RW)
		return -EACCES;
	if (wish->prot & PROT_EXEC)
		return -EPERM;
	if ((wish->first + wish->nr) * ps > buf->len)
		return -EINVAL;
	if (!wish->shared && buf->kind->pfn)
		return -EINVAL;
	return 0;
}

/* Something that goes through. */
static void wish_good(struct worker *w, struct op *op, struct wish *wish)
{
	static const int prots[] = { RW, RW, RW, RW, RW, PROT_READ, PROT_NONE };
	size_t pages;

	wish->slot = slot_pick(w, op);
	wish->mode = draw(op, 8) ? MODE_RW : MODE_RO;
	slot_fd(w, wish->slot, wish->mode);
	pages = wish->slot->buf->len / ps;
	wish->prot = prots[draw(op, ARRAY_SIZE(prots))];
	wish->shared = wish->slot->buf->kind->pfn || draw(op, 5);
	if (wish->shared && wish->mode == MODE_RO)
		wish->prot &= ~PROT_WRITE;
	wish->first = draw(op, 2) ? 0 : draw(op, (__u32)pages);
	wish->nr = pages - wish->first;
	if (draw(op, 2))
		wish->nr = 1 + draw(op, (__u32)wish->nr);
}

/* Make it something that does not. */
static void wish_bad(struct op *op, struct wish *wish)
{
	size_t pages = wish->slot->buf->len / ps;

	switch (draw(op, 5)) {
	case 0:
		wish->mode = MODE_WO;
		break;
	case 1:
		wish->mode = MODE_RO;
		wish->shared = true;
		wish->prot = RW;
		break;
	case 2:
		wish->prot |= PROT_EXEC;
		break;
	case 3:
		wish->shared = false;
		wish->nr += wish->slot->buf->kind->pfn ? 0 : pages;
		break;
	default:
		wish->first = pages - draw(op, 2) + draw(op, 2) * 100000000UL;
		wish->nr = 2 + draw(op, 100);
		break;
	}
}

static void say_wish(struct worker *w, const struct wish *wish, const char *at)
{
	static const char * const modes[] = { "rw", "ro", "wo" };
	const struct buf *buf = wish->slot->buf;

	say(w, "%s buffer %llu of %zu pages, pages %zu to %zu, %s, prot %d, %s, at %p",
	    buf->kind->name, (unsigned long long)buf->id, buf->len / ps,
	    wish->first, wish->first + wish->nr - 1, modes[wish->mode],
	    wish->prot, wish->shared ? "shared" : "private", at);
}

static char *wish_map(struct worker *w, const struct wish *wish, char *addr,
		      int flags)
{
	int fd = slot_fd(w, wish->slot, wish->mode);

	say_wish(w, wish, addr);
	return mmap(addr, wish->nr * ps, wish->prot,
		    flags | (wish->shared ? MAP_SHARED : MAP_PRIVATE), fd,
		    (off_t)(wish->first * ps));
}

/* The mapping that was wished for is at ADDR. */
static void wish_done(struct worker *w, struct op *op, const struct wish *wish,
		      char *addr, char *want)
{
	struct region *r;

	if (addr == MAP_FAILED)
		expect(w, "mmap()", -errno, 0);
	if (want && addr != want)
		differ(w, "mmap() at %p: is at %p", want, addr);
	r = region_add(w, draw(op, MAX_REGIONS), wish->slot->buf,
		       wish->first * ps);
	r->addr = addr;
	r->len = wish->nr * ps;
	r->prot = wish->prot;
	r->shared = wish->shared;
	r->may_write = !wish->shared || wish->mode == MODE_RW;
	if (!r->shared)
		r->own = calloc(wish->nr, sizeof(*r->own));
}

void op_map(struct worker *w, struct op *op)
{
	struct wish wish;
	char *addr = NULL;
	int flags = 0;

	if (w->nr_regions == MAX_REGIONS)
		region_unmap(w, region_pick(w, op));
	wish_good(w, op, &wish);
	if (draw(op, 4))
		addr = free_addr(w, op, wish.nr * ps, wish.first * ps);
	if (addr)
		flags = MAP_FIXED_NOREPLACE;
	if (wish.shared && wish.nr <= 64 && one_in(op, 8))
		flags |= MAP_POPULATE;
	wish_done(w, op, &wish, wish_map(w, &wish, addr, flags), addr);
}

/* Another mapping over a part of one. */
void op_map_over(struct worker *w, struct op *op)
{
	size_t first, nr, pages;
	struct region *r;
	struct wish wish;
	char *addr;

	wish_good(w, op, &wish);
	r = region_pick(w, op);
	pick_pages(w, r, op, &first, &nr);
	pages = wish.slot->buf->len / ps;
	if (nr > pages && w->nr_regions + 2 <= MAX_REGIONS)
		nr = pages;
	if (nr > pages) {
		region_unmap(w, r);
		return;
	}
	wish.nr = nr;
	wish.first = draw(op, (__u32)(pages - nr + 1));
	r = isolate(w, r, first, nr);
	addr = r->addr;
	region_drop(w, r);
	wish_done(w, op, &wish, wish_map(w, &wish, addr, MAP_FIXED), addr);
}

void op_map_bad(struct worker *w, struct op *op)
{
	struct wish wish;
	char *p;

	wish_good(w, op, &wish);
	wish_bad(op, &wish);
	p = wish_map(w, &wish, NULL, 0);
	expect(w, "mmap()", p == MAP_FAILED ? -errno : 0, wish_result(&wish));
	/* The model and this file do not agree on what fails. */
	if (p != MAP_FAILED)
		differ(w, "mmap() that fails has a good wish");
}

/* A region; one is made if there is none. */
struct region *region_pick(struct worker *w, struct op *op)
{
	if (!w->nr_regions)
		op_map(w, op);
	return region_at(w, draw(op, MAX_REGIONS));
}

/* Most likely one that allows what is going to be done. */
struct region *region_pick_for(struct worker *w, struct op *op, int prot)
{
	struct region *r = region_pick(w, op);
	unsigned int i;

	for (i = 0; i < 4 && !(r->prot & prot); i++)
		r = region_pick(w, op);
	return r;
}

static void say_pages(struct worker *w, const struct region *r, size_t first,
		      size_t nr, const char *what)
{
	say(w, "%s: %s buffer %llu, page %zu, at %p, %zu pages", what,
	    r->buf->kind->name, (unsigned long long)r->buf->id,
	    r->off / ps + first, r->addr + first * ps, nr);
}

void op_unmap(struct worker *w, struct op *op)
{
	struct region *r = region_pick(w, op);
	size_t first, nr;

	pick_pages(w, r, op, &first, &nr);
	say_pages(w, r, first, nr, "unmap");
	region_unmap(w, isolate(w, r, first, nr));
}

void op_protect(struct worker *w, struct op *op)
{
	static const int prots[] = {
		RW, RW, RW, RW, PROT_READ, PROT_READ, PROT_NONE,
		PROT_READ | PROT_EXEC,
	};
	struct region *r = region_pick(w, op);
	int prot = prots[draw(op, ARRAY_SIZE(prots))];
	size_t first, nr;
	long want = 0;

	pick_pages(w, r, op, &first, &nr);
	say_pages(w, r, first, nr, "protect");
	if (prot & PROT_EXEC || (prot & PROT_WRITE && !r->may_write))
		want = -EACCES;
	expect(w, "mprotect()",
	       result(mprotect(r->addr + first * ps, nr * ps, prot)), want);
	if (!want)
		isolate(w, r, first, nr)->prot = prot;
}

static void remap(struct worker *w, const struct region *r, size_t len,
		  size_t new_len, int flags, long want)
{
	char *p = mremap(r->addr, len, new_len, flags);

	expect(w, "mremap()", p == MAP_FAILED ? -errno : 0, want);
	if (p != MAP_FAILED && p != r->addr)
		differ(w, "mremap(): %p became %p", r->addr, p);
}

static void move_pages_of(struct worker *w, struct op *op, struct region *r)
{
	size_t first, nr;
	char *to, *p;

	pick_pages(w, r, op, &first, &nr);
	to = free_addr(w, op, nr * ps, r->off + first * ps);
	if (!to) {
		idle(w);
		return;
	}
	say_pages(w, r, first, nr, "move");
	r = isolate(w, r, first, nr);
	p = mremap(r->addr, r->len, r->len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (p == MAP_FAILED)
		expect(w, "mremap()", -errno, 0);
	if (p != to)
		differ(w, "mremap() to %p: is at %p", to, p);
	r->addr = to;
}

void op_move(struct worker *w, struct op *op)
{
	struct region *r = region_pick(w, op);
	size_t pages = r->len / ps, nr;

	switch (draw(op, 12)) {
	case 0:
		say_pages(w, r, 0, pages, "grow");
		remap(w, r, r->len, r->len + ps, MREMAP_MAYMOVE, -EFAULT);
		break;
	case 1:
		say_pages(w, r, 0, pages, "duplicate");
		remap(w, r, 0, r->len, MREMAP_MAYMOVE,
		      r->shared ? -EFAULT : -EINVAL);
		break;
	case 2:
		say_pages(w, r, 0, pages, "do not unmap");
		remap(w, r, r->len, r->len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
		      -EINVAL);
		break;
	case 3:
		if (pages == 1 || w->nr_regions + 2 > MAX_REGIONS) {
			idle(w);
			break;
		}
		nr = 1 + draw(op, (__u32)(pages - 1));
		say_pages(w, r, nr, pages - nr, "shrink");
		remap(w, r, r->len, nr * ps, 0, 0);
		region_drop(w, isolate(w, r, nr, pages - nr));
		break;
	default:
		move_pages_of(w, op, r);
	}
}

/**
 * struct advice - what madvise() does
 * @advice: the advice
 * @name: as in reports
 * @page: what it gives on the page path
 * @pfn: the same on the PFN path
 * @prot: where the protection lacks one of these it gives -EINVAL
 */
static const struct advice {
	int advice;
	const char *name;
	int page;
	int pfn;
	int prot;
} advices[] = {
	{ MADV_NORMAL, "NORMAL", 0, 0, 0 },
	{ MADV_RANDOM, "RANDOM", 0, 0, 0 },
	{ MADV_SEQUENTIAL, "SEQUENTIAL", 0, 0, 0 },
	{ MADV_WILLNEED, "WILLNEED", 0, 0, 0 },
	{ MADV_DONTNEED, "DONTNEED", 0, -EINVAL, 0 },
	{ MADV_DONTNEED, "DONTNEED", 0, -EINVAL, 0 },
	{ MADV_DONTNEED, "DONTNEED", 0, -EINVAL, 0 },
	{ MADV_COLD, "COLD", 0, -EINVAL, 0 },
	{ MADV_PAGEOUT, "PAGEOUT", 0, -EINVAL, 0 },
	{ MADV_POPULATE_READ, "POPULATE_READ", 0, -EINVAL, PROT_READ },
	{ MADV_POPULATE_WRITE, "POPULATE_WRITE", 0, -EINVAL, PROT_WRITE },
	{ MADV_HUGEPAGE, "HUGEPAGE", 0, 0, 0 },
	{ MADV_NOHUGEPAGE, "NOHUGEPAGE", 0, 0, 0 },
	{ MADV_FREE, "FREE", -EINVAL, -EINVAL, 0 },
	{ MADV_DODUMP, "DODUMP", -EINVAL, -EINVAL, 0 },
};

/* What the advice has done to the copies that a private region has. */
static void advised(struct worker *w, struct region *r, int advice)
{
	size_t i;

	if (!r->own)
		return;
	if (advice == MADV_POPULATE_WRITE)
		region_copied(w, r, 0, NULL, r->len);
	for (i = 0; advice == MADV_DONTNEED && i < r->len / ps; i++)
		forget_page(r, i);
}

void op_advise(struct worker *w, struct op *op)
{
	const struct advice *a = &advices[draw(op, ARRAY_SIZE(advices))];
	struct region *r = region_pick(w, op);
	size_t first, nr;
	long want;

	pick_pages(w, r, op, &first, &nr);
	/* These two go through all pages. */
	if (a->prot && nr > 64) {
		if (w->nr_regions + 2 > MAX_REGIONS) {
			idle(w);
			return;
		}
		nr = 64;
	}
	say_pages(w, r, first, nr, a->name);
	want = r->buf->kind->pfn ? a->pfn : a->page;
	if ((a->advice == MADV_HUGEPAGE || a->advice == MADV_NOHUGEPAGE) &&
	    !has_thp())
		want = -EINVAL;
	if (!want && (r->prot & a->prot) != a->prot)
		want = -EINVAL;
	expect(w, a->name,
	       result(madvise(r->addr + first * ps, nr * ps, a->advice)),
	       want);
	if (!want)
		advised(w, isolate(w, r, first, nr), a->advice);
}

void op_lock(struct worker *w, struct op *op)
{
	struct region *r = region_pick(w, op);

	if (draw(op, 2)) {
		say_pages(w, r, 0, r->len / ps, "msync");
		expect(w, "msync()", result(msync(r->addr, r->len, MS_SYNC)),
		       0);
		return;
	}
	/* It maps the pages; a private one would be copied. */
	if (!r->shared || r->prot == PROT_NONE || r->len > 64 * ps) {
		idle(w);
		return;
	}
	say_pages(w, r, 0, r->len / ps, "mlock");
	expect(w, "mlock()", result(mlock(r->addr, r->len)), 0);
	expect(w, "munlock()", result(munlock(r->addr, r->len)), 0);
}
