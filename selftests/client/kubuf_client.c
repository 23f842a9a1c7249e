// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands for a driver that has buffers: for the tests alone. It does what it is
 * told, wrong things too, and counts how often its memory is released.
 */
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../../driver/compat.h"
#include "kubuf_client.h"

/**
 * struct memory - what may be wrapped
 * @kind: enum client_memory
 * @room: bytes, whole pages
 * @addr: its address, or %NULL
 * @io: the same, of a device
 * @row: its pages, if it has no address
 */
struct memory {
	u32 kind;
	size_t room;
	void *addr;
	void __iomem *io;
	struct page **row;
};

/**
 * struct object - a buffer, and what became of it
 * @list: link of all
 * @number: given to user space
 * @buf: the buffer, as long as it is held or has a node
 * @held: the reference of the driver is there
 * @named: the node is there
 * @wrapped: there is memory, and it will be released
 * @pfn_path: the memory is kept when it is released
 * @memory: of which the buffer is made, if it is wrapped
 * @refs: references of its pages before that
 * @reusable: there were as many when it was released
 * @released: how often it was
 */
struct object {
	struct list_head list;
	u32 number;
	struct kubuf *buf;
	bool held;
	bool named;
	bool wrapped;
	bool pfn_path;
	struct memory memory;
	unsigned long refs;
	bool reusable;
	atomic_t released;
};

/* Held in each ioctl(). */
static DEFINE_MUTEX(call_lock);
/*
 * Under it, and in mmap(): the list of objects, and whether one is held. No
 * memory of a process is accessed under it, and no node made.
 */
static DEFINE_MUTEX(objects_lock);
static LIST_HEAD(objects);
static u32 last_number;

static u8 data_page[PAGE_SIZE] __aligned(PAGE_SIZE) = { 1 };
static u8 bss_page[PAGE_SIZE] __aligned(PAGE_SIZE);

static struct object *find(u32 number)
{
	struct object *obj;

	list_for_each_entry(obj, &objects, list)
		if (obj->number == number)
			return obj;
	return NULL;
}

static unsigned long nr_pages(const struct memory *m)
{
	return m->room >> PAGE_SHIFT;
}

static struct page *page_of(void *addr)
{
	return is_vmalloc_addr(addr) ? vmalloc_to_page(addr) :
				       virt_to_page(addr);
}

static struct page *memory_page(const struct memory *m, unsigned long i)
{
	return m->row ? m->row[i] : page_of(m->addr + (i << PAGE_SHIFT));
}

static void free_row(struct memory *m, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < nr_pages(m) && m->row[i]; i++)
		__free_pages(m->row[i], order);
	kfree(m->row);
}

static int alloc_row(struct memory *m, unsigned int order)
{
	unsigned long i;

	m->row = kcalloc(nr_pages(m), sizeof(*m->row), GFP_KERNEL);
	if (!m->row)
		return -ENOMEM;
	for (i = 0; i < nr_pages(m); i++) {
		m->row[i] = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP,
					order);
		if (!m->row[i]) {
			free_row(m, order);
			return -ENOMEM;
		}
	}
	return 0;
}

static int pin_one(struct memory *m, unsigned long address)
{
	int n;

	m->room = PAGE_SIZE;
	m->row = kcalloc(1, sizeof(*m->row), GFP_KERNEL);
	if (!m->row)
		return -ENOMEM;
	n = pin_user_pages_fast(address, 1, 0, m->row);
	if (n != 1) {
		kfree(m->row);
		return n < 0 ? n : -EFAULT;
	}
	return 0;
}

static void *alloc_block(size_t room, gfp_t gfp)
{
	return (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO | gfp,
					get_order(room));
}

/* Borrowed: the memory of another object is not freed with this one. */
static int borrow(struct memory *m, u32 number)
{
	struct object *other = find(number);
	size_t len = SIZE_MAX / 2;

	if (!other || !other->held)
		return -ENOENT;
	if (other->wrapped) {
		m->room = other->memory.room;
		m->addr = other->memory.addr;
		m->row = other->memory.row;
		return 0;
	}
	m->addr = kubuf_kaddr(other->buf, 0, &len);
	m->room = len;
	return 0;
}

