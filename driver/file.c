// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of a buffer: how they come to be, and the way of copying to and
 * from it (read, write, splice).
 *
 * All files of one buffer, be they from the node or without a name, share one
 * address_space: that of an inode of a file system of the driver's own, which
 * carries the size. The inode of the node is of no use for that: its size is 0,
 * and whether pages can be pinned would depend on the file system it lies in.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/splice.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "kubuf.h"

#define KUBUF_FS_MAGIC	0x4b554246	/* "KUBF" */

/* Of a number of 64 bits. */
#define MAX_ID_DIGITS	20

/* What /proc/PID/fd and maps show. */
static char *kubuf_dname(struct dentry *dentry, char *buffer, int len)
{
	char name[sizeof("/kubuf:") + MAX_ID_DIGITS];
	int n = scnprintf(name, sizeof(name), "/kubuf:%llu",
			  (u64)d_inode(dentry)->i_ino) + 1;

	if (len < n)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + len - n, name, n);
}

static const struct dentry_operations kubuf_dentry_ops = {
	.d_dname = kubuf_dname,
};

static int kubuf_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, KUBUF_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->dops = &kubuf_dentry_ops;
	return 0;
}

/*
 * Mounted as long as there are files, of buffers or of the control device, so
 * that it holds the module just as long as these do, and an idle node does not
 * keep it from being unloaded.
 */
static struct file_system_type kubuf_fs = {
	.owner = THIS_MODULE,
	.name = "kubuf",
	.init_fs_context = kubuf_init_fs_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *kubuf_mnt;
static int kubuf_mnt_count;

/**
 * kubuf_fs_get() - mount the file system of the buffers, or keep it mounted
 *
 * Mounting is half of what a small buffer costs: who makes many does it once.
 *
 * Context: process context; sleeps.
 * Return: 0, or -ENOMEM.
 */
int kubuf_fs_get(void)
{
	return simple_pin_fs(&kubuf_fs, &kubuf_mnt, &kubuf_mnt_count);
}

/**
 * kubuf_fs_put() - undo kubuf_fs_get()
 *
 * Context: process context; sleeps.
 */
void kubuf_fs_put(void)
{
	simple_release_fs(&kubuf_mnt, &kubuf_mnt_count);
}

/* The size is fixed, and what is refused is never half done. */
static int kubuf_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			 struct iattr *attr)
{
	return -EINVAL;
}

static const struct inode_operations kubuf_inode_ops = {
	.setattr = kubuf_setattr,
};

/* Count a file, and make the inode for the first. */
static int get_inode(struct kubuf *buf)
{
	struct inode *inode;
	int err = 0;

	mutex_lock(&buf->file_lock);
	if (buf->nr_files)
		goto out_count;

	err = kubuf_fs_get();
	if (err)
		goto out_unlock;
	inode = alloc_anon_inode(kubuf_mnt->mnt_sb);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		kubuf_fs_put();
		goto out_unlock;
	}
	inode->i_ino = buf->id;
	inode->i_mode |= S_IFREG;
	inode->i_op = &kubuf_inode_ops;
	inode->i_fop = &kubuf_fops;
	inode->i_private = buf;
	/* What a mapping writes is not seen, so that times would be wrong. */
	inode->i_flags |= S_NOCMTIME;
	i_size_write(inode, kubuf_size(buf));
	buf->inode = inode;

out_count:
	buf->nr_files++;
out_unlock:
	mutex_unlock(&buf->file_lock);
	return err;
}

static void put_inode(struct kubuf *buf)
{
	struct inode *inode = NULL;

	mutex_lock(&buf->file_lock);
	if (!--buf->nr_files) {
		kubuf_disown(buf);
		inode = buf->inode;
		buf->inode = NULL;
		/* One who came by /proc/PID/fd may still have the inode. */
		spin_lock(&inode->i_lock);
		inode->i_private = NULL;
		spin_unlock(&inode->i_lock);
	}
	mutex_unlock(&buf->file_lock);

	if (inode) {
		iput(inode);
		kubuf_fs_put();
	}
}

/* What a file has of a buffer: the last goes before the driver's module can. */
static void put_buffer(struct kubuf *buf)
{
	struct module *owner = buf->owner;

	kubuf_put(buf);
	module_put(owner);
}

/* Count a file that comes by way of the inode, if there still is a buffer. */
static struct kubuf *get_by_inode(struct inode *inode)
{
	struct kubuf *buf;

