import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { encodeFrame, type Frame, FrameDecoder, LAUNCHER_BOUNDS, LAUNCHER_PROBLEM, LAUNCHER_VERBS } from "@berth/contracts";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy } from "../harness/functions.js";
import { cgroupsOf, sandboxCgroupsOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const path = join(stack.dataDir, "run", "launcher.sock");
const DIGEST = `sha256:${"5".repeat(64)}`;
const SANDBOX = `sb_${"0".repeat(26)}`;
/** Enough that each kind of request and of value comes many times. */
const RUNS = 400;

/** Whoever talks to the launcher, as a worker that was taken over would. */
class Talker implements Disposable {
	readonly #socket: Socket;
	readonly #decoder = new FrameDecoder(LAUNCHER_BOUNDS);
	readonly #waiting = new Map<unknown, (answer: Frame) => void>();
	#asked = 0;
	readonly closed: Promise<unknown>;

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.on("data", (chunk: Buffer) => {
			for (const frame of this.#decoder.push(chunk)) this.#waiting.get((frame.head as { seq?: unknown }).seq)?.(frame);
		});
		// It is cut off in the middle of what it says: that is what is tried.
		socket.on("error", () => undefined);
		// Our side stays open when the launcher's closes.
		this.closed = Promise.race([once(socket, "end"), once(socket, "close")]);
	}

	static async open(): Promise<Talker> {
		const socket = connect({ path, allowHalfOpen: true });
		const talker = new Talker(socket);
		await once(socket, "connect");
		return talker;
	}

	say(bytes: Uint8Array): void {
		this.#socket.write(bytes);
	}

	end(): void {
		this.#socket.end();
	}

	/** The answer to a request of its own. @throws Error when it is cut off */
	async ask(verb: number, head: object, body?: Uint8Array): Promise<Frame> {
		const seq = ++this.#asked;
		const answered = new Promise<Frame>((resolve) => this.#waiting.set(seq, resolve));
		this.#socket.write(encodeFrame(verb, { ...head, seq }, body));
		const answer = await Promise.race([answered, this.closed.then(() => undefined)]);
		if (answer === undefined) throw new Error(`cut off at ${verb}: ${JSON.stringify(head)}`);
		return answer;
	}

	[Symbol.dispose](): void {
		this.#socket.destroy();
	}
}

/** One conversation, which is over when this resolves. */
async function talk(conversation: (talker: Talker) => void | Promise<void>): Promise<void> {
	using talker = await Talker.open();
	await conversation(talker);
}

/** Everything of the host that the launcher makes, with sandboxes' ids left out: they come and go by themselves. */
function hostAsItIs(pid: number) {
	const nameless = (text: string) => text.replace(/sb_[0-9a-z]{26}/g, "sb").replace(/shared:\d+|\/\/deleted/g, "");
	// Other stacks of this machine come and go as well.
	const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8")
		.split("\n")
		.filter((line) => line.includes(stack.dataDir));
	const launcher = join(stack.dataDir, "launcher");
	const directories = readdirSync(launcher).flatMap((name) => readdirSync(join(launcher, name)).map((each) => `${name}/${each}`));
	return {
		mounts: mounts.map((line) => nameless(line.split(" ").slice(3).join(" "))).sort(),
		directories: directories.map(nameless).sort(),
		cgroups: cgroupsOf(stack.dataDir),
		sandboxes: sandboxCgroupsOf(stack.dataDir).length,
		descriptors: readdirSync(`/proc/${pid}/fd`).length,
	};
}

/** What a field may be that nobody honest sends. */
const hostile = fc.oneof(
	fc.constantFrom(
		"../../../../etc",
		"/etc/shadow",
		"..",
		"",
		"sb_../../../../../../../../../..",
		`${SANDBOX}/../x`,
		`${SANDBOX}\n`,
		`${SANDBOX}\0`,
		`sha256:${"../".repeat(22)}`,
		`sha256:${"F".repeat(64)}`,
		"__proto__",
		"constructor",
		-1,
		0,
		2 ** 31,
		2 ** 53,
		1e308,
		0.5,
		null,
		true,
		[],
		{},
		[[]],
	),
	fc.string({ maxLength: 300 }),
	fc.jsonValue({ maxDepth: 3 }),
);

/** What would do, so that every check behind the first one is reached as well. */
const WELL_FORMED = {
	sandbox: SANDBOX,
	digest: DIGEST,
	base: [DIGEST],
	layers: [DIGEST],
	own: [DIGEST],
	kind: "function",
	program: { language: "python" },
	limits: { memoryBytes: 2 ** 27, cpuMilli: 1000, pids: 64, tmpfsBytes: 2 ** 20, tmpfsInodes: 64 },
	network: "none",
	storage: [{ name: "stock", volume: "0".repeat(32) }],
	volume: "0".repeat(32),
	sizeMiB: 2 ** 40,
	unusedForMs: 1,
	runtimeClass: "none",
};
const FIELDS = Object.keys(WELL_FORMED) as (keyof typeof WELL_FORMED)[];

/** A request with what would do, some of it in the place of which is something else. */
const head = fc
	.record({
		spoilt: fc.uniqueArray(fc.constantFrom(...FIELDS), { minLength: 1, maxLength: 6 }),
		values: fc.array(hostile, { minLength: 6, maxLength: 6 }),
	})
	.map(({ spoilt, values }) => ({ ...WELL_FORMED, ...Object.fromEntries(spoilt.map((name, index) => [name, values[index]])) }));

const verb = fc.constantFrom(...Object.values(LAUNCHER_VERBS));

describe("the launcher's socket, while functions are served", () => {
	let deployed: Deployed;
	let launcher: number;
	let before: ReturnType<typeof hostAsItIs>;
	beforeAll(async () => {
		deployed = await deploy(stack, { source: "export default () => 'served';" });
		expect(await deployed.result()).toBe("served");
		launcher = await stack.pidOf("launcher");
		// The pool may be making a sandbox that is prewarmed.
		before = await eventually(async () => {
			expect((await stack.client.sandboxes()).filter(({ state }) => state === "booting" || state === "retiring")).toEqual([]);
			const first = hostAsItIs(launcher);
			await new Promise((resolve) => setTimeout(resolve, 200));
			expect(hostAsItIs(launcher)).toEqual(first);
			return first;
		});
	});

	/** Whatever was said, the launcher is the same, answers who is honest, and nothing of the host is other. */
	async function expectNothingChanged(): Promise<void> {
		expect(await deployed.result()).toBe("served");
		expect(await stack.pidOf("launcher")).toBe(launcher);
		await talk(async (honest) => expect((await honest.ask(LAUNCHER_VERBS.host, {})).type).toBe(LAUNCHER_VERBS.host));
		await eventually(() => expect(hostAsItIs(launcher)).toEqual(before));
	}

	it("answers requests that nobody honest makes with a problem, or with nothing done", async () => {
		const { host, hasLayer, importLayer, dropLayers, kill, remove, removeVolume } = LAUNCHER_VERBS;
		const done: number[] = [host, hasLayer, importLayer, dropLayers, kill, remove, removeVolume];
		await talk((talker) =>
			fc.assert(
				fc.asyncProperty(verb, head, async (type, fields) => {
					const answer = await talker.ask(type, fields);
					// What isn't there is gone, nothing is unused for so long, and the beginning of a layer stays as long as whoever brings it.
					if (answer.type !== LAUNCHER_PROBLEM) expect(done).toContain(answer.type);
				}),
				{ numRuns: RUNS },
			),
		);
		await expectNothingChanged();
	});

	it("knows no verb but its own", async () => {
		const known: readonly number[] = Object.values(LAUNCHER_VERBS).filter((each) => each !== LAUNCHER_VERBS.mount);
		const others = Array.from({ length: 256 }, (_, type) => type).filter((type) => !known.includes(type));
		await talk(async (talker) => {
			for (const type of others) expect((await talker.ask(type, WELL_FORMED)).type).toBe(LAUNCHER_PROBLEM);
		});
		await expectNothingChanged();
	});

	it("takes no layer whose bytes aren't what its digest says", async () => {
		await talk((talker) =>
			fc.assert(
				fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
					const answer = await talker.ask(LAUNCHER_VERBS.importLayer, { digest: DIGEST, last: true }, bytes);
					expect(answer).toMatchObject({ type: LAUNCHER_PROBLEM, head: { message: expect.stringMatching(/digest|sha256/) } });
				}),
				{ numRuns: 50 },
			),
		);
		await expectNothingChanged();
	});

	it("cuts off who sends bytes that are no frames, and lengths beyond its bounds", async () => {
		const beyond = Buffer.alloc(9);
		beyond.writeUInt32BE(0xffff_ffff, 0);
		const longHead = Buffer.alloc(64);
		longHead.writeUInt32BE(60, 0);
		longHead.writeUInt32BE(0xffff_ffff, 5);
		const noJson = Buffer.concat([Buffer.from([0, 0, 0, 8, 4, 0, 0, 0, 3]), Buffer.from("{x}")]);
		for (const bytes of [beyond, longHead, noJson, Buffer.from([0, 0, 0, 0])]) {
			await talk(async (talker) => {
				talker.say(bytes);
				await talker.closed;
			});
		}
		await fc.assert(
			fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4000 }), (bytes) => talk((talker) => talker.say(bytes))),
			{ numRuns: RUNS },
		);
		await expectNothingChanged();
	});

	it("forgets who leaves in the middle of a frame, or of what it asked for", async () => {
		const boot = encodeFrame(LAUNCHER_VERBS.boot, { ...WELL_FORMED, runtimeClass: undefined, own: undefined, storage: undefined, seq: 1 });
		for (const cut of [1, 4, 5, 9, boot.length - 1, boot.length]) {
			await talk(async (halfClosed) => {
				halfClosed.say(boot.subarray(0, cut));
				halfClosed.end();
				await halfClosed.closed;
			});
			await talk((gone) => gone.say(boot.subarray(0, cut)));
		}
		await expectNothingChanged();
	});

	it("keeps no descriptor that is passed to it", async () => {
		const pass = `import os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    fds = [os.open("/etc/shadow", os.O_RDONLY) for _ in range(50)]
    socket.send_fds(s, [bytes.fromhex(sys.argv[2])], fds)
    s.recv(1)`;
		const frame = encodeFrame(LAUNCHER_VERBS.hasLayer, { digest: DIGEST, seq: 1 }).toString("hex");
		execFileSync("/usr/bin/python3", ["-c", pass, path, frame]);
		await expectNothingChanged();
	});
});
