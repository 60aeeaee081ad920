import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram } from "../harness/guest/guest-files.js";
import { ENGINES, type EngineName } from "./engines.js";
import type { TrialSpec } from "./main.js";
import { PROMISES } from "./promises.js";

/** What was said of a promise: what was seen, or why there is nothing. */
export interface Said {
	readonly value?: unknown;
	readonly error?: string;
}

/** A test for every promise. @param saidOf what was seen of it, by key */
export function eachPromise(engine: EngineName, saidOf: (key: string) => Said, promises = PROMISES): void {
	it.each(promises.map(({ name, ...promised }) => [name, promised] as const))("%s", (_, { key, expected }) => {
		const { value, error } = saidOf(key);
		if (error !== undefined) throw new Error(error);
		expect(value).toEqual(expected(ENGINES[engine]));
	});
}

/** Tries every promise with an engine, in a process that is its worker. @param directory for files of its own */
export function engineConforms(engine: EngineName, directory: () => string, spec: () => TrialSpec): void {
	describe(`with the engine ${engine}`, () => {
		const said = new Map<string, Said>();
		let complaints = "";
		beforeAll(async () => {
			const program = join(directory(), "conformance.mjs");
			await bundleProgram(join(import.meta.dirname, "main.ts"), program);
			const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", process.execPath, program, JSON.stringify(spec())], {
				stdio: ["ignore", "pipe", "pipe"],
			});
			child.stderr.on("data", (bytes: Buffer) => {
				complaints = `${complaints}${bytes}`.slice(-3000);
			});
			const ended = once(child, "close");
			for await (const line of createInterface({ input: child.stdout })) {
				const { check, ...rest } = JSON.parse(line) as Said & { readonly check: string };
				said.set(check, rest);
			}
			await ended;
		});
		eachPromise(engine, (key) => said.get(key) ?? { error: `it never got there: ${complaints}` });
	});
}
