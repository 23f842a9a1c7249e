// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records for user space, by a ring of kubuf and by its peers, for the benchmark
 * only. What is in the records is not filled in: that would be the same for all.
 */
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kubuf.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/relay.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "stream.h"

static struct kubuf_ring *ring;

/* What the pipe takes, and read() gives. */
static void *records;
static u32 nr_ready, record_length;

static int by_ring(u32 nr, u32 length)
{
	while (nr--) {
		if (!kubuf_ring_reserve(ring, length))
			return -ENOSPC;
		kubuf_ring_commit(ring);
	}
	return 0;
}

/* As much at once as relay gives away. */
static int by_ring_batch(u32 nr, u32 length)
{
	u32 a_part = STREAM_PART / (sizeof(struct kubuf_record) + length);
	u32 n, i;

	for (; nr; nr -= n) {
		n = min(nr, a_part);
		for (i = n; i; i--)
			if (!kubuf_ring_reserve(ring, length))
				return -ENOSPC;
		kubuf_ring_commit(ring);
	}
	return 0;
}

static int by_pipe(const struct stream_produce *args)
{
	struct file *file = fget(args->fd);
	int err = 0;
	ssize_t n;
	u32 i;

	if (!file)
		return -EBADF;
	for (i = 0; i < args->nr && !err; i++) {
		n = kernel_write(file, records, args->length, NULL);
		if (n != args->length)
			err = n < 0 ? n : -ENOSPC;
	}
	fput(file);
	return err;
}

#ifdef CONFIG_RELAY
static struct rchan *channel;

/* The first word of a part is the number of bytes that are not used in it. */
static int part_begins(struct rchan_buf *buf, void *subbuf, void *prev_subbuf,
		       size_t prev_padding)
{
	if (prev_subbuf)
		*(u64 *)prev_subbuf = prev_padding;
	if (relay_buf_full(buf))
		return 0;
	subbuf_start_reserve(buf, sizeof(u64));
	return 1;
}

static struct dentry *make_file(const char *name, struct dentry *parent,
				umode_t mode, struct rchan_buf *buf,
				int *is_global)
{
	/* The other one does not let it be mapped. */
	return debugfs_create_file_unsafe(name, mode, parent, buf,
					  &relay_file_operations);
}

static int remove_file(struct dentry *dentry)
{
	debugfs_remove(dentry);
	return 0;
}

static const struct rchan_callbacks callbacks = {
	.subbuf_start = part_begins,
	.create_buf_file = make_file,
	.remove_buf_file = remove_file,
};

static int open_channel(void)
{
	channel = relay_open("kubuf-bench", NULL, STREAM_PART, STREAM_PARTS,
			     &callbacks, NULL);
	return channel ? 0 : -ENOMEM;
}

static void close_channel(void)
{
	relay_close(channel);
}

/* It has no records: who needs their lengths writes them. */
static int by_relay(u32 nr, u32 length)
{
	struct kubuf_record *record;

	while (nr--) {
		record = relay_reserve(channel, sizeof(*record) + length);
		if (!record)
			return -ENOSPC;
		*record = (struct kubuf_record){ .length = length };
	}
	relay_flush(channel);
	return 0;
}

static int consumed(unsigned long nr)
{
	relay_subbufs_consumed(channel, 0, nr);
	return 0;
}
#else
static int open_channel(void)
{
	return 0;
}

static void close_channel(void)
{
}

static int by_relay(u32 nr, u32 length)
{
	return -EOPNOTSUPP;
}

static int consumed(unsigned long nr)
{
	return -EOPNOTSUPP;
}
#endif

static int produce(const struct stream_produce *args)
{
	if (args->length > PAGE_SIZE)
		return -EINVAL;
	switch (args->way) {
	case STREAM_BY_RING:
		return by_ring(args->nr, args->length);
	case STREAM_BY_RING_BATCH:
		return by_ring_batch(args->nr, args->length);
	case STREAM_BY_RELAY:
		return by_relay(args->nr, args->length);
	case STREAM_BY_PIPE:
		return by_pipe(args);
	case STREAM_BY_READ:
		nr_ready = args->nr;
		record_length = args->length;
		return 0;
	default:
		return -EINVAL;
	}
}

static long stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct stream_produce args;

	switch (cmd) {
	case STREAM_PRODUCE:
		if (copy_from_user(&args, (void __user *)arg, sizeof(args)))
			return -EFAULT;
		return produce(&args);
	case STREAM_CONSUMED:
		return consumed(arg);
	default:
		return -ENOTTY;
	}
}

/* A record a call. */
static ssize_t stream_read(struct file *file, char __user *to, size_t count,
			   loff_t *pos)
{
	if (!nr_ready)
		return 0;
	if (count < record_length)
		return -EINVAL;
	if (copy_to_user(to, records, record_length))
		return -EFAULT;
	nr_ready--;
	return record_length;
}

static const struct file_operations stream_fops = {
	.owner = THIS_MODULE,
	.read = stream_read,
	.unlocked_ioctl = stream_ioctl,
};

static struct miscdevice stream_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-bench-stream",
	.fops = &stream_fops,
	.mode = 0600,
};

static int __init stream_init(void)
{
	int err;

	records = vzalloc(PAGE_SIZE);
	if (!records)
		return -ENOMEM;
	ring = kubuf_ring_create(STREAM_SIZE, KUBUF_BACKING_VMALLOC, 0,
				 NUMA_NO_NODE);
	if (IS_ERR(ring)) {
		err = PTR_ERR(ring);
		goto err_records;
	}
	err = kubuf_register(ring->buf, "bench-ring", 0600);
	if (err)
		goto err_ring;
	err = open_channel();
	if (err)
		goto err_node;
	err = misc_register(&stream_misc);
	if (err)
		goto err_channel;
	return 0;

err_channel:
	close_channel();
err_node:
	kubuf_unregister(ring->buf);
err_ring:
	kubuf_ring_put(ring);
err_records:
	vfree(records);
	return err;
}
module_init(stream_init);

static void __exit stream_exit(void)
{
	misc_deregister(&stream_misc);
	close_channel();
	kubuf_unregister(ring->buf);
	kubuf_ring_put(ring);
	vfree(records);
}
module_exit(stream_exit);

MODULE_DESCRIPTION("Records by a ring of kubuf and by its peers");
MODULE_LICENSE("GPL");
