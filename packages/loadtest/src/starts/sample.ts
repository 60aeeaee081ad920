import type { Client } from "@berth/client";
import type { Phases, StartKind } from "@berth/contracts";
import { BenchError } from "../bench-error.js";

/** One measured invocation. */
export interface Sample {
	readonly totalMs: number;
	/** The rest is from the invocation's record. */
	readonly version: number;
	readonly start: StartKind;
	readonly phases: Phases;
}

/** Invokes `count` times, one close upon the other, and then reads the records. @throws BenchError when one doesn't succeed */
export async function takeSamples(
	client: Client,
	name: string,
	payload: unknown,
	count: number,
	limits: { readonly signal?: AbortSignal },
): Promise<readonly Sample[]> {
	const timed: { readonly id: string; readonly totalMs: number }[] = [];
	for (let i = 0; i < count; i++) {
		const { id, outcome, problem, raw } = await client.invoke(name, { json: payload }, limits);
		if (problem !== undefined) throw new BenchError(`it doesn't succeed with this payload (${outcome}): ${problem.detail}`);
		timed.push({ id, totalMs: raw.timing.totalMs });
	}
	const samples: Sample[] = [];
	for (const { id, totalMs } of timed) {
		const { version, start, phases } = await client.invocation(id, limits);
		if (start === undefined || phases === undefined) throw new BenchError(`the record of ${id} says nothing about its start`);
		samples.push({ totalMs, version, start, phases });
	}
	return samples;
}
