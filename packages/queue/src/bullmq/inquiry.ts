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
	readonly accepted: (pending: Pending) => void;
	readonly log: QueueLogger;
}

/** What a look is about beside its reason. */
interface Particulars {
	/** The incarnation of the node that it concerns. */
	readonly incarnation?: string;
	/** What callers of revoked invocations are told. Default: `unavailable`. */
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

	async #judge(open: readonly Pending[], reason: Reason, { incarnation, revoked = new LeftBehindError() }: Particulars): Promise<void> {
		const fates = await this.#fates(open, incarnation);
		// A job leaves the queue only after its settlements are recorded: look once more for those.
		const isGone = (pending: Pending) => ["gone", "unknown"].includes(fates.get(pending) ?? "gone");
		const gone = await this.#answerFromRecords(open.filter(isGone));
		const left = open.filter((pending) => !isGone(pending) || gone.includes(pending));
		const given = new Map<Pending, keyof typeof VERDICT_TEXT>();
		for (const pending of left) {
			if (!this.#parts.isOpen(pending)) continue;
			let verdict = VERDICTS[reason][fates.get(pending) ?? "gone"];
			if (verdict === "revoke") {
				const isOut = await this.#revoke(pending);
				// One that a worker took, and ended, meanwhile isn't there either.
				if (isOut && (await this.#answerFromRecords([pending])).length === 0) continue;
				if (isOut && !this.#isOfBefore(pending)) {
					this.#parts.failed(pending, revoked);
					continue;
				}
				// A worker took it since, or the server was started again.
				verdict = VERDICTS[reason][isOut ? "unknown" : "taken"];
			}
			if (verdict !== "keep" && (await this.#reclaim(pending))) {
				if (reason === "overdue") given.set(pending, "expired_in_queue");
				else this.#parts.failed(pending, revoked);
				continue;
			}
			if (verdict === "keep" || verdict === "reclaim") this.#parts.accepted(pending);
			else given.set(pending, verdict === "expired_in_queue" ? verdict : "worker_lost");
		}
		await this.#giveUp([...given].filter(([pending]) => this.#parts.isOpen(pending)));
	}

	/** Whether it hadn't begun, and is this gateway's again: no worker begins it then. */
	async #reclaim({ request, job }: Pending): Promise<boolean> {
		const { unbegun, gatewayId } = this.#parts;
		if (job === undefined) return false;
		const [owner] = await unbegun.take(job, [request.id], gatewayId, "other");
		return owner === gatewayId;
	}

	async #fates(open: readonly Pending[], incarnation: string | undefined): Promise<Map<Pending, JobFate>> {
		const byJob = new Map<string, Promise<JobFate>>();
		const fates = new Map<Pending, JobFate>();
		for (const pending of open) {
			const { job } = pending;
			if (job === undefined) fates.set(pending, "waiting");
			else if (!byJob.has(job)) byJob.set(job, this.#fate(pending, job, incarnation));
		}
		for (const pending of open) {
			const fate = pending.job === undefined ? undefined : byJob.get(pending.job);
			if (fate !== undefined) fates.set(pending, await fate);
		}
		return fates;
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

	async #giveUp(given: readonly (readonly [Pending, keyof typeof VERDICT_TEXT])[]): Promise<void> {
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
