/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmark asks of the module that produces records.
 */
#ifndef _STREAM_H
#define _STREAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define STREAM_DEVICE	"/dev/kubuf-bench-stream"
#define STREAM_RING	"/dev/kubuf/bench-ring"
#define STREAM_RELAY	"/sys/kernel/debug/kubuf-bench0"

/* Relay's is made of so many parts, and gives a part away as a whole. */
#define STREAM_PARTS	16
#define STREAM_PART	(64UL * 1024)
/* Bytes of each ring, and of each pipe. */
#define STREAM_SIZE	(STREAM_PARTS * STREAM_PART)

enum stream_way {
	STREAM_BY_RING,
	STREAM_BY_RING_BATCH,	/* gives away what is in a part at once */
	STREAM_BY_RELAY,
	STREAM_BY_PIPE,
	STREAM_BY_READ,		/* of the device itself */
};

/**
 * struct stream_produce - argument of STREAM_PRODUCE
 * @way: enum stream_way
 * @fd: the writing end, for STREAM_BY_PIPE
 * @nr: records
 * @length: bytes of each
 */
struct stream_produce {
	__u32 way;
	__s32 fd;
	__u32 nr;
	__u32 length;
};

#define STREAM_PRODUCE	_IOW(0xBE, 0, struct stream_produce)
/* So many parts of relay's have been consumed. */
#define STREAM_CONSUMED	_IO(0xBE, 1)

#endif /* _STREAM_H */
