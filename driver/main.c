// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module, its control device, and the named buffers.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cacheinfo.h>
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "kubuf.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Named buffers: at most one of a name, whatever its state. */
static DEFINE_MUTEX(names_lock);
static LIST_HEAD(names);
static unsigned long nr_live;		/* of them, in state KUBUF_LIVE */

static char *buffers;
module_param(buffers, charp, 0444);
MODULE_PARM_DESC(buffers,
		 "Named buffers to make: NAME:SIZE[:BACKING],... (SIZE with K, M, G; BACKING kmalloc, pages, vmalloc, huge; default vmalloc)");

module_param_named(limit_mb, kubuf_limit_mb, ulong, 0644);
MODULE_PARM_DESC(limit_mb,
		 "MiB that all buffers together may take (default: half of the memory)");

module_param_named(window, kubuf_window, uint, 0644);
MODULE_PARM_DESC(window,
		 "The most pages that one fault maps (default 128)");

module_param_named(pfn_window, kubuf_pfn_window, uint, 0644);
MODULE_PARM_DESC(pfn_window,
		 "The same for mappings by frame number (default 512)");

static struct kubuf *find_name(const char *name)
{
	struct kubuf *buf;

	lockdep_assert_held(&names_lock);

	list_for_each_entry(buf, &names, names)
		if (!strcmp(buf->name, name))
			return buf;
	return NULL;
}

/* Take the name, which is then nobody else's; the node comes later. */
static int reserve_name(struct kubuf *buf)
{
	int err = 0;

	/* Would be the node of the control device. */
	if (!strcmp(buf->name, "control"))
		return -EEXIST;

	mutex_lock(&names_lock);
	if (find_name(buf->name))
		err = -EEXIST;
	else
		list_add_tail(&buf->names, &names);
	mutex_unlock(&names_lock);
	return err;
}

static void release_name(struct kubuf *buf)
{
	mutex_lock(&names_lock);
	list_del_init(&buf->names);
	mutex_unlock(&names_lock);
}

/*
 * Make the node of a buffer whose name is reserved. The node takes the
 * caller's reference.
 */
static int add_node(struct kubuf *buf)
{
	int err;

	/* All misc devices share one directory in sysfs: hence the prefix. */
	snprintf(buf->misc_name, sizeof(buf->misc_name), "kubuf-%s", buf->name);
	snprintf(buf->node_name, sizeof(buf->node_name), "kubuf/%s", buf->name);
	buf->misc.minor = MISC_DYNAMIC_MINOR;
	buf->misc.name = buf->misc_name;
	buf->misc.nodename = buf->node_name;
	buf->misc.mode = buf->mode;
	buf->misc.fops = &kubuf_fops;

	err = misc_register(&buf->misc);
	if (err)
		return err;

	mutex_lock(&names_lock);
	WRITE_ONCE(buf->state, KUBUF_LIVE);
	nr_live++;
	mutex_unlock(&names_lock);
	return 0;
}

/*
 * Take a node away. Its name is free when this returns, and not before: sysfs
 * would warn of two devices with one name.
 */
static void remove_node(struct kubuf *buf)
{
	trace_kubuf_destroy(buf);
	misc_deregister(&buf->misc);
	release_name(buf);
	kubuf_put(buf);
}

/* Take a live buffer out of reach of all others who would take its node away. */
static bool claim(struct kubuf *buf)
{
	lockdep_assert_held(&names_lock);

	if (buf->state != KUBUF_LIVE)
		return false;
	WRITE_ONCE(buf->state, KUBUF_DYING);
	nr_live--;
	return true;
}

/**
 * kubuf_register() - give a driver's buffer a node
 * @buf: the buffer, of kubuf_create() or kubuf_wrap()
 * @name: the node is /dev/kubuf/NAME
 * @mode: permission bits of the node, at most 0666; 0 is 0600
 *
 * A buffer has a node once in its life. It is for its driver to take it away:
 * KUBUF_DESTROY does not. The node can be opened as soon as it is there, and a
 * module that fails to load is freed whoever has a file of its: register last.
 *
 * Context: process context; sleeps. Not in a file operation that the misc
 * device of the driver's own calls, as there misc_mtx is held.
 * Return: 0, or
 *
 * * %-EINVAL: no name for a node, or @mode has other bits
 * * %-ENAMETOOLONG: KUBUF_NAME_SIZE bytes or more
 * * %-EEXIST: the name is taken
 * * %-EBUSY: the buffer has, or had, a node
 * * %-ENOMEM: no memory
 */
int kubuf_register(struct kubuf *buf, const char *name, umode_t mode)
{
	int err = kubuf_check_name(name);

	if (err)
		return err;
	if (mode & ~0666)
		return -EINVAL;
	if (buf->name[0])
		return -EBUSY;
	strscpy(buf->name, name, sizeof(buf->name));
	buf->mode = mode ?: 0600;

	err = reserve_name(buf);
	if (err)
		goto err_unnamed;
	kubuf_get(buf);
	err = add_node(buf);
	if (err)
		goto err_name;
	return 0;

err_name:
	kubuf_put(buf);
	release_name(buf);
err_unnamed:
	buf->name[0] = '\0';
	return err;
}
EXPORT_SYMBOL_GPL(kubuf_register);

