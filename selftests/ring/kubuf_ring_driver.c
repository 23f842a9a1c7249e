// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands for a driver that has a ring: for the tests alone.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/kubuf.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../../driver/compat.h"

#define JOB_LOAD(x)	READ_ONCE(x)

static struct kubuf_ring_header *job_header(struct kubuf_ring *ring)
{
	struct kubuf *buf = ring->buf;
	size_t len = sizeof(struct kubuf_ring_header);

	return kubuf_kaddr(buf, kubuf_length(buf) - PAGE_SIZE, &len);
}

static int job_wait_data(struct kubuf_ring *ring)
{
	return kubuf_ring_wait_data(ring);
}

static int job_wait_room(struct kubuf_ring *ring, u32 length)
{
	return kubuf_ring_wait_room(ring, length);
}

static void job_relax(void)
{
	cpu_relax();
	cond_resched();
}

static u64 job_ms(void)
{
	return ktime_to_ms(ktime_get());
}

static bool job_must_stop(void)
{
	if (current->flags & PF_KTHREAD)
		return kthread_should_stop();
	return signal_pending(current);
}

#include "kubuf_ring_job.h"

/* A job that a thread does. */
struct runner {
	struct task_struct *task;
	struct kubuf_ring *ring;
	struct ring_job job;
	struct completion done;
};

/* The state of a file. A job of the caller needs to read it alone. */
struct ring_file {
	struct rw_semaphore lock;	/* all of it */
	struct kubuf_ring *ring;
	struct runner runner[2];
	struct task_struct *noise[RING_NOISES];
};

static struct runner *runner_of(struct ring_file *rf, const struct ring_job *job)
{
	return &rf->runner[job->what == JOB_CONSUME];
}

static int run_job(void *arg)
{
	struct runner *runner = arg;

	job_run(runner->ring, &runner->job);
	complete(&runner->done);
	return 0;
}

static int start(struct ring_file *rf, const struct ring_job *job)
{
	struct runner *runner = runner_of(rf, job);
	struct task_struct *task;

	if (runner->task)
		return -EBUSY;
	runner->ring = rf->ring;
	runner->job = *job;
	init_completion(&runner->done);
	task = kthread_create(run_job, runner, "kubuf-ring");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* It may end before somebody waits for it. */
	get_task_struct(task);
	runner->task = task;
	wake_up_process(task);
	return 0;
}

static void stop(struct runner *runner)
{
	if (!runner->task)
		return;
	kthread_stop(runner->task);
	put_task_struct(runner->task);
	runner->task = NULL;
}

static int join(struct ring_file *rf, struct ring_args *args)
{
	struct runner *runner = runner_of(rf, &args->job);
	long left;

	if (!runner->task)
		return -ESRCH;
	left = msecs_to_jiffies(args->timeout);
	left = wait_for_completion_interruptible_timeout(&runner->done, left);
	if (left < 0)
		return -EINTR;
	stop(runner);
	args->job = runner->job;
	if (!left)
		args->job.err = -ETIME;
	return 0;
}

static int make_noise(void *arg)
{
	struct kubuf_ring *ring = arg;
	u64 n = (uintptr_t)current;

	while (!kthread_should_stop()) {
		n = job_mix(n + 1);
		udelay(n % 64);
		if (n >> 32 & 1)
			kubuf_notify(ring->buf);
		usleep_range(50, 2000);
	}
	return 0;
}

static void end_noise(struct ring_file *rf)
{
	int i;

	for (i = 0; i < RING_NOISES; i++)
		if (rf->noise[i])
			kthread_stop(rf->noise[i]);
	memset(rf->noise, 0, sizeof(rf->noise));
}

static int begin_noise(struct ring_file *rf, u32 nr)
{
	struct task_struct *task;
	u32 i;

	end_noise(rf);
	if (nr > RING_NOISES)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		task = kthread_run(make_noise, rf->ring, "kubuf-noise");
		if (IS_ERR(task)) {
			end_noise(rf);
			return PTR_ERR(task);
		}
		rf->noise[i] = task;
	}
	return 0;
}

static int create(struct ring_file *rf, const struct ring_args *args)
{
	struct kubuf_ring *ring;
	int err;

	if (rf->ring)
		return -EBUSY;
	if (strnlen(args->name, sizeof(args->name)) == sizeof(args->name))
		return -ENAMETOOLONG;
	ring = kubuf_ring_create(args->size, args->backing, args->flags,
				 NUMA_NO_NODE);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	err = kubuf_register(ring->buf, args->name, 0600);
	if (err) {
		kubuf_ring_put(ring);
		return err;
	}
	rf->ring = ring;
	return 0;
}

static void put(struct ring_file *rf)
{
	end_noise(rf);
	stop(&rf->runner[0]);
	stop(&rf->runner[1]);
	if (!rf->ring)
		return;
	kubuf_unregister(rf->ring->buf);
	kubuf_ring_put(rf->ring);
	rf->ring = NULL;
}

static int command(struct ring_file *rf, unsigned int cmd,
		   struct ring_args *args)
{
	if (cmd == RING_CREATE)
		return create(rf, args);
	if (!rf->ring)
		return -ENXIO;
	switch (cmd) {
	case RING_PUT:
		put(rf);
		return 0;
	case RING_START:
		return start(rf, &args->job);
	case RING_JOIN:
		return join(rf, args);
	case RING_NOISE:
		return begin_noise(rf, args->nr);
	default:
		return -ENOTTY;
	}
}

static int command_of_caller(struct ring_file *rf, unsigned int cmd,
			     struct ring_args *args)
{
	if (!rf->ring)
		return -ENXIO;
	switch (cmd) {
	case RING_RUN:
		job_run(rf->ring, &args->job);
		return 0;
	case RING_WAIT_DATA:
		return kubuf_ring_wait_data(rf->ring);
	default:
		return kubuf_ring_wait_room(rf->ring, args->job.length);
	}
}

static long ring_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct ring_file *rf = file->private_data;
	struct ring_args *args;
	long err;

	args = memdup_user(uarg, sizeof(*args));
	if (IS_ERR(args))
		return PTR_ERR(args);
	if (cmd == RING_RUN || cmd == RING_WAIT_DATA || cmd == RING_WAIT_ROOM) {
		down_read(&rf->lock);
		err = command_of_caller(rf, cmd, args);
		up_read(&rf->lock);
	} else {
		down_write(&rf->lock);
		err = command(rf, cmd, args);
		up_write(&rf->lock);
	}
	if (!err && copy_to_user(uarg, args, sizeof(*args)))
		err = -EFAULT;
	kfree(args);
	return err;
}

static int ring_open(struct inode *inode, struct file *file)
{
	struct ring_file *rf = kzalloc_obj(*rf, GFP_KERNEL);

	if (!rf)
		return -ENOMEM;
	init_rwsem(&rf->lock);
	file->private_data = rf;
	return 0;
}

static int ring_release(struct inode *inode, struct file *file)
{
	struct ring_file *rf = file->private_data;

	put(rf);
	kfree(rf);
	return 0;
}

static const struct file_operations ring_fops = {
	.owner = THIS_MODULE,
	.open = ring_open,
	.release = ring_release,
	.unlocked_ioctl = ring_ioctl,
};

static struct miscdevice ring_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-ring",
	.mode = 0600,
	.fops = &ring_fops,
};
module_misc_device(ring_device);

MODULE_DESCRIPTION("A driver with a ring, for the tests of kubuf");
MODULE_LICENSE("GPL");
