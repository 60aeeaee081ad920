import { EventEmitter } from "node:events";
import type { BuildLogLine, BuildProgress, StoredLogLine, Version } from "@berth/contracts";
import { type ConnectionLog, guarded, type Redis, Subscription } from "@berth/redis";
import { ADD_LOG_LINES } from "./build-log-scripts.js";
import { keys } from "./keys.js";

/** Names a version whose log it is. */
type Subject = Pick<Version, "project" | "function" | "number">;
/** What is listened to: there is more to read, or there may be; with progress when that is all there is. */
export type LogListener = (progress?: BuildProgress) => void;

/** What every id comes after. */
const FIRST = "-";

/**
 * What builds say: a stream of the durable Redis beside each version, bounded, gone with it. The states are written by the
 * very scripts that change them, so a log that ends says how the version ended.
 */
export class BuildLogs {
	readonly #redis: Redis;
	readonly #news = new EventEmitter().setMaxListeners(0);

	private constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** @param redis for `command` use @param subscriber neither is owned */
	static async open(redis: Redis, subscriber: Redis, log?: ConnectionLog): Promise<BuildLogs> {
		const logs = new BuildLogs(redis);
		const events = {
			onMessage: (text: string) => logs.#heard(text),
			// Whatever was said meanwhile was missed: everybody looks again.
			onResumed: () => {
				for (const member of logs.#news.eventNames()) logs.#news.emit(member);
			},
		};
		await new Subscription(subscriber, [keys.buildLogs], events, log).listening;
		return logs;
	}

	/** Adds lines, in the order of the calls, before any state that is set after. @throws BerthError unavailable */
	async add(subject: Subject, lines: readonly BuildLogLine[]): Promise<void> {
		const { project, function: name, number } = subject;
		await guarded(this.#redis, `logging the build of ${name}:${number}`, () =>
			ADD_LOG_LINES.run(
				this.#redis,
				[keys.version(project, name, number)],
				[memberOf(subject), ...lines.map((line) => JSON.stringify(line))],
			),
		);
	}

	/** Tells those who listen, and nobody else. @throws BerthError unavailable */
	async tell(subject: Subject, progress: BuildProgress): Promise<void> {
		await guarded(this.#redis, "telling of a build", () =>
			this.#redis.publish(keys.buildLogs, `${memberOf(subject)} ${JSON.stringify(progress)}`),
		);
	}

	/** The lines after one of them, or all. @throws BerthError unavailable */
	async read({ project, function: name, number }: Subject, after?: string): Promise<readonly StoredLogLine[]> {
		const from = after === undefined ? FIRST : `(${after}`;
		const entries = await guarded(this.#redis, `reading the build log of ${name}:${number}`, () =>
			this.#redis.xrange(keys.buildLog(project, name, number), from, "+"),
		);
		return entries.map(([id, [, line = "{}"]]) => ({
			id,
			at: new Date(Number(id.split("-", 1)[0])).toISOString(),
			...(JSON.parse(line) as BuildLogLine),
		}));
	}

	/** @returns how to stop */
	listen(subject: Subject, listener: LogListener): () => void {
		const member = memberOf(subject);
		this.#news.on(member, listener);
		return () => this.#news.off(member, listener);
	}

	#heard(text: string): void {
		const at = text.indexOf(" ");
		if (at < 0) this.#news.emit(text);
		else this.#news.emit(text.slice(0, at), JSON.parse(text.slice(at + 1)) as BuildProgress);
	}
}

function memberOf({ project, function: name, number }: Subject): string {
	return `${project}/${name}:${number}`;
}
