// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must be in a buffer, and who may write it.
 *
 * Each worker may write its own bytes only, of which several pieces are in a
 * page, and knows all of them. The low half of a byte depends on its place and
 * never changes once it was written, so that a worker can tell a byte that
 * another may have written from one that does not belong there.
 */
#include "model.h"

#define TAGS	4096U	/* after so many bytes tags repeat, but for the page */

const struct kind kinds[NR_KINDS] = {
	{ "kmalloc", KUBUF_BACKING_KMALLOC, 0, true, 1024 },
	{ "pages", KUBUF_BACKING_PAGES, 0, false, 1024 },
	{ "vmalloc", KUBUF_BACKING_VMALLOC, 0, false, MAX_PAGES },
	{ "huge", KUBUF_BACKING_HUGE, 0, false, MAX_PAGES },
	{ "pages, reserved", KUBUF_BACKING_PAGES, KUBUF_CREATE_RESERVED, true,
	  1024 },
	{ "vmalloc, reserved", KUBUF_BACKING_VMALLOC, KUBUF_CREATE_RESERVED,
	  true, MAX_PAGES },
};

static unsigned char tags[2 * TAGS];

void mem_init(void)
{
	unsigned int i;

	for (i = 0; i < 2 * TAGS; i++)
		tags[i] = mix(i % TAGS) & 15;
}

unsigned int draw_pages(struct op *op, const struct kind *kind)
{
	unsigned int pmd = (unsigned int)(ps / sizeof(__u64));
	unsigned int r = draw(op, 100), n;

	if (r < 35)
		n = 1 + draw(op, 8);
	else if (r < 72)
		n = 1 + draw(op, 64);
	else if (r < 86)
		n = 1U << draw(op, 10);
	else if (r < 95)
		n = pmd - 2 + draw(op, 5);
	else
		n = 1 + draw(op, kind->max);
	return n < kind->max ? n : kind->max;
}

/* The tags of the bytes from OFF on, as far as LEN says at most. */
static const unsigned char *tags_at(const struct buf *buf, size_t off,
				    size_t *len)
{
	size_t in_page = off % TAGS;
	size_t at = (off / TAGS * 577 + in_page + buf->salt) % TAGS;

	if (*len > TAGS - in_page)
		*len = TAGS - in_page;
	return tags + at;
}

/* What a store of generation GEN, 1 to 15, writes. */
void values(const struct buf *buf, size_t off, size_t len, unsigned int gen,
	    unsigned char *to)
{
	const __u64 high = 0x1010101010101010ULL * gen;
	size_t i, n;

	for (; len; len -= n, off += n, to += n) {
		const unsigned char *t;

		n = len;
		t = tags_at(buf, off, &n);
		for (i = 0; i + 8 <= n; i += 8) {
			__u64 word;

			memcpy(&word, t + i, 8);
			word |= high;
			memcpy(to + i, &word, 8);
		}
		for (; i < n; i++)
			to[i] = (unsigned char)(t[i] | gen << 4);
	}
}

/* The end, END at most, of the piece that OFF is in, and whose it is. */
size_t piece(const struct buf *buf, unsigned int worker, size_t off,
	     size_t end, bool *mine)
{
	size_t nr = off / buf->stride;

	*mine = buf->owners == 1 || nr % buf->owners == worker;
	if (buf->owners == 1 || (nr + 1) * buf->stride > end)
		return end;
	return (nr + 1) * buf->stride;
}

/* Some bytes between FROM and TO that the worker may write; false if none. */
bool own_range(const struct worker *w, const struct buf *buf, struct op *op,
	       size_t from, size_t to, size_t max, size_t *off, size_t *len)
{
	size_t at = from + draw(op, (__u32)(to - from));
	size_t start = at, end;
	bool mine;
	unsigned int i;

	for (i = 0; i <= 2 * buf->owners; i++) {
		end = piece(buf, w->id, start, to, &mine);
		if (mine)
			break;
		start = end < to ? end : from;
	}
	if (!mine)
		return false;
	if (start != at)
		start += draw(op, (__u32)(end - start));
	*off = start;
	*len = end - start < max ? end - start : max;
	return true;
}

