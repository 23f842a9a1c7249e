// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a buffer, and whom its memory is charged to.
 */
#include <linux/align.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/nodemask.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kubuf.h"
#include "trace.h"

/* MiB that all buffers together may take; main.c makes it a parameter. */
unsigned long kubuf_limit_mb = ULONG_MAX;

/* Pages that all buffers together take. */
static atomic_long_t nr_charged;

static const char * const backing_names[] = {
	[KUBUF_BACKING_KMALLOC] = "kmalloc",
	[KUBUF_BACKING_PAGES] = "pages",
	[KUBUF_BACKING_VMALLOC] = "vmalloc",
	[KUBUF_BACKING_HUGE] = "huge",
	[KUBUF_BACKING_WRAPPED] = "wrapped",
};

/**
 * kubuf_backing_name() - a backing as people write it
 * @backing: the backing of a buffer
 *
 * Context: any.
 * Return: the name.
 */
const char *kubuf_backing_name(enum kubuf_backing backing)
{
	return backing_names[backing];
}

/**
 * kubuf_backing_parse() - a backing as people write it
 * @name: the name
 * @backing: where to put the number
 *
 * Context: any.
 * Return: 0, or %-EINVAL if there is no such backing.
 */
int kubuf_backing_parse(const char *name, u32 *backing)
{
	/* None of them can be wrapped memory. */
	int ret = match_string(backing_names + 1, KUBUF_BACKING_HUGE, name);

	if (ret < 0)
		return -EINVAL;
	*backing = ret + 1;
	return 0;
}

/* Add to a counter unless that takes it above a limit. */
static bool charge_below(atomic_long_t *counter, unsigned long nr,
			 unsigned long limit)
{
	long old = atomic_long_read(counter);

	do {
		if (nr > limit || (unsigned long)old > limit - nr)
			return false;
	} while (!atomic_long_try_cmpxchg(counter, &old, old + nr));
	return true;
}

static unsigned long mb_to_pages(unsigned long mb)
{
	unsigned long pages;

	if (check_mul_overflow(mb, SZ_1M / PAGE_SIZE, &pages))
		return LONG_MAX;
	return min_t(unsigned long, pages, LONG_MAX);
}

static int charge(struct kubuf *buf, bool charge_user)
{
	unsigned long nr = kubuf_backing_cost(buf);

	if (!charge_below(&nr_charged, nr,
			  mb_to_pages(READ_ONCE(kubuf_limit_mb))))
		return -ENOSPC;

	if (charge_user && !capable(CAP_IPC_LOCK)) {
		unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

		if (!charge_below(&current_user()->locked_vm, nr, limit)) {
			atomic_long_sub(nr, &nr_charged);
			return -ENOMEM;
		}
		buf->cred = get_current_cred();
	}
	buf->nr_charged = nr;
	return 0;
}

static void uncharge(struct kubuf *buf)
{
	if (buf->cred) {
		atomic_long_sub(buf->nr_charged, &buf->cred->user->locked_vm);
		put_cred(buf->cred);
	}
	atomic_long_sub(buf->nr_charged, &nr_charged);
}

/**
 * kubuf_check_name() - whether a node can have a name
 * @name: KUBUF_NAME_SIZE bytes, from user space
 *
 * Context: any.
 * Return: 0, or
 * * %-ENAMETOOLONG: it does not end
 * * %-EINVAL: empty, begins with a dot, or has a byte that is no ASCII letter,
 *   digit, dot, underscore or hyphen
 */
