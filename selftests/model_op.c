// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of operations; which one is next; doing it.
 */
#include <signal.h>

#include "model.h"

/**
 * struct op_type - a kind of operation
 * @name: as in reports
 * @run: does it
 * @weight: how often it comes, in relation to the others
 * @child: a child may do it, which must not change what it shares with its
 *	parent and the parent's model does not: positions of files, nodes
 */
static const struct op_type {
	const char *name;
	void (*run)(struct worker *w, struct op *op);
	unsigned int weight;
	bool child;
} ops[] = {
	{ "load", op_load, 3600, true },
	{ "store", op_store, 3600, true },
	{ "touch", op_touch, 300, true },
	{ "pread", op_pread, 1400, true },
	{ "pwrite", op_pwrite, 1400, true },
	{ "preadv", op_preadv, 150, true },
	{ "pwritev", op_pwritev, 150, true },
	{ "read", op_read, 200, false },
	{ "write", op_write, 200, false },
	{ "lseek", op_seek, 150, false },
	{ "i/o that fails", op_io_bad, 120, true },
	{ "mmap", op_map, 80, true },
	{ "mmap over", op_map_over, 30, true },
	{ "mmap that fails", op_map_bad, 40, true },
	{ "munmap", op_unmap, 50, true },
	{ "mprotect", op_protect, 60, true },
	{ "mremap", op_move, 40, true },
	{ "madvise", op_advise, 80, true },
	{ "mlock, msync", op_lock, 20, true },
	{ "write from it", op_copy_out, 120, true },
	{ "read into it", op_copy_in, 120, true },
	{ "O_DIRECT out", op_direct_out, 5, true },
	{ "O_DIRECT in", op_direct_in, 5, true },
	{ "vmsplice", op_vmsplice, 40, true },
	{ "process_vm_readv", op_vm_read, 40, true },
	{ "process_vm_writev", op_vm_write, 40, true },
	{ "/proc/self/mem read", op_mem_read, 30, false },
	{ "/proc/self/mem write", op_mem_write, 30, false },
	{ "splice out", op_splice_out, 60, true },
	{ "splice in", op_splice_in, 60, true },
	{ "sendfile out", op_sendfile_out, 40, true },
	{ "sendfile in", op_sendfile_in, 40, false },
	{ "ask", op_query, 80, true },
	{ "create", op_create, 6, false },
	{ "create that fails", op_create_bad, 20, true },
	{ "destroy", op_destroy, 6, false },
	{ "open", op_open, 40, false },
	{ "close", op_close, 40, false },
	{ "fork", op_fork, 4, false },
	{ "kill", op_kill, 2, false },
	{ "pass fd", op_pass, 4, false },
	/* What each worker does in the end. */
	{ "the end", op_end, 0, false },
};

const unsigned int nr_ops = ARRAY_SIZE(ops);

/* One element for each unit of weight. */
static unsigned char *wheel;
static unsigned int wheel_size;

static __thread struct worker *self;

const char *op_name(unsigned int type)
{
	return ops[type].name;
}

