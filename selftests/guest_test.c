// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping as memory of a virtual machine: KVM takes pages of both paths, and
 * lets go of them when they are unmapped.
 */
#include "kselftest_harness.h"

#include "kubuf_map.h"
#include "kubuf_task.h"

#ifdef __x86_64__
#include "kubuf_guest.h"

#define PAGES	32

#define RW	(PROT_READ | PROT_WRITE)

#define ONE_PAGE	"before 6.13 KVM takes one page of kmalloc() and no more"

FIXTURE(guest)
{
	bool refused;
	size_t len;
	__u32 words;
	int kvm;
	int fd;
	char *p;
	struct guest g;
};

FIXTURE_VARIANT(guest)
{
	KUBUF_VARIANT_FIELDS
};

KUBUF_VARIANTS(guest);

FIXTURE_SETUP(guest)
{
	self->len = PAGES * page_size();
	self->words = (__u32)(self->len / sizeof(__u32));
	self->kvm = kvm_open();
	/* The tests skip: with older frameworks they run all the same. */
	if (self->kvm < 0)
		return;
	/*
	 * Until then KVM wanted a reference of each page that is not reserved.
	 * Pages of kmalloc() behind the first one have none.
	 */
	self->refused = variant->backing == KUBUF_BACKING_KMALLOC &&
			kernel_before(6, 13);
	ASSERT_TRUE(guest_start(&self->g, self->kvm));
	self->fd = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 1));
	/* Not touched: the guest is the first to want the pages. */
	self->p = map_fresh(self->fd, self->len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(guest)
{
	if (self->kvm < 0)
		return;
	guest_stop(&self->g);
	munmap(self->p, self->len);
	close(self->fd);
	close(self->kvm);
}

/* Is each byte in the kernel the pattern's, with all bits turned over? */
static bool inverted(int fd, size_t length, unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok = tmp && pread(fd, tmp, length, 0) == (ssize_t)length;

	for (size_t i = 0; ok && i < length; i++)
		tmp[i] = (char)~tmp[i];
	ok = ok && matches_at(tmp, length, 0, seed);
	free(tmp);
	return ok;
}

/* The guest loads what the kernel has stored, and the kernel what it stores. */
TEST_F(guest, loads_and_stores)
{
	if (self->kvm < 0)
		SKIP(return, NO_KVM);
	ASSERT_EQ(0, slot_set(&self->g, SLOT_BUF, GUEST_BUF, 0, self->p,
			      self->len));
	if (self->refused) {
		EXPECT_EQ(-EFAULT, guest_run(&self->g, INVERT,
					     self->words));
		EXPECT_TRUE(inverted(self->fd, page_size(), 1));
		EXPECT_TRUE(matches_at(self->p + page_size(),
				       self->len - page_size(), page_size(),
				       1));
		return;
	}
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	EXPECT_TRUE(inverted(self->fd, self->len, 1));
	/* One memory, also once the guest has its page table. */
	ASSERT_TRUE(kernel_fill(self->fd, self->len, 2));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	EXPECT_TRUE(inverted(self->fd, self->len, 2));
	fill(self->p, self->len, 3);
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	EXPECT_TRUE(inverted(self->fd, self->len, 3));
}

/* What is mapped for reading the guest reads; it can store nothing there. */
TEST_F(guest, read_only)
{
	__u32 word;
	char *q;

	if (self->kvm < 0)
		SKIP(return, NO_KVM);
	q = buf_map(self->fd, self->len, PROT_READ);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, slot_set(&self->g, SLOT_BUF, GUEST_BUF, KVM_MEM_READONLY,
			      q, self->len));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, LOAD, 1));
	memcpy(&word, q, sizeof(word));
	EXPECT_EQ(word, guest_eax(&self->g));
	ASSERT_EQ(KVM_EXIT_MMIO, guest_run(&self->g, INVERT, 1));
	EXPECT_TRUE(self->g.run->mmio.is_write);
	EXPECT_EQ((__u64)GUEST_BUF, self->g.run->mmio.phys_addr);
	EXPECT_EQ(self->len, kernel_mismatch(self->fd, self->len, 1));
	munmap(q, self->len);
}

/* A guest has no pin: where its memory was unmapped there is none. */
TEST_F(guest, unmapped)
{
	struct page_state before[PAGES], after[PAGES];

	if (self->kvm < 0)
		SKIP(return, NO_KVM);
	if (self->refused)
		SKIP(return, ONE_PAGE);
	ASSERT_EQ(PAGES, page_states(self->fd, before, PAGES));
	ASSERT_EQ(0, slot_set(&self->g, SLOT_BUF, GUEST_BUF, 0, self->p,
			      self->len));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	ASSERT_EQ(0, munmap(self->p, self->len));
	EXPECT_EQ(-EFAULT, guest_run(&self->g, LOAD, 1));
	EXPECT_EQ(-EFAULT, guest_run(&self->g, INVERT, 1));
	EXPECT_TRUE(inverted(self->fd, self->len, 1));
	ASSERT_EQ(PAGES, page_states(self->fd, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(before[i].refs, after[i].refs);
		EXPECT_FALSE(after[i].mapped);
		EXPECT_FALSE(after[i].reserved);
	}
}

/* Memory that comes and goes, while the machine has its slot. */
TEST_F(guest, mapped_again)
{
	int other;

	if (self->kvm < 0)
		SKIP(return, NO_KVM);
	if (self->refused)
		SKIP(return, ONE_PAGE);
	other = buf_create(variant->backing, self->len, variant->flags);
	ASSERT_LE(0, other);
	ASSERT_TRUE(kernel_fill(other, self->len, 7));
	ASSERT_EQ(0, slot_set(&self->g, SLOT_BUF, GUEST_BUF, 0, self->p,
			      self->len));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	ASSERT_EQ(self->p, mmap(self->p, self->len, RW, MAP_SHARED | MAP_FIXED,
				other, 0));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT, self->words));
	EXPECT_TRUE(inverted(self->fd, self->len, 1));
	EXPECT_TRUE(inverted(other, self->len, 7));
	close(other);
}

/* Memory of the size that one PMD entry maps, as most of a guest's is. */
TEST_F(guest, large)
{
	const size_t len = 2 * pmd_size();
	char *p;
	int fd;

	if (self->kvm < 0)
		SKIP(return, NO_KVM);
	if (self->refused)
		SKIP(return, ONE_PAGE);
	fd = buf_create(variant->backing, len, variant->flags);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(kernel_fill(fd, len, 4));
	p = map_fresh(fd, len, RW, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, slot_set(&self->g, SLOT_BUF, GUEST_BUF, 0, p, len));
	ASSERT_EQ(KVM_EXIT_HLT, guest_run(&self->g, INVERT,
					  (__u32)(len / sizeof(__u32))));
	EXPECT_TRUE(inverted(fd, len, 4));
	munmap(p, len);
	close(fd);
}

#else

TEST(no_guest)
{
	SKIP(return, "the guest's program is for x86");
}

#endif

TEST_HARNESS_MAIN
