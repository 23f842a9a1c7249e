// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two of kubuf's peers, for its benchmark only: how memory of the kernel was
 * mapped before, and how it is mapped most simply. Not an example: the ranges
 * of one are checked, who may open it is not, and read() and write() are not
 * there.
 *
 * remap: physically contiguous memory, mapped as a whole by mmap().
 * naive: each page at its first access, by itself.
 */
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define REMAP_SIZE	(4UL << 20)
#define NAIVE_SIZE	(32UL << 20)

static void *block;
static void *area;

static int remap_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long size = vma->vm_end - vma->vm_start;

	if (vma->vm_pgoff || size > REMAP_SIZE)
		return -EINVAL;
	return remap_pfn_range(vma, vma->vm_start,
			       virt_to_phys(block) >> PAGE_SHIFT, size,
			       vma->vm_page_prot);
}

static vm_fault_t naive_fault(struct vm_fault *vmf)
{
	if (vmf->pgoff >= NAIVE_SIZE >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	vmf->page = vmalloc_to_page(area + (vmf->pgoff << PAGE_SHIFT));
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct naive_vm_ops = {
	.fault = naive_fault,
};

static int naive_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &naive_vm_ops;
	return 0;
}

static const struct file_operations remap_fops = {
	.owner = THIS_MODULE,
	.mmap = remap_mmap,
};

static const struct file_operations naive_fops = {
	.owner = THIS_MODULE,
	.mmap = naive_mmap,
};

static struct miscdevice remap_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-bench-remap",
	.fops = &remap_fops,
	.mode = 0600,
};

static struct miscdevice naive_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-bench-naive",
	.fops = &naive_fops,
	.mode = 0600,
};

static int __init peers_init(void)
{
	int err = -ENOMEM;

	block = kzalloc(REMAP_SIZE, GFP_KERNEL);
	if (!block)
		return err;
	area = vmalloc_user(NAIVE_SIZE);
	if (!area)
		goto free_block;
	err = misc_register(&remap_misc);
	if (err)
		goto free_area;
	err = misc_register(&naive_misc);
	if (err)
		goto deregister;
	return 0;

deregister:
	misc_deregister(&remap_misc);
free_area:
	vfree(area);
free_block:
	kfree(block);
	return err;
}

static void __exit peers_exit(void)
{
	misc_deregister(&naive_misc);
	misc_deregister(&remap_misc);
	vfree(area);
	kfree(block);
}

module_init(peers_init);
module_exit(peers_exit);
MODULE_DESCRIPTION("Peers of kubuf, for its benchmark");
MODULE_LICENSE("GPL");
