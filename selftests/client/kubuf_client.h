/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module asks for that stands for a driver with buffers.
 */
#ifndef KUBUF_CLIENT_H
#define KUBUF_CLIENT_H

#include <linux/ioctl.h>
#include <linux/kubuf.h>
#include <linux/types.h>

/* More than a name may have. */
#define CLIENT_NAME_SIZE	(2 * KUBUF_NAME_SIZE)

/**
 * enum client_memory - what memory is to be wrapped
 * @CLIENT_KMALLOC: kmalloc(), large enough to be no slab memory
 * @CLIENT_VMALLOC: vmalloc_user()
 * @CLIENT_EXACT: alloc_pages_exact()
 * @CLIENT_SINGLE: alloc_page(), again and again: has no address
 * @CLIENT_COMPOUND: alloc_pages() with __GFP_COMP
 * @CLIENT_HEADS: the same, again and again, and of each the first page
 * @CLIENT_BLOCK: alloc_pages() without it, not split
 * @CLIENT_SLAB: kmalloc() of a size that slabs have
 * @CLIENT_STACK: the stack of the call
 * @CLIENT_TASK_STACK: the stack of another task, the caller's parent
 * @CLIENT_DATA: a variable of the module, with a value
 * @CLIENT_BSS: one without
 * @CLIENT_KERNEL: a variable of the kernel
 * @CLIENT_DEVICE: ioremap() of the physical address that is given
 * @CLIENT_USER: the page at the address that is given, pinned
 * @CLIENT_OBJECT: the memory of the object that is given
 * @CLIENT_NOTHING: none at all
 */
enum client_memory {
	CLIENT_KMALLOC,
	CLIENT_VMALLOC,
	CLIENT_EXACT,
	CLIENT_SINGLE,
	CLIENT_COMPOUND,
	CLIENT_HEADS,
	CLIENT_BLOCK,
	CLIENT_SLAB,
	CLIENT_STACK,
	CLIENT_TASK_STACK,
	CLIENT_DATA,
	CLIENT_BSS,
	CLIENT_KERNEL,
	CLIENT_DEVICE,
	CLIENT_USER,
	CLIENT_OBJECT,
	CLIENT_NOTHING,
};

/* Wrap it for the PFN path. The memory is kept when it is released. */
#define CLIENT_PFN_PATH		0x001
/* Name the pages, and not the address. */
#define CLIENT_ROW		0x002
/* Name both. */
#define CLIENT_BOTH		0x004
/* Name the pages, but none as the last. */
#define CLIENT_HOLE		0x008
/* Name the pages, and the first as the last once more. */
#define CLIENT_TWICE		0x010
/* The address of no beginning of a page. */
#define CLIENT_UNALIGNED	0x020
/* All but the first page of what was allocated. */
#define CLIENT_TAIL		0x040
/* One page more than was allocated. */
#define CLIENT_BEYOND		0x080
/* One page less than was allocated. */
#define CLIENT_PART		0x100

/* Make a buffer of @length bytes: @kind is a backing, @flags are KUBUF_CREATE_*. */
#define CLIENT_CREATE		_IO(0xBE, 0)
/* Wrap memory: @kind is an enum client_memory, @flags are CLIENT_*. */
#define CLIENT_WRAP		_IO(0xBE, 1)
/* Wrap the memory of an object that was released, and that has kept it. */
#define CLIENT_WRAP_AGAIN	_IO(0xBE, 2)
/* The object that mmap() of this file maps from now on. */
#define CLIENT_SELECT		_IO(0xBE, 3)
/* Each calls what it is named after. */
#define CLIENT_REGISTER		_IO(0xBE, 4)
#define CLIENT_UNREGISTER	_IO(0xBE, 5)
#define CLIENT_PUT		_IO(0xBE, 6)
#define CLIENT_NOTIFY		_IO(0xBE, 7)
/*
 * Forget an object, and whatever it still has; -EBUSY if others have it. All of
 * them, if no number is given.
 */
#define CLIENT_DROP		_IO(0xBE, 8)
/* Answers @length, @released and @reusable. */
#define CLIENT_STATUS		_IO(0xBE, 9)
/* The kernel loads @length bytes at @offset, or stores them; @address has them. */
#define CLIENT_LOAD		_IO(0xBE, 10)
#define CLIENT_STORE		_IO(0xBE, 11)
/* What kubuf_kaddr() makes of @length bytes at @offset. */
#define CLIENT_RUN		_IO(0xBE, 12)

/**
 * struct client_args - argument of all of them
 * @object: number of the object: out for CLIENT_CREATE and CLIENT_WRAP, in for
 *	all others, and for CLIENT_WRAP of CLIENT_OBJECT
 * @kind: in: of memory
 * @flags: in: see there
 * @mode: in: for CLIENT_REGISTER
 * @length: in: bytes; out: see there
 * @address: in: of the caller's memory, or of a device's
 * @offset: in: from the start of the buffer
 * @node: in: NUMA node for CLIENT_CREATE, or -1
 * @released: out: how often the memory was released
 * @reusable: out: it was kept, and was as it had been before it was wrapped
 * @__reserved: 0
 * @name: in: for CLIENT_REGISTER
 */
struct client_args {
	__u32 object;
	__u32 kind;
	__u32 flags;
	__u32 mode;
	__aligned_u64 length;
	__aligned_u64 address;
	__aligned_u64 offset;
	__s32 node;
	__u32 released;
	__u32 reusable;
	__u32 __reserved;
	char name[CLIENT_NAME_SIZE];
};

#endif /* KUBUF_CLIENT_H */
