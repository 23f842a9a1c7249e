// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records from the kernel to a program: what it costs to produce one and to
 * consume it, without the filling. All are there before the first is consumed,
 * so that nobody sleeps and nobody is woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/bpf.h>

#include "bench.h"
#include "kubuf_ring.h"
#include "stream.h"

/* Parts of relay's that are filled in the short run; twice as many in the other. */
#define PARTS		2

/* A first word of each record is loaded, so that nobody gets by without. */
static __u64 sum;

/**
 * struct stream - a way for records to come
 * @subject: its name
 * @way: enum stream_way
 * @open: get ready; 0 or a negative errno
 * @run: produce and consume so many records of so many bytes
 * @copies: how often each byte is copied
 */
struct stream {
	struct subject subject;
	enum stream_way way;
	int (*open)(void);
	int (*run)(const struct stream *stream, unsigned int nr,
		   unsigned int length);
	unsigned int copies;
};

static int device = -1;

static int produce(const struct stream *stream, int fd, unsigned int nr,
		   unsigned int length)
{
	struct stream_produce args = {
		.way = stream->way, .fd = fd, .nr = nr, .length = length,
	};

	return ioctl(device, STREAM_PRODUCE, &args) ? -errno : 0;
}

/* kubuf */
static struct kubuf_ring ring;

static int open_ring(void)
{
	static int fd = -1;

	if (fd >= 0)
		return 0;
	fd = open(STREAM_RING, O_RDWR | O_CLOEXEC);
	return fd < 0 || kubuf_ring_open(&ring, fd) ? -errno : 0;
}

static int run_ring(const struct stream *stream, unsigned int nr,
		    unsigned int length)
{
	int err = produce(stream, -1, nr, length);
	const void *record;
	unsigned int n = 0;
	__u32 got;

	while ((record = kubuf_ring_next(&ring, &got))) {
		sum += *(const __u64 *)record;
		kubuf_ring_release(&ring);
		n++;
	}
	return err ?: n == nr ? 0 : -EPROTO;
}

static int run_ring_batch(const struct stream *stream, unsigned int nr,
			  unsigned int length)
{
	int err = produce(stream, -1, nr, length);
	const struct kubuf_record *record, *end;
	unsigned int n = 0;
	size_t avail;

	record = kubuf_ring_data(&ring, &avail);
	end = (const void *)((const char *)record + avail);
	for (; record < end; record = kubuf_record_next(record)) {
		sum += *(const __u64 *)(record + 1);
		n++;
	}
	kubuf_ring_consume(&ring, avail);
	return err ?: n == nr ? 0 : -EPROTO;
}

/* relay */
static char *parts;

static int open_relay(void)
{
	int fd;

	if (parts)
		return 0;
	fd = open(STREAM_RELAY, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	parts = mmap(NULL, STREAM_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return parts == MAP_FAILED ? -errno : 0;
}

static int run_relay(const struct stream *stream, unsigned int nr,
		     unsigned int length)
{
	static unsigned int part;
	int err = produce(stream, -1, nr, length);
	unsigned int n = 0, full;

	for (full = 0; !err && n < nr; full++) {
		char *p = parts + part * STREAM_PART, *end = p + STREAM_PART;

		part = (part + 1) % STREAM_PARTS;
		end -= *(__u64 *)p;
		for (p += sizeof(__u64); p < end; n++) {
			const struct kubuf_record *record = (void *)p;

			sum += *(const __u64 *)(record + 1);
			p += sizeof(*record) + record->length;
		}
	}
	ioctl(device, STREAM_CONSUMED, full);
	return err ?: n == nr ? 0 : -EPROTO;
}

/* A pipe */
static int ends[2] = { -1, -1 };

static int open_pipe(void)
{
	if (ends[0] >= 0)
		return 0;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) ||
	    fcntl(ends[1], F_SETPIPE_SZ, STREAM_SIZE) < 0)
		return -errno;
	return 0;
}