	/* Up to here there is a file, which holds the driver's module. */
	spin_lock(&inode->i_lock);
	buf = inode->i_private;
	if (buf && !try_module_get(buf->owner))
		buf = NULL;
	if (buf)
		kubuf_get(buf);
	spin_unlock(&inode->i_lock);
	if (!buf)
		return ERR_PTR(-ENXIO);

	mutex_lock(&buf->file_lock);
	if (buf->inode == inode) {
		buf->nr_files++;
		mutex_unlock(&buf->file_lock);
		return buf;
	}
	mutex_unlock(&buf->file_lock);
	put_buffer(buf);
	return ERR_PTR(-ENXIO);
}

/* Of a file that was counted and has a reference to the buffer. */
static void init_file(struct file *file, struct kubuf *buf,
		      struct kubuf_file *kfile)
{
	kfile->buf = buf;
	kfile->seen = atomic64_read(&buf->sequence);
	INIT_LIST_HEAD(&kfile->watchers);

	file->private_data = kfile;
	file->f_mapping = buf->inode->i_mapping;
	file->f_wb_err = filemap_sample_wb_err(file->f_mapping);
	/* Nothing but the memory of the caller is ever waited for. */
	file->f_mode |= FMODE_NOWAIT;
	/* The pages are on no LRU list: who unmaps need not mark them used. */
	file->f_mode |= FMODE_NOREUSE;
}

static int kubuf_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;
	struct kubuf_file *kfile;
	struct kubuf *buf;
	int err;

	kfile = kzalloc_obj(*kfile, GFP_KERNEL_ACCOUNT);
	if (!kfile)
		return -ENOMEM;

	if (misc) {
		/* misc_mtx keeps the node, and the node keeps the buffer. */
		buf = container_of(misc, struct kubuf, misc);
		err = -ENODEV;
		if (!try_module_get(buf->owner))
			goto err_free;
		kubuf_get(buf);
		err = get_inode(buf);
		if (err)
			goto err_buffer;
	} else {
		buf = get_by_inode(inode);
		err = PTR_ERR_OR_ZERO(buf);
		if (err)
			goto err_free;
	}
	init_file(file, buf, kfile);
	return 0;

err_buffer:
	put_buffer(buf);
err_free:
	kfree(kfile);
	return err;
}

static int kubuf_release(struct inode *inode, struct file *file)
{
	struct kubuf_file *kfile = file->private_data;
	struct kubuf *buf = kfile->buf;

	kubuf_clear_eventfd(kfile);
	kfree(kfile);
	put_inode(buf);
	put_buffer(buf);
	return 0;
}

/**
 * kubuf_file_create() - make a file for a buffer
 * @buf: buffer of which the caller has a reference
 *
 * The file takes a reference of its own, and one to the module, and to that of
 * the driver, which can't be unloaded while it calls this.
 *
 * Context: process context; sleeps.
 * Return: the file, or
 * * %-ENFILE: too many files in the system
 * * %-ENOMEM: no memory
 */
struct file *kubuf_file_create(struct kubuf *buf)
{
	struct kubuf_file *kfile;
	struct file *file;
	int err;

	kfile = kzalloc_obj(*kfile, GFP_KERNEL_ACCOUNT);
	if (!kfile)
		return ERR_PTR(-ENOMEM);
	kubuf_get(buf);
	__module_get(buf->owner);
	err = get_inode(buf);
	if (err)
		goto err_buffer;

	/* The file gives back one reference to the inode and to the module. */
	ihold(buf->inode);
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(buf->inode, kubuf_mnt, "",
				 O_RDWR | O_LARGEFILE, &kubuf_fops);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_inode;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	init_file(file, buf, kfile);
	return file;

err_inode:
	module_put(THIS_MODULE);
	iput(buf->inode);
	put_inode(buf);
err_buffer:
	put_buffer(buf);
	kfree(kfile);
	return ERR_PTR(err);
}

static loff_t kubuf_llseek(struct file *file, loff_t offset, int whence)
{
	struct kubuf *buf = kubuf_of(file);
	loff_t size = kubuf_size(buf);

	return generic_file_llseek_size(file, offset, whence, size, size);
}

/* No lock: a mapping could write at any moment too. */
static ssize_t copy(const struct kubuf *buf, struct kiocb *iocb,
		    struct iov_iter *iter, bool to_buffer)
{
	ssize_t done = 0;

