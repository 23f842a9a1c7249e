// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes, names and limits at the edges of their types: a part of buffer.c.
 */
#include <linux/cpu.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "kubuf_kunit.h"

static const enum kubuf_backing backings[] = {
	KUBUF_BACKING_KMALLOC, KUBUF_BACKING_PAGES, KUBUF_BACKING_VMALLOC,
	KUBUF_BACKING_HUGE,
};

static void charge_up_to_a_limit(struct kunit *test)
{
	static const struct {
		long charged;
		unsigned long nr, limit;
		bool ok;
	} cases[] = {
		{ 0, 0, 0, true },
		{ 0, 1, 0, false },
		{ 0, 1, 1, true },
		{ 1, 1, 1, false },
		{ 1, 0, 1, true },
		/* The limit was lowered meanwhile. */
		{ 2, 0, 1, false },
		{ 99, 1, 100, true },
		{ 99, 2, 100, false },
		{ 0, LONG_MAX, LONG_MAX, true },
		{ 1, LONG_MAX, LONG_MAX, false },
		{ LONG_MAX - 1, 1, LONG_MAX, true },
		{ LONG_MAX, 0, LONG_MAX, true },
		{ LONG_MAX, 1, LONG_MAX, false },
		{ 0, ULONG_MAX, LONG_MAX, false },
		{ 1, ULONG_MAX, LONG_MAX, false },
		{ LONG_MAX, ULONG_MAX, LONG_MAX, false },
	};
	atomic_long_t counter;
	long want;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		want = cases[i].charged;
		if (cases[i].ok)
			want += cases[i].nr;
		atomic_long_set(&counter, cases[i].charged);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].ok,
				    charge_below(&counter, cases[i].nr,
						 cases[i].limit),
				    "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, atomic_long_read(&counter), want,
				    "case %d", i);
	}
}

/* A processor each, they take the only page of a limit and give it back. */
static struct work_struct takers[4];
static atomic_long_t charged;
static atomic_t have_it;
static atomic_t together;

static void take_and_give_back(struct work_struct *work)
{
	int i;

	for (i = 0; i < 200000; i++) {
		if (!(i % 1000))
			cond_resched();
		if (!charge_below(&charged, 1, 1))
			continue;
		if (atomic_inc_return(&have_it) != 1)
			atomic_inc(&together);
		atomic_dec(&have_it);
		atomic_long_dec(&charged);
	}
}

static void charge_on_many_processors(struct kunit *test)
{
	struct workqueue_struct *queue;
	int i = 0, cpu;

	queue = alloc_workqueue("kubuf_kunit", WQ_UNBOUND, 0);
	if (!queue) {
		KUNIT_FAIL(test, "no workqueue");
		return;
	}
	atomic_long_set(&charged, 0);
	atomic_set(&together, 0);
	/* Left to choose, the workqueue would have all of them run here. */
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		if (i == ARRAY_SIZE(takers))
			break;
		INIT_WORK(&takers[i], take_and_give_back);
		queue_work_on(cpu, queue, &takers[i++]);
	}
	cpus_read_unlock();
	/* Waits for all of them. */
	destroy_workqueue(queue);
	KUNIT_EXPECT_EQ(test, atomic_read(&together), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&charged), 0);
}

static void megabytes_in_pages(struct kunit *test)
{
	const unsigned long per_mb = SZ_1M / PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, mb_to_pages(0), 0);
	KUNIT_EXPECT_EQ(test, mb_to_pages(1), per_mb);
	KUNIT_EXPECT_EQ(test, mb_to_pages(LONG_MAX / per_mb),
			LONG_MAX / per_mb * per_mb);
	/* A counter of pages can't go above that. */
	KUNIT_EXPECT_EQ(test, mb_to_pages(LONG_MAX / per_mb + 1), LONG_MAX);
	KUNIT_EXPECT_EQ(test, mb_to_pages(ULONG_MAX / per_mb), LONG_MAX);
	KUNIT_EXPECT_EQ(test, mb_to_pages(ULONG_MAX / per_mb + 1), LONG_MAX);
	KUNIT_EXPECT_EQ(test, mb_to_pages(ULONG_MAX), LONG_MAX);
}