static int consume_by_read(int fd, unsigned int nr, unsigned int length)
{
	static __u64 record[PAGE / sizeof(__u64)];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (read(fd, record, length) != length)
			return -EPROTO;
		sum += record[0];
	}
	return 0;
}

static int run_pipe(const struct stream *stream, unsigned int nr,
		    unsigned int length)
{
	int err = produce(stream, ends[1], nr, length);

	return err ?: consume_by_read(ends[0], nr, length);
}

static int open_nothing(void)
{
	return 0;
}

static int run_read(const struct stream *stream, unsigned int nr,
		    unsigned int length)
{
	int err = produce(stream, -1, nr, length);

	return err ?: consume_by_read(device, nr, length);
}

/* BPF: a program that reserves and submits so many records. */
#define INSN(_code, _dst, _src, _off, _imm) ((struct bpf_insn){		\
	.code = (_code), .dst_reg = (_dst), .src_reg = (_src),		\
	.off = (_off), .imm = (_imm) })
#define MOV_IMM(dst, imm)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define MOV_REG(dst, src)	INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD_IMM(dst, imm)	INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define JMP_IMM(op, dst, imm, off) INSN(BPF_JMP | (op) | BPF_K, dst, 0, off, imm)
#define CALL(function)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT()			INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int map_fd = -1;
static __u64 *consumer_pos;
static const __u64 *producer_pos;
static const char *bpf_data;

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int open_bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_RINGBUF };
	char *p;

	if (map_fd >= 0)
		return 0;
	attr.max_entries = STREAM_SIZE;
	map_fd = bpf(BPF_MAP_CREATE, &attr);
	if (map_fd < 0)
		return -errno;
	consumer_pos = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    map_fd, 0);
	p = mmap(NULL, PAGE + 2 * STREAM_SIZE, PROT_READ, MAP_SHARED, map_fd,
		 PAGE);
	if (consumer_pos == MAP_FAILED || p == MAP_FAILED)
		return -errno;
	producer_pos = (const __u64 *)p;
	bpf_data = p + PAGE;
	return 0;
}

static int load_program(unsigned int nr, unsigned int length)
{
	const struct bpf_insn program[] = {
		MOV_IMM(BPF_REG_6, nr),
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD,
		     0, map_fd),
		INSN(0, 0, 0, 0, 0),
		MOV_IMM(BPF_REG_2, length),
		MOV_IMM(BPF_REG_3, 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 5),
		MOV_REG(BPF_REG_1, BPF_REG_0),
		MOV_IMM(BPF_REG_2, BPF_RB_NO_WAKEUP),
		CALL(BPF_FUNC_ringbuf_submit),
		ADD_IMM(BPF_REG_6, -1),
		JMP_IMM(BPF_JNE, BPF_REG_6, 0, -11),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };

	attr.insns = (uintptr_t)program;
	attr.insn_cnt = ARRAY_SIZE(program);
	attr.license = (uintptr_t)"GPL";
	return bpf(BPF_PROG_LOAD, &attr);
}

/* The program for so many, which is loaded before anything is measured. */
static int program_for(unsigned int nr, unsigned int length)
{
	static struct {
		unsigned int nr;
		unsigned int length;
		int fd;
	} loaded[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(loaded) && loaded[i].nr; i++)
		if (loaded[i].nr == nr && loaded[i].length == length)
			return loaded[i].fd;
	if (i == ARRAY_SIZE(loaded)) {
		errno = ENFILE;
		return -1;
	}
	loaded[i].nr = nr;
	loaded[i].length = length;
	loaded[i].fd = load_program(nr, length);
	return loaded[i].fd;
}

