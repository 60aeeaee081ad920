import { expect, test } from "vitest";
import { Coalesced } from "./coalesced.js";

/** Work whose end the test says. */
function pending() {
	const begun: { readonly key: string; readonly end: PromiseWithResolvers<void> }[] = [];
	const coalesced = new Coalesced((key) => {
		const end = Promise.withResolvers<void>();
		begun.push({ key, end });
		return end.promise;
	});
	return { begun, coalesced, keys: () => begun.map(({ key }) => key) };
}

test("what is asked for while it is under way is done once more for all of them, after it", async () => {
	const { begun, coalesced, keys } = pending();
	const first = coalesced.run("a");
	const others = [coalesced.run("a"), coalesced.run("a"), coalesced.run("b")];
	expect(keys()).toEqual(["a", "b"]);
	begun[0]?.end.resolve();
	await first;
	await expect.poll(keys).toEqual(["a", "b", "a"]);
	// Of those that began after this one asked, the next is the first.
	const late = coalesced.run("a");
	begun[2]?.end.resolve();
	await Promise.all(others.slice(0, 2));
	await expect.poll(keys).toEqual(["a", "b", "a", "a"]);
	begun[1]?.end.resolve();
	begun[3]?.end.resolve();
	await Promise.all([...others, late]);
	void coalesced.run("a");
	expect(keys()).toHaveLength(5);
});

test("one that fails is told to those that shared it, and to nobody else", async () => {
	const { begun, coalesced, keys } = pending();
	const first = coalesced.run("a");
	const shared = Promise.allSettled([coalesced.run("a"), coalesced.run("a")]);
	begun[0]?.end.reject(new Error("the first"));
	await expect(first).rejects.toThrow("the first");
	await expect.poll(keys).toHaveLength(2);
	begun[1]?.end.reject(new Error("the second"));
	expect((await shared).map((each) => (each.status === "rejected" ? String(each.reason) : each.status))).toEqual([
		"Error: the second",
		"Error: the second",
	]);
	const next = coalesced.run("a");
	begun[2]?.end.resolve();
	await next;
});
