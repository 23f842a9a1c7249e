/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failures by order: the first allocation or copy of a call, the second, and
 * so on (Documentation/fault-injection/fault-injection.rst).
 */
#ifndef KUBUF_FAIL_H
#define KUBUF_FAIL_H

#include "kubuf_task.h"

#define FAIL_DIR	"/sys/kernel/debug/"
#define FAIL_NTH	"/proc/self/fail-nth"

/* More than any call has. */
#define FAIL_NEVER	1000000U

/*
 * What lets an allocation fail that may sleep, as nearly all do, and one of a
 * single page. A report of each failure would be more than the log can take.
 */
static const struct {
	const char *file;
	const char *value;
} fail_settings[] = {
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/cache-filter", "N" },
	{ "failslab/verbose", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_usercopy/verbose", "0" },
};

#define FAIL_SETTINGS	ARRAY_SIZE(fail_settings)

struct fail_saved {
	char value[FAIL_SETTINGS][24];
};

/* What the kernel lacks for it, or NULL. */
static inline const char *fail_lacks(void)
{
	if (access(FAIL_NTH, F_OK))
		return "CONFIG_FAULT_INJECTION";
	if (access(FAIL_DIR "failslab", F_OK))
		return "CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS";
	if (access(FAIL_DIR "fail_page_alloc", F_OK))
		return "CONFIG_FAIL_PAGE_ALLOC";
	if (access(FAIL_DIR "fail_usercopy", F_OK))
		return "CONFIG_FAULT_INJECTION_USERCOPY";
	return NULL;
}

static inline int fail_set(const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAIL_DIR "%s", file);
	return file_write(path, value);
}

/* Let everything fail that can, and keep what was set before. */
static inline int fail_setup(struct fail_saved *saved)
{
	char path[128];
	int ret = 0;

	memset(saved, 0, sizeof(*saved));
	for (size_t i = 0; !ret && i < FAIL_SETTINGS; i++) {
		snprintf(path, sizeof(path), FAIL_DIR "%s",
			 fail_settings[i].file);
		ret = file_line(path, saved->value[i],
				sizeof(saved->value[i]));
		if (!ret)
			ret = fail_set(fail_settings[i].file,
				       fail_settings[i].value);
	}
	return ret;
}

static inline void fail_restore(const struct fail_saved *saved)
{
	for (size_t i = 0; i < FAIL_SETTINGS; i++)
		if (saved->value[i][0])
			fail_set(fail_settings[i].file, saved->value[i]);
}

/* Let the Nth allocation or copy from now on fail, of this thread alone. */
static inline bool fail_arm(int nth, unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	return pwrite(nth, text, (size_t)len, 0) == len;
}

/*
 * Stop: how many were left to go, 0 if the failure took place. The calls that
 * ask and stop copy something themselves, which can be what fails.
 */
static inline unsigned int fail_stop(int nth)
{
	char text[16] = "";
	unsigned long left;

	if (pread(nth, text, sizeof(text) - 1, 0) < 0)
		return 1;
	left = strtoul(text, NULL, 10);
	if (left && pwrite(nth, "0", 1, 0) < 0)
		pwrite(nth, "0", 1, 0);
	return (unsigned int)left;
}

#endif /* KUBUF_FAIL_H */
