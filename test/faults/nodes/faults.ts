import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@berth/client";
import type { Cluster } from "../../harness/cluster.js";
import { eventually } from "../../harness/eventually.js";
import type { ProcessName, Stack } from "../../harness/stack.js";
import type { Done } from "../delivery/history.js";
import { stepClock } from "./clock.js";
import type { Fault, MachineName, Planned, RedisName, Side } from "./plan.js";

/** For a process to be in the place of one that was killed. */
const BACK_MS = 60_000;

/** How many of them were done, by what they are; kills apart. */
export interface Tally {
	readonly done: ReadonlyMap<string, number>;
	readonly kills: number;
}

/** Does faults to a cluster at their times, and undoes them. One that is about the same thing as one before waits for its end. */
export class Faults {
	readonly #cluster: Cluster;
	#done = new Map<string, number>();
	/** By what they are about, until it is as it was. */
	readonly #underWay = new Map<string, Promise<void>>();
	#kills = 0;

	constructor(cluster: Cluster) {
		this.#cluster = cluster;
	}

	/** Since the last time. */
	takeTally(): Tally {
		const tally = { done: this.#done, kills: this.#kills };
		this.#done = new Map();
		this.#kills = 0;
		return tally;
	}

	/** All of a plan. Resolves when everything is undone, with what may have been lost by it. @throws Error when something doesn't come back */
	async carryOut(plan: readonly Planned[], say: (text: string) => void): Promise<readonly Done[]> {
		const done: Done[] = [];
		const began = performance.now();
		const ends: Promise<void>[] = [];
		for (const { atMs, fault } of plan) {
			await pause(Math.max(0, began + atMs - performance.now()));
			const about = aboutOf(fault);
			const before = this.#underWay.get(about) ?? Promise.resolve();
			const end = before.then(async () => {
				say(JSON.stringify(fault));
				const fromMs = Date.now();
				await this.#do(fault);
				const to = harmedBy(fault);
				if (to !== undefined) done.push({ to, fromMs, untilMs: Date.now() });
			});
			this.#underWay.set(about, end);
			ends.push(end);
			// Whoever awaits all of them hears of it.
			end.catch(() => undefined);
		}
		await Promise.all(ends);
		return done;
	}

	async #do(fault: Fault): Promise<void> {
		const undo = await this.#begin(fault);
		this.#done.set(fault.kind, (this.#done.get(fault.kind) ?? 0) + 1);
		if ("forMs" in fault) await pause(fault.forMs);
		await undo();
	}

