#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples of Documentation/misc-devices/kubuf-tracing.rst, as they are written
# there, and what has to come of each.

cd "$(dirname "$0")" || exit 1
source=$(dirname "$(realpath "$0")")
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

# In the project, or in a kernel tree.
for page in "$source"/../{,../../../../}Documentation/misc-devices/kubuf-tracing.rst; do
	[ ! -e "$page" ] || break
done
out=$(mktemp) || exit 1
trap clean_up EXIT

clean_up() {
	rm -f "$out" /tmp/sweep.py /tmp/kubuf.dat
	[ ! -w "$names" ] || echo 1 >"$names"
	./node destroy hello 2>/dev/null
}

# The lines of an example: what is indented after the mark with its name.
example() {
	awk -v mark=".. run: $1" '
		$0 == mark { found = 1; next }
		found && /^\t/ { sub(/^\t/, ""); print; begun = 1; next }
		begun && /^./ { exit }
		begun { print }' "$page"
}

# The sum of a field of an event, in what "trace" and trace-cmd print.
sum() {
	sed -n "s/.* kubuf_$1: .*[[:space:]]$2=\([0-9]*\).*/\1/p" "$out" |
		awk '{ n += $1 } END { print n + 0 }'
}

# A page that the driver has not mapped the core has.
all_pages() {
	local core
	core=$(grep -c ' kubuf_fault: .* mapped=0 error=0' "$out")
	[ $(($(sum map window) + core)) = 256 ] &&
		grep -q ' kubuf_mmap: .*id=[0-9]* .* index=0 mappings=1' "$out" &&
		grep -q ' kubuf_close: .* mappings=0' "$out"
}

saw_program() { [ -s /tmp/sweep.py ] && python3 /tmp/sweep.py; }
saw_tracefs() { all_pages; }
saw_trace_cmd() { all_pages; }

saw_histogram() {
	grep -qE '^\{ id: +[0-9]+, mapped: +1 \} hitcount: +[1-9][0-9]* +ns: +[1-9]' "$out"
}

# What is 0, it does not show. Where page tables end, so do windows.
saw_perf_trace() {
	grep -q 'kubuf:kubuf_mmap(id: [0-9]*, start: [0-9]*, end: [0-9]*, mappings: 1)' "$out" &&
		grep -qE 'kubuf:kubuf_map\(id: .*, window: (64|128)\)' "$out" &&
		grep -q ' mmap(.*flags: SHARED.*) *= 0x' "$out"
}

saw_perf_stat() {
	grep -qE '^ +[1-9][0-9]* +kubuf:kubuf_fault' "$out" &&
		grep -qE '^ +[1-9][0-9]* +kubuf:kubuf_map' "$out"
}

saw_bpftrace() {
	grep -q '^@ns: *$' "$out" && grep -q '^@window: *$' "$out" &&
		grep -qE '^\[(64, 128|128, 256)\) +[1-9]' "$out"
}

# run NAME PROGRAM: an example, and the program that it takes.
run() {
	local code
	cases=$((cases + 1))
	if ! command -v "$2" >/dev/null; then
		echo "ok $cases trace_tools.$1 # SKIP no $2"
		return
	fi
	if [ ! -d /sys/kernel/tracing/events/kubuf ]; then
		echo "ok $cases trace_tools.$1 # SKIP the kernel has no trace events"
		return
	fi
	[ ! -w /sys/kernel/tracing/trace ] || : >/sys/kernel/tracing/trace
	example "$1" >"$out.sh"
	bash -eu "$out.sh" </dev/null >"$out" 2>&1
	code=$?
	if [ -s "$out.sh" ] && [ $code = 0 ] && "saw_$1"; then
		echo "ok $cases trace_tools.$1"
	else
		{ echo "exit status $code of:"; cat "$out.sh"; tail -n 40 "$out"; } | sed 's/^/# /'
		echo "not ok $cases trace_tools.$1"
		failed=1
	fi
	rm -f "$out.sh"
}

# Task names would have the scheduler patched, see trace_test.c.
names=/sys/kernel/tracing/options/record-cmd
[ ! -w "$names" ] || echo 0 >"$names"
cases=0
failed=0
echo "TAP version 13"
echo "1..7"
./node create hello vmalloc $((1 << 20)) || exit 1
run program python3
run tracefs python3
run histogram python3
run trace_cmd trace-cmd
run perf_trace perf
run perf_stat perf
run bpftrace bpftrace
[ "$failed" = 0 ]
