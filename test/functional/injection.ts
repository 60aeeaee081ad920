import { expect, it } from "vitest";
import { deploy } from "../harness/functions.js";
import type { Stack } from "../harness/stack.js";

const ALLOW = ["service.example", "*.example.org:443"];
const BOUND = { host: "service.example", header: "Authorization", prefix: "Bearer " };

/** What each says of the environment that it is in, and what the host says of the request that it made. */
const NODE = `
const ask = async (url) => {
	const answer = await fetch(url, { headers: { authorization: "Bearer mine", "x-own": "1" } });
	return answer.json();
};
export default ({ url }) => {
	console.log(JSON.stringify(process.env));
	return ask(url).catch((error) => String(error.cause?.code ?? error));
};`;
const PYTHON = `
import json, os, urllib.request
def handler(event, context):
    print(dict(os.environ))
    asked = urllib.request.Request(event["url"], headers={"authorization": "Bearer mine", "x-own": "1"})
    return json.load(urllib.request.urlopen(asked, timeout=10))`;
const PROGRAM = `#!/usr/bin/node
require("node:http").createServer(async (request, response) => {
	let asked = "";
	for await (const piece of request) asked += piece;
	process.stdout.write(JSON.stringify(process.env) + "\\n");
	const answer = await fetch(JSON.parse(asked).url, { headers: { authorization: "Bearer mine", "x-own": "1" } });
	response.setHeader("content-type", "application/json").end(await answer.text());
}).listen(process.env.BERTH_SOCKET);
`;
const SOURCES = { node24: NODE, node22: NODE, python3: PYTHON, custom: PROGRAM } as const;

/** What holds of a secret that goes to a host, on a stack with that host outside: it answers `/headers` with those it was sent, over TLS. */
export function injection(of: () => Stack): void {
	it.each(["node24", "node22", "python3", "custom"] as const)(
		"a secret goes to its host as a header, by what %s asks with, which trusts what stands for the host; the function never has it",
		async (runtime) => {
			const [name, value] = ["EGRESS_KEY", "sk_live_0123456789"];
			await of().client.setSecret(name, { value });
			const asks = await deploy(of(), {
				runtime,
				network: { allow: ALLOW },
				secrets: [{ name, ...BOUND }],
				source: SOURCES[runtime],
			});
			const answer = await asks.invoke({ url: "https://service.example/headers" });
			expect(JSON.parse(answer.raw.body.toString())).toMatchObject({ authorization: `Bearer ${value}`, "x-own": "1" });
			// A value that was there would be shown by its name.
			const lines = JSON.stringify((await asks.record(answer)).logs);
			expect(lines).toContain("PATH");
			expect(lines).not.toMatch(/EGRESS_KEY|sk_live/);
			// Another host is trusted as ever, and gets nothing of it.
			expect(JSON.stringify(await asks.result({ url: "https://a.example.org/headers" }))).toContain("Bearer mine");
		},
	);

	it("nothing of a secret goes to its host without TLS, nor to another one that the host leads to", async () => {
		const [name, value] = ["EGRESS_KEY", "sk_live_0123456789"];
		await of().client.setSecret(name, { value });
		const asks = await deploy(of(), { network: { allow: ALLOW }, secrets: [{ name, ...BOUND }], source: NODE });
		const plain = await asks.invoke({ url: "http://service.example/" });
		expect(JSON.stringify([plain.raw.body.toString(), await asks.record(plain)])).not.toContain(value);
		const led = await asks.invoke({ url: "https://service.example/leads-to/https://a.example.org/headers" });
		expect(led.raw.body.toString()).toContain('"host":"a.example.org"');
		expect(led.raw.body.toString()).not.toContain(value);
	});
}
