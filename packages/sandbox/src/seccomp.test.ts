import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { SeccompRule } from "./oci-spec.js";
import { seccompProfile } from "./seccomp.js";

const profile = seccompProfile("x64");

/** What happens to a call with these arguments: the number of an errno, or that it goes through. */
function verdict(name: string, ...args: readonly number[]): "allowed" | number {
	const rule = profile.syscalls.find((each) => each.names.includes(name) && matches(each, args));
	if (rule === undefined) return profile.defaultErrnoRet;
	return rule.action === "SCMP_ACT_ALLOW" ? "allowed" : (rule.errnoRet ?? Number.NaN);
}

function matches({ args = [] }: SeccompRule, given: readonly number[]): boolean {
	return args.every(({ index, op, value, valueTwo }) => {
		const actual = BigInt(given[index] ?? 0);
		return op === "SCMP_CMP_EQ" ? actual === BigInt(value) : (actual & BigInt(value)) === BigInt(valueTwo ?? 0);
	});
}

const EPERM = 1;
const ENOSYS = 38;

test("no call stands in two lists, or twice in one", () => {
	const names = profile.syscalls.flatMap((rule) => (rule.names.includes("socket") ? [] : rule.names));
	expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
	expect(names).not.toContain("");
});

const DENIED = [
	"ptrace process_vm_readv process_vm_writev memfd_secret personality vmsplice name_to_handle_at open_by_handle_at",
	"fanotify_init fanotify_mark modify_ldt mlockall seccomp statmount listmount mknod mknodat",
	"mq_open mq_timedsend shmget shmat semget semop msgget msgsnd",
	"setuid setgid setreuid setfsuid setgroups capset sched_setscheduler ioprio_set adjtimex clock_adjtime",
	"io_uring_setup io_uring_enter io_uring_register userfaultfd bpf keyctl add_key request_key perf_event_open",
	"mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr unshare setns pidfd_getfd",
	"init_module finit_module delete_module kexec_load reboot clock_settime settimeofday swapon syslog iopl ioperm quotactl acct",
]
	.join(" ")
	.split(" ");

test.each(DENIED)("%s is refused", (name) => {
	expect(verdict(name)).toBe(EPERM);
});

test("what isn't known yet is answered as an older kernel would: programs have a way back from that", () => {
	expect(verdict("a_call_of_2030")).toBe(ENOSYS);
});

describe("clone", () => {
	test("makes threads and processes", () => {
		const thread = 0x3d0f00;
		expect([verdict("clone", thread), verdict("clone", 0x0120_0011), verdict("fork"), verdict("vfork")]).toEqual(Array(4).fill("allowed"));
	});

	test.each([
		["NEWTIME", 0x80],
		["NEWNS", 0x0002_0000],
		["NEWCGROUP", 0x0200_0000],
		["NEWUTS", 0x0400_0000],
		["NEWIPC", 0x0800_0000],
		["NEWUSER", 0x1000_0000],
		["NEWPID", 0x2000_0000],
		["NEWNET", 0x4000_0000],
	])("makes no namespace: %s", (_name, flag) => {
		expect(verdict("clone", flag)).not.toBe("allowed");
		expect(verdict("clone", flag | 0x3d0f00)).not.toBe("allowed");
	});

	test("3, whose flags can't be looked at, isn't there: libc takes the other", () => {
		expect(verdict("clone3")).toBe(ENOSYS);
	});
});

describe.each(["setresuid", "setresgid"])("%s", (name) => {
	const LEAVE = 0xffff_ffff;
	test("is what make calls before each command, where it changes nothing", () => {
		expect([verdict(name, LEAVE, 1000, LEAVE), verdict(name, -1, 1000, LEAVE)]).toEqual(["allowed", "allowed"]);
	});

	test("sets no real and no saved id", () => {
		for (const ids of [
			[0, 0, 0],
			[1000, 1000, 1000],
			[LEAVE, 0, 0],
			[0, 0, LEAVE],
		])
			expect(verdict(name, ...ids)).toBe(ENOSYS);
	});
});

describe("a socket", () => {
	const SOCK_STREAM = 1;
	test.each([
		["unix", 1, 0],
		["IPv4", 2, 6],
		["IPv6", 10, 6],
		["netlink for routes", 16, 0],
	])("can be of %s", (_name, family, protocol) => {
		expect(verdict("socket", family, SOCK_STREAM, protocol)).toBe("allowed");
	});

	test.each([
		["AF_ALG", 38, 0],
		["AF_VSOCK", 40, 0],
		["AF_PACKET", 17, 0],
		["AF_KEY", 15, 0],
		["netlink audit", 16, 9],
		["netlink netfilter", 16, 12],
		["AF_XDP", 44, 0],
		["AF_UNSPEC", 0, 0],
	])("can't be of %s", (_name, family, protocol) => {
		expect(verdict("socket", family, SOCK_STREAM, protocol)).not.toBe("allowed");
	});
});

test("the profile is for the native architecture alone: no 32-bit way around it", () => {
	expect(profile.architectures).toEqual(["SCMP_ARCH_X86_64"]);
	expect(seccompProfile("arm64").architectures).toEqual(["SCMP_ARCH_AARCH64"]);
	expect(profile.defaultAction).toBe("SCMP_ACT_ERRNO");
});

test.each("read write mmap munmap mprotect futex epoll_pwait execve exit_group openat getrandom clock_nanosleep memfd_create".split(" "))(
	"Node needs %s",
	(name) => {
		expect(verdict(name)).toBe("allowed");
	},
);

test("infra/seccomp/berth.json is this profile: node scripts/seccomp-profile.mjs writes it", () => {
	const published = readFileSync(new URL("../../../infra/seccomp/berth.json", import.meta.url), "utf8");
	expect(JSON.parse(published)).toEqual(profile);
});
