// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers and files that come and go.
 */
#include <poll.h>
#include <sys/stat.h>

#include "model.h"

static const int open_flags[NR_MODES] = { O_RDWR, O_RDONLY, O_WRONLY };

/* Open a file of this process once more. */
static int open_again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static int open_node(const struct buf *buf, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/kubuf/%s", buf->name);
	return open(path, flags | O_CLOEXEC);
}

static int slot_any_fd(const struct slot *slot)
{
	int i;

	for (i = 0; i < NR_MODES; i++)
		if (slot->fd[i] >= 0)
			return slot->fd[i];
	return slot->base;
}

/* Had a node, which is gone: its files can't be opened once more by /proc. */
static bool is_dead(const struct buf *buf)
{
	return buf->name[0] && !buf->live;
}

/* A file of the buffer, for reading; -1 if there is none. */
int buf_any_fd(struct worker *w, const struct buf *buf)
{
	int i;

	for (i = 0; i < NR_SLOTS; i++)
		if (w->slots[i].buf == buf)
			return slot_fd(w, &w->slots[i], MODE_RO);
	return -1;
}

/* The slot has no file any more: nothing holds the buffer but mappings. */
static void slot_leave(struct worker *w, struct slot *slot)
{
	struct buf *buf = slot->buf;

	slot->buf = NULL;
	buf_put(w, buf);
}

static void close_files(struct worker *w, struct slot *slot)
{
	int i;

	for (i = 0; i < NR_MODES; i++) {
		if (slot->fd[i] >= 0)
			expect(w, "close()", result(close(slot->fd[i])), 0);
		slot->fd[i] = -1;
	}
}

static void node_destroy(struct worker *w, struct buf *buf)
{
	expect(w, "KUBUF_DESTROY", buf_destroy(buf->name), 0);
	buf->live = false;
}

/* Close all files of an own buffer, and destroy its node. */
void slot_close(struct worker *w, struct slot *slot)
{
	if (!slot->buf)
		return;
	close_files(w, slot);
	if (slot->buf->area < 0)
		return;
	if (slot->buf->live)
		node_destroy(w, slot->buf);
	slot_leave(w, slot);
}

/* So many buffers live by their mappings alone that there is no room. */
static struct buf *buf_new_for_sure(struct worker *w)
{
	struct buf *buf;

	while (!(buf = buf_new(w)))
		region_unmap(w, region_at(w, 0));
	return buf;
}

static struct kubuf_create create_of(const struct buf *buf, size_t len)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = buf->kind->flags,
		.length = len,
		.backing = buf->kind->backing,
	};

	if (buf->name[0]) {
		c.flags |= KUBUF_CREATE_NAMED;
		name_set(c.name, buf->name);
	}
	return c;
}

static __u64 id_of(struct worker *w, int fd)
{
	struct kubuf_info info;

	expect(w, "KUBUF_INFO", buf_info(fd, &info), 0);
	return info.id;
}

/* Make a buffer; false if there is no such memory, which may be. */
static bool slot_create(struct worker *w, struct slot *slot, struct buf *buf,
			size_t len)
{
	struct kubuf_create c = create_of(buf, len);
	long ret = create_args(&c);

	say(w, "create %s buffer '%s' of %zu bytes", buf->kind->name, buf->name,
	    len);
	if (ret == -ENOMEM && buf->kind->backing != KUBUF_BACKING_VMALLOC) {
		w->tally->errors[w->op->type]++;
		return false;
	}
	if (ret < 0)
		expect(w, "KUBUF_CREATE", ret, 0);
	buf->len = (len + ps - 1) / ps * ps;
	expect(w, "length of KUBUF_CREATE", (long)c.length, (long)buf->len);
	buf->live = buf->name[0];
	buf->id = id_of(w, (int)ret);
	slot->buf = buf;
	slot->fd[MODE_RW] = (int)ret;
	slot->pos[MODE_RW] = 0;
	return true;
}

static void slot_fill(struct worker *w, struct op *op, struct slot *slot)
{
	struct buf *buf = buf_new_for_sure(w);
	size_t len;

	buf->kind = &kinds[draw(op, NR_KINDS)];
	buf->salt = draw(op, 4096);
	if (one_in(op, 3))
		snprintf(buf->name, sizeof(buf->name), "model-%u-%u", w->id,
			 w->names++);
	len = draw_pages(op, buf->kind) * ps - (draw(op, 2) ? draw(op, 4096) :
						0);
	if (slot_create(w, slot, buf, len))
		return;
	buf->kind = &kinds[2];
	slot_create(w, slot, buf, 1);
}

/* A buffer that is there. */
struct slot *slot_pick(struct worker *w, struct op *op)
{
	struct slot *slot = draw(op, 10) < 6 ?
		&w->slots[draw(op, NR_KINDS)] :
		&w->slots[NR_KINDS + draw(op, NR_OWN)];

