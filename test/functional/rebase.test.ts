import { afterAll, beforeAll, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { eventually } from "../harness/eventually.js";
import { Deployed, deploy, freshName } from "../harness/functions.js";
import { patchBases } from "../harness/other-base.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

let registry: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	registry = await PackageRegistry.open();
	registry.publish({
		name: "reads-itself",
		version: "1.0.0",
		files: {
			"index.js": "module.exports = () => require('node:fs').readFileSync(__dirname + '/words.txt', 'utf8');",
			"words.txt": "words",
		},
	});
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_NPM_REGISTRY: registry.url });
});
afterAll(async () => {
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});

const SOURCE = "export default () => globalThis.patched ?? 'as it was';";

/** A function with a dependency layer. */
async function withDependencies(cache = true, name = freshName("rebase")): Promise<Deployed> {
	const index = "import words from 'reads-itself'; export default () => [words(), globalThis.patched ?? 'as it was'];";
	const lock = { "node_modules/reads-itself": registry.locked("reads-itself", "1.0.0") };
	const bytes = tarGz(...sourceWith(index, { "reads-itself": "1.0.0" }, lock));
	const { version } = await stack.client.deployArchive(name, { kind: "tar.gz", bytes }, { cache });
	return new Deployed(stack, name, version);
}

it("a deploy without cache makes every layer anew, of the same bytes, though nothing changed", async () => {
	const made = await withDependencies();
	const asked = registry.asked.length;
	const { version } = await withDependencies(false, made.name);
	expect(registry.asked.length).toBeGreaterThan(asked);
	expect([version.number, version.image?.digest]).toEqual([2, made.version.image?.digest]);
	expect(version.build?.layers.filter(({ cached }) => !cached)).toMatchObject([
		{ name: "dependencies", reproduced: true },
		{ name: "code", reproduced: true },
	]);
	const text = await stack.berth("buildlog", made.name);
	expect(text.stdout).toMatch(/layer dependencies installed \(.*\), the same as before\n/);
});

it("functions go on with their base when there is another, are listed as outdated, and move onto it without a failed invocation", async () => {
	const [plain, pinned, layered] = [
		await deploy(stack, { source: SOURCE }),
		await deploy(stack, { source: SOURCE }),
		await withDependencies(),
	];
	await deploy(stack, { name: pinned.name, source: `${SOURCE}//` });
	await stack.client.setAlias(pinned.name, "live", { weights: { 1: 50, 2: 50 } });
	expect(await stack.client.outdated()).toEqual([]);

	await patchBases(stack, "patched");
	// The worker that took over has to be listed before it is given anything.
	await eventually(async () => expect(await plain.result()).toBe("as it was"));
	expect(await layered.result()).toEqual(["words", "as it was"]);
	const fresh = await deploy(stack, { source: `${SOURCE}// another` });
	expect(await fresh.result()).toBe("patched");
	const outdated = await stack.client.outdated();
	expect(outdated.find(({ name }) => name === fresh.name)).toBeUndefined();
	expect(outdated.find(({ name }) => name === pinned.name)?.outdated?.map(({ version }) => version)).toEqual([1, 2]);
	const listed = await stack.berth("list", "--outdated");
	expect(listed.stdout).toMatch(new RegExp(`^${plain.name} +1 +sha256:\\w{12} +sha256:\\w{12} +berth rebase ${plain.name}$`, "m"));

	// Invoked all the while: whoever is served by the old version or the new one, nobody by neither.
	let isOver = false;
	const seen = new Set<unknown>();
	const load = (async () => {
		while (!isOver) seen.add(await plain.result());
	})();
	const asked = registry.asked.length;
	const all = JSON.parse((await stack.berth("--json", "rebase", "--all")).stdout) as { rebased: Deployed["version"][]; failed: [] };
	await eventually(async () => expect(seen).toEqual(new Set(["as it was", "patched"])));
	isOver = true;
	await load;

	expect(all.failed).toEqual([]);
	const rebased = all.rebased.filter((version) => version.function === layered.name);
	expect(rebased).toMatchObject([{ number: 2, rebasedFrom: 1, state: "ready", image: { layers: layered.version.image?.layers } }]);
	expect(registry.asked).toHaveLength(asked);
	expect(await layered.result()).toEqual(["words", "patched"]);
	expect((await stack.client.get(pinned.name)).aliases).toMatchObject([{ name: "live", weights: { 3: 50, 4: 50 } }]);
	expect(await stack.client.outdated()).toEqual([]);
	expect(await stack.berth("rebase", plain.name)).toMatchObject({
		code: 0,
		stderr: expect.stringContaining("is on the base of its runtime"),
	});

	expect((await stack.berth("rollback", plain.name)).code).toBe(0);
	expect(await plain.result()).toBe("as it was");
});
