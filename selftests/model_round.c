// SPDX-License-Identifier: GPL-2.0-only
/*
 * A round: the buffers that all workers share, the processes and threads that
 * the workers are, and a look at the whole when they are done.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "model.h"

/* Addresses that no kernel gives unasked. */
#define WINDOWS		((char *)(64UL * KIB * MIB))
#define WINDOW_STEP	(1024 * MIB)

/*
 * Looks without an operation in between after which something hangs: minutes.
 * Not by the clock, as the machine itself may stand still for a while.
 */
#define LOOK		10000	/* microseconds */
#define PATIENCE	30000
#define GRACE		3000	/* for those that were told to stop */

/* A run that is to say nothing of its progress. */
bool quiet;

static struct buf shared[NR_KINDS];
static int shared_fds[NR_KINDS];

/* What must be in all buffers there can be: of all workers, and of each. */
static unsigned char *truths;

static size_t truth_size(void)
{
	return MAX_PAGES * ps;
}

void rounds_init(unsigned int workers)
{
	size_t size = truth_size() * (NR_KINDS + workers * NR_AREAS);

	truths = mmap(NULL, size, RW, MAP_SHARED | MAP_ANONYMOUS |
		      MAP_NORESERVE, -1, 0);
	if (truths == MAP_FAILED) {
		perror("model: memory");
		exit(2);
	}
}

/* Several pieces of each worker in a page, or pieces of many pages. */
static size_t draw_stride(struct op *op, size_t len, unsigned int owners)
{
	static const size_t strides[] = { 61, 509, 1021, 4093, 9001, 65537 };
	size_t stride = strides[draw(op, ARRAY_SIZE(strides))];

	return stride * owners <= len ? stride : 509;
}

static int create_shared(struct buf *buf, unsigned int round, size_t len)
{
	struct kubuf_create c = {
		.size = sizeof(c),
		.flags = buf->kind->flags,
		.length = len,
		.backing = buf->kind->backing,
	};

	if (buf->live) {
		snprintf(buf->name, sizeof(buf->name), "model-%u-%s", round,
			 buf->kind->pfn ? "pfn" : "page");
		snprintf(buf->name + strlen(buf->name), 8, "-%u",
			 buf->kind->backing);
		c.flags |= KUBUF_CREATE_NAMED;
		name_set(c.name, buf->name);
	}
	return create_args(&c);
}

/* The buffers of a round depend on the seed and the round alone. */
static bool shared_make(const struct plan *plan)
{
	struct op op = { .state = mix(mix(seed) ^ plan->round) };
	struct kubuf_info info;
	unsigned int i;

	madvise(truths, truth_size() * NR_KINDS, MADV_REMOVE);
	for (i = 0; i < NR_KINDS; i++) {
		struct buf *buf = &shared[i];

		*buf = (struct buf) {
			.kind = &kinds[i],
			.truth = truths + i * truth_size(),
			.area = -1,
			.salt = draw(&op, 4096),
			.owners = plan->workers,
			.refs = 1,
			.live = draw(&op, 2),
		};
		buf->len = draw_pages(&op, buf->kind) * ps;
		buf->stride = draw_stride(&op, buf->len, plan->workers);
		shared_fds[i] = create_shared(buf, plan->round, buf->len);
		/* There may be no such memory; a page there is. */
		if (shared_fds[i] == -ENOMEM) {
			buf->len = ps;
			shared_fds[i] = create_shared(buf, plan->round, ps);
		}
		if (shared_fds[i] < 0 || buf_info(shared_fds[i], &info)) {
			snprintf(board->text, sizeof(board->text),
				 "cannot create a %s buffer of %zu bytes: error %d",
				 buf->kind->name, buf->len, -shared_fds[i]);
			return false;
		}
		buf->id = info.id;
	}
	return true;
}

/* Nobody maps it any more. */
static bool shared_unmapped(const struct plan *plan, unsigned int which)
{
	long n = buf_mappings(shared_fds[which]);

	board->round = plan->round;
	board->index = plan->to - 1;
	if (n)
		snprintf(board->text, sizeof(board->text),
			 "in the end: %s buffer: %ld mappings",
			 shared[which].kind->name, n);
	return !n;
}

