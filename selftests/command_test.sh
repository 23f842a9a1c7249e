#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The command, tools/kubuf: each case runs it and compares what it said, how it
# ended, and what is in the buffers and files then.

cd "$(dirname "$0")" || exit 1
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
. ./cases.sh

# Where the sources of the command are in a tree, and what lies beside them.
source=$(realpath ../../../../kubuf/kubuf)
manual=$source/../../Documentation/man
disk=${KUBUF_DISK_DIR:-/var/tmp}/kubuf-command.$$
kubuf=$PWD/kubuf
python=(python3 -I -S "$PWD/command.py")
size=$((1 << 20))
trap clean_up EXIT

destroy_all() {
	local node
	for node in /dev/kubuf/cmd-* /dev/kubuf/-cmd /dev/kubuf/frames; do
		[ ! -e "$node" ] || ./kubuf destroy -- "${node##*/}" 2>/dev/null
	done
}

clean_up() {
	destroy_all
	rm -rf "$work" "$disk"
}

# says STATUS TEXT COMMAND...: it ends so, and its output has that text in it. Called
# a thousand times: it starts no program but that one. The output is in $said.
says() {
	local want=$1 text=$2 code=0
	shift 2
	"$@" >"$work/said" 2>&1 || code=$?
	IFS= read -r -d '' said <"$work/said" || true
	printf '%s' "$said"
	[ $code = "$want" ] || fail "exit status $code, not $want: $*"
	[[ $said == *"$text"* ]] || fail "it does not say \"$text\": $*"
}

# quiet COMMAND...: it ends well, and says nothing.
quiet() {
	"$@" >"$work/said" 2>&1 || { cat "$work/said"; fail "exit status $?: $*"; }
	[ ! -s "$work/said" ] || { cat "$work/said"; fail "it says something: $*"; }
}

# In the background until the case ends: what it reads is $pipe, and it is ready.
begin() {
	mkfifo "$work/pipe"
	"$@" <"$work/pipe" >"$work/background" 2>&1 &
	pid=$!
	# shellcheck disable=SC2064 # this one
	trap "kill -KILL $pid 2>/dev/null; rm -f $work/pipe" EXIT
	exec {pipe}>"$work/pipe"
	wait_for 60 grep -q ready "$work/background"
}

make_data() {
	mkdir -p "$disk"
	seq -w 1000000 | head -c $size >"$work/data"
	cp "$work/data" "$disk/data"
}

# One that is made anew, with the rest of the command line.
buffer() {
	[ ! -e "/dev/kubuf/$1" ] || ./kubuf destroy "$1"
	quiet ./kubuf create "$@"
}

# Not root, and without any capability.
nobody() {
	cp kubuf "$work/kubuf"
	chmod 755 "$work" "$work/kubuf"
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all "$@"
}

member() {
	"${python[@]}" json "$@"
}

# ---- the command line ----

help_names_all() {
	local sub
	for sub in $subcommands; do
		says 0 "  $sub " ./kubuf --help
	done
}

help_of() {
	says 0 "usage: kubuf $1" ./kubuf "$1" --help
	says 0 "usage: kubuf $1" ./kubuf "$1" -h
}

# What it is compiled with; to compile all of it takes long.
version() {
	says 0 'kubuf unknown' ./kubuf --version
	says 0 '"kubuf " "1.2.3"' gcc -E -D_GNU_SOURCE -D'KUBUF_VERSION="1.2.3"' \
		-I"$source/../../driver/include/uapi" "$source/main.c"
}

wrong_command_lines() {
	says 64 'no subcommand' ./kubuf
	says 64 "unknown subcommand 'mount'" ./kubuf mount
	says 64 "unknown option '--json'" ./kubuf --json
	says 64 "unrecognized option '--colour'" ./kubuf list --colour
	says 64 'too many arguments' ./kubuf list all
	says 64 'too few arguments' ./kubuf create cmd-a
	says 64 'too many arguments' ./kubuf create cmd-a 4K vmalloc
	says 64 'too few arguments' ./kubuf destroy
	says 64 'too few arguments' ./kubuf load cmd-a
	says 64 "requires an argument" ./kubuf create cmd-a 4K --backing
}

output_full() {
	says 74 'standard output: No space left on device' sh -c './kubuf list >/dev/full'
	says 74 'standard output: No space left on device' sh -c './kubuf --help >/dev/full'
}

# Its output goes to a pipe that nobody reads any more.
to_nobody() {
	{ sleep 1 && ./kubuf "$@"; } | :
	return "${PIPESTATUS[0]}"
}

output_pipe() {
	says 74 'standard output: Broken pipe' to_nobody list
}

# What is opened instead must not get the message.
output_closed() {
	buffer cmd-a 4K
	says 74 'standard output: Bad file descriptor' sh -c './kubuf info cmd-a >&-'
	says 74 'standard output: Bad file descriptor' sh -c './kubuf dump cmd-a - >&-'
	sh -c '! printf hello | ./kubuf load cmd-a - --length=6 2>&-'
	cmp -n 4096 /dev/kubuf/cmd-a <(printf hello && cat /dev/zero)
}

no_module() {
	says 69 'is the module loaded? Try '\''sudo modprobe kubuf'\' unshare -m sh -c "
		mount -t tmpfs none /dev/kubuf && ./kubuf $*"
}

# ---- sizes and names ----

size_units() {
	local text bytes
	while read -r text bytes; do
		buffer cmd-a "$text"
		says 0 "size           $bytes (" ./kubuf info cmd-a
	done <<-END
		1 4096
		010000 12288
		0x3000 12288
		0X2fFf 12288
		12k 12288
		12KB 12288
		12KiB 12288
		12kib 12288
		2M 2097152
		1.5M 1572864
		1.50m 1572864
		0.0078125G 8388608
	END
}

# Those that there can be no buffer of are named in full.
size_large() {
	local text bytes
	while read -r text bytes; do
		says 73 "size $bytes: the largest of backing kmalloc is 4M" \
			./kubuf create cmd-large "$text" --backing=kmalloc
	done <<-END
		2GiB 2147483648
		1.5G 1610612736
		3T 3298534883328
		1P 1125899906842624
		15.5E 17870283321406128128
		18446744073709551615 18446744073709551615
		0xffffffffffffffff 18446744073709551615
	END
}

# refuses_size TEXT WHY
refuses_size() {
	says 64 "size '$1': $2" ./kubuf create cmd-a -- "$1"
	[[ $said == *'right are 4096, 0x1000, 64M, 2GiB or 1.5G'* ]]
}

size_refused() {
	refuses_size '' empty
	refuses_size -1 negative
	refuses_size ' 4K' 'not a number'
	refuses_size '4K ' 'an unknown unit'
	refuses_size 4Q 'an unknown unit'
	refuses_size 4KBB 'an unknown unit'
	refuses_size 4i 'an unknown unit'
	refuses_size 1e3 'an unknown unit'
	refuses_size +4 'not a number'
	refuses_size .5K 'not a number'
	refuses_size 1.K 'no digit behind the point'
	refuses_size 1,5G 'an unknown unit'
	refuses_size 1.5 'not a whole number of bytes'
	refuses_size 1.3K 'not a whole number of bytes'
	refuses_size 0.0000000000000000001E 'too many digits behind the point'
	refuses_size 0x 'not a hexadecimal number'
	refuses_size 0xfg 'not a hexadecimal number'
	refuses_size 0x1K 'not a hexadecimal number'
	refuses_size 16E 'more than 64 bits'
	refuses_size 18446744073709551616 'more than 64 bits'
	refuses_size 0x10000000000000000 'more than 64 bits'
	says 64 "size '0': a buffer has at least one byte" ./kubuf create cmd-a 0
}

