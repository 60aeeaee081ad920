import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type InvokeOptions, resultOf } from "@berth/client";
import { expect } from "vitest";
import type { TarEntry } from "../../harness/archives.js";
import { eventually } from "../../harness/eventually.js";
import { type Deployed, deploy, deployTar, freshName } from "../../harness/functions.js";
import type { Stack } from "../../harness/stack.js";
import type { Attacker, Attempt, Column, Tried } from "./attack.js";
import { processesIn } from "./host.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures/attacks");
type Language = "node" | "python";

/** One column: its stack, and the functions that attack it. */
export class Arena {
	readonly #stack: Stack;
	readonly #column: Column;
	/** By what they differ in. */
	readonly #functions = new Map<string, Promise<Deployed>>();

	constructor(stack: Stack, column: Column) {
		this.#stack = stack;
		this.#column = column;
	}

	/** @param whose another tenant's, if it isn't the attacker's own */
	async attacker(name: string, tried: Tried, whose = ""): Promise<Attacker> {
		const deployed = await this.#once(`${whose} ${tried.alone ? name : JSON.stringify(tried.manifest ?? {})} ${languageOf(tried)}`, () =>
			this.#deploy(tried),
		);
		const fixture = tried.fixture.replace(/\.\w+$/, "");
		const mark = freshName("berth-attack");
		const attack = async (ask: object = {}, options: InvokeOptions = {}): Promise<Attempt> => {
			const answer = await deployed.invoke({ attack: fixture, mark, ...ask }, options);
			return { answer, record: await deployed.record(answer) };
		};
		return {
			stack: this.#stack,
			column: this.#column,
			mark,
			deployed,
			attack,
			report: async <T>(ask?: object) => {
				const { answer } = await attack(ask);
				expect([answer.outcome, answer.problem?.detail]).toEqual(["succeeded", undefined]);
				return resultOf(answer) as T;
			},
			servesOn: async () => expect(await deployed.result({ attack: null })).toBe("serves"),
			neighbour: () => this.#once("neighbour", () => this.#serving()),
			other: () => this.attacker(name, tried, "other"),
			isGone: (sandbox = "") => eventually(() => expect(processesIn(this.#stack, this.#column, sandbox)).toEqual([])),
		};
	}

	#once(key: string, make: () => Promise<Deployed>): Promise<Deployed> {
		const made = this.#functions.get(key) ?? make();
		this.#functions.set(key, made);
		return made;
	}

	#serving(): Promise<Deployed> {
		return deploy(this.#stack, { source: `export default () => "serves";`, ...this.#class() });
	}

	#deploy(tried: Tried): Promise<Deployed> {
		const language = languageOf(tried);
		const manifest = { ...tried.manifest, ...this.#class(), ...(language === "python" ? { runtime: "python3" as const } : {}) };
		return deployTar(this.#stack, sourceOf(language, tried.alone ? [tried.fixture] : undefined), manifest);
	}

	#class() {
		return this.#column === "runsc" ? { runtimeClass: "runsc" as const } : {};
	}
}

function languageOf({ fixture }: Tried): Language {
	return fixture.endsWith(".py") ? "python" : "node";
}

/** A function that makes whichever of these attacks it is asked for; all of its language that act only when asked, unless it is said which. */
function sourceOf(language: Language, names = inNobodysWay(language)): readonly TarEntry[] {
	const files = [...names, ...(language === "python" ? ["trying.py"] : [])];
	const attacks = files.map((name) => ({ path: `attacks/${name}`, body: readFileSync(join(FIXTURES, name)) }));
	return [language === "python" ? { path: "index.py", body: PYTHON_INDEX } : { path: "index.ts", body: nodeIndex(names) }, ...attacks];
}

/** Those that act when they are loaded say so in their names. */
function inNobodysWay(language: Language): readonly string[] {
	const ending = language === "python" ? ".py" : ".ts";
	return readdirSync(FIXTURES).filter((name) => name.endsWith(ending) && name !== "trying.py" && !/-at-load\./.test(name));
}

const PYTHON_INDEX = `import importlib


def handler(ask, context):
    if ask["attack"] is None:
        return "serves"
    return importlib.import_module("attacks." + ask["attack"]).attack(ask, context)
`;

function nodeIndex(names: readonly string[]): string {
	const imports = names.map((name, index) => `import { attack as a${index} } from "./attacks/${name}";`);
	const entries = names.map((name, index) => `${JSON.stringify(name.replace(".ts", ""))}: a${index}`);
	return `${imports.join("\n")}
const attacks = { ${entries.join(", ")} };
export default (ask, ctx) => (ask.attack === null ? "serves" : attacks[ask.attack](ask, ctx));
`;
}
