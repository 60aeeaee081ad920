import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { environment, ROOT } from "../setup/places.mjs";

const CLI = join(ROOT, "packages", "cli", "bin", "berth.mjs");
/** Below a directory that everybody may search: sandboxes run as users of their own. */
const TEMPORARY = "/var/lib/berth-";
const LOOK_MS = 1000;

/** A stack of this machine, driven through its command line. Whoever started it stops it. */
export class Stack {
	/** Base URL of its gateway. */
	url;
	/** An API key for it. */
	key;
	/** Whether the key was made at this start. */
	keyIsNew;
	dataDir;
	/** Whether it was up before. */
	wasUp;
	#supervisor;
	#temporary;
	#environment;

	/**
	 * @param {{dataDir?: string, port: number, env?: Record<string, string>, signal: AbortSignal}} options without a
	 *   dataDir it gets a temporary one, which `stop` removes
	 */
	static async start({ dataDir, port, env = {}, signal }) {
		const stack = new Stack();
		stack.#temporary = dataDir === undefined;
		stack.#environment = env;
		stack.dataDir = dataDir ?? (await temporaryDirectory());
		try {
			await stack.#up(port, signal);
		} catch (error) {
			await stack.stop();
			throw error;
		}
		return stack;
	}

	/**
	 * Runs `berth` for this stack.
	 * @param {readonly string[]} args
	 * @param {{quiet?: boolean, signal?: AbortSignal}} [options] quiet: its result is returned, not shown
	 * @returns {Promise<string>} its standard output when quiet
	 */
	berth(args, { quiet = false, signal } = {}) {
		return run(["--data", this.dataDir, ...args], { quiet, signal, env: this.#environment });
	}

	/** Takes it down, unless it was up before; what was temporary is gone then. */
	async stop() {
		if (this.wasUp) return;
		await this.berth(["down", "--json"], { quiet: true });
		if (this.#temporary) await rm(this.dataDir, { recursive: true, force: true });
	}

	/**
	 * Resolves when its supervisor has ended without us: killed, or stopped from elsewhere. It is nobody's child here, so it
	 * is looked for every second.
	 * @param {AbortSignal} signal ends the waiting, and resolves it
	 */
	async untilGone(signal) {
		while (!signal.aborted && (await isThere(this.#supervisor))) await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
	}

	async #up(port, signal) {
		const running = await runningUrl(this.dataDir);
		this.wasUp = running !== undefined;
		const ready = this.wasUp
			? { url: running, key: null }
			: JSON.parse(await this.berth(["up", "--detach", "--json", "--port", String(port)], { quiet: true, signal }));
		this.url = ready.url;
		this.#supervisor = (await stateIn(this.dataDir)).supervisor.pid;
		this.keyIsNew = ready.key !== null;
		this.key = ready.key ?? (await readFile(join(this.dataDir, "admin.key"), "utf8")).trim();
	}
}

async function temporaryDirectory() {
	const directory = await mkdtemp(TEMPORARY);
	await chmod(directory, 0o711);
	return directory;
}

/** The gateway of the stack that is up in a data directory, if one is, and answers. */
async function runningUrl(dataDir) {
	try {
		const { url } = await stateIn(dataDir);
		return (await fetch(`${url}/livez`)).ok ? url : undefined;
	} catch {
		// No state, or nobody answers there: `berth up` says what is the matter, if anything is.
		return undefined;
	}
}

async function stateIn(dataDir) {
	return JSON.parse(await readFile(join(dataDir, "run", "supervisor.json"), "utf8"));
}

/** Whether a process runs: one that has ended and that nobody has waited for has a pid, too (proc_pid_stat(5), state Z). */
async function isThere(pid) {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, "utf8");
		return stat[stat.lastIndexOf(")") + 2] !== "Z";
	} catch {
		return false;
	}
}

function run(args, { quiet, signal, env }) {
	signal?.throwIfAborted();
	const child = spawn(process.execPath, [CLI, ...args], {
		stdio: ["ignore", quiet ? "pipe" : "inherit", "inherit"],
		env: environment(env),
	});
	// It cleans up after itself: only when it has ended is it over.
	const stop = () => child.kill("SIGTERM");
	signal?.addEventListener("abort", stop, { once: true });
	let output = "";
	child.stdout?.setEncoding("utf8").on("data", (text) => (output += text));
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => {
			signal?.removeEventListener("abort", stop);
			if (signal?.aborted) reject(signal.reason);
			else if (code === 0) resolve(output);
			else reject(new Error(`\`berth ${args.slice(2).join(" ")}\` ended with ${code}${output === "" ? "" : `: ${detailIn(output)}`}`));
		});
	});
}

/** With --json a failure is a document, too. */
function detailIn(output) {
	try {
		return JSON.parse(output).error.detail;
	} catch {
		return output.trimEnd();
	}
}
