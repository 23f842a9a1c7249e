// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and stores by the kernel, through its own address of the buffer: read()
 * and write() in all their forms.
 */
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "model.h"

/**
 * struct part - some bytes of a buffer, by one of its files
 * @slot: the buffer
 * @mode: which file
 * @fd: that file
 * @off: first byte
 * @len: bytes that are there
 * @gen: which values are written
 */
struct part {
	struct slot *slot;
	enum mode mode;
	int fd;
	size_t off;
	size_t len;
	unsigned int gen;
};

static void say_part(struct worker *w, const struct part *p, const char *what)
{
	say(w, "%s: %zu bytes at byte %zu of %s buffer %llu of %zu pages", what,
	    p->len, p->off, p->slot->buf->kind->name,
	    (unsigned long long)p->slot->buf->id, p->slot->buf->len / ps);
}

static struct part part_of(struct worker *w, struct op *op, enum mode other)
{
	struct part p = { .slot = slot_pick(w, op) };

	p.mode = draw(op, 4) ? MODE_RW : other;
	p.fd = slot_fd(w, p.slot, p.mode);
	p.gen = 1 + draw(op, 15);
	return p;
}

/* Any bytes, for reading. */
static struct part part_pick(struct worker *w, struct op *op)
{
	struct part p = part_of(w, op, MODE_RO);
	size_t len = p.slot->buf->len;

	p.off = draw(op, (__u32)len);
	p.len = draw_len(op);
	if (p.len > len - p.off)
		p.len = len - p.off;
	return p;
}

/* Bytes that the worker may write: len 0 if none. */
static struct part part_pick_own(struct worker *w, struct op *op)
{
	struct part p = part_of(w, op, MODE_WO);
	size_t len = p.slot->buf->len;

	if (!own_range(w, p.slot->buf, op, 0, len, draw_len(op), &p.off,
		       &p.len))
		p.len = 0;
	else
		values(p.slot->buf, p.off, p.len, p.gen, w->b);
	return p;
}

static void part_begin(struct worker *w, const struct part *p)
{
	store_begin(w, p->slot->buf, p->off, p->len, p->gen);
}

static void part_end(struct worker *w, const struct part *p)
{
	store_end(w, p->slot->buf, p->off, p->len, p->gen);
}

static void part_compare(struct worker *w, const struct part *p)
{
	compare(w, p->slot->buf, p->off, w->a, p->len);
}

/* What a call is asked for if it may ask for more than there is. */
static size_t ask(struct op *op, const struct part *p)
{
	bool at_end = p->off + p->len == p->slot->buf->len;

	return p->len + (at_end ? draw(op, 2 * KIB) : 0);
}

void op_pread(struct worker *w, struct op *op)
{
	struct part p = part_pick(w, op);

	say_part(w, &p, "pread");
	expect(w, "pread()",
	       result(pread(p.fd, w->a, ask(op, &p), (off_t)p.off)),
	       (long)p.len);
	part_compare(w, &p);
}

void op_pwrite(struct worker *w, struct op *op)
{
	struct part p = part_pick_own(w, op);

	say_part(w, &p, "pwrite");
	if (!p.len) {
		idle(w);
		return;
	}
	part_begin(w, &p);
	expect(w, "pwrite()",
	       result(pwrite(p.fd, w->b, ask(op, &p), (off_t)p.off)),
	       (long)p.len);
	part_end(w, &p);
}

/* LEN bytes in three pieces, one of which may be empty. */
static void pieces(struct op *op, unsigned char *from, size_t len,
		   struct iovec iov[3])
{
	size_t first = draw(op, (__u32)len + 1);
	size_t second = draw(op, (__u32)(len - first) + 1);

	iov[0] = (struct iovec){ from, first };
	iov[1] = (struct iovec){ from + first, second };
	iov[2] = (struct iovec){ from + first + second, len - first - second };
}

void op_preadv(struct worker *w, struct op *op)
{
	struct part p = part_pick(w, op);
	struct iovec iov[3];

	say_part(w, &p, "preadv");
	pieces(op, w->a, p.len, iov);
	expect(w, "preadv()", result(preadv(p.fd, iov, 3, (off_t)p.off)),
	       (long)p.len);
	part_compare(w, &p);
}

