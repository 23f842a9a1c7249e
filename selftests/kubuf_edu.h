/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that is given memory by VFIO, of type 1 or by iommufd: "edu", which
 * QEMU emulates for teaching. It copies memory to memory.
 */
#ifndef KUBUF_EDU_H
#define KUBUF_EDU_H

#include <glob.h>

#include <linux/vfio.h>

#include "kubuf_task.h"

/* Addresses of the device; it has 28 bits. */
#define IOVA	0x1000000
#define IOVA_TO	0x2000000

/* The device: see docs/specs/edu.txt of QEMU. */
#define EDU_VENDOR	"0x1234"
#define EDU_DEVICE	"0x11e8"
#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_RUN		1
#define EDU_TO_MEMORY	2
#define EDU_BUFFER	0x40000
/* It has room for 4096 bytes, of which it does not take the last. */
#define EDU_PIECE	2048

#define PCI_COMMAND		4
#define PCI_COMMAND_MEMORY	2
#define PCI_COMMAND_MASTER	4

/* Of <linux/iommufd.h>, which came with 6.2. */
struct ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

struct vfio_ioas {
	__u32 size;
	__u32 ioas_id;
	__u16 op;
	__u16 reserved;
};

#define IOAS_MAP	_IO(VFIO_TYPE, 0x85)
#define IOAS_UNMAP	_IO(VFIO_TYPE, 0x86)
#define VFIO_IOAS	_IO(VFIO_TYPE, 0x88)

#define IOAS_MAP_FIXED_IOVA	1
#define IOAS_MAP_WRITEABLE	2
#define IOAS_MAP_READABLE	4

/* The device and who translates its addresses. */
struct edu {
	bool iommufd;
	__u32 ioas;
	int container;
	int group;
	int device;
	off_t bar;
};

/* The name of the device on the bus. */
static inline bool edu_find(char *name, size_t room)
{
	char path[128], vendor[16], device[16];
	bool found = false;
	glob_t g;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &g))
		return false;
	for (size_t i = 0; i < g.gl_pathc && !found; i++) {
		snprintf(path, sizeof(path), "%s/vendor", g.gl_pathv[i]);
		if (file_line(path, vendor, sizeof(vendor)))
			continue;
		snprintf(path, sizeof(path), "%s/device", g.gl_pathv[i]);
		if (file_line(path, device, sizeof(device)))
			continue;
		found = !strcmp(vendor, EDU_VENDOR) &&
			!strcmp(device, EDU_DEVICE);
		if (found)
			snprintf(name, room, "%s",
				 strrchr(g.gl_pathv[i], '/') + 1);
	}
	globfree(&g);
	return found;
}

/* The node of the group that the device is in; false if no IOMMU has it. */
static inline bool edu_group(const char *name, char *node, size_t room)
{
	char path[128], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	snprintf(node, room, "/dev/vfio%s", strrchr(link, '/'));
	return true;
}

/* Have vfio-pci drive it: 0, or -errno. */
static inline int edu_bind(const char *name)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override",
		 name);
	ret = file_write(path, "vfio-pci");
	return ret ? ret : file_write("/sys/bus/pci/drivers_probe", name);
}

/* The modules; interrupts, which no test asks for, may go astray. */
static inline void load_modules(void)
{
	const char * const modules[] = {
		"vfio_pci", "vfio_iommu_type1", "iommufd",
	};
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		snprintf(text, sizeof(text), "modprobe -q %s 2>/dev/null",
			 modules[i]);
		if (system(text))
			continue;
		snprintf(text, sizeof(text),
			 "/sys/module/%s/parameters/allow_unsafe_interrupts",
			 modules[i]);
		file_write(text, "Y");
	}
}

/* Let the translation be that of the container: 0, or -errno. */
static inline int edu_attach(struct edu *e)
{
	struct vfio_ioas ioas = { .size = sizeof(ioas) };
	int ret = kioctl(e->group, VFIO_GROUP_SET_CONTAINER, &e->container);

	if (!ret)
		ret = ioctl(e->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) ?
		      -errno : 0;
	if (ret || !e->iommufd)
		return ret;
	ret = kioctl(e->container, VFIO_IOAS, &ioas);
	e->ioas = ioas.ioas_id;
	return ret;
}

