/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * kubuf: kernel buffers that user space maps without a copy
 *
 * See Documentation/userspace-api/kubuf.rst.
 */
#ifndef _UAPI_LINUX_KUBUF_H
#define _UAPI_LINUX_KUBUF_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KUBUF_IOC_MAGIC		0xBC

/* Bytes of a name, the terminating NUL included. */
#define KUBUF_NAME_SIZE		32

/**
 * DOC: Extensible structures
 *
 * Every structure begins with its own size in bytes, set by the caller to the
 * sizeof() that it was built with. A structure smaller than the first version
 * is refused with -EINVAL. One larger than the kernel knows is accepted if all
 * that the kernel does not know is zero, and refused with -E2BIG otherwise.
 * Reserved fields must be zero and unknown flags are refused with -EINVAL.
 */

/**
 * enum kubuf_backing - how the pages of a buffer are allocated
 * @KUBUF_BACKING_KMALLOC: kmalloc(); physically contiguous; mapped by frame
 *	number, so that O_DIRECT and others that pin pages get -EFAULT
 * @KUBUF_BACKING_PAGES: the page allocator; physically contiguous
 * @KUBUF_BACKING_VMALLOC: single pages, contiguous in the kernel's address
 *	space only
 * @KUBUF_BACKING_HUGE: pieces of the size that one PMD entry maps; smaller
 *	pieces for the tail and where memory is fragmented
 * @KUBUF_BACKING_WRAPPED: the memory of a driver, which made the buffer of it;
 *	KUBUF_CREATE refuses it
 */
enum kubuf_backing {
	KUBUF_BACKING_KMALLOC = 1,
	KUBUF_BACKING_PAGES = 2,
	KUBUF_BACKING_VMALLOC = 3,
	KUBUF_BACKING_HUGE = 4,
	KUBUF_BACKING_WRAPPED = 5,
};

/* Take the page out of circulation while it is mapped: PG_reserved. */
#define KUBUF_CREATE_RESERVED	(1U << 0)
/* @node of struct kubuf_create is valid. */
#define KUBUF_CREATE_NODE	(1U << 1)
/* @name and @mode of struct kubuf_create are valid: make /dev/kubuf/NAME. */
#define KUBUF_CREATE_NAMED	(1U << 2)

/**
 * struct kubuf_create - argument of KUBUF_CREATE
 * @size: sizeof(struct kubuf_create)
 * @flags: KUBUF_CREATE_*
 * @length: in: bytes wanted, not 0; out: bytes given, the next multiple of the
 *	page size
 * @backing: one of enum kubuf_backing
 * @node: NUMA node to allocate on, with KUBUF_CREATE_NODE; else 0
 * @mode: permission bits of the node, at most 0666, with KUBUF_CREATE_NAMED;
 *	0 is 0600
 * @__reserved: 0
 * @name: name of the node, with KUBUF_CREATE_NAMED; else all zero
 */
struct kubuf_create {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__u32 backing;
	__u32 node;
	__u32 mode;
	__u32 __reserved;
	char name[KUBUF_NAME_SIZE];
};

/**
 * struct kubuf_destroy - argument of KUBUF_DESTROY
 * @size: sizeof(struct kubuf_destroy)
 * @flags: 0
 * @name: name of the node
 */
struct kubuf_destroy {
	__u32 size;
	__u32 flags;
	char name[KUBUF_NAME_SIZE];
};

/* PG_reserved is set on the pages of the buffer while they are mapped. */
#define KUBUF_INFO_RESERVED	(1U << 0)
/* Mapped by frame number: pages cannot be pinned, MAP_PRIVATE is refused. */
#define KUBUF_INFO_PFN		(1U << 1)
/* The buffer has, or had, a node. */
#define KUBUF_INFO_NAMED	(1U << 2)
/* The node is gone; the buffer lives as long as its users. */
#define KUBUF_INFO_DESTROYED	(1U << 3)

/* No new way to write: see KUBUF_SEAL. */
#define KUBUF_SEAL_WRITE	(1U << 0)

/**
 * struct kubuf_info - argument of KUBUF_INFO, element of KUBUF_LIST
 * @size: in: sizeof(struct kubuf_info); out: bytes that the kernel filled
 * @flags: out: KUBUF_INFO_*
 * @id: out: number of the buffer, never given twice while the driver is loaded
 * @length: out: bytes
 * @mappings: out: mappings (VMAs) of the buffer at this moment
 * @backing: out: one of enum kubuf_backing
 * @mode: out: permission bits of the node at its creation; 0 without a node
 * @name: out: name of the node; empty without a node
 * @sequence: out: how often KUBUF_NOTIFY was called on the buffer
 * @seals: out: KUBUF_SEAL_*
 * @__reserved: out: 0
 */
struct kubuf_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
	__aligned_u64 length;
	__aligned_u64 mappings;
	__u32 backing;
	__u32 mode;
	char name[KUBUF_NAME_SIZE];
	__aligned_u64 sequence;
	__u32 seals;
	__u32 __reserved;
};

/**
 * struct kubuf_list - argument of KUBUF_LIST
 * @size: sizeof(struct kubuf_list)
 * @flags: 0
 * @infos: address of an array of @count elements of @info_size bytes each
 * @info_size: sizeof(struct kubuf_info)
 * @count: in: elements there is room for; out: named buffers that there are,
 *	which can be more than were written
 */
