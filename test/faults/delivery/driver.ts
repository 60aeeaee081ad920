import { setTimeout as pause } from "node:timers/promises";
import { resultOf } from "@berth/client";
import { eventually } from "../../harness/eventually.js";
import { freshName } from "../../harness/functions.js";
import { scrape } from "../../harness/metrics.js";
import { send } from "../../harness/raw-http.js";
import type { Stack } from "../../harness/stack.js";
import { recordOf, sourceOf, told } from "./asking.js";
import type { Asked, Deed, History, Lane, Recorded, Totals, Witnessed } from "./history.js";
import type { Operation } from "./operations.js";

const VOLUME = "journal";
const SLEEP_MS = 300;
const LEAVES_AFTER_MS = 100;
/** For everything that was accepted to be over: retries, and the locks of what was killed. */
const OVER_MS = 90_000;

/** Drives a stack through histories, as a client; and says what that saw. */
export class Driver {
	readonly #stack: Stack;
	readonly #name = freshName("history");
	#versions = 0;
	#tokens = 0;
	#readTo = 0;

	private constructor(stack: Stack) {
		this.#stack = stack;
	}

	static async of(stack: Stack): Promise<Driver> {
		await stack.client.makeVolume(VOLUME, { sizeMiB: 16 });
		const driver = new Driver(stack);
		await driver.#deploy();
		await stack.client.invoke(driver.#name, { json: { token: "first", deed: "succeed" } });
		await driver.#journal();
		return driver;
	}

	/** One history, from a stack in which nothing goes on until there is one again. */
	async drive(operations: readonly Operation[]): Promise<History> {
		const asking: Promise<Asked | readonly Asked[]>[] = [];
		const beside: Promise<void>[] = [];
		let killed = false;
		for (const operation of operations) {
			if (operation.kind === "invoke") {
				const { lane, deed, count, thenMs } = operation;
				for (let n = 0; n < count; n++) asking.push(this.#ask(lane, deed));
				await pause(thenMs);
			} else if (operation.kind === "leave") asking.push(this.#ask("interactive", "sleep", AbortSignal.timeout(LEAVES_AFTER_MS)));
			else if (operation.kind === "cancel") asking.push(this.#askAndCancel(operation.afterMs));
			else if (operation.kind === "replay") asking.push(this.#askAndReplay(operation.deed));
			else if (operation.kind === "beside") {
				killed = true;
				beside.push(operation.work());
			} else if (operation.kind === "deploy") await this.#whenBack(() => this.#deploy());
			else {
				killed = true;
				await this.#stack.killAndAwaitNext(operation.process);
				if (operation.patient) await this.#whenBack(() => this.#ready());
			}
		}
		const [asked] = await Promise.all([Promise.all(asking).then((all) => all.flat()), ...beside]);
		await this.#whenBack(() => this.#ready());
		const records = await this.#settled(asked);
		const totals = await this.#quiet();
		return { asked, records, witnessed: await this.#journal(), totals, killed };
	}

	async #ask(lane: Lane, deed: Deed, signal?: AbortSignal): Promise<Asked> {
		const token = `t${this.#tokens++}`;
		return {
			token,
			lane,
			deed,
			told: await told(this.#stack.client, this.#name, lane, { token, deed, ms: SLEEP_MS }, signal === undefined ? {} : { signal }),
		};
	}

	async #askAndCancel(afterMs: number): Promise<Asked> {
		const asked = await this.#ask("background", "sleep");
		if (asked.told.kind !== "accepted") return asked;
		await pause(afterMs);
		const { id } = asked.told;
		// Of one that runs it says that it does: it is cancelled when its record says so.
		if ((await this.#post(`/v1/invocations/${id}/cancel`)) === undefined) return asked;
		const { outcome } = await this.#whenSettled(id);
		return outcome === "cancelled" ? { ...asked, cancelledAtMs: Date.now() } : asked;
	}

	/** It and its replay. */
	async #askAndReplay(deed: Deed): Promise<readonly Asked[]> {
		const asked = await this.#ask("background", deed);
		if (asked.told.kind !== "accepted") return [asked];
		const { id } = asked.told;
		await this.#whenSettled(id);
		const answer = await this.#post<{ readonly id: string }>(`/v1/invocations/${id}/replay`);
		return [asked, { ...asked, told: answer === undefined ? { kind: "nothing" } : { kind: "accepted", id: answer.id } }];
	}

	#whenSettled(id: string): Promise<Recorded> {
		return eventually(async () => {
			const record = await recordOf(this.#stack.client, id);
			if (record?.state !== "settled") throw new Error(`${id} is ${record?.state ?? "nowhere"}`);
			return record;
		}, OVER_MS);
	}

	/** What was answered; undefined where that was a problem, or nothing. */
	async #post<T>(path: string): Promise<T | undefined> {
		try {
			const { status, body } = await send(this.#stack, { method: "POST", path });
			return status < 300 ? (JSON.parse(body.toString()) as T) : undefined;
		} catch {
			return undefined;
		}
	}

	async #deploy(): Promise<void> {
		const version = ++this.#versions;
		const background = { volumes: [{ name: VOLUME }], concurrency: 8, memoryMiB: 64 };
		await this.#stack.client.deploy(this.#name, { source: sourceOf(`/mnt/${VOLUME}/journal`, version), ...background });
	}

	async #ready(): Promise<void> {
		if (!(await this.#stack.client.ready()).ready) throw new Error("the stack isn't ready");
	}

	#whenBack<T>(work: () => Promise<T>): Promise<T> {
		return eventually(work, OVER_MS);
	}

	/** What records say when nothing changes any more; one that is never settled is the checker's to find. */
	async #settled(asked: readonly Asked[]): Promise<readonly Recorded[]> {
		const ids = asked.flatMap(({ told }) => ("id" in told ? [told.id] : []));
		const read = () => Promise.all(ids.map((id) => recordOf(this.#stack.client, id)));
		await eventually(async () => {
			const open = (await read()).filter((record) => record !== undefined && record.state !== "settled").length;
			if (open > 0) throw new Error(`${open} aren't settled`);
		}, OVER_MS).catch(() => undefined);
		return (await read()).filter((record) => record !== undefined);
	}

	/** Totals once nothing is in flight: also what was accepted and nobody was told of has to end. */
	async #quiet(): Promise<Readonly<Record<Lane, Totals>>> {
		const read = async () => {
			const samples = await scrape(this.#stack);
			const of = (lane: Lane): Totals => ({
				accepted: samples.sum("berth_accepted_total", { lane }),
				settled: samples.sum("berth_settled_total", { lane }),
				dead: samples.sum("berth_dead_total", { lane }),
				inFlight: samples.sum("berth_in_flight", { lane }),
			});
			return { interactive: of("interactive"), background: of("background") };
		};
		await eventually(async () => {
			const { interactive, background } = await read();
			if (interactive.inFlight + background.inFlight > 0) throw new Error("something is in flight");
		}, OVER_MS).catch(() => undefined);
		return await read();
	}

	/** What the function has written since the last time. */
	async #journal(): Promise<readonly Witnessed[]> {
		const answer = await this.#whenBack(() => this.#stack.client.invoke(this.#name, { json: { read: this.#readTo } }));
		if (answer.outcome !== "succeeded") throw new Error(`the journal couldn't be read: ${answer.outcome}`);
		const text = String(resultOf(answer));
		this.#readTo += text.length;
		return text
			.split("\n")
			.filter(Boolean)
			.map((line) => JSON.parse(line) as Witnessed);
	}
}
