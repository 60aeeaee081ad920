import { readFileSync } from "node:fs";
import { ApiError } from "@berth/client";
import { describe, expect, it } from "vitest";
import { type TarEntry, tarGz } from "../harness/archives.js";
import { deploy, fixture, freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Lines of the host's that a build must never show. */
const HOST_LINES = readFileSync("/etc/passwd", "utf8")
	.split("\n")
	.filter((line) => line.length > 10);

/** Everything that a deploy and an invocation of what it made tell. */
async function everythingSaid(name: string, files: readonly TarEntry[]): Promise<string> {
	try {
		const answer = await stack.client.deployArchive(name, { kind: "tar.gz", bytes: tarGz(...files) });
		const invoked = await stack.client.invoke(name);
		const versions = await stack.client.versions(name);
		return JSON.stringify([answer, versions, invoked.raw.body.toString(), invoked.problem ?? null]);
	} catch (error) {
		if (!(error instanceof ApiError)) throw error;
		return JSON.stringify([error.problem, await stack.client.versions(name)]);
	}
}

function expectNothingOfTheHost(said: string): void {
	for (const line of HOST_LINES) expect(said).not.toContain(line);
	expect(said).not.toContain("root:x:0");
	expect(said).not.toContain(stack.dataDir);
}

describe("a source that reaches for the machine that builds it", () => {
	it("by importing /etc/passwd gets nothing", async () => {
		const said = await stack.client.deploy(freshName(), { source: fixture("imports-host-file") }).then(
			(answer) => JSON.stringify(answer),
			(error: ApiError) => JSON.stringify(error.problem),
		);
		expectNothingOfTheHost(said);
		expect(said).toContain("build_failed");
	});

	it.each([
		["an absolute JSON file", [{ path: "index.ts", body: "import x from '/etc/passwd.json';\nexport default () => x;" }]],
		["a path upwards", [{ path: "index.ts", body: "import x from '../../../../etc/passwd';\nexport default () => x;" }]],
		["a file URL", [{ path: "index.ts", body: "import x from 'file:///etc/passwd';\nexport default () => x;" }]],
		["require", [{ path: "index.cjs", body: "const x = require('/etc/passwd');\nmodule.exports = () => x;" }]],
		["the import of a text", [{ path: "index.ts", body: "import x from '/etc/passwd' with { type: 'text' };\nexport default () => x;" }]],
		[
			"a tsconfig that extends it",
			[
				{ path: "tsconfig.json", body: '{ "extends": "/etc/passwd" }' },
				{ path: "index.ts", body: "export default () => 1;" },
			],
		],
		[
			"a tsconfig that extends it from above",
			[
				{ path: "tsconfig.json", body: '{ "extends": ["../../../../etc/passwd", "/etc/shadow"] }' },
				{ path: "index.ts", body: "export default () => 1;" },
			],
		],
		[
			"a tsconfig with paths",
			[
				{ path: "tsconfig.json", body: '{ "compilerOptions": { "baseUrl": "/", "paths": { "host/*": ["/etc/*"] } } }' },
				{ path: "index.ts", body: "import x from 'host/passwd';\nexport default () => x;" },
			],
		],
		[
			"a package that points outside",
			[
				{ path: "node_modules/evil/package.json", body: '{ "name": "evil", "main": "/etc/passwd" }' },
				{ path: "index.ts", body: "import x from 'evil';\nexport default () => x;" },
			],
		],
		["a source map that does", [{ path: "index.js", body: "export default () => 1;\n//# sourceMappingURL=/etc/passwd" }]],
		[
			"a glob import",
			[{ path: "index.ts", body: "const name = 'passwd';\nexport default async () => (await import('/etc/' + name)).default;" }],
		],
	] as const)("by %s gets nothing", async (_, files) => {
		expectNothingOfTheHost(await everythingSaid(freshName(), files));
	});

	it("by import.meta or __dirname learns no path of the host", async () => {
		const source = "export default () => [import.meta.url ?? null, typeof __dirname === 'undefined' ? null : __dirname];";
		const deployed = await deploy(stack, { source }).catch(() => undefined);
		if (deployed !== undefined) expect(JSON.stringify(await deployed.result())).not.toMatch(/\/var\/lib|\/work|\/home/);
	});
});

describe("a source whose build takes what it can get", () => {
	it("is ended, with an answer that says so, and the next one is built", async () => {
		// A type of template nesting that makes bundlers work hard is no bound; a huge generated file is.
		const huge = `export default () => [${"[".repeat(50_000)}${"]".repeat(50_000)}].length;`;
		const said = await stack.client.deploy(freshName(), { source: huge }).then(
			() => "built",
			(error: ApiError) => error.problem.code,
		);
		expect(["built", "build_failed", "build_timed_out"]).toContain(said);
		expect(await (await deploy(stack, { source: `export default () => ${JSON.stringify(freshName())};` })).result()).toBeTypeOf("string");
	});

	it("doesn't run while it is built: code of the function is loaded in its own sandbox only", async () => {
		const source = "if (!process.env.MARK) throw new Error('loaded without its environment'); export default () => process.env.MARK;";
		expect(await (await deploy(stack, { source, env: { MARK: "set" } })).result()).toBe("set");
	});
});
