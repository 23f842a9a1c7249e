#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples of tools/examples, which do and print the same in each language:
# hello, on each backing, and ring, with records of the sample kubuf_producer and
# with what is stored here into a buffer.

cd "$(dirname "$0")" || exit 1
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
. ./cases.sh

sources=../../../../kubuf/examples
node=/dev/kubuf/examples
producer=/dev/kubuf/producer
parameters=/sys/module/kubuf_producer/parameters
page=$(getconf PAGESIZE)
backings='kmalloc pages vmalloc huge'

# Where the kernel checks each access, one of each path: all of it is slow there.
if [ -e /sys/kernel/debug/kmemleak ] || [ -e /sys/kernel/debug/kcsan ]; then
	backings='kmalloc huge'
fi

trap clean_up EXIT

clean_up() {
	[ ! -e $parameters ] || rmmod kubuf_producer
	./node destroy examples 2>/dev/null
	rm -rf "$work"
}

# The example fails, and says why: fails_with PATTERN ARGUMENT...
fails_with() {
	local pattern=$1
	shift
	! "${example[@]}" "$@" >"$work/said" 2>&1 || fail "no error: $*"
	grep -E -- "$pattern" "$work/said" || fail "$(cat "$work/said")"
}

# From here on the example finds a directory empty.
with_empty() {
	mkdir "$work/empty.$BASHPID"
	# shellcheck disable=SC2016 # for the other shell
	example=(unshare -m bash -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' bash
		"$work/empty.$BASHPID" "$1" "${example[@]}")
}

# ---- hello ----

hello_says() {
	cat <<-END
		created   $1 bytes, $2
		mapping   stores "one"
		pread()   loads  "one"
		pwrite()  stores "two"
		mapping   loads  "two"
		child     loads  "two"
		child     stores "three"
		mapping   loads  "three"
	END
}

# It is given whole pages.
hello_backing() {
	"${example[@]}" $((4 * page + 1)) "$1" >"$work/said"
	hello_says $((5 * page)) "$1" | diff - "$work/said"
}

hello_default() {
	"${example[@]}" >"$work/said"
	hello_says 1048576 vmalloc | diff - "$work/said"
}

hello_bad_arguments() {
	local bytes
	for bytes in x 1M -1 0x1000 18446744073709551616; do
		fails_with " \"?$bytes" "$bytes"
	done
	fails_with . ''
	fails_with 'thing' 4096 thing
}

hello_no_control() {
	with_empty /dev/kubuf
	fails_with 'open /dev/kubuf/control: No such file'
}

hello_no_buffer() {
	fails_with 'KUBUF_CREATE: Invalid argument' 0
}

hello_no_mapping() {
	ulimit -v 65536
	fails_with 'mmap: Cannot allocate memory' $((64 << 20))
}

# What fork() makes has both mappings; another program has not, but needs /proc.
hello_child_fails() {
	if [ "$language" = rs ]; then
		with_empty /proc
		fails_with 'the child: No such file'
		return
	fi
	ulimit -v 94208
	fails_with 'mmap: Cannot allocate memory' $((48 << 20))
	grep 'the child failed' "$work/said"
}

# ---- ring: what is stored into a buffer ----

# The eight bytes of a number, as the program's digits.
digits() {
	local i
	for ((i = 0; i < 64; i += 8)); do
		printf '%02x' $(($1 >> i & 255))
	done
}

put() {
	dd of=$node bs=1 seek="$1" conv=notrunc status=none
}

# Words of eight bytes of the header: header WORD=NUMBER...
header() {
	local word
	for word in "$@"; do
		digits "${word#*=}" | xxd -r -p | put $((page + 8 * ${word%=*}))
	done
}

magic=0=0x6b72696e
size=1=$page
head=8 lost=9 tail=16
producer_sleeps=10=1
closed=10=0x100000000

begin_ring() {
	head -c $((2 * page)) /dev/zero >$node
	header "$@"
}

# Records of each length of the last word, and of more than one word. The end of the
# data is in the payload of the one of nine bytes.
ring_lengths() {
	local n split=152 begin text=abcdefghijklmnopqrstuvwxyz
	begin=$((3 * page - split))
	for ((n = 0; n <= 17; n++)); do
		printf '%s' "${text:0:n}" | xxd -p
		[ "$n" != 0 ] || echo
		digits "$n" | xxd -r -p >&3
		printf '%s' "${text:0:n}" >&3
		head -c $((-n & 7)) /dev/zero >&3
	done 3>"$work/data" >"$work/want"
	begin_ring $magic "$size" $head=$((begin + $(stat -c %s "$work/data"))) \
		$tail=$begin $closed
	head -c $split "$work/data" | put $((page - split))
	tail -c +$((split + 1)) "$work/data" | put 0
	"${example[@]}" $node >"$work/said" 2>"$work/counts"
	diff "$work/want" "$work/said"
	diff - "$work/counts" <<<'18 records, 153 bytes, 0 lost'
	[ "$(od -An -t u8 -j $((page + 8 * tail)) -N 8 $node)" -eq \
		$((begin + $(stat -c %s "$work/data"))) ]
}

ring_sequence() {
	sed -n 's/^kubuf-sequence:[^0-9]*//p' /proc/$BASHPID/fdinfo/9
}

# Who waits for room is told that there is some. What was lost is told of.
ring_wakes_producer() {
	local before
	begin_ring $magic "$size" $head=16 $lost=7 $producer_sleeps
	exec 9<$node
	before=$(ring_sequence)
	"${example[@]}" $node 1 >"$work/said" 2>"$work/counts"
	diff - "$work/said" <<<''
	diff - "$work/counts" <<<'1 records, 0 bytes, 7 lost'
	[ "$(ring_sequence)" = $((before + 1)) ]
	[ "$(od -An -t u4 -j $((page + 80)) -N 4 $node)" -eq 0 ]
}

