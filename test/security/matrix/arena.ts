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
import { secretValue } from "./secret-values.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures/attacks");
/** Where a protection was taken away, what an attack does to its own sandbox mustn't be another's success. */
const APART = process.env["TEST_ATTACKS_APART"] === "1";
type Language = "node" | "python";

/** One column: its stack, and the functions that attack it. */
export class Arena {
	readonly #stack: Stack;
	readonly #column: Column;
	/** By what they differ in. */
	readonly #functions = new Map<string, Promise<Deployed>>();
	readonly #secrets = new Map<string, Promise<void>>();

	constructor(stack: Stack, column: Column) {
		this.#stack = stack;
		this.#column = column;
	}

	/** @param whose another tenant's, if it isn't the attacker's own */
	async attacker(name: string, tried: Tried, whose = ""): Promise<Attacker> {
		const shared = tried.own === undefined && !APART ? JSON.stringify(tried.manifest ?? {}) : name;
		const deployed = await this.#once([whose, languageOf(tried), shared].join(" "), () => this.#deploy(tried));
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
			granted: tried.granted?.[this.#column]?.attempts ?? [],
			attack,
			report: async <T>(ask?: object) => {
				const { answer } = await attack(ask);
				// It has neither got through nor been refused: something else is the matter.
				if (answer.outcome !== "succeeded") throw new Error(`it can't tell: ${answer.outcome}, ${answer.problem?.detail}`);
				return resultOf(answer) as T;
			},
			servesOn: async () => {
				const answer = await deployed.invoke({ attack: null });
				expect([answer.outcome, answer.problem?.detail]).toEqual(["succeeded", undefined]);
				expect(resultOf(answer)).toBe("serves");
			},
			neighbour: () => this.#once("neighbour", () => this.#serving()),
			other: () => this.attacker(name, tried, "other"),
			secret: (secret) => this.#secret(secret),
			nextVersion: async () => {
				await this.#deploy(tried, deployed.name, { VERSION: "2" });
			},
			isGone: async (sandbox) => {
				if (sandbox === undefined) throw new Error("the record names no sandbox");
				await eventually(() => expect(processesIn(this.#stack, this.#column, sandbox)).toEqual([]));
			},
		};
	}

	#once(key: string, make: () => Promise<Deployed>): Promise<Deployed> {
		const made = this.#functions.get(key) ?? make();
		this.#functions.set(key, made);
		return made;
	}

	#serving(): Promise<Deployed> {
		return deploy(this.#stack, { source: NEIGHBOUR, ...this.#class() });
	}

	#secret(name: string): Promise<void> {
		const set = this.#secrets.get(name) ?? this.#stack.client.setSecret(name, { value: secretValue(name) }).then(() => undefined);
		this.#secrets.set(name, set);
		return set;
	}

	async #deploy(tried: Tried, name = freshName(), env?: Readonly<Record<string, string>>): Promise<Deployed> {
		for (const secret of tried.manifest?.secrets ?? []) await this.#secret(typeof secret === "string" ? secret : secret.name);
		const manifest = { ...tried.manifest, ...this.#class(), ...(env === undefined ? {} : { env }) };
		if (tried.own === "source") return deploy(this.#stack, { name, source: sourceOf(tried.fixture), ...manifest });
		const language = languageOf(tried);
		return deployTar(this.#stack, allOf(language), language === "python" ? { ...manifest, runtime: "python3" } : manifest, name);
	}

	#class() {
		return this.#column === "runsc" ? { runtimeClass: "runsc" as const } : {};
	}
}

function languageOf({ fixture }: Tried): Language {
	return fixture.endsWith(".py") ? "python" : "node";
}

const sourceOf = (name: string) => readFileSync(join(FIXTURES, name), "utf8");

/** A function that makes whichever of a language's attacks it is asked for. */
function allOf(language: Language): readonly TarEntry[] {
	const names = readdirSync(FIXTURES).filter((name) => name.endsWith(language === "python" ? ".py" : ".ts") && isAsked(name));
	const index = language === "python" ? { path: "index.py", body: PYTHON_INDEX } : { path: "index.ts", body: nodeIndex(names) };
	return [index, ...names.map((name) => ({ path: `attacks/${name}`, body: sourceOf(name) }))];
}

/** It does nothing when it is loaded, and has no handler of its own. */
function isAsked(name: string): boolean {
	return !/^export default/m.test(sourceOf(name));
}

/** Shares nothing with any attack, and takes as long as it is told. */
const NEIGHBOUR = `export default async ({ ms = 0 }) => {
	await new Promise((resolve) => setTimeout(resolve, ms));
	return "serves";
};`;

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
