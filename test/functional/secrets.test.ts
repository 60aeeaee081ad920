import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { deploy, freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** It answers the variable that it is asked for, and prints it before. */
const PROGRAM = `#!/usr/bin/node
require("node:http").createServer(async (request, response) => {
	let asked = "";
	for await (const piece of request) asked += piece;
	const value = process.env[JSON.parse(asked).name];
	process.stdout.write("it is " + value + "\\n");
	response.setHeader("content-type", "application/json").end(JSON.stringify(value));
}).listen(process.env.BERTH_SOCKET);
`;

/** A secret that no other test has. */
async function secret(value: string): Promise<string> {
	const name = freshName("S").replaceAll("-", "_").toUpperCase();
	await stack.client.setSecret(name, { value });
	return name;
}

it("is a variable of a function in every language, whatever is in it, and in nothing that is read of the version", async () => {
	const value = `${randomBytes(24).toString("base64")}\n"quoted" \\ ünïcode`;
	const name = await secret(value);
	const node = await deploy(stack, {
		secrets: [name],
		env: { OTHER: "1" },
		source: "export default ({ name }) => process.env[name] ?? null",
	});
	const python = await deploy(stack, {
		runtime: "python3",
		secrets: [name],
		source: "import os\ndef handler(event, context):\n    return os.environ[event['name']]",
	});
	const node22 = await deploy(stack, {
		runtime: "node22",
		secrets: [name],
		source: "export default ({ name }) => process.env[name] ?? null",
	});
	const program = await deploy(stack, { runtime: "custom", secrets: [name], source: PROGRAM });
	for (const each of [node, node22, python, program]) expect(await each.result({ name })).toBe(value);
	const version = JSON.stringify(await stack.client.version(node.name, node.version.number));
	expect(version).toContain(name);
	expect(version).not.toContain(value.slice(0, 20));
});

it("has another value for the next invocation, warm sandbox or not, without a deploy", async () => {
	const name = await secret("first value");
	const reads = await deploy(stack, { secrets: [name], source: "const born = Date.now(); export default ({ name }) => process.env[name]" });
	expect([await reads.result({ name }), await reads.result({ name })]).toEqual(["first value", "first value"]);
	await stack.client.setSecret(name, { value: "second value" });
	await expect.poll(() => reads.result({ name })).toBe("second value");
});

it("isn't in a function that doesn't name it", async () => {
	const name = await secret("not for everybody");
	const other = await deploy(stack, { source: "export default () => JSON.stringify(process.env)" });
	expect(await other.result()).not.toContain(name);
});

it("is shown by its name alone in what a function prints and throws, also when it is loaded: in records, live logs and problems", async () => {
	const value = `sk_live_${randomBytes(12).toString("hex")}`;
	const name = await secret(value);
	const shown = `[secret:${name}]`;
	const source = `
const key = process.env[${JSON.stringify(name)}];
export default async ({ fails }) => {
	console.log("key", key, { key });
	process.stderr.write("in pie" + "ces " + key.slice(0, 9));
	await new Promise((resolve) => setTimeout(resolve, 20));
	process.stderr.write(key.slice(9) + "\\n" + Buffer.from("user:" + key).toString("base64") + "\\n");
	if (fails) throw new TypeError("401 for " + key);
	return key;
};`;
	const prints = await deploy(stack, { secrets: [name], source });
	const failed = await prints.invoke({ fails: true });
	const record = await prints.record(failed);
	const lines = record.logs?.map(({ text }) => text) ?? [];
	expect(lines.slice(0, 2)).toEqual([`key ${shown} { key: '${shown}' }`, `in pieces ${shown}`]);
	expect(lines[2]).toContain(shown);
	expect(failed.problem?.detail).toContain(`401 for ${shown}`);
	expect(JSON.stringify([record, failed.problem])).not.toContain(value);
	// Its answer is what it says.
	expect(await prints.result({ fails: false })).toBe(value);
	const program = await deploy(stack, { runtime: "custom", secrets: [name], source: PROGRAM });
	const { logs } = await program.record(await program.invoke({ name }));
	expect(logs?.map(({ text }) => text)).toEqual([`it is ${shown}`]);
	const throws = await deploy(stack, {
		secrets: [name],
		source: `throw new Error("no " + process.env[${JSON.stringify(name)}]); export default () => 1;`,
	});
	const { problem, outcome } = await throws.invoke();
	expect([outcome, problem?.detail]).toEqual(["init_error", expect.stringContaining(`no ${shown}`)]);
	expect(JSON.stringify(problem)).not.toContain(value);
});
