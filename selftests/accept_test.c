// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes a pointer into a mapping, or a file descriptor, takes that of a
 * buffer: each way once, on each kind of memory, and the same with memory that
 * others give. Each prints a line "accept: WAY: MEMORY: RESULT", of which
 * scripts/accept makes the table in the documentation; what others give is
 * noted and not judged.
 */
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/futex.h>
#include <linux/udmabuf.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "kubuf_disk.h"
#include "kubuf_edu.h"
#ifdef __x86_64__
#include "kubuf_guest.h"
#endif
#include "kubuf_map.h"
#include "kubuf_net.h"
#include "kubuf_pass.h"
#include "kubuf_uring.h"
#include "kubuf_task.h"
#ifndef __mips__
/* Cross-compiled there is no library for it. */
#include "kubuf_rdma.h"
#endif

#define LENGTH	(64 * KIB)

#define RW	(PROT_READ | PROT_WRITE)

/* A way gives 0, -errno, or this where the kernel has not got it. */
#define LACKING	1

/* The data that arrived is not what was sent. */
#define WRONG	(-EBADMSG)

enum memory_kind {
	KUBUF,
	MEMFD,
	UDMABUF,
	DMA_HEAP,
};

struct memory {
	enum memory_kind kind;
	const char *name;
	bool pfn;		/* a buffer on the PFN path */
	int err;		/* why there is none: -errno, or LACKING */
	int fd;
	int memfd;		/* below a udmabuf, else -1 */
	size_t length;		/* of what is tried, at the begin of the mapping */
	size_t mapped;
	char *map;
};

static int error(void)
{
	return -errno;
}

static bool is_pattern(const char *p, const struct memory *m, unsigned int seed)
{
	return mismatch(p, m->length, seed) == m->length;
}

/* A result of a call that moves bytes. */
static int moved(ssize_t n, const struct memory *m)
{
	if (n < 0)
		return error();
	return n == (ssize_t)m->length ? 0 : -EIO;
}

static int direct_write(struct memory *m)
{
	int disk = disk_file(), err;

	if (disk < 0)
		return LACKING;
	err = moved(pwrite(disk, m->map, m->length, 0), m);
	if (!err && !file_holds(disk, m->length, 1))
		err = WRONG;
	close(disk);
	return err;
}