# No larger than the driver allows, and with all that it allows.
name_allowed() {
	local name=cmd-A.Z_a-z0123456789.abcdefghi
	[ ${#name} = 31 ]
	buffer $name 4K
	says 0 "$name" ./kubuf list
	[ "$(./kubuf info $name --json | member name)" = "\"$name\"" ]
	quiet ./kubuf destroy $name
	[ ! -e /dev/kubuf/$name ]
}

name_hyphen() {
	quiet ./kubuf create -- -cmd 4K
	says 64 'invalid option' ./kubuf info -cmd
	[ "$(./kubuf info --json -- -cmd | member name)" = '"-cmd"' ]
	quiet ./kubuf destroy -- -cmd
}

name_refused() {
	local name
	for name in '' . .. .hidden a/b ../null 'a b' "a'b" 'a"b' a%sb $'a\nb' ä control \
			cmd-A.Z_a-z0123456789.abcdefghij; do
		says 64 'no name for a buffer: ' ./kubuf create "$name" 4K
		says 64 'right are 1 to 31 of A-Z a-z 0-9 . _ -' ./kubuf destroy "$name"
		says 64 'no name for a buffer: ' ./kubuf info "$name"
		says 64 'no name for a buffer: ' ./kubuf dump "$name" -
		says 64 'no name for a buffer: ' ./kubuf watch "$name" --once
	done
}

# What somebody else wrote gives the terminal no orders.
escapes_are_shown() {
	says 64 "'\\x1b[31mred'" ./kubuf create $'\033[31mred' 4K
	says 64 "'\\x1b[31mred'" ./kubuf create cmd-a $'\033[31mred'
	says 64 "'\\x1b[31mred'" ./kubuf $'\033[31mred'
	buffer cmd-a 4K
	says 66 "'\\x1b]0;title\\x07'" ./kubuf load cmd-a $'\033]0;title\a'
	! grep -q $'\033' "$out" || fail 'an escape got through'
}

# ---- create, destroy, list, info ----

create_zeroed() {
	buffer cmd-a 1M
	[ -c /dev/kubuf/cmd-a ]
	./kubuf dump cmd-a - | cmp -n $size - /dev/zero
	[ "$(./kubuf dump cmd-a - | wc -c)" = $size ]
}

create_backing() {
	buffer cmd-a 16K --backing="$1"
	[ "$(./kubuf info cmd-a --json | member backing)" = "\"$1\"" ]
	says 64 "--backing 'wrapped': right are vmalloc, pages, kmalloc and huge" \
		./kubuf create cmd-b 4K --backing=wrapped
}

create_mode() {
	local mode
	buffer cmd-a 4K
	[ "$(stat -c %a /dev/kubuf/cmd-a)" = 600 ]
	buffer cmd-a 4K --mode=0660
	[ "$(stat -c %a /dev/kubuf/cmd-a)" = 660 ]
	[ "$(./kubuf info cmd-a --json | member mode)" = '"0660"' ]
	for mode in 0777 1600 8 '' u+r 0 00660 -1; do
		says 64 "--mode '$mode': right are octal digits out of 0666" \
			./kubuf create cmd-b 4K --mode="$mode"
	done
}

create_node() {
	buffer cmd-a 4K --node=0
	says 64 '--node 63: no node with memory; those with are 0' \
		./kubuf create cmd-b 4K --node=63
	says 64 "--node 'one': not a number" ./kubuf create cmd-b 4K --node=one
	says 64 "--node '4294967296': too large" ./kubuf create cmd-b 4K --node=4294967296
	says 64 "--node '1K': not a whole number" ./kubuf create cmd-b 4K --node=1K
}

create_reserved() {
	buffer cmd-a 4K --reserved
	[ "$(./kubuf info cmd-a --json | member reserved)" = true ]
	says 64 '--reserved is for the backings vmalloc and pages, not for huge' \
		./kubuf create cmd-b 4K --reserved --backing=huge
}

create_too_large() {
	says 73 'size 4194305: the largest of backing pages is 4M' \
		./kubuf create cmd-b 4194305 --backing=pages
	says 73 'the largest of backing vmalloc is' ./kubuf create cmd-b 1P
	quiet ./kubuf create cmd-b 4M --backing=pages
}

create_limit() {
	local parameter=/sys/module/kubuf/parameters/limit_mb before
	before=$(cat $parameter)
	# shellcheck disable=SC2064 # this value
	trap "echo $before >$parameter" EXIT
	echo 0 >$parameter
	says 73 'would pass limit_mb (0 MiB)' ./kubuf create cmd-limit 4K
}

create_memlock() {
	says 73 "RLIMIT_MEMLOCK ('ulimit -l')" setpriv --bounding-set=-ipc_lock \
		--inh-caps=-ipc_lock prlimit --memlock=65536 ./kubuf create cmd-lock 128K
}

create_exists() {
	buffer cmd-a 4K
	says 73 'there is a buffer of that name: cmd-a' ./kubuf create cmd-a 4K
}

# As if there were more nodes than minor numbers: a new kernel has a million.
create_no_minor() {
	says 73 'no minor number is left for a node: destroy other buffers' \
		strace -qq -e trace=ioctl -e inject=ioctl:error=EBUSY -o /dev/null \
		./kubuf create cmd-minor 4K
	[ ! -e /dev/kubuf/cmd-minor ]
}

# In a group that may have less than the buffer, which it is charged for.
create_cgroup() {
	local group=/sys/fs/cgroup/kubuf-command.$$
	mountpoint -q /sys/fs/cgroup || skip 'no control groups'
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control || skip 'no memory cgroup'
	mkdir $group
	# shellcheck disable=SC2064 # this one
	trap "rmdir $group" EXIT
	echo 16M >$group/memory.max
	says 73 'or the memory cgroup does not allow more' \
		sh -c "echo \$\$ >$group/cgroup.procs && exec ./kubuf create cmd-group 64M"
	[ ! -e /dev/kubuf/cmd-group ]
	quiet sh -c "echo \$\$ >$group/cgroup.procs && exec ./kubuf create cmd-group 1M"
	quiet ./kubuf destroy cmd-group
}

create_unprivileged() {
	says 77 'a buffer with a name needs CAP_SYS_ADMIN: try sudo' \
		nobody "$work/kubuf" create cmd-b 4K
	says 77 'and --reserved CAP_SYS_RAWIO' nobody "$work/kubuf" create cmd-b 4K --reserved
}

# One that is not there keeps none of the others.
destroy_several() {
	buffer cmd-a 4K
	buffer cmd-b 4K
	says 66 'no such buffer: cmd-none' ./kubuf destroy cmd-a cmd-none cmd-b
	[ ! -e /dev/kubuf/cmd-a ] && [ ! -e /dev/kubuf/cmd-b ]
}

# A name that can't be one is found before anything is done.
destroy_checks_first() {
	buffer cmd-a 4K
	says 64 'no name for a buffer' ./kubuf destroy cmd-a a/b
	[ -e /dev/kubuf/cmd-a ]
}

destroy_unprivileged() {
	buffer cmd-a 4K
	says 77 'cmd-a: to destroy a buffer needs CAP_SYS_ADMIN' \
		nobody "$work/kubuf" destroy cmd-a
}

destroy_of_driver() {
	local module
	module=$(dirname "${KUBUF_KO:-/nowhere}")/kubuf_producer.ko
	[ -e "$module" ] || skip "no $module"
	insmod "$module"
	trap 'rmmod kubuf_producer' EXIT
	says 69 'producer: a driver made it' ./kubuf destroy producer
}

list_table() {
	buffer cmd-a 64K --mode=0640
	buffer cmd-b 3M --backing=huge
	./kubuf list | tee "$work/list"
	grep -qE '^NAME +SIZE +BACKING +MODE +MAPPINGS +FLAGS$' "$work/list"
	grep -qE '^cmd-a +64K +vmalloc +0640 +0  -$' "$work/list"
	grep -qE '^cmd-b +3M +huge +0600 +0  -$' "$work/list"
}

list_flags() {
	buffer cmd-a 4K --reserved
	buffer cmd-b 16K --backing=kmalloc
	buffer cmd-c 4K
	"${python[@]}" seal cmd-c
	./kubuf list | tee "$work/list"
	grep -qE '^cmd-a .*  reserved,pfn$' "$work/list"
	grep -qE '^cmd-b .*  pfn$' "$work/list"
	grep -qE '^cmd-c .*  sealed$' "$work/list"
	[ "$(./kubuf info cmd-b --json | member pfn)" = true ]
	[ "$(./kubuf info cmd-c --json | member sealed)" = true ]
	[ "$(./kubuf info cmd-c --json | member reserved)" = false ]
}

list_mappings() {
	buffer cmd-a 64K
	begin "${python[@]}" touch cmd-a 0
	[ "$(./kubuf info cmd-a --json | member mappings)" = 1 ]
	./kubuf list | grep -qE '^cmd-a .* 1  -$'
}

# More than there is room for at first.
list_many() {
	local i
	destroy_all
	[ "$(./kubuf list --json | member)" = 0 ]
	for i in {10..29}; do
		quiet ./kubuf create "cmd-$i" 4K
	done
	[ "$(./kubuf list --json | member)" = 20 ]
	[ "$(./kubuf list --json | member 19 name)" = '"cmd-29"' ]
	[ "$(./kubuf list | wc -l)" = 21 ]
	destroy_all
}

list_unprivileged() {
	buffer cmd-a 4K
	says 0 cmd-a nobody "$work/kubuf" list
	says 0 4096 nobody "$work/kubuf" info cmd-a
}

info_text() {
	buffer cmd-a 64K --backing=pages
	says 0 'size           65536 (64K)' ./kubuf info cmd-a
	says 0 'backing        pages' ./kubuf info cmd-a
}

no_such_buffer() {
	local sub
	for sub in info verify fill 'watch --once'; do
		# shellcheck disable=SC2086 # one word each
		says 66 "no such buffer: 'cmd-none'; 'kubuf list' shows" ./kubuf $sub cmd-none
	done
	says 66 "no such buffer: 'cmd-none'" ./kubuf load cmd-none "$work/data"
	says 66 "no such buffer: 'cmd-none'" ./kubuf dump cmd-none "$work/none"
	[ ! -e "$work/none" ] || fail 'a file was made'
}

# ---- load, dump ----

cached_pages() {
	fincore -n -o PAGES "$1" | tr -d ' '
}

# There and back, without a page of it in the page cache: nothing but the disk and
# the buffer have it.
direct() {
	case $(stat -f -c %T "$disk") in
	tmpfs | ramfs | overlayfs) skip "no disk below $disk" ;;
	esac
	buffer cmd-a 1M --backing="$1"
	sync
	dd of="$disk/data" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	[ "$(cached_pages "$disk/data")" = 0 ]
	says 0 "$size bytes without a copy" ./kubuf load cmd-a "$disk/data" --verbose
	says 0 "$size bytes without a copy" ./kubuf dump cmd-a "$disk/copy" --verbose
	[ "$(cached_pages "$disk/data")" = 0 ]
	[ "$(cached_pages "$disk/copy")" = 0 ]
	cmp /dev/kubuf/cmd-a "$work/data"
	[ "$(sha256sum <"$disk/copy")" = "$(sha256sum <"$work/data")" ]
}

# By frame number nothing can be pinned.
copied() {
	local why='the buffer is mapped by frame number'
	# shellcheck disable=SC2086 # one word each
	buffer cmd-a 1M $1
	says 0 "$size bytes by read() and write(): $why" \
		./kubuf load cmd-a "$disk/data" --verbose
	says 0 "$size bytes by read() and write(): $why" \
		./kubuf dump cmd-a "$disk/copy" --verbose
	cmp "$disk/copy" "$work/data"
}

# On a file system in memory that knows no O_DIRECT.
without_o_direct() {
	mkdir "$work/ramfs"
	mount -t ramfs none "$work/ramfs"
	trap 'umount "$work/ramfs"' EXIT
	cp "$work/data" "$work/ramfs/data"
	buffer cmd-a 1M
	says 0 "$size bytes by read() and write(): the file system has no O_DIRECT" \
		./kubuf load cmd-a "$work/ramfs/data" --verbose
	says 0 "$size bytes by read() and write(): the file system has no O_DIRECT" \
		./kubuf dump cmd-a "$work/ramfs/copy" --verbose
	cmp "$work/ramfs/copy" "$work/data"
}

# Whole blocks without a copy, and not a byte more than the file has.
part_of_a_block() {
	buffer cmd-a 1M
	./kubuf fill cmd-a --byte=0xaa
	head -c 100001 "$work/data" >"$disk/odd"
	says 0 '98304 bytes without a copy' ./kubuf load cmd-a "$disk/odd" --verbose
	grep -q '1697 bytes by read() and write(): the last bytes are no whole block' "$work/said"
	cmp -n 100001 /dev/kubuf/cmd-a "$work/data"
	cmp -i 100001 -n $((size - 100001)) /dev/kubuf/cmd-a \
		<(head -c $size /dev/zero | tr '\0' '\252')
	says 0 '98304 bytes without a copy' \
		./kubuf dump cmd-a "$disk/odd2" --length=100001 --verbose
	cmp "$disk/odd2" "$disk/odd"
}

load_offset() {
	local offset
	for offset in 0x1000 5000; do
		buffer cmd-a 1M
		quiet ./kubuf load cmd-a "$disk/data" --offset=$offset --length=100K
		cmp -n $((offset)) /dev/kubuf/cmd-a /dev/zero
		cmp -i $((offset)):0 -n 102400 /dev/kubuf/cmd-a "$work/data"
		cmp -i $((offset + 102400)):0 -n 800000 /dev/kubuf/cmd-a /dev/zero
		quiet ./kubuf dump cmd-a "$disk/part" --offset=$offset --length=100K
		cmp "$disk/part" <(head -c 100K "$work/data")
	done
	says 0 'the offset is no multiple of 4096' \
		./kubuf dump cmd-a "$disk/part" --offset=5000 --verbose
}

range_refused() {
	buffer cmd-a 1M
	says 64 '--offset 1048577: cmd-a has 1048576 bytes' \
		./kubuf load cmd-a "$work/data" --offset=1048577
	says 64 '--length 1048576: cmd-a has 1048575 bytes from offset 1 on' \
		./kubuf dump cmd-a "$work/none" --offset=1 --length=1M
	says 64 '--length 18446744073709551615: cmd-a has' \
		./kubuf fill cmd-a --offset=1 --length=0xffffffffffffffff
	says 64 "--offset '-1': negative" ./kubuf fill cmd-a --offset=-1
	[ ! -e "$work/none" ] || fail 'a file was made'
}

load_stdin() {
	buffer cmd-a 1M
	# shellcheck disable=SC2002 # a pipe
	cat "$work/data" | quiet ./kubuf load cmd-a -
	cmp /dev/kubuf/cmd-a "$work/data"
	buffer cmd-a 1M
	quiet ./kubuf load cmd-a - <"$work/data"
	cmp /dev/kubuf/cmd-a "$work/data"
}

dump_stdout() {
	buffer cmd-a 1M
	cat "$work/data" >/dev/kubuf/cmd-a
	./kubuf dump cmd-a - | cmp - "$work/data"
}

load_too_large() {
	buffer cmd-a 64K
	says 65 'has 1048576 bytes, and cmd-a room for 65536 from offset 0 on' \
		./kubuf load cmd-a "$disk/data"
	cmp -n 65536 /dev/kubuf/cmd-a /dev/zero
	says 65 'standard input has more than the 65536 bytes that were loaded' \
		sh -c "cat '$work/data' | ./kubuf load cmd-a -"
}

load_too_short() {
	buffer cmd-a 2M
	says 65 'has 1048576 bytes, fewer than --length 1048577' \
		./kubuf load cmd-a "$disk/data" --length=1048577
	says 65 'standard input ends after 5 of 6 bytes' \
		sh -c 'printf hello | ./kubuf load cmd-a - --length=6'
}

load_no_file() {
	buffer cmd-a 4K
	says 66 "'$work/none': No such file or directory" ./kubuf load cmd-a "$work/none"
	says 66 "'$work': Is a directory" ./kubuf load cmd-a "$work"
	says 66 "'': No such file or directory" ./kubuf load cmd-a ''
}

load_sealed() {
	buffer cmd-a 4K
	"${python[@]}" seal cmd-a
	says 77 'cmd-a is sealed' ./kubuf load cmd-a "$work/data" --length=4K
	says 77 'cmd-a: Operation not permitted: it is sealed' ./kubuf fill cmd-a
	says 77 'cmd-a is sealed' ./kubuf verify cmd-a
	says 0 '4096 bytes' ./kubuf dump cmd-a "$work/copy" --verbose
}

load_unprivileged() {
	buffer cmd-a 4K
	says 77 '/dev/kubuf/cmd-a: Permission denied' nobody "$work/kubuf" load cmd-a /dev/null
	buffer cmd-a 4K --mode=0666
	quiet nobody "$work/kubuf" load cmd-a - --length=5 < <(echo hello)
	[ "$(head -c 5 /dev/kubuf/cmd-a)" = hello ]
}

dump_no_room() {
	buffer cmd-a 64K
	says 74 "'/dev/full': No space left on device" ./kubuf dump cmd-a /dev/full
	says 73 "'$work/none/copy': No such file or directory" \
		./kubuf dump cmd-a "$work/none/copy"
	says 73 "'$work': Is a directory" ./kubuf dump cmd-a "$work"
}

dump_pipe() {
	buffer cmd-a 1M
	says 74 'standard output: Broken pipe' to_nobody dump cmd-a -
}

# A file that was longer ends where the buffer does.
dump_replaces() {
	buffer cmd-a 4K
	cp "$work/data" "$disk/long"
	quiet ./kubuf dump cmd-a "$disk/long"
	cmp "$disk/long" <(head -c 4096 /dev/zero)
}

hostile_file_names() {
	local name
	buffer cmd-a 1M
	# shellcheck disable=SC2016 # as it is
	for name in 'a b' $'new\nline' '%s%n' '*' $'\033[31m' 'ä' "it's" '$(id)'; do
		cp "$work/data" "$disk/$name"
		quiet ./kubuf fill cmd-a
		quiet ./kubuf load cmd-a "$disk/$name"
		quiet ./kubuf dump cmd-a "$disk/$name.copy"
		cmp "$disk/$name.copy" "$work/data"
	done
	cd "$disk"
	cp "$work/data" ./--offset=1
	quiet "$kubuf" load cmd-a -- --offset=1
	quiet "$kubuf" dump cmd-a -- -v
	cmp ./-v "$work/data"
}

progress_on_a_terminal() {
	buffer cmd-a 1M
	"${python[@]}" terminal ./kubuf load cmd-a "$disk/data" | tee "$work/said"
	grep -qE 'cmd-a \[#{24}\] 100%   1\.0M +[0-9.]+[KMG]/s  00:00:00 left' "$work/said"
	grep -q '^status 0$' "$work/said"
	# None elsewhere, as "quiet" has seen.
}

# ---- fill, verify ----

fill_zero() {
	buffer cmd-a 64K
	head -c 65536 "$work/data" >/dev/kubuf/cmd-a
	quiet ./kubuf fill cmd-a
	cmp -n 65536 /dev/kubuf/cmd-a /dev/zero
}

fill_byte() {
	buffer cmd-a 64K
	quiet ./kubuf fill cmd-a --byte=0xa5 --offset=100 --length=60000
	cmp -n 100 /dev/kubuf/cmd-a /dev/zero
	cmp -i 100:0 -n 60000 /dev/kubuf/cmd-a <(head -c 60000 /dev/zero | tr '\0' '\245')
	cmp -i 60100:0 -n 5436 /dev/kubuf/cmd-a /dev/zero
	says 64 "--byte '256': too large" ./kubuf fill cmd-a --byte=256
	says 64 "--byte 'x': not a number" ./kubuf fill cmd-a --byte=x
}

# Longer than a piece, so that a text goes on from one to the next.
fill_pattern() {
	buffer cmd-a 3M
	quiet ./kubuf fill cmd-a --pattern=kernel-
	cmp /dev/kubuf/cmd-a <(yes kernel- | tr -d '\n' | head -c 3M)
	says 64 "--pattern '': it has to have a character" ./kubuf fill cmd-a --pattern=
}

fill_random() {
	local seed
	buffer cmd-a 64K
	quiet ./kubuf fill cmd-a --random=0x123456789abcdef
	cmp /dev/kubuf/cmd-a <("${python[@]}" random 0x123456789abcdef 65536)
	seed=$(./kubuf fill cmd-a --random)
	[[ $seed =~ ^seed\ 0x[0-9a-f]+$ ]]
	cmp /dev/kubuf/cmd-a <("${python[@]}" random "${seed#seed }" 65536)
	[ "$(./kubuf fill cmd-a --random)" != "$seed" ]
}

fill_one_only() {
	buffer cmd-a 4K
	says 64 'only one of --byte, --pattern and --random' \
		./kubuf fill cmd-a --byte=1 --random
}

verify_frames() {
	local pages
	buffer cmd-a 1M --backing="$1"
	cat "$work/data" >/dev/kubuf/cmd-a
	says 0 'cmd-a: 3 pages checked, nothing differs' ./kubuf verify cmd-a
	pages=$(sed -nE 's/^ +([0-9]+)  same +same +(0x[0-9a-f]+) +\2 +same$/\1/p' "$work/said" |
		tr '\n' ' ')
	[ "$pages" = '0 128 255 ' ] || fail "not these pages: $pages"
	cmp /dev/kubuf/cmd-a "$work/data"
}

verify_all() {
	buffer cmd-a 1M --backing="$1"
	cat "$work/data" >/dev/kubuf/cmd-a
	says 0 'cmd-a: 256 pages checked, nothing differs' ./kubuf verify cmd-a --all
	! grep -q 'not compared' "$work/said" || fail 'no frame numbers'
	cmp /dev/kubuf/cmd-a "$work/data"
}

verify_one_page() {
	buffer cmd-a 4K
	says 0 'cmd-a: 1 pages checked, nothing differs' ./kubuf verify cmd-a
}

verify_pfn() {
	# shellcheck disable=SC2086 # one word each
	buffer cmd-a 64K $1
	says 0 'cmd-a: 3 pages checked, nothing differs' ./kubuf verify cmd-a
	grep -qE '^ +15  same +same +- +0x[0-9a-f]+ +-$' "$work/said"
	grep -q 'Frame numbers are not compared: of a mapping by them' "$work/said"
}

# Who stores at the same time is found as a difference.
verify_finds() {
	local try code
	buffer cmd-a 4K
	begin "${python[@]}" stomp cmd-a
	for try in {1..50}; do
		code=0
		./kubuf verify cmd-a >"$work/said" || code=$?
		[ $code = 0 ] || break
	done
	cat "$work/said"
	[ $code = 1 ] || fail "exit status $code after $try tries"
	grep -qE '^ +0 .*DIFFERENT' "$work/said"
	grep -q '^cmd-a: 1 of 1 pages DIFFERENT$' "$work/said"
}

# A wrong frame number of the kernel's, made up.
verify_finds_frame() {
	local id
	buffer cmd-a 4K
	id=$(./kubuf info cmd-a --json | member id)
	printf '# kubuf %s cmd-a vmalloc 4096 mappings 0\n# index pfn refs maps state\n0 0x1 1 0 -\n' \
		"$id" >"$work/pages"
	says 1 'cmd-a: 1 of 1 pages DIFFERENT' with_pages "$id" ./kubuf verify cmd-a
}

# Whenever that is, what was in the buffer is there then. After some of these times a
# fast machine is done, and a slow one has not begun.
verify_interrupted() {
	local i delay ended=0
	buffer cmd-a 16M
	./kubuf fill cmd-a --random=1
	./kubuf dump cmd-a "$work/before"
	for i in {0..19}; do
		delay=$(printf 0.%03d $((i * i)))
		[ "$("${python[@]}" interrupt cmd-a "$delay" ./kubuf verify cmd-a --all)" != -2 ] ||
			ended=$((ended + 1))
		cmp /dev/kubuf/cmd-a "$work/before"
	done
	[ $ended -ge 3 ] || fail "only $ended of them were interrupted"
}

verify_unprivileged() {
	buffer cmd-a 4K --mode=0666
	says 0 'Frame numbers are not compared: that takes root, and debugfs.' \
		nobody "$work/kubuf" verify cmd-a
	buffer cmd-a 4K --mode=0666 --reserved
	says 77 'a reserved buffer needs CAP_SYS_RAWIO' nobody "$work/kubuf" verify cmd-a
}

# ---- watch ----

# with_pages ID COMMAND...: with $work/pages instead of what the kernel says.
with_pages() {
	local id=$1
	shift
	# shellcheck disable=SC2016 # for the other shell
	unshare -m sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' \
		"$work/pages" "/sys/kernel/debug/kubuf/$id" "$@"
}

# The map alone, as one line.
cells() {
	sed -nE 's/^ +[0-9]+  ([.mpr2-9+]+)$/\1/p' "$1" | tr -d '\n'
}

# Exactly the pages that were touched.
watch_touched() {
	local i want=
	buffer cmd-a 1M --backing="$1"
	begin "${python[@]}" touch cmd-a 0 5 70 255
	says 0 'mappings 1  mapped 4  pinned 0  reserved 0' ./kubuf watch cmd-a --once
	for i in {0..255}; do
		case $i in
		0 | 5 | 70 | 255) want+=m ;;
		*) want+=. ;;
		esac
	done
	[ "$(cells "$work/said")" = "$want" ]
	[[ $(tail -n 1 "$work/said") = *'a cell: 1 page' ]]
	! grep -q $'\033' "$work/said" || fail 'it has escapes'
}