static int memory_get(struct memory *m, const struct client_args *args)
{
	/* Of a request without a length there must be some memory, too. */
	m->room = PAGE_ALIGN(args->length) ?: PAGE_SIZE;
	if (args->flags & (CLIENT_TAIL | CLIENT_PART))
		m->room += PAGE_SIZE;
	if (args->flags & CLIENT_BEYOND)
		m->room -= PAGE_SIZE;
	m->kind = args->kind;

	switch (m->kind) {
	case CLIENT_KMALLOC:
	case CLIENT_SLAB:
		m->addr = kzalloc(m->room, GFP_KERNEL);
		break;
	case CLIENT_VMALLOC:
		m->addr = vmalloc_user(m->room);
		break;
	case CLIENT_EXACT:
		m->addr = alloc_pages_exact(m->room, GFP_KERNEL | __GFP_ZERO);
		break;
	case CLIENT_SINGLE:
		return alloc_row(m, 0);
	case CLIENT_HEADS:
		return alloc_row(m, 1);
	case CLIENT_COMPOUND:
		m->addr = alloc_block(m->room, __GFP_COMP);
		break;
	case CLIENT_BLOCK:
		m->addr = alloc_block(m->room, 0);
		break;
	case CLIENT_STACK:
		m->addr = PTR_ALIGN_DOWN((void *)&m, PAGE_SIZE);
		break;
	case CLIENT_TASK_STACK:
		/* It waits for the caller, so that it stays. */
		rcu_read_lock();
		m->addr = rcu_dereference(current->real_parent)->stack;
		rcu_read_unlock();
		break;
	case CLIENT_DATA:
		m->addr = data_page;
		break;
	case CLIENT_BSS:
		m->addr = bss_page;
		break;
	case CLIENT_KERNEL:
		m->addr = PTR_ALIGN_DOWN((void *)&init_task, PAGE_SIZE);
		break;
	case CLIENT_DEVICE:
		m->io = ioremap(args->address, m->room);
		m->addr = (void __force *)m->io;
		break;
	case CLIENT_USER:
		return pin_one(m, args->address);
	case CLIENT_OBJECT:
		return borrow(m, args->object);
	case CLIENT_NOTHING:
		return 0;
	default:
		return -ENOTTY;
	}
	return m->addr ? 0 : -ENOMEM;
}

static void memory_put(struct memory *m)
{
	switch (m->kind) {
	case CLIENT_KMALLOC:
	case CLIENT_SLAB:
		kfree(m->addr);
		break;
	case CLIENT_VMALLOC:
		vfree(m->addr);
		break;
	case CLIENT_EXACT:
		free_pages_exact(m->addr, m->room);
		break;
	case CLIENT_SINGLE:
		free_row(m, 0);
		break;
	case CLIENT_HEADS:
		free_row(m, 1);
		break;
	case CLIENT_COMPOUND:
	case CLIENT_BLOCK:
		free_pages((unsigned long)m->addr, get_order(m->room));
		break;
	case CLIENT_DEVICE:
		iounmap(m->io);
		break;
	case CLIENT_USER:
		unpin_user_pages(m->row, 1);
		kfree(m->row);
		break;
	}
}

static unsigned long count_refs(const struct memory *m)
{
	unsigned long i, n = 0;

	for (i = 0; i < nr_pages(m); i++)
		n += folio_ref_count(page_folio(memory_page(m, i)));
	return n;
}

/* Nothing is left of what it was given to user space for. */
static bool is_untouched(const struct object *obj)
{
	const struct memory *m = &obj->memory;
	unsigned long i;
	struct page *page;

	for (i = 0; i < nr_pages(m); i++) {
		page = memory_page(m, i);
		if (folio_test_dirty(page_folio(page)) || PageReserved(page) ||
		    folio_mapped(page_folio(page)))
			return false;
	}
	return count_refs(m) == obj->refs;
}

/* Last the count: the object may be gone then. */
static void release(void *data)
{
	struct object *obj = data;

	if (!obj->pfn_path)
		memory_put(&obj->memory);
	else if (is_untouched(obj))
		obj->reusable = true;
	atomic_inc_return_release(&obj->released);
}

/* The pages to name, with the mistakes that are asked for. */
static struct page **make_row(const struct memory *m, void *addr, size_t length,
			      u32 flags)
{
	unsigned long nr = PAGE_ALIGN(length) >> PAGE_SHIFT, i;
	struct page **row = kcalloc(nr, sizeof(*row), GFP_KERNEL);

	for (i = 0; row && i < nr; i++) {
		if (addr)
			row[i] = page_of(addr + (i << PAGE_SHIFT));
		else
			row[i] = m->row[i];
	}
	if (row && flags & CLIENT_HOLE)
		row[nr - 1] = NULL;
	if (row && flags & CLIENT_TWICE)
		row[nr - 1] = row[0];
	return row;
}

