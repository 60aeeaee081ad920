import type { Backlog, BerthError, InvocationRequest } from "@berth/contracts";
import { guarded, isRefusal, isUnsent, type Redis, ServerClock, sharedNow, TooLateError } from "@berth/redis";
import { BackgroundLists } from "../background-lists.js";
import { BackgroundRecords, type Cancelled, DEFAULT_RETENTION, type Retention } from "../background-records.js";
import { Coalesced } from "../coalesced.js";
import type { LaneTotals } from "../counters.js";
import { inDoubtOf } from "../in-doubt.js";
import { BACKGROUND_CANCELS, BACKGROUND_TOTALS, functionKeyOf, LANE } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { FunctionName, HeldUp, LaneDepth } from "../ports.js";
import { Retractions } from "../retractions.js";
import { elapsedMs } from "../settlements.js";
import { addInTime } from "./adds-in-time.js";
import { FunctionQueues } from "./function-queues.js";
import { GoneFunctions } from "./gone-functions.js";
import { LaneIndex } from "./lane-index.js";

const NOTHING = async (): Promise<unknown> => undefined;

/** The background lane as a gateway sees it. It doesn't own the connection. */
export class BackgroundQueue {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #queues: FunctionQueues;
	readonly #index: LaneIndex;
	readonly #retractions: Retractions;
	/** Many that come at once for a function are one piece of news. */
	readonly #news: Coalesced;
	readonly records: BackgroundRecords;
	readonly lists: BackgroundLists;
	/** What is left of deleted functions. */
	readonly gone: GoneFunctions;

	/**
	 * @param redis a connection to the durable Redis for `command` use
	 * @param functionRecords as GoneFunctions has them
	 */
	constructor(redis: Redis, log: QueueLogger, functionRecords: string, retention: Retention = DEFAULT_RETENTION) {
		this.#redis = redis;
		this.#log = log;
		this.#retractions = new Retractions(log);
		const clock = new ServerClock(redis);
		addInTime(redis, clock);
		this.records = new BackgroundRecords(redis, retention, clock);
		this.lists = new BackgroundLists(redis);
		this.#queues = new FunctionQueues(redis, log);
		this.#index = new LaneIndex(redis);
		this.#news = new Coalesced((news) => redis.publish(LANE.news, news));
		this.gone = new GoneFunctions(redis, this.#queues, functionRecords);
	}

	/**
	 * Its function's place in the index first, so that no job waits unseen; then the job, then the record: a gateway that
	 * dies in between leaves an invocation that runs (and whose record its worker makes), not one that waits for ever.
	 * All are on disk when it resolves. The news are a hint.
	 * @param inDoubt as the port has it
	 * @param onUnneeded as the port has it
	 */
	async enqueue(asked: InvocationRequest, inDoubt: "take back" | "leave" = "take back", onUnneeded = NOTHING): Promise<void> {
		const request = inDoubt === "leave" ? { ...asked, again: true as const } : asked;
		let job = "unsent" as "unsent" | "sent" | "refused";
		let mayBeKnown = inDoubt === "leave";
		try {
			await guarded(this.#redis, "accepting an invocation", async () => {
				job = "sent";
				const onRefused = () => {
					job = "refused";
				};
				mayBeKnown = !(await this.#put(request, onRefused)) || mayBeKnown;
			});
		} catch (error) {
			if (job === "unsent") await onUnneeded();
			else if (inDoubt === "take back") {
				const found = await this.#takeBack(request, onUnneeded);
				if (found === "begun") return;
				if (found === "unknown" && job === "sent") throw inDoubtOf(request, error as BerthError);
			}
			throw error;
		}
		if (mayBeKnown && "payload" in request.body) await this.#compareBody(request, request.body.payload, onUnneeded);
	}

	/** Of an id that may have been accepted before: its job says which body it has. */
	async #compareBody(request: InvocationRequest, payload: string, onUnneeded: () => Promise<unknown>): Promise<void> {
		try {
			const job = await this.#queues.of(functionKeyOf(request)).getJob(request.id);
			const body = job?.data.body;
			// Without a job it is settled.
			if (body === undefined || !("payload" in body) || body.payload !== payload) await onUnneeded();
		} catch (error) {
			// It is accepted, and what is left is looked for later.
			this.#log.debug({ error, invocation: request.id }, "whether a body is needed couldn't be looked up");
		}
	}

