import koffi from "koffi";

/** mount(2) flags, from linux/mount.h. */
export const MS = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8, remount: 32, noatime: 1024, bind: 4096, shared: 1 << 20 } as const;
const MNT_DETACH = 2;
const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
/** flock(2) operations. */
const LOCK = { shared: 1, exclusive: 2, now: 4 } as const;
const CLONE_NEWNET = 0x4000_0000;
/** More than an acknowledgement has. */
const NETLINK_BYTES = 8192;
/** What a shell says of a child whose end it knows nothing about. */
const UNKNOWN_END = 127;
/** struct rusage on 64-bit Linux, and where its ru_maxrss (KiB) is: after two struct timeval. */
const RUSAGE_BYTES = 144;
const RU_MAXRSS = 32;

/** For calls that one module alone makes. */
export const libc = koffi.load("libc.so.6");
const cMount = libc.func("int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options)");
const cUmount2 = libc.func("int umount2(const char *target, int flags)");
const cPrctl = libc.func("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)");
const cWait4 = libc.func("int wait4(int pid, _Out_ int *status, int options, _Out_ uint8_t *usage)");
const cMkfifo = libc.func("int mkfifo(const char *path, unsigned int mode)");
const cSocket = libc.func("int socket(int domain, int type, int protocol)");
const cSend = libc.func("long send(int fd, const uint8_t *bytes, size_t length, int flags)");
const cRecv = libc.func("long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)");
const cSetns = libc.func("int setns(int fd, int type)");
const cFlock = libc.func("int flock(int fd, int operation)");
const cIndex = libc.func("unsigned int if_nametoindex(const char *name)");

/** A system call that failed: which, on what, and the kernel's reason. */
export class SyscallError extends Error {
	override readonly name = "SyscallError";
	/** The kernel's reason by its name, such as `EINVAL`. */
	readonly code: string;

	constructor(step: string, code: string, errno: number) {
		super(`${step}: ${code} (${errno})`);
		this.code = code;
	}

	static of(step: string, errno: number): SyscallError {
		const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? "unknown error";
		return new SyscallError(step, code, errno);
	}
}

/** @throws SyscallError when a call of libc's failed */
export function check(result: number, step: string): void {
	if (result >= 0) return;
	throw SyscallError.of(step, koffi.errno());
}

/** mount(2), without a process: 0.02 ms where mount(8) costs 2. */
export function mount(source: string | null, target: string, type: string | null, flags: number, options: string | null = null): void {
	check(cMount(source, target, type, flags, options), `mount ${type ?? "bind"} on ${target}`);
}

/** Detaches whatever is mounted on a path. */
export function unmount(target: string): void {
	check(cUmount2(target, MNT_DETACH), `unmount ${target}`);
}

/** The same where a boot or graft that failed half-way may have left it unmounted: EINVAL says so. */
export function unmountIfMounted(target: string): void {
	try {
		unmount(target);
	} catch (error) {
		if (!(error instanceof SyscallError && (error.code === "EINVAL" || error.code === "ENOENT"))) throw error;
	}
}

/** Orphaned descendants become this process's children, so that it learns how they ended. */
export function becomeSubreaper(): void {
	check(cPrctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl PR_SET_CHILD_SUBREAPER");
}

export function makeFifo(path: string, mode: number): void {
	check(cMkfifo(path, mode), `mkfifo ${path}`);
}

/** A socket of rtnetlink(7) in this thread's network namespace; who asked for it closes it. */
export function netlinkSocket(): number {
	const fd = cSocket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE) as number;
	check(fd, "socket AF_NETLINK");
	return fd;
}

export function sendTo(fd: number, bytes: Buffer, step: string): void {
	check(Number(cSend(fd, bytes, bytes.length, 0)), step);
}

export function receiveFrom(fd: number, step: string): Buffer {
	const bytes = Buffer.alloc(NETLINK_BYTES);
	const length = Number(cRecv(fd, bytes, bytes.length, 0));
	check(length, step);
	return bytes.subarray(0, length);
}

/** flock(2): held together with others until the descriptor is closed, or the process ends. Waits while somebody holds it alone. */
export function lockShared(fd: number): void {
	check(cFlock(fd, LOCK.shared), "flock");
}

/** The same alone, at once or not at all: then what was held is given up. */
export function tryLockAlone(fd: number): boolean {
	const result = cFlock(fd, LOCK.exclusive | LOCK.now) as number;
	if (result < 0 && koffi.errno() === koffi.os.errno.EWOULDBLOCK) return false;
	check(result, "flock");
	return true;
}

/** setns(2): this thread, and nothing else of the process, is in that network namespace from now on. */
export function setNetworkNamespace(fd: number): void {
	check(cSetns(fd, CLONE_NEWNET), "setns");
}

/** Index of a network device of this thread's network namespace. */
export function interfaceIndex(name: string): number {
	const index = cIndex(name) as number;
	check(index === 0 ? -1 : 0, `if_nametoindex ${name}`);
	return index;
}

/** How a child ended. */
export interface Ended {
	/** Its exit code; 128 + signal for a signal. */
	readonly code: number;
	/** The largest resident set that it, or a child it had waited for, ever had. */
	readonly maxResidentBytes: number;
}

/** How a child ended, or undefined while it runs. */
export function reap(pid: number): Ended | undefined {
	const status: [number] = [0];
	const usage = Buffer.alloc(RUSAGE_BYTES);
	const result = cWait4(pid, status, WNOHANG, usage);
	if (result === 0) return undefined;
	// Somebody else has reaped it: it has ended, and nobody can say how.
	if (result < 0 && koffi.errno() === koffi.os.errno.ECHILD) return { code: UNKNOWN_END, maxResidentBytes: 0 };
	check(result, `wait4 ${pid}`);
	const signal = status[0] & 0x7f;
	const code = signal === 0 ? (status[0] >> 8) & 0xff : 128 + signal;
	return { code, maxResidentBytes: Number(usage.readBigInt64LE(RU_MAXRSS)) * 1024 };
}