static void names_of_nodes(struct kunit *test)
{
	static const struct {
		char name[KUBUF_NAME_SIZE];
		int err;
	} cases[] = {
		{ "a", 0 },
		{ "A-z_0.9", 0 },
		{ "-", 0 },
		{ "_.", 0 },
		{ "0123456789012345678901234567890", 0 },
		{ "01234567890123456789012345678901", -ENAMETOOLONG },
		{ "", -EINVAL },
		{ ".", -EINVAL },
		{ "..", -EINVAL },
		{ ".a", -EINVAL },
		{ "a/b", -EINVAL },
		{ "a b", -EINVAL },
		{ "a\n", -EINVAL },
		{ "\x7f", -EINVAL },
		{ "\x80", -EINVAL },
		{ "\xff", -EINVAL },
		{ "a%s", -EINVAL },
		{ "a!", -EINVAL },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, kubuf_check_name(cases[i].name),
				    cases[i].err, "case %d", i);
}

static void names_of_backings(struct kunit *test)
{
	u32 backing;
	int i;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		backing = 0;
		KUNIT_EXPECT_EQ(test, kubuf_backing_parse(kubuf_backing_name(backings[i]),
							  &backing), 0);
		KUNIT_EXPECT_EQ(test, backing, backings[i]);
	}
	backing = 99;
	KUNIT_EXPECT_EQ(test, kubuf_backing_parse("wrapped", &backing), -EINVAL);
	KUNIT_EXPECT_EQ(test, kubuf_backing_parse("", &backing), -EINVAL);
	KUNIT_EXPECT_EQ(test, kubuf_backing_parse("hug", &backing), -EINVAL);
	KUNIT_EXPECT_EQ(test, kubuf_backing_parse("Huge", &backing), -EINVAL);
	KUNIT_EXPECT_EQ(test, backing, 99);
}

/* What is refused, of a request that is right but for one field. */
static void requests(struct kunit *test)
{
	const struct kubuf_create right = {
		.size = sizeof(right),
		.length = PAGE_SIZE,
		.backing = KUBUF_BACKING_VMALLOC,
	};
	struct kubuf_create args = right;

	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.length = U64_MAX;
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.length = 0;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);

	args = right;
	args.backing = 0;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.backing = KUBUF_BACKING_WRAPPED;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.backing = U32_MAX;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);

	args = right;
	args.flags = 1U << 3;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.flags = 1U << 31;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args = right;
	args.__reserved = 1;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);

	args = right;
	args.node = 1;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.flags = KUBUF_CREATE_NODE;
	args.node = first_node(node_states[N_MEMORY]);
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.node = MAX_NUMNODES;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.node = U32_MAX;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);

	args = right;
	args.mode = 0600;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args = right;
	args.name[KUBUF_NAME_SIZE - 1] = 'a';
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.flags = KUBUF_CREATE_NAMED;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	memset(args.name, 'a', KUBUF_NAME_SIZE);
	KUNIT_EXPECT_EQ(test, check_args(&args), -ENAMETOOLONG);
	args.name[KUBUF_NAME_SIZE - 1] = '\0';
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.mode = 0666;
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.mode = 0667;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.mode = 01600;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
}

/* Of a folio, and of kmalloc(), no page can be reserved. */
static void reserved_backings(struct kunit *test)
{
	struct kubuf_create args = {
		.size = sizeof(args),
		.flags = KUBUF_CREATE_RESERVED,
		.length = PAGE_SIZE,
	};

	args.backing = KUBUF_BACKING_KMALLOC;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
	args.backing = KUBUF_BACKING_PAGES;
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.backing = KUBUF_BACKING_VMALLOC;
	KUNIT_EXPECT_EQ(test, check_args(&args), 0);
	args.backing = KUBUF_BACKING_HUGE;
	KUNIT_EXPECT_EQ(test, check_args(&args), -EINVAL);
}