/* A number that has nothing to do with X, and is the same each time. */
__u64 mix(__u64 x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* A random number below N. */
__u32 draw(struct op *op, __u32 n)
{
	op->state = mix(op->state);
	return (__u32)((op->state >> 32) * n >> 32);
}

bool one_in(struct op *op, unsigned int n)
{
	return !draw(op, n);
}

/* How many bytes: mostly few, so that most operations are cheap. */
size_t draw_len(struct op *op)
{
	unsigned int r = draw(op, 200);

	if (r < 110)
		return 1 + draw(op, 64);
	if (r < 170)
		return 1 + draw(op, 512);
	if (r < 195)
		return 1 + draw(op, 4096);
	if (r < 199)
		return 1 + draw(op, 16 * KIB);
	return 1 + draw(op, MAX_IO);
}

void ops_init(void)
{
	unsigned int i, j;

	for (i = 0; i < nr_ops; i++)
		wheel_size += ops[i].weight;
	wheel = malloc(wheel_size);
	wheel_size = 0;
	for (i = 0; wheel && i < nr_ops; i++)
		for (j = 0; j < ops[i].weight; j++)
			wheel[wheel_size++] = (unsigned char)i;
}

void op_make(struct op *op, const struct worker *w, unsigned int index)
{
	op->index = index;
	op->state = mix(mix(mix(seed + w->plan->round) + w->id) + index);
	op->type = wheel[draw(op, wheel_size)];
}

/* The same for a child that an operation makes. */
void op_make_child(struct op *op, const struct op *parent, unsigned int index)
{
	op->index = parent->index;
	op->state = mix(parent->state ^ mix(index));
	do
		op->type = wheel[draw(op, wheel_size)];
	while (!ops[op->type].child);
}

/* What an operation is about to do, if someone wants to know. */
void say(const struct worker *w, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!w->plan->trace)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("model:   [%u]%s %s: %s\n", w->op->index,
	       w->child ? " child:" : "", op_name(w->op->type), text);
	fflush(stdout);
}

/* Something is not as it must be: the first to see it reports it. */
noreturn void differ(struct worker *w, const char *format, ...)
{
	va_list args;

	if (!__atomic_exchange_n(&board->found, 1, __ATOMIC_SEQ_CST)) {
		board->round = w->plan->round;
		board->worker = w->id;
		board->index = w->op->index;
		board->child = w->child;
		va_start(args, format);
		vsnprintf(board->text, sizeof(board->text), format, args);
		va_end(args);
	}
	__atomic_store_n(&board->stop, 1, __ATOMIC_SEQ_CST);
	siglongjmp(w->end, 1);
}

/* There was nothing that it could be done to: it does not count. */
void idle(struct worker *w)
{
	say(w, "nothing to do");
	w->idle = true;
}

static const char *describe(long ret, char *room, size_t size)
{
	if (ret < 0)
		snprintf(room, size, "%s", strerrorname_np((int)-ret) ?: "?");
	else
		snprintf(room, size, "%ld", ret);
	return room;
}

/* What a call gave, and what it had to give: a result, or -errno. */
void expect(struct worker *w, const char *call, long got, long want)
{
	char a[32], b[32];

	if (got != want)
		differ(w, "%s: %s, must be %s", call,
		       describe(got, a, sizeof(a)),
		       describe(want, b, sizeof(b)));
	if (got < 0)
		w->tally->errors[w->op->type]++;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	self->fault = info->si_addr;
	if (self->probing)
		siglongjmp(self->probe, sig);
	siglongjmp(self->end, 128 + sig);
}

void catch_signals(struct worker *w)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	self = w;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A load or store that must not go through. */
void expect_signal(struct worker *w, char *p, bool write)
{
	int sig = sigsetjmp(w->probe, 0);

	if (!sig) {
		w->probing = true;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (write)
			__atomic_store_n(p, 1, __ATOMIC_RELAXED);
		else
			__atomic_load_n(p, __ATOMIC_RELAXED);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	}
	w->probing = false;
	if (sig != SIGSEGV)
		differ(w, "%s where it is not allowed: signal %d, must be %d",
		       write ? "store" : "load", sig, SIGSEGV);
	w->tally->errors[w->op->type]++;
}

/* Do it: false if something differs, which is then reported. */
bool op_run(struct worker *w, struct op *op)
{
	int why;

	w->op = op;
	w->tally->index = op->index;
	w->tally->type = op->type;
	why = sigsetjmp(w->end, 0);
	if (why > 128) {
		int sig = why - 128;

		/* Reported like anything else, which ends here again. */
		why = sigsetjmp(w->end, 0);
		if (!why)
			differ(w, "signal %d at %p", sig, w->fault);
	}
	if (why)
		return false;
	w->idle = false;
	ops[op->type].run(w, op);
	w->tally->count[op->type] += !w->idle;
	return true;
}