/* The whole of a buffer, when nobody writes it any more. */
static bool shared_right(const struct plan *plan, unsigned int which)
{
	static unsigned char chunk[64 * 1024];
	const struct buf *buf = &shared[which];
	size_t off, n, i;

	for (off = 0; off < buf->len; off += n) {
		ssize_t got = pread(shared_fds[which], chunk, sizeof(chunk),
				    (off_t)off);

		n = sizeof(chunk) < buf->len - off ? sizeof(chunk) :
						     buf->len - off;
		if (got != (ssize_t)n)
			memset(chunk, ~buf->truth[off], n);
		for (i = 0; i < n && chunk[i] == buf->truth[off + i]; i++)
			;
		if (i == n)
			continue;
		board->worker = (unsigned int)((off + i) / buf->stride %
					       buf->owners);
		board->round = plan->round;
		board->index = plan->to - 1;
		snprintf(board->text, sizeof(board->text),
			 "in the end: %s buffer %llu of %zu bytes: byte %zu is %#04x, must be %#04x",
			 buf->kind->name, (unsigned long long)buf->id,
			 buf->len, off + i, chunk[i], buf->truth[off + i]);
		return false;
	}
	board->tally[0].compared += buf->len;
	return true;
}

/* Nodes of workers, too, that had no time to destroy them. */
static void destroy_nodes(void)
{
	static struct kubuf_info infos[128];
	struct kubuf_list l = {
		.size = sizeof(l),
		.infos = (uintptr_t)infos,
		.info_size = sizeof(infos[0]),
		.count = ARRAY_SIZE(infos),
	};
	int control = control_open();
	unsigned int i;

	if (control >= 0 && !kioctl(control, KUBUF_LIST, &l))
		for (i = 0; i < l.count && i < ARRAY_SIZE(infos); i++)
			if (!strncmp(infos[i].name, "model-", 6))
				buf_destroy(infos[i].name);
	close(control);
}

static void shared_drop(void)
{
	unsigned int i;

	for (i = 0; i < NR_KINDS; i++)
		if (shared_fds[i] >= 0)
			close(shared_fds[i]);
	destroy_nodes();
}

/* A file without a name, on a disk; -1 if there is none. */
static int disk_file(unsigned int id)
{
	const char *dir = getenv("KUBUF_DISK_DIR");
	char path[256];
	int fd;

	if (!dir)
		return -1;
	snprintf(path, sizeof(path), "%s/kubuf-model-%d-%u", dir, getpid(), id);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	unlink(path);
	return fd;
}

static void slots_init(struct worker *w)
{
	unsigned int i, mode;

	for (i = 0; i < NR_SLOTS; i++) {
		struct slot *slot = &w->slots[i];

		slot->base = i < NR_KINDS ? shared_fds[i] : -1;
		slot->buf = i < NR_KINDS ? &shared[i] : NULL;
		for (mode = 0; mode < NR_MODES; mode++)
			slot->fd[mode] = -1;
	}
}

static struct worker *worker_new(const struct plan *plan, unsigned int id)
{
	struct worker *w = calloc(1, sizeof(*w));
	void *room;

	if (!w || posix_memalign(&room, ps, 4 * MAX_IO))
		return NULL;
	w->id = id;
	w->plan = plan;
	w->tally = &board->tally[id];
	w->window = WINDOWS + id * WINDOW_STEP;
	w->areas = truths + truth_size() * (NR_KINDS + id * NR_AREAS);
	w->a = room;
	w->b = w->a + 2 * MAX_IO;
	memset(room, 0, 4 * MAX_IO);
	slots_init(w);
	w->memfd = memfd_create("kubuf-model", MFD_CLOEXEC);
	w->disk = disk_file(id);
	w->mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (pipe2(w->pipe, O_CLOEXEC) || w->memfd < 0 || w->mem < 0 ||
	    !peer_start(w))
		return NULL;
	return w;
}

