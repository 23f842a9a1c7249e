/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kubuf_producer puts into its ring, for who is to check it.
 */
#ifndef KUBUF_PRODUCER_H
#define KUBUF_PRODUCER_H

#include <linux/types.h>

/**
 * struct producer_record - the payload of a record of the ring
 * @sequence: number of the record, from 0 on; those that are lost count too
 * @time: when it was made, in nanoseconds of CLOCK_MONOTONIC
 * @words: as many as there is room for, see producer_word()
 */
struct producer_record {
	__u64 sequence;
	__u64 time;
	__u64 words[];
};

/* The word at an index: different in each record and at each place. */
static inline __u64 producer_word(__u64 sequence, __u64 index)
{
	return (sequence + 1) * 0x9e3779b97f4a7c15ULL + index;
}

#endif /* KUBUF_PRODUCER_H */
