import { BerthError, type InvocationRecord, type Settlement } from "@berth/contracts";
import type { Queue } from "bullmq";
import type { InteractiveRecords } from "../interactive-records.js";
import type { QueueLogger } from "../logger.js";
import type { NodeChange } from "../node-ports.js";
import type { Pending } from "../pending.js";
import { elapsedMs, platformSettlement } from "../settlements.js";
import type { Unbegun } from "../unbegun.js";
import { type InteractiveEnvelope, isOfBefore } from "./envelope.js";
import { type JobFate, type Reason, VERDICT_TEXT, VERDICTS } from "./verdicts.js";

/** How much later than its record an answer may still come, milliseconds. */
const ANSWER_GRACE_MS = 250;

export interface InquiryParts {
	readonly records: InteractiveRecords;
	readonly unbegun: Unbegun;
	/** The gateway's own reply channel. */
	readonly channel: string;
	readonly gatewayId: string;
	readonly queueOf: (node: string) => Queue<InteractiveEnvelope>;
	/** Which start of the server answers, as `startOf`. */
	readonly start: () => string | undefined;
	/** Whether this one is waited for still: it may have been placed again meanwhile, under its id. */
	readonly isOpen: (pending: Pending) => boolean;
	readonly settled: (id: string, settlement: Settlement) => void;
	readonly failed: (pending: Pending, error: BerthError) => void;
	/** Has the worker that has it drop it, as its gateway stops. @returns whether it was told so; never rejects */
	readonly stopped: (pending: Pending) => Promise<boolean>;
	readonly accepted: (pending: Pending) => void;
	readonly log: QueueLogger;
}

/** What is to be settled, and as what. */
type Given = readonly [Pending, keyof typeof VERDICT_TEXT];

/** What a look is about beside its reason. */
interface Particulars {
	/** The incarnation of the node that it concerns. */
	readonly incarnation?: string;
	/** What callers of invocations are told that were taken out of the queue, or back by a gateway that stops. Default: that they are left behind. */
	readonly revoked?: BerthError | undefined;
}

/**
 * Finds out what became of invocations whose reply hasn't come: first their records, then their jobs.
 * Everything it decides goes through the same fence as a worker's settlement.
 */
export class Inquiry {
	readonly #parts: InquiryParts;
	readonly #underWay = new Set<Pending>();
	/** What happened to the node, or the job, of one that was being asked about: it is asked about once more. */
	readonly #overtaken = new Map<Pending, () => Promise<boolean>>();

	constructor(parts: InquiryParts) {
		this.#parts = parts;
	}

	/** @param revoked what callers of revoked invocations are told. @returns whether it could be found out */
	hold(asked: readonly Pending[], reason: Exclude<Reason, NodeChange["reason"]>, revoked?: BerthError): Promise<boolean> {
		return this.#hold(asked, reason, { revoked });
	}

	/** The same, for invocations on a node that isn't what it was. */
	lookAfter(asked: readonly Pending[], change: NodeChange): Promise<boolean> {
		const { reason, incarnation } = change;
		return this.#holdAll(asked, reason, { incarnation });
	}

	/** The same, for invocations whose job a worker has let go. */
	lookAfterLetGo(asked: readonly Pending[]): Promise<boolean> {
		return this.#holdAll(asked, "resumed", {});
	}

	/** Also those that are being asked about: what they are asked may be older. */
	#holdAll(asked: readonly Pending[], reason: Reason, particulars: Particulars): Promise<boolean> {
		for (const pending of asked) {
			if (this.#underWay.has(pending)) this.#overtaken.set(pending, () => this.#holdAll([pending], reason, particulars));
		}
		return this.#hold(asked, reason, particulars);
	}

	async #hold(asked: readonly Pending[], reason: Reason, particulars: Particulars): Promise<boolean> {
		const cases = asked.filter((pending) => !this.#underWay.has(pending) && this.#parts.isOpen(pending));
		for (const pending of cases) this.#underWay.add(pending);
		try {
			const open = await this.#answerFromRecords(cases);
			if (open.length > 0) await this.#judge(open, reason, particulars);
			return true;
		} catch (error) {
			this.#parts.log.warn({ error, reason, invocations: cases.length }, "can't find out what became of invocations");
			if (reason === "overdue") for (const pending of cases) this.#parts.failed(pending, undecided());
			return false;
		} finally {
			for (const pending of cases) this.#underWay.delete(pending);
			for (const pending of cases) {
				const again = this.#overtaken.get(pending);
				if (this.#overtaken.delete(pending)) void again?.();
			}
		}
	}

	/** Ends those that have a record; gives the others. */
	async #answerFromRecords(cases: readonly Pending[]): Promise<Pending[]> {
		if (cases.length === 0) return [];
		const records = await this.#parts.records.read(cases.map(({ request }) => request.id));
		return cases.filter((pending, at) => {
			const record = records[at];
			if (record?.last === undefined) return true;
			this.#answer(pending, record, record.last);
			return false;
		});
	}

	#answer(pending: Pending, { logs, id }: InvocationRecord, attempt: NonNullable<InvocationRecord["last"]>): void {
		if (attempt.outcome !== "succeeded") {
			this.#parts.settled(id, { attempt, ...(logs === undefined ? {} : { logs }) });
			return;
		}
		const text = "The invocation succeeded, but its answer was lost between Redis and the gateway.";
		const lost = new BerthError("platform_error", text, { extra: { outcome: attempt.outcome } });
		// The record may have come on its connection before the answer came on the other: who was answered meanwhile isn't told.
		setTimeout(() => this.#parts.failed(pending, lost), ANSWER_GRACE_MS);
	}