watch_reserved() {
	buffer cmd-a 64K --reserved
	begin "${python[@]}" touch cmd-a 3 9
	says 0 'mappings 1  mapped 2  pinned 0  reserved 2' ./kubuf watch cmd-a --once
	[ "$(cells "$work/said")" = ...r.....r...... ]
}

# Those that something in the kernel has pinned, and no others.
watch_pinned() {
	buffer cmd-a 64K
	begin "${python[@]}" pin cmd-a 2 3
	case $(cat "$work/background") in
	ready) ;;
	*'not supported'*) skip 'io_uring registers no file memory' ;;
	*) fail "$(cat "$work/background")" ;;
	esac
	says 0 'pinned 3  reserved 0' ./kubuf watch cmd-a --once
	[ "$(cells "$work/said" | tr m .)" = ..ppp........... ]
}

# 8192 pages in 1024 cells: each shows the strongest of its eight.
watch_groups() {
	local id
	buffer cmd-a 4K
	id=$(./kubuf info cmd-a --json | member id)
	{
		echo "# kubuf $id cmd-a vmalloc 33554432 mappings 7"
		echo '# index pfn refs maps state'
		seq 0 8191 | sed 's/$/ 0x1000 1 0 -/; s/^\(9\|16\|8191\) .*/\1 0x1000 2 1 m/
			s/^32 .*/32 0x1000 3 2 m/; s/^47 .*/47 0x1000 10 9 m/; s/^48 .*/48 0x1000 301 300 m/
			s/^\(18\|25\) .*/\1 0x1000 2 1 mr/; s/^\(26\|8000\) .*/\1 0x1000 1025 1 mp/'
	} >"$work/pages"
	says 0 'mappings 7  mapped 10  pinned 2  reserved 2' \
		with_pages "$id" ./kubuf watch cmd-a --once
	grep -q 'a cell: 8 pages' "$work/said"
	grep -qE '^ +0  \.mrp29\+\.{57}$' "$work/said"
	grep -qE '^ +7680  \.{40}p\.{22}m$' "$work/said"
	[ "$(cells "$work/said" | wc -c)" = 1024 ]
}