static int direct_read(struct memory *m)
{
	int disk = disk_file(), err;

	if (disk < 0 || !file_fill(disk, m->length, 2))
		return LACKING;
	err = moved(pread(disk, m->map, m->length, 0), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	close(disk);
	return err;
}

/* A block device in memory, of that many bytes: an fd for direct I/O. */
static int block_open(size_t length)
{
	char path[64], text[32];
	long long id;
	int fd;

	if (access("/sys/class/zram-control", F_OK) &&
	    system("modprobe -q zram num_devices=1"))
		return -1;
	id = file_number("/sys/class/zram-control/hot_add");
	if (id < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/block/zram%lld/disksize", id);
	snprintf(text, sizeof(text), "%zu", length);
	if (file_write(path, text))
		return -1;
	snprintf(path, sizeof(path), "/dev/zram%lld", id);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	return fd;
}

static void block_close(int fd)
{
	struct stat st;
	char text[16];

	fstat(fd, &st);
	close(fd);
	snprintf(text, sizeof(text), "%u", minor(st.st_rdev));
	file_write("/sys/class/zram-control/hot_remove", text);
}

static int block_write(struct memory *m)
{
	int disk = block_open(m->length), err;

	if (disk < 0)
		return LACKING;
	err = moved(pwrite(disk, m->map, m->length, 0), m);
	if (!err && !file_holds(disk, m->length, 1))
		err = WRONG;
	block_close(disk);
	return err;
}

static int block_read(struct memory *m)
{
	int disk = block_open(m->length), err;

	if (disk < 0 || !file_fill(disk, m->length, 2))
		return LACKING;
	err = moved(pread(disk, m->map, m->length, 0), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	block_close(disk);
	return err;
}

static int aio_read(struct memory *m)
{
	int disk = disk_file(), err;

	if (disk < 0 || !file_fill(disk, m->length, 2))
		return LACKING;
	err = (int)aio(IOCB_CMD_PREAD, disk, m->map, m->length);
	if (err == (int)m->length)
		err = is_pattern(m->map, m, 2) ? 0 : WRONG;
	close(disk);
	return err;
}

static int uring_read(struct memory *m)
{
	int disk = disk_file(), err;
	struct ring r;

	if (disk < 0 || !file_fill(disk, m->length, 2) || ring_open(&r))
		return LACKING;
	err = ring_io(&r, IORING_OP_READ, disk, m->map, m->length, 0);
	if (err == (int)m->length)
		err = is_pattern(m->map, m, 2) ? 0 : WRONG;
	ring_close(&r);
	close(disk);
	return err;
}

static int uring_fixed(struct memory *m)
{
	int disk = disk_file(), err;
	const char *why;
	struct ring r;

	if (disk < 0 || !file_fill(disk, m->length, 2))
		return LACKING;
	err = ring_with(&r, m->map, m->length, &why);
	if (why)
		return LACKING;
	if (!err)
		err = ring_io(&r, IORING_OP_READ_FIXED, disk, m->map,
			      m->length, 0);
	if (err == (int)m->length)
		err = is_pattern(m->map, m, 2) ? 0 : WRONG;
	ring_close(&r);
	close(disk);
	return err;
}

/* A part that TCP takes at once. */
#define SENT	(16 * KIB)

/* What arrives of it is the start of the memory. */
static int received(int fd)
{
	char *tmp = malloc(SENT);
	int err = WRONG;

	if (tmp && recv(fd, tmp, SENT, MSG_WAITALL) == (ssize_t)SENT &&
	    mismatch(tmp, SENT, 1) == SENT)
		err = 0;
	free(tmp);
	return err;
}

static int uring_send_zc(struct memory *m)
{
	struct ring r;
	int sv[2], err;

	if (!own_loopback() || !tcp_pair(sv) || ring_open(&r))
		return LACKING;
	err = ring_io(&r, IORING_OP_SEND_ZC, sv[0], m->map, SENT, 0);
	if (err == (int)SENT)
		err = received(sv[1]);
	else if (err == -EINVAL)
		err = LACKING;
	ring_close(&r);
	close(sv[0]);
	close(sv[1]);
	return err;
}

static int msg_zerocopy(struct memory *m)
{
	const int on = 1;
	int sv[2], err;
	ssize_t n;

	if (!own_loopback() || !tcp_pair(sv) ||
	    setsockopt(sv[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
		return LACKING;
	n = send(sv[0], m->map, SENT, MSG_ZEROCOPY);
	err = n < 0 ? error() : received(sv[1]);
	if (!err)
		err = completion(sv[0]);
	close(sv[0]);
	close(sv[1]);
	return err;
}

static int spliced(struct memory *m, unsigned int flags)
{
	struct iovec iov = { m->map, m->length };
	char *tmp = malloc(m->length);
	int pipe[2], err;
	ssize_t n;

	if (!tmp || pipe2(pipe, O_CLOEXEC))
		return -ENOMEM;
	n = vmsplice(pipe[1], &iov, 1, flags);
	err = moved(n, m);
	if (!err && (read(pipe[0], tmp, m->length) != n ||
		     !is_pattern(tmp, m, 1)))
		err = WRONG;
	close(pipe[0]);
	close(pipe[1]);
	free(tmp);
	return err;
}

static int vmsplice_plain(struct memory *m)
{
	return spliced(m, 0);
}

static int vmsplice_gift(struct memory *m)
{
	return spliced(m, SPLICE_F_GIFT);
}

static int process_vm_read(struct memory *m)
{
	char *tmp = malloc(m->length);
	struct iovec from = { m->map, m->length }, to = { tmp, m->length };
	int err = moved(process_vm_readv(getpid(), &to, 1, &from, 1, 0), m);

	if (!err && !is_pattern(tmp, m, 1))
		err = WRONG;
	free(tmp);
	return err;
}

static int process_vm_write(struct memory *m)
{
	char *tmp = malloc(m->length);
	struct iovec from = { tmp, m->length }, to = { m->map, m->length };
	int err;

	fill(tmp, m->length, 2);
	err = moved(process_vm_writev(getpid(), &from, 1, &to, 1, 0), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	free(tmp);
	return err;
}

static int by_ptrace(struct memory *m)
{
	long word = 0, seen;
	int err = 0;
	pid_t pid;

	memcpy(&word, m->map, sizeof(word));
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	errno = 0;
	seen = ptrace(PTRACE_PEEKDATA, pid, m->map, NULL);
	if (errno || ptrace(PTRACE_POKEDATA, pid, m->map, (void *)~word))
		err = error();
	kill_wait(pid);
	if (!err && (seen != word || memcmp(m->map, &(long){ ~word },
					    sizeof(word))))
		err = WRONG;
	return err;
}

static int by_proc_mem(struct memory *m)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), err;
	char *tmp = malloc(m->length);

	err = moved(pread(mem, tmp, m->length, (off_t)m->map), m);
	if (!err && !is_pattern(tmp, m, 1))
		err = WRONG;
	fill(tmp, m->length, 2);
	if (!err)
		err = moved(pwrite(mem, tmp, m->length, (off_t)m->map), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	free(tmp);
	close(mem);
	return err;
}

static int shared_futex(struct memory *m)
{
	return syscall(SYS_futex, m->map, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 ?
	       error() : 0;
}

static long store_in_child(void *arg)
{
	struct memory *m = arg;

	if (!is_pattern(m->map, m, 1))
		return WRONG;
	fill(m->map, m->length, 2);
	return 0;
}

static int shared_with_child(struct memory *m)
{
	long err = in_child(store_in_child, m);

	return err ? (int)err : is_pattern(m->map, m, 2) ? 0 : WRONG;
}

static int private_mapping(struct memory *m)
{
	char *p = mmap(NULL, m->length, RW, MAP_PRIVATE, m->fd, 0);
	int err = 0;

	if (p == MAP_FAILED)
		return error();
	if (!is_pattern(p, m, 1))
		err = WRONG;
	fill(p, m->length, 2);
	if (!is_pattern(m->map, m, 1) || !is_pattern(p, m, 2))
		err = WRONG;
	munmap(p, m->length);
	return err;
}

static int populate(struct memory *m)
{
	return madvise(m->map, m->length, MADV_POPULATE_WRITE) ? error() : 0;
}

static int locked(struct memory *m)
{
	return mlock(m->map, m->length) ? error() : 0;
}

static int userfault(struct memory *m)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)m->map, m->length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int err = 0;

	if (fd < 0 || ioctl((int)fd, UFFDIO_API, &api))
		return LACKING;
	if (ioctl((int)fd, UFFDIO_REGISTER, &reg))
		err = error();
	close((int)fd);
	return err;
}

static int by_read(struct memory *m)
{
	char *tmp = malloc(m->length);
	int err = moved(pread(m->fd, tmp, m->length, 0), m);

	if (!err && !is_pattern(tmp, m, 1))
		err = WRONG;
	free(tmp);
	return err;
}

static int by_write(struct memory *m)
{
	char *tmp = malloc(m->length);
	int err;

	fill(tmp, m->length, 2);
	err = moved(pwrite(m->fd, tmp, m->length, 0), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	free(tmp);
	return err;
}

/* Less than was asked for may come at a time. */
static int splice_out(struct memory *m)
{
	char *tmp = malloc(m->length);
	loff_t pos = 0;
	int pipe[2], err = 0;
	ssize_t n;

	if (!tmp || pipe2(pipe, O_CLOEXEC))
		return -ENOMEM;
	for (size_t done = 0; !err && done < m->length; done += (size_t)n) {
		n = splice(m->fd, &pos, pipe[1], NULL, m->length - done, 0);
		if (n < 0)
			err = error();
		else if (!n || read(pipe[0], tmp + done, (size_t)n) != n)
			err = WRONG;
	}
	if (!err && !is_pattern(tmp, m, 1))
		err = WRONG;
	close(pipe[0]);
	close(pipe[1]);
	free(tmp);
	return err;
}

static int splice_in(struct memory *m)
{
	char *tmp = malloc(m->length);
	loff_t pos = 0;
	int pipe[2], err;

	if (!tmp || pipe2(pipe, O_CLOEXEC))
		return -ENOMEM;
	fill(tmp, m->length, 2);
	if (write(pipe[1], tmp, m->length) != (ssize_t)m->length)
		return -EIO;
	err = moved(splice(pipe[0], NULL, m->fd, &pos, m->length, 0), m);
	if (!err && !is_pattern(m->map, m, 2))
		err = WRONG;
	close(pipe[0]);
	close(pipe[1]);
	free(tmp);
	return err;
}

static int sendfile_to_socket(struct memory *m)
{
	off_t pos = 0;
	int sv[2], err;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -errno;
	n = sendfile(sv[0], m->fd, &pos, SENT);
	err = n < 0 ? error() : received(sv[1]);
	close(sv[0]);
	close(sv[1]);
	return err;
}

static int sendfile_to_file(struct memory *m)
{
	int file = memfd_create("accept", MFD_CLOEXEC), err;
	off_t pos = 0;

	err = moved(sendfile(file, m->fd, &pos, m->length), m);
	if (!err && !file_holds(file, m->length, 1))
		err = WRONG;
	close(file);
	return err;
}

/* Another descriptor of it maps the same memory. */
static int is_same(int fd, struct memory *m)
{
	char *p;
	int err = 0;

	if (fd < 0)
		return error();
	p = buf_map(fd, m->length, RW);
	if (p == MAP_FAILED) {
		err = error();
	} else {
		fill(p, m->length, 3);
		if (!is_pattern(m->map, m, 3))
			err = WRONG;
		munmap(p, m->length);
	}
	close(fd);
	return err;
}

static int scm_rights(struct memory *m)
{
	int sv[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return error();
	fd = send_fd(sv[0], m->fd);
	if (!fd)
		fd = receive_fd(sv[1], MSG_CMSG_CLOEXEC);
	close(sv[0]);
	close(sv[1]);
	return fd < 0 ? fd : is_same(fd, m);
}

static int pidfd_getfd_of_it(struct memory *m)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0), fd;

	if (pidfd < 0)
		return LACKING;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, m->fd, 0);
	close(pidfd);
	return is_same(fd, m);
}

static int reopened(struct memory *m)
{
	int fd = reopen(m->fd, O_RDWR);

	if (fd < 0)
		return fd;
	return is_same(fd, m);
}

static int reopened_read_only(struct memory *m)
{
	int fd = reopen(m->fd, O_RDONLY), err = 0;
	char *p;

	if (fd < 0)
		return fd;
	p = buf_map(fd, m->length, RW);
	if (p != MAP_FAILED)
		err = WRONG;
	p = buf_map(fd, m->length, PROT_READ);
	if (p == MAP_FAILED || !is_pattern(p, m, 1))
		err = WRONG;
	munmap(p, m->length);
	close(fd);
	return err;
}

static int sealed(struct memory *m)
{
	struct kubuf_seal s = { .size = sizeof(s), .seals = KUBUF_SEAL_WRITE };
	char *p;

	if (m->kind == KUBUF) {
		if (ioctl(m->fd, KUBUF_SEAL, &s))
			return error();
	} else if (fcntl(m->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)) {
		return error();
	}
	p = buf_map(m->fd, m->length, RW);
	if (p == MAP_FAILED)
		return pwrite(m->fd, "x", 1, 0) < 0 ? 0 : WRONG;
	munmap(p, m->length);
	return WRONG;
}

static int udmabuf_of(int memfd, size_t length)
{
	struct udmabuf_create create = {
		.memfd = (__u32)memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = length,
	};
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -ENODEV;
	fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK);
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	if (fd < 0)
		fd = error();
	close(dev);
	return fd;
}

static int as_dma_buf(struct memory *m)
{
	struct kubuf_export e = {
		.size = sizeof(e),
		.flags = KUBUF_EXPORT_WRITE,
	};
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW,
	};
	int fd;

	switch (m->kind) {
	case KUBUF:
		fd = kioctl(m->fd, KUBUF_EXPORT, &e);
		break;
	case MEMFD:
		fd = udmabuf_of(m->fd, m->length);
		if (fd == -ENODEV)
			return LACKING;
		break;
	default:
		fd = dup(m->fd);
	}
	if (fd < 0)
		return fd;
	if (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync)) {
		close(fd);
		return error();
	}
	return is_same(fd, m);
}

/* Memory of one's own, as much, that another party is given. */
static char *other_side(struct memory *m, unsigned int seed)
{
	char *p = mmap(NULL, m->length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	fill(p, m->length, seed);
	return p;
}

#ifndef __mips__
/* One host writes it to the other's memory, and reads that back into it. */
static int by_hosts(struct host h[2], struct memory *m, char *far)
{
	struct ibv_mr *here, *there;
	int err = 0;

	here = ibv_reg_mr(h[0].pd, m->map, m->length, ACCESS);
	if (!here)
		return error();
	there = ibv_reg_mr(h[1].pd, far, m->length, ACCESS);
	if (!there) {
		err = -EIO;
		goto out_here;
	}
	if (transfer(&h[0], IBV_WR_RDMA_WRITE, here, there, 0, m->length) ||
	    !is_pattern(far, m, 1))
		err = WRONG;
	fill(far, m->length, 2);
	if (transfer(&h[0], IBV_WR_RDMA_READ, here, there, 0, m->length) ||
	    !is_pattern(m->map, m, 2))
		err = WRONG;
	ibv_dereg_mr(there);
out_here:
	ibv_dereg_mr(here);
	return err;
}

static int rdma(struct memory *m)
{
	char *far = other_side(m, 9);
	struct host h[2];
	const char *why;
	int err;

	if (!hosts_up(h, false, &why))
		err = why ? LACKING : -EIO;
	else
		err = by_hosts(h, m, far);
	hosts_down(h);
	munmap(far, m->length);
	return err;
}
#else
static int rdma(struct memory *m)
{
	(void)m;
	return LACKING;
}
#endif

/* The device copies the begin of it to memory of one's own, and back. */
static int by_device(struct memory *m, bool iommufd)
{
	char *far = other_side(m, 2);
	const char *why;
	struct edu e;
	int err;

	err = edu_open(&e, iommufd, &why);
	if (err) {
		err = why ? LACKING : err;
		goto out;
	}
	err = dma_map(&e, IOVA, m->map, m->length, RW);
	if (err)
		goto out;
	if (dma_map(&e, IOVA_TO, far, m->length, RW)) {
		err = -EIO;
		goto out_unmap;
	}
	if (!edu_copy(&e, IOVA, IOVA_TO) ||
	    mismatch(far, EDU_PIECE, 1) != EDU_PIECE)
		err = WRONG;
	fill(far, EDU_PIECE, 3);
	if (!edu_copy(&e, IOVA_TO, IOVA) ||
	    mismatch(m->map, EDU_PIECE, 3) != EDU_PIECE)
		err = WRONG;
	dma_unmap(&e, IOVA_TO, m->length);
out_unmap:
	dma_unmap(&e, IOVA, m->length);
out:
	edu_close(&e);
	munmap(far, m->length);
	return err;
}

static int vfio_type1(struct memory *m)
{
	return by_device(m, false);
}

static int iommufd(struct memory *m)
{
	return by_device(m, true);
}

#ifdef __x86_64__
/* A guest turns each bit of it over. */
static int by_guest(struct memory *m)
{
	int kvm = kvm_open(), ret;
	struct guest g;

	if (kvm < 0)
		return LACKING;
	if (!guest_start(&g, kvm) ||
	    slot_set(&g, SLOT_BUF, GUEST_BUF, 0, m->map, m->length))
		return -EIO;
	ret = guest_run(&g, INVERT, (__u32)(m->length / sizeof(__u32)));
	for (size_t i = 0; i < m->length; i++)
		m->map[i] = (char)~m->map[i];
	if (ret == KVM_EXIT_HLT)
		ret = is_pattern(m->map, m, 1) ? 0 : WRONG;
	guest_stop(&g);
	close(kvm);
	return ret;
}
#else
static int by_guest(struct memory *m)
{
	(void)m;
	return LACKING;
}
#endif

/* Is it mapped by an entry of a PMD? */
static int by_one_entry(struct memory *m)
{
	const long pages = (long)(m->mapped / page_size());
	struct page_state *st = calloc((size_t)pages, sizeof(*st));
	bool whole = st && page_states(m->fd, st, pages) == pages &&
		     whole_pieces(st, pages);

	free(st);
	/* Without huge pages, or memory in one piece. */
	if (!whole)
		return LACKING;
	return smaps_kib(m->map, "FilePmdMapped") == (long)(m->mapped / KIB) ?
	       0 : -ENOTSUP;
}

/* Make it: 0, -errno, or LACKING. */
static int memory_get(struct memory *m, __u32 backing, __u32 flags)
{
	struct dma_heap_allocation_data heap = {
		.len = LENGTH,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int dev;

	switch (m->kind) {
	case KUBUF:
		m->fd = buf_create(backing, m->mapped, flags);
		break;
	case MEMFD:
	case UDMABUF:
		m->fd = memfd_create("accept", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (m->fd < 0 || ftruncate(m->fd, (off_t)m->length))
			return error();
		if (m->kind == MEMFD)
			break;
		m->memfd = m->fd;
		m->fd = udmabuf_of(m->memfd, m->length);
		if (m->fd == -ENODEV)
			return LACKING;
		break;
	case DMA_HEAP:
		dev = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
		if (dev < 0)
			return LACKING;
		if (ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &heap))
			return error();
		m->fd = (int)heap.fd;
		close(dev);
		break;
	}
	if (m->fd < 0)
		return m->fd;
	m->map = buf_map(m->fd, m->mapped, RW);
	if (m->map == MAP_FAILED)
		return error();
	fill(m->map, m->length, 1);
	return m->mapped > m->length ? by_one_entry(m) : 0;
}

static void memory_put(struct memory *m)
{
	munmap(m->map, m->mapped);
	close(m->fd);
	close(m->memfd);
}

FIXTURE(accept)
{
	struct memory memory;
};

FIXTURE_VARIANT(accept)
{
	KUBUF_VARIANT_FIELDS
	enum memory_kind kind;
	const char *name;
	bool pmd;
};

FIXTURE_VARIANT_ADD(accept, pages)
{
	.kind = KUBUF,
	.name = "pages",
	.backing = KUBUF_BACKING_PAGES,
};

FIXTURE_VARIANT_ADD(accept, vmalloc)
{
	.kind = KUBUF,
	.name = "vmalloc",
	.backing = KUBUF_BACKING_VMALLOC,
};

FIXTURE_VARIANT_ADD(accept, huge)
{
	.kind = KUBUF,
	.name = "huge",
	.backing = KUBUF_BACKING_HUGE,
};

FIXTURE_VARIANT_ADD(accept, huge_pmd)
{
	.kind = KUBUF,
	.name = "huge_pmd",
	.backing = KUBUF_BACKING_HUGE,
	.pmd = true,
};

FIXTURE_VARIANT_ADD(accept, kmalloc)
{
	.kind = KUBUF,
	.name = "kmalloc",
	.backing = KUBUF_BACKING_KMALLOC,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(accept, pages_reserved)
{
	.kind = KUBUF,
	.name = "pages_reserved",
	.backing = KUBUF_BACKING_PAGES,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(accept, vmalloc_reserved)
{
	.kind = KUBUF,
	.name = "vmalloc_reserved",
	.backing = KUBUF_BACKING_VMALLOC,
	.flags = KUBUF_CREATE_RESERVED,
	.pfn = true,
};

FIXTURE_VARIANT_ADD(accept, memfd)
{
	.kind = MEMFD,
	.name = "memfd",
};

FIXTURE_VARIANT_ADD(accept, udmabuf)
{
	.kind = UDMABUF,
	.name = "udmabuf",
};

FIXTURE_VARIANT_ADD(accept, dma_heap)
{
	.kind = DMA_HEAP,
	.name = "dma_heap",
};

FIXTURE_SETUP(accept)
{
	self->memory = (struct memory){
		.kind = variant->kind,
		.name = variant->name,
		.pfn = variant->pfn,
		.memfd = -1,
		.length = LENGTH,
		.mapped = variant->pmd ? pmd_size() : LENGTH,
	};
	self->memory.err = memory_get(&self->memory, variant->backing,
				      variant->flags);
}

FIXTURE_TEARDOWN(accept)
{
	if (!self->memory.err)
		memory_put(&self->memory);
}

/* Try a way; PAGE and PFN is what it gives on the page path and on the other. */
static void judge(struct __test_metadata *_metadata, struct memory *m,
		  int (*way)(struct memory *m), int page, int pfn)
{
	const char *name = _metadata->name;
	int ret;

	if (m->err == LACKING)
		SKIP(return, "this kernel has no %s", m->name);
	ASSERT_EQ(0, m->err);
	ret = way(m);
	if (ret == LACKING)
		SKIP(return, "this kernel has no %s", name);
	TH_LOG("accept: %s: %s: %s", name, m->name,
	       ret ? strerrorname_np(-ret) : "works");
	EXPECT_NE(WRONG, ret);
	if (m->kind == KUBUF)
		EXPECT_EQ(m->pfn ? pfn : page, ret);
}

TEST_F(accept, load_and_store_by_a_child)
{
	judge(_metadata, &self->memory, shared_with_child, 0, 0);
}

TEST_F(accept, private_mapping)
{
	judge(_metadata, &self->memory, private_mapping, 0, -EINVAL);
}

TEST_F(accept, direct_read_of_a_file)
{
	judge(_metadata, &self->memory, direct_read, 0, -EFAULT);
}

TEST_F(accept, direct_write_of_a_file)
{
	judge(_metadata, &self->memory, direct_write, 0, -EFAULT);
}

TEST_F(accept, direct_read_of_a_disk)
{
	judge(_metadata, &self->memory, block_read, 0, -EFAULT);
}

TEST_F(accept, direct_write_of_a_disk)
{
	judge(_metadata, &self->memory, block_write, 0, -EFAULT);
}

TEST_F(accept, aio)
{
	judge(_metadata, &self->memory, aio_read, 0, -EFAULT);
}

TEST_F(accept, io_uring)
{
	judge(_metadata, &self->memory, uring_read, 0, -EFAULT);
}

TEST_F(accept, io_uring_fixed_buffer)
{
	judge(_metadata, &self->memory, uring_fixed, 0, -EFAULT);
}

TEST_F(accept, io_uring_send_zc)
{
	judge(_metadata, &self->memory, uring_send_zc, 0, -EFAULT);
}

TEST_F(accept, msg_zerocopy)
{
	judge(_metadata, &self->memory, msg_zerocopy, 0, -EFAULT);
}

TEST_F(accept, vmsplice)
{
	judge(_metadata, &self->memory, vmsplice_plain, 0, -EFAULT);
}

TEST_F(accept, vmsplice_gift)
{
	judge(_metadata, &self->memory, vmsplice_gift, 0, -EFAULT);
}

TEST_F(accept, process_vm_readv)
{
	judge(_metadata, &self->memory, process_vm_read, 0, -EFAULT);
}

TEST_F(accept, process_vm_writev)
{
	judge(_metadata, &self->memory, process_vm_write, 0, -EFAULT);
}

TEST_F(accept, ptrace)
{
	judge(_metadata, &self->memory, by_ptrace, 0, 0);
}

TEST_F(accept, proc_pid_mem)
{
	judge(_metadata, &self->memory, by_proc_mem, 0, 0);
}

TEST_F(accept, rdma)
{
	judge(_metadata, &self->memory, rdma, 0, -EFAULT);
}

/* It takes a frame number without a pin where the page is reserved. */
TEST_F(accept, vfio_type1)
{
	judge(_metadata, &self->memory, vfio_type1, 0,
	      variant->flags & KUBUF_CREATE_RESERVED ? 0 : -EFAULT);
}

TEST_F(accept, iommufd)
{
	judge(_metadata, &self->memory, iommufd, 0, -EFAULT);
}

/* Once it took pages with a reference of their own and reserved ones alone. */
TEST_F(accept, kvm)
{
	judge(_metadata, &self->memory, by_guest, 0,
	      variant->backing == KUBUF_BACKING_KMALLOC &&
	      kernel_before(6, 13) ? -EFAULT : 0);
}

TEST_F(accept, shared_futex)
{
	judge(_metadata, &self->memory, shared_futex, 0, -EFAULT);
}

TEST_F(accept, userfaultfd)
{
	judge(_metadata, &self->memory, userfault, -EINVAL, -EINVAL);
}

TEST_F(accept, madv_populate_write)
{
	judge(_metadata, &self->memory, populate, 0, -EINVAL);
}

TEST_F(accept, mlock)
{
	judge(_metadata, &self->memory, locked, 0, 0);
}

TEST_F(accept, read)
{
	judge(_metadata, &self->memory, by_read, 0, 0);
}

TEST_F(accept, write)
{
	judge(_metadata, &self->memory, by_write, 0, 0);
}

TEST_F(accept, splice_to_a_pipe)
{
	judge(_metadata, &self->memory, splice_out, 0, 0);
}

TEST_F(accept, splice_from_a_pipe)
{
	judge(_metadata, &self->memory, splice_in, 0, 0);
}

TEST_F(accept, sendfile_to_a_socket)
{
	judge(_metadata, &self->memory, sendfile_to_socket, 0, 0);
}

TEST_F(accept, sendfile_to_a_file)
{
	judge(_metadata, &self->memory, sendfile_to_file, 0, 0);
}

TEST_F(accept, scm_rights)
{
	judge(_metadata, &self->memory, scm_rights, 0, 0);
}

TEST_F(accept, pidfd_getfd)
{
	judge(_metadata, &self->memory, pidfd_getfd_of_it, 0, 0);
}

TEST_F(accept, reopened)
{
	judge(_metadata, &self->memory, reopened, 0, 0);
}

TEST_F(accept, reopened_read_only)
{
	judge(_metadata, &self->memory, reopened_read_only, 0, 0);
}

TEST_F(accept, sealed)
{
	judge(_metadata, &self->memory, sealed, 0, 0);
}

TEST_F(accept, dma_buf)
{
	judge(_metadata, &self->memory, as_dma_buf, 0, 0);
}

TEST_HARNESS_MAIN