	if (!slot->buf && w->child)
		return &w->slots[draw(op, NR_KINDS)];
	if (!slot->buf)
		slot_fill(w, op, slot);
	return slot;
}

/* One of its files, which is opened if it is not open. */
int slot_fd(struct worker *w, struct slot *slot, enum mode mode)
{
	int fd = slot_any_fd(slot);

	if (slot->fd[mode] >= 0)
		return slot->fd[mode];
	fd = fd >= 0 ? open_again(fd, open_flags[mode]) :
		       open_node(slot->buf, open_flags[mode]);
	if (fd < 0)
		expect(w, "open()", -errno, 0);
	slot->fd[mode] = fd;
	slot->pos[mode] = 0;
	return fd;
}

/* Another buffer in place of one, which may live on in mappings. */
void op_create(struct worker *w, struct op *op)
{
	struct slot *slot = &w->slots[NR_KINDS + draw(op, NR_OWN)];

	slot_close(w, slot);
	slot_fill(w, op, slot);
}

/**
 * struct refusal - what KUBUF_CREATE refuses
 * @args: the argument
 * @want: the error
 */
static const struct refusal {
	struct kubuf_create args;
	long want;
} refusals[] = {
	{ { .length = 0, .backing = KUBUF_BACKING_PAGES }, -EINVAL },
	{ { .length = 1, .backing = 0 }, -EINVAL },
	{ { .length = 1, .backing = 5 }, -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_PAGES, .flags = 8 },
	  -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_PAGES, .mode = 0600 },
	  -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_KMALLOC,
	    .flags = KUBUF_CREATE_RESERVED }, -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_HUGE,
	    .flags = KUBUF_CREATE_RESERVED }, -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_VMALLOC,
	    .flags = KUBUF_CREATE_NAMED }, -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_VMALLOC,
	    .flags = KUBUF_CREATE_NAMED, .name = "a/b" }, -EINVAL },
	{ { .length = 1, .backing = KUBUF_BACKING_VMALLOC,
	    .flags = KUBUF_CREATE_NAMED, .name = "control" }, -EEXIST },
	{ { .length = 1ULL << 40, .backing = KUBUF_BACKING_KMALLOC }, -EFBIG },
	{ { .length = ~0ULL, .backing = KUBUF_BACKING_VMALLOC }, -EFBIG },
};

void op_create_bad(struct worker *w, struct op *op)
{
	const struct refusal *r = &refusals[draw(op, ARRAY_SIZE(refusals))];
	struct kubuf_create c = r->args;

	c.size = sizeof(c);
	expect(w, "KUBUF_CREATE", create_args(&c), r->want);
}

/* The name of a buffer of the worker, taken or free. */
static const char *some_name(struct worker *w, struct op *op, struct buf **buf)
{
	unsigned int first = draw(op, NR_OWN), i;

	for (i = 0; i < NR_OWN; i++) {
		*buf = w->slots[NR_KINDS + (first + i) % NR_OWN].buf;
		if (*buf && (*buf)->name[0])
			return (*buf)->name;
	}
	*buf = NULL;
	return "model-none";
}

/*
 * As unlink(): who has it goes on. But a buffer that has no file and loses its
 * node is gone.
 */
void op_destroy(struct worker *w, struct op *op)
{
	struct slot *slot = NULL;
	struct buf *buf;
	const char *name = some_name(w, op, &buf);
	int i;

	say(w, "destroy '%s'", name);
	for (i = 0; buf && i < NR_SLOTS; i++)
		if (w->slots[i].buf == buf)
			slot = &w->slots[i];
	/* None can be opened later. */
	for (i = 0; slot && buf->live && slot_any_fd(slot) >= 0 &&
	     i < NR_MODES; i++)
		slot_fd(w, slot, i);
	expect(w, "KUBUF_DESTROY", buf_destroy(name),
	       buf && buf->live ? 0 : -ENOENT);
	if (!buf)
		return;
	buf->live = false;
	if (slot_any_fd(slot) < 0)
		slot_leave(w, slot);
}

static void open_bad(struct worker *w, struct slot *slot)
{
	int fd = slot_fd(w, slot, MODE_RW);

	if (is_dead(slot->buf))
		expect(w, "open() of a node that is gone",
		       result(open_node(slot->buf, O_RDWR)), -ENOENT);
	else
		expect(w, "open() with O_DIRECT",
		       result(open_again(fd, O_RDWR | O_DIRECT)), -EINVAL);
}