# Whether a process counts already, or has nothing to count by.
counts() {
	[ ! -e "$event" ] || [[ $(readlink "/proc/$1/fd/"*) = *perf_event* ]]
}

# Of this buffer, and not of another; or none, where there is no tracepoint.
watch_faults() {
	local event=/sys/kernel/tracing/events/kubuf/kubuf_fault watcher
	buffer cmd-a 1M
	buffer cmd-b 1M
	[ ! -d /sys/kernel/tracing ] || mountpoint -q /sys/kernel/tracing ||
		mount -t tracefs none /sys/kernel/tracing
	begin "${python[@]}" touch cmd-a 0
	./kubuf watch cmd-a --once --interval=20 >"$work/said" &
	watcher=$!
	wait_for 60 counts $watcher
	echo 20 40 60 80 100 >&$pipe
	wait_for 60 grep -q touched "$work/background"
	"${python[@]}" touch cmd-b 0 20 40 </dev/null
	wait $watcher
	cat "$work/said"
	if [ -e "$event" ]; then
		grep -qE 'reserved 0  faults 5 \(0\.[0-9]/s\)$' "$work/said"
	else
		grep -q 'reserved 0  faults -$' "$work/said"
	fi
}

enter=$'\033[?1049h\033[?25l\033[?7l'
leave=$'\033[?7h\033[?25h\033[?1049l'

