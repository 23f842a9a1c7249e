// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer, or a part of it, as a dma-buf: for devices, and for whatever else
 * takes a dma-buf.
 *
 * The dma-buf has a file of the buffer of its own, which keeps the buffer, its
 * address_space and the module.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/page-flags.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kubuf.h"
#include "trace.h"

/**
 * struct part - what a dma-buf was made of
 * @file: a file of the buffer
 * @start: index of the first page
 * @nr: pages
 * @writable: made with KUBUF_EXPORT_WRITE
 * @lock: protects the list and what it links
 * @attachments: devices
 */
struct part {
	struct file *file;
	unsigned long start;
	unsigned long nr;
	bool writable;
	struct mutex lock;	/* attachments */
	struct list_head attachments;
};

/**
 * struct attachment - a device
 * @dev: the device
 * @list: link of all of a dma-buf
 * @sgt: what the device was given, or %NULL; protected by lock of the part
 */
struct attachment {
	struct device *dev;
	struct list_head list;
	struct sg_table *sgt;
};

/* A buffer is not sealed while there is a dma-buf to write to. */
static int get_writer(struct kubuf *buf)
{
	int err = 0;

	mutex_lock(&buf->file_lock);
	if (buf->seals & KUBUF_SEAL_WRITE)
		err = -EPERM;
	else
		buf->nr_writers++;
	mutex_unlock(&buf->file_lock);
	return err;
}

static void put_writer(struct kubuf *buf)
{
	mutex_lock(&buf->file_lock);
	buf->nr_writers--;
	mutex_unlock(&buf->file_lock);
}

static bool is_sound(const struct part *part)
{
	const struct kubuf *buf = kubuf_of(part->file);
	unsigned long i;

	for (i = 0; i < part->nr; i++)
		if (PageHWPoison(kubuf_page(buf, part->start + i)))
			return false;
	return true;
}

/* The pages in a row, to be freed with kvfree(). */
static struct page **make_row(const struct part *part)
{
	const struct kubuf *buf = kubuf_of(part->file);
	struct page **row;
	unsigned long i;

	/* For a terabyte the core would warn of the size. */
	row = kvmalloc_array(part->nr, sizeof(*row), GFP_KERNEL | __GFP_NOWARN);
	for (i = 0; row && i < part->nr; i++)
		row[i] = kubuf_page(buf, part->start + i);
	return row;
}

static int part_attach(struct dma_buf *dmabuf,
		       struct dma_buf_attachment *attachment)
{
	struct part *part = dmabuf->priv;
	struct attachment *a;

	a = kzalloc_obj(*a, GFP_KERNEL);
	if (!a)
		return -ENOMEM;
	a->dev = attachment->dev;
	attachment->priv = a;

	mutex_lock(&part->lock);
	list_add(&a->list, &part->attachments);
	mutex_unlock(&part->lock);
	return 0;
}

static void part_detach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attachment)
{
	struct part *part = dmabuf->priv;
	struct attachment *a = attachment->priv;

	mutex_lock(&part->lock);
	list_del(&a->list);
	mutex_unlock(&part->lock);
	kfree(a);
}

static struct sg_table *part_map(struct dma_buf_attachment *attachment,
				 enum dma_data_direction dir)
{
	struct part *part = attachment->dmabuf->priv;
	struct attachment *a = attachment->priv;
	struct sg_table *sgt;
	struct page **row;
	int err;

	if (dir != DMA_TO_DEVICE && !part->writable)
		return ERR_PTR(-EPERM);
	if (!is_sound(part))
		return ERR_PTR(-EIO);
	sgt = kzalloc_obj(*sgt, GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	err = -ENOMEM;
	row = make_row(part);
	if (!row)
		goto err_free;
	err = sg_alloc_table_from_pages(sgt, row, part->nr, 0,
					part->nr << PAGE_SHIFT, GFP_KERNEL);
	kvfree(row);
	if (err)
		goto err_free;
	err = dma_map_sgtable(a->dev, sgt, dir, 0);
	if (err)
		goto err_table;

	mutex_lock(&part->lock);
	a->sgt = sgt;
	mutex_unlock(&part->lock);
	trace_kubuf_pin(kubuf_of(part->file), part->start, part->nr,
			dev_name(a->dev));
	return sgt;

err_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(err);
}

static void part_unmap(struct dma_buf_attachment *attachment,
		       struct sg_table *sgt, enum dma_data_direction dir)
{
	struct part *part = attachment->dmabuf->priv;
	struct attachment *a = attachment->priv;

	mutex_lock(&part->lock);
	a->sgt = NULL;
	mutex_unlock(&part->lock);

	trace_kubuf_unpin(kubuf_of(part->file), part->start, part->nr,
			  dev_name(a->dev));
	dma_unmap_sgtable(a->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(sgt);
}

static int part_begin_cpu_access(struct dma_buf *dmabuf,
				 enum dma_data_direction dir)
{
	struct part *part = dmabuf->priv;
	struct attachment *a;

	mutex_lock(&part->lock);
	list_for_each_entry(a, &part->attachments, list)
		if (a->sgt)
			dma_sync_sgtable_for_cpu(a->dev, a->sgt, dir);
	mutex_unlock(&part->lock);
	return 0;
}

static int part_end_cpu_access(struct dma_buf *dmabuf,
			       enum dma_data_direction dir)
{
	struct part *part = dmabuf->priv;
	struct attachment *a;

