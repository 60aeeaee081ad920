import type { Weakenings } from "../weakening.js";

const CONVERSATION = "packages/sandbox/src/conversation.ts";
const DISPATCH = "packages/sandbox/src/dispatch.ts";

/** What becomes of a sandbox, and what it may say. */
export const lifecycle = {
	"life of a sandbox": {
		takes: "the end of a sandbox whose agent has ended: it is kept as if it were warm, and removed by nobody",
		edits: [
			[
				DISPATCH,
				"if (!healthy || sandbox.hasEnded || this.#closed || isUsedUp || sandbox.hasStrays()) {",
				"if (this.#closed || isUsedUp) {",
			],
			[
				DISPATCH,
				"\t#park(sandbox: Sandbox): void {\n\t\tif (sandbox.hasEnded) {",
				"\t#park(sandbox: Sandbox): void {\n\t\tif (this.#closed) {",
			],
			["packages/sandbox/src/starts.ts", "if (sandbox !== undefined) population.retire(sandbox);", ""],
		],
	},
	"one version to a sandbox": {
		takes: "the version in what a sandbox is known by",
		edits: [["packages/worker/src/targets.ts", "key: `${project}/${name}:${number}`", "key: `${project}/${name}:`"]],
	},
	"strays retire a sandbox": {
		takes: "the look for processes that are left",
		edits: [["packages/sandbox/src/body.ts", "return this.#processes() > this.#restingProcesses;", "return false;"]],
	},
	freezer: { takes: "the freezing", edits: [["packages/sandbox/src/freezer.ts", "this.#write(this.#words.freeze);", ""]] },
	"errors by invocation": {
		takes: "whose an error is",
		edits: [["packages/agents/src/node/agent.ts", "const late = this.#isLate(owner);", "const late = false;"]],
	},
	"agent's frames are checked": {
		takes: "what frames are held against: whose they are, their length, that they were asked for, that their stream goes on",
		edits: [
			[
				CONVERSATION,
				"if (question === undefined) this.end({ violation: new Error(`a frame of type ${frame.type} that nobody asked for`) });",
				"if (question === undefined) return;",
			],
			[
				"packages/sandbox/src/verdict.ts",
				'if (answer.id !== asked.id || answer.attempt !== asked.attempt) return wrongAnswer("the answer of another invocation than its own");',
				"",
			],
			["packages/contracts/src/framing.ts", "if (rest < FIXED_BYTES || rest > most) throw", "if (rest < FIXED_BYTES) throw"],
			["packages/sandbox/src/agent-link.ts", "createServer((socket) =>", "createServer({ allowHalfOpen: true }, (socket) =>"],
		],
	},
	"output is log alone": { reason: "Nothing reads what a sandbox prints as anything else: there is nothing to take away." },
} as const satisfies Weakenings;