# watch_live HOW STATUS: what it is ended by; the terminal is as before then.
watch_live() {
	buffer cmd-a 1M
	begin "${python[@]}" touch cmd-a 0 5
	"${python[@]}" live "$1" ./kubuf watch cmd-a --interval=0.2 >"$work/said"
	sed 's/\x1b/^[/g' "$work/said"
	grep -qF "$enter" "$work/said" || fail 'it did not take another screen'
	grep -qF "$leave" "$work/said" || fail 'it did not give the screen back'
	grep -q "^status $2\$" "$work/said"
	grep -q 'mappings 1  mapped 2 ' "$work/said"
}

watch_resize() {
	watch_live resize 0
	# 80 cells a line at first, then 48: there are two of that.
	grep -qE '^ +80  ' "$work/said"
	grep -qE '^ +48  ' "$work/said"
}

# The terminal is the shell's until it goes on.
watch_stopped() {
	buffer cmd-a 64K
	"${python[@]}" live stop ./kubuf watch cmd-a --interval=0.2 >"$work/said"
	sed 's/\x1b/^[/g' "$work/said"
	grep -qF "${leave}STOPPED$enter" "$work/said" || fail 'not the screens in this order'
	grep -q '^status 0$' "$work/said"
}

watch_colours() {
	buffer cmd-a 64K
	"${python[@]}" live q ./kubuf watch cmd-a --interval=0.2 >"$work/said"
	grep -qF $'\033[32mm' "$work/said" || fail 'no colours'
	NO_COLOR=1 "${python[@]}" live q ./kubuf watch cmd-a --interval=0.2 >"$work/said"
	! grep -qF $'\033[32m' "$work/said" || fail 'colours'
}

