import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventually } from "./eventually.js";
import { UNITS, unitFor } from "./systemd-unit.js";

const execute = promisify(execFile);
const SCRIPT = fileURLToPath(new URL("./systemd.sh", import.meta.url));
const PLACE = fileURLToPath(new URL("../..", import.meta.url));
const CGROUPS = "/sys/fs/cgroup";
const START_MS = 20_000;

/** A systemd that runs Berth's unit on this machine, with everything that the unit says. Whoever started it disposes of it. */
export class Systemd implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #units: string;
	readonly #cgroup: string;
	/** Of systemd, as this machine counts. */
	#pid = 0;

	private constructor(child: ChildProcess, units: string, cgroup: string) {
		this.#child = child;
		this.#units = units;
		this.#cgroup = cgroup;
	}

	/** @param settings of the stack @param state the name of its directory below /var/lib */
	static async start(settings: Readonly<Record<string, string>>, state: string): Promise<Systemd> {
		const cgroup = `berth-test-systemd-${process.pid}`;
		const units = await mkdtemp("/var/tmp/berth-units-");
		// What it waits for isn't here: this is no whole machine, and must do nothing to the one that it is on.
		const ours = unitFor(PLACE).replace(/^(?:After|Wants)=.*\n/gm, "");
		await writeFile(join(units, "berth.service"), ours.replace("[Unit]", "[Unit]\nDefaultDependencies=no"));
		await copyFile(join(UNITS, "berth.slice"), join(units, "berth.slice"));
		await writeFile(join(units, "nothing.target"), "[Unit]\nDefaultDependencies=no\n");
		await mkdir(join(units, "berth.service.d"));
		const variables = Object.entries(settings).map(([name, value]) => `Environment=${name}=${value}\n`);
		const changed = `[Service]\nEnvironmentFile=\nStateDirectory=\nStateDirectory=${state}\nStandardError=file:${units}/said\n${variables.join("")}`;
		await writeFile(join(units, "berth.service.d", "test.conf"), changed);
		const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", SCRIPT, cgroup, units, "nothing.target"], {
			stdio: ["ignore", "ignore", "inherit"],
		});
		const systemd = new Systemd(child, units, cgroup);
		try {
			await systemd.#booted();
		} catch (error) {
			await systemd[Symbol.asyncDispose]();
			throw error;
		}
		return systemd;
	}

	/** systemctl(1), within. @throws Error with what it said */
	async ctl(...args: readonly string[]): Promise<string> {
		const { stdout } = await execute("nsenter", ["-t", String(this.#pid), "-m", "-p", "systemctl", "--no-pager", ...args]);
		return stdout.trim();
	}

	/** What the service has said on standard error. */
	said(): Promise<string> {
		return readFile(join(this.#units, "said"), "utf8");
	}

	async #booted(): Promise<void> {
		const { pid } = this.#child;
		this.#pid = await eventually(async () => {
			const [inside] = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ");
			if ((await readFile(`/proc/${inside}/comm`, "utf8")) !== "systemd\n") throw new Error("it isn't systemd yet");
			return Number(inside);
		}, START_MS);
		await eventually(() => this.ctl("list-units"), START_MS);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const hasEnded = this.#child.exitCode !== null || this.#child.signalCode !== null;
		const ended = hasEnded ? undefined : once(this.#child, "exit");
		this.#child.kill("SIGKILL");
		await ended;
		for (const hierarchy of [CGROUPS, ...(await readdir(CGROUPS)).map((name) => join(CGROUPS, name))])
			await eventually(() => removeTree(join(hierarchy, this.#cgroup)), START_MS);
		await rm(this.#units, { recursive: true });
	}
}

/** From the leaves up, as cgroupfs wants it. */
async function removeTree(directory: string): Promise<void> {
	const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined);
	if (entries === undefined) return;
	for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
	await rmdir(directory);
}