static int wrap_memory(struct object *obj, size_t length, u32 flags)
{
	struct kubuf_memory wrap = {
		.length = length,
		.pfn_path = obj->pfn_path,
		.release = release,
		.data = obj,
	};
	void *addr = obj->memory.addr;
	struct page **row = NULL;
	struct kubuf *buf;

	if (addr && flags & CLIENT_TAIL)
		addr += PAGE_SIZE;
	if (obj->memory.row || flags & (CLIENT_ROW | CLIENT_BOTH | CLIENT_HOLE |
					CLIENT_TWICE)) {
		row = make_row(&obj->memory, addr, length, flags);
		if (!row)
			return -ENOMEM;
	}
	if (addr && flags & CLIENT_UNALIGNED)
		addr += sizeof(u64);
	wrap.pages = row;
	if (!row || flags & CLIENT_BOTH)
		wrap.addr = addr;
	buf = kubuf_wrap(&wrap);
	kfree(row);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	obj->buf = buf;
	obj->wrapped = true;
	obj->held = true;
	return 0;
}

static void add(struct object *obj)
{
	mutex_lock(&objects_lock);
	obj->number = ++last_number;
	list_add_tail(&obj->list, &objects);
	mutex_unlock(&objects_lock);
}

static int create(struct client_args *args)
{
	struct object *obj = kzalloc_obj(*obj, GFP_KERNEL);

	if (!obj)
		return -ENOMEM;
	obj->buf = kubuf_create(args->length, args->kind, args->flags,
				args->node);
	if (IS_ERR(obj->buf)) {
		int err = PTR_ERR(obj->buf);

		kfree(obj);
		return err;
	}
	obj->held = true;
	add(obj);
	args->object = obj->number;
	return 0;
}

static bool is_allocated(const struct memory *m)
{
	return m->kind <= CLIENT_HEADS;
}

static int wrap(struct client_args *args)
{
	struct object *obj = kzalloc_obj(*obj, GFP_KERNEL);
	int err;

	if (!obj)
		return -ENOMEM;
	err = memory_get(&obj->memory, args);
	if (err)
		goto err_free;
	obj->pfn_path = args->flags & CLIENT_PFN_PATH;
	if (is_allocated(&obj->memory))
		obj->refs = count_refs(&obj->memory);
	err = wrap_memory(obj, args->length, args->flags);
	if (err)
		goto err_memory;
	add(obj);
	args->object = obj->number;
	return 0;

err_memory:
	/* What was refused is as it was. */
	if (is_allocated(&obj->memory) && !is_untouched(obj))
		err = -EUCLEAN;
	memory_put(&obj->memory);
err_free:
	kfree(obj);
	return err;
}

static int wrap_again(struct object *obj, const struct client_args *args)
{
	int err;

	if (!obj->pfn_path || atomic_read_acquire(&obj->released) != 1)
		return -EINVAL;
	obj->reusable = false;
	atomic_set(&obj->released, 0);
	err = wrap_memory(obj, args->length, args->flags);
	if (err)
		atomic_set(&obj->released, 1);
	return err;
}

static int do_register(struct object *obj, struct client_args *args)
{
	int err;

	if (!obj->held)
		return -ENOENT;
	args->name[sizeof(args->name) - 1] = '\0';
	err = kubuf_register(obj->buf, args->name, args->mode);
	if (!err)
		obj->named = true;
	return err;
}

static int do_unregister(struct object *obj)
{
	if (!obj->held && !obj->named)
		return -ENOENT;
	kubuf_unregister(obj->buf);
	obj->named = false;
	return 0;
}

static int do_put(struct object *obj)
{
	mutex_lock(&objects_lock);
	if (!obj->held) {
		mutex_unlock(&objects_lock);
		return -ENOENT;
	}
	obj->held = false;
	mutex_unlock(&objects_lock);
	kubuf_put(obj->buf);
	return 0;
}

/* What was wrapped is freed here, or has been. */
static void forget(struct object *obj)
{
	list_del(&obj->list);
	if (obj->wrapped && obj->pfn_path)
		memory_put(&obj->memory);
	kfree(obj);
}

static int drop(struct object *obj)
{
	do_unregister(obj);
	do_put(obj);
	if (obj->wrapped && !atomic_read_acquire(&obj->released))
		return -EBUSY;
	WARN_ON(obj->wrapped && atomic_read(&obj->released) != 1);
	mutex_lock(&objects_lock);
	forget(obj);
	mutex_unlock(&objects_lock);
	return 0;
}

