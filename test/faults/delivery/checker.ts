import { wrongFirings } from "./firings.js";
import type { Asked, History, Recorded, Witnessed } from "./history.js";
import { withoutRunsBefore } from "./keys.js";
import { unexplainedEnd, unexplainedLoss } from "./losses.js";

/** Of these codes a problem promises that its invocation never began. */
const NEVER_BEGAN: ReadonlySet<string> = new Set(["cancelled", "expired_in_queue"]);
/** Outcomes of a platform's failure: the function may not have been reached. */
const OF_THE_PLATFORM: ReadonlySet<string> = new Set(["platform_error"]);
/** How a deed ends when the platform does its part. */
const ENDINGS = {
	succeed: "succeeded",
	sleep: "succeeded",
	fail: "handler_error",
	crash: "crashed",
	"fail-once": "handler_error",
	"crash-once": "crashed",
} as const;

/**
 * Holds what clients saw against the delivery invariants. @returns what is wrong, one sentence each; empty when all is well
 */
export function violationsIn(seen: History): readonly string[] {
	const history = { ...seen, witnessed: withoutRunsBefore(seen) };
	const records = new Map(history.records.map((record) => [record.id, record]));
	const witnessed = Map.groupBy(history.witnessed, ({ token }) => token);
	const told = new Set(history.asked.flatMap((asked) => idOf(asked) ?? []));
	const ofEach = history.asked.flatMap((asked) => {
		const id = idOf(asked);
		const seen = (witnessed.get(asked.token) ?? []).filter((one) => (id === undefined ? !told.has(one.id) : one.id === id));
		const record = id === undefined ? undefined : records.get(id);
		const wrong = [
			...ofAttempts(asked, seen, history),
			...ofAnswer(asked, seen, record),
			...ofTimes(asked, seen),
			...unexplainedLoss(asked, seen, history),
			...unexplainedEnd(asked, record, history),
		];
		return wrong.map((what) => `${asked.lane} ${asked.deed} ${id ?? asked.token}: ${what}`);
	});
	return [...ofEach, ...ofReadings(history), ...ofStrangers(history), ...wrongFirings(history), ...ofTotals(history)];
}

function idOf({ told }: Asked): string | undefined {
	return "id" in told ? told.id : undefined;
}

/** Attempts are numbered upwards, each begins once, ends after it began, and before the next one begins. */
function ofAttempts({ lane, told }: Asked, seen: readonly Witnessed[], { killed, unattended = false }: History): string[] {
	const wrong: string[] = [];
	const begun = seen.filter(({ what }) => what === "began").map(({ attempt }) => attempt);
	if (new Set(seen.map(({ id }) => id)).size > 1) wrong.push("it ran under two ids");
	if (told.kind === "refused" && begun.length > 0) wrong.push(`it was refused as ${told.code}, and ran`);
	if (lane === "interactive" && begun.length > 1) wrong.push(`it began ${begun.length} times, and somebody waited for it`);
	begun.forEach((attempt, n) => {
		const before = begun[n - 1] ?? 0;
		if (attempt <= before) wrong.push(`attempt ${attempt} began after attempt ${before}`);
		else if (!killed && attempt !== before + 1) wrong.push(`attempt ${attempt} followed attempt ${before}, and nothing was killed`);
	});
	let current = 0;
	for (const { what, attempt } of unattended && lane === "background" ? [] : seen) {
		if (what === "began") current = attempt;
		else if (attempt !== current) wrong.push(`attempt ${attempt} went on beside attempt ${current}`);
	}
	return wrong;
}

function ofAnswer(asked: Asked, seen: readonly Witnessed[], record: Recorded | undefined): string[] {
	const { told } = asked;
	if (told.kind === "accepted") return record === undefined ? ["accepted, and there is no record of it"] : ofRecord(asked, seen, record);
	if (told.kind !== "answered") return [];
	const wrong = ofEnd(asked, seen, { ...told, attempt: 1 });
	if (record !== undefined && record.state === "settled" && record.outcome !== told.outcome) {
		wrong.push(`answered as ${told.outcome}, and its record says ${record.outcome}`);
	}
	return wrong;
}

