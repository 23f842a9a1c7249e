/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a producer and a consumer do in the tests of the ring. It is the same in
 * the kernel and in a program, as both have functions of the same names for it.
 * Who includes this says before how it waits, and what time it is:
 *
 *	JOB_LOAD(x)			a load that happens once
 *	job_header(ring)		what both sides share
 *	job_wait_data(ring)		0 or -errno
 *	job_wait_room(ring, length)	0 or -errno
 *	job_relax()			so that others can run
 *	job_ms()			time in milliseconds
 *	job_must_stop()			whether somebody wants it to end
 */
#ifndef KUBUF_RING_JOB_H
#define KUBUF_RING_JOB_H

#include "kubuf_ring_driver.h"

/* What takes as long, in ms, is taken for a wake-up that was lost. */
#define JOB_LOST	120000

/* Numbers that look random, and are the same each time. */
static inline __u64 job_mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The Nth word of a record, or of the stream of bytes (record 0). */
static inline __u64 job_word(__u64 seq, __u64 n)
{
	return (seq + 1) * 0x9e3779b97f4a7c15ULL + n * 0xd1342543de82ef95ULL;
}

static inline __u32 job_length(const struct ring_job *job, __u64 seq)
{
	__u32 least = job->flags & JOB_NUMBERED ? sizeof(__u64) : 0;
	__u64 n = job_mix(seq ^ (__u64)job->seed << 32);

	if (job->flags & JOB_RANDOM)
		return least + (__u32)n % (job->length - least + 1);
	if (job->flags & JOB_EACH)
		return (__u32)seq % (job->length + 1);
	return job->length;
}

/* The first word of a record is its number. */
static inline __u64 job_record_word(__u64 seq, __u64 n)
{
	return n ? job_word(seq, n) : seq;
}

static inline void job_fill(void *payload, __u32 length, __u64 seq)
{
	__u64 *words = payload, i, last;
	unsigned char *rest;

	for (i = 0; i < length / sizeof(*words); i++)
		words[i] = job_record_word(seq, i);
	rest = (unsigned char *)&words[i];
	last = job_record_word(seq, i);
	for (i = 0; i < length % sizeof(*words); i++)
		rest[i] = (unsigned char)(last >> i * 8);
}

static inline bool job_is(const void *payload, __u32 length, __u64 seq)
{
	const __u64 *words = payload;
	const unsigned char *rest;
	__u64 i, last;

	for (i = 0; i < length / sizeof(*words); i++)
		if (words[i] != job_record_word(seq, i))
			return false;
	rest = (const unsigned char *)&words[i];
	last = job_record_word(seq, i);
	for (i = 0; i < length % sizeof(*words); i++)
		if (rest[i] != (unsigned char)(last >> i * 8))
			return false;
	return true;
}

static inline unsigned char job_byte(__u64 pos)
{
	return (unsigned char)(job_word(0, pos / 8) >> pos % 8 * 8);
}

static inline void job_fill_bytes(unsigned char *p, size_t n, __u64 pos)
{
	for (; n && pos % 8; n--)
		*p++ = job_byte(pos++);
	for (; n >= 8; n -= 8, p += 8, pos += 8)
		*(__u64 *)p = job_word(0, pos / 8);
	for (; n; n--)
		*p++ = job_byte(pos++);
}

static inline bool job_is_bytes(const unsigned char *p, size_t n, __u64 pos)
{
	for (; n && pos % 8; n--)
		if (*p++ != job_byte(pos++))
			return false;
	for (; n >= 8; n -= 8, p += 8, pos += 8)
		if (*(const __u64 *)p != job_word(0, pos / 8))
			return false;
	for (; n; n--)
		if (*p++ != job_byte(pos++))
			return false;
	return true;
}

/* What a record takes. */
static inline __u64 job_need(__u32 length)
{
	return (sizeof(struct kubuf_record) + (__u64)length + 7) / 8 * 8;
}

/* A moment that is short most of the time, and different each time. */
static inline void job_moment(const struct ring_job *job)
{
	__u64 n = job_mix(job->done + job->seed);
	__u64 turns = (n & 0xffff) >> (n >> 32) % 16;

	while (turns--)
		__asm__ volatile("" : : : "memory");
}

/* Whether all is taken, and whether not one more has room, as both sides say. */
static inline bool job_is_empty(const struct kubuf_ring_header *header)
{
	return JOB_LOAD(header->tail) == JOB_LOAD(header->head);
}

static inline bool job_is_full(const struct ring_job *job,
			       const struct kubuf_ring_header *header)
{
	return JOB_LOAD(header->head) - JOB_LOAD(header->tail) +
	       job_need(job->length) > job->size;
}

/*
 * Wait, and do not sleep, until the other side has done what it can: then it
 * sleeps, or is about to. END is where the producer's position ends.
 */
static inline int job_pace(const struct ring_job *job,
			   const struct kubuf_ring_header *header, __u64 end)
{
	__u64 limit = job_ms() + JOB_LOST;

	for (;;) {
		if (job->what == JOB_PRODUCE ?
		    job_is_empty(header) :
		    job_is_full(job, header) || JOB_LOAD(header->head) == end)
			break;
		if (job_must_stop())
			return -EINTR;
		if (job_ms() > limit)
			return -ETIME;
		job_relax();
	}
	job_moment(job);
	return 0;
}

static inline int job_produce_record(struct kubuf_ring *ring,
				     struct ring_job *job)
{
	bool waits = !(job->flags & (JOB_DROPS | JOB_TRIES)) ||
		     (job->flags & JOB_DROPS && job->done == job->count - 1);
	__u32 length = job_length(job, job->done);
	void *payload;
	int err;

