# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by install-test and fresh-test, on the fresh Debian.
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

state=/var/tmp/kubuf-test
out=$state/out
mkdir -p $state

# A case ends with it.
fail() {
	echo "$*" >&2
	exit 1
}

# run FUNCTION ARGUMENT...: a case. How long it takes is of interest where the
# processor is emulated.
run() {
	local result=ok begin=$SECONDS
	cases=$((cases + 1))
	# Not in a condition, where "set -e" would be without effect.
	(set -euo pipefail && "$@") </dev/null >$out 2>&1
	# shellcheck disable=SC2181 # for that reason
	if [ $? != 0 ]; then
		result='not ok'
		tail -n 60 $out | sed 's/^/# /'
	fi
	echo "$result $cases $*"
	echo "# $((SECONDS - begin)) s"
}

# run_all CASE...: each is a function and its arguments.
run_all() {
	local case
	cases=0
	echo "TAP version 13"
	echo "1..$#"
	for case in "$@"; do
		# shellcheck disable=SC2086 # one word each
		run $case
	done
}
