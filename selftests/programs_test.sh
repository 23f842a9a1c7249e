#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs that know nothing of kubuf, as they are, on the nodes of buffers. Each
# case compares what a program did with what had to come of it. Their command
# lines are in Documentation/userspace-api/kubuf.rst, too.

cd "$(dirname "$0")" || exit 1
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
. ./cases.sh

page_path='pages vmalloc huge'
pfn_path='kmalloc pages_reserved vmalloc_reserved'
size=$((4 << 20))

# Where the kernel checks each access, one of each path: all of it is slow there.
if [ -e /sys/kernel/debug/kmemleak ] || [ -e /sys/kernel/debug/kcsan ]; then
	page_path=huge
	pfn_path=kmalloc
fi

disk=${KUBUF_DISK_DIR:-/var/tmp}
on_disk=$disk/kubuf-programs.$$
other=/dev/kubuf/programs-other
trap clean_up EXIT

destroy_nodes() {
	local backing
	for backing in $page_path $pfn_path other; do
		./node destroy "programs-$backing" 2>/dev/null
	done
}

clean_up() {
	destroy_nodes
	rm -rf "$work" "$on_disk" "$on_disk.memory"
}

# A program that a case has in the background ends with the case.
background() {
	# shellcheck disable=SC2064 # this one
	trap "kill -KILL $1 2>/dev/null || :" EXIT
}

is_pfn() {
	[[ " $pfn_path " = *" $1 "* ]]
}

# Data that is the same in no two pages, and one megabyte of it with nothing
# behind.
make_data() {
	seq -w 1000000 | head -c $size >"$work/data"
	head -c 1M "$work/data" >"$work/half"
	head -c $((size - (1 << 20))) /dev/zero >>"$work/half"
}

fill_node() {
	cat "$work/data" >"$node"
}

clear_node() {
	head -c $size /dev/zero >"$node"
}

# Without anything before or after, as any program that writes would do it.
put() {
	printf '%s' "$2" | dd of="$node" bs=1 seek="$1" conv=notrunc status=none
}

get() {
	dd if="$node" bs=1 skip="$1" count="$2" status=none | tr -d '\0'
}

# ---- fio ----

# Blocks to a disk and back, with a checksum in each.
fio_with() {
	local memory=$1
	shift
	fio --name=disk --filename="$on_disk" --size=1M --bs=64k --rw=randwrite \
		--direct=1 --verify=crc32c --verify_state_save=0 \
		--iomem=mmapshared:"$memory" "$@"
}

# The last transfers were to and from the node: it holds a block of the file.
holds_a_block() {
	local at
	for ((at = 0; at < 1 << 20; at += 65536)); do
		! cmp -s -n 65536 "$node" "$on_disk" 0 $at || return 0
	done
	return 1
}

# As of all mappings of files, but for those in memory.
refuses_files() {
	head -c $size /dev/zero >"$on_disk.memory"
	! fio_with "$on_disk.memory" "$@" &&
		[ "$(grep -c 'io_queue_init, error=Operation not supported' "$out")" = 2 ]
}

fio_direct() {
	local backing=$1 code=0
	shift
	case $(stat -f -c %T "$disk") in
	tmpfs | ramfs | overlayfs) skip "no disk below $disk" ;;
	esac
	clear_node
	fio_with "$node" "$@" || code=$?
	if grep -q 'io_queue_init, error=Operation not supported' "$out" &&
		refuses_files "$@"; then
		skip 'io_uring registers no memory of files'
	fi
	if is_pfn "$backing"; then
		[ $code != 0 ] || fail 'no error'
		grep -q 'err=14.*error=Bad address' "$out" || fail 'not EFAULT'
	else
		[ $code = 0 ] || fail "exit status $code"
		holds_a_block || fail 'the data was not in the node'
	fi
}

# ---- what reads and writes ----

dd_all() {
	local bs count bytes
	while read -r bs count bytes; do
		clear_node
		dd if="$work/data" of="$node" bs="$bs" count="$count" conv=notrunc
		cmp -n "$bytes" "$node" "$work/data"
		cmp -i "$bytes" -n $((size - bytes)) "$node" /dev/zero
		dd if="$node" of="$work/copy" bs="$bs"
		cmp "$node" "$work/copy"
	done <<-END
		512 512 262144
		4096 256 1048576
		100000 20 2000000
		8M 1 $size
	END
}

