/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kubuf-model: random operations on buffers, each byte compared with a model of
 * what must be there. See model.c for what it does and how to run it.
 *
 *   model.c		options, and what is said in the end
 *   model_round.c	the buffers, processes and threads of a round
 *   model_op.c		the list of operations; which one is next; doing it
 *   model_mem.c	what must be in a buffer, and who may write it
 *   model_map.c	mappings: to make them, change them, take them away
 *   model_load.c	loads and stores of user space, and what pins pages
 *   model_io.c		loads and stores of the kernel
 *   model_life.c	buffers and files that come and go
 *   model_task.c	children, those that are killed, and other processes
 *   model_shrink.c	from a run that fails to the shortest that does
 */
#ifndef MODEL_H
#define MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdnoreturn.h>

#include "kubuf_util.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define RW		(PROT_READ | PROT_WRITE)

#define MAX_WORKERS	16
#define MAX_OPS		64	/* kinds of operations */
#define MAX_REGIONS	24
#define MAX_PAGES	1280	/* of a buffer */
#define MAX_IO		(128 * KIB)

/* Buffers of all workers, one of each kind, and those of one worker. */
#define NR_KINDS	6
#define NR_OWN		4
#define NR_SLOTS	(NR_KINDS + NR_OWN)
#define NR_AREAS	12	/* more: a mapping may outlive its slot */

/* The three ways to have a file open. */
enum mode {
	MODE_RW,
	MODE_RO,
	MODE_WO,
	NR_MODES,
};

/**
 * struct kind - a way of making a buffer
 * @name: as in reports
 * @backing: for KUBUF_CREATE
 * @flags: the same
 * @pfn: mapped by frame number
 * @max: pages of the largest that is asked for
 */
struct kind {
	const char *name;
	__u32 backing;
	__u32 flags;
	bool pfn;
	unsigned int max;
};

/**
 * struct op - an operation
 * @type: index in the list of operations
 * @index: its place in the sequence of its worker
 * @state: of the random numbers that it draws: a function of seed, round,
 *	worker and index, so that it is the same whatever was done before
 */
struct op {
	unsigned int type;
	unsigned int index;
	__u64 state;
};

/**
 * struct buf - a buffer, and what must be in it
 * @kind: how it was made
 * @len: bytes, whole pages
 * @id: as the driver says
 * @truth: what must be in it; shared by all processes
 * @area: index of @truth among those of the worker; -1 for one of all workers
 * @salt: makes its values differ from those of others
 * @stride: each worker may write so many bytes in turn
 * @owners: number of workers that do
 * @refs: slots and regions
 * @name: of its node, or empty
 * @live: the node is there
 */
struct buf {
	const struct kind *kind;
	size_t len;
	__u64 id;
	unsigned char *truth;
	int area;
	unsigned int salt;
	size_t stride;
	unsigned int owners;
	int refs;
	char name[KUBUF_NAME_SIZE];
	bool live;
};

/**
 * struct slot - a buffer that a worker has, and its files
 * @buf: the buffer, or %NULL
 * @base: the file that was inherited, of a buffer of all workers; else -1
 * @fd: the worker's own files, or -1
 * @pos: their positions
 */
struct slot {
	struct buf *buf;
	int base;
	int fd[NR_MODES];
	off_t pos[NR_MODES];
};

/**
 * struct region - a range of addresses that is mapped alike
 * @addr: first byte
 * @len: bytes; 0 if there is no region in this place
 * @off: where in @buf it begins
 * @buf: what is mapped
 * @prot: as for mmap()
 * @shared: MAP_SHARED
 * @may_write: mprotect() can make it writable
 * @own: of a private one, what is in the pages that were copied on write; the
 *	others are %NULL
 */
struct region {
	char *addr;
	size_t len;
	size_t off;
	struct buf *buf;
	int prot;
	bool shared;
	bool may_write;
	unsigned char **own;
};

/**
 * struct journal - the store that a child may be killed in
 * @buf: where; %NULL if in none
 * @off: first byte
 * @len: bytes
 * @gen: which values
 */
struct journal {
	struct buf *buf;
	size_t off;
	size_t len;
	unsigned int gen;
};

/**
 * struct tally - what a worker has done; in memory that its children share
 * @done: operations of its sequence
 * @by_children: operations that its children did
 * @compared: bytes
 * @count: operations of each type, those of children too
 * @errors: calls that gave an error, as they had to
 * @index: of the operation that it is in
 * @type: of the same
 * @busy: it is in one
 * @journal: of a child
 */