/* The same in blocks of a disk. */
bool own_blocks(const struct worker *w, const struct buf *buf, struct op *op,
		size_t from, size_t to, size_t *off, size_t *len)
{
	size_t end, start;
	bool mine;

	for (start = from; start < to; start = end) {
		end = piece(buf, w->id, start, to, &mine);
		start = (start + 511) / 512 * 512;
		if (mine && start + 512 <= end && (end >= to || !one_in(op, 4)))
			break;
	}
	if (start >= to || !mine || start + 512 > end)
		return false;
	start += draw(op, (__u32)((end - start) / 512)) * 512UL;
	*off = start;
	*len = (1 + draw(op, (__u32)((end - start) / 512))) * 512UL;
	if (*len > MAX_IO)
		*len = MAX_IO;
	return true;
}

static void wrong_byte(struct worker *w, const struct buf *buf, size_t off,
		       unsigned int got, unsigned int want, const char *whose)
{
	differ(w, "%s of %s buffer %llu of %zu bytes: byte %zu is %#04x, %s %#04x",
	       op_name(w->op->type), buf->kind->name,
	       (unsigned long long)buf->id, buf->len, off, got, whose, want);
}

/* Bytes of another worker: any that it can have written, or still none. */
static void compare_tags(struct worker *w, const struct buf *buf, size_t off,
			 const unsigned char *got, size_t len)
{
	const __u64 low = 0x0f0f0f0f0f0f0f0fULL;
	size_t i, n;

	for (; len; len -= n, off += n, got += n) {
		const unsigned char *t;

		n = len;
		t = tags_at(buf, off, &n);
		for (i = 0; i < n; i++) {
			__u64 x, y;

			if (i + 8 <= n) {
				memcpy(&x, got + i, 8);
				memcpy(&y, t + i, 8);
				if (((x ^ y) & low) == 0) {
					i += 7;
					continue;
				}
			}
			if (got[i] && (got[i] ^ t[i]) & 15)
				wrong_byte(w, buf, off + i, got[i], t[i],
					   "another worker's, must end in");
		}
	}
}

/* Bytes that are known, wherever that is. */
void compare_bytes(struct worker *w, const struct buf *buf, size_t off,
		   const unsigned char *got, const unsigned char *want,
		   size_t len)
{
	size_t i;

	w->tally->compared += len;
	if (!memcmp(got, want, len))
		return;
	for (i = 0; i < len; i++)
		if (got[i] != want[i])
			wrong_byte(w, buf, off + i, got[i], want[i],
				   "must be");
}

/* What was read from OFF on. */
void compare(struct worker *w, const struct buf *buf, size_t off,
	     const unsigned char *got, size_t len)
{
	size_t end = off + len, next;
	bool mine;

	for (; off < end; got += next - off, off = next) {
		next = piece(buf, w->id, off, end, &mine);
		if (mine) {
			compare_bytes(w, buf, off, got, buf->truth + off,
				      next - off);
			continue;
		}
		compare_tags(w, buf, off, got, next - off);
		w->tally->compared += next - off;
	}
}

/* From here on until store_end() each byte is the old one or the new one. */
void store_begin(struct worker *w, struct buf *buf, size_t off, size_t len,
		 unsigned int gen)
{
	struct journal *j = &w->tally->journal;

	if (!w->child)
		return;
	j->off = off;
	j->len = len;
	j->gen = gen;
	__atomic_store_n(&j->buf, buf, __ATOMIC_RELEASE);
}

/* What the worker may write of these bytes is new. */
void store_end(struct worker *w, struct buf *buf, size_t off, size_t len,
	       unsigned int gen)
{
	size_t end = off + len, next;
	bool mine;

	for (; off < end; off = next) {
		next = piece(buf, w->id, off, end, &mine);
		if (mine)
			values(buf, off, next - off, gen, buf->truth + off);
	}
	if (w->child)
		__atomic_store_n(&w->tally->journal.buf, NULL,
				 __ATOMIC_RELEASE);
}

/* One that the worker alone writes; NULL if all areas are in use. */
struct buf *buf_new(struct worker *w)
{
	size_t size = MAX_PAGES * ps;
	struct buf *buf;
	int i;

	for (i = 0; i < NR_AREAS && w->used[i]; i++)
		;
	if (i == NR_AREAS)
		return NULL;
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return NULL;
	w->used[i] = true;
	buf->area = i;
	buf->truth = w->areas + i * size;
	buf->owners = 1;
	buf->stride = size;
	buf->refs = 1;
	/* Zeroed, as the buffer is. */
	madvise(buf->truth, size, MADV_REMOVE);
	return buf;
}

void buf_put(struct worker *w, struct buf *buf)
{
	if (--buf->refs || buf->area < 0)
		return;
	w->used[buf->area] = false;
	free(buf);
}
