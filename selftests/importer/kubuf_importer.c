// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands for a device that is given a dma-buf: for the tests alone. Without an
 * IOMMU its bus addresses are physical ones, so that the processor can do what
 * the device would.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../../driver/compat.h"
#include "kubuf_importer.h"

/* The state of a file; its lock is held in each call. */
struct importer {
	struct mutex lock;	/* all of it */
	struct dma_buf_attachment *attachment;
	struct sg_table *sgt;
	enum dma_data_direction direction;
};

static struct platform_device *device;

static int attach(struct importer *imp, const struct importer_args *args)
{
	struct dma_buf *dmabuf;
	int err;

	if (imp->attachment)
		return -EBUSY;
	dmabuf = dma_buf_get(args->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	imp->attachment = dma_buf_attach(dmabuf, &device->dev);
	err = PTR_ERR_OR_ZERO(imp->attachment);
	if (err) {
		imp->attachment = NULL;
		dma_buf_put(dmabuf);
	}
	return err;
}

static int map(struct importer *imp, struct importer_args *args)
{
	struct scatterlist *sg;
	unsigned int i;
	int err;

	if (!imp->attachment || imp->sgt)
		return -EBUSY;
	imp->direction = args->direction;
	imp->sgt = dma_buf_map_attachment_unlocked(imp->attachment,
						   imp->direction);
	err = PTR_ERR_OR_ZERO(imp->sgt);
	if (err) {
		imp->sgt = NULL;
		return err;
	}
	args->nr = imp->sgt->nents;
	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		if (i == IMPORTER_PIECES)
			break;
		args->pieces[i].address = sg_dma_address(sg);
		args->pieces[i].length = sg_dma_len(sg);
	}
	return 0;
}

static int unmap(struct importer *imp)
{
	if (!imp->sgt)
		return -EINVAL;
	dma_buf_unmap_attachment_unlocked(imp->attachment, imp->sgt,
					  imp->direction);
	imp->sgt = NULL;
	return 0;
}

static u64 sum(const u8 *p, size_t n)
{
	u64 s = 0;

	while (n--)
		s += *p++;
	return s;
}

/* What the device would put on the bus. */
static int access_by_device(struct importer *imp, struct importer_args *args,
			    bool write)
{
	struct scatterlist *sg;
	unsigned int i;
	void *p;

	if (!imp->sgt)
		return -EINVAL;
	args->sum = 0;
	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		p = phys_to_virt(sg_dma_address(sg));
		if (write)
			memset(p, args->byte, sg_dma_len(sg));
		else
			args->sum += sum(p, sg_dma_len(sg));
	}
	return 0;
}

static int access_by_cpu(struct importer *imp, struct importer_args *args,
			 bool write)
{
	enum dma_data_direction dir = write ? DMA_BIDIRECTIONAL :
					      DMA_FROM_DEVICE;
	struct dma_buf *dmabuf;
	struct iosys_map map;
	int err;

	if (!imp->attachment)
		return -EINVAL;
	dmabuf = imp->attachment->dmabuf;
	err = dma_buf_begin_cpu_access(dmabuf, dir);
	if (err)
		return err;
	err = dma_buf_vmap_unlocked(dmabuf, &map);
	if (err)
		goto out_end;
	if (write)
		memset(map.vaddr, args->byte, dmabuf->size);
	else
		args->sum = sum(map.vaddr, dmabuf->size);
	dma_buf_vunmap_unlocked(dmabuf, &map);
out_end:
	return dma_buf_end_cpu_access(dmabuf, dir) ?: err;
}

static int command(struct importer *imp, unsigned int cmd,
		   struct importer_args *args)
{
	switch (cmd) {
	case IMPORTER_ATTACH:
		return attach(imp, args);
	case IMPORTER_MAP:
		return map(imp, args);
	case IMPORTER_UNMAP:
		return unmap(imp);
	case IMPORTER_WRITE:
	case IMPORTER_READ:
		return access_by_device(imp, args, cmd == IMPORTER_WRITE);
	case IMPORTER_STORE:
	case IMPORTER_LOAD:
		return access_by_cpu(imp, args, cmd == IMPORTER_STORE);
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct importer *imp = file->private_data;
	struct importer_args *args;
	long err;

	args = memdup_user(uarg, sizeof(*args));
	if (IS_ERR(args))
		return PTR_ERR(args);
	mutex_lock(&imp->lock);
	err = command(imp, cmd, args);
	mutex_unlock(&imp->lock);
	if (!err && copy_to_user(uarg, args, sizeof(*args)))
		err = -EFAULT;
	kfree(args);
	return err;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *imp = kzalloc_obj(*imp, GFP_KERNEL);

	if (!imp)
		return -ENOMEM;
	mutex_init(&imp->lock);
	file->private_data = imp;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *imp = file->private_data;
	struct dma_buf *dmabuf;

	unmap(imp);
	if (imp->attachment) {
		dmabuf = imp->attachment->dmabuf;
		dma_buf_detach(dmabuf, imp->attachment);
		dma_buf_put(dmabuf);
	}
	kfree(imp);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-importer",
	.mode = 0600,
	.fops = &importer_fops,
};

static int __init importer_init(void)
{
	int err;

	device = platform_device_register_simple("kubuf-importer", -1, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	err = dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_device;
	err = misc_register(&importer);
	if (err)
		goto err_device;
	return 0;

err_device:
	platform_device_unregister(device);
	return err;
}
module_init(importer_init);

static void __exit importer_exit(void)
{
	misc_deregister(&importer);
	platform_device_unregister(device);
}
module_exit(importer_exit);

MODULE_DESCRIPTION("A device that is given a dma-buf, for the tests of kubuf");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
