// SPDX-License-Identifier: GPL-2.0-only
/*
 * 32-bit callers on a 64-bit kernel, of x86 or MIPS. The calls are made the
 * 32-bit way from this 64-bit program, so that no 32-bit C library is needed.
 */
#include "kselftest_harness.h"
#include "kubuf_task.h"

#define NAME	"compat-test"

#ifdef __x86_64__

#define GATE		"IA32_EMULATION"

/* Numbers of the 32-bit calls. */
#define NR_OPEN		5
#define NR_CLOSE	6
#define NR_GETPID	20
#define NR_IOCTL	54
#define NR_MUNMAP	91
#define NR_LLSEEK	140
#define NR_PREAD64	180
#define NR_MMAP2	192

/* A call as a 32-bit program makes it: what it answers is 32 bits as well. */
static int call32(int nr, unsigned long a, unsigned long b, unsigned long c,
		  unsigned long d, unsigned long e)
{
	long ret;

	/* Older kernels hand back the later registers as 0. */
	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (nr), "b" (a), "c" (b), "d" (c), "S" (d), "D" (e)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* mmap2() has a sixth argument, in the frame pointer; it is 0 here. */
static int mmap32(size_t length, int prot, int flags, int fd)
{
	long ret;

	asm volatile("mov %%rbp, %%r12\n\t"
		     "xor %%ebp, %%ebp\n\t"
		     "int $0x80\n\t"
		     "mov %%r12, %%rbp"
		     : "=a" (ret)
		     : "a" (NR_MMAP2), "b" (0), "c" (length), "d" (prot),
		       "S" (flags), "D" (fd)
		     : "memory", "r8", "r9", "r10", "r11", "r12");
	return (int)ret;
}

static int pread32(int fd, void *to, size_t n, unsigned int low,
		   unsigned int high)
{
	return call32(NR_PREAD64, fd, (uintptr_t)to, n, low, high);
}

static void *map_low(size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

#elif defined(__mips64) && defined(__LP64__)

#define GATE		"MIPS32_O32"

#define NR_OPEN		4005
#define NR_CLOSE	4006
#define NR_GETPID	4020
#define NR_IOCTL	4054
#define NR_MUNMAP	4091
#define NR_LLSEEK	4140
#define NR_PREAD64	4200
#define NR_MMAP2	4210

/* Where nothing is in a 64-bit program, and a 32-bit one could have it. */
#define LOW_MEMORY	0x20000000UL
#define LOW_BUFFER	0x30000000UL

/* Four arguments in registers, two on the stack. */
static int call32_6(int nr, unsigned long a, unsigned long b, unsigned long c,
		    unsigned long d, unsigned int e, unsigned int f)
{
	register long v0 asm("$2") = nr;
	register unsigned long a0 asm("$4") = a;
	register unsigned long a1 asm("$5") = b;
	register unsigned long a2 asm("$6") = c;
	register unsigned long a3 asm("$7") = d;

	asm volatile("daddiu $sp, $sp, -32\n\t"
		     "sw %5, 16($sp)\n\t"
		     "sw %6, 20($sp)\n\t"
		     "syscall\n\t"
		     "daddiu $sp, $sp, 32"
		     : "+r" (v0), "+r" (a3)
		     : "r" (a0), "r" (a1), "r" (a2), "r" (e), "r" (f)
		     : "memory", "$1", "$3", "$8", "$9", "$10", "$11", "$12",
		       "$13", "$14", "$15", "$24", "$25", "hi", "lo");
	return a3 ? -(int)v0 : (int)v0;
}

static int call32(int nr, unsigned long a, unsigned long b, unsigned long c,
		  unsigned long d, unsigned int e)
{
	return call32_6(nr, a, b, c, d, e, 0);
}

/* The address is as wide as the program, unless it asks for a low one. */
static int mmap32(size_t length, int prot, int flags, int fd)
{
	return call32_6(NR_MMAP2, LOW_BUFFER, length, prot, flags, fd, 0);
}

/* A 64-bit argument begins with an even one: the fourth is not used. */
static int pread32(int fd, void *to, size_t n, unsigned int low,
		   unsigned int high)
{
	return call32_6(NR_PREAD64, fd, (uintptr_t)to, n, 0, low, high);
}

static void *map_low(size_t length)
{
	return mmap((void *)LOW_MEMORY, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

#endif

#ifdef GATE

static long getpid32(void *arg)
{
	return call32(NR_GETPID, 0, 0, 0, 0, 0) == getpid();
}

/* Without them such a call brings SIGSEGV, or is unknown. */
static bool have_call32(void)
{
	return in_child(getpid32, NULL) == 1;
}

/* What a 32-bit program hands over lies below 4 GiB, of MIPS below 2 GiB. */
struct low {
	struct kubuf_create create;
	struct kubuf_destroy destroy;
	struct kubuf_list list;
	struct kubuf_info info;
	struct kubuf_info infos[4];
	char path[64];
	__u64 where;
};

FIXTURE(compat) {
	struct low *low;
	int control;
};

FIXTURE_SETUP(compat)
{
	buf_destroy(NAME);
	self->control = control_open();
	ASSERT_LE(0, self->control);
	self->low = map_low(sizeof(*self->low));
	ASSERT_NE(MAP_FAILED, self->low);
	ASSERT_EQ(0UL, (uintptr_t)self->low >> 32);
}

FIXTURE_TEARDOWN(compat)
{
	buf_destroy(NAME);
	close(self->control);
}

static int ioctl32(int fd, unsigned int cmd, void *arg)
{
	return call32(NR_IOCTL, fd, cmd, (uintptr_t)arg, 0, 0);
}

static int create32(int control, struct low *low, __u32 flags)
{
	low->create = (struct kubuf_create) {
		.size = sizeof(low->create),
		.flags = flags,
		.length = 3 * page_size() - 1,
		.backing = KUBUF_BACKING_VMALLOC,
	};
	if (flags & KUBUF_CREATE_NAMED)
		name_set(low->create.name, NAME);
	return ioctl32(control, KUBUF_CREATE, &low->create);
}

/* The structures have one layout, as seen by either kind of caller. */
TEST_F(compat, create_and_info)
{
	struct kubuf_info info;
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	fd = create32(self->control, self->low, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(3 * page_size(), self->low->create.length);
	self->low->info.size = sizeof(self->low->info);
	ASSERT_EQ(0, ioctl32(fd, KUBUF_INFO, &self->low->info));
	ASSERT_EQ(0, buf_info(fd, &info));
	EXPECT_EQ(0, memcmp(&info, &self->low->info, sizeof(info)));
	EXPECT_EQ(3 * page_size(), info.length);
	close(fd);
}

TEST_F(compat, list_and_destroy)
{
	struct low *low = self->low;
	struct stat st;
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	fd = create32(self->control, low, KUBUF_CREATE_NAMED);
	ASSERT_LE(0, fd);
	close(fd);
	low->list.size = sizeof(low->list);
	low->list.info_size = sizeof(low->infos[0]);
	low->list.infos = (uintptr_t)low->infos;
	low->list.count = ARRAY_SIZE(low->infos);
	ASSERT_EQ(0, ioctl32(self->control, KUBUF_LIST, &low->list));
	ASSERT_EQ(1U, low->list.count);
	EXPECT_STREQ(NAME, low->infos[0].name);
	EXPECT_EQ(3 * page_size(), low->infos[0].length);
	low->destroy.size = sizeof(low->destroy);
	name_set(low->destroy.name, NAME);
	EXPECT_EQ(0, ioctl32(self->control, KUBUF_DESTROY, &low->destroy));
	EXPECT_EQ(-ENOENT, node_stat(NAME, &st));
	EXPECT_EQ(-ENOENT,
		  ioctl32(self->control, KUBUF_DESTROY, &low->destroy));
}

/* An array address has 64 bits in the structure: all of them count. */
TEST_F(compat, list_array_above_4_gib)
{
	struct low *low = self->low;
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	fd = create32(self->control, low, KUBUF_CREATE_NAMED);
	ASSERT_LE(0, fd);
	close(fd);
	low->list.size = sizeof(low->list);
	low->list.info_size = sizeof(low->infos[0]);
	low->list.infos = (uintptr_t)low->infos | 0xffff800000000000UL;
	low->list.count = 1;
	EXPECT_EQ(-EFAULT, ioctl32(self->control, KUBUF_LIST, &low->list));
}

TEST_F(compat, refused_as_for_others)
{
	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	EXPECT_EQ(-ENOTTY, ioctl32(self->control, KUBUF_INFO, self->low));
	EXPECT_EQ(-EFAULT, ioctl32(self->control, KUBUF_CREATE, NULL));
	/* All zero: a structure of size 0. */
	memset(self->low, 0, sizeof(*self->low));
	EXPECT_EQ(-EINVAL, ioctl32(self->control, KUBUF_CREATE, self->low));
}

TEST_F(compat, open_and_close)
{
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	memcpy(self->low->path, CONTROL, sizeof(CONTROL));
	fd = call32(NR_OPEN, (uintptr_t)self->low->path, O_RDWR, 0, 0, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, call32(NR_CLOSE, fd, 0, 0, 0, 0));
}

/* Mapped below 4 GiB, it shows what the kernel stores, and the reverse. */
TEST_F(compat, mmap2_and_touch)
{
	unsigned int addr;
	char byte = 0;
	char *p;
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	fd = create32(self->control, self->low, 0);
	ASSERT_LE(0, fd);
	addr = mmap32(3 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	ASSERT_GT(-4096U, addr);
	EXPECT_EQ(1, buf_mappings(fd));
	p = (char *)(uintptr_t)addr;
	ASSERT_EQ(1, pwrite(fd, "k", 1, page_size() + 5));
	EXPECT_EQ('k', p[page_size() + 5]);
	p[2 * page_size() + 7] = 'u';
	EXPECT_EQ(1, pread(fd, &byte, 1, 2 * page_size() + 7));
	EXPECT_EQ('u', byte);
	EXPECT_EQ(0, call32(NR_MUNMAP, addr, 3 * page_size(), 0, 0, 0));
	EXPECT_EQ(0, buf_mappings(fd));
	close(fd);
}

/* Offsets come in two halves. */
TEST_F(compat, pread64_and_llseek)
{
	struct low *low = self->low;
	int fd;

	if (!have_call32())
		SKIP(return, "kernel has no 32-bit calls (" GATE ")");
	fd = create32(self->control, low, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(3, pwrite(fd, "abc", 3, page_size() + 1));
	EXPECT_EQ(3, pread32(fd, low->path, 3, page_size() + 1, 0));
	EXPECT_EQ(0, memcmp(low->path, "abc", 3));
	/* Past the end by the upper half alone. */
	EXPECT_EQ(0, pread32(fd, low->path, 3, page_size() + 1, 1));
	EXPECT_EQ(0, call32(NR_LLSEEK, fd, 0, 0, (uintptr_t)&low->where,
			    SEEK_END));
	EXPECT_EQ(3 * page_size(), low->where);
	close(fd);
}

#else

TEST(compat)
{
	SKIP(return, "only for x86-64 and MIPS64");
}

#endif

TEST_HARNESS_MAIN
