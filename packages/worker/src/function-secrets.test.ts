import { expect, test } from "vitest";
import { FunctionSecrets } from "./function-secrets.js";

const manifest = (host: string) => ({ secrets: [{ name: "KEY", host, header: "authorization", prefix: "", port: 443 }] }) as never;

test("a project with many lists of secrets has nobody else's sandboxes replaced, nor those that it uses itself", async () => {
	const secrets = new FunctionSecrets({ values: async () => [{ name: "KEY", value: "v", revision: "1" }] }, () => "roots");
	const revision = async (project: string, host: string) => (await secrets.of(project, manifest(host)))?.revision;
	const others = await revision("other", "api.example");
	const own = await revision("many", "used.example");
	const forgotten = await revision("many", "unused.example");
	for (let at = 0; at < 80; at++) {
		await revision("many", `h${at}.example`);
		expect(await revision("many", "used.example")).toBe(own);
	}
	expect(await revision("other", "api.example")).toBe(others);
	expect(await revision("many", "unused.example")).not.toBe(forgotten);
});

test("what most trust is one text, which is the same of all of them", async () => {
	const roots = "r".repeat(1_000);
	const secrets = new FunctionSecrets({ values: async () => [{ name: "KEY", value: "v", revision: "1" }] }, () => roots);
	const given = await secrets.of("a", manifest("api.example"));
	expect(given?.certificates).toEqual([expect.stringMatching(/^-----BEGIN CERTIFICATE/), roots]);
});

test("of very many projects those are kept that were asked for last", async () => {
	const read: string[] = [];
	const values = async (project: string) => {
		read.push(project);
		return [{ name: "KEY", value: "v", revision: "1" }];
	};
	const secrets = new FunctionSecrets({ values }, () => "roots");
	const ask = (project: string) => secrets.of(project, { secrets: ["KEY"] });
	await ask("first");
	await ask("used");
	for (let at = 0; at < 4_095; at++) {
		await ask(`p${at}`);
		await ask("used");
	}
	read.length = 0;
	for (const project of ["used", "first"]) await ask(project);
	expect(read).toEqual(["first"]);
});
