// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and stores through a mapping: by the program itself, by the kernel on
 * its behalf, by a disk, and by all who pin pages.
 */
#include <sys/uio.h>

#include "model.h"

/**
 * struct span - some bytes of a region
 * @r: the region
 * @x: first byte
 * @len: bytes
 * @gen: which values are stored
 */
struct span {
	struct region *r;
	size_t x;
	size_t len;
	unsigned int gen;
};

static char *addr_of(const struct span *s)
{
	return s->r->addr + s->x;
}

static void say_span(struct worker *w, const struct span *s, const char *what)
{
	say(w, "%s: %zu bytes at byte %zu of %s buffer %llu, %s, prot %d, at %p",
	    what, s->len, s->r->off + s->x, s->r->buf->kind->name,
	    (unsigned long long)s->r->buf->id,
	    s->r->shared ? "shared" : "private", s->r->prot,
	    s->r->addr + s->x);
}

/* Any bytes of any region. */
static struct span span_pick(struct worker *w, struct op *op, int prot,
			     size_t max)
{
	struct span s = { .r = region_pick_for(w, op, prot) };

	s.x = draw(op, (__u32)s.r->len);
	s.len = draw_len(op);
	if (s.len > s.r->len - s.x)
		s.len = s.r->len - s.x;
	if (s.len > max)
		s.len = max;
	s.gen = 1 + draw(op, 15);
	return s;
}

/* Bytes that follow each other and that the worker may write: len 0 if none. */
static struct span span_pick_own(struct worker *w, struct op *op, size_t max)
{
	struct span s = span_pick(w, op, PROT_WRITE, max);
	size_t off;

	if (!s.r->shared)
		return s;
	if (own_range(w, s.r->buf, op, s.r->off, s.r->off + s.r->len, s.len,
		      &off, &s.len))
		s.x = off - s.r->off;
	else
		s.len = 0;
	return s;
}

/* The same for a disk. */
static struct span span_pick_blocks(struct worker *w, struct op *op, int prot)
{
	struct span s = span_pick(w, op, prot, MAX_IO);
	size_t off;

	if (prot == PROT_WRITE && s.r->shared) {
		if (own_blocks(w, s.r->buf, op, s.r->off, s.r->off + s.r->len,
			       &off, &s.len))
			s.x = off - s.r->off;
		else
			s.len = 0;
		return s;
	}
	s.x = s.x / 512 * 512;
	s.len = (s.len + 511) / 512 * 512;
	return s;
}

static void span_begin(struct worker *w, const struct span *s)
{
	if (s->r->shared)
		store_begin(w, s->r->buf, s->r->off + s->x, s->len, s->gen);
}

static void span_end(struct worker *w, const struct span *s)
{
	if (s->r->shared)
		store_end(w, s->r->buf, s->r->off + s->x, s->len, s->gen);
	else
		region_copied(w, s->r, s->x, w->b, s->len);
}

/* What is going to be stored, in w->b. */
static void span_values(struct worker *w, const struct span *s)
{
	values(s->r->buf, s->r->off + s->x, s->len, s->gen, w->b);
}

static void span_compare(struct worker *w, const struct span *s)
{
	region_compare(w, s->r, s->x, w->a, s->len);
}

void op_load(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, MAX_IO);

	say_span(w, &s, "load");
	if (!(s.r->prot & PROT_READ)) {
		expect_signal(w, addr_of(&s), false);
		return;
	}
	memcpy(w->a, addr_of(&s), s.len);
	span_compare(w, &s);
}

/* As the machine does it: in one, where it can be. */
static void store_bytes(char *to, const unsigned char *from, size_t len)
{
	if (len == 8 && (uintptr_t)to % 8 == 0)
		__atomic_store_n((__u64 *)to, *(const __u64 *)from,
				 __ATOMIC_RELAXED);
	else if (len == 1)
		__atomic_store_n(to, *from, __ATOMIC_RELAXED);
	else
		memcpy(to, from, len);
}

