// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arithmetic of the ring, at the edges of its types: a part of ring.c.
 */
#include <kunit/test.h>

/* Positions from which a ring goes on: at the beginning, and over the end. */
static const u64 begins[] = {
	0, 8, PAGE_SIZE - 8, PAGE_SIZE, 1ULL << 32, 1ULL << 63, -8ULL,
	-PAGE_SIZE, -PAGE_SIZE - 8, -2ULL * PAGE_SIZE + 8,
};

static void *data_at(const struct kubuf_ring *ring, u64 pos)
{
	return ring->data + (pos & ring->mask);
}

/*
 * Of one page. It is the suite's: what a test makes is lost where KUnit has no
 * thread for its end, as may be where allocations are made to fail.
 */
static struct kubuf_ring *ring_of_suite;

/* The ring as if it were new, and at a position. */
static struct kubuf_ring *ring_at(u64 pos, u32 flags)
{
	struct kubuf_ring *ring = ring_of_suite;

	ring->flags = flags;
	ring->head = pos;
	ring->reserved = pos;
	ring->limit = pos + size_of(ring);
	ring->lost = 0;
	ring->broken = false;
	ring->stale = false;
	begin_at(ring, pos);
	ring->header->head = pos;
	ring->header->tail = pos;
	ring->header->lost = 0;
	ring->header->closed = 0;
	ring->header->consumer_sleeps = 0;
	ring->header->producer_sleeps = 0;
	return ring;
}

/* Records of one length until there is no room: how many there are. */
static unsigned int fill_up(struct kubuf_ring *ring, u32 length)
{
	unsigned int n = 0;

	while (ring->head + __kubuf_ring_record_size(length) - ring->header->tail <=
	       size_of(ring)) {
		if (!kubuf_ring_reserve(ring, length))
			break;
		kubuf_ring_commit(ring);
		n++;
	}
	return n;
}

static void size_of_a_record(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(0), 8);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(1), 16);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(8), 16);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(9), 24);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(INT_MAX), (1ULL << 31) + 8);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(U32_MAX - 8), 1ULL << 32);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(U32_MAX - 7), 1ULL << 32);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(U32_MAX - 6), (1ULL << 32) + 8);
	KUNIT_EXPECT_EQ(test, __kubuf_ring_record_size(U32_MAX), (1ULL << 32) + 8);
}

static void data_are_there_twice(struct kunit *test)
{
	struct kubuf_ring *ring = ring_at(0, 0);
	u8 *data = ring->data;
	u64 i;

	for (i = 0; i < size_of(ring); i += 64)
		data[size_of(ring) + i] = i / 64;
	for (i = 0; i < size_of(ring); i += 64)
		KUNIT_EXPECT_EQ(test, data[i], (u8)(i / 64));
	KUNIT_EXPECT_PTR_EQ(test, data_at(ring, size_of(ring)), ring->data);
	KUNIT_EXPECT_PTR_EQ(test, data_at(ring, U64_MAX),
			    ring->data + size_of(ring) - 1);
	KUNIT_EXPECT_PTR_EQ(test, data_at(ring, 1ULL << 63), ring->data);
}

static void room_wherever_it_begins(struct kunit *test)
{
	struct kubuf_ring *ring;
	u32 length, got;
	u64 begin;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		begin = begins[i];
		ring = ring_at(begin, 0);
		KUNIT_EXPECT_TRUE(test, make_room(ring, size_of(ring)));
		KUNIT_EXPECT_FALSE(test, make_room(ring, size_of(ring) + 1));
		KUNIT_EXPECT_FALSE(test, make_room(ring, U64_MAX));

		/* One that fills it, and then none, not even without payload. */
		length = size_of(ring) - sizeof(struct kubuf_record);
		KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, length + 1));
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, length));
		kubuf_ring_commit(ring);
		KUNIT_EXPECT_EQ(test, ring->header->head, begin + size_of(ring));
		KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, 0));
		KUNIT_EXPECT_EQ(test, ring->header->lost, 2);

		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_next(ring, &got));
		KUNIT_EXPECT_EQ(test, got, length);
		KUNIT_EXPECT_TRUE(test, kubuf_ring_release(ring));
		KUNIT_EXPECT_EQ(test, ring->header->tail, begin + size_of(ring));
		KUNIT_EXPECT_NULL(test, kubuf_ring_next(ring, &got));
		KUNIT_EXPECT_FALSE(test, ring->broken);
		KUNIT_EXPECT_EQ(test, fill_up(ring, 0), size_of(ring) / 8);
	}
}