int kubuf_check_name(const char *name)
{
	const char *c;

	if (strnlen(name, KUBUF_NAME_SIZE) == KUBUF_NAME_SIZE)
		return -ENAMETOOLONG;
	for (c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			return -EINVAL;
	return c == name || name[0] == '.' ? -EINVAL : 0;
}

/* Everything that can be wrong with a request, in the documented order. */
static int check_args(const struct kubuf_create *args)
{
	bool reserved = args->flags & KUBUF_CREATE_RESERVED;

	if (args->flags & ~(KUBUF_CREATE_RESERVED | KUBUF_CREATE_NODE |
			    KUBUF_CREATE_NAMED) ||
	    args->__reserved || !args->length)
		return -EINVAL;
	if (args->backing < KUBUF_BACKING_KMALLOC ||
	    args->backing > KUBUF_BACKING_HUGE)
		return -EINVAL;
	/* Illegal on the pages of a folio, which these two give. */
	if (reserved && args->backing != KUBUF_BACKING_PAGES &&
	    args->backing != KUBUF_BACKING_VMALLOC)
		return -EINVAL;

	if (args->flags & KUBUF_CREATE_NODE) {
		if (args->node >= MAX_NUMNODES ||
		    !node_state(args->node, N_MEMORY))
			return -EINVAL;
	} else if (args->node) {
		return -EINVAL;
	}

	if (args->flags & KUBUF_CREATE_NAMED) {
		if (args->mode & ~0666)
			return -EINVAL;
		return kubuf_check_name(args->name);
	}
	if (args->mode || memchr_inv(args->name, 0, KUBUF_NAME_SIZE))
		return -EINVAL;
	return 0;
}

/* One without memory. */
static struct kubuf *new_buffer(unsigned long nr_pages,
				enum kubuf_backing backing)
{
	static atomic64_t last_id;
	struct kubuf *buf = kzalloc_obj(*buf, GFP_KERNEL_ACCOUNT);

	if (!buf)
		return NULL;
	kref_init(&buf->ref);
	mutex_init(&buf->map_lock);
	mutex_init(&buf->file_lock);
	init_waitqueue_head(&buf->wait);
	spin_lock_init(&buf->notify_lock);
	INIT_LIST_HEAD(&buf->watchers);
	INIT_LIST_HEAD(&buf->names);
	buf->id = atomic64_inc_return(&last_id);
	buf->nr_pages = nr_pages;
	buf->backing = backing;
	buf->node = numa_mem_id();
	return buf;
}

/**
 * kubuf_alloc() - make a buffer
 * @args: what to make; from user space, unchecked
 * @charge_user: check the caller's rights, and charge its RLIMIT_MEMLOCK
 *
 * The buffer is zeroed, has one reference, which is the caller's, and no node:
 * who wants that registers @buf->misc.
 *
 * Context: process context; sleeps. The pages are charged to the memory cgroup
 * of the caller.
 * Return: the buffer, or
 * * %-EINVAL: a field of @args is wrong
 * * %-ENAMETOOLONG: the name does not end
 * * %-EPERM: a name without CAP_SYS_ADMIN, reserved without CAP_SYS_RAWIO
 * * %-EFBIG: more than the backing can ever give
 * * %-ENOSPC: above the limit of all buffers
 * * %-ENOMEM: no memory, or above RLIMIT_MEMLOCK or the memory cgroup's limit
 * * %-EINTR: killed meanwhile
 */
struct kubuf *kubuf_alloc(const struct kubuf_create *args, bool charge_user)
{
	struct kubuf *buf;
	int err;

	err = check_args(args);
	if (err)
		return ERR_PTR(err);
	if (charge_user && args->flags & KUBUF_CREATE_NAMED &&
	    !capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	if (charge_user && args->flags & KUBUF_CREATE_RESERVED &&
	    !capable(CAP_SYS_RAWIO))
		return ERR_PTR(-EPERM);
	/* Compared before it is rounded up, which could wrap. */
	if (args->length >
	    (u64)kubuf_backing_max(args->backing) << PAGE_SHIFT)
		return ERR_PTR(-EFBIG);

	buf = new_buffer(PAGE_ALIGN(args->length) >> PAGE_SHIFT, args->backing);
	if (!buf)
		return ERR_PTR(-ENOMEM);

	buf->reserved = args->flags & KUBUF_CREATE_RESERVED;
	buf->pfn_path = buf->reserved || buf->backing == KUBUF_BACKING_KMALLOC;
	if (args->flags & KUBUF_CREATE_NODE)
		buf->node = args->node;
	if (args->flags & KUBUF_CREATE_NAMED) {
		strscpy(buf->name, args->name, sizeof(buf->name));
		buf->mode = args->mode ?: 0600;
	}

	err = charge(buf, charge_user);
	if (err)
		goto err_free;
	err = kubuf_backing_alloc(buf, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_uncharge;
	kubuf_debugfs_add(buf);
	trace_kubuf_create(buf);
	return buf;

err_uncharge:
	uncharge(buf);
err_free:
	kfree(buf);
	return ERR_PTR(err);
}

/* See kubuf_create(). */
struct kubuf *__kubuf_create(size_t length, enum kubuf_backing backing,
			     unsigned int flags, int node,
			     struct module *owner)
{
	struct kubuf_create args = {
		.size = sizeof(args),
		.flags = flags,
		.length = length,
		.backing = backing,
	};
	struct kubuf *buf;

	if (flags & ~KUBUF_CREATE_RESERVED)
		return ERR_PTR(-EINVAL);
	if (node != NUMA_NO_NODE) {
		args.flags |= KUBUF_CREATE_NODE;
		args.node = node;
	}
	buf = kubuf_alloc(&args, false);
	if (!IS_ERR(buf)) {
		buf->of_driver = true;
		buf->owner = owner;
	}
	return buf;
}
EXPORT_SYMBOL_GPL(__kubuf_create);

/* See kubuf_wrap(). */
struct kubuf *__kubuf_wrap(const struct kubuf_memory *wrap, struct module *owner)
{
	struct kubuf *buf;
	int err;

	if (!wrap->length || !PAGE_ALIGNED(wrap->length))
		return ERR_PTR(-EINVAL);
	buf = new_buffer(wrap->length >> PAGE_SHIFT, KUBUF_BACKING_WRAPPED);
	if (!buf)
		return ERR_PTR(-ENOMEM);

	buf->of_driver = true;
	buf->owner = owner;
	buf->pfn_path = wrap->pfn_path;
	err = kubuf_wrap_memory(buf, wrap);
	if (err) {
		kfree(buf);
		return ERR_PTR(err);
	}
	buf->release = wrap->release;
	buf->release_data = wrap->data;
	kubuf_debugfs_add(buf);
	trace_kubuf_create(buf);
	return buf;
}
EXPORT_SYMBOL_GPL(__kubuf_wrap);

static void release(struct kref *ref)
{
	struct kubuf *buf = container_of(ref, struct kubuf, ref);

	WARN_ON_ONCE(buf->nr_files || atomic_read(&buf->nr_mappings));
	trace_kubuf_free(buf);
	kubuf_debugfs_remove(buf);
	kubuf_backing_free(buf);
	uncharge(buf);
	if (buf->release)
		buf->release(buf->release_data);
	kfree(buf);
}

/**
 * kubuf_get() - take a reference
 * @buf: buffer of which the caller has a reference
 *
 * Context: any.
 */
void kubuf_get(struct kubuf *buf)
{
	kref_get(&buf->ref);
}

/**
 * kubuf_put() - give a reference back; the last one frees the buffer
 * @buf: the buffer
 *
 * Context: process context; sleeps.
 */
void kubuf_put(struct kubuf *buf)
{
	kref_put(&buf->ref, release);
}
EXPORT_SYMBOL_GPL(kubuf_put);

/**
 * kubuf_length() - the size of a buffer
 * @buf: the buffer
 *
 * Context: any.
 * Return: bytes.
 */
size_t kubuf_length(const struct kubuf *buf)
{
	return kubuf_size(buf);
}
EXPORT_SYMBOL_GPL(kubuf_length);

/**
 * kubuf_fill_info() - describe a buffer
 * @buf: the buffer
 * @info: where to put the description
 *
 * Holds no address and no frame number: anyone may read it.
 *
 * Context: any.
 */
void kubuf_fill_info(struct kubuf *buf, struct kubuf_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (buf->reserved)
		info->flags |= KUBUF_INFO_RESERVED;
	if (buf->pfn_path)
		info->flags |= KUBUF_INFO_PFN;
	if (buf->name[0])
		info->flags |= KUBUF_INFO_NAMED;
	if (READ_ONCE(buf->state) == KUBUF_DYING)
		info->flags |= KUBUF_INFO_DESTROYED;
	info->id = buf->id;
	info->length = kubuf_size(buf);
	info->mappings = atomic_read(&buf->nr_mappings);
	info->backing = buf->backing;
	info->mode = buf->mode;
	strscpy(info->name, buf->name, sizeof(info->name));
	info->sequence = atomic64_read_acquire(&buf->sequence);
	info->seals = READ_ONCE(buf->seals);
}

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "buffer_kunit.c"
#endif