	/** Each job is asked about once, for all that were in it, and none waits for another: who stops has 0.3 s for everything. */
	async #judge(open: readonly Pending[], reason: Reason, particulars: Particulars): Promise<void> {
		const jobs = Map.groupBy(open, ({ job }) => job);
		const judged = await Promise.allSettled([...jobs].map(([job, those]) => this.#judgeJob(job, those, reason, particulars)));
		const given = judged.flatMap((one) => {
			if (one.status === "rejected") throw one.reason;
			return one.value;
		});
		await this.#giveUp(given.filter(([pending]) => this.#parts.isOpen(pending)));
	}

	/** @param job undefined: not in one yet. @returns what is to be settled, and as what */
	async #judgeJob(
		job: string | undefined,
		those: readonly Pending[],
		reason: Reason,
		{ incarnation, revoked = new LeftBehindError() }: Particulars,
	): Promise<Given[]> {
		const [one] = those as readonly [Pending];
		const fate = job === undefined ? "waiting" : await this.#fate(one, job, incarnation);
		// A job leaves the queue only after its settlements are recorded: look once more for those.
		let left = fate === "gone" || fate === "unknown" ? await this.#answerFromRecords(those) : those;
		let verdict = VERDICTS[reason][fate];
		if (verdict === "revoke") {
			const isOut = await this.#revoke(one);
			// One that a worker took, and ended, meanwhile isn't there either.
			if (isOut) left = await this.#answerFromRecords(left);
			if (isOut && !this.#isOfBefore(one)) {
				for (const pending of left) this.#parts.failed(pending, revoked);
				return [];
			}
			// A worker took it since, or the server was started again.
			verdict = VERDICTS[reason][isOut ? "unknown" : "taken"];
		}
		left = left.filter((pending) => this.#parts.isOpen(pending));
		const ours = verdict === "keep" ? [] : await this.#reclaim(job, left);
		const others = left.filter((pending) => !ours.includes(pending));
		if (reason !== "overdue") await this.#letGo(ours, reason, revoked);
		const given: Given[] = reason === "overdue" ? ours.map((pending) => [pending, "expired_in_queue"]) : [];
		if (verdict === "keep" || verdict === "reclaim") {
			for (const pending of others) this.#parts.accepted(pending);
			return given;
		}
		const code = verdict === "expired_in_queue" ? verdict : "worker_lost";
		return [...given, ...others.map((pending): Given => [pending, code])];
	}

	/** Those that hadn't begun, and are this gateway's again: no worker begins them then. */
	async #reclaim(job: string | undefined, those: readonly Pending[]): Promise<Pending[]> {
		const { unbegun, gatewayId } = this.#parts;
		if (job === undefined || those.length === 0) return [];
		const ids = those.map(({ request }) => request.id);
		const owners = await unbegun.take(job, ids, gatewayId, "other");
		return those.filter((_, at) => owners[at] === gatewayId);
	}

	/** They can be placed again, but where their gateway stops: their worker has handed nothing back then, and would begin them if Redis forgot whose they are. */
	async #letGo(ours: readonly Pending[], reason: Reason, revoked: BerthError): Promise<void> {
		const { failed, stopped } = this.#parts;
		const letGo = async (pending: Pending) => {
			if (reason !== "stopping") failed(pending, new LeftBehindError());
			else if (await stopped(pending)) failed(pending, revoked);
		};
		await Promise.all(ours.map(letGo));
	}

	async #fate(pending: Pending, id: string, incarnation: string | undefined): Promise<JobFate> {
		const job = await this.#parts.queueOf(pending.node).getJob(id);
		if (job === undefined || job.attemptsStarted === 0) {
			if (this.#isOfBefore(pending)) return "unknown";
			return job === undefined ? "gone" : "waiting";
		}
		return incarnation === undefined || job.processedBy === undefined || job.processedBy === incarnation ? "taken" : "retaken";
	}

	/**
	 * Whether the server was started again since its job was sent, as of the last answer: that a worker doesn't have it says nothing then. A start that is
	 * still the same has been so all the time.
	 */
	#isOfBefore(pending: Pending): boolean {
		return isOfBefore(pending, this.#parts.start());
	}

	/** Takes the job out of the queue unless a worker has it. */
	async #revoke({ node, job }: Pending): Promise<boolean> {
		if (job === undefined) return true;
		const queue = this.#parts.queueOf(node);
		await queue.remove(job);
		return (await queue.getJob(job)) === undefined;
	}

	async #giveUp(given: readonly Given[]): Promise<void> {
		if (given.length === 0) return;
		const { records, channel, gatewayId } = this.#parts;
		const won = await records.settle(
			given.map(([{ request }, code]) => {
				const queueMs = elapsedMs(request.acceptedAtMs);
				const settlement = platformSettlement({ node: gatewayId, attempt: 1, code, message: VERDICT_TEXT[code], queueMs });
				return { request, settlement, replyTo: channel };
			}),
		);
		// Those that won come back over the channel; the others have a record by now.
		await this.#answerFromRecords(given.filter((_, at) => won[at] !== true).map(([pending]) => pending));
	}
}

/** Nothing says what became of it. */
export function undecided(): BerthError {
	return new BerthError("worker_lost", "Redis can't be asked what became of it; it may have begun.");
}

/** Known not to have begun, and not in any queue: its worker ended or stops, or Redis was away. It may be placed again. */
export class LeftBehindError extends BerthError {
	constructor(detail = "its worker ended before it took it: nothing was run; try again") {
		super("unavailable", detail);
	}
}
