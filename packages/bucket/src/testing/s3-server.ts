import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "@20minutes/s3rver";
import type { BucketPlace } from "../bucket.js";

/** What this server is made with. */
const KEY = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };

/** An S3 server of a test's own with one bucket. Whoever started it disposes of it. */
export class S3Server implements AsyncDisposable {
	readonly #address: string;
	readonly #directory: string;
	#server: S3rver | undefined;
	#port = 0;

	private constructor(address: string, directory: string) {
		this.#address = address;
		this.#directory = directory;
	}

	static async start(address = "127.0.0.1"): Promise<S3Server> {
		const server = new S3Server(address, await mkdtemp(join(tmpdir(), "s3-")));
		await server.resume();
		return server;
	}

	/** Its bucket. @param prefix of its own: nobody else's names are there */
	place(prefix = ""): BucketPlace {
		return { endpoint: `http://${this.#address}:${this.#port}`, region: "us-east-1", bucket: "payloads", prefix, ...KEY };
	}

	/** Starts it again after a `halt`, on the same port, with what it had. */
	async resume(): Promise<void> {
		const options = { address: this.#address, silent: true, directory: this.#directory, configureBuckets: [{ name: "payloads" }] };
		this.#server = new S3rver({ port: this.#port, ...options });
		this.#port = (await this.#server.run()).port;
	}

	async halt(): Promise<void> {
		await this.#server?.close();
		this.#server = undefined;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.halt();
		await rm(this.#directory, { recursive: true, force: true });
	}
}
