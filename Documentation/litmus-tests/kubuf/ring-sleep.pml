/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a side of a ring sleeps and is woken, for spin: a consumer that waits for
 * data. That of a producer who waits for room is the same.
 *
 * Each processor has a store buffer, as x86 has: what it stores the other sees
 * later, in order, and it alone sees it at once. A wake-up that is lost is a state
 * in which nobody can go on: spin finds each. WITHOUT_PRODUCER_BARRIER,
 * WITHOUT_CONSUMER_BARRIER and WITHOUT_SECOND_LOOK show that it does.
 *
 *	spin -a ring-sleep.pml && cc -o pan pan.c && ./pan
 *
 * scripts/ring-model does that for all of them.
 */

#ifndef RECORDS
#define RECORDS	4
#endif

#define PRODUCER	0
#define CONSUMER	1

/* What both share. */
#define HEAD		0
#define SLEEPS		1

byte memory[2];

/* What a processor has stored: a queue; by place, how much of it, and the last. */
chan buffer[2] = [2] of { byte, byte };
byte waiting[4];
byte last[4];

/* How often there was something to tell of, as KUBUF_INFO and poll() know it. */
byte sequence;
byte seen;

inline store(cpu, place, value)
{
	atomic {
		buffer[cpu] ! place, value;
		last[cpu * 2 + place] = value;
		waiting[cpu * 2 + place]++
	}
}

inline load(cpu, place, value)
{
	atomic {
		if
		:: waiting[cpu * 2 + place] > 0 ->
			value = last[cpu * 2 + place]
		:: else ->
			value = memory[place]
		fi
	}
}

inline barrier(cpu)
{
	empty(buffer[cpu])
}

proctype drain(byte cpu)
{
	byte place, value;

end:
	do
	:: atomic {
		buffer[cpu] ? place, value ->
		memory[place] = value;
		waiting[cpu * 2 + place]--
	   }
	od
}

/* kubuf_ring_produce(), wake() and kubuf_notify() */
proctype producer()
{
	byte head, sleeps;

	do
	:: head == RECORDS -> break
	:: else ->
		head++;
		store(PRODUCER, HEAD, head);
#ifndef WITHOUT_PRODUCER_BARRIER
		barrier(PRODUCER);
#endif
		load(PRODUCER, SLEEPS, sleeps);
		if
		:: sleeps ->
			store(PRODUCER, SLEEPS, 0);
			/* It counts in one step that is a barrier. */
			atomic {
				empty(buffer[PRODUCER]) ->
				sequence++
			}
		:: else
		fi
	od
}

/* kubuf_ring_wait_data() and kubuf_ring_sleep() */
proctype consumer()
{
	byte head, tail;

	do
	:: tail == RECORDS -> break
	:: else ->
		load(CONSUMER, HEAD, head);
		if
		:: head != tail ->
			tail++
		:: else ->
			store(CONSUMER, SLEEPS, 1);
#ifndef WITHOUT_CONSUMER_BARRIER
			barrier(CONSUMER);
#endif
#ifndef WITHOUT_SECOND_LOOK
			load(CONSUMER, HEAD, head);
#endif
			if
			:: head != tail
			:: else ->
				/* poll() */
				sequence != seen;
				/* KUBUF_INFO */
				seen = sequence
			fi;
			/* It may as well look again before it takes it back. */
			if
			:: store(CONSUMER, SLEEPS, 0)
			:: skip
			fi
		fi
	od;
	assert(tail == RECORDS)
}

init {
	atomic {
		run drain(PRODUCER);
		run drain(CONSUMER);
		run producer();
		run consumer()
	}
}
