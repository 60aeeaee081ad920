import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parse } from "yaml";
import type { DockerDaemon } from "./docker-engine.js";
import { freePort } from "./free-port.js";
import { goProgramWithin } from "./go-modules.js";
import { Stack } from "./stack.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FILE = join(ROOT, "infra/docker-compose.yml");
/** The newest 2 of which the Go registry has all; two and a half minutes of two cores, once. */
const COMPOSE = "v2.40.3";
const KEY = `berth_${"a".repeat(43)}`;
const CAP_SYS_RESOURCE = 24n;
/** What an image's build prints is much. */
const MUCH = 2 ** 26;

/** infra/docker-compose.yml as Compose 2 starts it, in an Engine of a test's own, and a bucket beside it. Whoever made it stops it. */
export class Composition implements AsyncDisposable {
	/** Of the worker, in its container. Cgroups have names by it: no other stack of this machine's has the same. */
	readonly dataDir = `/var/lib/berth-test-compose-${process.pid}`;
	readonly stack: Stack;
	readonly #program: string;
	readonly #directory: string;
	readonly #env: Readonly<Record<string, string>>;

	private constructor(daemon: DockerDaemon, program: string, directory: string, port: number) {
		this.#program = program;
		this.#directory = directory;
		this.#env = {
			PATH: process.env["PATH"] ?? "",
			HOME: directory,
			DOCKER_HOST: `unix://${daemon.socketPath}`,
			// BuildKit of an Engine without a bridge has no network for a build.
			DOCKER_BUILDKIT: "0",
			REDIS_IMAGE: "redis:test",
			REGISTRY_IMAGE: "registry:test",
			BERTH_REDIS_PASSWORD: "secret",
			BERTH_PAYLOAD_STORE: "s3://S3RVER:S3RVER@payloads/of-a-test?region=us-east-1&endpoint=http://bucket:9000",
			BERTH_SECRETS_KEY: "5".repeat(64),
			BERTH_ADMIN_KEY_SHA256: createHash("sha256").update(KEY).digest("hex"),
			BERTH_MEMORY_MIB: "1024",
			BERTH_PUBLISH: `127.0.0.1:${port}`,
		};
		this.stack = Stack.attach({ url: `http://127.0.0.1:${port}`, key: KEY, dataDir: this.dataDir });
	}

	static async of(daemon: DockerDaemon): Promise<Composition> {
		const program = await goProgramWithin("compose", "github.com/docker/compose/v2", COMPOSE, "./cmd");
		const directory = await mkdtemp(join(tmpdir(), "berth-compose-"));
		const composition = new Composition(daemon, program, directory, await freePort());
		await writeFile(composition.#overrides, await overrides(composition.dataDir));
		return composition;
	}

	/** Runs Compose. @throws Error with what it said */
	async compose(...args: readonly string[]): Promise<string> {
		const all = ["--project-name", "berth-test", "--file", FILE, "--file", this.#overrides, ...args];
		const { stdout } = await promisify(execFile)(this.#program, all, { env: this.#env, maxBuffer: MUCH }).catch(
			(error: { stdout: string; stderr: string }) => Promise.reject(new Error(`${error.stdout}${error.stderr}`)),
		);
		return stdout.trim();
	}

	/** Starts what is built, and waits until the gateway has a worker. @throws Error with what both have logged */
	async up(): Promise<void> {
		try {
			await this.compose("up", "--detach", "--no-build", "--wait");
		} catch (error) {
			throw new Error(await this.compose("logs", "--tail", "30", "gateway", "worker"), { cause: error });
		}
	}

	/** Id of a service's container, also of one that ended. */
	containerOf(service: string): Promise<string> {
		return this.compose("ps", "--all", "--quiet", service);
	}

	get #overrides(): string {
		return join(this.#directory, "overrides.yml");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.compose("down", "--volumes", "--timeout", "60");
		await rm(this.#directory, { recursive: true });
	}
}

/**
 * What a test's differs in: a bucket of its own, which the file leaves to its user; a data directory that nothing else here has; a network for
 * builds; and no capability that this machine hasn't got itself, since none can be given that isn't there.
 */
async function overrides(dataDir: string): Promise<string> {
	const { services } = parse(await readFile(FILE, "utf8"), { merge: true }) as { services: { worker: { cap_add: readonly string[] } } };
	const bounds = BigInt(`0x${/^CapBnd:\s+(\w+)/m.exec(await readFile("/proc/self/status", "utf8"))?.[1]}`);
	const given = services.worker.cap_add.filter((name) => name !== "SYS_RESOURCE" || (bounds >> CAP_SYS_RESOURCE) % 2n === 1n);
	return `services:
  bucket:
    image: node:24-bookworm-slim
    command: [node, /berth/test/harness/s3-service.mjs]
    volumes: ["${ROOT}:/berth:ro"]
  gateway:
    build: { network: host }
  worker:
    build: { network: host }
    environment: { BERTH_DATA_DIR: ${dataDir}, BERTH_PREWARMED: "1" }
    volumes: ["worker-data:${dataDir}"]
    cap_add: !override [${given.join(", ")}]
`;
}
