// SPDX-License-Identifier: GPL-2.0-only
/*
 * The main job for a long time: one process makes data, another takes it, and
 * all of it goes through one buffer. KUBUF_SOAK_GIB says how much.
 */
#include "kselftest_harness.h"
#include "kubuf_map.h"
#include "kubuf_storm.h"
#include "kubuf_task.h"

#define LENGTH	(32 * MIB)
#define PIECE	(2 * MIB)
#define SLOTS	(LENGTH / PIECE)
#define WORDS	(PIECE / sizeof(__u64))

/* How much if nobody says, and how long it may take. */
#define DEFAULT_GIB	1
#define HOURS		24

struct sum {
	__u64 words;
	__u64 sums;
};

/* What goes with a piece: which one it is, and what it adds up to. */
struct note {
	__u64 piece;
	struct sum sum;
};

struct soak {
	int fd;
	__u64 pieces;
	int full[2];
	int empty[2];
};

/* The sum of the sums tells where a word was, too. */
static void sum_word(struct sum *s, __u64 word)
{
	s->words += word;
	s->sums += s->words;
}

static struct sum sum_of(const __u64 *p)
{
	struct sum s = { 0 };

	for (size_t i = 0; i < WORDS; i++)
		sum_word(&s, p[i]);
	return s;
}

/* Words that no other piece has in that place. */
static struct sum make_piece(__u64 *p, __u64 piece)
{
	__u64 word = piece * 0x9e3779b97f4a7c15ULL;
	struct sum s = { 0 };

	for (size_t i = 0; i < WORDS; i++) {
		word = word * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = word;
		sum_word(&s, word);
	}
	return s;
}

/*
 * Pieces go both ways in turn: stored by the kernel and loaded by a process,
 * stored by a process and loaded by the kernel.
 */
static bool by_kernel(__u64 piece)
{
	return piece / SLOTS % 2 == piece % 2;
}

static off_t slot(__u64 piece)
{
	return (off_t)(piece % SLOTS * PIECE);
}

/* One comes for each piece that is there, and back for each place free again. */
static bool next_note(int fd, struct note *n)
{
	return read(fd, n, sizeof(*n)) == sizeof(*n);
}

static bool send_note(int fd, const struct note *n)
{
	return write(fd, n, sizeof(*n)) == sizeof(*n);
}

static long produce(void *arg)
{
	__u64 *own = aligned_alloc(page_size(), PIECE);
	const struct soak *s = arg;
	char *p = buf_map(s->fd, LENGTH, PROT_READ | PROT_WRITE);
	struct note n;

	close(s->empty[1]);
	if (!own || p == MAP_FAILED)
		return -ENOMEM;
	for (__u64 i = 0; i < s->pieces; i++) {
		if (i >= SLOTS && !next_note(s->empty[0], &n))
			return -EPIPE;
		n.piece = i;
		if (by_kernel(i)) {
			n.sum = make_piece(own, i);
			if (pwrite(s->fd, own, PIECE, slot(i)) != PIECE)
				return -EIO;
		} else {
			n.sum = make_piece((__u64 *)(p + slot(i)), i);
		}
		if (!send_note(s->full[1], &n))
			return -EPIPE;
	}
	return 0;
}

static long consume(const struct soak *s)
{
	__u64 *own = aligned_alloc(page_size(), PIECE);
	char *p = buf_map(s->fd, LENGTH, PROT_READ);
	struct note n;
	struct sum sum;

	if (!own || p == MAP_FAILED)
		return -ENOMEM;
	for (__u64 i = 0; i < s->pieces; i++) {
		if (!next_note(s->full[0], &n))
			return -EPIPE;
		if (by_kernel(i)) {
			sum = sum_of((__u64 *)(p + slot(i)));
		} else {
			if (pread(s->fd, own, PIECE, slot(i)) != PIECE)
				return -EIO;
			sum = sum_of(own);
		}
		if (n.piece != i || sum.words != n.sum.words ||
		    sum.sums != n.sum.sums)
			return -EILSEQ;
		if (i + SLOTS < s->pieces && !send_note(s->empty[1], &n))
			return -EPIPE;
	}
	munmap(p, LENGTH);
	free(own);
	return 0;
}

FIXTURE(soak)
{
	unsigned long gib;
	int fd;
};

FIXTURE_SETUP(soak)
{
	const char *gib = getenv("KUBUF_SOAK_GIB");

	self->gib = gib ? strtoul(gib, NULL, 10) : DEFAULT_GIB;
	ASSERT_LT(0UL, self->gib);
	self->fd = buf_create(KUBUF_BACKING_HUGE, LENGTH, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(soak)
{
	EXPECT_EQ(0, buf_mappings(self->fd));
	close(self->fd);
}

/* Every piece arrives, in its turn, as it was sent. */
TEST_F_TIMEOUT(soak, everything_arrives, HOURS * 3600)
{
	struct soak s = {
		.fd = self->fd,
		.pieces = self->gib * (1024 * MIB / PIECE),
	};
	double start = seconds(), took;
	int status = -1;
	pid_t pid;

	ASSERT_EQ(0, pipe(s.full));
	ASSERT_EQ(0, pipe(s.empty));
	pid = fork();
	if (!pid)
		_exit(-produce(&s));
	ASSERT_LT(0, pid);
	close(s.full[1]);
	EXPECT_EQ(0, consume(&s));
	/* One that waits for an empty place would wait for ever. */
	close(s.full[0]);
	close(s.empty[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	took = seconds() - start;
	TH_LOG("%lu GiB in %llu pieces through %lu MiB: all sums the same; %.0f s, %.0f MiB/s",
	       self->gib, (unsigned long long)s.pieces, LENGTH / MIB, took,
	       (double)self->gib * 1024 / took);
}

TEST_HARNESS_MAIN
