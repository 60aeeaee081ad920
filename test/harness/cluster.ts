import { createHash, randomBytes } from "node:crypto";
import { S3Server } from "@berth/bucket/testing";
import { keepBases, takeKeptBases } from "./kept-bases.js";
import { NetRedis } from "./net-redis.js";
import { type Machine, NodeNetwork } from "./node-network.js";
import { Registry } from "./registry.js";
import { SmallDisk } from "./small-disk.js";
import { Stack } from "./stack.js";

/** How many machines, and what is set on each: everywhere, or on the workers one by one. */
export interface ClusterOptions {
	readonly gateways?: number;
	readonly workers?: number;
	readonly env?: Readonly<Record<string, string>>;
	readonly workerEnv?: (index: number) => Readonly<Record<string, string>>;
	/** The last worker's data directory is a disk of its own of so many MiB, which can be filled. */
	readonly diskMiB?: number;
}

/** What machines keep ready, small enough for several on one. */
const SMALL = { BERTH_PREWARMED: "1", BERTH_PREWARMED_BUILDS: "1", BERTH_MEMORY_MIB: "1536" };
/** The key that every cluster of tests seals with. */
const SECRETS_KEY = "5".repeat(64);

/**
 * A stack of many machines: gateways, workers, both Redis servers, an OCI registry and a bucket. Each gateway and each worker has a data directory and a
 * network namespace of its own; all else of this machine they share. Whoever started it stops it.
 */
export class Cluster implements AsyncDisposable {
	readonly durable: NetRedis;
	readonly fast: NetRedis;
	readonly registry: Registry;
	readonly bucket: S3Server;
	readonly gateways: Stack[] = [];
	readonly workers: Stack[] = [];
	readonly key = `berth_${randomBytes(32).toString("base64url").slice(0, 43)}`;
	readonly #network: NodeNetwork;
	readonly #machines = new Map<Stack, Machine>();
	readonly #env: Readonly<Record<string, string>>;
	readonly #workerEnv: (index: number) => Readonly<Record<string, string>>;
	readonly #disk: SmallDisk | undefined;
	readonly #joined = { gateways: 0, workers: 0 };

	private constructor(
		network: NodeNetwork,
		parts: Pick<Cluster, "durable" | "fast" | "registry" | "bucket">,
		{ env = {}, workerEnv = () => ({}), diskMiB }: ClusterOptions,
	) {
		({ durable: this.durable, fast: this.fast, registry: this.registry, bucket: this.bucket } = parts);
		this.#network = network;
		this.#env = env;
		this.#workerEnv = workerEnv;
		this.#disk = diskMiB === undefined ? undefined : new SmallDisk(diskMiB);
	}

	/** Starts all of it; gateways and workers at the same time, but for a first worker that makes the bases where they aren't kept yet. */
	static async start(options: ClusterOptions = {}): Promise<Cluster> {
		const { gateways = 2, workers = 3 } = options;
		const network = NodeNetwork.make();
		const [durable, fast, registry, bucket] = await Promise.all([
			NetRedis.start("always", network.host()),
			NetRedis.start("everysec", network.host()),
			Registry.start("none", network.host()),
			S3Server.start(network.host()),
		]);
		const cluster = new Cluster(network, { durable, fast, registry, bucket }, options);
		try {
			const first = cluster.addWorker().then((worker) => keepBases(worker.dataDir));
			await Promise.all([first, ...Array.from({ length: gateways }, () => cluster.addGateway())]);
			const prepared = (n: number) => (n === workers - 1 ? cluster.#disk?.prepare : undefined);
			await Promise.all(Array.from({ length: workers - 1 }, (_, n) => cluster.addWorker({}, prepared(n + 1))));
			return cluster;
		} catch (error) {
			await cluster.stop();
			throw error;
		}
	}

	/** Leaves no byte free on the last worker's disk, until it is freed. */
	fillDisk(): Promise<void> {
		return this.#smallDisk().fill();
	}

	freeDisk(): Promise<void> {
		return this.#smallDisk().free();
	}

	/** What every machine of it is started with. */
	get settings(): Readonly<Record<string, string>> {
		const { endpoint, bucket, region, accessKeyId, secretAccessKey } = this.bucket.place();
		return {
			...SMALL,
			BERTH_DURABLE_REDIS_URL: this.durable.url,
			BERTH_FAST_REDIS_URL: this.fast.url,
			BERTH_PAYLOAD_STORE: `s3://${accessKeyId}:${secretAccessKey}@${bucket}/?region=${region}&endpoint=${endpoint}`,
			BERTH_REGISTRIES: this.registry.setting,
			BERTH_IMAGE_REPOSITORY: `${this.registry.host}/berth`,
			BERTH_SECRETS_KEY: SECRETS_KEY,
			BERTH_ADMIN_KEY_SHA256: createHash("sha256").update(this.key).digest("hex"),
			BERTH_API_KEY: this.key,
			...this.#env,
		};
	}

	/** One more machine that takes requests. */
	async addGateway(env: Readonly<Record<string, string>> = {}): Promise<Stack> {
		const machine = this.#network.machine();
		const own = { BERTH_ROLES: "gateway", BERTH_HOST: machine.address, BERTH_INTERNAL_HOST: machine.address };
		return await this.#start("gateways", this.#joined.gateways++, machine, { ...own, ...env });
	}

	/** One more that runs functions. Its client, and commands, ask the first gateway there is. */
	async addWorker(env: Readonly<Record<string, string>> = {}, prepare = takeKeptBases): Promise<Stack> {
		const url = this.gateways[0] === undefined ? {} : { BERTH_URL: this.gateways[0].url };
		const index = this.#joined.workers++;
		const own = this.#workerEnv(index);
		return await this.#start("workers", index, this.#network.machine(), { BERTH_ROLES: "worker", ...url, ...own, ...env }, prepare);
	}

	/** The network of one of them. */
	machineOf(stack: Stack): Machine {
		const machine = this.#machines.get(stack);
		if (machine === undefined) throw new Error(`${stack.dataDir} is no machine of this cluster`);
		return machine;
	}

	/** @param index its place among its like: several start at the same time, and the first that is up isn't always the first that was asked for */
	async #start(
		of: "gateways" | "workers",
		index: number,
		machine: Machine,
		env: Readonly<Record<string, string>>,
		prepare = takeKeptBases,
	): Promise<Stack> {
		const stack = await Stack.start({ ...this.settings, ...env }, prepare, machine.around);
		this[of][index] = stack;
		this.#machines.set(stack, machine);
		return stack;
	}

	#smallDisk(): SmallDisk {
		if (this.#disk === undefined) throw new Error("no worker has a disk of its own");
		return this.#disk;
	}

	async #stopWorker(worker: Stack): Promise<void> {
		const own = this.#disk?.isOf(worker.dataDir) === true ? this.#disk : undefined;
		if (own === undefined) return await worker.stop();
		await own.free();
		await worker.down();
		await own.unmount();
		await worker.stop([worker.dataDir]);
	}

	/** Takes all of it down, gateways first; each machine must leave nothing. */
	async stop(): Promise<void> {
		const up = (stacks: readonly Stack[]) => stacks.filter(Boolean);
		const ends = await Promise.allSettled(up(this.gateways).map((each) => each.stop()));
		ends.push(...(await Promise.allSettled(up(this.workers).map((each) => this.#stopWorker(each)))));
		await Promise.all([this.durable.stop(), this.fast.stop(), this.registry.stop(), this.bucket[Symbol.asyncDispose]()]);
		this.#network[Symbol.dispose]();
		for (const end of ends) if (end.status === "rejected") throw end.reason;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}
}
