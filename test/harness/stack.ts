import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@berth/client";
import { eventually } from "./eventually.js";
import { keepBases, takeKeptBases } from "./kept-bases.js";
import { clearLeftovers, leftoversOf } from "./leftovers.js";
import { Reaper } from "./reaper.js";

const CLI = fileURLToPath(new URL("../../packages/cli/bin/berth.mjs", import.meta.url));
/** Below a directory that everybody may search: sandboxes run as users of their own. */
const TEMPORARY = "/var/lib/berth-test-";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9";

/** Where a stack is: enough to talk to one that somebody else started. */
export interface StackAddress {
	readonly url: string;
	readonly key: string;
	readonly dataDir: string;
}

/** How a command of the CLI ended. */
export interface CommandResult {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** A command of the CLI that runs. */
export type Command = ChildProcessByStdio<Writable | null, Readable, Readable>;

/** The processes that the supervisor keeps running, by the names it gives them. */
export type ProcessName = "gateway" | "worker" | "launcher" | "redis-durable" | "redis-fast";

interface SupervisorFile {
	readonly supervisor: { readonly pid: number };
	readonly children: readonly { readonly name: string; readonly pid: number }[];
}

/** A whole stack of this machine, driven through its command line. Whoever started it stops it; should its process be killed, a reaper does. */
export class Stack implements AsyncDisposable {
	readonly dataDir: string;
	readonly #env: Readonly<Record<string, string>>;
	/** What the command that starts it is started by. */
	readonly #around: readonly string[];
	/** Of a stack that is ours to stop. */
	readonly #reaper: Reaper | undefined;
	#address: StackAddress;
	#client: Client;

	private constructor(address: StackAddress, env: Readonly<Record<string, string>>, around: readonly string[] = [], reaper?: Reaper) {
		this.dataDir = address.dataDir;
		this.#around = around;
		this.#address = address;
		this.#env = env;
		this.#reaper = reaper;
		this.#client = createClient(address);
	}

	/**
	 * Starts one with a data directory and a port of its own, whose bases are there already when a stack of this run has made them.
	 * @param env settings, `BERTH_…`. @param prepare what is done instead with the data directory, which is empty, before the start; whoever mounts there unmounts before `stop`
	 * @param around a program with its arguments that starts the command which starts it
	 */
	static async start(env: Readonly<Record<string, string>> = {}, prepare = takeKeptBases, around: readonly string[] = []): Promise<Stack> {
		const dataDir = await mkdtemp(TEMPORARY);
		await chmod(dataDir, 0o711);
		const reaper = new Reaper(CLI, dataDir, environment(env));
		try {
			await prepare(dataDir);
			const address = await up(dataDir, env, reaper, around);
			if (prepare === takeKeptBases) await keepBases(dataDir);
			return new Stack(address, env, around, reaper);
		} catch (error) {
			await berth(dataDir, env, ["down", "--json"]);
			await clearLeftovers(dataDir);
			await rm(dataDir, { recursive: true, force: true });
			await reaper.dismiss();
			throw error;
		}
	}

	/** One that is up already; it isn't ours to stop. */
	static attach(address: StackAddress): Stack {
		return new Stack(address, {});
	}

	get url(): string {
		return this.#address.url;
	}

	get key(): string {
		return this.#address.key;
	}

	get address(): StackAddress {
		return this.#address;
	}

	get client(): Client {
		return this.#client;
	}

