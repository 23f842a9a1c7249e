// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest driver with a buffer: its own node, /dev/kubuf-minimal, maps it.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kubuf.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/string.h>

static struct kubuf *buffer;

static int minimal_mmap(struct file *file, struct vm_area_struct *vma)
{
	return kubuf_mmap(buffer, vma);
}

static const struct file_operations minimal_fops = {
	.owner = THIS_MODULE,
	.mmap = minimal_mmap,
};

static struct miscdevice minimal = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-minimal",
	.fops = &minimal_fops,
};

static int __init minimal_init(void)
{
	size_t len = PAGE_SIZE;
	int err;

	buffer = kubuf_create(len, KUBUF_BACKING_VMALLOC, 0, NUMA_NO_NODE);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	strscpy(kubuf_kaddr(buffer, 0, &len), "Hello from the kernel\n", len);

	/* Last: from here on it may be in use. */
	err = misc_register(&minimal);
	if (err)
		kubuf_put(buffer);
	return err;
}
module_init(minimal_init);

static void __exit minimal_exit(void)
{
	misc_deregister(&minimal);
	kubuf_put(buffer);
}
module_exit(minimal_exit);

MODULE_DESCRIPTION("The smallest driver with a buffer of kubuf");
MODULE_LICENSE("GPL");
