# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by install-test and fresh-test, after common.sh: a fresh Debian, in which
# a script of guest/ runs its cases in a chroot, where the compiler is not emulated,
# and in a virtual machine that boots it.

# What the caller has to give, and what it is given.
: "${top:?}" "${build:?}" "${cache:?}"

# begin NAME-test DEBIAN: where things are, $debian, $suite, $work, $share and $output.
begin() {
	name=${1%-test} debian=$2
	case $debian in
	12) suite=bookworm ;;
	13) suite=trixie ;;
	*) die "no such Debian here: $debian (12 or 13)" ;;
	esac
	[ "$(dpkg --print-architecture)" = amd64 ] || die "only on amd64"
	[ "$(id -u)" = 0 ] || die "must be root, to make the root of another system"
	work=$build/$1/$debian
	share=$work/share
	output=$work/output
	"$top/scripts/setup" vm install-test
	rm -rf "$work"
	mkdir -p "$work/root" "$share"
	cp "$top/scripts/guest/cases.sh" "$share/"
	cp "$top/scripts/guest/$1" "$share/guest"
	: >"$output"
}

# fresh_root PACKAGES SUITES [HOOK]: print the fresh root, a tarball, which is made
# once a month. HOOK is run in it.
fresh_root() {
	local packages=$1 hook=${3-} hash tarball archive
	hash=$(sha256sum <<<"$packages $hook" | cut -c 1-12)
	tarball=$cache/root/$suite-$(date +%Y-%m)-$hash.tar
	mkdir -p "$cache/root"
	lock "$cache/root.lock"
	if [ ! -e "$tarball" ]; then
		note "making a fresh Debian $debian: some minutes"
		rm -f "$cache/root/$suite"-*-"$hash.tar"
		for archive in $2; do
			"$top/scripts/kernel" archive "$archive"
		done >"$work/debian.sources"
		mmdebstrap --mode=root --variant=apt --include="$packages" \
			${hook:+--customize-hook="chroot \"\$1\" sh -c '$hook'"} \
			"$suite" "$cache/root/part.tar" "$work/debian.sources" \
			>"$work/mmdebstrap.log" 2>&1 || {
			tail -n 40 "$work/mmdebstrap.log" >&2
			die "mmdebstrap failed"
		}
		mv "$cache/root/part.tar" "$tarball"
	fi
	echo "$tarball"
}

unpack() {
	note "unpacking the fresh root"
	tar -xpf "$1" -C "$work/root"
}

# A disk with the root, to boot from, with a unit that runs the tests.
make_disk() {
	local unit=$work/root/etc/systemd/system/kubuf-test.service
	cat >"$unit" <<-'END'
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'mount -t 9p -o trans=virtio,ro share /mnt && exec /mnt/guest "$stage"'
		ExecStopPost=systemctl poweroff
		PassEnvironment=stage
		StandardOutput=tty
		StandardError=tty
		TTYPath=/dev/ttyS1
	END
	mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants"
	ln -s "../${unit##*/}" "$work/root/etc/systemd/system/multi-user.target.wants/"
	truncate -s 8G "$work/disk"
	/sbin/mkfs.ext4 -q -F -d "$work/root" "$work/disk"
	cp "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
	cp "$work"/root/boot/initrd.img-* "$work/initrd"
	rm "$work/root/etc/systemd/system/multi-user.target.wants/${unit##*/}" "$unit"
}

# in_chroot [NAME=VALUE...]: with the network of this machine.
in_chroot() {
	touch "$work"/root/etc/{hosts,resolv.conf}
	# shellcheck disable=SC2016 # for the other shell
	unshare --mount --pid --fork bash -ec '
		root=$1 share=$2
		shift 2
		mount --bind "$share" "$root/mnt"
		for file in hosts resolv.conf; do
			mount --bind "/etc/$file" "$root/etc/$file"
		done
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/tmp"
		mount -t devpts -o mode=620,ptmxmode=666 devpts "$root/dev/pts"
		exec chroot "$root" /usr/bin/env -i PATH="$PATH" HOME=/root "$@" /mnt/guest chroot' \
		bash "$work/root" "$share" "$@"
}

# in_vm STAGE: see vm for why the kernel is told what it is told.
firmware=()
in_vm() {
	local accel=(-accel 'tcg,thread=multi' -cpu 'max,-erms,-fsrm')
	if grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then
		accel=(-accel kvm -cpu host)
	fi
	timeout --foreground -k 5 5400 qemu-system-x86_64 "${accel[@]}" -smp 2 -m 2G \
		"${firmware[@]}" -nodefaults -display none -no-reboot \
		-serial "file:$work/$1.log" \
		-chardev stdio,id=out,signal=off -serial chardev:out \
		-drive "if=none,id=disk,file=$work/disk,format=raw,cache=unsafe" \
		-device virtio-blk-pci,drive=disk \
		-fsdev "local,id=share,path=$share,security_model=none,readonly=on" \
		-device virtio-9p-pci,fsdev=share,mount_tag=share \
		-kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "root=/dev/vda rw console=ttyS0,115200 panic=-1 mitigations=off \
			tsc=nowatchdog no_timer_check rcupdate.rcu_cpu_stall_timeout=300 \
			watchdog_thresh=60 \
			systemd.setenv=stage=$1" </dev/null
}

# program STAGE COMMAND...: what it prints, as of a program of kselftest's. How it
# ended is in that: a plan, and as many cases.
programs=0
program() {
	local program=${name}_$debian.$1 begin=$SECONDS
	shift
	programs=$((programs + 1))
	note "$program"
	{
		echo "# selftests: drivers/kubuf: $program"
		"$@" 2>&1 | stdbuf -oL tr -d '\r' | stdbuf -oL sed 's/^/# /' || :
		echo "ok $programs selftests: drivers/kubuf: $program"
	} | tee "$work/program" | tee -a "$output"
	grep -q '^# 1\.\.' "$work/program" ||
		echo "not ok $program: it did not begin" | tee -a "$output"
	note "$program: $((SECONDS - begin)) s"
}

# boot STAGE: a stage in the virtual machine, whose kernel has to have nothing to say.
boot() {
	program "$1" in_vm "$1"
	"$top/scripts/logscan" "$work/$1.log" ||
		echo "not ok the kernel log of the virtual machine" | tee -a "$output"
}

# How it went, in the end.
finish() {
	rm -rf "$work/root" "$work/disk"
	"$top/scripts/ktap" "$output"
}
