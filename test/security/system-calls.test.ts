import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";
import { NEWEST_OF_OLD_LIBSECCOMP, PAST_FILTERS, X64_SYSCALLS } from "../harness/x64-syscalls.js";

const stack = await sharedStack();

interface Profile {
	readonly defaultErrnoRet: number;
	readonly syscalls: readonly { readonly names: readonly string[]; readonly errnoRet?: number; readonly args?: readonly object[] }[];
}

/** The filter as it is published; a unit test holds it against the one that sandboxes get. */
const profile = JSON.parse(readFileSync(new URL("../../infra/seccomp/berth.json", import.meta.url), "utf8")) as Profile;

const EPERM = 1;
const ENOSYS = 38;
const ENXIO = 6;
const SIGILL = 4;
const SIGSYS = 31;
/** As every argument: no pointer, descriptor, process or size. Not that of a call of x32. */
const NOTHING = [-1, -1, -1, -1, -1, -1];
/** An operation that there is none of would be answered as a call that there is none of. */
const FUTEX_WAKE = [-1, 1, -1, -1, -1, -1];
const X32 = 0x4000_0000;
/** Beyond what any kernel has. */
const LAST = 511;

/** Known to the filter by name alone; what depends on arguments is tried with them, below. */
const plain = (refused: boolean) =>
	profile.syscalls.filter(({ args, errnoRet }) => args === undefined && (errnoRet !== undefined) === refused).flatMap(({ names }) => names);
const ALLOWED = plain(false);
const REFUSED = plain(true);
const BY_ARGUMENTS = profile.syscalls.filter(({ args }) => args !== undefined).flatMap(({ names }) => names);
/** There for 32-bit programs, or other processors, alone. */
const NOT_HERE = ["stime", "get_thread_area", "set_thread_area"];
/** What a kernel may be built without. */
const OPTIONAL = /^(?:landlock_|pkey_|futex_|fchmodat2$|rseq$|membarrier$)/;

const numberOf = (name: string) => X64_SYSCALLS.get(name) ?? Number.NaN;
const isHere = (name: string) => X64_SYSCALLS.has(name) && !NOT_HERE.includes(name);
const nameOf = new Map([...X64_SYSCALLS].map(([name, number]) => [number, name]));

// By number, so of one processor; what the profile says is the same for the other.
describe.skipIf(process.arch !== "x64")("a system call, made raw", () => {
	let deployed: Deployed;
	/** What each came to, by number. */
	let ends: readonly number[];
	const endOf = (name: string) => ends[numberOf(name)];
	const callEach = async (calls: readonly (readonly number[])[]) =>
		(await deployed.result<{ readonly calls: readonly number[] }>({ calls })).calls;

	beforeAll(async () => {
		deployed = await deploy(stack, { runtime: "python3", source: fixture("makes-system-calls", "index.py"), timeoutMs: 60_000 });
		ends = await callEach(
			Array.from({ length: LAST + 1 }, (_, number) => [number, ...(number === numberOf("futex") ? FUTEX_WAKE : NOTHING)]),
		);
	});

	it("of the filter's is one that there is", () => {
		const named = [...ALLOWED, ...REFUSED, ...BY_ARGUMENTS];
		expect(named.filter((name) => !X64_SYSCALLS.has(name) && !NOT_HERE.includes(name))).toEqual([]);
	});

	it.each(REFUSED.filter(isHere))("is refused: %s", (name) => {
		const asOld = numberOf(name) > NEWEST_OF_OLD_LIBSECCOMP ? [ENOSYS] : [];
		expect([EPERM, ...asOld]).toContain(endOf(name));
	});

	it("that the filter doesn't name isn't there, whatever the kernel has, known or not", () => {
		const unnamed = ends
			.map((end, number) => ({ call: nameOf.get(number) ?? number, end }))
			.filter(({ call }) => ![...ALLOWED, ...REFUSED, ...BY_ARGUMENTS, ...PAST_FILTERS].includes(String(call)));
		expect(unnamed.length).toBeGreaterThan(LAST - X64_SYSCALLS.size);
		expect(unnamed.filter(({ end }) => end !== profile.defaultErrnoRet)).toEqual([]);
	});

	it("that programs need gets through: what the kernel says of it is about its arguments", () => {
		const wrong = ALLOWED.filter(isHere).filter((name) => endOf(name) === EPERM || (endOf(name) === ENOSYS && !OPTIONAL.test(name)));
		expect(wrong).toEqual([]);
	});

	it("that no filter is asked about does nothing for a function", () => {
		for (const name of PAST_FILTERS) expect([ENOSYS, ENXIO, -SIGILL]).toContain(endOf(name));
	});

	it("of another kind of program ends the process: of x32, and of 32 bits", async () => {
		const { calls, as32Bit } = await deployed.result<{ readonly calls: readonly number[]; readonly as32Bit: number }>({
			calls: ["getpid", "ptrace", "mount"].map((name) => [X32 + numberOf(name), ...NOTHING]),
			as32Bit: true,
		});
		for (const end of [...calls, as32Bit]) expect([-SIGSYS, ENOSYS]).toContain(end);
	});

	it.each([
		["NEWTIME", 0x80],
		["NEWNS", 0x0002_0000],
		["NEWCGROUP", 0x0200_0000],
		["NEWUTS", 0x0400_0000],
		["NEWIPC", 0x0800_0000],
		["NEWUSER", 0x1000_0000],
		["NEWPID", 0x2000_0000],
		["NEWNET", 0x4000_0000],
	])("clone makes processes, and no namespace: %s", async (_name, flag) => {
		const clone = numberOf("clone");
		const SIGCHLD = 17;
		// What the filter doesn't look at mustn't hide what it does: the upper half of the register.
		const [plainly, marked, hidden] = await callEach([
			[clone, SIGCHLD, 0, 0, 0, 0],
			[clone, SIGCHLD | flag, 0, 0, 0, 0],
			[clone, 2 ** 40 + (SIGCHLD | flag), 0, 0, 0, 0],
		]);
		expect([plainly, marked, hidden]).toEqual([0, ENOSYS, ENOSYS]);
	});

	it("socket is for unix, IPv4, IPv6 and routes alone", async () => {
		const DGRAM = 2;
		const families = Array.from({ length: 64 }, (_, family) => family);
		const byFamily = await callEach(families.map((family) => [numberOf("socket"), family, DGRAM, 0]));
		expect(families.filter((family) => byFamily[family] !== ENOSYS)).toEqual([1, 2, 10, 16]);
		const protocols = Array.from({ length: 32 }, (_, protocol) => protocol);
		const netlink = await callEach(protocols.map((protocol) => [numberOf("socket"), 16, DGRAM, protocol]));
		expect(protocols.filter((protocol) => netlink[protocol] !== ENOSYS)).toEqual([0]);
	});

	it.each(["setresuid", "setresgid"])("%s changes nothing, or is refused", async (name) => {
		const calls = [
			[-1, 1000, -1],
			[0, 0, 0],
			[1000, 1000, 1000],
			[-1, 0, 0],
			[0, -1, -1],
		];
		const [nothing, ...others] = await callEach(calls.map((ids) => [numberOf(name), ...ids]));
		expect([nothing, ...others]).toEqual([0, ENOSYS, ENOSYS, ENOSYS, ENOSYS]);
	});
});