# Without conv=notrunc, too: there is nothing to truncate.
dd_seek_and_skip() {
	fill_node
	cp "$work/data" "$work/want"
	printf '%s' 'not in line with a page' |
		tee >(dd of="$work/want" bs=1 seek=8190 conv=notrunc) |
		dd of="$node" bs=1 seek=8190
	dd if="$work/data" of="$node" bs=1000 skip=7 seek=3001 count=100
	dd if="$work/data" of="$work/want" bs=1000 skip=7 seek=3001 count=100 conv=notrunc
	cmp "$node" "$work/want"
	dd if="$node" of="$work/copy" bs=1000 skip=3001 count=100
	cmp -n 100000 "$work/copy" "$work/data" 0 7000
}

# More than there is room for: the buffer is full, and dd says so.
dd_to_the_end() {
	clear_node
	! cat "$work/data" "$work/data" | dd of="$node" bs=64k iflag=fullblock ||
		fail 'no error at the end of the buffer'
	grep -q 'No space left on device' "$out"
	cmp "$node" "$work/data"
	! dd if="$node" of=/dev/null iflag=direct || fail 'no error with O_DIRECT'
	grep -q 'Invalid argument' "$out"
}

cat_both_ways() {
	clear_node
	cat "$work/data" >"$node"
	cat "$node" >"$work/copy"
	cmp "$work/copy" "$work/data"
}

cmp_finds_it() {
	fill_node
	cmp "$node" "$work/data"
	put 1000000 x
	! cmp "$node" "$work/data" || fail 'it found nothing'
	grep -q 'differ: byte 1000001,' "$out"
	put 1000000 "$(dd if="$work/data" bs=1 skip=1000000 count=1 status=none)"
	cat "$work/data" >$other
	cmp "$node" $other
}

xxd_and_back() {
	fill_node
	[ "$(xxd -s 4090 -l 64 "$node")" = "$(xxd -s 4090 -l 64 "$work/data")" ]
	[ "$(xxd -s -64 "$node")" = "$(xxd -s -64 "$work/data")" ]
	echo '00000ffe: 6b75 6275 66' | xxd -r - "$node"
	[ "$(get 4094 5)" = kubuf ]
	put 4094 "$(dd if="$work/data" bs=1 skip=4094 count=5 status=none)"
	cmp "$node" "$work/data"
}

sha256sum_is_right() {
	fill_node
	sha256sum "$node"
	[ "$(sha256sum <"$node")" = "$(sha256sum <"$work/data")" ]
}

kib_on_disk() {
	du -k "$1" | cut -f 1
}

cp_sparse() {
	cat "$work/half" >"$node"
	cp --sparse="$2" "$node" "$work/copy"
	cmp "$work/copy" "$work/half"
	if [ "$2" = always ]; then
		[ "$(kib_on_disk "$work/copy")" -lt 2048 ] || fail 'no hole in the copy'
	else
		[ "$(kib_on_disk "$work/copy")" -ge 4096 ] || fail 'a hole in the copy'
	fi
}

# No zero of the data may be left out.
cp_to_the_node() {
	local how
	for how in always never auto; do
		fill_node
		cp --sparse=$how "$work/half" "$node"
		cmp "$node" "$work/half"
	done
	[ -c "$node" ]
}

# Copied as a part of a tree it is a node, unless told otherwise.
cp_recursive() {
	fill_node
	cp -R --copy-contents "$node" "$work/copy"
	cmp "$work/copy" "$work/data"
	rm "$work/copy"
	cp -R "$node" "$work/copy"
	[ -c "$work/copy" ]
	rm "$work/copy"
}

# One without a node is a file of that size, and looks as if it had no data.
cp_unnamed() {
	# shellcheck disable=SC2016 # for the other shell
	./node run "$1" $size bash -ec 'cd "$1"
		cat data >&9
		for how in always never auto; do
			cp --sparse=$how /proc/self/fd/9 copy
			cmp copy data
		done
		dd if=half of=/proc/self/fd/9 bs=64k conv=notrunc
		cmp /proc/self/fd/9 half
		! cp data /proc/self/fd/9 2>cp || exit 1
		grep "Invalid argument" cp' bash "$work"
}

# ---- sockets ----

is_socket() {
	[ -S "$1" ]
}

