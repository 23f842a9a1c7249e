#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# model_test.sh [CASE...]: a short run of the model, and that it finds what is wrong:
# a byte that the program itself spoils, for which few operations are enough.

cd "$(dirname "$0")" || exit 1
model=./model
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
failed=0
cases=0

# result STATUS NAME: a test case; what it printed, if it failed.
result() {
	cases=$((cases + 1))
	if [ "$1" = 0 ]; then
		echo "ok $cases $2"
	else
		sed 's/^/# /' "$out"
		echo "not ok $cases $2"
		failed=1
	fi
}

nothing_differs() {
	$model --ops 20000 --seed 1 >"$out" 2>&1
}

# The spoiled byte needs a mapping and a store.
planted_byte_is_found() {
	$model --ops 20000 --seed 1 --plant store >"$out" 2>&1
	[ $? = 1 ] && grep -q 'shrunk to [1-3] operations' "$out"
}

# One that depends on what others do at the same time.
planted_race_is_found() {
	$model --ops 20000 --seed 1 --plant crowd >"$out" 2>&1
	[ $? = 1 ] && grep -q 'no worker fails alone' "$out"
}

[ $# -gt 0 ] || set -- nothing_differs planted_byte_is_found planted_race_is_found
echo "TAP version 13"
echo "1..$#"
for name; do
	$name
	result $? "$name"
done
[ $failed = 0 ]