	if (waits) {
		err = job_wait_room(ring, length);
		if (err)
			return err;
	}
	payload = kubuf_ring_reserve(ring, length);
	if (!payload) {
		job->refused++;
		/* There was room just now. */
		return waits ? -ENOSPC : 0;
	}
	job_fill(payload, length, job->done);
	kubuf_ring_commit(ring);
	return 0;
}

static inline int job_produce_records(struct kubuf_ring *ring,
				      struct ring_job *job)
{
	int err = 0;

	for (; job->done < job->count && !err; job->done++) {
		if (job_must_stop())
			return -EINTR;
		if (job->flags & JOB_PACED)
			err = job_pace(job, job_header(ring), 0);
		if (!err)
			err = job_produce_record(ring, job);
		if (err)
			return err;
		if (job->done % 256 == 0)
			job_relax();
	}
	return err;
}

static inline int job_produce_bytes(struct kubuf_ring *ring,
				    struct ring_job *job)
{
	__u64 begin = JOB_LOAD(job_header(ring)->head), chunk = 0, want;
	size_t room;
	void *p;
	int err;

	while (job->done < job->count) {
		if (job_must_stop())
			return -EINTR;
		want = 1 + job_mix(chunk++ ^ job->seed) % job->length;
		if (want > job->count - job->done)
			want = job->count - job->done;
		room = want;
		p = kubuf_ring_space(ring, &room);
		if (!room) {
			job->refused++;
			if (job->flags & JOB_TRIES)
				return 0;
			err = job_wait_room(ring, 1);
			if (err)
				return err;
			continue;
		}
		if (want > room)
			want = room;
		job_fill_bytes(p, want, begin + job->done);
		kubuf_ring_produce(ring, want);
		job->done += want;
		if (chunk % 256 == 0)
			job_relax();
	}
	return 0;
}

/* There is nothing just now. */
static inline int job_no_data(struct kubuf_ring *ring, struct ring_job *job,
			      __u64 *limit)
{
	if (job_must_stop())
		return -EINTR;
	if (job->flags & JOB_TRIES)
		return -EAGAIN;
	job->waits++;
	if (!(job->flags & JOB_SPINS))
		return job_wait_data(ring);
	if (!*limit)
		*limit = job_ms() + JOB_LOST;
	if (job_ms() > *limit)
		return -ETIME;
	job_relax();
	return 0;
}

static inline void job_consume_record(struct kubuf_ring *ring,
				      struct ring_job *job,
				      const void *payload, __u32 length)
{
	__u64 next = job->done + job->missed + job->bad, seq = next;
	bool good;

	if (job->flags & JOB_NUMBERED && length >= sizeof(seq))
		seq = *(const __u64 *)payload;
	good = seq >= next && seq < job->count &&
	       length == job_length(job, seq) && job_is(payload, length, seq);
	if (!kubuf_ring_release(ring)) {
		job->torn++;
	} else if (good) {
		job->missed += seq - next;
		job->done++;
	} else if (!job->bad++) {
		job->first_bad = next;
	}
}

static inline int job_consume_records(struct kubuf_ring *ring,
				      struct ring_job *job)
{
	struct kubuf_ring_header *header = job_header(ring);
	__u64 end = job->begin + job->count * job_need(job->length);
	const void *payload;
	__u64 limit = 0;
	__u32 length;
	int err = 0;

	while (job->done + job->missed + job->bad < job->count && !err) {
		payload = kubuf_ring_next(ring, &length);
		if (!payload) {
			err = job_no_data(ring, job, &limit);
			continue;
		}
		limit = 0;
		if (job->flags & JOB_PACED)
			err = job_pace(job, header, end);
		job_consume_record(ring, job, payload, length);
		if (job->done % 256 == 0)
			job_relax();
	}
	return err;
}

static inline int job_consume_bytes(struct kubuf_ring *ring,
				    struct ring_job *job)
{
	struct kubuf_ring_header *header = job_header(ring);
	__u64 pos = job->begin, before, limit = 0;
	const void *p;
	size_t avail;
	bool good;
	int err;

	while (pos - job->begin < job->count) {
		before = JOB_LOAD(header->tail);
		p = kubuf_ring_data(ring, &avail);
		/* Where it is can be told only if it is not moved now. */
		if (JOB_LOAD(header->tail) != before)
			continue;
		if (!avail) {
			err = job_no_data(ring, job, &limit);
			if (err)
				return err;
			continue;
		}
		limit = 0;
		if (avail > job->length)
			avail = job->length;
		good = job_is_bytes(p, avail, before);
		if (!kubuf_ring_consume(ring, avail)) {
			job->torn += avail;
			continue;
		}
		if (!good && !job->bad++)
			job->first_bad = before;
		if (before - job->begin < pos - job->begin)
			return -ERANGE;
		job->missed += before - pos;
		job->done += avail;
		pos = before + avail;
	}
	return 0;
}

static inline void job_run(struct kubuf_ring *ring, struct ring_job *job)
{
	if (!job->count && job->what == JOB_PRODUCE)
		kubuf_ring_produce(ring, 0);
	else if (!job->count)
		kubuf_ring_consume(ring, 0);
	else if (job->what == JOB_PRODUCE)
		job->err = job->flags & JOB_BYTES ?
			   job_produce_bytes(ring, job) :
			   job_produce_records(ring, job);
	else
		job->err = job->flags & JOB_BYTES ?
			   job_consume_bytes(ring, job) :
			   job_consume_records(ring, job);
}

#endif /* KUBUF_RING_JOB_H */
