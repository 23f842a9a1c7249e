// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module parameter that names buffers, word for word: a part of main.c.
 */
#include "kubuf_kunit.h"

static void sizes_with_units(struct kunit *test)
{
	static const struct {
		const char *text;
		int err;
		u64 size;
	} cases[] = {
		{ "0", 0, 0 },
		{ "1", 0, 1 },
		{ "010", 0, 10 },
		{ "4096", 0, 4096 },
		{ "1K", 0, SZ_1K },
		{ "1k", 0, SZ_1K },
		{ "3M", 0, 3 * SZ_1M },
		{ "2g", 0, 2ULL * SZ_1G },
		{ "18446744073709551615", 0, U64_MAX },
		{ "18446744073709551616", -EFBIG },
		{ "99999999999999999999999", -EFBIG },
		{ "17179869183G", 0, 17179869183ULL << 30 },
		{ "17179869184G", -EFBIG },
		{ "18014398509481983K", 0, 18014398509481983ULL << 10 },
		{ "18014398509481984K", -EFBIG },
		{ "", -EINVAL },
		{ "K", -EINVAL },
		{ "1T", -EINVAL },
		{ "1KB", -EINVAL },
		{ "1 K", -EINVAL },
		{ " 1", -EINVAL },
		{ "1\n", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1.5M", -EINVAL },
	};
	char text[32];
	u64 size;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		strscpy(text, cases[i].text, sizeof(text));
		KUNIT_EXPECT_EQ_MSG(test, parse_size(text, &size), cases[i].err,
				    "\"%s\"", cases[i].text);
		if (!cases[i].err)
			KUNIT_EXPECT_EQ_MSG(test, size, cases[i].size, "\"%s\"",
					    cases[i].text);
	}
}

static void buffers_of_the_parameter(struct kunit *test)
{
	static const struct {
		const char *text;
		int err;
		const char *name;
		u64 length;
		u32 backing;
	} cases[] = {
		{ "a:1", 0, "a", 1, KUBUF_BACKING_VMALLOC },
		{ "a:1M:kmalloc", 0, "a", SZ_1M, KUBUF_BACKING_KMALLOC },
		{ "a:1M:huge", 0, "a", SZ_1M, KUBUF_BACKING_HUGE },
		{ "0123456789012345678901234567890:1", 0,
		  "0123456789012345678901234567890", 1, KUBUF_BACKING_VMALLOC },
		{ "01234567890123456789012345678901:1", -ENAMETOOLONG },
		{ "", -EINVAL },
		{ "a", -EINVAL },
		{ "a:", -EINVAL },
		{ "a:b", -EINVAL },
		{ "a:1:", -EINVAL },
		{ "a:1:wrapped", -EINVAL },
		{ "a:1:kmalloc:", -EINVAL },
		{ "a:1:kmalloc:x", -EINVAL },
		{ "a:17179869184G:huge", -EFBIG },
	};
	struct kubuf_create args;
	char text[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		strscpy(text, cases[i].text, sizeof(text));
		KUNIT_EXPECT_EQ_MSG(test, parse_buffer(text, &args), cases[i].err,
				    "\"%s\"", cases[i].text);
		if (cases[i].err)
			continue;
		KUNIT_EXPECT_STREQ(test, args.name, cases[i].name);
		KUNIT_EXPECT_EQ(test, args.length, cases[i].length);
		KUNIT_EXPECT_EQ(test, args.backing, cases[i].backing);
		KUNIT_EXPECT_EQ(test, args.flags, KUBUF_CREATE_NAMED);
	}
}

static struct kunit_case main_kunit_cases[] = {
	KUNIT_CASE(sizes_with_units),
	KUNIT_CASE(buffers_of_the_parameter),
	{}
};

static struct kunit_suite main_kunit_suite = {
	.name = "kubuf-parameter",
	.test_cases = main_kunit_cases,
};

kunit_test_suite(main_kunit_suite);
