// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping given to a device: VFIO, by its type 1 and by iommufd. The device is
 * "edu", which QEMU emulates for teaching: it copies memory to memory.
 */
#include <glob.h>

#include <linux/vfio.h>

#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#define PAGES	16

#define RW	(PROT_READ | PROT_WRITE)

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
static bool edu_find(char *name, size_t room)
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
static bool edu_group(const char *name, char *node, size_t room)
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
static int edu_bind(const char *name)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override",
		 name);
	ret = file_write(path, "vfio-pci");
	return ret ? ret : file_write("/sys/bus/pci/drivers_probe", name);
}

/* The modules; interrupts, which no test asks for, may go astray. */
static void load_modules(void)
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
static int edu_attach(struct edu *e)
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
static int edu_start(struct edu *e)
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

static void edu_close(struct edu *e)
{
	close(e->device);
	close(e->group);
	close(e->container);
}

/* Open the device: 0, or -errno; WHY if there is none. */
static int edu_open(struct edu *e, bool iommufd, const char **why)
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
static int dma_map(const struct edu *e, __u64 at, void *p, size_t length,
		   int prot)
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

static int dma_unmap(const struct edu *e, __u64 at, size_t length)
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

static bool edu_store(const struct edu *e, off_t reg, __u32 value)
{
	return pwrite(e->device, &value, sizeof(value), e->bar + reg) ==
	       sizeof(value);
}

/* One transfer, and wait for its end. */
static bool edu_dma(const struct edu *e, __u32 src, __u32 dst, __u32 command)
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
static bool edu_copy(const struct edu *e, __u32 from, __u32 to)
{
	return edu_dma(e, from, EDU_BUFFER, 0) &&
	       edu_dma(e, EDU_BUFFER, to, EDU_TO_MEMORY);
}

/* Where in the buffer to copy: its begin and its end, and between pages. */
static size_t place(size_t i, size_t length)
{
	const size_t places[] = {
		0, 3 * page_size() - EDU_PIECE / 2, length - EDU_PIECE,
	};

	return i < ARRAY_SIZE(places) ? places[i] : length;
}

/*
 * Does the device copy what is at IOVA to IOVA_TO, which is the memory of the
 * buffer TO, and nothing else?
 */
static bool device_copies(const struct edu *e, int to, size_t length,
			  unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok = tmp;
	size_t at = 0, end = 0;

	ok = ok && kernel_fill(to, length, seed + 1);
	for (size_t i = 0; ok && place(i, length) < length; i++)
		ok = edu_copy(e, (__u32)(IOVA + place(i, length)),
			      (__u32)(IOVA_TO + place(i, length)));
	ok = ok && pread(to, tmp, length, 0) == (ssize_t)length;
	for (size_t i = 0; ok && end < length; i++) {
		at = place(i, length);
		ok = matches_at(tmp + end, at - end, end, seed + 1);
		end = at < length ? at + EDU_PIECE : length;
		if (at < length)
			ok = ok && matches_at(tmp + at, EDU_PIECE, at, seed);
	}
	free(tmp);
	return ok;
}

FIXTURE(vfio)
{
	size_t len;
	bool accepted;
	const char *why;
	struct edu e;
	int fd;
	int to;
	char *p;
	char *q;
};

FIXTURE_VARIANT(vfio)
{
	KUBUF_VARIANT_FIELDS
	bool iommufd;
};

FIXTURE_VARIANT_ADD(vfio, type1_pages)
{
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(vfio, type1_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(vfio, type1_huge)
{
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(vfio, type1_kmalloc)
{
	.backing = KUBUF_BACKING_KMALLOC,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, type1_pages_reserved)
{
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, type1_vmalloc_reserved)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_pages)
{
	.backing = KUBUF_BACKING_PAGES,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_huge)
{
	.backing = KUBUF_BACKING_HUGE,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_kmalloc)
{
	.backing = KUBUF_BACKING_KMALLOC,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_pages_reserved)
{
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(vfio, iommufd_vmalloc_reserved)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
	.iommufd = true,
};

FIXTURE_SETUP(vfio)
{
	int err = edu_open(&self->e, variant->iommufd, &self->why);

	/* The tests skip: with older frameworks they run all the same. */
	if (self->why)
		return;
	ASSERT_EQ(0, err);
	/* Type 1 takes reserved memory without a pin, by frame number. */
	self->accepted = !variant->pfn ||
			 (variant->flags & KUBUF_CREATE_RESERVED &&
			  !variant->iommufd);
	self->len = PAGES * page_size();
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	/* Not touched: the device is the first to want the pages. */
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	self->to = buf_create(KUBUF_BACKING_PAGES, self->len, 0);
	ASSERT_LE(0, self->to);
	self->q = buf_map(self->to, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->q);
	ASSERT_EQ(0, dma_map(&self->e, IOVA_TO, self->q, self->len, RW));
}

FIXTURE_TEARDOWN(vfio)
{
	edu_close(&self->e);
	if (self->why)
		return;
	munmap(self->p, self->len);
	munmap(self->q, self->len);
	close(self->fd);
	close(self->to);
}

/* The device loads what the kernel has stored, and what the program stores. */
TEST_F(vfio, device_loads)
{
	int ret;

	if (self->why)
		SKIP(return, "%s", self->why);
	ret = dma_map(&self->e, IOVA, self->p, self->len, RW);
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, ret);
		return;
	}
	ASSERT_EQ(0, ret);
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	fill(self->p, self->len, 5);
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 5));
}

