#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the KUnit tests of the ring have said, which ran when the module was
# loaded. Only a kernel that has KUnit built in has them.

suite=kubuf-ring
results=/sys/kernel/debug/kunit/$suite/results

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

# The lines of the last run, from debugfs or else from the log.
lines() {
	if [ -e "$results" ]; then
		cat "$results"
	else
		dmesg | sed 's/^\[[^]]*\] //' | tac |
			sed "/^ *# Subtest: $suite\$/q" | tac
	fi | sed -n "/^ *# Subtest: $suite\$/,/^\(not \)\?ok [0-9]* $suite/p"
}

failed=0
cases=0
while read -r line; do
	case $line in
	1..*) echo "$line" ;;
	"ok "*" $suite" | "not ok "*" $suite") ;;
	"ok "* | "not ok "*)
		cases=$((cases + 1))
		[[ $line = ok* ]] || failed=1
		# Before 6.3 with a dash.
		line=${line/ - / }
		echo "${line% *} kunit.${line##* }"
		;;
	*) echo "# $line" ;;
	esac
done < <(lines)
if [ $cases = 0 ]; then
	echo "Bail out! The kernel has KUnit, but $suite did not run"
	exit 1
fi
exit $failed
