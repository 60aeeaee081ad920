// From a set-up checkout to a function that answers: `npm run quickstart [-- --once] [-- --port 8080] [-- --data DIR]`.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { QUICKSTART_OPTIONS } from "./setup/command-lines.mjs";
import { ROOT } from "./setup/places.mjs";
import { Stack } from "./stack/stack.mjs";
import { stopSignal } from "./stack/stop-signal.mjs";

const DATA_DIR = "/var/lib/berth";
const PORT = 8080;
const INTERRUPTED = 130;
const NAME = "hello";
const SOURCE = "examples/hello/index.ts";

const say = (text = "") => process.stdout.write(`${text}\n`);
const heading = (text) => say(`\n── ${text}`);

async function main(signal) {
	const { values } = parseArgs({ options: QUICKSTART_OPTIONS });
	const dataDir = values.data ?? (values.once ? undefined : DATA_DIR);
	heading("Starting the stack");
	const stack = await Stack.start({ dataDir, port: Number(values.port ?? (values.once ? 0 : PORT)), signal });
	let gone = false;
	try {
		say(stack.wasUp ? `It is up already at ${stack.url}.` : `It is up at ${stack.url}, its data is in ${stack.dataDir}.`);
		await tour(stack, signal);
		if (!values.once) {
			goOn(stack);
			if (!stack.wasUp) await stack.untilGone(signal);
			gone = !stack.wasUp && !signal.aborted;
		}
	} finally {
		if (!stack.wasUp) {
			if (gone) process.exitCode = 1;
			heading(gone ? "The stack has ended without us" : "Stopping the stack");
			await stack.stop();
			say(dataDir === undefined ? "It is down, and nothing of it is left." : `It is down. What was deployed stays in ${dataDir}.`);
		}
	}
}

/** Deploys, invokes in two ways, and measures. */
async function tour(stack, signal) {
	await deploy(stack, signal);
	await callWebhook(stack, signal);
	heading("Invoking it from the command line");
	say(`$ npx berth invoke ${NAME} -d '{"name":"the command line"}'`);
	say(await stack.berth(["invoke", NAME, "-d", '{"name":"the command line"}'], { quiet: true, signal }));
	heading("Cold against warm");
	say(`$ npx berth bench ${NAME} --quick`);
	await stack.berth(["bench", NAME, "--quick"], { signal });
}

async function deploy(stack, signal) {
	heading("Deploying a TypeScript function over HTTP");
	const body = { source: await readFile(join(ROOT, SOURCE), "utf8"), filename: "index.ts", public: true };
	say(`$ jq -n --rawfile source ${SOURCE} '{$source, filename: "index.ts", public: true}' |`);
	say(
		`    curl -X PUT -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d @- '${stack.url}/v1/functions/${NAME}?wait=true'`,
	);
	const beganAt = performance.now();
	const response = await fetch(`${stack.url}/v1/functions/${NAME}?wait=true`, {
		method: "PUT",
		headers: { authorization: `Bearer ${stack.key}`, "content-type": "application/json" },
		body: JSON.stringify(body),
		signal,
	});
	const answer = await response.json();
	if (!response.ok) throw new Error(`the deploy was answered with ${response.status}: ${answer.detail}`);
	const { number, state } = answer.version;
	say(
		`${response.status}: version ${number} is ${state}${answer.unchanged ? ", and was before" : ""} (${Math.round(performance.now() - beganAt)} ms)`,
	);
}

async function callWebhook(stack, signal) {
	heading("Invoking it as a webhook");
	const url = `${stack.url}/fn/default/${NAME}/webhooks/orders`;
	const body = '{"name":"a webhook"}';
	say(`$ curl -i -H 'content-type: application/json' -H 'x-event: order.paid' -d '${body}' ${url}`);
	const response = await fetch(url, {
		method: "POST",
		headers: { "content-type": "application/json", "x-event": "order.paid" },
		body,
		signal,
	});
	const text = await response.text();
	if (!response.ok) throw new Error(`the webhook was answered with ${response.status}: ${text}`);
	for (const name of ["berth-invocation-id", "server-timing"]) say(`${name}: ${response.headers.get(name)}`);
	say(`${response.status} ${text}`);
}

function goOn(stack) {
	const data = stack.dataDir === DATA_DIR ? "" : ` --data ${stack.dataDir}`;
	heading("How to go on");
	say(`url   ${stack.url}`);
	say(
		`key   ${stack.keyIsNew ? `${stack.key} (shown this once; root finds it in ${join(stack.dataDir, "admin.key")})` : `in ${join(stack.dataDir, "admin.key")}`}`,
	);
	say("\nIn another terminal, in this directory:");
	say(`  npx berth${data} deploy examples/github-webhook   deploy another example (examples/README.md)`);
	say(`  npx berth${data} ps                                 sandboxes: what they run, their state and memory`);
	say(`  npx berth${data} stats --watch                      what the node does, live`);
	say(`  npx berth${data} --help                             everything else`);
	if (!stack.wasUp) say("\nThe stack stays up until Ctrl-C. `npx berth up --detach` starts it without this tour.");
}

const signal = stopSignal();
try {
	await main(signal);
} catch (error) {
	process.exitCode = signal.aborted ? INTERRUPTED : 1;
	process.stderr.write(signal.aborted ? "\nquickstart was stopped before it was done.\n" : `\nquickstart failed: ${error.message}\n`);
}
