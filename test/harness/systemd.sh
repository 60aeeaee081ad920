#!/bin/sh
# systemd as the first process of a pid namespace, with these units alone and a /run of its own: all else is this machine's.
# What it makes of cgroups is below one of its own. Arguments: that cgroup's name, the directory of the units, the target to start.
set -e
if [ "$4" = "" ]; then
	for each in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ -f "$each/cgroup.procs" ] || continue
		mkdir -p "$each/$1"
		for file in cpuset.cpus cpuset.mems; do
			[ ! -f "$each/$file" ] || cat "$each/$file" >"$each/$1/$file"
		done
		echo $$ >"$each/$1/cgroup.procs"
	done
	exec unshare --mount --pid --fork --uts --kill-child "$0" "$1" "$2" "$3" inside
fi
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir /run/systemd /run/cgroups
# With v1 it makes directories beside the hierarchies, where this machine's OCI runtimes would take them for more of these.
if [ ! -f /sys/fs/cgroup/cgroup.procs ]; then
	mount --rbind /sys/fs/cgroup /run/cgroups
	mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	for each in /run/cgroups/*; do
		name=${each##*/}
		if [ -h "$each" ]; then
			cp -P "$each" /sys/fs/cgroup/
		elif [ -f "$each/cgroup.procs" ]; then
			mkdir "/sys/fs/cgroup/$name"
			mount --bind "$each" "/sys/fs/cgroup/$name"
		fi
	done
	umount -l /run/cgroups
fi
export container=test SYSTEMD_UNIT_PATH="$2" SYSTEMD_LOG_TARGET=console
exec /lib/systemd/systemd --system --unit="$3"