static int run_bpf(const struct stream *stream, unsigned int nr,
		   unsigned int length)
{
	static const char packet[64];
	union bpf_attr attr = { .test = { .data_in = (uintptr_t)packet } };
	__u64 pos = *consumer_pos, end;
	unsigned int n = 0;

	(void)stream;
	attr.test.prog_fd = program_for(nr, length);
	attr.test.data_size_in = sizeof(packet);
	attr.test.repeat = 1;
	if ((int)attr.test.prog_fd < 0 || bpf(BPF_PROG_TEST_RUN, &attr))
		return -errno;
	end = __atomic_load_n(producer_pos, __ATOMIC_ACQUIRE);
	while (pos < end) {
		const char *p = bpf_data + (pos & (STREAM_SIZE - 1));
		__u32 got = __atomic_load_n((const __u32 *)p, __ATOMIC_ACQUIRE);

		if (got & BPF_RINGBUF_BUSY_BIT)
			return -EPROTO;
		if (!(got & BPF_RINGBUF_DISCARD_BIT)) {
			sum += *(const __u64 *)(p + BPF_RINGBUF_HDR_SZ);
			n++;
		}
		got &= ~BPF_RINGBUF_DISCARD_BIT;
		pos += (got + BPF_RINGBUF_HDR_SZ + 7) & ~7U;
		__atomic_store_n(consumer_pos, pos, __ATOMIC_RELEASE);
	}
	return n == nr ? 0 : -EPROTO;
}

static const struct stream streams[] = {
	{ .subject = { .name = "kubuf-ring" }, .way = STREAM_BY_RING,
	  .open = open_ring, .run = run_ring },
	{ .subject = { .name = "kubuf-ring-batch" },
	  .way = STREAM_BY_RING_BATCH, .open = open_ring, .run = run_ring_batch },
	{ .subject = { .name = "relay" }, .way = STREAM_BY_RELAY,
	  .open = open_relay, .run = run_relay },
	{ .subject = { .name = "bpf-ringbuf" }, .open = open_bpf,
	  .run = run_bpf },
	{ .subject = { .name = "pipe" }, .way = STREAM_BY_PIPE,
	  .open = open_pipe, .run = run_pipe, .copies = 2 },
	{ .subject = { .name = "read" }, .way = STREAM_BY_READ,
	  .open = open_nothing, .run = run_read, .copies = 1 },
};

/* The least of some runs; negative is an errno. */
static __s64 measure(const struct stream *stream, unsigned int nr,
		     unsigned int length)
{
	__s64 best = 0, cost;
	__u64 start;
	int i, err;

	for (i = 0; i < 12; i++) {
		start = now();
		err = stream->run(stream, nr, length);
		cost = now() - start;
		if (err)
			return err;
		/* The first one warms up. */
		if (i == 1 || (i > 1 && cost < best))
			best = cost;
	}
	return best;
}

/* By the difference of two runs: what is once a run is not counted. */
static void measure_length(const struct stream *stream, unsigned int length)
{
	unsigned int nr = PARTS * (STREAM_PART - sizeof(__u64)) /
			  (sizeof(struct kubuf_record) + length);
	struct sample s = { .copied = (__u64)stream->copies * length };
	__s64 once, twice = 0;

	/* Whole parts, so that each ends as full as the others. */
	nr -= nr % PARTS;
	once = measure(stream, nr, length);
	if (once >= 0)
		twice = measure(stream, 2 * nr, length);
	s.cost = once < 0 ? once : twice < 0 ? twice : twice - once;
	report("stream", &stream->subject, length, (double)s.cost / nr,
	       "/record", &s);
}

/**
 * measure_streams() - the case "stream": a record of 64 bytes and of 4 KiB
 */
void measure_streams(void)
{
	size_t i;
	int err;

	device = open(STREAM_DEVICE, O_RDWR | O_CLOEXEC);
	for (i = 0; i < ARRAY_SIZE(streams); i++) {
		err = device < 0 ? -ENODEV : streams[i].open();
		if (err) {
			struct sample s = { .cost = err };

			report("stream", &streams[i].subject, 64, 0, "/record",
			       &s);
			continue;
		}
		measure_length(&streams[i], 64);
		measure_length(&streams[i], 4096);
	}
}
