# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Sourced by the tests whose cases are functions of the shell. A case runs in a
# shell of its own, in which any command that fails ends it.

work=$(mktemp -d) || exit 1
out=$work/out
cases=0
failed=0

# A case ends with one of these: it has failed, or the kernel lacks something.
fail() {
	echo "$*"
	exit 1
}

skip() {
	echo "$*" >"$work/why"
	exit 4
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "in vain: $*"
		sleep 0.1
	done
}

# run NAME PROGRAM[,PROGRAM] FUNCTION ARGUMENT...: a case, and what it takes.
run() {
	local name=$1 program code
	cases=$((cases + 1))
	for program in ${2//,/ }; do
		if ! command -v "$program" >/dev/null; then
			echo "ok $cases $name # SKIP no $program"
			return
		fi
	done
	shift 2
	(set -euo pipefail && "$@") </dev/null >"$out" 2>&1
	code=$?
	case $code in
	0) echo "ok $cases $name" ;;
	4) echo "ok $cases $name # SKIP $(cat "$work/why")" ;;
	*)
		tail -n 40 "$out" | sed 's/\x1b/^[/g; s/^/# /'
		echo "not ok $cases $name"
		failed=1
		;;
	esac
}

# plan_cases PREFIX [PATTERN]: into $plan comes what a test's function "all" prints, a
# line a case, as the arguments of run.
plan_cases() {
	mapfile -t plan < <(all | grep -E "${2:-.}" | sed "s/^/$1./")
	echo "TAP version 13"
	echo "1..${#plan[@]}"
}

# None at all is a failure, too.
run_cases() {
	local case
	[ ${#plan[@]} -gt 0 ] || return 1
	for case in "${plan[@]}"; do
		# shellcheck disable=SC2086 # one word each
		run $case
	done
	[ "$failed" = 0 ]
}
