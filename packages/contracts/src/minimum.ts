import * as z from "zod";
import { timeZoneSchema } from "./schedule.js";
import { DAY_MS, MINUTE_MS } from "./units.js";

/** How many sandboxes a function may have ready always. */
export const MINIMUM_LIMITS = {
	sandboxes: 100,
	windows: 20,
	forMs: { min: MINUTE_MS, max: 7 * DAY_MS },
} as const;

const { sandboxes, windows, forMs } = MINIMUM_LIMITS;
const SANDBOXES = `a whole number of sandboxes from 0 to ${sandboxes}`;
const FOR = `a whole number of milliseconds from ${forMs.min} to ${forMs.max}`;
const WINDOWS = 'a list as in [{"cron": "0 8 * * MON-FRI", "forMs": 36000000, "min": 4, "timeZone": "Europe/Berlin"}]';
const min = z.int(SANDBOXES).min(0, SANDBOXES).max(sandboxes, SANDBOXES);

/** Sandboxes that each node has of a function whoever invokes it; the most that it has is its `concurrency`. */
export const poolSchema = z.strictObject(
	{
		/** At all times. Default: 0. */
		min: min.optional(),
		/** At some times more. */
		windows: z
			.array(
				z.strictObject(
					{
						/** When it begins, as a schedule has it. */
						cron: z.string("a cron expression").max(200, "at most 200 characters"),
						/** Where `cron` counts. Default: UTC. */
						timeZone: timeZoneSchema.optional(),
						forMs: z.int(FOR).min(forMs.min, FOR).max(forMs.max, FOR),
						min,
					},
					WINDOWS,
				),
				WINDOWS,
			)
			.max(windows, `at most ${windows} windows`)
			.optional(),
	},
	'an object as in {"min": 1}',
);
export type PoolChoice = Readonly<z.output<typeof poolSchema>>;

/** The most sandboxes that it has ready at any time. */
export function mostReady({ min: always = 0, windows: some = [] }: PoolChoice = {}): number {
	return Math.max(always, ...some.map((each) => each.min));
}

/** What these may have together, MiB. */
export function warmMiBOf({ pool, memoryMiB }: { readonly pool?: PoolChoice | undefined; readonly memoryMiB: number }): number {
	return mostReady(pool) * memoryMiB;
}
