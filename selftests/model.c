// SPDX-License-Identifier: GPL-2.0-only
/*
 * kubuf-model: random operations on buffers, each byte compared with a model of
 * what must be there, in the manner of fsx
 *
 * Usage: model [OPTION...]
 *
 *	--ops N		operations in all, default 20000
 *	--seed S	which ones, default: the time
 *	--workers N	threads that do them, default 4
 *	--threads N	of them in a process, in each eighth round, default 2
 *	--plant WHAT	spoil a byte, to see that it is found: "store", after
 *			some stores; "crowd", the same, while another worker is
 *			busy
 *
 *	--round R	this round alone
 *	--worker W	this worker of it alone
 *	--from A	its operations from there on
 *	--to B		to before this one
 *	--list A,B,...	these operations of it
 *
 * Each worker does a sequence of operations that depends on the seed, the round
 * and its number, and not on time: so a run is done again by its seed. Workers
 * share one buffer of each kind, in which each has bytes of its own, and make
 * others for themselves. After a round everything is given back.
 *
 * Exit status: 0 if nothing differs, 1 if something does, which is then shrunk
 * to the shortest sequence that still fails; 2 if it cannot run.
 */
#include <getopt.h>
#include <time.h>

#include "model.h"

/* Operations of a worker in a round. */
#define ROUND	20000U

/* Seconds from one sign of life to the next. */
#define TELL	5

__u64 seed;
enum plant plant;
unsigned int nr_workers = 4;
unsigned int per_process = 2;
size_t ps;
struct board *board;

/* Of the rounds before this one. */
static struct tally total;

static void add_up(struct tally *sum)
{
	unsigned int i, j;

	for (i = 0; i < MAX_WORKERS; i++) {
		const struct tally *t = &board->tally[i];

		sum->done += t->done;
		sum->by_children += t->by_children;
		sum->compared += t->compared;
		for (j = 0; j < nr_ops; j++) {
			sum->count[j] += t->count[j];
			sum->errors[j] += t->errors[j];
		}
	}
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A line every few seconds. */
void tell_progress(void)
{
	static double begin, last;
	static __u64 before;
	double now = seconds();
	struct tally sum = total;

	if (!begin)
		begin = now;
	if (!last)
		last = now;
	if (now - last < TELL)
		return;
	add_up(&sum);
	printf("model: %llu operations, %.0f a second, after %.0f s\n",
	       (unsigned long long)sum.done,
	       (double)(sum.done - before) / (now - last), now - begin);
	fflush(stdout);
	last = now;
	before = sum.done;
}

static void tell_total(void)
{
	unsigned int i;

	printf("model: %llu more by children and other processes\n",
	       (unsigned long long)total.by_children);
	printf("model: %-22s %10s %10s\n", "operation", "done", "errors");
	for (i = 0; i < nr_ops; i++)
		printf("model: %-22s %10llu %10llu\n", op_name(i),
		       (unsigned long long)total.count[i],
		       (unsigned long long)total.errors[i]);
}

static bool run_round(struct plan *plan)
{
	if (run_plan(plan)) {
		add_up(&total);
		return true;
	}
	add_up(&total);
	printf("model: DIFFERENCE in round %u, worker %u, operation [%u]%s\n",
	       board->round, board->worker, board->index,
	       board->child ? " in a child" : "");
	printf("model: %s\n", board->text);
	fflush(stdout);
	shrink(plan);
	return false;
}

/* As many rounds as it takes. */
static bool run_all(__u64 ops)
{
	struct plan plan = { .workers = nr_workers, .only = -1 };

	for (; total.done < ops; plan.round++) {
		__u64 each = (ops - total.done + nr_workers - 1) / nr_workers;

		plan.to = each < ROUND ? (unsigned int)each : ROUND;
		if (!run_round(&plan))
			return false;
	}
	return true;
}

static unsigned int *parse_list(char *text, size_t *nr)
{
	unsigned int *list = NULL;
	char *word;

	*nr = 0;
	while ((word = strsep(&text, ","))) {
		list = realloc(list, (*nr + 1) * sizeof(*list));
		list[(*nr)++] = (unsigned int)strtoul(word, NULL, 0);
	}
	return list;
}

static void misused(void)
{
	fputs("usage: model [--ops N] [--seed S] [--workers N] [--threads N]\n"
	      "             [--plant store|crowd] [--round R [--worker W]\n"
	      "             [--from A] [--to B] [--list A,B,...]]\n", stderr);
	exit(2);
}

static enum plant parse_plant(const char *name)
{
	if (!strcmp(name, "store"))
		return PLANT_STORE;
	if (!strcmp(name, "crowd"))
		return PLANT_CROWD;
	misused();
	return PLANT_NONE;
}

static const struct option options[] = {
	{ "ops", required_argument, NULL, 'n' },
	{ "seed", required_argument, NULL, 's' },
	{ "workers", required_argument, NULL, 'w' },
	{ "threads", required_argument, NULL, 't' },
	{ "plant", required_argument, NULL, 'p' },
	{ "round", required_argument, NULL, 'r' },
	{ "worker", required_argument, NULL, 'o' },
	{ "from", required_argument, NULL, 'f' },
	{ "to", required_argument, NULL, 'e' },
	{ "list", required_argument, NULL, 'l' },
	{ }
};

static void prepare(void)
{
	if (!nr_workers || nr_workers > MAX_WORKERS || !per_process)
		misused();
	if (access(CONTROL, R_OK)) {
		fprintf(stderr, "model: no " CONTROL ": is the module loaded?\n");
		exit(2);
	}
	ps = page_size();
	board = mmap(NULL, sizeof(*board), RW, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (board == MAP_FAILED) {
		perror("model: memory");
		exit(2);
	}
	ops_init();
	mem_init();
	rounds_init(nr_workers);
	printf("model: seed %llu, %u workers, %u a process at times%s\n",
	       (unsigned long long)seed, nr_workers, per_process,
	       getenv("KUBUF_DISK_DIR") ? "" :
	       ", no O_DIRECT without $KUBUF_DISK_DIR");
}

int main(int argc, char **argv)
{
	struct plan replay = { .only = -1, .to = ROUND };
	bool again = false, right;
	__u64 ops = 20000;
	int opt;

	seed = (__u64)time(NULL);
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			ops = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			nr_workers = (unsigned int)atoi(optarg);
			break;
		case 't':
			per_process = (unsigned int)atoi(optarg);
			break;
		case 'p':
			plant = parse_plant(optarg);
			break;
		case 'r':
			replay.round = (unsigned int)atoi(optarg);
			again = true;
			break;
		case 'o':
			replay.only = atoi(optarg);
			break;
		case 'f':
			replay.from = (unsigned int)atoi(optarg);
			break;
		case 'e':
			replay.to = (unsigned int)atoi(optarg);
			break;
		case 'l':
			replay.list = parse_list(optarg, &replay.nr);
			replay.trace = true;
			break;
		default:
			misused();
		}
	}
	prepare();
	replay.workers = nr_workers;
	right = again ? run_round(&replay) : run_all(ops);
	tell_total();
	printf("model: %llu operations, %llu bytes compared, %d differences, seed %llu\n",
	       (unsigned long long)total.done,
	       (unsigned long long)total.compared, !right,
	       (unsigned long long)seed);
	return !right;
}