static void several_at_once(struct kunit *test)
{
	struct kubuf_ring *ring;
	u32 length;
	int i, n;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], 0);
		for (n = 0; kubuf_ring_reserve(ring, 24); n++)
			KUNIT_EXPECT_EQ(test, ring->header->head, begins[i]);
		KUNIT_EXPECT_EQ(test, n, size_of(ring) / 32);
		KUNIT_EXPECT_NULL(test, kubuf_ring_next(ring, &length));
		kubuf_ring_commit(ring);
		for (n = 0; kubuf_ring_next(ring, &length); n++)
			KUNIT_EXPECT_EQ(test, ring->header->tail, begins[i]);
		KUNIT_EXPECT_EQ(test, n, size_of(ring) / 32);
		KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, 0));
		KUNIT_EXPECT_TRUE(test, kubuf_ring_release(ring));
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, 0));
	}
}

/* What the consumer was not given yet does not give way, and is not passed. */
static void reserved_is_kept(struct kunit *test)
{
	struct kubuf_ring *ring;
	int i, n;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], KUBUF_RING_OVERWRITE);
		fill_up(ring, 24);
		for (n = 0; kubuf_ring_reserve(ring, 24); n++)
			;
		KUNIT_EXPECT_EQ(test, n, size_of(ring) / 32);
		KUNIT_EXPECT_EQ(test, ring->header->tail, ring->head);
		/* A consumer that goes back makes no room of it either. */
		ring->header->tail = ring->head - size_of(ring);
		KUNIT_EXPECT_FALSE(test, make_room(ring, 8));
		KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, 0));
	}
}

static void overwritten_meanwhile(struct kunit *test)
{
	struct kubuf_ring *ring;
	u32 length;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], KUBUF_RING_OVERWRITE);
		fill_up(ring, 24);
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_next(ring, &length));
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, 24));
		kubuf_ring_commit(ring);
		KUNIT_EXPECT_FALSE(test, kubuf_ring_release(ring));
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_next(ring, &length));
		KUNIT_EXPECT_TRUE(test, kubuf_ring_release(ring));
		KUNIT_EXPECT_FALSE(test, ring->broken);
	}
}

static void no_room_by_nonsense(struct kunit *test)
{
	struct kubuf_ring *ring;
	size_t room;
	u64 off[] = { 1, 8, PAGE_SIZE, -PAGE_SIZE - 1, -PAGE_SIZE - 8,
		      1ULL << 63 };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(begins) * ARRAY_SIZE(off); i++) {
		j = i % ARRAY_SIZE(off);
		ring = ring_at(begins[i / ARRAY_SIZE(off)],
			       j % 2 ? KUBUF_RING_OVERWRITE : 0);
		fill_up(ring, 24);
		ring->header->tail = ring->head + off[j];
		KUNIT_EXPECT_FALSE(test, make_room(ring, 8));
		KUNIT_EXPECT_EQ(test, ring->header->tail, ring->head + off[j]);
		KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, 0));
		room = 8;
		kubuf_ring_space(ring, &room);
		KUNIT_EXPECT_EQ(test, room, 0);
	}
}