	/**
	 * @param onRefused told when Redis said that it didn't take the job, or was never asked: there is none then
	 * @returns whether its record is made by this
	 */
	async #put(request: InvocationRequest, onRefused: () => void): Promise<boolean> {
		const key = functionKeyOf(request);
		const now = sharedNow();
		const dueMs = Math.max(now, request.runAtMs ?? 0);
		const adding = this.#add(key, request, now, dueMs - now).catch((error: unknown) => {
			if (error instanceof TooLateError || isRefusal(error) || isUnsent(error)) onRefused();
			throw error;
		});
		await allOver([this.#index.mark(key, now, dueMs), adding]);
		const news = dueMs > now ? `${dueMs} ${key}` : key;
		const accepting = this.records.accept(request);
		await allOver([accepting, this.#news.run(news)]);
		return await accepting;
	}

	/**
	 * What waits is settled before its job goes: should that fail, a worker finds it settled, and cancelling it again ends it. What runs is told.
	 * @param of its function
	 * @returns in which state it was, and the request of one that waited
	 */
	async cancel(
		id: string,
		of: Pick<InvocationRequest, "project" | "function">,
	): Promise<{ readonly found: Cancelled; readonly request?: InvocationRequest }> {
		const found = await this.records.cancel(id);
		if (found === "running") await this.#redis.publish(BACKGROUND_CANCELS, id);
		if (found !== "queued" && found !== "settled") return { found };
		const queue = this.#queues.of(functionKeyOf(of));
		const job = await queue.getJob(id);
		// One that a worker has in hand goes with it.
		const isRemoved = job !== undefined && (await queue.remove(id)) === 1;
		if (job === undefined || isRemoved) await this.records.jobGone(id);
		return { found, ...(isRemoved ? { request: job.data } : {}) };
	}

	close(): void {
		this.#retractions.stop();
	}

	/** Accepted work of a function waits until it is resumed. */
	async pause(of: FunctionName): Promise<Backlog> {
		await this.#index.pause(functionKeyOf(of));
		return await this.backlog(of);
	}

	async resume(of: FunctionName): Promise<Backlog> {
		await this.#index.resume(functionKeyOf(of));
		return await this.backlog(of);
	}

	backlog(of: FunctionName): Promise<Backlog> {
		return this.#index.backlog(functionKeyOf(of));
	}

	heldUp(of: FunctionName): Promise<HeldUp> {
		return this.#index.heldUp(functionKeyOf(of));
	}

	/** Names of a project's functions that are paused. */
	async paused(project: string): Promise<ReadonlySet<string>> {
		const own = (await this.#index.paused()).filter((key) => key.startsWith(`${project}/`));
		return new Set(own.map((key) => key.slice(project.length + 1)));
	}

	/** The age is that of the oldest job of the function that waits longest, as it was when a worker last looked. */
	async depth(): Promise<LaneDepth> {
		const [{ waiting, delayed, active }, oldest] = await Promise.all([this.#index.count(BACKGROUND_TOTALS), this.#index.oldest()]);
		return { waiting: waiting + delayed, active, oldestMs: oldest === undefined || waiting === 0 ? 0 : elapsedMs(oldest) };
	}

	/** The lane's totals since the durable Redis was made, and what is in all queues, of one moment. */
	async totals(): Promise<LaneTotals> {
		const { waiting, delayed, active, totals } = await this.#index.count(BACKGROUND_TOTALS);
		const [accepted, settled, dead] = totals;
		return { accepted, settled, dead, inFlight: waiting + delayed + active };
	}

	async #add(key: string, request: InvocationRequest, timestamp: number, delayMs: number): Promise<void> {
		await this.#queues.of(key).add("invocation", request, {
			jobId: request.id,
			removeOnComplete: true,
			// Dead letters are records.
			removeOnFail: true,
			stackTraceLimit: 1,
			timestamp,
			...(delayMs > 0 ? { delay: delayMs } : {}),
		});
	}

	/**
	 * Whatever there is of it goes, now or when Redis is back: nothing of it comes after that. What a worker has begun, or is about to, is accepted.
	 * @returns what became of it; unknown while nobody can be asked
	 */
	async #takeBack(request: InvocationRequest, onUnneeded: () => Promise<unknown>): Promise<"begun" | "gone" | "unknown"> {
		const remove = async () => {
			if (await this.#isBegun(request)) return "begun";
			await onUnneeded();
			return "gone";
		};
		try {
			return await guarded(this.#redis, "taking back what was refused in doubt", remove);
		} catch (error) {
			this.#log.debug({ error, invocation: request.id }, "what was refused in doubt is taken back later");
			this.#retractions.add(request.id, remove);
			return "unknown";
		}
	}

	/** Takes it away, unless a worker has it; its record first: whoever takes the job then makes it anew. */
	async #isBegun(request: InvocationRequest): Promise<boolean> {
		const { id } = request;
		if (!(await this.records.withdraw(id))) return true;
		const queue = this.#queues.of(functionKeyOf(request));
		if ((await queue.remove(id)) === 1) return false;
		if ((await queue.getJob(id)) === undefined) return (await this.records.read(id)) !== undefined;
		// Its worker makes the record otherwise.
		await this.records.accept(request).catch((error: unknown) => this.#log.debug({ error, invocation: id }, "the record comes later"));
		return true;
	}
}

/** What fails isn't told before nothing of it goes on: what is taken back then stays so. */
async function allOver(work: readonly Promise<unknown>[]): Promise<void> {
	await Promise.allSettled(work);
	await Promise.all(work);
}
