import { askRedis, RedisError, type Reply } from "../doctor/redis-connection.js";

/** Keys that are looked at, and how many of each class are weighed. */
const MOST_KEYS = 1_000_000;
const WEIGHED = 100;
const SCANNED = "1000";
const SETTINGS = [
	"maxmemory",
	"maxmemory-policy",
	"appendonly",
	"appendfsync",
	"no-appendfsync-on-rewrite",
	"save",
	"timeout",
	"maxclients",
];
/** Ends of names that say what a key of BullMQ's or of a hook's is; another end is an id. */
const ENDS = new Set(
	"wait active completed failed delayed paused prioritized marker meta id events stalled stalled-check limiter pc log runs idle rate claims".split(
		" ",
	),
);

/** Keys of one kind. */
export interface KeyClass {
	count: number;
	/** How many were weighed, and what these take with their overhead. */
	weighed: number;
	bytes: number;
}

/** What a server says of itself, and how many keys of which kind it has: no name and no value of one. @throws Error when it doesn't answer */
export async function redisFigures(url: string): Promise<object> {
	const [info, ...values] = await askRedis(url, [["INFO", "all"], ...SETTINGS.map((setting) => ["CONFIG", "GET", setting])]);
	if (info instanceof RedisError) throw info;
	const settings = values.flatMap((value) => (Array.isArray(value) && value.length >= 2 ? [[String(value[0]), String(value[1])]] : []));
	return { info: String(info).split("\r\n").filter(isFigure), settings: Object.fromEntries(settings), ...(await keyClasses(url)) };
}

/** Names of files, and of machines, are no figures. */
function isFigure(line: string): boolean {
	return line !== "" && !/^(?:config_file|executable|master_host|slave\d)/.test(line);
}

async function keyClasses(url: string): Promise<{ readonly keys: Readonly<Record<string, KeyClass>>; readonly isWhole: boolean }> {
	const classes: Record<string, KeyClass> = {};
	let [cursor, seen] = ["0", 0];
	do {
		const [reply] = await askRedis(url, [["SCAN", cursor, "COUNT", SCANNED]]);
		if (!Array.isArray(reply)) throw reply instanceof RedisError ? reply : new Error("it answers SCAN with what no Redis does");
		cursor = String(reply[0]);
		const names = (reply[1] as readonly Reply[]).map(String);
		seen += names.length;
		await count(url, names, classes);
	} while (cursor !== "0" && seen < MOST_KEYS);
	return { keys: classes, isWhole: cursor === "0" };
}

async function count(url: string, names: readonly string[], classes: Record<string, KeyClass>): Promise<void> {
	const weigh: { readonly name: string; readonly into: KeyClass }[] = [];
	for (const name of names) {
		const of = classOf(name);
		classes[of] ??= { count: 0, weighed: 0, bytes: 0 };
		const into = classes[of];
		into.count++;
		if (into.weighed >= WEIGHED) continue;
		into.weighed++;
		weigh.push({ name, into });
	}
	if (weigh.length === 0) return;
	const sizes = await askRedis(
		url,
		weigh.map(({ name }) => ["MEMORY", "USAGE", name]),
	);
	for (const [at, { into }] of weigh.entries()) into.bytes += Number(sizes[at]) || 0;
}

/** The kind of a key, by the parts of its name that we choose. */
export function classOf(key: string): string {
	const [, ours, first = "", rest = ""] = /^(\{berth\}|berth):([a-z][a-z-]*)(.*)$/s.exec(key) ?? [];
	if (ours === undefined || (rest !== "" && !rest.startsWith(":"))) return "(not Berth's)";
	const parts = rest.split(":");
	const end = parts.at(-1) ?? "";
	if (first === "q") return `berth:q:${/^:(builds|[bi]-)/.exec(rest)?.[1]?.replace("-", "-…") ?? "…"}:${ENDS.has(end) ? end : "…"}`;
	if (rest === "") return `${ours}:${first}`;
	const claim = parts.includes("claim") ? "…:claim:…" : undefined;
	return `${ours}:${first}:${claim ?? (ENDS.has(end) && parts.length > 2 ? `…:${end}` : "…")}`;
}
