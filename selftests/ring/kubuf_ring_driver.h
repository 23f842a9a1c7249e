/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module is asked for that stands for a driver with a ring.
 */
#ifndef KUBUF_RING_DRIVER_H
#define KUBUF_RING_DRIVER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include <linux/kubuf.h>

/* What a job does. */
#define JOB_PRODUCE	1
#define JOB_CONSUME	2

/* Bytes instead of records. */
#define JOB_BYTES	0x01
/* Lengths from 0 to @length, as if by chance; else all have that length. */
#define JOB_RANDOM	0x02
/* Lengths from 0 to @length, each in its turn. */
#define JOB_EACH	0x04
/* Records can be lost, and have their number in them: at least eight bytes. */
#define JOB_NUMBERED	0x08
/* Records find room or do not, but for the last, which waits. */
#define JOB_DROPS	0x10
/* Look for data again and again, and never sleep. */
#define JOB_SPINS	0x20
/* Go on only when the other side has done what it can: records of one length. */
#define JOB_PACED	0x40
/* Never wait, not even with the last: -EAGAIN when there is nothing to consume. */
#define JOB_TRIES	0x80

/**
 * struct ring_job - what to produce or to consume, and what came of it
 * @what: JOB_PRODUCE or JOB_CONSUME
 * @flags: JOB_*
 * @length: bytes of payload; of bytes, how many at a time at most
 * @seed: for what looks random
 * @size: bytes of the ring's data
 * @count: records, or bytes; 0: say again where this side is
 * @begin: position of the first of them, for JOB_CONSUME
 * @done: out: records or bytes produced, or received as they were sent
 * @refused: out: how often there was no room
 * @missed: out: records or bytes that were left out of what was received
 * @torn: out: records or bytes that were overwritten while they were looked at
 * @bad: out: what was received and is not what was sent
 * @first_bad: out: the number, or the position, of the first of them
 * @waits: out: how often there was nothing to consume
 * @err: out: 0 or -errno
 * @__reserved: 0
 */
struct ring_job {
	__u32 what;
	__u32 flags;
	__u32 length;
	__u32 seed;
	__aligned_u64 size;
	__aligned_u64 count;
	__aligned_u64 begin;
	__aligned_u64 done;
	__aligned_u64 refused;
	__aligned_u64 missed;
	__aligned_u64 torn;
	__aligned_u64 bad;
	__aligned_u64 first_bad;
	__aligned_u64 waits;
	__s32 err;
	__u32 __reserved;
};

/* Threads of noise that a ring can have. */
#define RING_NOISES	16

/**
 * struct ring_args - argument of all of them
 * @name: of the node, for RING_CREATE
 * @size: the same: bytes of data
 * @backing: the same: one of enum kubuf_backing
 * @flags: the same: KUBUF_RING_*
 * @nr: threads, for RING_NOISE
 * @timeout: milliseconds, for RING_JOIN
 * @job: for RING_RUN, RING_START (which take what it says) and RING_JOIN (which
 *	needs @job.what); @job.length is for RING_WAIT_ROOM
 */
struct ring_args {
	char name[KUBUF_NAME_SIZE];
	__aligned_u64 size;
	__u32 backing;
	__u32 flags;
	__u32 nr;
	__u32 timeout;
	struct ring_job job;
};

/* A ring, of which a file has one, and its node. */
#define RING_CREATE	_IO(0xBE, 0)
/* Let it go, as the file does when it is closed. */
#define RING_PUT	_IO(0xBE, 1)
/* Do a job now, in the context of the caller. */
#define RING_RUN	_IO(0xBE, 2)
/* Let a thread do it: one that produces, one that consumes. */
#define RING_START	_IO(0xBE, 3)
/* Wait for that thread; -ETIME if it was not done, and was stopped. */
#define RING_JOIN	_IO(0xBE, 4)
/* Threads that take the processor for moments, and notify; 0 ends them. */
#define RING_NOISE	_IO(0xBE, 5)
/* What kubuf_ring_wait_data() and kubuf_ring_wait_room() answer. */
#define RING_WAIT_DATA	_IO(0xBE, 6)
#define RING_WAIT_ROOM	_IO(0xBE, 7)

#endif /* KUBUF_RING_DRIVER_H */