	/** @returns how it is undone */
	async #begin(fault: Fault): Promise<() => Promise<void> | void> {
		switch (fault.kind) {
			case "kill":
				return this.#kill(this.#stack(aboutOf(fault) as MachineName), fault.process);
			case "crash":
				return this.#crash(this.#stack(fault.machine));
			case "kill-redis":
				return this.#killRedis(fault.server);
			case "stop":
				await this.#stack(fault.machine).signalAndAwaitNext(mainOf(fault.machine), "SIGTERM", BACK_MS);
				return () => undefined;
			case "down":
				await this.#stack(fault.machine).down();
				return () => this.#up(this.#stack(fault.machine));
			case "drain":
				return this.#drain(this.#stack(`worker-${fault.worker}`));
			case "freeze":
				return this.#freeze(this.#stack(fault.machine), mainOf(fault.machine));
			case "freeze-redis":
				this.#cluster[fault.server].freeze();
				return () => this.#cluster[fault.server].thaw();
			case "partition":
				this.#cluster.machineOf(this.#stack(fault.machine)).cutOff(this.#addresses(fault.from));
				return () => this.#mend(fault.machine);
			case "slow":
				this.#cluster.machineOf(this.#stack(fault.machine)).lose(fault.percent);
				return () => this.#mend(fault.machine);
			case "full-disk":
				await this.#cluster.fillDisk();
				return () => this.#cluster.freeDisk();
			case "clock":
				return await this.#step(fault);
		}
	}

	async #kill(stack: Stack, name: ProcessName): Promise<() => void> {
		this.#kills++;
		await stack.killAndAwaitNext(name, BACK_MS);
		return () => undefined;
	}

	async #crash(stack: Stack): Promise<() => Promise<void>> {
		this.#kills++;
		process.kill(await stack.supervisorPid(), "SIGKILL");
		return () => this.#up(stack);
	}

	async #up(stack: Stack): Promise<void> {
		// A Redis server may be away just then.
		await eventually(() => stack.up(), BACK_MS);
	}

	async #drain(stack: Stack): Promise<() => Promise<void>> {
		const node = (await readFile(join(stack.dataDir, "node.id"), "utf8")).trim();
		const { gateways } = this.#cluster;
		let asked = 0;
		// Whichever gateway is there; a node that is gone for a moment can't be drained.
		const ask = (what: (client: Client) => Promise<unknown>) =>
			eventually(() => what((gateways[asked++ % gateways.length] as Stack).client), BACK_MS);
		await ask((client) => client.drain(node));
		return async () => {
			await ask((client) => client.undrain(node));
		};
	}

	async #killRedis(server: RedisName): Promise<() => Promise<void>> {
		this.#kills++;
		await this.#cluster[server].kill();
		return () => this.#cluster[server].resume();
	}

	async #freeze(stack: Stack, name: ProcessName): Promise<() => Promise<void>> {
		const pid = await stack.pidOf(name);
		process.kill(pid, "SIGSTOP");
		return async () => {
			// Its supervisor may have put another one in its place.
			if ((await stack.pidOf(name)) === pid) process.kill(pid, "SIGCONT");
		};
	}

	async #step({ machine, byMs }: Fault & { readonly kind: "clock" }): Promise<() => Promise<void>> {
		const stack = this.#stack(machine);
		const pid = await stack.pidOf(mainOf(machine));
		await stepClock(this.#cluster.machineOf(stack), pid, byMs);
		return async () => {
			if ((await stack.pidOf(mainOf(machine))) === pid) await stepClock(this.#cluster.machineOf(stack), pid, 0);
		};
	}

	#mend(machine: MachineName): void {
		this.#cluster.machineOf(this.#stack(machine)).mend();
	}

	#addresses(side: Side): readonly string[] {
		const { durable, fast, gateways, registry, bucket } = this.#cluster;
		const ofGateways = gateways.map((each) => this.#cluster.machineOf(each).address);
		if (side === "durable" || side === "fast") return [this.#cluster[side].host];
		if (side === "both") return [durable.host, fast.host];
		if (side === "gateways") return ofGateways;
		return [durable.host, fast.host, registry.host.split(":")[0] as string, new URL(bucket.place().endpoint).hostname, ...ofGateways];
	}

	#stack(name: MachineName): Stack {
		const [role, index] = name.split("-");
		const stack = (role === "gateway" ? this.#cluster.gateways : this.#cluster.workers)[Number(index)];
		if (stack === undefined) throw new Error(`there is no ${name}`);
		return stack;
	}
}

/** What a fault is about: a machine, or a server. A node may be drained whatever else is done to it. */
function aboutOf(fault: Fault): string {
	if (fault.kind === "drain") return `drain of worker-${fault.worker}`;
	if ("machine" in fault) return fault.machine;
	if ("server" in fault) return fault.server;
	if ("gateway" in fault) return `gateway-${fault.gateway}`;
	if ("worker" in fault) return `worker-${fault.worker}`;
	return "disk";
}

/**
 * Who may lose what it has in hand by it. A worker that is told to stop, or is drained, has to end it, or hand it back; a clock and a disk are no reason either.
 * A gateway that stops doesn't wait for ever.
 */
function harmedBy(fault: Fault): string | undefined {
	const about = aboutOf(fault);
	if (["drain", "clock", "full-disk"].includes(fault.kind)) return undefined;
	return ["stop", "down"].includes(fault.kind) && !about.startsWith("gateway-") ? undefined : about;
}

const mainOf = (machine: MachineName): ProcessName => (machine.startsWith("gateway") ? "gateway" : "worker");

/** Until every gateway has had something run: whatever was done to the cluster, it takes work again. */
export async function awaitWork(cluster: Cluster, name: string): Promise<void> {
	for (const { client } of cluster.gateways) {
		await eventually(async () => {
			const { outcome } = await client.invoke(name, { json: { token: "ready", deed: "succeed", ms: 0 } });
			if (outcome !== "succeeded") throw new Error(`it ended as ${outcome}`);
		}, BACK_MS);
	}
}
