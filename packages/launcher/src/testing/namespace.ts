import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

/** A network namespace that lives as long as a process of ours, with programs run in it. */
export class Namespace implements AsyncDisposable {
	readonly pid: number;
	readonly #processes: ChildProcess[];

	private constructor(holder: ChildProcess) {
		this.pid = holder.pid as number;
		this.#processes = [holder];
	}

	static async make(): Promise<Namespace> {
		const holder = spawn("unshare", ["--net", "sleep", "infinity"], { stdio: "ignore" });
		await once(holder, "spawn");
		// It becomes sleep when it is in its namespace.
		while (readFileSync(`/proc/${holder.pid}/comm`, "utf8").trim() !== "sleep") await new Promise((resolve) => setImmediate(resolve));
		const namespace = new Namespace(holder);
		namespace.run("ip", "link", "set", "lo", "up");
		return namespace;
	}

	/** What a program in it prints. @throws Error when it fails */
	run(...command: readonly string[]): string {
		return execFileSync("nsenter", ["--net", `--target=${this.pid}`, ...command], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
	}

	/** What a script of Node's in it prints. */
	async node(script: string): Promise<string> {
		const child = this.#spawn(script);
		return (await text(child.stdout as NodeJS.ReadableStream)).trim();
	}

	/** The same for one that goes on until the namespace is disposed of: resolves with the first that it prints. */
	async serve(script: string, ...args: readonly string[]): Promise<string> {
		const child = this.#spawn(script, args);
		this.#processes.push(child);
		const failed = once(child, "exit").then(([code]) => {
			throw new Error(`a server ended with ${String(code)}`);
		});
		failed.catch(() => undefined);
		const [bytes] = (await Promise.race([once(child.stdout as NodeJS.ReadableStream, "data"), failed])) as [Buffer];
		return bytes.toString().trim();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(this.#processes.splice(0).map(end));
	}

	#spawn(script: string, args: readonly string[] = []): ChildProcess {
		const command = ["--net", `--target=${this.pid}`, process.execPath, "-e", script, "--", ...args];
		return spawn("nsenter", command, { stdio: ["ignore", "pipe", "inherit"] });
	}
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	child.kill("SIGKILL");
	await once(child, "exit");
}
