// SPDX-License-Identifier: GPL-2.0-only
/*
 * What drivers call, with arguments that are wrong and with right ones: a part of
 * wrap.c.
 */
#include <linux/gfp.h>

#include "kubuf_kunit.h"

static void what_no_driver_gets(struct kunit *test)
{
	struct kubuf *buf;

	buf = kubuf_create(PAGE_SIZE, KUBUF_BACKING_VMALLOC,
			   KUBUF_CREATE_NAMED, NUMA_NO_NODE);
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-EINVAL));
	buf = kubuf_create(PAGE_SIZE, KUBUF_BACKING_VMALLOC, 0, MAX_NUMNODES);
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-EINVAL));
	buf = kubuf_create(PAGE_SIZE, KUBUF_BACKING_VMALLOC, 0, -2);
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-EINVAL));
	buf = kubuf_create(0, KUBUF_BACKING_VMALLOC, 0, NUMA_NO_NODE);
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-EINVAL));
	buf = kubuf_create(SIZE_MAX, KUBUF_BACKING_VMALLOC, 0, NUMA_NO_NODE);
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-EFBIG));
}

static void a_node_once_in_a_life(struct kunit *test)
{
	struct kubuf *buf = kubuf_create(1, KUBUF_BACKING_VMALLOC, 0,
					 NUMA_NO_NODE);
	struct kubuf_info info;

	if (IS_ERR(buf)) {
		KUNIT_FAIL(test, "error %pe", buf);
		return;
	}
	/* Has none yet: nothing to do. */
	kubuf_unregister(buf);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit/", 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit", 0777), -EINVAL);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "control", 0), -EEXIST);
	kubuf_fill_info(buf, &info);
	KUNIT_EXPECT_EQ(test, info.flags, 0);

	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit", 0), 0);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit", 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit-2", 0), -EBUSY);
	kubuf_fill_info(buf, &info);
	KUNIT_EXPECT_EQ(test, info.flags, KUBUF_INFO_NAMED);
	KUNIT_EXPECT_EQ(test, info.mode, 0600);
	KUNIT_EXPECT_STREQ(test, info.name, "kunit");

	kubuf_unregister(buf);
	kubuf_unregister(buf);
	kubuf_fill_info(buf, &info);
	KUNIT_EXPECT_EQ(test, info.flags,
			KUBUF_INFO_NAMED | KUBUF_INFO_DESTROYED);
	KUNIT_EXPECT_EQ(test, kubuf_register(buf, "kunit", 0), -EBUSY);
	kubuf_put(buf);
}

static void count_release(void *data)
{
	++*(int *)data;
}

static void wrapped_memory_is_released_once(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	int released = 0;
	struct kubuf_memory memory = {
		.length = PAGE_SIZE,
		.release = count_release,
		.data = &released,
	};
	struct kubuf *buf;

	if (!page) {
		KUNIT_FAIL(test, "no memory");
		return;
	}
	/* Neither, both, and lengths that it has not. */
	KUNIT_EXPECT_PTR_EQ(test, kubuf_wrap(&memory), ERR_PTR(-EINVAL));
	memory.pages = &page;
	memory.addr = page_address(page);
	KUNIT_EXPECT_PTR_EQ(test, kubuf_wrap(&memory), ERR_PTR(-EINVAL));
	memory.addr = NULL;
	memory.length = 0;
	KUNIT_EXPECT_PTR_EQ(test, kubuf_wrap(&memory), ERR_PTR(-EINVAL));
	memory.length = PAGE_SIZE - 1;
	KUNIT_EXPECT_PTR_EQ(test, kubuf_wrap(&memory), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_EQ(test, released, 0);

	memory.length = PAGE_SIZE;
	buf = kubuf_wrap(&memory);
	if (IS_ERR(buf)) {
		KUNIT_FAIL(test, "error %pe", buf);
	} else {
		KUNIT_EXPECT_PTR_EQ(test, kubuf_wrap(&memory), ERR_PTR(-EINVAL));
		KUNIT_EXPECT_EQ(test, released, 0);
		kubuf_put(buf);
		KUNIT_EXPECT_EQ(test, released, 1);
	}
	__free_page(page);
}

static struct kunit_case wrap_kunit_cases[] = {
	KUNIT_CASE(what_no_driver_gets),
	KUNIT_CASE(a_node_once_in_a_life),
	KUNIT_CASE(wrapped_memory_is_released_once),
	{}
};

static struct kunit_suite wrap_kunit_suite = {
	.name = "kubuf-driver",
	.test_cases = wrap_kunit_cases,
};

kunit_test_suite(wrap_kunit_suite);
