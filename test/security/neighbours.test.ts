import { describe, expect, it } from "vitest";
import { deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

describe("what one function leaves", () => {
	it("as a secret in its environment isn't found by another, wherever it looks", async () => {
		const secret = `s3cret-${process.pid}`;
		const one = await deploy(stack, { source: "export default () => 1;", env: { TOKEN: secret } });
		await one.result();
		const other = await deploy(stack, { source: fixture("looks-around") });
		const seen = await other.result({
			read: ["/proc/1/environ", "/proc/1/cmdline", "/proc/self/environ"],
			list: ["/tmp", "/function", "/run"],
		});
		expect(JSON.stringify(seen)).not.toContain(secret);
	});
});

describe("a function that takes what it can get", () => {
	it("of the CPU leaves its neighbour's invocations answered", async () => {
		const victim = await deploy(stack, { source: fixture("sleeps") });
		const burner = await deploy(stack, { source: fixture("burns"), timeoutMs: 3000, memoryMiB: 64 });
		await victim.result();
		const burning = Array.from({ length: 4 }, () => burner.invoke({ burn: true }));
		const outcomes: string[] = [];
		for (let round = 0; round < 20; round++) outcomes.push((await victim.invoke()).outcome);
		expect(outcomes).toEqual(Array.from({ length: 20 }, () => "succeeded"));
		expect((await Promise.all(burning)).map(({ outcome }) => outcome)).toEqual(["timed_out", "timed_out", "timed_out", "timed_out"]);
	});
});
