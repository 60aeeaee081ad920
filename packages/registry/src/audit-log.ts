import { AUDIT_KEPT, type AuditEntry, type AuditList } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";

/**
 * KEYS log, removed projects. ARGV most entries, the entry, project. Gives nothing when that was removed, and its log with it. Also while memory is
 * short, as it is bounded: what makes room is a change, too.
 */
const APPEND = new LuaScript(`#!lua flags=allow-oom
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return false end
return redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'entry', ARGV[2])`);

/** What is known of a change before it is made. */
export type AuditedChange = Omit<AuditEntry, "id" | "at" | "status" | "about">;

/** How a change ended; of which. */
export interface Ending {
	readonly of: string;
	readonly status: number;
	readonly about?: string;
}

/**
 * The changes of each project, in the durable Redis: that one is going to be made is on disk before it is made, how it
 * ended before it is answered. So there is no change without an entry.
 */
export class AuditLog {
	readonly #redis: Redis;

	private constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog): Promise<AuditLog> {
		const [redis] = await openRedis([{ url, use: "command", name: "audit-log", log }]);
		return new AuditLog(redis);
	}

	/** @returns the entry's id. @throws BerthError unavailable, or project_not_found when that was removed: then it mustn't be made */
	async begin(project: string, change: AuditedChange): Promise<string> {
		const id = await this.#append(project, change);
		if (id === null) throw projectNotFound(project);
		return String(id);
	}

	/** @throws BerthError unavailable */
	async end(project: string, ending: Ending): Promise<void> {
		await this.#append(project, ending);
	}

	/** It was refused, and nothing was done. @throws BerthError unavailable */
	async drop(project: string, id: string): Promise<void> {
		await guarded(this.#redis, "writing the audit log", () => this.#redis.xdel(keys.audit(project), id));
	}

	/** The newest first. @param before an id: only older ones. @throws BerthError unavailable */
	async list(project: string, limit: number, before?: string): Promise<AuditList> {
		const lines = await guarded(this.#redis, "reading the audit log", () => this.#redis.xrevrange(keys.audit(project), "+", "-"));
		const endings = new Map<string, Ending>();
		const entries: AuditEntry[] = [];
		for (const [id, [, text = "{}"]] of lines) {
			const line = JSON.parse(text) as AuditedChange | Ending;
			if ("of" in line) endings.set(line.of, line);
			else if (before === undefined || isBefore(id, before)) entries.push(entryOf(id, line, endings.get(id)));
			if (entries.length > limit) break;
		}
		const more = entries.length > limit ? entries[limit - 1]?.id : undefined;
		return { entries: entries.slice(0, limit), ...(more === undefined ? {} : { before: more }) };
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	/** An entry has two lines. */
	#append(project: string, line: AuditedChange | Ending): Promise<unknown> {
		return guarded(this.#redis, "writing the audit log", () =>
			APPEND.run(this.#redis, [keys.audit(project), keys.removedProjects], [2 * AUDIT_KEPT, JSON.stringify(line), project]),
		);
	}
}

function entryOf(id: string, change: AuditedChange, ending: Ending | undefined): AuditEntry {
	const { of: _, ...ended } = ending ?? { of: id };
	return { id, at: new Date(Number(id.split("-", 1)[0])).toISOString(), ...change, ...ended };
}

/** Whether one id of a stream comes before another. */
function isBefore(id: string, other: string): boolean {
	const [[ms = 0, count = 0], [otherMs = 0, otherCount = 0]] = [id, other].map((each) => each.split("-").map(Number)) as [
		number[],
		number[],
	];
	return ms < otherMs || (ms === otherMs && count < otherCount);
}