void op_pwritev(struct worker *w, struct op *op)
{
	struct part p = part_pick_own(w, op);
	struct iovec iov[3];

	say_part(w, &p, "pwritev");
	if (!p.len) {
		idle(w);
		return;
	}
	pieces(op, w->b, p.len, iov);
	part_begin(w, &p);
	expect(w, "pwritev()", result(pwritev(p.fd, iov, 3, (off_t)p.off)),
	       (long)p.len);
	part_end(w, &p);
}

/* From where the file is. */
void op_read(struct worker *w, struct op *op)
{
	struct part p = part_of(w, op, MODE_RO);
	off_t *pos = &p.slot->pos[p.mode];
	size_t want = draw_len(op);

	p.off = (size_t)*pos;
	p.len = p.slot->buf->len - p.off;
	if (p.len > want)
		p.len = want;
	say_part(w, &p, "read");
	expect(w, "read()", result(read(p.fd, w->a, want)), (long)p.len);
	*pos += (off_t)p.len;
	part_compare(w, &p);
}

static void seek_to(struct worker *w, const struct part *p)
{
	off_t *pos = &p->slot->pos[p->mode];

	expect(w, "lseek()",
	       lseek(p->fd, (off_t)p->off - *pos, SEEK_CUR), (long)p->off);
	*pos = (off_t)p->off;
}

void op_write(struct worker *w, struct op *op)
{
	struct part p = part_pick_own(w, op);

	say_part(w, &p, "write");
	if (!p.len) {
		idle(w);
		return;
	}
	seek_to(w, &p);
	part_begin(w, &p);
	expect(w, "write()", result(write(p.fd, w->b, ask(op, &p))),
	       (long)p.len);
	p.slot->pos[p.mode] += (off_t)p.len;
	part_end(w, &p);
}

void op_seek(struct worker *w, struct op *op)
{
	static const int whences[] = {
		SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE,
	};
	struct part p = part_of(w, op, MODE_RO);
	off_t *pos = &p.slot->pos[p.mode];
	off_t size = (off_t)p.slot->buf->len;
	off_t to = (off_t)draw(op, (__u32)(size + size / 8)) - size / 16;
	int whence = whences[draw(op, ARRAY_SIZE(whences))];
	off_t by = to;
	long want = to;

	if (whence == SEEK_CUR)
		by = to - *pos;
	else if (whence == SEEK_END)
		by = to - size;
	if (whence == SEEK_DATA || whence == SEEK_HOLE) {
		if (to < 0 || to >= size)
			want = -ENXIO;
		else if (whence == SEEK_HOLE)
			want = size;
	} else if (to < 0 || to > size) {
		want = -EINVAL;
	}
	say(w, "whence %d, to %lld of %lld", whence, (long long)to,
	    (long long)size);
	expect(w, "lseek()", result(lseek(p.fd, by, whence)), want);
	if (want >= 0)
		*pos = want;
}

/* Where nothing is ever mapped. */
#define NOWHERE	((void *)64)

void op_io_bad(struct worker *w, struct op *op)
{
	struct slot *slot = slot_pick(w, op);
	int rw = slot_fd(w, slot, MODE_RW);
	off_t size = (off_t)slot->buf->len;
	off_t at = draw(op, (__u32)size);
	size_t len = 1 + draw(op, 4096);

	switch (draw(op, 9)) {
	case 0:
		expect(w, "pread() at the end",
		       result(pread(rw, w->a, len, size + at)), 0);
		break;
	case 1:
		expect(w, "pwrite() at the end",
		       result(pwrite(rw, w->a, len, size + at)), -ENOSPC);
		break;
	case 2:
		expect(w, "pread() before the begin",
		       result(pread(rw, w->a, len, -1 - at)), -EINVAL);
		break;
	case 3:
		expect(w, "pwrite() before the begin",
		       result(pwrite(rw, w->a, len, -1 - at)), -EINVAL);
		break;
	case 4:
		expect(w, "pread() to nowhere",
		       result(pread(rw, NOWHERE, len, at)), -EFAULT);
		break;
	case 5:
		expect(w, "pwrite() from nowhere",
		       result(pwrite(rw, NOWHERE, len, at)), -EFAULT);
		break;
	case 6:
		expect(w, "pread() of nothing", result(pread(rw, NULL, 0, at)),
		       0);
		break;
	case 7:
		expect(w, "pwrite() by a read-only file",
		       result(pwrite(slot_fd(w, slot, MODE_RO), w->a, len, at)),
		       -EBADF);
		break;
	case 8:
		expect(w, "pread() by a write-only file",
		       result(pread(slot_fd(w, slot, MODE_WO), w->a, len, at)),
		       -EBADF);
		break;
	}
}

