import {
	FROM_AGENT,
	type HeaderPair,
	type InvokeHead,
	KIB,
	type LimitHit,
	leftOutOf,
	type SandboxLimits,
	type StreamedHead,
	TO_AGENT,
} from "@berth/contracts";
import { goesOnIn } from "./agent-words.js";
import type { Body } from "./body.js";
import type { CauseOfDeath } from "./cause-of-death.js";
import type { Reply, Respond } from "./conversation.js";
import type { LineListener } from "./log-reader.js";
import type { SandboxResult } from "./sandbox-result.js";
import { Flow, type Streams } from "./streams.js";
import { timeoutError, verdictOn } from "./verdict.js";
import { within } from "./within.js";

/** As much of what is printed after an answer is kept, bytes. */
const LATE_LOG_BYTES = 64 * KIB;

/** What an agent is given to do. */
export interface Attempt {
	readonly head: InvokeHead;
	readonly payload: Uint8Array;
	/** Answers what its agent asks meanwhile. */
	readonly respond: Respond | undefined;
	readonly streams: Streams | undefined;
}

/** The sandbox that it runs in. */
export interface Surroundings {
	readonly limits: SandboxLimits;
	/** Told of each line, also after the answer. */
	readonly onLine: LineListener | undefined;
	/** Whether its agent or its container has ended, or is about to. */
	readonly hasEnded: boolean;
	/** Kills what didn't answer, and finds out why. @returns undefined when it did answer, or when only its time was over */
	deathOf(reply: Reply | undefined, streamed: boolean): Promise<CauseOfDeath | undefined>;
}

/** Runs one attempt. Never rejects for what the function does. */
export async function attemptIn(body: Body, { head, payload, respond, streams }: Attempt, sandbox: Surroundings): Promise<SandboxResult> {
	const { talk, logs, meter, claim, egress } = body;
	const outputMark = logs.begin();
	egress.begin();
	if (sandbox.onLine !== undefined) logs.tell(sandbox.onLine);
	body.remember();
	const usedUs = meter.begin();
	claim?.begin(usedUs);
	const startedAt = performance.now();
	const asked = outputMark === undefined ? head : { ...head, outputMark };
	const sayLeftOut = (said: Pick<StreamedHead, "contentType" | "response">) => {
		const line = leftOutOf(headersOf(said));
		if (line !== undefined) logs.say(`berth: ${line}`);
	};
	const flow = streams && new Flow(head, streams, (...frame) => talk.tell(...frame), sayLeftOut);
	const answered = talk.ask(TO_AGENT.invoke, FROM_AGENT.answer, asked, payload, respond, flow);
	flow?.begin(streams?.body);
	const reply = await within(answered, head.timeoutMs);
	flow?.close();
	const death = await sandbox.deathOf(reply, flow?.streamed !== undefined);
	const runMs = performance.now() - startedAt;
	const streamed = flow?.streamed;
	const frame = reply !== undefined && "frame" in reply ? reply.frame : undefined;
	const verdict = frame && verdictOn(frame, head, streamed !== undefined);
	if (verdict?.answer !== undefined) sayLeftOut(verdict.answer.head);
	const log = await logs.end();
	const { usage, limitsHit } = meter.end(sandbox.limits);
	const refusals: readonly LimitHit[] = egress.end() ? ["egress"] : [];
	const logCut: readonly LimitHit[] = log.truncated ? ["log"] : [];
	const base = {
		runMs,
		log,
		usage,
		limitsHit: [...limitsHit, ...logCut, ...refusals],
		...(streamed === undefined ? {} : { streamed }),
	};
	if (death !== undefined) return { ...base, ...death, healthy: false };
	if (frame === undefined || verdict === undefined)
		return { ...base, outcome: "timed_out", error: timeoutError(head.timeoutMs, streamed !== undefined), healthy: false };
	const { holds, ...ended } = verdict;
	const healthy = holds && !limitsHit.includes("memory") && !sandbox.hasEnded;
	const goesOn = holds ? goesOnIn(frame.head) : undefined;
	if (goesOn === undefined) return { ...base, ...ended, healthy };
	logs.goOn(LATE_LOG_BYTES);
	// When what it gave to `waitUntil` is over.
	const after = talk.settled(goesOn).then(() => logs.end());
	return { ...base, ...ended, healthy, after };
}

function headersOf({ contentType, response }: Pick<StreamedHead, "contentType" | "response">): readonly HeaderPair[] {
	if (response !== undefined) return response.headers;
	return contentType === undefined ? [] : [["content-type", contentType]];
}
