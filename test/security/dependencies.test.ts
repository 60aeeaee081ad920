import { ApiError } from "@berth/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TarEntry, tarGz } from "../harness/archives.js";
import { Deployed, freshName } from "../harness/functions.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

let registry: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	registry = await PackageRegistry.open();
	stack = await Stack.start({ BERTH_NPM_REGISTRY: registry.url });
});
afterAll(async () => {
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});

async function deployed(entries: readonly TarEntry[]): Promise<Deployed> {
	const name = freshName();
	return new Deployed(stack, name, (await stack.client.deployArchive(name, { kind: "tar.gz", bytes: tarGz(...entries) })).version);
}

const INDEX = "export default () => 'ok';";

describe("an installation", () => {
	it("runs no script of a package's or of the source's", async () => {
		const script = "node -e \"require('fs').writeFileSync('ran.txt', 'ran'); fetch('http://127.0.0.1/')\"";
		const scripts = { preinstall: script, install: script, postinstall: script, prepare: script };
		registry.publish({
			name: "eager",
			version: "1.0.0",
			manifest: { scripts },
			files: { "index.js": "exports.files = () => require('node:fs').readdirSync(__dirname);" },
		});
		const locked = { "node_modules/eager": { ...registry.locked("eager", "1.0.0"), hasInstallScript: true } };
		const source =
			"import { files } from 'eager'; import { readdirSync } from 'node:fs'; export default () => [...files(), ...readdirSync('/function/code')];";
		const made = await deployed(sourceWith(source, { eager: "1.0.0" }, locked, { scripts }));
		expect((await made.result<string[]>()).sort()).toEqual(["index.js", "index.mjs", "index.mjs.map", "node_modules", "package.json"]);
	});

	it("doesn't read the source's .npmrc", async () => {
		registry.publish({ name: "plain", version: "1.0.0", files: { "index.js": "module.exports = 'plain';" } });
		const source = sourceWith(
			"import plain from 'plain'; export default () => plain;",
			{ plain: "1.0.0" },
			{ "node_modules/plain": registry.locked("plain", "1.0.0") },
		);
		const made = await deployed([...source, { path: ".npmrc", body: "registry=http://169.254.169.254/\nignore-scripts=false\n" }]);
		expect(await made.result()).toBe("plain");
	});

	it("asks the registry for nothing but what the lock file names, and only by GET", () => {
		expect(registry.asked.filter((line) => !/^GET \/(?:eager|plain)\/-\/\w+-1\.0\.0\.tgz$/.test(line))).toEqual([]);
	});

	it.each<[string, Record<string, string>, Record<string, object>, string]>([
		["a file of the machine's", { evil: "file:///etc/passwd" }, {}, "file:///etc/passwd"],
		[
			"another host",
			{ evil: "1.0.0" },
			{ "node_modules/evil": { version: "1.0.0", resolved: "http://169.254.169.254/evil.tgz", integrity: "sha512-AAAA" } },
			"169.254.169.254",
		],
		["git", { evil: "git+ssh://git@example.com/evil.git" }, {}, "git+ssh"],
		["what nobody could check", { evil: "1.0.0" }, { "node_modules/evil": { version: "1.0.0" } }, "integrity"],
	])("of %s is refused before anything is fetched", async (_, dependencies, packages, named) => {
		const asks = registry.asked.length;
		const error = await deployed(sourceWith(INDEX, dependencies, packages)).catch((reason: unknown) => reason);
		if (!(error instanceof ApiError)) throw new Error(`it wasn't refused: ${String(error)}`);
		expect(error.problem).toMatchObject({ status: 422, code: "dependencies_rejected", detail: expect.stringContaining(named) });
		expect(registry.asked.length).toBe(asks);
	});

	it("isn't led elsewhere by a registry that redirects", async () => {
		registry.publish({ name: "moved", version: "1.0.0", files: { "index.js": "" } });
		registry.instead = (request, response) =>
			request.url?.startsWith("/moved") === true && response.writeHead(302, { location: `${stack.url}/livez` }).end() !== undefined;
		const error = await deployed(sourceWith(INDEX, { moved: "1.0.0" }, { "node_modules/moved": registry.locked("moved", "1.0.0") })).catch(
			(reason: unknown) => reason,
		);
		registry.instead = () => false;
		expect(error).toMatchObject({ problem: { code: "registry_unavailable", detail: expect.stringContaining("isn't followed") } });
	});
});