/**
 * kubuf_unregister() - take the node of a driver's buffer away
 * @buf: the buffer; if it has no node, nothing is done
 *
 * Files that are open, and mappings, stay. No other can be opened when this
 * returns, and the name is free.
 *
 * Context: process context; sleeps. Not where misc_mtx is held, as for
 * kubuf_register().
 */
void kubuf_unregister(struct kubuf *buf)
{
	bool claimed;

	mutex_lock(&names_lock);
	claimed = claim(buf);
	mutex_unlock(&names_lock);
	if (claimed)
		remove_node(buf);
}
EXPORT_SYMBOL_GPL(kubuf_unregister);

/**
 * kubuf_copy_args() - copy the argument of an ioctl from user space
 * @args: where to put it; begins with its size
 * @size: bytes of @args, of which there is one version so far
 * @uarg: the argument
 *
 * Context: process context; sleeps, so that no lock may be held.
 * Return: the size that the caller gave, or
 * * %-EFAULT: can't be read
 * * %-EINVAL: smaller than @size
 * * %-E2BIG: larger, and not all zero there, or larger than a page
 */
int kubuf_copy_args(void *args, size_t size, void __user *uarg)
{
	u32 usize;
	int err;

	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	if (usize < size)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(args, size, uarg, usize);
	return err ?: usize;
}

static int ioctl_create(void __user *uarg)
{
	struct kubuf_create args;
	struct kubuf *buf;
	struct file *file;
	u64 length;
	int fd, err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;

	buf = kubuf_alloc(&args, true);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto err_put;
	}
	file = kubuf_file_create(buf);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_fd;
	}

	/* The node last: all else can still be undone. */
	length = kubuf_size(buf);
	err = -EFAULT;
	if (copy_to_user(uarg + offsetof(struct kubuf_create, length), &length,
			 sizeof(length)))
		goto err_file;
	if (!buf->name[0]) {
		kubuf_put(buf);
		goto out_install;
	}
	err = reserve_name(buf);
	if (err)
		goto err_file;
	err = add_node(buf);
	if (err)
		goto err_name;

out_install:
	fd_install(fd, file);
	return fd;

err_name:
	release_name(buf);
err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
err_put:
	kubuf_put(buf);
	return err;
}

static int ioctl_destroy(void __user *uarg)
{
	struct kubuf_destroy args;
	struct kubuf *buf;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	if (args.flags)
		return -EINVAL;
	err = kubuf_check_name(args.name);
	if (err)
		return err;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	mutex_lock(&names_lock);
	buf = find_name(args.name);
	if (buf && buf->of_driver)
		err = -EBUSY;
	else if (!buf || !claim(buf))
		err = -ENOENT;
	mutex_unlock(&names_lock);
	if (!err)
		remove_node(buf);
	return err;
}

/* Describe at most as many buffers as there is room for. */
static u32 fill_infos(struct kubuf_info *infos, u32 room, u32 *total)
{
	struct kubuf *buf;
	u32 nr = 0;

	mutex_lock(&names_lock);
	list_for_each_entry(buf, &names, names) {
		if (nr == room)
			break;
		if (buf->state == KUBUF_LIVE)
			kubuf_fill_info(buf, &infos[nr++]);
	}
	*total = nr_live;
	mutex_unlock(&names_lock);
	return nr;
}

static int ioctl_list(void __user *uarg)
{
	struct kubuf_list args;
	struct kubuf_info *infos;
	u32 room, nr, i;
	int err;

	err = kubuf_copy_args(&args, sizeof(args), uarg);
	if (err < 0)
		return err;
	if (args.flags || args.info_size < sizeof(*infos))
		return -EINVAL;
	if (args.info_size > PAGE_SIZE)
		return -E2BIG;

	/* Not what the caller says, which may be anything. */
	mutex_lock(&names_lock);
	room = min_t(unsigned long, args.count, nr_live);
	mutex_unlock(&names_lock);
	infos = kvcalloc(room, sizeof(*infos), GFP_KERNEL_ACCOUNT);
	if (room && !infos)
		return -ENOMEM;

	nr = fill_infos(infos, room, &args.count);
	err = 0;
	for (i = 0; i < nr; i++) {
		void __user *to = u64_to_user_ptr(args.infos) +
				  (size_t)i * args.info_size;

		err = copy_struct_to_user(to, args.info_size, &infos[i],
					  sizeof(infos[i]), NULL);
		if (err)
			goto out_free;
	}
	if (copy_to_user(uarg + offsetof(struct kubuf_list, count),
			 &args.count, sizeof(args.count)))
		err = -EFAULT;

out_free:
	kvfree(infos);
	return err;
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case KUBUF_CREATE:
		return ioctl_create(uarg);
	case KUBUF_DESTROY:
		return ioctl_destroy(uarg);
	case KUBUF_LIST:
		return ioctl_list(uarg);
	default:
		return -ENOTTY;
	}
}

static int control_open(struct inode *inode, struct file *file)
{
	return kubuf_fs_get();
}

