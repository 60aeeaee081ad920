import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import {
	encodeFrame,
	type Frame,
	FrameDecoder,
	type HostReport,
	LAUNCHER_BOUNDS,
	LAUNCHER_EXIT,
	LAUNCHER_PROBLEM,
	LAUNCHER_VERBS,
	type LauncherProblem,
	type SandboxExit,
} from "@berth/contracts";
import type { Host } from "./host.js";
import { ImportQueue } from "./import-queue.js";
import type { LayerStore } from "./layers.js";
import { read } from "./requests.js";
import type { Sandboxes } from "./sandboxes.js";
import type { SandboxStorage } from "./storage/sandbox-storage.js";

type Fields = Readonly<Record<string, unknown>>;

/** What one connection has under way, and has booted. */
interface Client {
	readonly imports: ImportQueue;
	readonly booted: Set<string>;
}

export interface LauncherServerOptions {
	readonly host: Host;
	readonly layers: LayerStore;
	readonly sandboxes: Sandboxes;
	readonly storage: SandboxStorage;
	/** Told of what nobody waits for. */
	readonly onTrouble: (message: string, error: unknown) => void;
}

/** The launcher's socket: only the service user may connect; every request is one of the verbs. */
export class LauncherServer {
	readonly #server: Server;
	readonly #connections = new Set<Socket>();
	readonly #host: Host;
	readonly #layers: LayerStore;
	readonly #sandboxes: Sandboxes;
	readonly #storage: SandboxStorage;
	readonly #onTrouble: (message: string, error: unknown) => void;

	constructor({ host, layers, sandboxes, storage, onTrouble }: LauncherServerOptions) {
		this.#onTrouble = onTrouble;
		this.#host = host;
		this.#layers = layers;
		this.#sandboxes = sandboxes;
		this.#storage = storage;
		this.#server = createServer((socket) => this.#serve(socket));
	}

	async listen(path: string, serviceUid: number): Promise<void> {
		rmSync(path, { force: true });
		await new Promise<void>((resolve, reject) => {
			this.#server.once("error", reject);
			this.#server.listen(path, resolve);
		});
		chownSync(path, serviceUid, serviceUid);
		chmodSync(path, 0o600);
	}

	/** Tells every connection that a sandbox ended. */
	announce(exit: SandboxExit): void {
		const frame = encodeFrame(LAUNCHER_EXIT, exit);
		for (const socket of this.#connections) socket.write(frame);
	}

	async close(): Promise<void> {
		const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
		for (const socket of this.#connections) socket.destroy();
		await closed;
	}

	#serve(socket: Socket): void {
		this.#connections.add(socket);
		const decoder = new FrameDecoder(LAUNCHER_BOUNDS);
		const imports = new ImportQueue(this.#layers, this.#onTrouble);
		const booted = new Set<string>();
		socket.on("data", (chunk: Buffer) => {
			try {
				for (const frame of decoder.push(chunk)) void this.#answer(socket, frame, { imports, booted });
			} catch (error) {
				socket.destroy(error as Error);
			}
		});
		socket.on("error", () => socket.destroy());
		socket.on("close", () => {
			this.#connections.delete(socket);
			void imports.abort();
			this.#removeAll(booted);
		});
	}

	/** Whoever booted them is gone: nobody will ever ask for them again. */
	#removeAll(booted: ReadonlySet<string>): void {
		for (const id of booted) this.#sandboxes.remove(id).catch((error: unknown) => this.#onTrouble(`${id} couldn't be removed`, error));
	}

	async #answer(socket: Socket, { type, head, body }: Frame, client: Client): Promise<void> {
		const fields = (typeof head === "object" && head !== null ? head : {}) as Fields;
		const seq = typeof fields["seq"] === "number" ? fields["seq"] : 0;
		try {
			const result = await this.#perform(type, fields, body, client);
			if (socket.writable) socket.write(encodeFrame(type, { ...result, seq }));
		} catch (error) {
			if (socket.writable) socket.write(encodeFrame(LAUNCHER_PROBLEM, problemOf(seq, error)));
		}
	}

	async #perform(type: number, head: Fields, body: Uint8Array, { imports, booted }: Client): Promise<object> {
		switch (type) {
			case LAUNCHER_VERBS.host: {
				const { cgroups, ociRuntime, ociRuntimeVersion } = this.#host;
				const [networks, storage] = [this.#sandboxes.networks(), this.#storage.report()];
				return { cgroups, ociRuntime, ociRuntimeVersion, networks, storage } satisfies HostReport;
			}
			case LAUNCHER_VERBS.hasLayer:
				return { present: this.#layers.has(read.layer(head).digest) };
			case LAUNCHER_VERBS.importLayer:
				await imports.take(read.import(head), body);
				return {};
			case LAUNCHER_VERBS.dropLayers: {
				const { unusedForMs } = read.dropLayers(head);
				return { dropped: await this.#layers.drop(unusedForMs, () => this.#sandboxes.layersInUse()) };
			}
			case LAUNCHER_VERBS.boot: {
				const request = read.boot(head);
				booted.add(request.sandbox);
				return await this.#sandboxes.boot(request);
			}
			case LAUNCHER_VERBS.specialise:
				return await this.#sandboxes.specialise(read.specialise(head));
			case LAUNCHER_VERBS.kill:
				await this.#sandboxes.kill(read.sandbox(head).sandbox);
				return {};
			case LAUNCHER_VERBS.remove:
				await this.#sandboxes.remove(read.sandbox(head).sandbox);
				booted.delete(read.sandbox(head).sandbox);
				return {};
			case LAUNCHER_VERBS.makeVolume: {
				const { volume, sizeMiB } = read.makeVolume(head);
				return await this.#storage.makeVolume(volume, sizeMiB);
			}
			case LAUNCHER_VERBS.removeVolume:
				await this.#sandboxes.removeVolume(read.volume(head).volume);
				return {};
			default:
				throw new Error(`${type} isn't a verb`);
		}
	}
}

/** A disk that is full is told apart: waiting helps, and nothing is wrong with what was asked for. */
function problemOf(seq: number, error: unknown): LauncherProblem {
	const { message, code } = error as NodeJS.ErrnoException;
	return { seq, message, ...(code === "ENOSPC" || code === "EDQUOT" ? { diskFull: true } : {}) };
}
