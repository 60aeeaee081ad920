import type { Version } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import { expect, test } from "vitest";
import { ready } from "./testing/versions.js";
import { ReadyVersions } from "./versions.js";

/** A registry that counts how often it is asked. */
class FakeRegistry {
	readonly stored = new Map<string, Version>();
	/** An answer that is on its way arrives when this has come. */
	arrives: Promise<void> = Promise.resolve();
	asked = 0;
	#tell: (name: string | undefined) => void = () => undefined;

	async getVersion(project: string, name: string, number: number): Promise<Version | undefined> {
		this.asked++;
		const version = this.stored.get(`${project}/${name}:${number}`);
		await this.arrives;
		return version;
	}

	onChange(listener: (name: string | undefined) => void): () => void {
		this.#tell = listener;
		return () => undefined;
	}

	put(version: Version): void {
		this.stored.set(`${version.project}/${version.function}:${version.number}`, version);
	}

	delete(name: string, told: string | undefined): void {
		this.stored.delete(`default/${name}:1`);
		this.#tell(told);
	}
}

function open(...names: readonly string[]): { readonly registry: FakeRegistry; readonly versions: ReadyVersions } {
	const registry = new FakeRegistry();
	for (const name of names) registry.put(ready(name));
	return { registry, versions: new ReadyVersions(registry as unknown as FunctionRegistry) };
}

test("a ready version is asked for once, however often it runs", async () => {
	const { registry, versions } = open("hello");
	for (let i = 0; i < 3; i++) expect((await versions.get("default", "hello", 1)).function).toBe("hello");
	expect(registry.asked).toBe(1);
});

test("a function that was deleted doesn't run any more; one whose name begins alike is still known", async () => {
	const { registry, versions } = open("hello", "hello-2");
	await versions.get("default", "hello", 1);
	await versions.get("default", "hello-2", 1);
	registry.delete("hello", "default/hello");
	await expect(versions.get("default", "hello", 1)).rejects.toMatchObject({ code: "function_not_found" });
	await versions.get("default", "hello-2", 1);
	expect(registry.asked).toBe(3);
});

test("an answer that a deletion overtook isn't kept", async () => {
	const { registry, versions } = open("hello");
	const arrival = Promise.withResolvers<void>();
	registry.arrives = arrival.promise;
	const asked = versions.get("default", "hello", 1);
	registry.delete("hello", "default/hello");
	arrival.resolve();
	await asked;
	await expect(versions.get("default", "hello", 1)).rejects.toMatchObject({ code: "function_not_found" });
});

test("after a silence in which anything may have changed nothing is believed", async () => {
	const { registry, versions } = open("hello");
	await versions.get("default", "hello", 1);
	registry.delete("hello", undefined);
	await expect(versions.get("default", "hello", 1)).rejects.toMatchObject({ code: "function_not_found" });
});

test("a version that isn't ready is refused and asked for again: it may be soon", async () => {
	const { registry, versions } = open();
	const { image, ...unfinished } = ready("hello");
	registry.put({ ...unfinished, state: "building" });
	await expect(versions.get("default", "hello", 1)).rejects.toMatchObject({ code: "function_not_ready" });
	registry.put({ ...unfinished, image });
	expect((await versions.get("default", "hello", 1)).image).toBe(image);
});

test("it keeps no more than a bounded number", async () => {
	const names = Array.from({ length: 1001 }, (_, index) => `f${index}`);
	const { registry, versions } = open(...names);
	for (const name of names) await versions.get("default", name, 1);
	expect(registry.asked).toBe(1001);
	for (const name of names) await versions.get("default", name, 1);
	expect(registry.asked).toBeGreaterThan(1001);
});