watch_gone() {
	buffer cmd-a 64K
	"${python[@]}" live 'run ./kubuf destroy cmd-a' ./kubuf watch cmd-a --interval=0.2 >"$work/said"
	grep -q '^status 0$' "$work/said"
	grep -q 'cmd-a: the buffer is gone' "$work/said"
	grep -qF "$leave" "$work/said"
}

watch_refused() {
	buffer cmd-a 4K
	says 64 'standard output is no terminal: --once' ./kubuf watch cmd-a
	local interval
	for interval in 0 0.05 -1 3601 1s nan inf '' ' 1' 0x1; do
		says 64 "--interval '$interval': right are seconds from 0.1 to 3600" \
			./kubuf watch cmd-a --once --interval="$interval"
	done
	says 77 'for root only' nobody "$work/kubuf" watch cmd-a --once
	says 69 'mount -t debugfs' unshare -m sh -c \
		'mount -t tmpfs none /sys/kernel/debug && ./kubuf watch cmd-a --once'
}

# ---- bench ----

bench_all() {
	local name
	./kubuf bench --size=64K | tee "$work/said"
	grep -q '^64K each; of 7 rounds after a first one the fastest counts' "$work/said"
	for name in kmalloc pages vmalloc huge memfd; do
		grep -qE "^$name +[0-9]+\.[0-9]( +[0-9]+\.[0-9]{2}){3}\$" "$work/said" ||
			fail "no figures of $name"
	done
}

bench_one() {
	./kubuf bench --size=64K --backing=pages | tee "$work/said"
	grep -q ^pages "$work/said"
	grep -q ^memfd "$work/said"
	! grep -qE '^(vmalloc|huge|kmalloc)' "$work/said" || fail 'others too'
}

bench_refused() {
	says 69 'too large: at most 4M' ./kubuf bench --size=8M --backing=kmalloc
	says 64 '--size 0: right is from 1 byte to 1G' ./kubuf bench --size=0
	says 69 'Cannot allocate memory' nobody prlimit --memlock=4096 \
		"$work/kubuf" bench --size=64K --backing=vmalloc
}

# ---- doctor ----

# A directory that looks like a machine with which nothing is wrong.
machine() {
	root=$work/root
	rm -rf "$root"
	mkdir -p "$root"/{dev/kubuf,etc,proc/sys/kernel,proc/self,lib/modules/6.1.0-test/build} \
		"$root"/sys/{module/kubuf/parameters,module/module/parameters,kernel/security} \
		"$root"/sys/{kernel/mm/transparent_hugepage,fs/cgroup/user,firmware/efi/efivars}
	echo 6.1.0-test >"$root/proc/sys/kernel/osrelease"
	echo 'updates/kubuf.ko:' >"$root/lib/modules/6.1.0-test/modules.dep"
	touch "$root/lib/modules/6.1.0-test/build/Makefile"
	echo 470 >"$root/sys/module/kubuf/parameters/limit_mb"
	echo N >"$root/sys/module/module/parameters/sig_enforce"
	echo '[none] integrity confidentiality' >"$root/sys/kernel/security/lockdown"
	printf '\6\0\0\0\0' >"$root/sys/firmware/efi/efivars/$secure_boot"
	touch "$root/dev/kubuf/control"
	chmod 666 "$root/dev/kubuf/control"
	echo 'kubuf:x:999:' >"$root/etc/group"
	echo 'always [madvise] never' >"$root/sys/kernel/mm/transparent_hugepage/enabled"
	echo 'CapEff:	000001ffffffffff' >"$root/proc/self/status"
	echo 0::/user >"$root/proc/self/cgroup"
	echo max >"$root/sys/fs/cgroup/user/memory.max"
	printf 'debugfs /sys/kernel/debug debugfs rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n' \
		>"$root/proc/self/mounts"
}
secure_boot=SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c

# finds STATUS VERDICT WHAT TEXT: one line, and no other but ok ones.
finds() {
	says "$1" "$4" ./kubuf doctor --root="$root"
	grep -qE "^$2 +$3 " "$work/said" || fail "no such line: $2 $3"
	[ "$(grep -cvE '^(ok| )' "$work/said")" = 1 ] || fail 'more than that'
}

doctor_well() {
	machine
	says 0 6.1.0-test ./kubuf doctor --root="$root"
	[ "$(grep -c '^ok ' "$work/said")" = 14 ]
	! grep -qv '^ok ' "$work/said" || fail 'not all is well'
}