/* More than can be is told from more than there is, and never wraps. */
static void lengths_that_no_buffer_has(struct kunit *test)
{
	struct kubuf_create args = { .size = sizeof(args) };
	u64 most;
	int i;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		args.backing = backings[i];
		most = (u64)kubuf_backing_max(backings[i]) << PAGE_SHIFT;
		args.length = most + 1;
		KUNIT_EXPECT_PTR_EQ(test, kubuf_alloc(&args, false),
				    ERR_PTR(-EFBIG));
		args.length = U64_MAX;
		KUNIT_EXPECT_PTR_EQ(test, kubuf_alloc(&args, false),
				    ERR_PTR(-EFBIG));
		args.length = U64_MAX - PAGE_SIZE + 2;
		KUNIT_EXPECT_PTR_EQ(test, kubuf_alloc(&args, false),
				    ERR_PTR(-EFBIG));
	}
}

static void lengths_are_rounded_up(struct kunit *test)
{
	static const struct {
		size_t length, given;
	} cases[] = {
		{ 1, PAGE_SIZE },
		{ PAGE_SIZE - 1, PAGE_SIZE },
		{ PAGE_SIZE, PAGE_SIZE },
		{ PAGE_SIZE + 1, 2 * PAGE_SIZE },
		{ 5 * PAGE_SIZE, 5 * PAGE_SIZE },
	};
	struct kubuf *buf;
	int i, k;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		for (k = 0; k < ARRAY_SIZE(cases); k++) {
			buf = make_buffer(test, cases[k].length, backings[i], 0);
			if (!buf)
				continue;
			KUNIT_EXPECT_EQ(test, kubuf_size(buf), cases[k].given);
			kubuf_put(buf);
		}
	}
}

/* Of what all may take; nobody else makes buffers while the module is loaded. */
static void charges_are_given_back(struct kunit *test)
{
	long before = atomic_long_read(&nr_charged);
	struct kubuf *buf;
	int i;

	for (i = 0; i < ARRAY_SIZE(backings); i++) {
		buf = make_buffer(test, 3 * PAGE_SIZE, backings[i], 0);
		if (!buf)
			continue;
		KUNIT_EXPECT_EQ(test, buf->nr_charged, kubuf_backing_cost(buf));
		KUNIT_EXPECT_EQ(test, atomic_long_read(&nr_charged),
				before + (long)buf->nr_charged);
		/* Nobody has asked for a user to be charged. */
		KUNIT_EXPECT_NULL(test, buf->cred);
		kubuf_get(buf);
		kubuf_put(buf);
		KUNIT_EXPECT_EQ(test, atomic_long_read(&nr_charged),
				before + (long)buf->nr_charged);
		kubuf_put(buf);
		KUNIT_EXPECT_EQ(test, atomic_long_read(&nr_charged), before);
	}
}

static void notifications_count(struct kunit *test)
{
	struct kubuf *buf = make_buffer(test, 1, KUBUF_BACKING_VMALLOC, 0);
	struct kubuf_info info;

	if (!buf)
		return;
	kubuf_fill_info(buf, &info);
	KUNIT_EXPECT_EQ(test, info.sequence, 0);
	kubuf_notify(buf);
	kubuf_notify(buf);
	kubuf_fill_info(buf, &info);
	KUNIT_EXPECT_EQ(test, info.sequence, 2);
	kubuf_put(buf);
}

static struct kunit_case buffer_kunit_cases[] = {
	KUNIT_CASE(charge_up_to_a_limit),
	KUNIT_CASE(charge_on_many_processors),
	KUNIT_CASE(megabytes_in_pages),
	KUNIT_CASE(names_of_nodes),
	KUNIT_CASE(names_of_backings),
	KUNIT_CASE(requests),
	KUNIT_CASE(reserved_backings),
	KUNIT_CASE(lengths_that_no_buffer_has),
	KUNIT_CASE(lengths_are_rounded_up),
	KUNIT_CASE(charges_are_given_back),
	KUNIT_CASE(notifications_count),
	{}
};

static struct kunit_suite buffer_kunit_suite = {
	.name = "kubuf-buffer",
	.test_cases = buffer_kunit_cases,
};

kunit_test_suite(buffer_kunit_suite);