ring_at_its_end() {
	begin_ring $magic "$size" $closed
	"${example[@]}" $node >"$work/said" 2>&1
	diff - "$work/said" <<<'0 records, 0 bytes, 0 lost'
}

ring_none() {
	begin_ring "$size" $closed
	fails_with 'no ring in|kubuf_ring_open .*: Invalid argument' $node
	begin_ring $magic 1=$((2 * page)) $closed
	fails_with 'no ring in|kubuf_ring_open .*: Invalid argument' $node
	fails_with 'No such file' /dev/kubuf/examples-none
}

# Flags are in the first word, too.
ring_bytes() {
	begin_ring 0=$((0x16b72696e)) "$size" $closed
	fails_with 'has bytes, not records' $node
}

ring_producer_that_lies() {
	begin_ring $magic "$size" $head=$((page + 8)) $closed
	fails_with 'Protocol error|the producer cannot be' $node
	begin_ring $magic "$size" $head=64 $closed
	digits 57 | xxd -r -p | put 0
	fails_with 'Protocol error|the producer cannot be|a record of 57' $node
	! grep -xE '[0-9a-f]+' "$work/said" || fail 'it took the record'
}

ring_bad_arguments() {
	begin_ring $magic "$size" $closed
	fails_with "\"?1x" $node 1x
}

# ---- ring: what a driver delivers ----

# Records of three words, besides number and time: 48 bytes in the ring.
load_producer() {
	local module=(modprobe kubuf_producer)
	[ -z "${KUBUF_KO-}" ] || module=(insmod "${KUBUF_KO%/*}/kubuf_producer.ko")
	"${module[@]}" size=24 ring_size="$page" rate=1000 "$@"
	trap 'rmmod kubuf_producer' EXIT
}

consumer_sleeps() {
	[ "$(od -An -t u4 -j $((page + 136)) -N 4 $producer)" -eq 1 ]
}

has_made() {
	[ "$(cat $parameters/made)" = "$1" ]
}

# The records that a driver makes, without their time.
make_delivered() {
	local n i
	for ((n = 0; n < 50 + page / 48; n++)); do
		digits "$n"
		for ((i = 0; i < 3; i++)); do
			digits $(((n + 1) * 0x9e3779b97f4a7c15 + i))
		done
		echo
	done >"$work/delivered"
}

# Whether it said these, and no others, and how many: said FIRST LAST LOST.
said() {
	local n=$(($2 - $1 + 1))
	cut -c 1-16,33- "$work/said" |
		diff <(sed -n "$(($1 + 1)),$(($2 + 1))p" "$work/delivered") -
	diff - "$work/counts" <<<"$n records, $((n * 40)) bytes, $3 lost"
}

# As many as there is room for, so that none is lost however slow it is: the first
# of them while they are made, the others by another run.
ring_takes_all() {
	local most=$((page / 48)) pid
	load_producer count=$most running=0
	"${example[@]}" $producer 50 >"$work/said" 2>"$work/counts" &
	pid=$!
	# shellcheck disable=SC2064 # this one
	trap "kill $pid 2>/dev/null || :; wait $pid || :; rmmod kubuf_producer" EXIT
	wait_for 300 consumer_sleeps
	echo 1 >$parameters/running
	wait $pid
	said 0 49 0

	"${example[@]}" $producer >"$work/said" 2>"$work/counts"
	said 50 $((most - 1)) 0
}

# It knows how to, or refuses to.
ring_overwrites() {
	local most=$((page / 48))
	load_producer count=$((50 + most)) overwrite=1
	wait_for 300 has_made $((50 + most))
	if [[ $language = @(python|rs) ]]; then
		fails_with 'overwrites what was not read' $producer
		return
	fi
	"${example[@]}" $producer >"$work/said" 2>"$work/counts"
	said 50 $((49 + most)) 50
}

# ---- all of them ----

# Sets $example to the command. What waits for ever is ended.
find_example() {
	local compiler=''
	case $language in
	python) example=(python3 -I -S "$sources/$program.py") compiler=python3 ;;
	cxx) example=("examples/$program-cxx") compiler=g++ ;;
	rs) example=("examples/$program-rs") compiler=rustc ;;
	c) example=("examples/$program-c") ;;
	esac
	[ -z "$compiler" ] || [ -x "${example[0]}" ] || command -v $compiler ||
		skip "no $compiler"
	example=(timeout 300 "${example[@]}")
}

# example PROGRAM LANGUAGE CASE [ARGUMENT]: a case.
example() {
	local program=$1 language=$2 example
	find_example
	"$1_$3" "${@:4}"
}

# Prints the cases, a line each, as the arguments of run.
all() {
	local l case
	for l in c cxx python rs; do
		for case in $backings; do
			echo "hello.$l.backing.$case sh example hello $l backing $case"
		done
		for case in default bad_arguments no_control no_buffer no_mapping child_fails; do
			echo "hello.$l.$case sh example hello $l $case"
		done
		for case in lengths wakes_producer at_its_end none bytes producer_that_lies \
				bad_arguments takes_all overwrites; do
			echo "ring.$l.$case sh example ring $l $case"
		done
	done
}

plan_cases examples "$@"
./node destroy examples 2>/dev/null
./node create examples vmalloc $((2 * page)) || exit 1
make_delivered
run_cases
