// The hostile tenant's client of `npm run bench -- --neighbours`: everything at once, each kind over connections of its own, and a queue that grows.
// Its standard input says where; it prints what each kind came to.
import { text } from "node:stream/consumers";
import { closedLoop, openLoop } from "@berth/loadtest";
import { hostileName, ranked, requestTo } from "./load.mjs";

const CONNECTIONS = 4;
const QUEUED_PER_SECOND = 500;

const { stack, project, kinds, seconds } = JSON.parse(await text(process.stdin));
const to = (kind, query) => requestTo(stack, hostileName(kind), { project, query });
await ranked(async () => {
	const loads = kinds.map((kind) => [kind, closedLoop(to(kind), { connections: CONNECTIONS, seconds })]);
	const queued = openLoop(to("queue", "?mode=async"), { ratePerSecond: QUEUED_PER_SECOND, seconds });
	const told = [...loads, ["queue", queued]].map(async ([kind, load]) => [kind, toldOf(await load)]);
	process.stdout.write(`${JSON.stringify(Object.fromEntries(await Promise.all(told)))}\n`);
});

/** How many a second ended somehow, and how most of them did. */
function toldOf({ answered, seconds: took, perSecond, errors }) {
	const [[ending] = ["none"]] = Object.entries({ ...errors, succeeded: perSecond * took }).sort(([, a], [, b]) => b - a);
	return { perSecond: answered / took, ending, errors };
}