doctor_kernel() {
	machine
	echo 7.0.1 >"$root/proc/sys/kernel/osrelease"
	mv "$root/lib/modules/6.1.0-test" "$root/lib/modules/7.0.1"
	says 0 7.0.1 ./kubuf doctor --root="$root"
	local release
	for release in 5.10.0-30-amd64 6.0.19; do
		mv "$root"/lib/modules/* "$root/lib/modules/$release"
		echo $release >"$root/proc/sys/kernel/osrelease"
		finds 1 problem kernel "$release is too old"
	done
	echo ../../x >"$root/proc/sys/kernel/osrelease"
	says 1 'its release is unknown' ./kubuf doctor --root="$root"
}

doctor_module() {
	machine
	rm -r "$root/sys/module/kubuf"
	says 1 'sudo modprobe kubuf' ./kubuf doctor --root="$root"
	grep -qE '^problem +module +installed, but not loaded' "$work/said"
	: >"$root/lib/modules/6.1.0-test/modules.dep"
	says 1 "sudo insmod build/6.1.0-test/kubuf.ko" ./kubuf doctor --root="$root"
	grep -qE '^problem +module +not loaded, and not in' "$work/said"
	rm "$root/dev/kubuf/control"
	says 1 'comes with the module' ./kubuf doctor --root="$root"
}

doctor_headers() {
	machine
	rm "$root/lib/modules/6.1.0-test/build/Makefile"
	finds 0 note headers 'sudo apt install linux-headers-6.1.0-test'
	rm -r "$root/sys/module/kubuf"
	: >"$root/lib/modules/6.1.0-test/modules.dep"
	says 1 'none, so that' ./kubuf doctor --root="$root"
	grep -qE '^problem +headers' "$work/said"
}

# A link leads to where it would on that machine.
doctor_links() {
	machine
	mkdir -p "$root/usr/src/headers"
	mv "$root/lib/modules/6.1.0-test/build/Makefile" "$root/usr/src/headers/"
	rmdir "$root/lib/modules/6.1.0-test/build"
	ln -s /usr/src/headers "$root/lib/modules/6.1.0-test/build"
	says 0 'there, to build the module' ./kubuf doctor --root="$root"
	ln -sf /etc/hostname "$root/proc/sys/kernel/osrelease"
	says 1 'its release is unknown' ./kubuf doctor --root="$root"
}

doctor_secure_boot() {
	machine
	printf '\6\0\0\0\1' >"$root/sys/firmware/efi/efivars/$secure_boot"
	finds 0 note 'secure boot' 'mokutil --import'
}

doctor_signatures() {
	machine
	echo Y >"$root/sys/module/module/parameters/sig_enforce"
	finds 0 note signatures 'modules must have one (sig_enforce)'
	rm -r "$root/sys/module/kubuf"
	says 1 'sig_enforce' ./kubuf doctor --root="$root"
	grep -qE '^problem +signatures' "$work/said"
}

doctor_lockdown() {
	machine
	echo 'none [integrity] confidentiality' >"$root/sys/kernel/security/lockdown"
	finds 0 note lockdown 'none [integrity] confidentiality: modules must be signed'
	rm -r "$root/sys/module/kubuf"
	says 1 lockdown ./kubuf doctor --root="$root"
	grep -qE '^problem +lockdown' "$work/said"
}

doctor_control() {
	machine
	rm "$root/dev/kubuf/control"
	finds 1 problem control 'no /dev/kubuf/control though the module is loaded'
	machine
	chmod 660 "$root/dev/kubuf/control"
	finds 0 note control 'has mode 0660: not everyone can make buffers'
}

doctor_group() {
	machine
	echo 'notkubuf:x:1:' >"$root/etc/group"
	finds 0 note group 'sudo groupadd --system kubuf'
}

doctor_huge_pages() {
	machine
	echo 'always madvise [never]' >"$root/sys/kernel/mm/transparent_hugepage/enabled"
	finds 0 note 'huge pages' 'off: the backing huge is mapped page by page'
	rm "$root/sys/kernel/mm/transparent_hugepage/enabled"
	finds 0 note 'huge pages' 'not in this kernel'
}

doctor_memlock() {
	machine
	echo 'CapEff:	0000000000000000' >"$root/proc/self/status"
	echo 'Max locked memory         8388608              8388608              bytes' \
		>"$root/proc/self/limits"
	finds 0 note memlock "this user's buffers can have 8M in all"
	sed -i 's/8388608 /0 /' "$root/proc/self/limits"
	finds 1 problem memlock 'this user can make no buffer'
	sed -i 's/memory .*/memory   unlimited   unlimited   bytes/' "$root/proc/self/limits"
	says 0 'RLIMIT_MEMLOCK is not limited' ./kubuf doctor --root="$root"
	rm "$root/proc/self/limits"
	finds 0 note memlock 'RLIMIT_MEMLOCK is unknown'
}

# That of the group itself, or of one above it.
doctor_cgroup() {
	machine
	echo 33554432 >"$root/sys/fs/cgroup/memory.max"
	finds 0 note 'memory cgroup' '32M, of which buffers made here take'
	echo 1048576 >"$root/sys/fs/cgroup/user/memory.max"
	finds 0 note 'memory cgroup' '1M, of which buffers made here take'
	echo 0 >"$root/sys/fs/cgroup/user/memory.max"
	finds 1 problem 'memory cgroup' '0, of which buffers made here take'
}

doctor_limit() {
	machine
	echo 0 >"$root/sys/module/kubuf/parameters/limit_mb"
	finds 1 problem limit_mb '0: no buffer can be made'
}

doctor_mounts() {
	machine
	sed -i /debugfs/d "$root/proc/self/mounts"
	finds 0 note debugfs 'sudo mount -t debugfs none /sys/kernel/debug'
	machine
	sed -i /tracefs/d "$root/proc/self/mounts"
	finds 0 note tracefs 'sudo mount -t tracefs none /sys/kernel/tracing'
}

doctor_hostile() {
	machine
	printf '6.1\033[31m\n' >"$root/proc/sys/kernel/osrelease"
	says 0 '6.1?[31m' ./kubuf doctor --root="$root"
	mkfifo "$root/etc/fifo"
	mv "$root/etc/fifo" "$root/etc/group"
	head -c 1M /dev/urandom >"$root/proc/self/cgroup"
	says 0 'no group kubuf' timeout 60 ./kubuf doctor --root="$root"
}

doctor_here() {
	local code=0
	./kubuf doctor >"$work/said" || code=$?
	cat "$work/said"
	grep -qE "^ok +kernel +$(uname -r)$" "$work/said"
	grep -qE '^ok +module +loaded$' "$work/said"
	grep -qE '^ok +control ' "$work/said"
	[ $code = $(($(grep -c ^problem "$work/said") > 0)) ]
}

doctor_refused() {
	says 66 "--root '$work/none': No such file or directory" ./kubuf doctor --root="$work/none"
	says 66 "--root '$work/data': Not a directory" ./kubuf doctor --root="$work/data"
}

# ---- completion ----

# completes WORD...: prints what bash makes of the last one.
completes() {
	# shellcheck source=/dev/null
	. "$source/kubuf.bash"
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	# compopt works where bash completes, and nowhere else.
	_kubuf 2>/dev/null || :
	(IFS=,; echo "${COMPREPLY[*]}")
}

bash_registers() {
	[ "$(bash -c '. "$0"; complete -p kubuf' "$source/kubuf.bash")" = \
		'complete -F _kubuf kubuf' ]
}

bash_subcommands() {
	[ "$(completes kubuf d)" = destroy,dump,doctor ]
	[ "$(completes kubuf '')" = "${subcommands// /,},--help,--version" ]
}

# What a subcommand says of its options is what can be completed.
bash_options() {
	local sub said
	for sub in $subcommands; do
		said=$({
			./kubuf "$sub" --help | grep -oE -- '--[a-z]+=?|\[--json\]' | tr -d '[]'
			echo --help
		} | sed 's/=$//' | sort -u)
		[ "$(completes kubuf "$sub" -- | tr , '\n' | sed 's/=$//' | sort -u)" = "$said" ] ||
			fail "$sub: $said"
	done
}

bash_values() {
	[ "$(completes kubuf create a 4K --backing = '')" = huge,kmalloc,pages,vmalloc ]
	[ "$(completes kubuf create a 4K --backing =)" = huge,kmalloc,pages,vmalloc ]
	[ "$(completes kubuf bench --backing = v)" = vmalloc ]
	[ "$(completes kubuf create a 4K --mode = 06)" = 0600,0640,0660,0666 ]
}

bash_buffers() {
	local sub
	destroy_all
	buffer cmd-a 4K
	buffer cmd-b 4K
	for sub in destroy info load dump fill verify watch; do
		[ "$(completes kubuf $sub cmd-)" = cmd-a,cmd-b ] || fail "not with $sub"
	done
	[ "$(completes kubuf destroy cmd-a cmd-b)" = cmd-b ]
	[ "$(completes kubuf fill --byte = 1 cmd-a)" = cmd-a ]
	[ -z "$(completes kubuf info cont)" ]
	[ -z "$(completes kubuf create cmd-)" ]
}

bash_files() {
	buffer cmd-a 4K
	mkdir "$work/files"
	touch "$work/files/one file" "$work/files/other"
	[ "$(completes kubuf load cmd-a "$work/files/o" | tr , '\n' | sort | tr '\n' ,)" = \
		"$work/files/one file,$work/files/other," ]
	[ "$(completes kubuf dump cmd-a --offset = 4K "$work/files/ot")" = "$work/files/other" ]
}

zsh_parses() {
	zsh -n "$source/_kubuf"
	[ "$(head -n 1 "$source/_kubuf")" = '#compdef kubuf' ]
}

