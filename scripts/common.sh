# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: where things are, and how to speak to the user.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubuf

note() {
	printf '==> %s\n' "$*" >&2
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# lock FILE: until the end of the shell that calls it, nobody else has it.
lock() {
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	flock 9
}

# scan_leaks: what kmemleak takes for lost. It reports no object that is younger
# than five seconds, and none that has changed since the scan before.
leaks=/sys/kernel/debug/kmemleak
scan_leaks() {
	sleep 6
	echo scan >"$leaks" && echo scan >"$leaks"
}

# What a configuration wants its kernel and the modules for it compiled with.
set_compiler() {
	case $1 in
	clang) export LLVM=-19 ;;
	mips64el) export ARCH=mips CROSS_COMPILE=mips64el-linux-gnuabi64- ;;
	esac
}

# A sign of life for a step that prints a line per file and takes minutes.
progress() {
	local n=0
	while read -r; do
		n=$((n + 1))
		[ $((n % 200)) != 0 ] || printf '    %d files\n' "$n" >&2
	done
}

# boot_config TREE OBJECTS SERIES [OPTION...]: of a kernel for the virtual machine with
# what the selftests ask for, which are in the tree's commit SERIES. The options are those
# of the tree's scripts/config.
boot_config() {
	local tree=$1 to=$2 series=$3
	shift 3
	mkdir -p "$to"
	make -s -C "$tree" O="$to" tinyconfig >/dev/null
	cat "$top/scripts/kernels/base.config" >>"$to/.config"
	git -C "$tree" show "$series:tools/testing/selftests/drivers/kubuf/config" >>"$to/.config"
	"$tree/scripts/config" --file "$to/.config" "$@"
	make -s -C "$tree" O="$to" olddefconfig 2>/dev/null
}
