import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, watch } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { type ImageStart, SANDBOX_PATHS, type SpecialiseHead } from "@berth/contracts/agent";

/** How often a socket that is there and refuses is asked again, milliseconds: listen(2) right after bind(2) tells nobody. */
const AGAIN_MS = 1;
/** A process that ends closes its connections first: its end is the better answer, milliseconds. */
const LAST_WORDS_MS = 100;
const SIGKILL = 9;
const SIGNALS: Readonly<Record<string, number>> = {
	SIGHUP: 1,
	SIGINT: 2,
	SIGILL: 4,
	SIGABRT: 6,
	SIGBUS: 7,
	SIGFPE: 8,
	SIGKILL,
	SIGSEGV: 11,
	SIGTERM: 15,
};

/** A program that couldn't be started, or ended before it listened. */
class ProgramError extends Error {
	override readonly name = "ProgramError";
}

/** The function's process. From the moment it listens on, its end is the sandbox's. */
export class Program {
	readonly #name: string;
	readonly #ended: Promise<Error>;
	#listening = false;

	private constructor(child: ChildProcess, name: string) {
		this.#name = name;
		this.#ended = new Promise((resolve) => {
			child.once("error", (error: NodeJS.ErrnoException) => resolve(new ProgramError(this.#unstarted(error))));
			child.once("exit", (code, signal) => resolve(this.#exited(code, signal)));
		});
	}

	/** Starts it; what it prints is the function's log. @param variables of ours that it may have otherwise @throws ProgramError when an image's can't be */
	static start(head: SpecialiseHead, variables: Readonly<Record<string, string>>): Program {
		const { PATH, HOME, LANG, TMPDIR } = process.env;
		const own = {
			BERTH_SOCKET: SANDBOX_PATHS.http,
			BERTH_INVOKE_SOCKET: SANDBOX_PATHS.invoke,
			BERTH_PROJECT: head.project,
			BERTH_FUNCTION: head.function,
			BERTH_VERSION: String(head.version),
		};
		const { args, env, cwd, name } = head.isImage === true ? imageStart(head.entry) : fileStart(head.entry);
		const [program = "", ...more] = args;
		const child = spawn(program, more, {
			cwd,
			env: { PATH, HOME, LANG, TMPDIR, ...env, ...variables, ...head.env, ...own },
			stdio: ["ignore", "inherit", "inherit"],
		});
		return new Program(child, name);
	}

	/** Resolves when it takes connections. @throws ProgramError when it ends before that */
	async listens(socket: string): Promise<void> {
		const ready = new AbortController();
		try {
			const ended = await Promise.race([this.#ended, accepts(socket, ready.signal)]);
			if (ended !== undefined) throw ended;
			this.#listening = true;
		} finally {
			ready.abort();
		}
	}

	/** Resolves after a moment in which its end would have been told: then this process ends with it, and there is no after. */
	async lastWords(): Promise<void> {
		await Promise.race([this.#ended, new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
	}

	#exited(code: number | null, signal: NodeJS.Signals | null): Error {
		const status = code ?? 128 + (SIGNALS[signal ?? ""] ?? 0);
		// Its end is the sandbox's; and who was killed may have been killed for memory, which is the worker's to find out.
		if (this.#listening || status === 128 + SIGKILL) process.exit(status);
		const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
		return new ProgramError(`${this.#name} ${how} before it listened on BERTH_SOCKET`);
	}

	#unstarted({ code = "" }: NodeJS.ErrnoException): string {
		const why: Readonly<Record<string, string>> = {
			ENOENT: "it isn't there, or its interpreter (the line `#!…`, or the dynamic loader of a binary) isn't",
			EACCES: "it, or its interpreter, isn't executable",
			ENOEXEC: "it isn't in a format that this system executes",
		};
		return `${this.#name} can't be started: ${why[code] ?? code}`;
	}
}

type Start = ImageStart & { readonly name: string };

/** A file of the function's own, in its directory. */
function fileStart(entry: string): Start {
	return { args: [entry], env: {}, cwd: dirname(entry), name: entry.slice(SANDBOX_PATHS.code.length + 1) };
}

/** As the image's config says, which its layer has as a file. */
function imageStart(entry: string): Start {
	const start = JSON.parse(readFileSync(entry, "utf8")) as ImageStart;
	const name = start.args[0] ?? "";
	if (!existsSync(start.cwd)) throw new ProgramError(`${name} can't be started: the image's WorkingDir, ${start.cwd}, isn't there`);
	const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	return { ...start, env: { PATH, ...start.env }, name };
}

/** Resolves when something takes connections on the socket. A connection without a request is how that is found out. */
async function accepts(socket: string, end: AbortSignal): Promise<undefined> {
	let changed = Promise.withResolvers<void>();
	watch(dirname(socket), { signal: end }, () => changed.resolve());
	while (!end.aborted) {
		// Before the look: what changes after it isn't missed.
		changed = Promise.withResolvers<void>();
		const refusal = await refusalOf(socket);
		if (refusal === undefined) return undefined;
		if (refusal === "ENOENT") await changed.promise;
		else await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
	}
	return undefined;
}

function refusalOf(path: string): Promise<string | undefined> {
	return new Promise((resolve) => {
		const socket = connect(path);
		socket.once("connect", () => {
			socket.destroy();
			resolve(undefined);
		});
		socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => resolve(code));
	});
}