zsh_completes() {
	buffer cmd-zsh 4K
	mkdir "$work/zsh"
	cp "$source/_kubuf" "$work/zsh/"
	"${python[@]}" zsh "$work/zsh" \
		'kubuf ver' 'kubuf verify' \
		'kubuf create a 4K --backing=vm' 'kubuf create a 4K --backing=vmalloc' \
		'kubuf info cmd-z' 'kubuf info cmd-zsh' \
		"kubuf load cmd-zsh $work/dat" "kubuf load cmd-zsh $work/data"
}

# ---- manual pages ----

manual_lint() {
	mandoc -T lint -W warning "$manual"/kubuf.1 "$manual"/kubuf.4
}

rendered() {
	mandoc -T ascii -O width=200 "$manual/$1" | col -bx
}

# The examples of a page, as they are to be typed.
examples() {
	rendered "$1" | sed -n '/^EXAMPLES/,/^[A-Z]/{/^ \{11\}/s/^ \{11\}//p;/^$/p}'
}

manual_options() {
	local option sub
	rendered kubuf.1 >"$work/page"
	for sub in $subcommands; do
		grep -qE "^     $sub( |\$)" "$work/page" || fail "no $sub"
		for option in $(./kubuf "$sub" --help | grep -oE -- '--[a-z]+'); do
			grep -qE -- "^ +$option|$option.*-h" "$work/page" || fail "no $option"
		done
	done
}

# Each status that the sources can end with.
manual_statuses() {
	local name
	rendered kubuf.1 | sed -n '/^EXIT STATUS/,/^EXAMPLES/p' >"$work/page"
	while read -r name; do
		grep -q "($name)" "$work/page" || fail "no $name"
	done < <(grep -ohE '\<EX_[A-Z]+' "$source"/*.c | grep -vx EX_FOUND | sort -u)
}

manual_examples() {
	mkdir "$work/bin" "$work/cwd"
	ln -s "$kubuf" "$work/bin/"
	examples kubuf.1 >"$work/examples"
	cat "$work/examples"
	[ "$(grep -c '^kubuf\|| kubuf' "$work/examples")" = 12 ]
	(cd "$work/cwd" && PATH=$work/bin:$PATH bash -exuo pipefail "$work/examples")
	cmp "$work/cwd/copy" "$work/cwd/numbers"
	[ ! -e /dev/kubuf/frames ]
}

manual_program() {
	examples kubuf.4 >"$work/example.c"
	gcc -Wall -Wextra -Werror -I"$source/../../driver/include/uapi" \
		-o "$work/example" "$work/example.c"
	[ "$("$work/example")" = hello ]
}

# ---- all of them ----

# Prints the cases, a line each, as the arguments of run.
all() {
	local b sub

	echo 'help.all sh help_names_all'
	for sub in $subcommands; do
		echo "help.$sub sh help_of $sub"
	done
	echo 'version gcc version'
	echo 'wrong_command_lines sh wrong_command_lines'
	echo 'output.full sh output_full'
	echo 'output.pipe sh output_pipe'
	echo 'output.closed sh output_closed'
	echo 'no_module.list unshare no_module list'
	echo 'no_module.dump unshare no_module dump cmd-a -'
	echo 'size.units sh size_units'
	echo 'size.large sh size_large'
	echo 'size.refused sh size_refused'
	echo 'name.allowed python3 name_allowed'
	echo 'name.hyphen python3 name_hyphen'
	echo 'name.refused sh name_refused'
	echo 'escapes_are_shown sh escapes_are_shown'
	echo 'create.zeroed cmp create_zeroed'
	for b in vmalloc pages kmalloc huge; do
		echo "create.backing.$b python3 create_backing $b"
	done
	for b in mode node reserved; do
		echo "create.$b python3 create_$b"
	done
	for b in too_large limit exists; do
		echo "create.$b sh create_$b"
	done
	echo 'create.memlock prlimit create_memlock'
	echo 'create.no_minor strace create_no_minor'
	echo 'create.cgroup mountpoint create_cgroup'
	echo 'create.unprivileged setpriv create_unprivileged'
	echo 'destroy.several sh destroy_several'
	echo 'destroy.checks_first sh destroy_checks_first'
	echo 'destroy.unprivileged setpriv destroy_unprivileged'
	echo 'destroy.of_driver insmod destroy_of_driver'
	echo 'list.table sh list_table'
	for b in flags mappings many; do
		echo "list.$b python3 list_$b"
	done
	echo 'list.unprivileged setpriv list_unprivileged'
	echo 'info.text sh info_text'
	echo 'no_such_buffer sh no_such_buffer'
	for b in vmalloc pages huge; do
		echo "direct.$b fincore direct $b"
	done
	echo 'copied.kmalloc cmp copied --backing=kmalloc'
	echo 'copied.reserved cmp copied --reserved'
	echo 'copied.without_o_direct mount without_o_direct'
	echo 'part_of_a_block cmp part_of_a_block'
	for b in offset stdin too_large too_short no_file; do
		echo "load.$b cmp load_$b"
	done
	echo 'load.sealed python3 load_sealed'
	echo 'load.unprivileged setpriv load_unprivileged'
	echo 'range_refused sh range_refused'
	for b in stdout no_room pipe replaces; do
		echo "dump.$b cmp dump_$b"
	done
	echo 'hostile_file_names cmp hostile_file_names'
	echo 'progress python3 progress_on_a_terminal'
	for b in zero byte pattern one_only; do
		echo "fill.$b cmp fill_$b"
	done
	echo 'fill.random python3 fill_random'
	for b in vmalloc pages huge; do
		echo "verify.$b cmp verify_frames $b"
		echo "verify.all.$b cmp verify_all $b"
	done
	echo 'verify.kmalloc sh verify_pfn --backing=kmalloc'
	echo 'verify.reserved sh verify_pfn --reserved'
	echo 'verify.one_page sh verify_one_page'
	echo 'verify.finds python3 verify_finds'
	echo 'verify.finds_frame unshare verify_finds_frame'
	echo 'verify.interrupted python3 verify_interrupted'
	echo 'verify.unprivileged setpriv verify_unprivileged'
	echo 'watch.touched.vmalloc python3 watch_touched vmalloc'
	echo 'watch.touched.kmalloc python3 watch_touched kmalloc'
	echo 'watch.reserved python3 watch_reserved'
	echo 'watch.pinned python3 watch_pinned'
	echo 'watch.groups unshare watch_groups'
	echo 'watch.faults python3 watch_faults'
	echo 'watch.live.q python3 watch_live q 0'
	echo 'watch.live.int python3 watch_live INT -2'
	echo 'watch.live.term python3 watch_live TERM -15'
	for b in resize stopped colours gone; do
		echo "watch.$b python3 watch_$b"
	done
	echo 'watch.refused setpriv watch_refused'
	echo 'bench.all sh bench_all'
	echo 'bench.one sh bench_one'
	echo 'bench.refused setpriv bench_refused'
	for b in well kernel module headers links secure_boot signatures lockdown control \
			group huge_pages memlock cgroup limit mounts hostile here refused; do
		echo "doctor.$b sh doctor_$b"
	done
	for b in registers subcommands options values buffers files; do
		echo "completion.bash.$b sh bash_$b"
	done
	echo 'completion.zsh.parses zsh zsh_parses'
	echo 'completion.zsh.completes zsh zsh_completes'
	echo 'manual.lint mandoc manual_lint'
	echo 'manual.options mandoc manual_options'
	echo 'manual.statuses mandoc manual_statuses'
	echo 'manual.examples mandoc manual_examples'
	echo 'manual.program mandoc manual_program'
}

subcommands='create destroy list info load dump fill verify watch bench doctor'
plan_cases command "$@"
make_data
destroy_all
run_cases