struct tally {
	__u64 done;
	__u64 by_children;
	__u64 compared;
	__u64 count[MAX_OPS];
	__u64 errors[MAX_OPS];
	unsigned int index;
	unsigned int type;
	int busy;
	struct journal journal;
};

/**
 * struct board - what all processes share
 * @stop: leave off: something differs
 * @found: there is a report
 * @round: of the operation that found it
 * @worker: the same
 * @index: the same
 * @child: it was a child of the worker
 * @stuck: nothing went on any more
 * @text: the report
 * @tally: of each worker
 */
struct board {
	int stop;
	int found;
	unsigned int round;
	unsigned int worker;
	unsigned int index;
	bool child;
	bool stuck;
	char text[768];
	struct tally tally[MAX_WORKERS];
};

/* A byte that the program itself spoils, to see whether it is found. */
enum plant {
	PLANT_NONE,
	PLANT_STORE,	/* after a store of some length at some alignment */
	PLANT_CROWD,	/* the same, if another worker is busy meanwhile */
};

/**
 * struct plan - what a run does
 * @round: number of the round
 * @workers: how many there are
 * @only: the one that does something, or -1 for all
 * @from: first operation
 * @to: operation after the last
 * @list: the operations to do instead, or %NULL
 * @nr: length of @list
 * @trace: say what each operation does
 */
struct plan {
	unsigned int round;
	unsigned int workers;
	int only;
	unsigned int from;
	unsigned int to;
	const unsigned int *list;
	size_t nr;
	bool trace;
};

/**
 * struct worker - who does a sequence of operations
 * @id: number
 * @plan: what to do
 * @tally: what it has done
 * @child: it is a child, and not all operations are for it
 * @slots: its buffers
 * @regions: its mappings
 * @nr_regions: how many
 * @window: addresses that only this worker maps something at
 * @areas: for what must be in its own buffers
 * @used: which of them are in use
 * @names: that it has given so far
 * @a: memory to read to
 * @b: memory to write from
 * @pipe: for splice()
 * @memfd: a file in memory
 * @disk: a file for O_DIRECT, or -1
 * @mem: /proc/self/mem
 * @peer: the socket of the process that files are passed to
 * @peer_pid: that process
 * @end: where an operation goes that found something
 * @probe: where a load or store goes that has to fault
 * @probing: there is one
 * @fault: address of the last signal
 * @op: what it is doing
 * @idle: it found nothing to do
 */
struct worker {
	unsigned int id;
	const struct plan *plan;
	struct tally *tally;
	bool child;
	struct slot slots[NR_SLOTS];
	struct region regions[MAX_REGIONS];
	unsigned int nr_regions;
	char *window;
	unsigned char *areas;
	bool used[NR_AREAS];
	unsigned int names;
	unsigned char *a;
	unsigned char *b;
	int pipe[2];
	int memfd;
	int disk;
	int mem;
	int peer;
	pid_t peer_pid;
	sigjmp_buf end;
	sigjmp_buf probe;
	bool probing;
	void *fault;
	struct op *op;
	bool idle;
};

/* model.c */
extern __u64 seed;
extern enum plant plant;
extern unsigned int nr_workers;
extern unsigned int per_process;
extern size_t ps;
extern struct board *board;
void tell_progress(void);

/* model_round.c */
extern bool quiet;
bool run_plan(const struct plan *plan);
void rounds_init(unsigned int workers);

/* model_op.c */
extern const unsigned int nr_ops;
const char *op_name(unsigned int type);
__u64 mix(__u64 x);
__u32 draw(struct op *op, __u32 n);
size_t draw_len(struct op *op);
bool one_in(struct op *op, unsigned int n);
void ops_init(void);
void op_make(struct op *op, const struct worker *w, unsigned int index);
void op_make_child(struct op *op, const struct op *parent, unsigned int index);
bool op_run(struct worker *w, struct op *op);
void say(const struct worker *w, const char *format, ...);
void idle(struct worker *w);
noreturn void differ(struct worker *w, const char *format, ...);
void expect(struct worker *w, const char *call, long got, long want);
void expect_signal(struct worker *w, char *p, bool write);
void catch_signals(struct worker *w);

