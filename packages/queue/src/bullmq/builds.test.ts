import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openBuildQueue, openBuildSource } from "../open.js";
import type { BuildTask } from "../ports.js";

let server: RedisServer;
const close: (() => Promise<void>)[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	await Promise.all(close.splice(0).map((one) => one()));
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

const TASK: BuildTask = { project: "default", function: "hello", version: 1 };

async function queue() {
	const opened = await openBuildQueue({ durableUrl: server.url });
	close.push(() => opened.close());
	return opened;
}

async function worker(handler: (task: BuildTask, attempt: number, rejected: number) => Promise<void>) {
	const source = await openBuildSource({ durableUrl: server.url });
	close.push(() => source.close());
	await source.start(handler, 2);
}

test("a version that is added twice is built once, and again when it is added after that", async () => {
	const builds = await queue();
	await builds.add(TASK);
	await builds.add(TASK);
	const built: BuildTask[] = [];
	await worker(async (task) => void built.push(task));
	await expect.poll(() => built).toEqual([TASK]);
	await expect
		.poll(async () => {
			await builds.add(TASK);
			return built.length;
		})
		.toBeGreaterThan(1);
});

test("a worker that rests before it starts builds nothing until it is to go on", async () => {
	const built: BuildTask[] = [];
	const source = await openBuildSource({ durableUrl: server.url });
	close.push(() => source.close());
	await source.rest();
	await source.start(async (task) => void built.push(task), 2);
	const builds = await queue();
	await builds.add(TASK);
	// Another one's is built meanwhile.
	const others: BuildTask[] = [];
	await worker(async (task) => void others.push(task));
	await expect.poll(() => others).toEqual([TASK]);
	for (const one of close.splice(2)) await one();
	await builds.add(TASK);
	expect(built).toEqual([]);
	await source.resume();
	await expect.poll(() => built).toEqual([TASK]);
});

test("a build that we failed is tried three times, and told which attempt it is, and how many were rejected before", async () => {
	const attempts: (readonly number[])[] = [];
	await worker(async (_, ...attempt) => {
		attempts.push(attempt);
		throw new Error("no sandbox");
	});
	await (await queue()).add(TASK);
	await expect
		.poll(() => attempts, { timeout: 10_000 })
		.toEqual([
			[1, 0],
			[2, 1],
			[3, 2],
		]);
});