	/** Runs `berth` for this stack, as root on its machine would. */
	berth(...args: readonly string[]): Promise<CommandResult> {
		return berth(this.dataDir, this.#env, args, { lifeline: this.#reaper?.lifeline });
	}

	/** The same with this on its standard input. */
	berthGiven(input: string, ...args: readonly string[]): Promise<CommandResult> {
		return berth(this.dataDir, this.#env, args, { lifeline: this.#reaper?.lifeline, input });
	}

	/** Starts `berth` for this stack and leaves it to the caller, who ends it. */
	spawn(...args: readonly string[]): Command {
		return spawnBerth(this.dataDir, this.#env, args, { lifeline: this.#reaper?.lifeline });
	}

	/**
	 * Starts it again after a `down`, on whatever port is free then, with the key it had, or another one that it was given meanwhile.
	 * @returns whether it made a key
	 */
	async up(other?: string): Promise<{ readonly madeKey: boolean }> {
		const { url, key } = await up(this.dataDir, this.#env, this.#reaper, this.#around);
		await this.#client.close();
		this.#address = { url, key: other ?? key ?? this.key, dataDir: this.dataDir };
		this.#client = createClient(this.#address);
		return { madeKey: key !== null };
	}

	/** @throws Error when `berth down` fails */
	async down(): Promise<void> {
		succeeded(await this.berth("down", "--json"));
	}

	/**
	 * Takes it down, and its data directory away.
	 * @param mounted mounts of the caller's, unmounted by now: launchers of other stacks that started meanwhile have copies of them
	 * @throws Error naming what it left
	 */
	async stop(mounted: readonly string[] = []): Promise<void> {
		await this.#client.close();
		try {
			await this.down();
			const look = () => leftoversOf(this.dataDir).filter((one) => !mounted.some((path) => one === `mount ${path}`));
			// The kernel takes a hierarchy away in its own time, after the last of its groups.
			const left = await eventually(() => {
				const now = look();
				if (now.some((one) => one.startsWith("hierarchy "))) throw new Error("a hierarchy is there yet");
				return now;
			}).catch(look);
			if (left.length > 0) throw new Error(`the stack left something behind:\n${left.join("\n")}`);
		} finally {
			await clearLeftovers(this.dataDir);
			await rm(this.dataDir, { recursive: true, force: true });
			await this.#reaper?.dismiss();
		}
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}

	/** The pid of the supervisor, which keeps the others running. */
	async supervisorPid(): Promise<number> {
		return (await this.#supervisorFile()).supervisor.pid;
	}

	/** The pid that a process of the stack has now. */
	async pidOf(name: ProcessName): Promise<number> {
		const child = (await this.#supervisorFile()).children.find((candidate) => candidate.name === name);
		if (child === undefined) throw new Error(`no ${name} is running`);
		return child.pid;
	}

	/** kill -9, then waits until the supervisor has another one in its place. */
	killAndAwaitNext(name: ProcessName, withinMs = 30_000): Promise<void> {
		return this.signalAndAwaitNext(name, "SIGKILL", withinMs);
	}

	/** The same with a signal that it ends by. */
	async signalAndAwaitNext(name: ProcessName, signal: NodeJS.Signals, withinMs: number): Promise<void> {
		// It may have ended by itself a moment ago.
		const before = await eventually(async () => {
			const pid = await this.pidOf(name);
			process.kill(pid, signal);
			return pid;
		}, withinMs);
		await eventually(async () => {
			if ((await this.pidOf(name)) === before) throw new Error(`${name} ${before} hasn't been replaced`);
		}, withinMs);
	}

	async #supervisorFile(): Promise<SupervisorFile> {
		return JSON.parse(await readFile(join(this.dataDir, "run", "supervisor.json"), "utf8")) as SupervisorFile;
	}
}

async function up(
	dataDir: string,
	env: Readonly<Record<string, string>>,
	reaper: Reaper | undefined,
	around: readonly string[],
): Promise<StackAddress & { readonly key: string | null }> {
	const result = succeeded(await berth(dataDir, env, ["up", "--detach", "--json", "--port", "0"], { lifeline: reaper?.lifeline, around }));
	const { url, key, ...rest } = JSON.parse(result.stdout);
	// A worker alone has no URL, and an operator's own key isn't said.
	return { ...rest, url: url ?? env["BERTH_URL"] ?? NOWHERE, key: key ?? env["BERTH_API_KEY"] ?? null };
}

function succeeded(result: CommandResult): CommandResult {
	if (result.code !== 0) throw new Error(`berth ended with ${result.code}: ${result.stdout}${result.stderr}`);
	return result;
}

async function berth(
	dataDir: string,
	env: Readonly<Record<string, string>>,
	args: readonly string[],
	{ input, ...how }: Omit<HowItRuns, "stdin"> & { readonly input?: string | undefined } = {},
): Promise<CommandResult> {
	const child = spawnBerth(dataDir, env, args, { ...how, stdin: input === undefined ? "ignore" : "pipe" });
	child.stdin?.end(input);
	const ended = once(child, "close") as Promise<[number | null]>;
	const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
	return { code: code ?? 1, stdout, stderr };
}

interface HowItRuns {
	/** Held while the command runs. */
	readonly lifeline?: Writable | undefined;
	readonly stdin?: "ignore" | "pipe";
	/** What it is started by. */
	readonly around?: readonly string[];
}

function spawnBerth(
	dataDir: string,
	env: Readonly<Record<string, string>>,
	args: readonly string[],
	{ lifeline, stdin = "ignore", around = [] }: HowItRuns,
): Command {
	const [program = "", ...rest] = [...around, process.execPath, CLI, "--data", dataDir, ...args];
	return spawn(program, rest, {
		env: environment(env),
		stdio: [stdin, "pipe", "pipe", lifeline ?? "ignore"],
	}) as Command;
}

/** Ours without settings of Berth, with the Node that runs the tests first on the path, and these. */
function environment(settings: Readonly<Record<string, string>>): Record<string, string> {
	const kept = Object.entries(process.env).filter(
		(pair): pair is [string, string] => pair[1] !== undefined && !/^(?:BERTH_|VITEST|NODE_)/.test(pair[0]),
	);
	const path = `${dirname(process.execPath)}:${process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}`;
	const code = process.env["TEST_CODE"];
	return { ...Object.fromEntries(kept), PATH: path, ...(code === undefined ? {} : { NODE_COMPILE_CACHE: code }), ...settings };
}
