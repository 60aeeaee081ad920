import type { Asked, Done, History, Witnessed } from "./history.js";

/** A gateway that dies holds a key for 30 s from when it last said so, which it does every 10 s: who asks again after that has it run anew. */
const HELD_MS = 20_000;

/** All but what was run for a request with a key before it was run anew, as the gateway that had it had died so long before. */
export function withoutRunsBefore({ asked, witnessed, done = [] }: History): readonly Witnessed[] {
	const keyed = new Map(asked.filter(({ hasKey }) => hasKey === true).map((each) => [each.token, each]));
	const begun = Map.groupBy(
		witnessed.filter(({ what, token }) => what === "began" && keyed.has(token)),
		({ token }) => token,
	);
	const before = [...begun].flatMap(([token, all]) => idsBefore(keyed.get(token) as Asked, all, done));
	return witnessed.filter(({ id }) => !before.includes(id));
}

function idsBefore({ told, waited }: Asked, begun: readonly Witnessed[], done: readonly Done[]): readonly string[] {
	const last = "id" in told ? told.id : begun.at(-1)?.id;
	const anew = begun.find(({ id }) => id === last);
	if (anew === undefined || waited === undefined) return [];
	const died = done.filter(({ to, fromMs, untilMs }) => to === waited.at && fromMs <= waited.untilMs && untilMs >= waited.fromMs);
	const isFree = anew.atMs >= Math.min(...died.map(({ fromMs }) => fromMs)) + HELD_MS;
	return isFree ? begun.flatMap(({ id }) => (id === last ? [] : [id])) : [];
}
