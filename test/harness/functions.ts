import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ApiError, type FunctionRequest, type InvokeAnswer, type InvokeOptions, type RawAnswer, resultOf } from "@berth/client";
import type { InlineDeployInput, InvocationAnswer, Problem, Version } from "@berth/contracts";
import { expect } from "vitest";
import { type TarEntry, tarGz } from "./archives.js";
import type { Stack } from "./stack.js";

type ArchiveManifest = Parameters<Stack["client"]["deployArchive"]>[1]["manifest"];

/** How a test deploys: a manifest and a source; the name is made up unless it matters. */
export type DeployInput = InlineDeployInput & { readonly name?: string };

let made = 0;

/** A function name that no other test has. */
export function freshName(stem = "t"): string {
	made++;
	return `${stem}-${process.pid.toString(36)}-${Date.now().toString(36)}-${made}`;
}

/** A function that was deployed, and what tests do with it. */
export class Deployed {
	readonly stack: Stack;
	readonly name: string;
	readonly version: Version;

	constructor(stack: Stack, name: string, version: Version) {
		this.stack = stack;
		this.name = name;
		this.version = version;
	}

	/** Invokes with a JSON payload; how it ended is in the answer. */
	invoke(json: unknown = {}, options: InvokeOptions = {}): Promise<InvokeAnswer> {
		return this.stack.client.invoke(this.name, { json }, options);
	}

	/** Invokes with a JSON payload and gives what the function returned. @throws Error when it didn't succeed */
	async result<T = unknown>(json: unknown = {}): Promise<T> {
		const answer = await this.invoke(json);
		if (answer.outcome !== "succeeded") throw new Error(`${this.name}: ${answer.outcome}: ${answer.problem?.detail}`);
		return resultOf(answer) as T;
	}

	/** Asks the function's own URL. */
	request(request: FunctionRequest = {}): Promise<RawAnswer> {
		return this.stack.client.request("default", this.name, request);
	}

	/** The record of one of its invocations. */
	record({ id }: { readonly id: string }): Promise<InvocationAnswer> {
		return this.stack.client.invocation(id);
	}
}

/** Deploys and waits until it is ready. @throws ApiError */
export async function deploy(stack: Stack, { name = freshName(), ...input }: DeployInput): Promise<Deployed> {
	const { version } = await stack.client.deploy(name, input);
	return new Deployed(stack, name, version);
}

/** Deploys an archive and waits until it is ready. @throws ApiError */
export async function deployTar(
	stack: Stack,
	entries: readonly TarEntry[],
	manifest: ArchiveManifest = {},
	name = freshName(),
): Promise<Deployed> {
	const { version } = await stack.client.deployArchive(name, { kind: "tar.gz", bytes: tarGz(...entries), manifest });
	return new Deployed(stack, name, version);
}

/** Why a deploy was refused. @throws Error when it wasn't */
export async function refusalOf(deploying: Promise<unknown>): Promise<Problem> {
	const error = await deploying.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	expect(error, "the deploy wasn't refused").toBeInstanceOf(ApiError);
	return (error as ApiError).problem;
}

/** What a version's build says of its layer of dependencies. */
export function dependenciesOf({ build }: Version) {
	return build?.layers.find(({ name }) => name === "dependencies");
}

/** The source of a fixture: one misbehaviour each, in `fixtures/functions/<name>/index.ts`, or `index.py`. */
export function fixture(name: string, file: "index.ts" | "index.py" = "index.ts"): string {
	return readFileSync(fileURLToPath(new URL(`../fixtures/functions/${name}/${file}`, import.meta.url)), "utf8");
}

/** A header of an answer that has one value. */
export function header(answer: Pick<RawAnswer, "headers">, name: string): string | undefined {
	const value = answer.headers[name];
	return typeof value === "string" ? value : value?.join(", ");
}

/** The stack trace that a problem carries, for those with a key. */
export function traceIn(problem: Problem | undefined): string {
	const error = problem?.["error"] as { readonly stack?: string } | undefined;
	return error?.stack ?? "";
}

/** An answer's body as JSON. */
export function json<T = Record<string, unknown>>(answer: { readonly body: Buffer }): T {
	return JSON.parse(answer.body.toString("utf8")) as T;
}
