/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module asks for that stands for a device with a dma-buf.
 */
#ifndef KUBUF_IMPORTER_H
#define KUBUF_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Pieces of memory that a device is told of, at most. */
#define IMPORTER_PIECES	1024

/* Attach, and stay attached until the file is closed. */
#define IMPORTER_ATTACH	_IO(0xBD, 0)
/* Map for the device, in the direction that is given; until unmapped. */
#define IMPORTER_MAP	_IO(0xBD, 1)
#define IMPORTER_UNMAP	_IO(0xBD, 2)
/* The device writes this byte to all of it, or reads: the sum of the bytes. */
#define IMPORTER_WRITE	_IO(0xBD, 3)
#define IMPORTER_READ	_IO(0xBD, 4)
/* The same by the processor, at an address of the kernel (vmap). */
#define IMPORTER_STORE	_IO(0xBD, 5)
#define IMPORTER_LOAD	_IO(0xBD, 6)

/**
 * struct importer_args - argument of all of them
 * @fd: in: the dma-buf, for IMPORTER_ATTACH
 * @direction: in: enum dma_data_direction, for IMPORTER_MAP
 * @byte: in: what to write
 * @nr: out: pieces, after IMPORTER_MAP
 * @sum: out: of what was read
 * @pieces: out: bus addresses and lengths, after IMPORTER_MAP
 */
struct importer_args {
	__s32 fd;
	__u32 direction;
	__u32 byte;
	__u32 nr;
	__aligned_u64 sum;
	struct {
		__aligned_u64 address;
		__aligned_u64 length;
	} pieces[IMPORTER_PIECES];
};

#endif /* KUBUF_IMPORTER_H */