static int control_release(struct inode *inode, struct file *file)
{
	kubuf_fs_put();
	return 0;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/*
 * Not named "kubuf": without memory for the path of the node the core makes it
 * of the name, and no directory could be made there any more.
 */
static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-control",
	.nodename = "kubuf/control",
	.mode = 0666,
	.fops = &control_fops,
};

/* A number of bytes, with K, M or G; memparse() would wrap silently. */
static int parse_size(char *text, u64 *size)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int shift = 0;
	int err;

	if (text[digits]) {
		switch (toupper(text[digits])) {
		case 'K':
			shift = 10;
			break;
		case 'M':
			shift = 20;
			break;
		case 'G':
			shift = 30;
			break;
		default:
			return -EINVAL;
		}
		if (text[digits + 1])
			return -EINVAL;
		text[digits] = '\0';
	}
	err = kstrtou64(text, 10, size);
	if (err)
		return err == -ERANGE ? -EFBIG : err;
	return check_shl_overflow(*size, shift, size) ? -EFBIG : 0;
}

/* One NAME:SIZE[:BACKING]. */
static int parse_buffer(char *spec, struct kubuf_create *args)
{
	char *name = strsep(&spec, ":");
	char *size = strsep(&spec, ":");
	int err;

	*args = (struct kubuf_create) {
		.size = sizeof(*args),
		.flags = KUBUF_CREATE_NAMED,
		.backing = KUBUF_BACKING_VMALLOC,
	};
	if (!size)
		return -EINVAL;
	if (strlen(name) >= sizeof(args->name))
		return -ENAMETOOLONG;
	strscpy(args->name, name, sizeof(args->name));
	err = parse_size(size, &args->length);
	if (err)
		return err;
	return spec ? kubuf_backing_parse(spec, &args->backing) : 0;
}

/* Make the buffers of the module parameter, without their nodes. */
static int make_buffers(void)
{
	struct kubuf_create args;
	char *copy, *rest, *spec;
	struct kubuf *buf;
	int err = 0;

	if (!buffers || !*buffers)
		return 0;
	copy = kstrdup(buffers, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	rest = copy;
	while ((spec = strsep(&rest, ","))) {
		err = parse_buffer(spec, &args);
		if (err)
			break;
		buf = kubuf_alloc(&args, false);
		if (IS_ERR(buf)) {
			err = PTR_ERR(buf);
			break;
		}
		/* modprobe takes -EEXIST for a module that is there already. */
		if (reserve_name(buf)) {
			kubuf_put(buf);
			err = -EINVAL;
			break;
		}
		buf->state = KUBUF_PARAMETER;
	}
	if (err)
		pr_err("buffers=%s: error %d\n", buffers, err);
	kfree(copy);
	return err;
}

/* When there is no file, and none can come. */
static void drop_buffers(void)
{
	struct kubuf *buf, *next;

	list_for_each_entry_safe(buf, next, &names, names) {
		if (buf->state == KUBUF_LIVE)
			misc_deregister(&buf->misc);
		list_del_init(&buf->names);
		kubuf_put(buf);
	}
}

/*
 * A node can be opened as soon as it is there, and a module that fails to load
 * is freed whoever has it open: so the nodes come when nothing can fail the
 * load any more.
 */
static void register_nodes(void)
{
	struct kubuf *buf;
	int err;

	for (;;) {
		mutex_lock(&names_lock);
		list_for_each_entry(buf, &names, names)
			if (buf->state == KUBUF_PARAMETER)
				break;
		if (list_entry_is_head(buf, &names, names))
			buf = NULL;
		else
			buf->state = KUBUF_NEW;
		mutex_unlock(&names_lock);
		if (!buf)
			break;

		err = add_node(buf);
		if (err) {
			pr_err("no node for %s: error %d\n", buf->name, err);
			release_name(buf);
			kubuf_put(buf);
		}
	}
}

static int __init kubuf_init(void)
{
	int err;

	/*
	 * Every mapping would be an alias of the kernel's own address, and
	 * flush_dcache_page() finds none: the pages have no address_space.
	 */
	if (cpu_dcache_is_aliasing()) {
		pr_err("not for a data cache with aliases\n");
		return -EOPNOTSUPP;
	}
	if (kubuf_limit_mb == ULONG_MAX)
		kubuf_limit_mb = totalram_pages() / 2 >> (20 - PAGE_SHIFT);
	kubuf_debugfs_init();
	err = make_buffers();
	if (err)
		goto err_buffers;
	err = misc_register(&control);
	if (err)
		goto err_buffers;
	register_nodes();
	return 0;

err_buffers:
	drop_buffers();
	kubuf_debugfs_exit();
	return err;
}
module_init(kubuf_init);

static void __exit kubuf_exit(void)
{
	misc_deregister(&control);
	drop_buffers();
	kubuf_debugfs_exit();
}
module_exit(kubuf_exit);

#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "main_kunit.c"
#endif

MODULE_DESCRIPTION("Kernel buffers that user space maps without a copy");
MODULE_LICENSE("GPL");
#ifdef KUBUF_VERSION
MODULE_VERSION(KUBUF_VERSION);
#endif
