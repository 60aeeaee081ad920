import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { containersOf } from "./docker-containers.js";
import { eventually } from "./eventually.js";
import { watchOver } from "./watcher.js";

/** Debian's docker.io and containerd, as the set-up of tests unpacks them. */
const UNPACKED = fileURLToPath(new URL("../../node_modules/.berth/docker/", import.meta.url));
/** A group of nobody's: whoever is in it may use the socket. */
const GROUP = 64_771;

/** A Docker Engine of our own, beside whatever runs on this machine: its own data, state, socket, and no network. Whoever started it stops it. */
export class DockerDaemon implements AsyncDisposable {
	readonly directory: string;
	readonly #child: ChildProcess;

	private constructor(directory: string, child: ChildProcess) {
		this.directory = directory;
		this.#child = child;
	}

	static async start(): Promise<DockerDaemon> {
		const directory = await mkdtemp("/var/lib/berth-dockerd-");
		await chmod(directory, 0o711);
		const at = (name: string) => join(directory, name);
		const args = ["--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid"), "--host", `unix://${at("docker.sock")}`];
		const alone = ["--group", String(GROUP), "--iptables=false", "--ip6tables=false", "--bridge=none"];
		const path = [join(UNPACKED, "usr/bin"), join(UNPACKED, "usr/sbin"), process.env["PATH"] ?? ""].join(delimiter);
		const child = spawn(join(UNPACKED, "usr/sbin/dockerd"), [...args, ...alone], {
			env: { PATH: path },
			stdio: ["ignore", "ignore", "pipe"],
		});
		// It says much; of interest only when it doesn't start.
		let said = "";
		child.stderr?.on("data", (bytes: Buffer) => {
			said = `${said}${bytes}`.slice(-3000);
		});
		const daemon = new DockerDaemon(directory, child);
		try {
			await once(child, "spawn");
			watchOver(child, directory);
			await eventually(() => daemon.ask("GET", "/_ping"));
			return daemon;
		} catch (error) {
			await daemon.stop();
			throw new Error(`dockerd doesn't start: ${said}`, { cause: error });
		}
	}

	get socketPath(): string {
		return join(this.directory, "docker.sock");
	}

	/** For a stack that is to use it. */
	get settings(): Readonly<Record<string, string>> {
		return { BERTH_ENGINE: "docker", BERTH_DOCKER_SOCKET: this.socketPath };
	}

	/** Docker's own command line. */
	docker(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
		return promisify(execFile)(join(UNPACKED, "usr/bin/docker"), ["--host", `unix://${this.socketPath}`, ...args], {
			env: { HOME: this.directory },
		});
	}

	/** Asks the Engine API by another way than the one that is tested. */
	async ask<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
		const asked = request({ socketPath: this.socketPath, method, path, headers: { "content-type": "application/json" } });
		asked.end(body === undefined ? undefined : JSON.stringify(body));
		const [response] = (await once(asked, "response")) as [import("node:http").IncomingMessage];
		const answer = await text(response);
		if ((response.statusCode ?? 0) >= 400) throw new Error(`${method} ${path}: ${response.statusCode} ${answer}`);
		return (answer.startsWith("{") || answer.startsWith("[") ? JSON.parse(answer) : answer) as Answer;
	}

	/** Name of a function's image, of its first version. @throws Error when it isn't there */
	async imageOf(name: string): Promise<string> {
		const found = (await this.imagesOfBerth()).find((one) => one.endsWith(`/default/${name}:1`));
		if (found === undefined) throw new Error(`the Engine has no image of ${name}`);
		return found;
	}

	/** Names of the images that a stack made, of its functions, and ids of those that its Dockerfiles made. */
	async imagesOfBerth(): Promise<readonly string[]> {
		type Image = {
			readonly Id: string;
			readonly RepoTags: readonly string[] | null;
			readonly Labels: Readonly<Record<string, string>> | null;
		};
		const all = await this.ask<readonly Image[]>("GET", "/images/json?all=1");
		return all.flatMap(({ Id, RepoTags, Labels }) => {
			const isOfBuild = Object.keys(Labels ?? {}).some((label) => label.startsWith("dev.berth.build.node_"));
			return [...(RepoTags ?? []).filter((name) => name.startsWith("berth/")), ...(isOfBuild ? [Id] : [])];
		});
	}

	/** Names of the containers that are there, running or not. */
	containers(): Promise<readonly string[]> {
		return containersOf(this.socketPath);
	}

	/** Names of networks but Docker's own. */
	async networks(): Promise<readonly string[]> {
		const all = await this.ask<readonly { readonly Name: string }[]>("GET", "/networks");
		return all.map(({ Name }) => Name).filter((name) => !["bridge", "host", "none"].includes(name));
	}

	async stop(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
			this.#child.kill();
			await once(this.#child, "exit");
		}
		// Where it made networks of its own it leaves this mounted.
		await promisify(execFile)("umount", [join(this.directory, "exec/netns/default")]).catch(() => undefined);
		await rm(this.directory, { recursive: true, force: true });
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}
}
