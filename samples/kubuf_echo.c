// SPDX-License-Identifier: GPL-2.0-only
/*
 * From user space to the kernel and back: each record that a program puts into
 * the ring /dev/kubuf/echo-in comes out of the ring /dev/kubuf/echo-out.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/kubuf.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/string.h>

static unsigned long ring_size = 1 << 20;
module_param(ring_size, ulong, 0444);
MODULE_PARM_DESC(ring_size,
		 "Bytes of each ring, a power of two (default 1 MiB)");

static struct kubuf_ring *in;
static struct kubuf_ring *out;
static struct task_struct *thread;

/* Whether there was a record, and it was brought over. */
static bool echo_record(void)
{
	const void *from;
	void *to;
	u32 length;

	from = kubuf_ring_next(in, &length);
	if (!from)
		return false;
	/* As large as the other, so that what fails is asked to stop. */
	if (kubuf_ring_wait_room(out, length))
		return false;
	to = kubuf_ring_reserve(out, length);
	if (to) {
		/* The program may still write to it: that is its own affair. */
		memcpy(to, from, length);
		kubuf_ring_commit(out);
	}
	kubuf_ring_release(in);
	return true;
}

/* Who stops the thread must still find it. */
static void wait_for_stop(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
}

static int echo(void *unused)
{
	int err = 0;

	while (!kthread_should_stop() && err != -ENODATA) {
		err = 0;
		if (echo_record())
			cond_resched();
		else
			err = kubuf_ring_wait_data(in);
		if (err == -EPROTO)
			pr_warn_ratelimited("not a ring any more: emptied\n");
	}
	/* Nothing will come any more: the program has said so, or this is to stop. */
	kubuf_ring_end(out);
	wait_for_stop();
	return 0;
}

static int make_rings(void)
{
	in = kubuf_ring_create(ring_size, KUBUF_BACKING_VMALLOC, 0,
			       NUMA_NO_NODE);
	if (IS_ERR(in))
		return PTR_ERR(in);
	out = kubuf_ring_create(ring_size, KUBUF_BACKING_VMALLOC, 0,
				NUMA_NO_NODE);
	if (IS_ERR(out)) {
		kubuf_ring_put(in);
		return PTR_ERR(out);
	}
	return 0;
}

static int __init echo_init(void)
{
	int err;

	err = make_rings();
	if (err)
		return err;
	thread = kthread_create(echo, NULL, "kubuf-echo");
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto err_rings;
	}
	err = kubuf_register(out->buf, "echo-out", 0600);
	if (err)
		goto err_thread;
	/*
	 * A module whose load fails is freed, whoever has a node of it open: with
	 * the first one there, it is loaded, though of little use.
	 */
	err = kubuf_register(in->buf, "echo-in", 0600);
	if (err)
		pr_err("no node for echo-in: error %d\n", err);
	wake_up_process(thread);
	return 0;

err_thread:
	kthread_stop(thread);
err_rings:
	kubuf_ring_put(out);
	kubuf_ring_put(in);
	/* To modprobe -EEXIST is a module that is there already. */
	return err == -EEXIST ? -EBUSY : err;
}
module_init(echo_init);

static void __exit echo_exit(void)
{
	kubuf_unregister(in->buf);
	kubuf_unregister(out->buf);
	kthread_stop(thread);
	kubuf_ring_put(out);
	kubuf_ring_put(in);
}
module_exit(echo_exit);

MODULE_DESCRIPTION("Brings back the records that it is sent by a ring of kubuf");
MODULE_LICENSE("GPL");
