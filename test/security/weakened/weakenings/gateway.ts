import type { Weakenings } from "../weakening.js";

/** What holds whoever asks over HTTP. */
export const gateway = {
	"gateway's limits": {
		takes: "the bounds of bodies, heads, answers and connections",
		neverEnds: true,
		edits: [
			[
				"packages/gateway/src/body.ts",
				"if (body.bytes + chunk.length <= maxBytes) this.#add(body, chunk);",
				"if (body.bytes >= 0) this.#add(body, chunk);",
			],
			["packages/gateway/src/body.ts", "if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes, rule);", ""],
			["packages/gateway/src/server.ts", "headersTimeout: timing.headMs,", "headersTimeout: 0,"],
			[
				"packages/gateway/src/arrivals.ts",
				"return late.map(([request]) => request);",
				"return late.map(([request]) => request).slice(0, 0);",
			],
			["packages/gateway/src/server.ts", "if (nowMs - sinceMs < answerStallMs && held <= answerBytes) break;", "if (nowMs > 0) break;"],
			["packages/gateway/src/connections.ts", "if (ofAddress.size >= perAddress && ", "if (ofAddress.size < 0 && "],
		],
	},
	"gateway's checks": {
		takes: "what requests and answers are held against: JSON and its depth, `__proto__`, names, HTTP's grammar, headers",
		edits: [
			[
				"packages/gateway/src/json.ts",
				'throw new BerthError("invalid_request", `${what} isn\'t valid JSON: ${(error as Error).message}`);',
				"return error === undefined ? what : text;",
			],
			["packages/gateway/src/json.ts", "const MOST_LEVELS = 1000;", "const MOST_LEVELS = 10_000_000;"],
			["packages/gateway/src/json.ts", 'if (name === "__proto__") return "has a field called __proto__, which isn\'t allowed";', ""],
			[
				"packages/gateway/src/names.ts",
				'if (typeof text === "string" && NAME_PATTERN.test(text)) return text;',
				'if (typeof text === "string" && NAME_PATTERN.test(text.replaceAll("_", "-"))) return text;',
			],
			[
				"packages/gateway/src/refused-requests.ts",
				'else refuseOn(socket, ...(codes[error.code ?? ""] ?? MALFORMED));',
				'else socket.end("HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n");',
			],
			[
				"packages/gateway/src/request-form.ts",
				'	const { host, "transfer-encoding": coding } = headers;',
				'	if (headers !== undefined) return undefined;\n	const { host, "transfer-encoding": coding } = headers;',
			],
			[
				"packages/contracts/src/answer-headers.ts",
				'		if (OURS.has(known) || known.startsWith("berth-") || ORDERS.test(known)) return "reserved";\n',
				"",
			],
		],
	},
	"keys and scopes": {
		takes: "the key: who has none is taken for the operator",
		edits: [
			[
				"packages/gateway/src/auth.ts",
				"if (holder !== undefined) return holder;",
				'if (holder !== undefined || token === undefined) return holder ?? { id: "key_0", name: "anybody", project: undefined, scopes: ["deploy", "invoke", "read", "admin"] };',
			],
		],
	},
	projects: {
		takes: "that a key is good for its own project alone",
		edits: [
			[
				"packages/gateway/src/auth.ts",
				"if (holder.project === undefined && NAME_PATTERN.test(name) && (await projects.has(name))) return name;",
				"if (NAME_PATTERN.test(name) && (await projects.has(name))) return name;",
			],
		],
	},
	"one script in Redis": {
		takes: "what is looked at and counted in the script that makes a version",
		edits: [
			[
				"packages/registry/src/version-scripts.ts",
				"local number = redis.call('INCR', KEYS[4])\nredis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')\nredis.call('ZADD', KEYS[3], number, number)\nredis.call('HSETNX'",
				"local number = tonumber(redis.call('GET', KEYS[4]) or '0') + 1\nif number % 2 == 0 or not redis.call('GET', KEYS[4]) then redis.call('SET', KEYS[4], number) end\nredis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')\nredis.call('ZADD', KEYS[3], number, number)\nredis.call('HSETNX'",
			],
			[
				"packages/registry/src/version-scripts.ts",
				"local full = allFunctions(KEYS[1], KEYS[2])\nif full then return full end\nlocal latest",
				"local full = nil\nlocal latest",
			],
		],
	},
	cancellation: {
		takes: "the word to a sandbox that nobody waits any more",
		neverEnds: true,
		edits: [
			["packages/worker/src/attempt-run.ts", '	cancelled.addEventListener("abort", onCancelled, { once: true });\n', ""],
			["packages/worker/src/attempt-run.ts", "if (streams !== undefined) streams.answer.onGone = onCancelled;", ""],
		],
	},
} as const satisfies Weakenings;