/* Another file, by /proc/self/fd or by the node. */
void op_open(struct worker *w, struct op *op)
{
	struct slot *slot = slot_pick(w, op);
	enum mode mode = draw(op, NR_MODES);
	int fd;

	if (is_dead(slot->buf) || one_in(op, 4)) {
		open_bad(w, slot);
		return;
	}
	say(w, "open %s buffer %llu", slot->buf->kind->name,
	    (unsigned long long)slot->buf->id);
	if (slot->buf->live && draw(op, 2))
		fd = open_node(slot->buf, open_flags[mode]);
	else
		fd = open_again(slot_fd(w, slot, MODE_RW), open_flags[mode]);
	if (fd < 0)
		expect(w, "open()", -errno, 0);
	if (id_of(w, fd) != slot->buf->id)
		differ(w, "open() gives another buffer");
	if (slot->fd[mode] >= 0)
		expect(w, "close()", result(close(slot->fd[mode])), 0);
	slot->fd[mode] = fd;
	slot->pos[mode] = 0;
}

void op_close(struct worker *w, struct op *op)
{
	struct slot *slot = slot_pick(w, op);
	enum mode mode = draw(op, NR_MODES);

	if (slot->fd[mode] < 0) {
		idle(w);
		return;
	}
	say(w, "close %s buffer %llu", slot->buf->kind->name,
	    (unsigned long long)slot->buf->id);
	if (is_dead(slot->buf)) {
		slot_close(w, slot);
		return;
	}
	expect(w, "close()", result(close(slot->fd[mode])), 0);
	slot->fd[mode] = -1;
	if (slot_any_fd(slot) < 0 && !slot->buf->live)
		slot_leave(w, slot);
}

/* All that KUBUF_INFO says and that the model knows. */
static void ask_info(struct worker *w, const struct buf *buf, int fd)
{
	struct kubuf_info info;
	__u32 flags = 0;
	unsigned int i;
	bool mapped = false;

	expect(w, "KUBUF_INFO", buf_info(fd, &info), 0);
	for (i = 0; i < MAX_REGIONS; i++)
		mapped |= w->regions[i].buf == buf;
	if (buf->kind->pfn)
		flags |= KUBUF_INFO_PFN;
	if (buf->kind->flags & KUBUF_CREATE_RESERVED)
		flags |= KUBUF_INFO_RESERVED;
	if (buf->name[0])
		flags |= KUBUF_INFO_NAMED;
	if (is_dead(buf))
		flags |= KUBUF_INFO_DESTROYED;
	if (info.length != buf->len || info.backing != buf->kind->backing ||
	    info.id != buf->id || strcmp(info.name, buf->name) ||
	    info.flags != flags)
		differ(w, "KUBUF_INFO: %llu '%s': %llu bytes, flags %#x",
		       (unsigned long long)info.id, info.name,
		       (unsigned long long)info.length, info.flags);
	/* Others may map it: it is everybody's, or a thread has just forked. */
	if (mapped && !info.mappings)
		differ(w, "KUBUF_INFO: %llu mappings",
		       (unsigned long long)info.mappings);
}

void op_query(struct worker *w, struct op *op)
{
	struct slot *slot = slot_pick(w, op);
	int fd = slot_fd(w, slot, MODE_RW);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };

	say(w, "ask of %s buffer %llu", slot->buf->kind->name,
	    (unsigned long long)slot->buf->id);
	switch (draw(op, 6)) {
	case 0:
		expect(w, "poll()", result(poll(&poll_fd, 1, 0)), 1);
		expect(w, "events of poll()", poll_fd.revents,
		       POLLIN | POLLOUT);
		break;
	case 1:
		expect(w, "fsync()", result(fsync(fd)), 0);
		break;
	case 2:
		expect(w, "ftruncate()", result(ftruncate(fd, 1)), -EINVAL);
		break;
	case 3:
		expect(w, "KUBUF_CREATE on a buffer",
		       kioctl(fd, KUBUF_CREATE, NULL), -ENOTTY);
		break;
	default:
		ask_info(w, slot->buf, fd);
	}
}

/* All of the worker's own buffers once more, then let everything go. */
void op_end(struct worker *w, struct op *op)
{
	unsigned int i;
	size_t off, n;

	for (i = NR_KINDS; i < NR_SLOTS; i++) {
		struct slot *slot = &w->slots[i];
		int fd;

		if (!slot->buf)
			continue;
		fd = slot_fd(w, slot, MODE_RO);
		for (off = 0; off < slot->buf->len; off += n) {
			n = slot->buf->len - off;
			if (n > MAX_IO)
				n = MAX_IO;
			expect(w, "pread()",
			       result(pread(fd, w->a, n, (off_t)off)),
			       (long)n);
			compare(w, slot->buf, off, w->a, n);
		}
	}
	while (w->nr_regions) {
		struct region *r = region_at(w, 0);

		if (r->prot & PROT_READ)
			region_compare(w, r, 0, (unsigned char *)r->addr,
				       r->len);
		region_unmap(w, r);
	}
	for (i = 0; i < NR_SLOTS; i++)
		slot_close(w, &w->slots[i]);
}