struct kubuf_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 infos;
	__u32 info_size;
	__u32 count;
};

/**
 * struct kubuf_notify - argument of KUBUF_NOTIFY
 * @size: sizeof(struct kubuf_notify)
 * @flags: 0
 */
struct kubuf_notify {
	__u32 size;
	__u32 flags;
};

/**
 * struct kubuf_eventfd - argument of KUBUF_EVENTFD
 * @size: sizeof(struct kubuf_eventfd)
 * @flags: 0
 * @fd: an eventfd, which takes the place of the one before; -1 for none
 * @__reserved: 0
 */
struct kubuf_eventfd {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 __reserved;
};

/**
 * struct kubuf_seal - argument of KUBUF_SEAL
 * @size: sizeof(struct kubuf_seal)
 * @seals: KUBUF_SEAL_*, added to those that there are
 */
struct kubuf_seal {
	__u32 size;
	__u32 seals;
};

/* Importers and mappings of the dma-buf may write. */
#define KUBUF_EXPORT_WRITE	(1U << 0)

/**
 * struct kubuf_export - argument of KUBUF_EXPORT
 * @size: sizeof(struct kubuf_export)
 * @flags: KUBUF_EXPORT_*
 * @offset: first byte, a multiple of the page size
 * @length: bytes, a multiple of the page size; 0 for all from @offset on
 */
struct kubuf_export {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
};

/**
 * DOC: Ring
 *
 * A driver may have put a ring into a buffer, for one producer and one consumer.
 * The last page of the buffer begins with a struct kubuf_ring_header; all before
 * it are the data. A byte that was produced as the Nth is at offset N modulo
 * size. It is there if tail <= N < head; both only grow.
 *
 * The producer stores the data, then head with release semantics. The consumer
 * loads head with acquire semantics, then the data, and then stores tail with
 * release semantics. In a ring with KUBUF_RING_OVERWRITE both move tail, by
 * compare and exchange: if it fails for the consumer, then what it has loaded was
 * overwritten.
 *
 * Who is going to sleep sets the word that says so, and then looks again, with a
 * full barrier in between. The other side stores its position, looks at the word
 * with a full barrier in between, and if it is set, clears it and calls
 * KUBUF_NOTIFY; a driver does the same.
 *
 * Unless KUBUF_RING_BYTES is set, the data are records: a struct kubuf_record
 * each, the payload, and zero to seven bytes up to the next multiple of eight.
 * A record may go on at the beginning of the data: who maps the data twice, one
 * after the other, need not care.
 */

#define KUBUF_RING_MAGIC	0x6b72696e	/* "krin" */

/* A stream of bytes, without records. */
#define KUBUF_RING_BYTES	(1U << 0)
/* Without room the oldest give way to the newest; else the newest are dropped. */
#define KUBUF_RING_OVERWRITE	(1U << 1)

/**
 * struct kubuf_ring_header - the two sides of a ring
 * @magic: KUBUF_RING_MAGIC
 * @flags: KUBUF_RING_*
 * @size: bytes of data, a power of two
 * @__reserved: 0
 * @head: bytes ever produced; written by the producer
 * @lost: records (bytes, with KUBUF_RING_BYTES) that were dropped or overwritten;
 *	written by the producer
 * @producer_sleeps: the producer waits for room
 * @closed: not 0: nothing will be produced any more; written by the producer, or
 *	by a driver that lets the ring go, and consumes no more either
 * @__reserved_producer: 0
 * @tail: bytes ever consumed, or overwritten; written by the consumer
 * @consumer_sleeps: the consumer waits for data
 * @__reserved_consumer: 0
 */
struct kubuf_ring_header {
	__u32 magic;
	__u32 flags;
	__aligned_u64 size;
	__aligned_u64 __reserved[6];

	__aligned_u64 head;
	__aligned_u64 lost;
	__u32 producer_sleeps;
	__u32 closed;
	__aligned_u64 __reserved_producer[5];

	__aligned_u64 tail;
	__u32 consumer_sleeps;
	__u32 __reserved_consumer[13];
};

/**
 * struct kubuf_record - what is before the payload of each record
 * @length: bytes of payload
 * @__reserved: 0
 */
struct kubuf_record {
	__u32 length;
	__u32 __reserved;
};

/* On /dev/kubuf/control. */
#define KUBUF_CREATE	_IO(KUBUF_IOC_MAGIC, 0)
#define KUBUF_DESTROY	_IO(KUBUF_IOC_MAGIC, 1)
#define KUBUF_LIST	_IO(KUBUF_IOC_MAGIC, 2)
/* On a buffer. */
#define KUBUF_INFO	_IO(KUBUF_IOC_MAGIC, 3)
#define KUBUF_NOTIFY	_IO(KUBUF_IOC_MAGIC, 4)
#define KUBUF_EVENTFD	_IO(KUBUF_IOC_MAGIC, 5)
#define KUBUF_SEAL	_IO(KUBUF_IOC_MAGIC, 6)
#define KUBUF_EXPORT	_IO(KUBUF_IOC_MAGIC, 7)

#endif /* _UAPI_LINUX_KUBUF_H */