/* The device stores; the kernel and the program see it. */
TEST_F(vfio, device_stores)
{
	size_t at;
	int ret;

	if (self->why)
		SKIP(return, "%s", self->why);
	at = self->len - EDU_PIECE;
	ret = dma_map(&self->e, IOVA, self->p, self->len, RW);
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, ret);
		EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
		return;
	}
	ASSERT_EQ(0, ret);
	ASSERT_TRUE(kernel_fill(self->to, self->len, 2));
	ASSERT_TRUE(edu_copy(&self->e, (__u32)(IOVA_TO + at),
			     (__u32)(IOVA + at)));
	EXPECT_TRUE(matches_at(self->p, at, 0, 1));
	EXPECT_TRUE(matches_at(self->p + at, EDU_PIECE, at, 2));
	ASSERT_EQ((ssize_t)EDU_PIECE, pread(self->fd, self->q, EDU_PIECE,
					    (off_t)at));
	EXPECT_TRUE(matches_at(self->q, EDU_PIECE, at, 2));
}

/* The device may do no more than the mapping. */
TEST_F(vfio, read_only)
{
	char *r;

	if (self->why)
		SKIP(return, "%s", self->why);
	r = buf_map(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, r, self->len, RW));
	if (self->accepted) {
		ASSERT_EQ(0, dma_map(&self->e, IOVA, r, self->len, PROT_READ));
		EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	} else {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, r, self->len,
					   PROT_READ));
	}
	munmap(r, self->len);
}

/* What the device has is pinned, if it can be, and given back. */
TEST_F(vfio, given_back)
{
	struct page_state before[PAGES], during[PAGES], after[PAGES];

	if (self->why)
		SKIP(return, "%s", self->why);
	touch(self->p, self->len);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, self->p, self->len,
					   RW));
		memcpy(during, before, sizeof(during));
	} else {
		ASSERT_EQ(0, dma_map(&self->e, IOVA, self->p, self->len, RW));
		ASSERT_EQ(PAGES, page_states(self->fd, during, PAGES));
		EXPECT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
	}
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(!variant->pfn, during[i].pinned);
		EXPECT_FALSE(after[i].pinned);
		EXPECT_EQ(before[i].refs, after[i].refs);
	}
}

/*
 * The device keeps its memory when that is unmapped. What is reserved it has not
 * pinned, which VFIO knows by PG_reserved alone: have that set when it is done.
 */
TEST_F(vfio, munmap_first)
{
	struct page_state before[PAGES], after[PAGES];

	if (self->why)
		SKIP(return, "%s", self->why);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	if (!self->accepted) {
		EXPECT_EQ(-EFAULT, dma_map(&self->e, IOVA, self->p, self->len,
					   RW));
		return;
	}
	ASSERT_EQ(0, dma_map(&self->e, IOVA, self->p, self->len, RW));
	ASSERT_EQ(0, munmap(self->p, self->len));
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	self->p = buf_map(self->fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->p);
	touch(self->p, self->len);
	ASSERT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(before[i].refs, after[i].refs);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
}

/* What makes no sense where pages cannot be pinned. */
FIXTURE(hold)
{
	size_t len;
	const char *why;
	struct edu e;
	int to;
	char *q;
};

FIXTURE_VARIANT(hold)
{
	__u32 backing;
	bool iommufd;
};

FIXTURE_VARIANT_ADD(hold, type1_pages)
{
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(hold, type1_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(hold, type1_huge)
{
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(hold, iommufd_pages)
{
	.backing = KUBUF_BACKING_PAGES,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(hold, iommufd_vmalloc)
{
	.backing = KUBUF_BACKING_VMALLOC,
	.iommufd = true,
};

FIXTURE_VARIANT_ADD(hold, iommufd_huge)
{
	.backing = KUBUF_BACKING_HUGE,
	.iommufd = true,
};

FIXTURE_SETUP(hold)
{
	int err = edu_open(&self->e, variant->iommufd, &self->why);

	if (self->why)
		return;
	ASSERT_EQ(0, err);
	self->len = PAGES * page_size();
	self->to = buf_create(KUBUF_BACKING_PAGES, self->len, 0);
	ASSERT_LE(0, self->to);
	self->q = buf_map(self->to, self->len, RW);
	ASSERT_NE(MAP_FAILED, self->q);
	ASSERT_EQ(0, dma_map(&self->e, IOVA_TO, self->q, self->len, RW));
}

FIXTURE_TEARDOWN(hold)
{
	edu_close(&self->e);
	if (self->why)
		return;
	munmap(self->q, self->len);
	close(self->to);
}

/* A pin outlives the mapping and the file. */
TEST_F(hold, outlives_buffer)
{
	char *p;
	int fd;

	if (self->why)
		SKIP(return, "%s", self->why);
	fd = buf_create(variant->backing, self->len, 0);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(kernel_fill(fd, self->len, 1));
	p = buf_map(fd, self->len, RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, dma_map(&self->e, IOVA, p, self->len, RW));
	ASSERT_EQ(0, munmap(p, self->len));
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(churn(variant->backing, 0, self->len));
	EXPECT_TRUE(device_copies(&self->e, self->to, self->len, 1));
	ASSERT_EQ(0, dma_unmap(&self->e, IOVA, self->len));
}

TEST_HARNESS_MAIN
