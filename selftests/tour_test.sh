#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tour of "make explore", typed as it says, and what each step has to show.

cd "$(dirname "$0")" || exit 1
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
tour=$(realpath ../../../../kubuf/explore/tour.py)
out=$(mktemp) || exit 1
cases=0
failed=0
trap 'rm -f "$out"; ./kubuf destroy hello old 2>/dev/null' EXIT

# The Nth look: the number of mappings, and the row of pages that goes with it.
looks() {
	awk -v n="$1" '
		match($0, /mappings [0-9]+/) { mappings = substr($0, RSTART + 9, RLENGTH - 9) }
		/^ +0  [.mpr2-9+]+$/ && ++row == n { print mappings, $2 }' "$out" |
		grep -qxF "$2 $3"
}

# What Python shows of a value, after the prompts of lines that show nothing.
shows() {
	grep -qxE "(>>> )*$1" "$out"
}

result() {
	cases=$((cases + 1))
	if [ "$1" = 0 ]; then
		echo "ok $cases tour.$2"
	else
		echo "not ok $cases tour.$2"
		failed=1
	fi
}

echo "TAP version 13"
echo "1..9"
./kubuf create hello 64K && ./kubuf create old 32K --reserved || exit 1
python3 - "$tour" >"$out.typed" <<'END'
import sys
steps = open(sys.argv[1]).read().split('"""')[3].split("%\n")
for number, step in enumerate(steps):
    if number:
        print("more()")
    for line in step.splitlines():
        if line.startswith("    >>> "):
            print(line[8:])
END
PATH=$PWD:$PATH PYTHONUNBUFFERED=1 python3 -q -i "$tour" <"$out.typed" >"$out" 2>&1
result $? runs
none=................
looks 1 1 "$none"; result $? mmap_maps_nothing
looks 2 1 .....m..........; result $? a_touch_maps_a_page
shows "b'A'" && shows "'B'"
result $? both_sides_see_it
shows 'hello: 3 pages checked, nothing differs'; result $? same_frame
looks 3 2 .....2..........; result $? fork_counts
looks 4 1 .....m..........; result $? exit_counts
looks 5 1 'r..r....' && looks 6 0 '........'; result $? reserved_until_the_last_munmap
looks 7 0 "$none"; result $? munmap_unmaps
[ "$failed" = 0 ] || sed 's/^/# /' "$out"
rm -f "$out".*
[ "$failed" = 0 ]
