/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests share. They are parts of the files that they test, as
 * most of what they call is static.
 *
 * What a test has made it puts itself, whatever it has found: KUnit has no thread
 * for a test's end where allocations are made to fail.
 */
#ifndef _KUBUF_KUNIT_H
#define _KUBUF_KUNIT_H

#include <kunit/test.h>
#include <linux/err.h>

#include "kubuf.h"

/* A buffer to be put, or NULL, and then the test has failed. */
static inline struct kubuf *make_buffer(struct kunit *test, size_t length,
					enum kubuf_backing backing, u32 flags)
{
	const struct kubuf_create args = {
		.size = sizeof(args),
		.flags = flags,
		.length = length,
		.backing = backing,
	};
	struct kubuf *buf = kubuf_alloc(&args, false);

	if (!IS_ERR(buf))
		return buf;
	KUNIT_FAIL(test, "%zu bytes of %s: error %pe", length,
		   kubuf_backing_name(backing), buf);
	return NULL;
}

#endif /* _KUBUF_KUNIT_H */
