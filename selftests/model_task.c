// SPDX-License-Identifier: GPL-2.0-only
/*
 * Children, those that are killed, and other processes that get a file.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "model.h"

/**
 * struct errand - what another process is to do with the file that it gets
 * @buf: of this buffer
 * @op: on behalf of this operation
 * @off: first byte to look at, of a page
 * @len: bytes
 * @gen: which values to write where the worker may
 */
struct errand {
	struct buf buf;
	struct op op;
	size_t off;
	size_t len;
	unsigned int gen;
};

/* Room for one file in a message, aligned as the kernel wants it. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_errand(struct worker *w, struct errand *e, int fd)
{
	struct iovec iov = { e, sizeof(*e) };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	expect(w, "sendmsg()", result(sendmsg(w->peer, &msg, 0)),
	       sizeof(*e));
}

/* The file, or -1 when there will be no errand any more. */
static int receive_errand(int sock, struct errand *e)
{
	struct iovec iov = { e, sizeof(*e) };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == sizeof(*e) &&
	    CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void store_own(struct worker *w, struct errand *e, char *p)
{
	size_t off = e->off, end = e->off + e->len, next;
	bool mine;

	values(&e->buf, off, e->len, e->gen, w->b);
	for (; off < end; off = next) {
		next = piece(&e->buf, w->id, off, end, &mine);
		if (mine)
			memcpy(p + off - e->off, w->b + off - e->off,
			       next - off);
	}
	store_end(w, &e->buf, e->off, e->len, e->gen);
}

/* Look at the buffer, store to it, let the kernel look. */
static void do_errand(struct worker *w, struct errand *e, int fd)
{
	char *p = mmap(NULL, e->len, RW, MAP_SHARED, fd, (off_t)e->off);

	if (p == MAP_FAILED)
		expect(w, "mmap() of a file that was passed", -errno, 0);
	close(fd);
	memcpy(w->a, p, e->len);
	compare(w, &e->buf, e->off, w->a, e->len);
	store_own(w, e, p);
	expect(w, "write from the mapping",
	       result(pwrite(w->memfd, p, e->len, 0)), (long)e->len);
	expect(w, "pread()", result(pread(w->memfd, w->a, e->len, 0)),
	       (long)e->len);
	compare(w, &e->buf, e->off, w->a, e->len);
	expect(w, "munmap()", result(munmap(p, e->len)), 0);
}

static void peer(struct worker *w, int sock)
{
	struct errand e;
	int fd, why;
	char answer;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	catch_signals(w);
	w->child = true;
	/* Not the parent's, which it uses at the same time. */
	w->memfd = memfd_create("kubuf-model", MFD_CLOEXEC);
	w->op = &e.op;
	why = sigsetjmp(w->end, 0);
	if (why > 128)
		_exit(2);
	answer = why != 0;
	if (why)
		send(sock, &answer, 1, 0);
	while ((fd = receive_errand(sock, &e)) >= 0) {
		do_errand(w, &e, fd);
		w->tally->by_children++;
		if (send(sock, &answer, 1, 0) != 1)
			break;
	}
	_exit(0);
}

/* Another process, which has nothing of the worker's but its model. */
bool peer_start(struct worker *w)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return false;
	w->peer_pid = fork();
	if (!w->peer_pid) {
		close(sv[0]);
		peer(w, sv[1]);
	}
	close(sv[1]);
	w->peer = sv[0];
	return w->peer_pid > 0;
}

void peer_end(struct worker *w)
{
	close(w->peer);
	kill(w->peer_pid, SIGKILL);
	waitpid(w->peer_pid, NULL, 0);
}

void op_pass(struct worker *w, struct op *op)
{
	struct slot *slot = slot_pick(w, op);
	size_t pages = slot->buf->len / ps, nr;
	struct errand e = { .buf = *slot->buf, .op = *op };
	char answer = 1;

	e.off = draw(op, (__u32)pages) * ps;
	nr = 1 + draw(op, 16);
	e.len = (e.off / ps + nr > pages ? pages - e.off / ps : nr) * ps;
	e.gen = 1 + draw(op, 15);
	say(w, "%zu bytes at byte %zu of %s buffer %llu", e.len, e.off,
	    slot->buf->kind->name, (unsigned long long)slot->buf->id);
	send_errand(w, &e, slot_fd(w, slot, MODE_RW));
	expect(w, "answer of the other process",
	       result(recv(w->peer, &answer, 1, 0)), 1);
	expect(w, "what the other process found", answer, 0);
}

