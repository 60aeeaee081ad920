import { setTimeout as pause } from "node:timers/promises";
import { ApiError } from "@berth/client";
import { SentinelPair } from "@berth/redis/testing";
import { expect } from "vitest";
import { eventually } from "../../harness/eventually.js";
import { type Deployed, deploy } from "../../harness/functions.js";
import { Stack } from "../../harness/stack.js";
import { violationsIn } from "../delivery/checker.js";
import { Driver } from "../delivery/driver.js";
import type { History } from "../delivery/history.js";
import type { Operation } from "../delivery/operations.js";
import { type Fault, MAX_MEMORY } from "./faults.js";

export type Role = "durable" | "fast";

/** No failover but one that a test asks for. */
const NEVER_MS = 3_600_000;
const BOUNDED = ["--maxmemory", MAX_MEMORY, "--maxmemory-policy", "noeviction"];
/** What the checker says of what has lost its record, which a server that is full may forget. */
const NO_RECORD = "accepted, and there is no record of it";
/** Between invocations that are asked for while a server is at fault. */
const PACE_MS = 100;
/** No longer than so: what is refused is refused again. */
const MOST_ASKED_MS = 20_000;
/** For a success after a server is back. Berth's promise is 5 s; this is for machines that do much else. */
const BACK_MS = 30_000;

/** A stack whose two Redis servers are the operator's, each with a replica that Sentinels know; whoever started it stops it. */
export class NamedServers implements AsyncDisposable {
	readonly pairs: Readonly<Record<Role, SentinelPair>>;
	readonly stack: Stack;
	readonly #driver: Driver;
	readonly #quick: Deployed;

	private constructor(pairs: Readonly<Record<Role, SentinelPair>>, stack: Stack, driver: Driver, quick: Deployed) {
		this.pairs = pairs;
		this.stack = stack;
		this.#driver = driver;
		this.#quick = quick;
	}

	static async start(): Promise<NamedServers> {
		const [durable, fast] = await Promise.all([
			SentinelPair.start({ downAfterMs: NEVER_MS, options: BOUNDED }),
			SentinelPair.start({ downAfterMs: NEVER_MS, options: [...BOUNDED, "--appendfsync", "everysec"] }),
		]);
		const env = { BERTH_DURABLE_REDIS_URL: durable.url, BERTH_FAST_REDIS_URL: fast.url, BERTH_PREWARMED: "2", BERTH_CRASHES_ALLOWED: "0" };
		const stack = await Stack.start(env);
		const quick = await deploy(stack, { source: "export default () => 1;" });
		return new NamedServers({ durable, fast }, stack, await Driver.of(stack), quick);
	}

	/**
	 * Has a server at fault while both lanes are asked for work. @returns how long it took from its end to a success of both lanes, milliseconds
	 */
	async through(role: Role, fault: Fault): Promise<{ readonly history: History; readonly backMs: number }> {
		let backMs = 0;
		const work = async () => {
			await fault.begin(this.pairs[role]);
			const since = performance.now();
			try {
				await this.#meanwhile(role, fault);
				await pause(Math.max(0, fault.lastsMs - (performance.now() - since)));
			} finally {
				await fault.end(this.pairs[role]);
			}
			const endedAt = performance.now();
			await this.succeeds();
			backMs = performance.now() - endedAt;
		};
		const history = await this.#driver.drive([
			...asked(1),
			{ kind: "beside", work },
			...asked(Math.ceil(Math.min(fault.lastsMs, MOST_ASKED_MS) / PACE_MS / 4) + 1),
		]);
		const wrong = violationsIn(history).filter((what) => !(fault.forgets === true && what.endsWith(NO_RECORD)));
		expect(wrong).toEqual([]);
		return { history, backMs };
	}

	/** Somebody who waits is answered, and what is accepted in the background succeeds. */
	async succeeds(): Promise<void> {
		await eventually(async () => expect(await this.#quick.result()).toBe(1), BACK_MS);
		const { id } = await eventually(() => this.stack.client.invokeAsync(this.#quick.name, { json: {} }), BACK_MS);
		await eventually(async () => expect(await this.stack.client.invocation(id)).toMatchObject({ outcome: "succeeded" }), BACK_MS);
	}

	async #meanwhile(role: Role, { refused, unready }: Fault): Promise<void> {
		if (refused !== undefined) expect(refused[role]).toContain(await this.#refusal(role));
		const says = unready?.[role];
		if (says === undefined) return;
		// What it found counts for a second.
		await eventually(async () => expect(await this.stack.client.ready()).toEqual({ ready: false, detail: expect.stringMatching(says) }));
	}

	/** The status that a write to a server is refused with; "accepted" when it isn't. */
	async #refusal(role: Role): Promise<number | "accepted"> {
		try {
			if (role === "durable") await this.stack.client.invokeAsync(this.#quick.name, { json: {} });
			else return (await this.stack.client.invokeRaw(this.#quick.name, { json: {} })).status;
			return "accepted";
		} catch (error) {
			if (error instanceof ApiError) return error.status;
			throw error;
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.stack.stop();
		} finally {
			await Promise.all(Object.values(this.pairs).map((pair) => pair[Symbol.asyncDispose]()));
		}
	}
}

/** Work of both lanes, again and again: some of it runs when a fault begins, some comes while it lasts. */
function asked(rounds: number): readonly Operation[] {
	const invoke = (lane: "interactive" | "background", deed: "succeed" | "sleep"): Operation => ({
		kind: "invoke",
		lane,
		deed,
		count: 2,
		thenMs: PACE_MS,
	});
	const round = [
		invoke("background", "sleep"),
		invoke("interactive", "sleep"),
		invoke("background", "succeed"),
		invoke("interactive", "succeed"),
	];
	return Array.from({ length: rounds }, () => round).flat();
}
