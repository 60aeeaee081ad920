import fc from "fast-check";

/** What is done to a cluster. `for` is how long, milliseconds, before it is undone; a process that is killed is started again by whoever does that in a real one. */
export type Fault =
	/** kill -9. The supervisor starts these again. */
	| { readonly kind: "kill"; readonly process: "worker" | "launcher"; readonly worker: number }
	| { readonly kind: "kill"; readonly process: "gateway"; readonly gateway: number }
	/** kill -9 of a machine's supervisor, with which all of the machine's processes end. It is started again afterwards. */
	| { readonly kind: "crash"; readonly machine: MachineName; readonly forMs: number }
	/** kill -9 of a Redis server, which comes back with what it has on disk. */
	| { readonly kind: "kill-redis"; readonly server: RedisName; readonly forMs: number }
	/** SIGTERM to a machine's main process, which ends what it has in hand. The supervisor starts it again. */
	| { readonly kind: "stop"; readonly machine: MachineName }
	/** `berth down` on a machine, and `berth up` afterwards: so a stack is brought to a new version. */
	| { readonly kind: "down"; readonly machine: MachineName; readonly forMs: number }
	/** `berth drain` of a worker, then `undrain`. */
	| { readonly kind: "drain"; readonly worker: number; readonly forMs: number }
	/** SIGSTOP, then SIGCONT. */
	| { readonly kind: "freeze"; readonly machine: MachineName; readonly forMs: number }
	| { readonly kind: "freeze-redis"; readonly server: RedisName; readonly forMs: number }
	/** A machine is cut off; what is sent is lost. */
	| { readonly kind: "partition"; readonly machine: MachineName; readonly from: Side; readonly forMs: number }
	/** A machine loses so many of the packets that get to it. */
	| { readonly kind: "slow"; readonly machine: MachineName; readonly percent: number; readonly forMs: number }
	/** The disk of a worker that has one of its own is full. */
	| { readonly kind: "full-disk"; readonly forMs: number }
	/** The clock of a machine's main process jumps; of nobody else's. */
	| { readonly kind: "clock"; readonly machine: MachineName; readonly byMs: number; readonly forMs: number };

export type MachineName = `worker-${number}` | `gateway-${number}`;
export type RedisName = "durable" | "fast";
export type Side = RedisName | "both" | "gateways" | "everything";

/** A fault at its time. */
export interface Planned {
	readonly atMs: number;
	readonly fault: Fault;
}

/** How many machines there are, how many faults there are to be, and how long it takes at least from one to the next. */
export interface PlanBounds {
	readonly gateways: number;
	readonly workers: number;
	readonly faults: number;
	readonly gapMs: { readonly min: number; readonly max: number };
}

/** The same faults at the same offsets, for the same seed and bounds. */
export function planOf(seed: number, bounds: PlanBounds): readonly Planned[] {
	const planned = fc.record({ gapMs: fc.integer(bounds.gapMs), fault: faultOf(bounds) });
	const [all = []] = fc.sample(fc.array(planned, { minLength: bounds.faults, maxLength: bounds.faults, size: "max" }), {
		seed,
		numRuns: 1,
	});
	let atMs = 0;
	return all.map(({ gapMs, fault }) => {
		atMs += gapMs;
		return { atMs, fault };
	});
}

function faultOf({ gateways, workers }: PlanBounds): fc.Arbitrary<Fault> {
	const worker = fc.integer({ min: 0, max: workers - 1 });
	const gateway = fc.integer({ min: 0, max: gateways - 1 });
	const machine: fc.Arbitrary<MachineName> = fc.oneof(
		{ weight: 3, arbitrary: worker.map((n): MachineName => `worker-${n}`) },
		{ weight: 2, arbitrary: gateway.map((n): MachineName => `gateway-${n}`) },
	);
	const server = fc.constantFrom<RedisName>("durable", "fast");
	const forMs = fc.integer({ min: 500, max: 6000 });
	const of = <Kind extends Fault["kind"]>(kind: Kind) => ({ kind: fc.constant(kind) });
	const killWorker = fc.record({
		...of("kill"),
		process: fc.constantFrom("worker" as const, "worker" as const, "launcher" as const),
		worker,
	});
	const killGateway = fc.record({ ...of("kill"), process: fc.constant("gateway" as const), gateway });
	return fc.oneof(
		{ weight: 9, arbitrary: killWorker },
		{ weight: 5, arbitrary: killGateway },
		{ weight: 2, arbitrary: fc.record({ ...of("crash"), machine, forMs }) },
		{ weight: 4, arbitrary: fc.record({ ...of("kill-redis"), server, forMs: fc.integer({ min: 0, max: 3000 }) }) },
		{ weight: 3, arbitrary: fc.record({ ...of("stop"), machine }) },
		{ weight: 1, arbitrary: fc.record({ ...of("down"), machine, forMs }) },
		{ weight: 3, arbitrary: fc.record({ ...of("drain"), worker, forMs }) },
		{ weight: 2, arbitrary: fc.record({ ...of("freeze"), machine, forMs: fc.integer({ min: 500, max: 15_000 }) }) },
		{ weight: 1, arbitrary: fc.record({ ...of("freeze-redis"), server, forMs }) },
		{
			weight: 4,
			arbitrary: fc.record({
				...of("partition"),
				machine,
				from: fc.constantFrom<Side>("durable", "fast", "both", "gateways", "everything"),
				forMs: fc.integer({ min: 500, max: 15_000 }),
			}),
		},
		{ weight: 2, arbitrary: fc.record({ ...of("slow"), machine, percent: fc.constantFrom(2, 10, 25), forMs }) },
		{ weight: 1, arbitrary: fc.record({ ...of("full-disk"), forMs }) },
		{
			weight: 2,
			arbitrary: fc.record({ ...of("clock"), machine, byMs: fc.constantFrom(-3_600_000, -5000, 5000, 3_600_000), forMs }),
		},
	);
}