static void the_oldest_give_way(struct kunit *test)
{
	u32 each = sizeof(struct kubuf_record) + 24;
	struct kubuf_ring *ring;
	u64 begin;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		begin = begins[i];
		ring = ring_at(begin, KUBUF_RING_OVERWRITE);
		KUNIT_ASSERT_EQ(test, fill_up(ring, 24), size_of(ring) / each);

		/* One for one; two for one byte more; all for all. */
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, 24));
		KUNIT_EXPECT_EQ(test, ring->header->tail, begin + each);
		KUNIT_EXPECT_EQ(test, ring->header->lost, 1);
		kubuf_ring_commit(ring);
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, 25));
		KUNIT_EXPECT_EQ(test, ring->header->tail, begin + 3 * each);
		KUNIT_EXPECT_EQ(test, ring->header->lost, 3);
		kubuf_ring_commit(ring);
		KUNIT_EXPECT_TRUE(test, make_room(ring, size_of(ring)));
		KUNIT_EXPECT_EQ(test, ring->header->tail, ring->head);
		KUNIT_EXPECT_EQ(test, ring->header->lost, size_of(ring) / each + 2);
		KUNIT_EXPECT_FALSE(test, make_room(ring, size_of(ring) + 1));
	}
}

static void the_oldest_bytes_give_way(struct kunit *test)
{
	u32 flags = KUBUF_RING_OVERWRITE | KUBUF_RING_BYTES;
	struct kubuf_ring *ring;
	size_t room;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], flags);
		kubuf_ring_produce(ring, size_of(ring) - 3);
		room = 5;
		kubuf_ring_space(ring, &room);
		KUNIT_EXPECT_EQ(test, room, 5);
		KUNIT_EXPECT_EQ(test, ring->header->tail, begins[i] + 2);
		KUNIT_EXPECT_EQ(test, ring->header->lost, 2);
		room = size_of(ring) + 1;
		kubuf_ring_space(ring, &room);
		KUNIT_EXPECT_EQ(test, room, 5);
		room = size_of(ring);
		kubuf_ring_space(ring, &room);
		KUNIT_EXPECT_EQ(test, room, size_of(ring));
		KUNIT_EXPECT_EQ(test, ring->header->tail, ring->head);
		KUNIT_EXPECT_EQ(test, ring->header->lost, size_of(ring) - 3);
	}
}

/* Wherever the walk along lengths goes, it ends where there is room. */
static void lengths_are_nonsense(struct kunit *test)
{
	static const u32 lengths[] = {
		0, 1, 25, PAGE_SIZE, INT_MAX, U32_MAX - 8, U32_MAX - 7, U32_MAX,
	};
	u32 flags = KUBUF_RING_OVERWRITE, need;
	struct kubuf_ring *ring;
	u32 *words;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(begins) * ARRAY_SIZE(lengths); i++) {
		ring = ring_at(begins[i / ARRAY_SIZE(lengths)], flags);
		fill_up(ring, 24);
		words = ring->data;
		for (j = 0; j < size_of(ring) / sizeof(*words); j++)
			words[j] = lengths[i % ARRAY_SIZE(lengths)];
		for (need = 8; need <= size_of(ring); need *= 2) {
			KUNIT_EXPECT_TRUE(test, make_room(ring, need));
			KUNIT_EXPECT_LE(test, ring->head - ring->header->tail,
					size_of(ring) - need);
			KUNIT_EXPECT_EQ(test, ring->limit,
					ring->header->tail + size_of(ring));
		}
	}
}

static void a_producer_that_is_nowhere(struct kunit *test)
{
	u64 off[] = { -1ULL, -8ULL, PAGE_SIZE + 1, PAGE_SIZE + 8, 1ULL << 63 };
	struct kubuf_ring *ring;
	size_t avail;
	u64 head;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(begins) * ARRAY_SIZE(off); i++) {
		j = i % ARRAY_SIZE(off);
		ring = ring_at(begins[i / ARRAY_SIZE(off)],
			       j % 2 ? KUBUF_RING_OVERWRITE : 0);
		head = ring->tail + off[j];
		ring->header->head = head;
		kubuf_ring_data(ring, &avail);
		KUNIT_EXPECT_EQ(test, avail, 0);
		KUNIT_EXPECT_TRUE(test, ring->broken);
		KUNIT_EXPECT_EQ(test, ring->tail, head);
		KUNIT_EXPECT_EQ(test, ring->header->tail, head);
		KUNIT_EXPECT_EQ(test, kubuf_ring_wait_data(ring), -EPROTO);
		KUNIT_EXPECT_FALSE(test, ring->broken);
	}
}

