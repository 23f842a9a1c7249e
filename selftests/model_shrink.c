// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a run that fails to the shortest that still does: operations are left
 * out as long as it fails without them ("delta debugging"). One worker alone is
 * tried first, which does the same each time; if that does not fail, others
 * must run beside it, and the sequence of all is made shorter from its begin.
 */
#include "model.h"

/* What depends on others does not fail each time. */
#define TRIES	5

static unsigned int runs;

static bool fails(const struct plan *plan)
{
	runs++;
	return !run_plan(plan);
}

static bool fails_sometimes(const struct plan *plan)
{
	unsigned int i;

	for (i = 0; i < TRIES; i++)
		if (fails(plan))
			return true;
	return false;
}

/* Does it fail without the N operations from AT on? */
static bool fails_without(const struct plan *plan, const unsigned int *list,
			  size_t nr, size_t at, size_t n)
{
	unsigned int *rest = malloc(nr * sizeof(*rest));
	struct plan p = *plan;
	bool ret;

	memcpy(rest, list, at * sizeof(*rest));
	memcpy(rest + at, list + at + n, (nr - at - n) * sizeof(*rest));
	p.list = rest;
	p.nr = nr - n;
	ret = fails(&p);
	free(rest);
	return ret;
}

/* Leave out pieces of all sizes, large ones first; how many are left. */
static size_t leave_out(const struct plan *plan, unsigned int *list, size_t nr)
{
	size_t size = (nr + 1) / 2, at, n;
	bool less;

	for (;;) {
		less = false;
		for (at = 0; at < nr; ) {
			n = size < nr - at ? size : nr - at;
			if (!fails_without(plan, list, nr, at, n)) {
				at += n;
				continue;
			}
			nr -= n;
			memmove(list + at, list + at + n,
				(nr - at) * sizeof(*list));
			less = true;
		}
		if (size == 1 && !less)
			return nr;
		size = size > 1 ? size / 2 : 1;
	}
}

/* The command that does the same again. */
static void tell_command(const struct plan *plan)
{
	size_t i;

	printf("model: again: model --seed %llu --workers %u --threads %u%s --round %u",
	       (unsigned long long)seed, plan->workers, per_process,
	       plant == PLANT_STORE ? " --plant store" :
	       plant == PLANT_CROWD ? " --plant crowd" : "", plan->round);
	if (plan->only >= 0)
		printf(" --worker %d", plan->only);
	if (!plan->list)
		printf(" --from %u --to %u", plan->from, plan->to);
	for (i = 0; plan->list && i < plan->nr; i++)
		printf("%s%u", i ? "," : " --list ", plan->list[i]);
	printf("\n");
}

static void shrink_alone(struct plan *plan, unsigned int *list)
{
	size_t all = plan->nr;

	plan->nr = leave_out(plan, list, plan->nr);
	printf("model: shrunk to %zu operations, from %zu, in %u runs:\n",
	       plan->nr, all, runs);
	plan->trace = true;
	if (!fails(plan))
		printf("model: but they do not fail each time\n");
	printf("model: %s\n", board->text);
	tell_command(plan);
}

/* As late a first operation as can be. */
static void shrink_crowd(struct plan *plan)
{
	unsigned int good = plan->from, bad = plan->to, n = 0, i;
	char text[sizeof(board->text)];

	memcpy(text, board->text, sizeof(text));
	while (bad - good > 1) {
		plan->from = good + (bad - good) / 2;
		if (fails_sometimes(plan)) {
			memcpy(text, board->text, sizeof(text));
			good = plan->from;
			if (board->index >= good && board->index < bad)
				plan->to = board->index + 1;
			bad = plan->to;
		} else {
			bad = plan->from;
		}
	}
	plan->from = good;
	for (i = 0; i < 2 * TRIES; i++)
		n += fails(plan);
	printf("model: no worker fails alone: others must run beside it\n");
	printf("model: shrunk to operations %u to %u of each, in %u runs; fails in %u of %u\n",
	       plan->from, plan->to - 1, runs, n, 2 * TRIES);
	printf("model: %s\n", text);
	tell_command(plan);
}

void shrink(const struct plan *failed)
{
	struct plan plan = *failed;
	unsigned int last = board->index, i, *list;
	char text[sizeof(board->text)];

	if (board->stuck) {
		tell_command(failed);
		return;
	}
	memcpy(text, board->text, sizeof(text));
	quiet = true;
	if (failed->list) {
		last = (unsigned int)failed->nr - 1;
	} else {
		plan.only = (int)board->worker;
		plan.to = last + 1;
	}
	list = calloc(last + 1, sizeof(*list));
	for (i = 0; i <= last; i++)
		list[i] = failed->list ? failed->list[i] : i;
	plan.list = list;
	plan.nr = last + 1;
	if (fails_sometimes(&plan)) {
		shrink_alone(&plan, list);
	} else {
		plan.list = NULL;
		plan.only = -1;
		memcpy(board->text, text, sizeof(text));
		shrink_crowd(&plan);
	}
	free(list);
}