/* Operations in a child; the child never returns. */
static void child(struct worker *w, struct op *op, unsigned int n)
{
	struct op sub;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w->child = true;
	for (i = 0; i < n; i++) {
		op_make_child(&sub, op, i);
		if (!op_run(w, &sub))
			_exit(1);
		w->tally->by_children += !w->idle;
	}
	_exit(0);
}

static pid_t child_start(struct worker *w, struct op *op, unsigned int n)
{
	pid_t pid;

	/* The child must not print what its parent has not yet. */
	fflush(stdout);
	pid = fork();
	if (!pid)
		child(w, op, n);
	if (pid < 0)
		expect(w, "fork()", -errno, 0);
	return pid;
}

/* What its child has told is not to be told again. */
static void child_ended(struct worker *w, int status, int allowed)
{
	w->tally->index = w->op->index;
	w->tally->type = w->op->type;
	if (WIFSIGNALED(status) && WTERMSIG(status) != allowed)
		differ(w, "a child was ended by signal %d", WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status))
		differ(w, "a child found something");
}

/* It does some operations; what it maps and copies is its own. */
void op_fork(struct worker *w, struct op *op)
{
	unsigned int n = 1 + draw(op, 12);
	int status = 0;
	pid_t pid;

	say(w, "%u operations", n);
	pid = child_start(w, op, n);
	expect(w, "waitpid()", result(waitpid(pid, &status, 0)), pid);
	child_ended(w, status, 0);
}

/* The bytes as they are, whatever way there is to get at them. */
static bool fetch(struct worker *w, const struct buf *buf, size_t off,
		  size_t len)
{
	int fd = buf_any_fd(w, buf);
	unsigned int i;

	if (fd >= 0)
		return pread(fd, w->a, len, (off_t)off) == (ssize_t)len;
	for (i = 0; i < MAX_REGIONS; i++) {
		const struct region *r = &w->regions[i];

		if (r->buf != buf || !r->shared || off < r->off ||
		    off + len > r->off + r->len)
			continue;
		/* The child may have changed this for itself. */
		if (mprotect(r->addr, r->len, PROT_READ))
			return false;
		memcpy(w->a, r->addr + off - r->off, len);
		return !mprotect(r->addr, r->len, r->prot);
	}
	return false;
}

/* A byte of a store that the child was killed in: new, or still old. */
static void settle_byte(struct worker *w, const struct buf *buf, size_t off,
			unsigned char got, unsigned char new)
{
	unsigned char *old = buf->truth + off;

	if (got != *old && got != new)
		differ(w, "killed child: byte %zu of %s buffer %llu: %#04x, not %#04x nor %#04x",
		       off, buf->kind->name, (unsigned long long)buf->id, got,
		       *old, new);
	*old = got;
}

static void settle(struct worker *w)
{
	struct journal j = w->tally->journal;
	size_t off, next;
	bool mine;

	if (!j.buf)
		return;
	w->tally->journal.buf = NULL;
	if (!fetch(w, j.buf, j.off, j.len))
		differ(w, "cannot read what a child was storing");
	values(j.buf, j.off, j.len, j.gen, w->b);
	for (off = 0; off < j.len; off = next) {
		next = piece(j.buf, w->id, j.off + off, j.off + j.len, &mine) -
		       j.off;
		for (; mine && off < next; off++)
			settle_byte(w, j.buf, j.off + off, w->a[off],
				    w->b[off]);
	}
}

/* Until the child has done so many operations, or does not get on. */
static void wait_for_child(const struct worker *w, __u64 before, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		if (__atomic_load_n(&w->tally->by_children, __ATOMIC_RELAXED) -
		    before >= n)
			break;
		usleep(20);
	}
}

/* A child is killed wherever it is; its pipe may be left full. */
void op_kill(struct worker *w, struct op *op)
{
	__u64 before = w->tally->by_children;
	unsigned int n = draw(op, 24);
	useconds_t more = draw(op, 1000);
	int status = 0;
	pid_t pid;

	say(w, "after %u operations and %u microseconds", n, more);
	pid = child_start(w, op, 1000);
	wait_for_child(w, before, n);
	usleep(more);
	kill(pid, SIGKILL);
	expect(w, "waitpid()", result(waitpid(pid, &status, 0)), pid);
	child_ended(w, status, SIGKILL);
	settle(w);
	close(w->pipe[0]);
	close(w->pipe[1]);
	expect(w, "pipe2()", result(pipe2(w->pipe, O_CLOEXEC)), 0);
}
