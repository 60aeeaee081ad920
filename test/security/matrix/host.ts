import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { sandboxProcessesOf } from "../../harness/leftovers.js";
import type { Stack } from "../../harness/stack.js";
import type { Column } from "./attack.js";

/** What no attack may change of the host, and nothing else does while tests run. */
const SETTINGS = [
	"/proc/sys/kernel/hostname",
	"/proc/sys/kernel/domainname",
	"/proc/sys/kernel/core_pattern",
	"/proc/sys/kernel/modprobe",
	"/proc/sys/kernel/sysrq",
	// What sysrq's digits set.
	"/proc/sys/kernel/printk",
	"/proc/sys/vm/overcommit_memory",
];
/** A clock that is kept right moves by less. */
const CLOCK_MS = 60_000;
const PLACES = ["/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/dev", "/etc", "/proc/sys/kernel"];
/** Where the kernel lists what has a name. */
const TABLES = ["/proc/self/mountinfo", "/proc/net/unix", "/proc/keys", "/proc/swaps"];
/** Of SysV's ipc, by the key that attacks ask for. */
export const SYSV_KEY = 0x6265_7274;

export type Look = Readonly<Record<string, string>>;

/** The host's settings. */
export function lookAtHost(): Look {
	return Object.fromEntries(SETTINGS.map((path) => [path, read(path)]));
}

/** @throws Error when an attack with this mark has left anything on the host, or changed it since it was looked at */
export function expectUntouched(before: Look, mark: string): void {
	const now = lookAtHost();
	const clockMs = Date.now() - unmovedClock();
	putBack(before, now, clockMs);
	expect(now).toEqual(before);
	expect(Math.abs(clockMs)).toBeLessThan(CLOCK_MS);
	expect(PLACES.map((place) => join(place, mark)).filter((path) => existsSync(path))).toEqual([]);
	expect(TABLES.filter((path) => read(path).includes(mark))).toEqual([]);
	const kinds = ["shm", "sem", "msg"].filter((kind) => new RegExp(`^\\s*${SYSV_KEY}\\s`, "m").test(read(`/proc/sysvipc/${kind}`)));
	expect(kinds).toEqual([]);
}

/** The time by a clock that nobody sets, since this process began. */
const unmovedClock = () => performance.timeOrigin + performance.now();

/** An attack that got through isn't to be everybody's on this machine. */
function putBack(before: Look, now: Look, clockMs: number): void {
	for (const path of SETTINGS.filter((one) => now[one] !== before[one])) writeFileSync(path, before[path] ?? "");
	if (Math.abs(clockMs) >= CLOCK_MS) execFileSync("date", ["--set", `@${unmovedClock() / 1000}`]);
}

/** Pids of a sandbox: by its cgroup; of a Docker Engine's, by its socket among their mounts. */
export function processesIn(stack: Stack, column: Column, sandbox: string): readonly string[] {
	if (column !== "docker") return sandboxProcessesOf(stack.dataDir, sandbox);
	const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
	return pids.filter((pid) => read(`/proc/${pid}/mountinfo`).includes(`${sandbox}.sock`));
}

/** A process may end while it is looked at. */
function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
