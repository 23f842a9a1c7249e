/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual machine of KVM's, of one processor that runs three instructions.
 */
#ifndef KUBUF_GUEST_H
#define KUBUF_GUEST_H

#include <linux/kvm.h>

#include "kubuf_util.h"

/* Where the guest has its program, and the buffer. */
#define GUEST_CODE	0x1000
#define GUEST_BUF	0x200000

/* Slots of memory. */
#define SLOT_CODE	0
#define SLOT_BUF	1

#define CR0_PE		1

/* What the guest can be told to do, in 32-bit code. */
static const unsigned char program[] = {
	/* INVERT: turn each bit of ECX words from ESI on over, and stop. */
	0xf7, 0x16,		/* notl (%esi) */
	0x83, 0xc6, 0x04,	/* addl $4, %esi */
	0x49,			/* decl %ecx */
	0x75, 0xf8,		/* jnz -8 */
	0xf4,			/* hlt */
	/* LOAD: the word that ESI points to. */
	0x8b, 0x06,		/* movl (%esi), %eax */
	0xf4,			/* hlt */
};

#define INVERT	0
#define LOAD	9

#define NO_KVM		"no KVM, or none for this processor"

/* A virtual machine of one processor. */
struct guest {
	int vm;
	int vcpu;
	char *code;
	struct kvm_run *run;
	size_t run_size;
};

static inline int slot_set(const struct guest *g, __u32 slot, __u64 at,
			   __u32 flags, void *p, size_t length)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = at,
		.memory_size = length,
		.userspace_addr = (uintptr_t)p,
	};

	return kioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

/* The processor runs KVM's modules that fit it, if it has any. */
static inline int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (system("modprobe -q kvm_amd 2>/dev/null") &&
	    system("modprobe -q kvm_intel 2>/dev/null"))
		return -1;
	return open("/dev/kvm", O_RDWR | O_CLOEXEC);
}

/*
 * Without any machine the kernel patches KVM out of its scheduler, and back in
 * with the first: once is enough. Emulated processors that run the code
 * meanwhile may see what was never there.
 */
__attribute__((constructor))
static inline void keep_a_machine(void)
{
	int kvm = kvm_open();

	if (kvm >= 0)
		ioctl(kvm, KVM_CREATE_VM, 0);
}

static inline bool guest_start(struct guest *g, int kvm)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	g->run_size = (size_t)size;
	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (size < 0 || g->vm < 0)
		return false;
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED, g->vcpu, 0);
	g->code = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->vcpu < 0 || g->run == MAP_FAILED || g->code == MAP_FAILED)
		return false;
	memcpy(g->code, program, sizeof(program));
	return !slot_set(g, SLOT_CODE, GUEST_CODE, 0, g->code, page_size());
}

static inline void guest_stop(struct guest *g)
{
	munmap(g->run, g->run_size);
	munmap(g->code, page_size());
	close(g->vcpu);
	close(g->vm);
}

static inline void flat(struct kvm_segment *s, __u8 type)
{
	*s = (struct kvm_segment){
		.limit = 0xffffffff, .selector = 8, .type = type,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
}

/*
 * Let the guest do WHAT on WORDS words of the buffer, with 32-bit addresses and
 * no page table: why it has stopped, or -errno.
 */
static inline int guest_run(struct guest *g, __u64 what, __u32 words)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE + what,
		.rsi = GUEST_BUF, .rcx = words, .rflags = 2,
	};
	struct kvm_sregs sregs;
	int ret;

	if (ioctl(g->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	flat(&sregs.cs, 11);
	flat(&sregs.ds, 3);
	flat(&sregs.es, 3);
	flat(&sregs.ss, 3);
	sregs.cr0 |= CR0_PE;
	if (ioctl(g->vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(g->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	ret = kioctl(g->vcpu, KVM_RUN, NULL);
	return ret ? ret : (int)g->run->exit_reason;
}

/* EAX as the guest has left it. */
static inline __u32 guest_eax(const struct guest *g)
{
	struct kvm_regs regs = { };

	ioctl(g->vcpu, KVM_GET_REGS, &regs);
	return (__u32)regs.rax;
}

#endif /* KUBUF_GUEST_H */
