#!/bin/busybox sh
# The guest's first process: mounts cgroups as the kernel's command line says, runs the checks, and turns the machine off.
export PATH=/usr/local/bin:/usr/bin:/usr/sbin
busybox mount -t proc proc /proc
busybox --install -s /usr/bin 2>/dev/null
mount -t sysfs sys /sys
mount -t securityfs security /sys/kernel/security
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
# In their order: each needs those before it.
for module in /usr/lib/modules/*.ko; do insmod "$module"; done
ip link set lo up
ln -s /proc/self/fd /dev/fd

# With swap, a limit on memory alone would hold nothing.
fallocate -l 256M /swap && chmod 600 /swap && mkswap /swap >/dev/null && swapon /swap

# As systemd mounts v1: one hierarchy for both CPU controllers, and a link for each.
mount_v1() {
	mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	for controllers in cpuset cpu,cpuacct memory devices freezer blkio pids; do
		mkdir /sys/fs/cgroup/$controllers
		mount -t cgroup -o $controllers cgroup /sys/fs/cgroup/$controllers
	done
	ln -s cpu,cpuacct /sys/fs/cgroup/cpu
	ln -s cpu,cpuacct /sys/fs/cgroup/cpuacct
	mkdir /sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
}

asked() {
	sed -n "s/.*$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}

checks() {
	case "$(cat /proc/cmdline)" in
	*cgroups=v1*)
		mount_v1
		node "$@"
		;;
	# As in a privileged container: what is seen as the root is an ordinary cgroup with processes in it.
	# By its path: the shell would take busybox's own, which has no cgroup namespaces.
	*cgroups=nested*)
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		mkdir /sys/fs/cgroup/container
		echo "+memory +cpu +pids" >/sys/fs/cgroup/cgroup.subtree_control
		echo $$ >/sys/fs/cgroup/container/cgroup.procs
		/usr/bin/unshare --cgroup --mount sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && node "$@"' sh "$@"
		;;
	*)
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		node "$@"
		;;
	esac
}

echo "checking after $(cut -d' ' -f1 /proc/uptime) s"
checks "$(asked program)" "$(asked runtime)" $(asked checks | tr , ' ') >/dev/ttyS1 2>/dev/ttyS0
echo "the checks ended with $?"
poweroff -f
