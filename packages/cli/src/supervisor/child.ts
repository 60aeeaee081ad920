import { type ChildProcess, spawn } from "node:child_process";
import type { FileHandle } from "node:fs/promises";
import type { Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../system-errors.js";
import { logPath, logSink, openLog } from "./log-file.js";
import { identityOf, type ProcessIdentity } from "./process-identity.js";
import { type ReadyLine, readyLine } from "./ready-line.js";

/** How to run one process of the stack. */
export interface ChildSpec {
	readonly name: string;
	readonly command: string;
	readonly args: readonly string[];
	/** The whole environment. */
	readonly env: Readonly<Record<string, string>>;
	/** A ready line on stdout, its end with code 0, or a probe that resolves when it is ready. */
	readonly readiness: "line" | "exit" | ((signal: AbortSignal) => Promise<void>);
	readonly readyTimeoutMs: number;
	/** Milliseconds between SIGTERM and SIGKILL. */
	readonly stopGraceMs: number;
	/** Directory of its log, `<name>.log`. */
	readonly logs: string;
	/** What tells it that another one takes its place. Default: SIGTERM. */
	readonly retireSignal?: NodeJS.Signals;
	/** Descriptors of ours that it gets, as 3 and so on. */
	readonly fds?: readonly number[];
	/** Hears of lines `{"progress":"…"}` that it prints before it is ready. */
	readonly progress?: (text: string) => void;
}

/** How a process ended. */
export interface Exit {
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
}

/** A process that didn't get ready: it ended, couldn't be started, or took too long. */
export class StartError extends Error {
	override readonly name = "StartError";
	readonly child: string;
	/** Where in its log this start begins, bytes. */
	logFrom = 0;

	constructor(child: string, what: string) {
		super(`${child} ${what}`);
		this.child = child;
	}
}

/** The identity of a process that has ended before it could be looked at: none has it. */
const NOBODY: ProcessIdentity = { pid: -1, startTicks: -1, bootId: "" };

/** `exited with code 1`, `was ended by SIGKILL`. */
export function exitText({ code, signal }: Exit): string {
	return signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
}

/**
 * A running process of the stack. Its stdin is a pipe that only we hold, so that it sees our end; it has a
 * session of its own, so that Ctrl-C reaches us alone and the order of stopping is ours. What it prints goes to its log.
 */
export class Child {
	readonly exited: Promise<Exit>;
	readonly identity: ProcessIdentity;
	readonly ready: ReadyLine;
	readonly #process: ChildProcess;
	readonly #stopGraceMs: number;
	readonly #retireSignal: NodeJS.Signals;

	private constructor(spec: ChildSpec, child: ChildProcess, exited: Promise<Exit>, identity: ProcessIdentity, ready: ReadyLine) {
		this.#stopGraceMs = spec.stopGraceMs;
		this.#retireSignal = spec.retireSignal ?? "SIGTERM";
		this.#process = child;
		this.exited = exited;
		this.identity = identity;
		this.ready = ready;
	}

	/**
	 * Starts it and waits until it is ready, raced against its end, its time, and the signal.
	 * @param spawned hears of the process as soon as there is one
	 * @throws StartError, or the signal's reason; the process is gone then
	 */
	static async start(spec: ChildSpec, signal: AbortSignal, spawned: (identity: ProcessIdentity) => void = () => undefined): Promise<Child> {
		signal.throwIfAborted();
		const log = await openLog(spec.logs, spec.name);
		const { size } = await log.stat();
		const child = spawn(spec.command, spec.args, { env: spec.env, stdio: ["pipe", "pipe", log.fd, ...(spec.fds ?? [])], detached: true });
		const exited = exitOf(child);
		const sink = sinkOf(child, log, logPath(spec.logs, spec.name));
		const line = child.stdout === null ? never() : readyLine(child.stdout, sink, spec.progress);
		const waiting = new AbortController();
		try {
			const identity = await identityOrFailure(spec, child, exited);
			spawned(identity);
			const ready = await Promise.race([
				typeof spec.readiness === "function" ? spec.readiness(waiting.signal).then((): ReadyLine => ({})) : line,
				exited.then((exit) => endedEarly(spec, exit)),
				lateness(spec, waiting.signal),
				abortion(signal, waiting.signal),
			]);
			return new Child(spec, child, exited, identity, ready);
		} catch (error) {
			await endOf(child, exited, spec.stopGraceMs).catch(() => undefined);
			if (!sink.writableEnded) sink.end();
			if (error instanceof StartError) error.logFrom = size;
			throw error;
		} finally {
			waiting.abort();
		}
	}

	/** SIGTERM, then SIGKILL after the grace; resolves when it has ended. */
	stop(): Promise<Exit> {
		return endOf(this.#process, this.exited, this.#stopGraceMs);
	}

	/** The signal that another one takes its place, and SIGKILL after `graceMs`; resolves when it has ended. */
	retire(graceMs = this.#stopGraceMs): Promise<Exit> {
		return endOf(this.#process, this.exited, graceMs, this.#retireSignal);
	}

	kill(): void {
		this.#process.kill("SIGKILL");
	}
}

/** Resolves at the process's end; rejects when it couldn't be started at all. */
function exitOf(child: ChildProcess): Promise<Exit> {
	const exited = new Promise<Exit>((resolve, reject) => {
		child.once("error", reject);
		child.once("exit", (code, signal) => resolve({ code, signal }));
	});
	// Whoever waits hears of it; that nobody waits yet is no failure of ours.
	exited.catch(() => undefined);
	// A process that ends closes the pipe under us; its end is what counts.
	child.stdin?.on("error", () => undefined);
	return exited;
}

async function endOf(child: ChildProcess, exited: Promise<Exit>, graceMs: number, signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
	child.kill(signal);
	const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
	try {
		return await exited;
	} finally {
		clearTimeout(timer);
	}
}

/** The process's log as a stream that ends, and closes the file, with the process. */
function sinkOf(child: ChildProcess, log: FileHandle, path: string): Writable {
	const sink = logSink(log, path);
	// A full disk takes the log, not the process.
	sink.on("error", () => undefined);
	child.once("close", () => sink.end());
	return sink;
}

async function identityOrFailure(spec: ChildSpec, child: ChildProcess, exited: Promise<Exit>): Promise<ProcessIdentity> {
	const identity = child.pid === undefined ? undefined : await identityOf(child.pid);
	if (identity !== undefined) return identity;
	await exited.catch((error: unknown) => Promise.reject(new StartError(spec.name, `can't be started: ${messageOf(error)}`)));
	return { ...NOBODY, pid: child.pid ?? NOBODY.pid };
}

/** The one-shot's end with code 0 is what it was started for. */
function endedEarly(spec: ChildSpec, exit: Exit): ReadyLine {
	if (spec.readiness === "exit" && exit.code === 0) return {};
	throw new StartError(spec.name, spec.readiness === "exit" ? exitText(exit) : `${exitText(exit)} before it was ready`);
}

async function lateness(spec: ChildSpec, over: AbortSignal): Promise<never> {
	await pause(spec.readyTimeoutMs, undefined, { signal: over });
	throw new StartError(spec.name, `wasn't ready after ${spec.readyTimeoutMs / 1000} s`);
}

function abortion(signal: AbortSignal, over: AbortSignal): Promise<never> {
	return new Promise((_, reject) => {
		if (signal.aborted) reject(signal.reason);
		else signal.addEventListener("abort", () => reject(signal.reason), { once: true, signal: over });
	});
}

function never(): Promise<never> {
	return new Promise(() => undefined);
}