	while (iov_iter_count(iter) && iocb->ki_pos < kubuf_size(buf)) {
		size_t n = min_t(size_t, iov_iter_count(iter), PMD_SIZE);
		size_t copied;
		void *kaddr;

		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();

		kaddr = kubuf_kaddr(buf, iocb->ki_pos, &n);
		if (!kaddr)
			return done ?: -EIO;
		copied = to_buffer ? copy_from_iter(kaddr, n, iter) :
				     copy_to_iter(kaddr, n, iter);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < n)
			return done ?: -EFAULT;
	}
	return done;
}

static ssize_t kubuf_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return copy(kubuf_of(iocb->ki_filp), iocb, to, false);
}

static ssize_t kubuf_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct kubuf *buf = kubuf_of(iocb->ki_filp);

	if (!iov_iter_count(from))
		return 0;
	if (READ_ONCE(buf->seals) & KUBUF_SEAL_WRITE)
		return -EPERM;
	if (iocb->ki_pos >= kubuf_size(buf))
		return -ENOSPC;
	return copy(buf, iocb, from, true);
}

static int ioctl_info(struct kubuf_file *kfile, void __user *uarg)
{
	struct kubuf_info info;
	int size, err;

	size = kubuf_copy_args(&info, sizeof(info), uarg);
	if (size < 0)
		return size;
	kubuf_fill_info(kfile->buf, &info);
	err = copy_struct_to_user(uarg, size, &info, sizeof(info), NULL);
	if (!err)
		WRITE_ONCE(kfile->seen, info.sequence);
	return err;
}

static int ioctl_notify(struct file *file, void __user *uarg)
{
	struct kubuf_notify args;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	if (args.flags)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	kubuf_notify(kubuf_of(file));
	return 0;
}

static int ioctl_eventfd(struct kubuf_file *kfile, void __user *uarg)
{
	struct kubuf_eventfd args;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	if (args.flags || args.__reserved)
		return -EINVAL;
	if (args.fd != -1)
		return kubuf_set_eventfd(kfile, args.fd);
	kubuf_clear_eventfd(kfile);
	return 0;
}

static int ioctl_seal(struct file *file, void __user *uarg)
{
	struct kubuf *buf = kubuf_of(file);
	struct kubuf_seal args;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	if (args.seals & ~KUBUF_SEAL_WRITE)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;

	mutex_lock(&buf->file_lock);
	if (args.seals & KUBUF_SEAL_WRITE && buf->nr_writers)
		err = -EBUSY;
	else
		WRITE_ONCE(buf->seals, buf->seals | args.seals);
	mutex_unlock(&buf->file_lock);
	return err < 0 ? err : 0;
}

static int ioctl_export(struct file *file, void __user *uarg)
{
	struct kubuf_export args;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	return kubuf_export(file, &args);
}

static long kubuf_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case KUBUF_INFO:
		return ioctl_info(file->private_data, uarg);
	case KUBUF_NOTIFY:
		return ioctl_notify(file, uarg);
	case KUBUF_EVENTFD:
		return ioctl_eventfd(file->private_data, uarg);
	case KUBUF_SEAL:
		return ioctl_seal(file, uarg);
	case KUBUF_EXPORT:
		return ioctl_export(file, uarg);
	default:
		return -ENOTTY;
	}
}

static void kubuf_show_fdinfo(struct seq_file *seq, struct file *file)
{
	struct kubuf *buf = kubuf_of(file);

	seq_printf(seq, "kubuf-id:\t%llu\n", buf->id);
	if (buf->name[0])
		seq_printf(seq, "kubuf-name:\t%s\n", buf->name);
	seq_printf(seq, "kubuf-backing:\t%s\n",
		   kubuf_backing_name(buf->backing));
	seq_printf(seq, "kubuf-length:\t%lld\n", kubuf_size(buf));
	seq_printf(seq, "kubuf-mappings:\t%d\n",
		   atomic_read(&buf->nr_mappings));
	seq_printf(seq, "kubuf-reserved:\t%d\n", buf->reserved);
	seq_printf(seq, "kubuf-sequence:\t%lld\n",
		   atomic64_read(&buf->sequence));
	seq_printf(seq, "kubuf-seals:\t%#x\n", READ_ONCE(buf->seals));
}

const struct file_operations kubuf_fops = {
	.owner = THIS_MODULE,
	.open = kubuf_open,
	.release = kubuf_release,
	.llseek = kubuf_llseek,
	.read_iter = kubuf_read_iter,
	.write_iter = kubuf_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.fsync = noop_fsync,
	.poll = kubuf_poll,
	.unlocked_ioctl = kubuf_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = kubuf_show_fdinfo,
	.get_unmapped_area = thp_get_unmapped_area,
	COMPAT_MMAP
};