static bool stopped(void)
{
	return __atomic_load_n(&board->stop, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct plan *plan = w->plan;
	size_t n = plan->list ? plan->nr : plan->to - plan->from, i;
	struct op op = { 0 };

	catch_signals(w);
	__atomic_store_n(&w->tally->busy, 1, __ATOMIC_RELAXED);
	for (i = 0; i < n && !stopped(); i++) {
		op_make(&op, w, plan->list ? plan->list[i] :
					     plan->from + (unsigned int)i);
		if (!op_run(w, &op))
			break;
		__atomic_store_n(&w->tally->done, w->tally->done + !w->idle,
				 __ATOMIC_RELAXED);
	}
	op.type = nr_ops - 1;
	if (i == n)
		op_run(w, &op);
	__atomic_store_n(&w->tally->busy, 0, __ATOMIC_RELAXED);
	return NULL;
}

/* A process with one thread for each of N workers. */
static void process(const struct plan *plan, unsigned int first, unsigned int n)
{
	struct worker *workers[MAX_WORKERS];
	pthread_t threads[MAX_WORKERS];
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* All helpers before the first thread has anything to inherit. */
	for (i = 0; i < n; i++) {
		workers[i] = worker_new(plan, first + i);
		if (!workers[i]) {
			perror("model: worker");
			_exit(2);
		}
	}
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, work, workers[i]))
			_exit(2);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < n; i++)
		peer_end(workers[i]);
	_exit(0);
}

/* Threads in some rounds, which wait for each other; else only processes. */
static unsigned int threads_of(const struct plan *plan)
{
	return plan->only < 0 && plan->round % 8 == 0 ? per_process : 1;
}

static unsigned int start(const struct plan *plan, pid_t *pids)
{
	unsigned int n = 0, i, step;

	fflush(stdout);
	for (i = 0; i < plan->workers; i += step) {
		step = threads_of(plan);
		if (plan->only >= 0 && i != (unsigned int)plan->only)
			continue;
		if (step > plan->workers - i)
			step = plan->workers - i;
		pids[n] = fork();
		if (!pids[n])
			process(plan, i, step);
		n++;
	}
	return n;
}

static __u64 done_so_far(void)
{
	__u64 n = 0;
	unsigned int i;

	for (i = 0; i < MAX_WORKERS; i++)
		n += board->tally[i].done + board->tally[i].by_children;
	return n;
}

static void report_process(const struct plan *plan, int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (board->found++)
		return;
	board->stop = 1;
	board->stuck = true;
	board->round = plan->round;
	snprintf(board->text, sizeof(board->text),
		 "a process ended with status %#x", status);
}

static void report_hang(const struct plan *plan)
{
	size_t at;
	unsigned int i;

	board->stop = 1;
	if (board->found++)
		return;
	board->stuck = true;
	board->round = plan->round;
	at = (size_t)snprintf(board->text, sizeof(board->text),
			      "nothing goes on any more:");
	for (i = 0; i < plan->workers && at < sizeof(board->text); i++)
		at += (size_t)snprintf(board->text + at,
				       sizeof(board->text) - at,
				       " worker %u in [%u] %s;", i,
				       board->tally[i].index,
				       op_name(board->tally[i].type));
}

/* Until all processes have ended; those that do not when told are killed. */
static void wait_for(const struct plan *plan, pid_t *pids, unsigned int n)
{
	unsigned int left = n, looks = 0, i;
	__u64 before = 0, now;
	int status;

	while (left) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			left--;
			for (i = 0; i < n; i++)
				pids[i] = pids[i] == pid ? 0 : pids[i];
			report_process(plan, status);
			continue;
		}
		usleep(LOOK);
		now = done_so_far();
		looks = now == before ? looks + 1 : 0;
		before = now;
		if (looks == PATIENCE)
			report_hang(plan);
		for (i = 0; stopped() && looks >= GRACE && i < n; i++)
			if (pids[i])
				kill(pids[i], SIGKILL);
		if (!quiet)
			tell_progress();
	}
}

/* True if all was as it must be; else board->text says what was not. */
bool run_plan(const struct plan *plan)
{
	pid_t pids[MAX_WORKERS];
	bool right;
	unsigned int i;

	memset(board, 0, sizeof(*board));
	right = shared_make(plan);
	if (right) {
		wait_for(plan, pids, start(plan, pids));
		right = !board->found;
	} else {
		board->stuck = true;
	}
	for (i = 0; right && i < NR_KINDS; i++)
		right = shared_unmapped(plan, i) && shared_right(plan, i);
	shared_drop();
	return right;
}