/** What was accepted is settled in the end, and was run before it was. */
function ofRecord(asked: Asked, seen: readonly Witnessed[], record: Recorded): string[] {
	if (record.state !== "settled") return [`accepted, and never settled: it is ${record.state}`];
	const last = Math.max(0, ...seen.map(({ attempt }) => attempt));
	const wrong = ofEnd(asked, seen, record);
	if ((record.attempt ?? 0) < last) wrong.push(`settled by attempt ${record.attempt}, and attempt ${last} began`);
	return wrong;
}

/** The end that a client was told is one that the function came to, in that very attempt. */
function ofEnd({ token, lane, deed }: Asked, seen: readonly Witnessed[], end: Omit<Recorded, "id" | "state">): string[] {
	const { outcome = "none", code = "", attempt, result } = end;
	if (NEVER_BEGAN.has(code)) return [];
	const wrong: string[] = [];
	const did = (what: Witnessed["what"]) => seen.some((one) => one.what === what && one.attempt === attempt);
	if (outcome === "succeeded") {
		if (!did("ended")) wrong.push(`it succeeded in attempt ${attempt}, which never ended`);
		if (JSON.stringify(result) !== JSON.stringify({ token, attempt })) wrong.push(`its result is ${JSON.stringify(result)}`);
	} else if (!OF_THE_PLATFORM.has(outcome)) {
		if (!did("began")) wrong.push(`it ended as ${outcome} in attempt ${attempt}, which never began`);
	} else if (lane === "background" && seen.length === 0) wrong.push("it was given up, and never ran");
	const expected = lane === "background" && deed.endsWith("-once") ? "succeeded" : ENDINGS[deed];
	if (outcome !== expected && !OF_THE_PLATFORM.has(outcome)) wrong.push(`it ended as ${outcome} rather than ${expected}`);
	return wrong;
}

/** What was cancelled never begins again, and what is for later doesn't begin before. */
function ofTimes({ cancelledAtMs = Number.POSITIVE_INFINITY, notBeforeMs = 0 }: Asked, seen: readonly Witnessed[]): string[] {
	const begun = seen.filter(({ what }) => what === "began");
	const late = begun.filter(({ atMs }) => atMs > cancelledAtMs);
	const early = begun.filter(({ atMs }) => atMs < notBeforeMs);
	return [
		...late.map(({ attempt }) => `attempt ${attempt} began after it was cancelled`),
		...early.map(({ attempt, atMs }) => `attempt ${attempt} began ${notBeforeMs - atMs} ms before its time`),
	];
}

/** What is settled stays as it is, whoever reads it where. */
function ofReadings({ records }: History): string[] {
	return [...Map.groupBy(records, ({ id }) => id)].flatMap(([id, readings]) => {
		const from = readings.findIndex(({ state }) => state === "settled");
		const said = new Set(from < 0 ? [] : readings.slice(from).map((reading) => JSON.stringify(reading)));
		return said.size > 1 ? [`${id}: once it was settled it was read as ${[...said].join(" and as ")}`] : [];
	});
}

/** Whatever ran was asked for, under an id that its client was told, if it was told one. */
function ofStrangers({ asked, witnessed }: History): string[] {
	const known = Map.groupBy(asked, ({ token }) => token);
	const isKnown = ({ token, id }: Witnessed) => (known.get(token) ?? []).some((one) => [undefined, id].includes(idOf(one)));
	return witnessed.filter((one) => !isKnown(one)).map(({ token, id }) => `${token} ran as ${id}, and nobody asked for that`);
}

/** Conservation: accepted = settled + dead + in flight, and nothing is in flight when all is over. */
function ofTotals({ totals }: History): string[] {
	return Object.entries(totals).flatMap(([lane, { accepted, settled, dead, inFlight }]) => [
		...(accepted === settled + dead + inFlight
			? []
			: [`${lane}: ${accepted} accepted, and ${settled} settled, ${dead} dead, ${inFlight} in flight`]),
		...(inFlight === 0 ? [] : [`${lane}: ${inFlight} are in flight for ever`]),
	]);
}