static void a_record_that_goes_too_far(struct kunit *test)
{
	struct kubuf_record *record;
	struct kubuf_ring *ring;
	u32 length;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], 0);
		record = data_at(ring, ring->tail);
		ring->header->head = ring->tail + 16;
		record->length = 8;
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_next(ring, &length));
		begin_at(ring, ring->tail);
		record->length = 9;
		KUNIT_EXPECT_NULL(test, kubuf_ring_next(ring, &length));
		KUNIT_EXPECT_TRUE(test, ring->broken);
		KUNIT_EXPECT_EQ(test, ring->header->tail, ring->header->head);
	}
}

static void drops_are_counted(struct kunit *test)
{
	struct kubuf_ring *ring = ring_at(0, 0);

	kubuf_ring_drop(ring, 5);
	KUNIT_EXPECT_EQ(test, ring->header->lost, 5);
	KUNIT_EXPECT_NULL(test, kubuf_ring_reserve(ring, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, ring->header->lost, 6);
	KUNIT_EXPECT_EQ(test, kubuf_ring_lost(ring), 6);
}

static void an_end_after_the_last(struct kunit *test)
{
	struct kubuf_ring *ring;
	u32 length;
	int i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		ring = ring_at(begins[i], 0);
		ring->header->closed = 1;
		KUNIT_EXPECT_EQ(test, kubuf_ring_wait_data(ring), -ENODATA);
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_reserve(ring, 8));
		kubuf_ring_commit(ring);
		KUNIT_EXPECT_EQ(test, kubuf_ring_wait_data(ring), 0);
		KUNIT_EXPECT_NOT_NULL(test, kubuf_ring_next(ring, &length));
		kubuf_ring_release(ring);
		KUNIT_EXPECT_EQ(test, kubuf_ring_wait_data(ring), -ENODATA);
	}
}

static int ring_kunit_init(struct kunit_suite *suite)
{
	struct kubuf_ring *ring = kubuf_ring_create(PAGE_SIZE,
						    KUBUF_BACKING_VMALLOC, 0,
						    NUMA_NO_NODE);

	if (IS_ERR(ring))
		return PTR_ERR(ring);
	ring_of_suite = ring;
	return 0;
}

static void ring_kunit_exit(struct kunit_suite *suite)
{
	kubuf_ring_put(ring_of_suite);
}

static struct kunit_case ring_kunit_cases[] = {
	KUNIT_CASE(size_of_a_record),
	KUNIT_CASE(data_are_there_twice),
	KUNIT_CASE(room_wherever_it_begins),
	KUNIT_CASE(several_at_once),
	KUNIT_CASE(reserved_is_kept),
	KUNIT_CASE(overwritten_meanwhile),
	KUNIT_CASE(no_room_by_nonsense),
	KUNIT_CASE(the_oldest_give_way),
	KUNIT_CASE(the_oldest_bytes_give_way),
	KUNIT_CASE(lengths_are_nonsense),
	KUNIT_CASE(a_producer_that_is_nowhere),
	KUNIT_CASE(a_record_that_goes_too_far),
	KUNIT_CASE(drops_are_counted),
	KUNIT_CASE(an_end_after_the_last),
	{}
};

static struct kunit_suite ring_kunit_suite = {
	.name = "kubuf-ring",
	.suite_init = ring_kunit_init,
	.suite_exit = ring_kunit_exit,
	.test_cases = ring_kunit_cases,
};

kunit_test_suite(ring_kunit_suite);