/* Turn memory and DMA of the device on: 0, or -errno. */
static inline int edu_start(struct edu *e)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	const __u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (ioctl(e->device, VFIO_DEVICE_GET_REGION_INFO, &bar) ||
	    ioctl(e->device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pwrite(e->device, &command, sizeof(command),
		   (off_t)config.offset + PCI_COMMAND) != sizeof(command))
		return -errno;
	e->bar = (off_t)bar.offset;
	return 0;
}

static inline void edu_close(struct edu *e)
{
	close(e->device);
	close(e->group);
	close(e->container);
}

/* Open the device: 0, or -errno; WHY if there is none. */
static inline int edu_open(struct edu *e, bool iommufd, const char **why)
{
	char name[64], node[64];
	int ret;

	*e = (struct edu){ .iommufd = iommufd, .group = -1, .device = -1 };
	*why = "no device \"edu\": scripts/vm --iommu has one";
	if (!edu_find(name, sizeof(name)))
		return -ENODEV;
	*why = "no IOMMU has the device";
	if (!edu_group(name, node, sizeof(node)))
		return -ENODEV;
	load_modules();
	*why = iommufd ? "this kernel has no iommufd" : "this kernel has no VFIO";
	e->container = open(iommufd ? "/dev/iommu" : "/dev/vfio/vfio",
			    O_RDWR | O_CLOEXEC);
	if (e->container < 0)
		return -errno;
	*why = NULL;
	ret = edu_bind(name);
	if (ret)
		return ret;
	e->group = open(node, O_RDWR | O_CLOEXEC);
	if (e->group < 0)
		return -errno;
	ret = edu_attach(e);
	if (ret)
		return ret;
	e->device = ioctl(e->group, VFIO_GROUP_GET_DEVICE_FD, name);
	return e->device < 0 ? -errno : edu_start(e);
}

/* Let the device have LENGTH bytes at AT: 0, or -errno. */
static inline int dma_map(const struct edu *e, __u64 at, void *p,
			  size_t length, int prot)
{
	const bool write = prot & PROT_WRITE;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 (write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)p, .iova = at, .size = length,
	};
	struct ioas_map ioas = {
		.size = sizeof(ioas),
		.flags = IOAS_MAP_FIXED_IOVA | IOAS_MAP_READABLE |
			 (write ? IOAS_MAP_WRITEABLE : 0),
		.ioas_id = e->ioas,
		.user_va = (uintptr_t)p, .iova = at, .length = length,
	};

	return e->iommufd ? kioctl(e->container, IOAS_MAP, &ioas) :
			    kioctl(e->container, VFIO_IOMMU_MAP_DMA, &map);
}

static inline int dma_unmap(const struct edu *e, __u64 at, size_t length)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = at, .size = length,
	};
	struct ioas_unmap ioas = {
		.size = sizeof(ioas), .ioas_id = e->ioas,
		.iova = at, .length = length,
	};

	return e->iommufd ? kioctl(e->container, IOAS_UNMAP, &ioas) :
			    kioctl(e->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static inline bool edu_store(const struct edu *e, off_t reg, __u32 value)
{
	return pwrite(e->device, &value, sizeof(value), e->bar + reg) ==
	       sizeof(value);
}

/* One transfer, and wait for its end. */
static inline bool edu_dma(const struct edu *e, __u32 src, __u32 dst,
			   __u32 command)
{
	__u32 busy = EDU_RUN;

	if (!edu_store(e, EDU_SRC, src) || !edu_store(e, EDU_DST, dst) ||
	    !edu_store(e, EDU_COUNT, EDU_PIECE) ||
	    !edu_store(e, EDU_COMMAND, EDU_RUN | command))
		return false;
	for (int ms = 0; ms < 10000 && busy & EDU_RUN; ms++) {
		usleep(1000);
		if (pread(e->device, &busy, sizeof(busy), e->bar +
			  EDU_COMMAND) != sizeof(busy))
			return false;
	}
	return !(busy & EDU_RUN);
}

/* Have the device copy some bytes. */
static inline bool edu_copy(const struct edu *e, __u32 from, __u32 to)
{
	return edu_dma(e, from, EDU_BUFFER, 0) &&
	       edu_dma(e, EDU_BUFFER, to, EDU_TO_MEMORY);
}

#endif /* KUBUF_EDU_H */