static int drop_all(void)
{
	struct object *obj, *next;
	int err, ret = 0;

	list_for_each_entry_safe(obj, next, &objects, list) {
		err = drop(obj);
		ret = ret ?: err;
	}
	return ret;
}

static int access(struct object *obj, const struct client_args *args,
		  bool write)
{
	u64 pos = args->offset, end = pos + args->length;
	void __user *user = u64_to_user_ptr(args->address);
	unsigned long left;
	void *kaddr;
	size_t n;

	if (!obj->held)
		return -ENOENT;
	if (end < pos || end > kubuf_length(obj->buf))
		return -EINVAL;
	for (; pos < end; pos += n, user += n) {
		n = end - pos;
		kaddr = kubuf_kaddr(obj->buf, pos, &n);
		if (!kaddr)
			return -EIO;
		left = write ? copy_from_user(kaddr, user, n) :
			       copy_to_user(user, kaddr, n);
		if (left)
			return -EFAULT;
	}
	return 0;
}

static int run(struct object *obj, struct client_args *args)
{
	size_t n = args->length;

	if (!obj->held)
		return -ENOENT;
	if (args->offset >= kubuf_length(obj->buf))
		return -EINVAL;
	if (!kubuf_kaddr(obj->buf, args->offset, &n))
		return -EIO;
	args->length = n;
	return 0;
}

static int status(struct object *obj, struct client_args *args)
{
	args->length = obj->held ? kubuf_length(obj->buf) : 0;
	args->released = atomic_read_acquire(&obj->released);
	args->reusable = obj->reusable;
	return 0;
}

static int command(struct file *file, unsigned int cmd,
		   struct client_args *args)
{
	struct object *obj;

	if (cmd == CLIENT_CREATE)
		return create(args);
	if (cmd == CLIENT_WRAP)
		return wrap(args);
	if (cmd == CLIENT_DROP && !args->object)
		return drop_all();

	obj = find(args->object);
	if (!obj)
		return -ENOENT;
	switch (cmd) {
	case CLIENT_WRAP_AGAIN:
		return wrap_again(obj, args);
	case CLIENT_SELECT:
		file->private_data = (void *)(unsigned long)obj->number;
		return 0;
	case CLIENT_REGISTER:
		return do_register(obj, args);
	case CLIENT_UNREGISTER:
		return do_unregister(obj);
	case CLIENT_PUT:
		return do_put(obj);
	case CLIENT_NOTIFY:
		if (!obj->held)
			return -ENOENT;
		kubuf_notify(obj->buf);
		return 0;
	case CLIENT_DROP:
		return drop(obj);
	case CLIENT_STATUS:
		return status(obj, args);
	case CLIENT_LOAD:
	case CLIENT_STORE:
		return access(obj, args, cmd == CLIENT_STORE);
	case CLIENT_RUN:
		return run(obj, args);
	default:
		return -ENOTTY;
	}
}

static long client_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	struct client_args args;
	int err;

	if (copy_from_user(&args, uarg, sizeof(args)))
		return -EFAULT;
	mutex_lock(&call_lock);
	err = command(file, cmd, &args);
	mutex_unlock(&call_lock);
	if (!err && copy_to_user(uarg, &args, sizeof(args)))
		err = -EFAULT;
	return err;
}

static int client_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct object *obj;
	int err = -ENODEV;

	mutex_lock(&objects_lock);
	obj = find((unsigned long)file->private_data);
	if (obj && obj->held)
		err = kubuf_mmap(obj->buf, vma);
	mutex_unlock(&objects_lock);
	return err;
}

static int client_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static const struct file_operations client_fops = {
	.owner = THIS_MODULE,
	.open = client_open,
	.mmap = client_mmap,
	.unlocked_ioctl = client_ioctl,
};

static struct miscdevice client = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kubuf-client",
	.mode = 0600,
	.fops = &client_fops,
};

static int __init client_init(void)
{
	return misc_register(&client);
}
module_init(client_init);

/* Nobody has anything of it any more, or this would not be called. */
static void __exit client_exit(void)
{
	misc_deregister(&client);
	WARN_ON(drop_all());
}
module_exit(client_exit);

MODULE_DESCRIPTION("A driver with buffers, for the tests of kubuf");
MODULE_LICENSE("GPL");