/* Does another worker do something just now? */
static bool is_crowd(const struct worker *w)
{
	unsigned int i;

	for (i = 0; i < w->plan->workers; i++)
		if (i != w->id && __atomic_load_n(&board->tally[i].busy,
						  __ATOMIC_RELAXED))
			return true;
	return false;
}

/* Spoil a byte, behind the back of the model. */
static void plant_byte(const struct worker *w, const struct span *s)
{
	if (plant == PLANT_NONE || s->len < 24 || (s->r->off + s->x) % 8 != 5)
		return;
	if (plant == PLANT_CROWD && !is_crowd(w))
		return;
	*addr_of(s) ^= 0x40;
}

static void store_shared(struct worker *w, const struct span *s)
{
	size_t off = s->r->off + s->x, end = off + s->len, next;
	bool mine;

	span_begin(w, s);
	for (; off < end; off = next) {
		next = piece(s->r->buf, w->id, off, end, &mine);
		if (mine)
			store_bytes(s->r->addr + (off - s->r->off),
				    w->b + (off - s->r->off - s->x),
				    next - off);
	}
	span_end(w, s);
}

/* Each of the worker's own bytes there; those of others in between are not. */
void op_store(struct worker *w, struct op *op)
{
	struct span s = draw(op, 2) ?
		span_pick(w, op, PROT_WRITE, MAX_IO) :
		span_pick_own(w, op, MAX_IO);

	say_span(w, &s, "store");
	if (!s.len) {
		idle(w);
		return;
	}
	if (!(s.r->prot & PROT_WRITE)) {
		expect_signal(w, addr_of(&s), true);
		return;
	}
	span_values(w, &s);
	if (s.r->shared) {
		bool mine;

		store_shared(w, &s);
		piece(s.r->buf, w->id, s.r->off + s.x, s.r->len, &mine);
		if (mine)
			plant_byte(w, &s);
	} else {
		store_bytes(addr_of(&s), w->b, s.len);
		span_end(w, &s);
	}
}

/* A byte of each page. */
void op_touch(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, MAX_IO);
	size_t n = 1 + draw(op, 16), i;

	say_span(w, &s, "load a byte of some pages");
	if (!(s.r->prot & PROT_READ)) {
		idle(w);
		return;
	}
	for (i = 0; i < n && s.x + i * ps < s.r->len; i++) {
		w->a[0] = (unsigned char)s.r->addr[s.x + i * ps];
		region_compare(w, s.r, s.x + i * ps, w->a, 1);
	}
}

/* The kernel loads from the mapping, to write another file. */
void op_copy_out(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, MAX_IO);
	bool good = s.r->prot & PROT_READ;

	say_span(w, &s, "write from");
	expect(w, "write from the mapping",
	       result(pwrite(w->memfd, addr_of(&s), s.len, 0)),
	       good ? (long)s.len : -EFAULT);
	if (!good)
		return;
	expect(w, "pread()", result(pread(w->memfd, w->a, s.len, 0)),
	       (long)s.len);
	span_compare(w, &s);
}

/* The kernel stores to the mapping, what it reads from another file. */
void op_copy_in(struct worker *w, struct op *op)
{
	struct span s = span_pick_own(w, op, MAX_IO);
	bool good = s.r->prot & PROT_WRITE;

	say_span(w, &s, "read into");
	if (!s.len) {
		idle(w);
		return;
	}
	span_values(w, &s);
	expect(w, "pwrite()", result(pwrite(w->memfd, w->b, s.len, 0)),
	       (long)s.len);
	span_begin(w, &s);
	expect(w, "read into the mapping",
	       result(pread(w->memfd, addr_of(&s), s.len, 0)),
	       good ? (long)s.len : -EFAULT);
	if (good)
		span_end(w, &s);
}

/* Can the pages be pinned, to be read or written? */
static bool can_pin(const struct span *s, int prot)
{
	return !s->r->buf->kind->pfn && s->r->prot & prot;
}

