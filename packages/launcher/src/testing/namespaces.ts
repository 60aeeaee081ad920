import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";

/** A network namespace that lives as long as a process of ours, with programs run in it. */
export class Namespace implements AsyncDisposable {
	readonly #holder: ChildProcess;
	readonly pid: number;
	readonly #running: ChildProcess[] = [];

	private constructor(holder: ChildProcess, pid: number) {
		this.#holder = holder;
		this.pid = pid;
	}

	static async make(): Promise<Namespace> {
		const holder = spawn("unshare", ["--net", "sleep", "infinity"], { stdio: "ignore" });
		const pid = holder.pid as number;
		while (
			readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync("/proc/self/ns/net") ||
			!readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("sleep")
		)
			await new Promise((resolve) => setImmediate(resolve));
		const namespace = new Namespace(holder, pid);
		namespace.run("ip", "link", "set", "lo", "up");
		return namespace;
	}

	/** What a program in it prints. @throws Error when it fails */
	run(...command: readonly string[]): string {
		return execFileSync("nsenter", ["--net", `--target=${this.pid}`, ...command], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
	}

	/** What a script of Node's in it prints. */
	node(script: string): Promise<string> {
		return textOf(this.#spawn(script));
	}

	/** The same for one that goes on: resolves with its first line. */
	async serve(script: string, ...args: readonly string[]): Promise<string> {
		const child = this.#spawn(script, args);
		this.#running.push(child);
		const [line] = (await Promise.race([
			once(child.stdout as NodeJS.ReadableStream, "data"),
			once(child, "exit").then(([code]) => {
				throw new Error(`the server ended with ${String(code)}`);
			}),
		])) as [Buffer];
		return line.toString().trim();
	}

	#spawn(script: string, args: readonly string[] = []): ChildProcess {
		return spawn("nsenter", ["--net", `--target=${this.pid}`, process.execPath, "-e", script, "--", ...args], {
			stdio: ["ignore", "pipe", "inherit"],
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const ended = [this.#holder, ...this.#running].map(async (child) => {
			if (child.exitCode === null && child.signalCode === null) {
				child.kill("SIGKILL");
				await once(child, "exit");
			}
		});
		await Promise.all(ended);
	}
}

async function textOf(child: ChildProcess): Promise<string> {
	let text = "";
	child.stdout?.on("data", (chunk: Buffer) => {
		text += chunk.toString();
	});
	const [code] = (await once(child, "close")) as [number | null];
	if (code !== 0) throw new Error(`a script ended with ${code}: ${text}`);
	return text.trim();
}