/* What a pipe takes at once, whatever the place in a page. */
static void fit_pipe(struct part *p)
{
	if (p->len > 8 * ps)
		p->len = 8 * ps;
}

static void expect_some(struct worker *w, const char *call, long got,
			size_t most)
{
	if (got <= 0 || (size_t)got > most)
		expect(w, call, got, (long)most);
}

void op_splice_out(struct worker *w, struct op *op)
{
	struct part p = part_pick(w, op);
	size_t done = 0;
	loff_t at;

	fit_pipe(&p);
	at = (loff_t)p.off;
	say_part(w, &p, "splice to a pipe");
	while (done < p.len) {
		long n = result(splice(p.fd, &at, w->pipe[1], NULL,
				       p.len - done, 0));

		expect_some(w, "splice() to a pipe", n, p.len - done);
		expect(w, "read of the pipe",
		       result(read(w->pipe[0], w->a + done, (size_t)n)), n);
		done += (size_t)n;
	}
	part_compare(w, &p);
}

void op_splice_in(struct worker *w, struct op *op)
{
	struct part p = part_pick_own(w, op);
	size_t done = 0;
	loff_t at = (loff_t)p.off;

	fit_pipe(&p);
	say_part(w, &p, "splice from a pipe");
	if (!p.len) {
		idle(w);
		return;
	}
	expect(w, "write to the pipe",
	       result(write(w->pipe[1], w->b, p.len)), (long)p.len);
	part_begin(w, &p);
	while (done < p.len) {
		long n = result(splice(w->pipe[0], NULL, p.fd, &at,
				       p.len - done, 0));

		expect_some(w, "splice() from a pipe", n, p.len - done);
		done += (size_t)n;
	}
	part_end(w, &p);
}

/* To a file in memory, and read from there. */
void op_sendfile_out(struct worker *w, struct op *op)
{
	struct part p = part_pick(w, op);
	off_t at = (off_t)p.off;
	size_t done = 0;

	say_part(w, &p, "sendfile to a file");
	expect(w, "lseek()", result(lseek(w->memfd, 0, SEEK_SET)), 0);
	while (done < p.len) {
		long n = result(sendfile(w->memfd, p.fd, &at, p.len - done));

		expect_some(w, "sendfile() to a file", n, p.len - done);
		done += (size_t)n;
	}
	expect(w, "pread()", result(pread(w->memfd, w->a, p.len, 0)),
	       (long)p.len);
	part_compare(w, &p);
}

void op_sendfile_in(struct worker *w, struct op *op)
{
	struct part p = part_pick_own(w, op);
	size_t done = 0;
	off_t at = 0;

	say_part(w, &p, "sendfile from a file");
	if (!p.len) {
		idle(w);
		return;
	}
	expect(w, "pwrite()", result(pwrite(w->memfd, w->b, p.len, 0)),
	       (long)p.len);
	seek_to(w, &p);
	part_begin(w, &p);
	while (done < p.len) {
		long n = result(sendfile(p.fd, w->memfd, &at, p.len - done));

		expect_some(w, "sendfile() from a file", n, p.len - done);
		done += (size_t)n;
	}
	p.slot->pos[p.mode] += (off_t)p.len;
	part_end(w, &p);
}
