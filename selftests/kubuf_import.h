/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module that stands for a device with a dma-buf.
 */
#ifndef KUBUF_IMPORT_H
#define KUBUF_IMPORT_H

#include "importer/kubuf_importer.h"
#include "kubuf_module.h"

/* enum dma_data_direction of the kernel. */
#define BIDIRECTIONAL	0
#define TO_DEVICE	1
#define FROM_DEVICE	2

static inline int importer_load(void)
{
	int ret = module_load_other("kubuf_importer", "");

	return ret == -EEXIST ? 0 : ret;
}

static inline void importer_unload(void)
{
	syscall(__NR_delete_module, "kubuf_importer", O_NONBLOCK);
}

static inline int importer_open(void)
{
	int fd, err = importer_load();

	if (err)
		return err;
	fd = open("/dev/kubuf-importer", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline int attach(int importer, struct importer_args *args, int dmabuf)
{
	args->fd = dmabuf;
	return kioctl(importer, IMPORTER_ATTACH, args);
}

static inline int map_for(int importer, struct importer_args *args,
			  __u32 direction)
{
	args->direction = direction;
	return kioctl(importer, IMPORTER_MAP, args);
}

#endif /* KUBUF_IMPORT_H */