/* The result of a system call, with errors as in the kernel. */
static inline long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* model_mem.c */
extern const struct kind kinds[NR_KINDS];
void mem_init(void);
unsigned int draw_pages(struct op *op, const struct kind *kind);
size_t piece(const struct buf *buf, unsigned int worker, size_t off,
	     size_t end, bool *mine);
bool own_range(const struct worker *w, const struct buf *buf, struct op *op,
	       size_t from, size_t to, size_t max, size_t *off, size_t *len);
bool own_blocks(const struct worker *w, const struct buf *buf, struct op *op,
		size_t from, size_t to, size_t *off, size_t *len);
void values(const struct buf *buf, size_t off, size_t len, unsigned int gen,
	    unsigned char *to);
void compare(struct worker *w, const struct buf *buf, size_t off,
	     const unsigned char *got, size_t len);
void compare_bytes(struct worker *w, const struct buf *buf, size_t off,
		   const unsigned char *got, const unsigned char *want,
		   size_t len);
void store_begin(struct worker *w, struct buf *buf, size_t off, size_t len,
		 unsigned int gen);
void store_end(struct worker *w, struct buf *buf, size_t off, size_t len,
	       unsigned int gen);
struct buf *buf_new(struct worker *w);
void buf_put(struct worker *w, struct buf *buf);

/* model_map.c */
struct region *region_at(struct worker *w, unsigned int place);
struct region *region_pick(struct worker *w, struct op *op);
struct region *region_pick_for(struct worker *w, struct op *op, int prot);
void region_drop(struct worker *w, struct region *r);
void region_unmap(struct worker *w, struct region *r);
void region_compare(struct worker *w, struct region *r, size_t x,
		    const unsigned char *got, size_t len);
void region_copied(struct worker *w, struct region *r, size_t x,
		   const unsigned char *data, size_t len);
void op_map(struct worker *w, struct op *op);
void op_map_over(struct worker *w, struct op *op);
void op_map_bad(struct worker *w, struct op *op);
void op_unmap(struct worker *w, struct op *op);
void op_protect(struct worker *w, struct op *op);
void op_move(struct worker *w, struct op *op);
void op_advise(struct worker *w, struct op *op);
void op_lock(struct worker *w, struct op *op);

/* model_load.c */
void op_load(struct worker *w, struct op *op);
void op_store(struct worker *w, struct op *op);
void op_touch(struct worker *w, struct op *op);
void op_copy_out(struct worker *w, struct op *op);
void op_copy_in(struct worker *w, struct op *op);
void op_direct_out(struct worker *w, struct op *op);
void op_direct_in(struct worker *w, struct op *op);
void op_vmsplice(struct worker *w, struct op *op);
void op_vm_read(struct worker *w, struct op *op);
void op_vm_write(struct worker *w, struct op *op);
void op_mem_read(struct worker *w, struct op *op);
void op_mem_write(struct worker *w, struct op *op);

/* model_io.c */
void op_pread(struct worker *w, struct op *op);
void op_pwrite(struct worker *w, struct op *op);
void op_preadv(struct worker *w, struct op *op);
void op_pwritev(struct worker *w, struct op *op);
void op_read(struct worker *w, struct op *op);
void op_write(struct worker *w, struct op *op);
void op_seek(struct worker *w, struct op *op);
void op_io_bad(struct worker *w, struct op *op);
void op_splice_out(struct worker *w, struct op *op);
void op_splice_in(struct worker *w, struct op *op);
void op_sendfile_out(struct worker *w, struct op *op);
void op_sendfile_in(struct worker *w, struct op *op);

/* model_life.c */
struct slot *slot_pick(struct worker *w, struct op *op);
int slot_fd(struct worker *w, struct slot *slot, enum mode mode);
void slot_close(struct worker *w, struct slot *slot);
int buf_any_fd(struct worker *w, const struct buf *buf);
void op_end(struct worker *w, struct op *op);
void op_create(struct worker *w, struct op *op);
void op_create_bad(struct worker *w, struct op *op);
void op_destroy(struct worker *w, struct op *op);
void op_open(struct worker *w, struct op *op);
void op_close(struct worker *w, struct op *op);
void op_query(struct worker *w, struct op *op);

/* model_task.c */
bool peer_start(struct worker *w);
void peer_end(struct worker *w);
void op_fork(struct worker *w, struct op *op);
void op_kill(struct worker *w, struct op *op);
void op_pass(struct worker *w, struct op *op);

/* model_shrink.c */
void shrink(const struct plan *failed);

#endif /* MODEL_H */