# Out of one node, over a socket, into another.
socat_over_a_socket() {
	fill_node
	head -c $size /dev/zero >$other
	socat -u UNIX-LISTEN:"$work/socket" OPEN:$other,wronly &
	background $!
	wait_for 60 is_socket "$work/socket"
	socat -u OPEN:"$node",rdonly UNIX-CONNECT:"$work/socket"
	wait $!
	cmp $other "$work/data"
}

# The fd of a buffer without a name, inherited from the program before.
socat_inherited() {
	# shellcheck disable=SC2016 # for the other shell
	./node run "$1" $size bash -ec '
		printf "%s" "through socat" | socat -u STDIN FD:9
		dd if=/proc/self/fd/9 bs=13 count=1 >"$1"' bash "$work/copy"
	[ "$(cat "$work/copy")" = 'through socat' ]
}

python() {
	python3 -I -S programs.py "$2" "$node"
}

# ---- a virtual machine in it ----

# 16-bit code: store "AB" at 0x60000, wait for a byte at 0x60010, copy that to
# 0x60020, say it on the debug console, and end with it.
boot_sector() {
	printf '\xfa\xb8\x00\x60\x8e\xd8\xc7\x06\x00\x00\x41\x42\xa0\x10\x00\x84\xc0'
	printf '\x74\xf9\xa2\x20\x00\xe6\xe9\xe6\xf4\xf4\xeb\xfd'
	head -c 481 /dev/zero
	printf '\x55\xaa'
}

guest_is_up() {
	[ "$(get $((0x60000)) 2)" = AB ]
}

qemu_boots() {
	local code=0
	boot_sector >"$work/boot"
	clear_node
	qemu-system-x86_64 -accel tcg -nodefaults -display none \
		-object memory-backend-file,id=ram,size=4M,mem-path="$node",share=on \
		-machine pc,memory-backend=ram -m 4M \
		-drive if=floppy,format=raw,file="$work/boot" \
		-debugcon file:"$work/console" -device isa-debug-exit,iobase=0xf4,iosize=1 &
	background $!
	wait_for 600 guest_is_up
	put $((0x60010)) Z
	wait $! || code=$?
	[ $code = $((2 * 0x5a + 1)) ] || fail "exit status $code"
	[ "$(cat "$work/console")" = Z ] || fail 'the guest did not see it'
	[ "$(get $((0x60020)) 2)" = Z ] || fail "not what the guest stored"
}

# ---- what looks at other programs ----

is_stopped() {
	grep -q '^State:.T' "/proc/$1/status"
}

# A process that has mapped the node and is stopped: $pid, $address.
stopped_process() {
	./node map "programs-$1" >"$work/address" &
	pid=$!
	background "$pid"
	wait_for 60 is_stopped "$pid"
	read -r address _ <"$work/address"
}

gdb_reads_and_writes() {
	local pid address
	fill_node
	put 4096 "hello, gdb"
	printf '\0' | dd of="$node" bs=1 seek=4106
	cat "$node" >"$work/copy"
	stopped_process "$1"
	gdb -nx -batch -p "$pid" -ex 'info proc mappings' -ex "x/s $address + 4096" \
		-ex "dump binary memory $work/dump $address $address + $size" \
		-ex "set var *(char *)($address + 4096) = 'H'"
	grep -q "$node\$" "$out" || fail 'it does not name the node'
	grep -q '"hello, gdb"$' "$out" || fail 'it did not find the string'
	cmp "$work/dump" "$work/copy"
	[ "$(get 4096 10)" = 'Hello, gdb' ] || fail 'it did not store'
}

strace_mmap() {
	strace -y -e trace=openat,lseek,mmap -o "$work/trace" \
		python3 -I -S programs.py mmap "$node"
	cat "$work/trace"
	grep -q "\"$node\", O_RDWR|O_CLOEXEC) = [0-9]*<$node>" "$work/trace"
	grep -q "<$node>, 0, SEEK_END) *= $size" "$work/trace"
	grep -q "mmap(NULL, $size, PROT_READ|PROT_WRITE, MAP_SHARED, [0-9]*<$node>, 0)" \
		"$work/trace"
}

# strace knows no names for the calls, but shows what they are made of.
strace_ioctl() {
	strace -y -e trace=ioctl -o "$work/trace" ./node run "$1" $size true
	cat "$work/trace"
	grep -q '</dev/kubuf/control>, _IOC(_IOC_NONE, 0xbc, 0, 0), 0x[0-9a-f]*) = [0-9]' \
		"$work/trace"
}