/* The disk loads from the mapping. */
void op_direct_out(struct worker *w, struct op *op)
{
	struct span s = span_pick_blocks(w, op, PROT_READ);
	bool good = can_pin(&s, PROT_READ);

	if (w->disk < 0) {
		idle(w);
		return;
	}
	say_span(w, &s, "O_DIRECT write from");
	expect(w, "O_DIRECT write from the mapping",
	       result(pwrite(w->disk, addr_of(&s), s.len, 0)),
	       good ? (long)s.len : -EFAULT);
	if (!good)
		return;
	expect(w, "O_DIRECT read", result(pread(w->disk, w->a, s.len, 0)),
	       (long)s.len);
	span_compare(w, &s);
}

/* The disk stores to the mapping. */
void op_direct_in(struct worker *w, struct op *op)
{
	struct span s = span_pick_blocks(w, op, PROT_WRITE);
	bool good = can_pin(&s, PROT_WRITE);

	if (w->disk < 0 || !s.len) {
		idle(w);
		return;
	}
	say_span(w, &s, "O_DIRECT read into");
	span_values(w, &s);
	expect(w, "O_DIRECT write", result(pwrite(w->disk, w->b, s.len, 0)),
	       (long)s.len);
	span_begin(w, &s);
	expect(w, "O_DIRECT read into the mapping",
	       result(pread(w->disk, addr_of(&s), s.len, 0)),
	       good ? (long)s.len : -EFAULT);
	if (good)
		span_end(w, &s);
}

/* Pages of the mapping, not copies of them, are in the pipe. */
void op_vmsplice(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, 8 * ps);
	struct iovec iov = { addr_of(&s), s.len };
	bool good = can_pin(&s, PROT_READ);

	say_span(w, &s, "vmsplice");
	expect(w, "vmsplice()", result(vmsplice(w->pipe[1], &iov, 1, 0)),
	       good ? (long)s.len : -EFAULT);
	if (!good)
		return;
	expect(w, "read of the pipe", result(read(w->pipe[0], w->a, s.len)),
	       (long)s.len);
	span_compare(w, &s);
}

void op_vm_read(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, MAX_IO);
	struct iovec local = { w->a, s.len };
	struct iovec remote = { addr_of(&s), s.len };
	bool good = can_pin(&s, PROT_READ);

	say_span(w, &s, "process_vm_readv");
	expect(w, "process_vm_readv()",
	       result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)),
	       good ? (long)s.len : -EFAULT);
	if (good)
		span_compare(w, &s);
}

void op_vm_write(struct worker *w, struct op *op)
{
	struct span s = span_pick_own(w, op, MAX_IO);
	struct iovec local = { w->b, s.len };
	struct iovec remote = { addr_of(&s), s.len };
	bool good = can_pin(&s, PROT_WRITE);

	say_span(w, &s, "process_vm_writev");
	if (!s.len) {
		idle(w);
		return;
	}
	span_values(w, &s);
	span_begin(w, &s);
	expect(w, "process_vm_writev()",
	       result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0)),
	       good ? (long)s.len : -EFAULT);
	if (good)
		span_end(w, &s);
}

/*
 * As a debugger does. Whether that may more than the program itself depends on
 * the kernel's configuration.
 */
void op_mem_read(struct worker *w, struct op *op)
{
	struct span s = span_pick(w, op, PROT_READ, MAX_IO);

	say_span(w, &s, "/proc/self/mem read");
	if (!(s.r->prot & PROT_READ)) {
		idle(w);
		return;
	}
	expect(w, "read of /proc/self/mem",
	       result(pread(w->mem, w->a, s.len, (off_t)addr_of(&s))),
	       (long)s.len);
	span_compare(w, &s);
}

/* A shared mapping is written only if the program may, in any case. */
void op_mem_write(struct worker *w, struct op *op)
{
	struct span s = span_pick_own(w, op, MAX_IO);
	bool good = s.r->prot & PROT_WRITE;

	say_span(w, &s, "/proc/self/mem write");
	if (!s.len || (!s.r->shared && !good)) {
		idle(w);
		return;
	}
	span_values(w, &s);
	expect(w, "write of /proc/self/mem",
	       result(pwrite(w->mem, w->b, s.len, (off_t)addr_of(&s))),
	       good ? (long)s.len : -EIO);
	if (good)
		span_end(w, &s);
}
