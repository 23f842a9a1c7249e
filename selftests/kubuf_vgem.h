/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vgem: the kernel's own importer of dma-bufs, a graphics driver without a device.
 * It imports, says that work goes on (fences), and lets go.
 */
#ifndef KUBUF_VGEM_H
#define KUBUF_VGEM_H

#include <glob.h>

#include "kubuf_util.h"

/* Of <drm/drm.h> and <drm/vgem_drm.h>, which not every system has. */
struct gem_close {
	__u32 handle;
	__u32 pad;
};

struct prime_handle {
	__u32 handle;
	__u32 flags;
	__s32 fd;
};

struct vgem_attach {
	__u32 handle;
	__u32 flags;
	__u32 fence;
	__u32 pad;
};

struct vgem_signal {
	__u32 fence;
	__u32 flags;
};

#define GEM_CLOSE		_IOW('d', 0x09, struct gem_close)
#define PRIME_HANDLE_TO_FD	_IOWR('d', 0x2d, struct prime_handle)
#define PRIME_FD_TO_HANDLE	_IOWR('d', 0x2e, struct prime_handle)
#define VGEM_ATTACH		_IOWR('d', 0x41, struct vgem_attach)
#define VGEM_SIGNAL		_IOW('d', 0x42, struct vgem_signal)

#define VGEM_WRITE	1

/* Its node, or -errno; the module is loaded for it. */
static inline int vgem_open(void)
{
	char node[64];
	int fd = -ENODEV;
	glob_t g;

	if (system("modprobe -q vgem 2>/dev/null"))
		return fd;
	if (glob("/sys/devices/*/vgem/drm/renderD*", 0, NULL, &g))
		return fd;
	snprintf(node, sizeof(node), "/dev/dri%s",
		 strrchr(g.gl_pathv[0], '/'));
	fd = open(node, O_RDWR | O_CLOEXEC);
	globfree(&g);
	return fd < 0 ? -errno : fd;
}

/* Import it: 0, or -errno. */
static inline int vgem_import(int vgem, int dmabuf, __u32 *handle)
{
	struct prime_handle p = { .fd = dmabuf };
	int ret = kioctl(vgem, PRIME_FD_TO_HANDLE, &p);

	*handle = p.handle;
	return ret;
}

/* A dma-buf of it again. */
static inline int vgem_export(int vgem, __u32 handle)
{
	struct prime_handle p = {
		.handle = handle,
		.flags = O_RDWR | O_CLOEXEC,
	};
	int ret = kioctl(vgem, PRIME_HANDLE_TO_FD, &p);

	return ret ? ret : p.fd;
}

/* Say that it is being written, from now on. */
static inline int vgem_begin(int vgem, __u32 handle, __u32 *fence)
{
	struct vgem_attach a = { .handle = handle, .flags = VGEM_WRITE };
	int ret = kioctl(vgem, VGEM_ATTACH, &a);

	*fence = a.fence;
	return ret;
}

/* And that this is over. */
static inline int vgem_end(int vgem, __u32 fence)
{
	struct vgem_signal s = { .fence = fence };

	return kioctl(vgem, VGEM_SIGNAL, &s);
}

static inline int vgem_drop(int vgem, __u32 handle)
{
	struct gem_close c = { .handle = handle };

	return kioctl(vgem, GEM_CLOSE, &c);
}

#endif /* KUBUF_VGEM_H */
