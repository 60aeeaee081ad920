import type { LinuxSeccomp, SeccompRule } from "./oci-spec.js";

const ENOSYS = 38;
const EPERM = 1;
/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWTIME */
const CLONE_NAMESPACES = 0x7e02_0080;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;

/** What Node, Python, tini, esbuild and programs started by them need. One line per theme. */
const ALLOWED = [
	"read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile splice tee copy_file_range",
	"open openat openat2 creat close close_range dup dup2 dup3 fcntl ioctl flock fsync fdatasync sync_file_range syncfs ftruncate truncate fallocate fadvise64 readahead",
	"stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir",
	"mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat umask",
	"chown fchown lchown fchownat",
	"getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr",
	"inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
	"mmap munmap mprotect mremap madvise msync mincore brk membarrier mlock munlock mlock2 pkey_alloc pkey_free pkey_mprotect memfd_create",
	"futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list rseq restart_syscall sched_yield",
	"sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority setpriority ioprio_get getcpu",
	"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack pause kill tkill tgkill signalfd signalfd4 pidfd_open pidfd_send_signal",
	"fork vfork execve execveat exit exit_group wait4 waitid set_tid_address arch_prctl prctl",
	"getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid geteuid getgid getegid getresuid getresgid getgroups capget getrusage getrlimit setrlimit prlimit64 times sysinfo uname getrandom",
	"clock_gettime clock_getres clock_nanosleep gettimeofday time nanosleep alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime",
	"poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2",
	"socketpair bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown",
	"get_thread_area set_thread_area landlock_create_ruleset landlock_add_rule landlock_restrict_self",
]
	.join(" ")
	.split(" ");

/** Known and refused. What stands in neither list is answered ENOSYS, as an older kernel would. */
const DENIED = [
	"mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount unshare setns",
	"ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd perf_event_open bpf userfaultfd",
	"io_uring_setup io_uring_enter io_uring_register io_setup io_submit io_getevents io_destroy io_cancel",
	"keyctl add_key request_key seccomp personality vmsplice memfd_secret mlockall munlockall modify_ldt",
	"name_to_handle_at open_by_handle_at fanotify_init fanotify_mark quotactl quotactl_fd swapon swapoff acct",
	"mknod mknodat mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
	"shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
	"setuid setgid setreuid setregid setfsuid setfsgid setgroups capset",
	"setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr",
	"sched_setscheduler sched_setparam sched_setattr sched_getattr ioprio_set adjtimex clock_adjtime clock_settime settimeofday stime",
	"init_module finit_module delete_module kexec_load kexec_file_load reboot syslog sethostname setdomainname iopl ioperm vhangup nfsservctl lookup_dcookie",
	"mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node",
]
	.join(" ")
	.split(" ");

const LEAVE = 0xffff_ffff;
/**
 * What `posix_spawn` calls when it is told to drop privileges, as make does for each command: real and saved id are left as they are
 * (-1), and without a capability the effective one can only become one of the three, which are the same.
 */
const dropNothing: SeccompRule = {
	names: ["setresuid", "setresgid"],
	action: "SCMP_ACT_ALLOW",
	args: [0, 2].map((index) => ({ index, value: LEAVE, valueTwo: LEAVE, op: "SCMP_CMP_MASKED_EQ" as const })),
};

const socket = (...args: [index: number, value: number][]): SeccompRule => ({
	names: ["socket"],
	action: "SCMP_ACT_ALLOW",
	args: args.map(([index, value]) => ({ index, value, op: "SCMP_CMP_EQ" as const })),
});

/**
 * The profile of every sandbox: an allow-list for the native architecture alone. `clone3` isn't in
 * it (its flags are behind a pointer), so libc falls back to `clone`, whose namespace flags are.
 * Sockets: unix, IPv4, IPv6, and netlink only for routes (`os.networkInterfaces()` asks it).
 */
export function seccompProfile(arch: "x64" | "arm64"): LinuxSeccomp {
	return {
		defaultAction: "SCMP_ACT_ERRNO",
		defaultErrnoRet: ENOSYS,
		architectures: [arch === "x64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"],
		syscalls: [
			{ names: ALLOWED, action: "SCMP_ACT_ALLOW" },
			{ names: DENIED, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
			{ names: ["clone"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] },
			dropNothing,
			socket([0, AF_UNIX]),
			socket([0, AF_INET]),
			socket([0, AF_INET6]),
			socket([0, AF_NETLINK], [2, NETLINK_ROUTE]),
		],
	};
}
