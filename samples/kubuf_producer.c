// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that delivers, whether someone listens or not, as a converter or a
 * packet tap does: records at the beat of a timer, into a ring of the kernel
 * that is /dev/kubuf/producer. The timer's function runs in an interrupt.
 */
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/kubuf.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>

#include "../driver/compat.h"
#include "kubuf_producer.h"

/* More often than that there is no interrupt: it makes several records then. */
#define MAX_TICKS	10000		/* a second */
#define MAX_RATE	(100 * MAX_TICKS)
/* What a late one makes up for; more would keep the processor from all others. */
#define MAX_DUE		8

static unsigned int rate = 1000;
module_param(rate, uint, 0444);
MODULE_PARM_DESC(rate,
		 "Records a second; 0: as many as a thread can make (default 1000)");

static unsigned int size = 1000;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size,
		 "Bytes of a record besides its number and time, a multiple of 8 (default 1000)");

static unsigned long ring_size = 1 << 20;
module_param(ring_size, ulong, 0444);
MODULE_PARM_DESC(ring_size, "Bytes of the ring, a power of two (default 1 MiB)");

static bool overwrite;
module_param(overwrite, bool, 0444);
MODULE_PARM_DESC(overwrite,
		 "Without room overwrite the oldest, instead of dropping the newest (default N)");

static unsigned long count;
module_param(count, ulong, 0444);
MODULE_PARM_DESC(count, "Records to make; 0: no end (default 0)");

static bool running = true;
module_param(running, bool, 0644);
MODULE_PARM_DESC(running, "Whether it delivers (default Y)");

static struct kubuf_ring *ring;
static struct hrtimer timer;
static struct task_struct *thread;
static u64 made;		/* records, those that were lost too */
static u64 lost;		/* of them, by the ring */
static u64 missed;		/* records that there was no time to make */
static unsigned int batch;	/* records that a tick makes */
static ktime_t period;		/* of the ticks */
static unsigned int due = 1;	/* ticks that the next one stands for */

static int get_number(char *text, const struct kernel_param *kp)
{
	return sysfs_emit(text, "%llu\n", READ_ONCE(*(u64 *)kp->arg));
}

static int set_number(const char *text, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops number_ops = {
	.set = set_number,
	.get = get_number,
};

module_param_cb(made, &number_ops, &made, 0444);
MODULE_PARM_DESC(made, "Records made, those that were lost too (to read)");

module_param_cb(lost, &number_ops, &lost, 0444);
MODULE_PARM_DESC(lost, "Records that were dropped or overwritten (to read)");

module_param_cb(missed, &number_ops, &missed, 0444);
MODULE_PARM_DESC(missed, "Records not made, as the tick came late (to read)");

static bool is_done(void)
{
	return count && made >= count;
}

static void make_record(void)
{
	struct producer_record *record;
	unsigned int i;

	/* The ring counts those that it has no room for. */
	record = kubuf_ring_reserve(ring, sizeof(*record) + size);
	if (record) {
		record->sequence = made;
		record->time = ktime_get_ns();
		for (i = 0; i < size / sizeof(record->words[0]); i++)
			record->words[i] = producer_word(made, i);
	}
	WRITE_ONCE(made, made + 1);
}

/* Several, for one look at whether someone waits. */
static void make_records(unsigned int nr)
{
	while (nr-- && !is_done())
		make_record();
	kubuf_ring_commit(ring);
	WRITE_ONCE(lost, kubuf_ring_lost(ring));
	if (is_done())
		kubuf_ring_end(ring);
}

static enum hrtimer_restart tick(struct hrtimer *unused)
{
	bool on = READ_ONCE(running);
	u64 ticks;

	if (on)
		make_records(due * batch);
	if (is_done())
		return HRTIMER_NORESTART;
	/* From now on: others come to run, however long this has taken. */
	ticks = hrtimer_forward_now(&timer, period);
	due = min_t(u64, ticks, MAX_DUE);
	if (on)
		WRITE_ONCE(missed, missed + (ticks - due) * batch);
	return HRTIMER_RESTART;
}

static int run(void *unused)
{
	while (!kthread_should_stop()) {
		if (!is_done() && READ_ONCE(running)) {
			make_records(1);
			cond_resched();
		} else {
			schedule_timeout_interruptible(msecs_to_jiffies(10));
		}
	}
	return 0;
}

static int prepare(void)
{
	if (!rate) {
		thread = kthread_create(run, NULL, "kubuf-producer");
		return PTR_ERR_OR_ZERO(thread);
	}
	batch = DIV_ROUND_UP(rate, MAX_TICKS);
	period = ns_to_ktime(div_u64((u64)batch * NSEC_PER_SEC, rate));
	hrtimer_setup(&timer, tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	return 0;
}

static void start(void)
{
	if (rate)
		hrtimer_start(&timer, period, HRTIMER_MODE_REL);
	else
		wake_up_process(thread);
}

static void stop(void)
{
	if (rate)
		hrtimer_cancel(&timer);
	else
		kthread_stop(thread);
}

static int __init producer_init(void)
{
	const size_t more = sizeof(struct kubuf_record) +
			    sizeof(struct producer_record);
	int err;

	if (rate > MAX_RATE || size % sizeof(u64) || size + more > ring_size)
		return -EINVAL;
	ring = kubuf_ring_create(ring_size, KUBUF_BACKING_HUGE,
				 overwrite ? KUBUF_RING_OVERWRITE : 0,
				 NUMA_NO_NODE);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	err = prepare();
	if (err)
		goto err_ring;
	/* From here on it may be in use, and nothing may fail. */
	err = kubuf_register(ring->buf, "producer", 0600);
	if (err)
		goto err_stop;
	start();
	return 0;

err_stop:
	stop();
err_ring:
	kubuf_ring_put(ring);
	/* To modprobe -EEXIST is a module that is there already. */
	return err == -EEXIST ? -EBUSY : err;
}
module_init(producer_init);

static void __exit producer_exit(void)
{
	kubuf_unregister(ring->buf);
	stop();
	kubuf_ring_put(ring);
}
module_exit(producer_exit);

MODULE_DESCRIPTION("A device that delivers records into a ring of kubuf");
MODULE_LICENSE("GPL");