	mutex_lock(&part->lock);
	list_for_each_entry(a, &part->attachments, list)
		if (a->sgt)
			dma_sync_sgtable_for_device(a->dev, a->sgt, dir);
	mutex_unlock(&part->lock);
	return 0;
}

/*
 * The range and the mode have been checked. The VMA keeps the file of the
 * dma-buf: through that of the buffer, remap_file_pages() would lead out of the
 * part.
 */
static int part_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct part *part = dmabuf->priv;

	vma->vm_pgoff += part->start;
	return vfs_mmap(part->file, vma);
}

static int part_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct part *part = dmabuf->priv;
	const struct kubuf *buf = kubuf_of(part->file);
	struct page **row;
	void *kaddr;

	if (!is_sound(part))
		return -EIO;
	if (buf->kaddr) {
		iosys_map_set_vaddr(map,
				    buf->kaddr + (part->start << PAGE_SHIFT));
		return 0;
	}
	row = make_row(part);
	if (!row)
		return -ENOMEM;
	kaddr = vmap(row, part->nr, VM_MAP, PAGE_KERNEL);
	kvfree(row);
	if (!kaddr)
		return -ENOMEM;
	iosys_map_set_vaddr(map, kaddr);
	return 0;
}

static void part_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct part *part = dmabuf->priv;

	if (!kubuf_of(part->file)->kaddr)
		vunmap(map->vaddr);
}

static void part_release(struct dma_buf *dmabuf)
{
	struct part *part = dmabuf->priv;

	if (part->writable)
		put_writer(kubuf_of(part->file));
	fput(part->file);
	kfree(part);
}

static const struct dma_buf_ops part_ops = {
	.attach = part_attach,
	.detach = part_detach,
	.map_dma_buf = part_map,
	.unmap_dma_buf = part_unmap,
	.begin_cpu_access = part_begin_cpu_access,
	.end_cpu_access = part_end_cpu_access,
	.mmap = part_mmap,
	.vmap = part_vmap,
	.vunmap = part_vunmap,
	.release = part_release,
};

/* No vmap(): nothing says whether who asks for it is going to write. */
static const struct dma_buf_ops read_only_part_ops = {
	.attach = part_attach,
	.detach = part_detach,
	.map_dma_buf = part_map,
	.unmap_dma_buf = part_unmap,
	.begin_cpu_access = part_begin_cpu_access,
	.end_cpu_access = part_end_cpu_access,
	.mmap = part_mmap,
	.release = part_release,
};

/* The part that is asked for, without its file. */
static struct part *make_part(const struct kubuf *buf,
			      const struct kubuf_export *args)
{
	u64 size = kubuf_size(buf);
	struct part *part;

	if (args->flags & ~KUBUF_EXPORT_WRITE ||
	    !PAGE_ALIGNED(args->offset) || !PAGE_ALIGNED(args->length) ||
	    args->offset >= size || args->length > size - args->offset)
		return ERR_PTR(-EINVAL);

	part = kzalloc_obj(*part, GFP_KERNEL_ACCOUNT);
	if (!part)
		return ERR_PTR(-ENOMEM);
	part->start = args->offset >> PAGE_SHIFT;
	part->nr = (args->length ?: size - args->offset) >> PAGE_SHIFT;
	part->writable = args->flags & KUBUF_EXPORT_WRITE;
	mutex_init(&part->lock);
	INIT_LIST_HEAD(&part->attachments);
	return part;
}

/**
 * kubuf_export() - make a dma-buf of a buffer, or of a part of it
 * @file: file of the buffer
 * @args: what part; from user space, unchecked
 *
 * Context: process context; sleeps.
 * Return: a file descriptor of the dma-buf, or
 * * %-EINVAL: a field of @args is wrong, or past the end
 * * %-EACCES: to be written, and @file is not open for that
 * * %-EPERM: to be written, and the buffer is sealed
 * * %-EMFILE: no file descriptor left
 * * %-ENFILE: too many files in the system
 * * %-ENOMEM: no memory
 */
int kubuf_export(struct file *file, const struct kubuf_export *args)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct kubuf *buf = kubuf_of(file);
	struct dma_buf *dmabuf;
	struct part *part;
	int err, fd;

	part = make_part(buf, args);
	if (IS_ERR(part))
		return PTR_ERR(part);
	err = -EACCES;
	if (part->writable && !(file->f_mode & FMODE_WRITE))
		goto err_part;

	part->file = kubuf_file_create(buf);
	err = PTR_ERR_OR_ZERO(part->file);
	if (err)
		goto err_part;
	err = part->writable ? get_writer(buf) : 0;
	if (err)
		goto err_file;

	info.ops = part->writable ? &part_ops : &read_only_part_ops;
	info.size = (size_t)part->nr << PAGE_SHIFT;
	info.flags = O_CLOEXEC | (part->writable ? O_RDWR : O_RDONLY);
	info.priv = part;
	dmabuf = dma_buf_export(&info);
	err = PTR_ERR_OR_ZERO(dmabuf);
	if (err)
		goto err_writer;

	/* All mappings of a buffer are in one place, and see its size. */
	dmabuf->file->f_mapping = part->file->f_mapping;

	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;

err_writer:
	if (part->writable)
		put_writer(buf);
err_file:
	fput(part->file);
err_part:
	kfree(part);
	return err;
}
MODULE_IMPORT_NS("DMA_BUF");
