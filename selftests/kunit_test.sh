#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the KUnit tests of the driver say, which run when it is loaded, or have run
# at boot if it is built in. Only a kernel that has KUnit built in has them.

suites=(kubuf-parameter kubuf-buffer kubuf-backing kubuf-mmap kubuf-driver kubuf-ring)

echo "TAP version 13"
case $(cat /sys/module/kunit/parameters/enable 2>/dev/null) in
Y | 1) ;;
*)
	# Older ones cannot be told not to run them.
	if [ ! -e /sys/kernel/debug/kunit ]; then
		echo "1..0 # SKIP no KUnit in this kernel"
		exit 4
	fi
	;;
esac

# lines SUITE: those of its last run, from debugfs or else from the log.
lines() {
	local results=/sys/kernel/debug/kunit/$1/results
	if [ -e "$results" ]; then
		cat "$results"
	else
		dmesg | sed 's/^\[[^]]*\] //' | tac |
			sed "/^ *# Subtest: $1\$/q" | tac
	fi | sed -n "/^ *# Subtest: $1\$/,/^\(not \)\?ok [0-9]* -\? *$1/p"
}

# Not each load of the module is to run them, where that can be said. The kernel
# would take a newline for a part of it.
filter=/sys/module/kunit/parameters/filter_glob
filtered=$(cat $filter 2>/dev/null)
if [ -e /sys/module/kubuf/initstate ]; then
	[ ! -e $filter ] || printf '*.*' >$filter
	rmmod kubuf
	if [ -n "${KUBUF_KO-}" ]; then
		insmod "$KUBUF_KO"
	else
		modprobe kubuf
	fi || echo "Bail out! The module can't be loaded"
	[ ! -e $filter ] || printf %s "${filtered/(null)/*.*}" >$filter
fi

cases=0 failed=0
# A test that fails says why first: that goes with it.
for suite in "${suites[@]}"; do
	before=$cases
	while read -r line; do
		case $line in
		1..* | "ok "*" $suite" | "not ok "*" $suite") ;;
		"ok "* | "not ok "*)
			cases=$((cases + 1))
			verdict=ok
			[[ $line = ok* ]] || verdict='not ok' failed=1
			echo "$verdict $cases kunit.$suite.${line##* }"
			;;
		*) echo "# $line" ;;
		esac
	done < <(lines "$suite")
	if [ $cases = $before ]; then
		echo "not ok $((++cases)) kunit.$suite: it did not run"
		failed=1
	fi
done
echo "1..$cases"
exit $failed