lsof_names_it() {
	local pid address
	stopped_process "$1"
	lsof "$node"
	grep -qE "^node +$pid .* mem +CHR .* $node\$" "$out" || fail 'not the mapping'
	grep -qE "^node +$pid .* [0-9]+u +CHR .* $node\$" "$out" || fail 'not the fd'
}

# By inheritance, so that there is no node to go by.
lsof_unnamed() {
	./node run "$1" $size sleep 600 &
	background $!
	wait_for 60 grep -qx sleep "/proc/$!/comm"
	lsof -a -p $! -d 9
	grep -qE "^sleep .* 9u +REG .* $size .*kubuf" "$out" || fail 'no name'
}

# Each fault, with the object that it was on.
perf_faults() {
	clear_node
	perf record -q -N -B -o "$work/perf" -e page-faults -c 1 -d \
		python3 -I -S programs.py mmap "$node"
	perf script -i "$work/perf" -F comm,event,addr,ip,sym,dso >"$work/faults"
	cat "$work/faults"
	grep -q "$node" "$work/faults"
}

perf_counts() {
	perf stat -x , -e page-faults -o "$work/stat" cat "$node" >"$work/copy"
	cat "$work/stat"
	[ "$(sed -n 's/^\([0-9]*\),,page-faults.*/\1/p' "$work/stat")" -gt 0 ]
}

# ---- all of them ----

# on_node FUNCTION BACKING ARGUMENT...: a case, with the node that it is about.
on_node() {
	node=/dev/kubuf/programs-$2
	rm -f "$on_disk" "$on_disk.memory"
	"$@"
}

# Prints the cases, a line each, as the arguments of run without on_node. What is
# mapped differs with each backing. For read() and write() it is contiguous, be it by
# vmap(), or in pieces.
all_on_nodes() {
	local b case
	for b in $page_path $pfn_path; do
		echo "fio.$b.libaio fio fio_direct $b --ioengine=libaio --iodepth=8"
		echo "fio.$b.fixedbufs fio fio_direct $b --ioengine=io_uring --fixedbufs"
		echo "python.$b.mmap python3 python $b mmap"
		echo "qemu.$b qemu-system-x86_64 qemu_boots $b"
	done
	for b in huge kmalloc; do
		echo "fio.$b.psync fio fio_direct $b --ioengine=psync"
		echo "gdb.$b gdb gdb_reads_and_writes $b"
		echo "lsof.$b lsof lsof_names_it $b"
	done
	for b in ${page_path#pages } kmalloc; do
		echo "dd.$b.all dd dd_all $b"
		echo "dd.$b.seek_and_skip dd dd_seek_and_skip $b"
		echo "dd.$b.to_the_end dd dd_to_the_end $b"
		echo "cat.$b cat cat_both_ways $b"
		echo "cmp.$b cmp cmp_finds_it $b"
		echo "xxd.$b xxd xxd_and_back $b"
		echo "sha256sum.$b sha256sum sha256sum_is_right $b"
		echo "cp.$b.sparse_always cp cp_sparse $b always"
		echo "cp.$b.sparse_never cp cp_sparse $b never"
		echo "cp.$b.to_the_node cp cp_to_the_node $b"
		echo "cp.$b.recursive cp cp_recursive $b"
		echo "cp.$b.unnamed cp cp_unnamed $b"
		for case in file memoryview sendfile_socket sendfile_file send_fds; do
			echo "python.$b.$case python3 python $b $case"
		done
		echo "socat.$b.over_a_socket socat socat_over_a_socket $b"
		echo "socat.$b.inherited socat socat_inherited $b"
	done
	echo "lsof.unnamed lsof lsof_unnamed huge"
	echo "strace.mmap strace strace_mmap huge"
	echo "strace.ioctl strace strace_ioctl huge"
	echo "perf.faults perf perf_faults huge"
	echo "perf.counts perf perf_counts huge"
}

# To compare takes cmp.
all() {
	all_on_nodes | sed -E 's/^([^ ]+ [^ ]+)/\1,cmp on_node/'
}

plan_cases programs "$@"
make_data
destroy_nodes
for backing in $page_path $pfn_path; do
	./node create "programs-$backing" "$backing" $size || exit 1
done
./node create programs-other pages $size || exit 1
run_cases
