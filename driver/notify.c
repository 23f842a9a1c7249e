// SPDX-License-Identifier: GPL-2.0-only
/*
 * Telling others that there is something new in a buffer: who polls is woken,
 * registered eventfds are signalled, and a number counts.
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/export.h>

#include "kubuf.h"
#include "trace.h"

/**
 * kubuf_notify() - say that there is something new in a buffer
 * @buf: the buffer
 *
 * What was stored to the buffer before is seen by who sees the new number.
 *
 * Context: any that may take a spinlock.
 */
void kubuf_notify(struct kubuf *buf)
{
	struct kubuf_file *kfile;
	unsigned long flags;
	u64 sequence;

	/* A full barrier: the number is never seen before the data. */
	sequence = atomic64_inc_return(&buf->sequence);
	trace_kubuf_notify(buf, sequence);

	spin_lock_irqsave(&buf->notify_lock, flags);
	list_for_each_entry(kfile, &buf->watchers, watchers)
		eventfd_signal(kfile->eventfd);
	spin_unlock_irqrestore(&buf->notify_lock, flags);

	wake_up_interruptible_poll(&buf->wait, EPOLLPRI);
}
EXPORT_SYMBOL_GPL(kubuf_notify);

/**
 * kubuf_poll() - what can be done with a file without waiting
 * @file: a file of a buffer
 * @wait: where to say what to wait for
 *
 * Reading and writing never wait. EPOLLPRI is set from a notification on until
 * the file is asked for the number of them (KUBUF_INFO).
 *
 * Context: process context.
 * Return: EPOLL*.
 */
__poll_t kubuf_poll(struct file *file, poll_table *wait)
{
	struct kubuf_file *kfile = file->private_data;
	struct kubuf *buf = kfile->buf;
	__poll_t mask = DEFAULT_POLLMASK;

	poll_wait(file, &buf->wait, wait);
	if (atomic64_read_acquire(&buf->sequence) != READ_ONCE(kfile->seen))
		mask |= EPOLLPRI;
	return mask;
}

static struct eventfd_ctx *replace_eventfd(struct kubuf_file *kfile,
					   struct eventfd_ctx *eventfd)
{
	struct kubuf *buf = kfile->buf;
	struct eventfd_ctx *old;

	spin_lock_irq(&buf->notify_lock);
	old = kfile->eventfd;
	WRITE_ONCE(kfile->eventfd, eventfd);
	if (eventfd && !old)
		list_add_tail(&kfile->watchers, &buf->watchers);
	else if (old && !eventfd)
		list_del_init(&kfile->watchers);
	spin_unlock_irq(&buf->notify_lock);
	return old;
}

/**
 * kubuf_clear_eventfd() - let the eventfd of a file go, if it has one
 * @kfile: the file
 *
 * Context: process context.
 */
void kubuf_clear_eventfd(struct kubuf_file *kfile)
{
	struct eventfd_ctx *old;

	/* One that is set just now comes before or after. */
	if (!READ_ONCE(kfile->eventfd))
		return;
	old = replace_eventfd(kfile, NULL);
	if (old)
		eventfd_ctx_put(old);
}

/**
 * kubuf_set_eventfd() - what to signal for a file
 * @kfile: the file
 * @fd: an eventfd, which takes the place of the one before
 *
 * Context: process context.
 * Return: 0, or
 * * %-EBADF: no file has that number
 * * %-EINVAL: one has, but it is no eventfd
 */
int kubuf_set_eventfd(struct kubuf_file *kfile, int fd)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(fd);
	struct eventfd_ctx *old;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	old = replace_eventfd(kfile, eventfd);
	if (old)
		eventfd_ctx_put(old);
	return 0;
}
