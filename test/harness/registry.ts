import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.js";
import { freePort } from "./free-port.js";
import { watchOver } from "./watcher.js";

/** Debian's docker-registry, as the set-up of tests unpacks it. */
const PROGRAM = fileURLToPath(new URL("../../node_modules/.berth/docker-registry/usr/bin/docker-registry", import.meta.url));

/** A login with characters that mean something in a URL and in a list. */
export const LOGIN = { username: "tester", password: "s3cret,:@/" } as const;
const HTPASSWD = `${LOGIN.username}:$2y$04$49Z3.R1PyinwgDikZleTV.pB17a7ncxaCAxhqULQ//GK8u97nKnwO\n`;

/** An OCI registry of our own, with its own directory. Whoever started it stops it. */
export class Registry implements AsyncDisposable {
	readonly host: string;
	readonly directory: string;
	#child: ChildProcess | undefined;

	private constructor(host: string, directory: string) {
		this.host = host;
		this.directory = directory;
	}

	/** @param auth the `auth` section of its configuration (YAML flow); `login`: the one above is wanted */
	static async start(auth: "none" | "login" | { readonly yaml: string } = "none", address = "127.0.0.1"): Promise<Registry> {
		const directory = await mkdtemp(join(tmpdir(), "registry-"));
		const host = `${address}:${await freePort(address)}`;
		const htpasswd = join(directory, "htpasswd");
		await writeFile(htpasswd, HTPASSWD);
		const section = auth === "none" ? "" : auth === "login" ? `auth: { htpasswd: { realm: test, path: ${htpasswd} } }` : auth.yaml;
		const configuration = `version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: ${join(directory, "data")} }, delete: { enabled: true } }
http: { addr: "${host}", secret: test }
${section}
`;
		await writeFile(join(directory, "config.yml"), configuration);
		const registry = new Registry(host, directory);
		try {
			await registry.resume();
			return registry;
		} catch (error) {
			await registry.stop();
			throw error;
		}
	}

	/** Starts it again after a `halt`, with what it had. */
	async resume(): Promise<void> {
		const child = spawn(PROGRAM, ["serve", join(this.directory, "config.yml")], { stdio: ["ignore", "ignore", "pipe"] });
		this.#child = child;
		// It says each 404; of interest only when it doesn't start.
		let said = "";
		child.stderr?.on("data", (bytes: Buffer) => {
			said = `${said}${bytes}`.slice(-2000);
		});
		try {
			await once(child, "spawn");
			watchOver(child, this.directory);
			await eventually(() => fetch(`http://${this.host}/v2/`));
		} catch (error) {
			throw new Error(`docker-registry doesn't start: ${said}`, { cause: error });
		}
	}

	/** It takes requests and answers none. */
	freeze(): void {
		this.#child?.kill("SIGSTOP");
	}

	thaw(): void {
		this.#child?.kill("SIGCONT");
	}

	/** Ends it; nothing of what it has gets lost. */
	async halt(): Promise<void> {
		const child = this.#child;
		if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
		child.kill();
		this.thaw();
		await once(child, "exit");
	}

	/** As it stands in BERTH_REGISTRIES. */
	get setting(): string {
		return `http://${this.host}`;
	}

	/** The same with the login. */
	get settingWithLogin(): string {
		return `http://${LOGIN.username}:${encodeURIComponent(LOGIN.password)}@${this.host}`;
	}

	/** Where it keeps a blob. */
	blobFile(digest: string): string {
		const hex = digest.slice("sha256:".length);
		return join(this.directory, "data/docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
	}

	async stop(): Promise<void> {
		await this.halt();
		await rm(this.directory, { recursive: true, force: true });
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}
}
