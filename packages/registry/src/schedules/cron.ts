import { Cron } from "croner";

/** Times are milliseconds since the epoch. */
export interface Times {
	/** The first one after a moment. */
	after(ms: number): number | undefined;
	/** The newest from a time on until a moment, both included: in order, and no more than so many. */
	between(fromMs: number, untilMs: number, most: number): readonly number[];
}

/** What was written isn't a time that comes; the message says what would be. */
export class WrongCron extends Error {
	constructor(message: string) {
		super(`${message}; ${EXAMPLES}`);
	}
}

const EXAMPLES = '"30 2 * * *" is every night at 02:30, "*/15 9-17 * * MON-FRI" every quarter of an hour at work, "@daily" every midnight';
const NICKNAMES = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/**
 * Daylight saving as croner has it (and, but for lists, Vixie cron): a time of day that a change leaves out is due at the first
 * moment after it, one that comes twice is due the first time; what has a `*` or a step counts real time, and is due in both.
 * @throws WrongCron
 */
export function cronTimes(text: string, timeZone: string): Times {
	const cron = parsedCron(text, timeZone);
	return {
		after: (ms) => cron.nextRun(new Date(ms))?.getTime(),
		between: (from, until, most) =>
			cron
				// Those before a moment, in whole seconds.
				.previousRuns(most, new Date(until + 1000))
				.map((date) => date.getTime())
				.filter((ms) => ms >= from && ms <= until)
				.reverse(),
	};
}

function parsedCron(text: string, timeZone: string): Cron {
	const parts = text.trim().split(/\s+/);
	if (text.trim().startsWith("@")) {
		if (!NICKNAMES.includes(text.trim().toLowerCase()))
			throw new WrongCron(`${text.trim().slice(0, 40)} isn't one of ${NICKNAMES.join(", ")}`);
	} else if (parts.length !== 5 && parts.length !== 6) {
		throw new WrongCron(
			`five fields are wanted (minute, hour, day of the month, month, day of the week), or six with seconds first; here are ${parts.length}`,
		);
	}
	if (text.includes("?")) throw new WrongCron("? has no meaning of its own here; write *");
	let cron: Cron;
	try {
		cron = new Cron(parts.join(" "), { timezone: timeZone, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" });
	} catch (error) {
		throw new WrongCron((error as Error).message.replace(/^Cron\w*: /, ""));
	}
	if (cron.nextRun() === null) throw new WrongCron("there is no such day, so it would never fire");
	return cron;
}
