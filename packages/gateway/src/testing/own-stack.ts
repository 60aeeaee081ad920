import { RedisServer } from "@berth/redis/testing";
import { expect } from "vitest";
import { type Stack, type StackOptions, startStack } from "./stack.js";

/** A gateway with a Redis of its own, which ends with it. */
export interface OwnStack extends Stack, AsyncDisposable {
	readonly redis: RedisServer;
	/** Sends JSON, if anything, and gives what is answered, which has this status; default: 200. */
	call<Answer = unknown>(method: string, path: string, body?: object, status?: number): Promise<Answer>;
}

/** @param functions that are deployed at first: their manifests, by name */
export async function startOwnStack(functions: Readonly<Record<string, object>> = {}, options?: StackOptions): Promise<OwnStack> {
	const redis = await RedisServer.start();
	const stack = await startStack(redis.url, options);
	for (const [name, manifest] of Object.entries(functions)) await stack.deploy(name, manifest);
	const close = async () => {
		await stack.close();
		await redis[Symbol.asyncDispose]();
	};
	return { ...stack, redis, close, [Symbol.asyncDispose]: close, call: (...asked) => call(stack, ...asked) };
}

async function call<Answer>(stack: Stack, method: string, path: string, body?: object, status = 200): Promise<Answer> {
	const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
	const answer = await stack.fetch(path, { method, ...sent });
	const text = await answer.text();
	expect([answer.status, text]).toEqual([status, text]);
	return (text === "" ? undefined : JSON.parse(text)) as Answer;
}
