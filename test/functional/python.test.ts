import { randomBytes } from "node:crypto";
import type { InvokeAnswer } from "@berth/client";
import { ERRORS, type ErrorCode, type InlineDeployInput } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { memoryLimitOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { expectUnforged, FORGED_HEADERS } from "../harness/forged-headers.js";
import { Deployed, deploy, freshName, header, json, traceIn } from "../harness/functions.js";
import { sandboxProcessesOf } from "../harness/leftovers.js";
import { putFunction, send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const MIB = 1024 * 1024;

type Input = Omit<InlineDeployInput, "runtime"> & { readonly name?: string };
const python = (source: string, input: Omit<Input, "source"> = {}) => deploy(stack, { ...input, runtime: "python3", source });

/** Deploys an archive of these files. */
async function packed(files: Readonly<Record<string, string>>, manifest: object = {}, name = freshName()) {
	const bytes = tarGz(...Object.entries(files).map(([path, body]) => ({ path, body })));
	const answer = await send(stack, {
		method: "PUT",
		path: `/v1/functions/${name}?wait=true`,
		headers: [
			["content-type", "application/gzip"],
			["berth-manifest", JSON.stringify({ runtime: "python3", ...manifest })],
		],
		body: bytes,
	});
	return { name, answer, deployed: new Deployed(stack, name, json<{ version: Deployed["version"] }>(answer).version) };
}

/** The HTTP status, the problem and the stored record say the same about a failure. */
async function agreed(deployed: Deployed, answer: InvokeAnswer, outcome: ErrorCode): Promise<void> {
	const { status, fault } = ERRORS[outcome];
	expect([answer.outcome, answer.raw.status]).toEqual([outcome, status]);
	expect(answer.problem).toMatchObject({ code: outcome, status, fault, outcome, invocation: answer.id });
	expect(await deployed.record(answer)).toMatchObject({ state: "settled", outcome, code: outcome, error: { name: expect.any(String) } });
}

const ECHO = "def handler(event, context):\n    return event\n";

describe("a handler in Python", () => {
	it("is run by the distribution's Python, isolated from everything but its version", async () => {
		const source = `import os, sys
def handler(event, context):
    return {"python": sys.version_info[0], "uid": os.getuid(), "path": sys.path, "modules": [name for name in ("__main__", "agent", "link") if name in sys.modules and name != "__main__"]}`;
		const result = await (await python(source)).result<{ path: string[] }>();
		expect(result).toMatchObject({ python: 3, uid: 1000, modules: [] });
		expect(result.path[0]).toBe("/function/code");
		expect(result.path.filter((path) => path.startsWith("/berth"))).toEqual([]);
	});

	it.each([
		["JSON", "application/json", '{"a":[1,2.5,"é",null,true]}', '{"a":[1,2.5,"é",null,true]}', "application/json"],
		["text", "text/plain", "grüße", '"grüße"', "application/json"],
		["bytes", "application/octet-stream", "\x00\x01", "\x00\x01", "application/octet-stream"],
		["JSON of another type", "application/problem+json", "[]", "[]", "application/json"],
		[
			"JSON that nests a thousand deep",
			"application/json",
			`${"[".repeat(999)}${"]".repeat(999)}`,
			`${"[".repeat(999)}${"]".repeat(999)}`,
			"application/json",
		],
	])("takes and gives %s", async (_what, type, body, expected, answered) => {
		const { name } = await python(ECHO, { name: "python-echo" });
		const headers = [["content-type", type]] as const;
		const answer = await send(stack, { method: "POST", path: `/v1/functions/${name}/invocations`, headers, body });
		expect([answer.status, answer.headers["content-type"], answer.body.toString()]).toEqual([200, answered, expected]);
	});

	it("that returns None answers with nothing, and gets None for nothing", async () => {
		const deployed = await python("def handler(event, context):\n    return None if event is None else 'something'");
		const answer = await send(stack, { method: "POST", path: `/v1/functions/${deployed.name}/invocations` });
		expect([answer.status, answer.body.length]).toEqual([204, 0]);
	});

	it("may be a coroutine; what it keeps open belongs to the same event loop the next time", async () => {
		const source = `import asyncio
event_loop = None
async def handler(event, context):
    global event_loop
    same = event_loop in (None, asyncio.get_running_loop())
    event_loop = asyncio.get_running_loop()
    await asyncio.sleep(0.01)
    return {"same": same}`;
		const deployed = await python(source);
		for (let round = 0; round < 3; round++) expect(await deployed.result()).toEqual({ same: true });
	});

	it("learns of its invocation: id, attempt, deadline, function, and Lambda's names for them", async () => {
		const source = `import time
def handler(event, context):
    return {"id": context.invocation_id, "aws": context.aws_request_id, "attempt": context.attempt, "left": context.remaining_ms(),
            "awsLeft": context.get_remaining_time_in_millis(), "in": context.deadline - time.time() * 1000,
            "function": [context.function.project, context.function.name, context.function.version, context.function_name, context.function_version],
            "cancelled": context.cancelled.is_set()}`;
		const deployed = await python(source, { timeoutMs: 5000 });
		const answer = await deployed.invoke();
		const said = json<{ left: number; in: number; awsLeft: number }>(answer.raw);
		expect(said).toMatchObject({ id: answer.id, aws: answer.id, attempt: 1, cancelled: false });
		expect(said).toMatchObject({ function: ["default", deployed.name, 1, deployed.name, "1"] });
		for (const left of [said.left, said.in, said.awsLeft]) {
			expect(left).toBeGreaterThan(3000);
			expect(left).toBeLessThanOrEqual(5000);
		}
	});

	it("gets its environment, and the time zone that it says", async () => {
		const source = `import os, time, zoneinfo, datetime
def handler(event, context):
    noon = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    return [os.environ["GREETING"], time.localtime(0).tm_hour, noon.utcoffset().total_seconds()]`;
		const deployed = await python(source, { env: { GREETING: "grüß", TZ: "Asia/Tokyo" } });
		expect(await deployed.result()).toEqual(["grüß", 9, 7200]);
	});

	it("keeps globals and /tmp between invocations, or has /tmp emptied", async () => {
		const source = `import os
count = 0
def handler(event, context):
    global count
    count += 1
    found = sorted(os.listdir("/tmp"))
    os.makedirs("/tmp/a/b", exist_ok=True)
    open("/tmp/c", "w").close()
    return [count, found]`;
		const kept = await python(source);
		expect([await kept.result(), await kept.result()]).toEqual([
			[1, []],
			[2, ["a", "c"]],
		]);
		const fresh = await python(source, { scratch: "fresh" });
		expect([await fresh.result(), await fresh.result()]).toEqual([
			[1, []],
			[2, []],
		]);
	});

	it("of an archive imports its own files and packages, also compiled ones' neighbours, whatever its entry is called", async () => {
		const files = {
			"src/json.py":
				"import json, shop.price\nfrom neighbour import NAME\ndef handler(event, context):\n    return json.dumps([shop.price.of(2), NAME])",
			"src/neighbour.py": "NAME = 'neighbour'",
			"shop/__init__.py": "",
			"shop/price.py": "def of(n):\n    return n * 3",
			"shop/__pycache__/price.cpython-311.pyc": "not bytecode",
		};
		const { deployed, answer } = await packed(files, { entry: "src/json.py" });
		expect(answer.status).toBe(201);
		expect(await deployed.result()).toBe('[6, "neighbour"]');
	});

	it("has the standard library: databases, compression, hashes, threads, programs", async () => {
		const source = `import bz2, ctypes, decimal, hashlib, lzma, multiprocessing, sqlite3, ssl, subprocess, sys, tomllib, uuid, zlib
def handler(event, context):
    database = sqlite3.connect("/tmp/x.db")
    database.execute("create table t (n)")
    database.execute("insert into t values (42)")
    child = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=lambda: there.send([n * n for n in (1, 2, 3)]))
    process.start()
    squares = here.recv()
    process.join()
    return [database.execute("select n from t").fetchone()[0], child.stdout.strip(), squares, hashlib.sha256(b"").hexdigest()[:8],
            zlib.decompress(zlib.compress(b"z")).decode(), lzma.decompress(lzma.compress(b"l")).decode(), ctypes.sizeof(ctypes.c_long)]`;
		expect(await (await python(source)).result()).toEqual([42, "42", [1, 4, 9], "e3b0c442", "z", "l", 8]);
	});
});

describe("a handler in Python over HTTP", () => {
	const SOURCE = `import json
def handler(event, context):
    if event["rawPath"] == "/plain":
        return {"plain": True}
    if event["rawPath"] == "/nothing":
        return {"statusCode": 204}
    if event["rawPath"] == "/bytes":
        return {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"]}
    return {"statusCode": 201, "headers": {"X-Shape": "event", "X-Number": 7}, "cookies": ["a=1", "b=2"], "body": json.dumps(event)}`;

	it("gets the event of a function URL and gives status, headers, cookies and body", async () => {
		const { name } = await python(SOURCE);
		const headers = [
			["cookie", "x=1; y=2"],
			["x-many", "a"],
			["x-many", "b"],
		] as const;
		const answer = await send(stack, { method: "PUT", path: `/fn/default/${name}/a/b%20c?q=1&q=2&e=`, headers, body: "text" });
		expect([answer.status, answer.headers["x-shape"], answer.headers["x-number"]]).toEqual([201, "event", "7"]);
		expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
		expect(json(answer)).toMatchObject({
			version: "2.0",
			rawPath: "/a/b%20c",
			rawQueryString: "q=1&q=2&e=",
			queryStringParameters: { q: "1,2", e: "" },
			cookies: ["x=1", "y=2"],
			headers: { "x-many": expect.stringMatching(/^a, ?b$/) },
			requestContext: { http: { method: "PUT", path: "/a/b%20c" }, stage: "$default" },
			body: "text",
			isBase64Encoded: false,
		});
	});

	it("says nothing in its headers that isn't its to say", async () => {
		const headers = JSON.stringify({ ...FORGED_HEADERS, "Content-Length": "999", "X-Split": "a\r\nx-injected: forged" });
		const answered = `{"statusCode": 200, "headers": ${headers}, "cookies": ["a=1", "b=2"], "body": "tea"}`;
		const forging = await python(`def handler(event, context):\n    return ${answered}\n`);
		const answer = await send(stack, { path: `/fn/default/${forging.name}` });
		await expectUnforged(forging, answer, "tea");
		const { logs } = await forging.record({ id: header(answer, "berth-invocation-id") as string });
		expect(logs?.[0]?.text).toContain('"x-split" (its value has a line break');
	});

	it("may return any value, or a status alone", async () => {
		const { name } = await python(SOURCE);
		const plain = await send(stack, { path: `/fn/default/${name}/plain` });
		expect([plain.status, plain.headers["content-type"], json(plain)]).toEqual([200, "application/json", { plain: true }]);
		expect((await send(stack, { path: `/fn/default/${name}/nothing` })).status).toBe(204);
	});

	it("gets and gives binary bodies byte for byte", async () => {
		const { name } = await python(SOURCE);
		for (const size of [1, 1000, 64 * 1024 + 1, 3 * MIB]) {
			const body = Buffer.concat([Buffer.from([0xff]), randomBytes(size)]);
			const answer = await send(stack, { method: "POST", path: `/fn/default/${name}/bytes`, body });
			expect([answer.status, answer.headers["content-type"], answer.body.equals(body)]).toEqual([200, "image/png", true]);
		}
	});

	it.each([
		["a status that is none", "{'statusCode': 42}", "from 200 to 599"],
		["a body that is a dict", "{'statusCode': 200, 'body': {}}", "json.dumps(body)"],
		["a header that is a list", "{'statusCode': 200, 'headers': {'x': []}}", "a header 'x' that is a list"],
		["base64 that is none", "{'statusCode': 200, 'body': '?', 'isBase64Encoded': True}", "isn't base64"],
		["what has no JSON form", "{'a': object()}", "no JSON form"],
		["no number", "[float('nan')]", "no JSON form"],
	])("that returns %s is told so", async (_what, value, message) => {
		const { name } = await python(`def handler(event, context):\n    return ${value}`);
		const answer = await send(stack, { path: `/fn/default/${name}/` });
		expect(json(answer)).toMatchObject({ status: 502, code: "handler_error", error: { name: "ReplyError" } });
		expect(json<{ detail: string }>(answer).detail).toContain(message);
	});
});

describe("how a Python handler ends", () => {
	it("when it raises: a handler_error whose traceback names file and line of the source, and nothing of ours", async () => {
		const source = `class NoSuchOrder(Exception):
    pass

def find(order):
    raise NoSuchOrder(f"no order {order}")

def handler(event, context):
    if event.get("order"):
        try:
            {}["key"]
        except KeyError:
            find(event["order"])
    return "alive"`;
		const deployed = await python(source);
		const answer = await deployed.invoke({ order: 7 });
		await agreed(deployed, answer, "handler_error");
		expect(answer.problem?.detail).toBe("index.NoSuchOrder: no order 7");
		const trace = traceIn(answer.problem);
		expect(trace).toContain('File "index.py", line 12, in handler\n    find(event["order"])');
		expect(trace).toContain('File "index.py", line 5, in find');
		expect(trace).toContain("KeyError: 'key'");
		expect(trace).not.toMatch(/berth|\/function/);
		const again = await deployed.invoke();
		expect((await deployed.record(again)).start).toBe("warm");
	});

	it.each([
		"raise KeyboardInterrupt",
		"raise GeneratorExit",
		"class E(Exception):\n        def __str__(self): raise ValueError\n    raise E",
		"return handler(event, context)",
	])("when it does `%s`: a handler_error, too", async (statement) => {
		const deployed = await python(`def handler(event, context):\n    ${statement}`);
		await agreed(deployed, await deployed.invoke(), "handler_error");
	});

	it.each(["while True: pass", "import time; time.sleep(60)", "import asyncio; asyncio.run(asyncio.sleep(60))"])(
		"when it does `%s`: timed_out, and nothing of it runs once that is said",
		async (statement) => {
			const deployed = await python(`def handler(event, context):\n    if event.get("stay"):\n        ${statement}\n    return "alive"`, {
				timeoutMs: 600,
			});
			const answer = await deployed.invoke({ stay: true });
			const { sandbox = "" } = await deployed.record(answer);
			expect(sandboxProcessesOf(stack.dataDir, sandbox)).toEqual([]);
			await agreed(deployed, answer, "timed_out");
			expect(await deployed.result({})).toBe("alive");
		},
	);

	it("when it takes more memory than it has: out_of_memory", async () => {
		const deployed = await python("def handler(event, context):\n    return len(bytes(event['mib'] * 1024 * 1024).replace(b'\\0', b'1'))");
		await agreed(deployed, await deployed.invoke({ mib: 256 }), "out_of_memory");
		expect(await deployed.result({ mib: 1 })).toBe(MIB);
	});

	it.each([
		["sys.exit(3)", "exited with code 3"],
		["os._exit(4)", "exited with code 4"],
		["os.kill(os.getpid(), 9)", "was ended by signal 9"],
		["os.abort()", "was ended by signal 6"],
		["ctypes.string_at(0)", "was ended by signal 11"],
	])("when it does `%s`: crashed, and the next invocation has a new sandbox", async (statement, message) => {
		const deployed = await python(
			`import ctypes, os, sys\ndef handler(event, context):\n    if event.get("end"):\n        print("last words")\n        ${statement}\n    return "alive"`,
		);
		const answer = await deployed.invoke({ end: true });
		await agreed(deployed, answer, "crashed");
		expect(answer.problem?.detail).toContain(message);
		expect((await deployed.record(answer)).logs.map(({ text }) => text)).toContain("last words");
		expect(await deployed.result({})).toBe("alive");
	});

	it("when it answers too much: response_too_large, and the sandbox stays", async () => {
		const deployed = await python("def handler(event, context):\n    return 'x' * event['bytes']");
		await agreed(deployed, await deployed.invoke({ bytes: 7 * MIB }), "response_too_large");
		const again = await deployed.invoke({ bytes: 1 });
		expect((await deployed.record(again)).start).toBe("warm");
	});

	it.each([
		["raises", "raise RuntimeError('no database')\ndef handler(event, context): pass", "RuntimeError: no database"],
		["imports what isn't there", "import numpyy\ndef handler(event, context): pass", "ModuleNotFoundError: No module named 'numpyy'"],
		["ends the process", "import sys\nsys.exit(2)\ndef handler(event, context): pass", "exited with code 2"],
		["deletes its handler", "def handler(event, context): pass\ndel handler", "no handler: def handler(event, context)"],
	])("when its module %s: init_error", async (_what, source, detail) => {
		const deployed = await python(source);
		const answer = await deployed.invoke();
		await agreed(deployed, answer, "init_error");
		expect(answer.problem?.detail).toContain(detail);
	});

	it("when its module raises, with file and line of the source", async () => {
		const { deployed } = await packed({ "index.py": "import lib\ndef handler(event, context): pass", "lib.py": "\n\n1 / 0" });
		const trace = traceIn((await deployed.invoke()).problem);
		expect(trace).toContain('File "index.py", line 1, in <module>');
		expect(trace).toContain('File "lib.py", line 3, in <module>');
	});
});

describe("what a Python handler prints", () => {
	it("is in the log of its own invocation, line by line, in order, stdout and stderr", async () => {
		const source = `import os, sys, logging
def handler(event, context):
    print("one", event["n"], sep=" ", end="")
    print("", "é")
    print("two", file=sys.stderr)
    logging.getLogger("shop").warning("three")
    context.log.info("four", order=7)
    os.write(1, b"five\\n")
    sys.stdout.write("no newline")`;
		const deployed = await python(source);
		for (const n of [1, 2]) {
			const { logs } = await deployed.record(await deployed.invoke({ n }));
			const of = (stream: string) => logs.filter((line) => line.stream === stream).map(({ text }) => text);
			expect(of("stdout")).toEqual([`one ${n} é`, '{"level": "info", "message": "four", "order": 7}', "five", "no newline"]);
			expect(of("stderr")).toEqual(["two", "three"]);
		}
	});

	it("late, from a thread of an invocation that is over, says whose it is", async () => {
		const source = `import threading, time
go_on = threading.Event()
def work():
    go_on.wait(20)
    print("late", "words")
def handler(event, context):
    if event.get("start"):
        threading.Thread(target=work).start()
        return "started"
    go_on.set()
    time.sleep(0.2)
    print("my own")`;
		const deployed = await python(source, { concurrency: 1 });
		const first = await deployed.invoke({ start: true });
		const second = await deployed.record(await deployed.invoke({}));
		expect(second.start).toBe("warm");
		expect(second.logs.map(({ text }) => text).sort()).toEqual([`late output of ${first.id}: late words`, "my own"]);
	});

	it("from an executor's threads is its own, however old the thread", async () => {
		const source = `from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(1)
def handler(event, context):
    executor.submit(print, "from a thread", event["n"]).result()`;
		const deployed = await python(source, { concurrency: 1 });
		for (const n of [1, 2])
			expect((await deployed.record(await deployed.invoke({ n }))).logs.map(({ text }) => text)).toEqual([`from a thread ${n}`]);
	});

	it("beyond a MiB is cut and flagged, and the handler goes on", async () => {
		const deployed = await python("def handler(event, context):\n    for _ in range(5000): print('x' * 1000)\n    return 'done'");
		const answer = await deployed.invoke();
		expect(json(answer.raw)).toBe("done");
		expect(await deployed.record(answer)).toMatchObject({ logsTruncated: true, limitsHit: ["log"] });
	});
});

describe("a Python handler whose caller goes away", () => {
	it.each([
		[
			"an Event",
			"def handler(event, context):\n    print('waiting')\n    context.cancelled.wait(20)\n    raise RuntimeError('nobody waits')",
		],
		["the end of its coroutine", "import asyncio\nasync def handler(event, context):\n    await asyncio.sleep(20)"],
	])("is told by %s, and its sandbox stays", async (_what, source) => {
		const deployed = await python(source);
		const abort = new AbortController();
		const asked = deployed.invoke({}, { signal: abort.signal }).catch((error: unknown) => error);
		await eventually(async () =>
			expect((await stack.client.sandboxes()).some((each) => each.function === deployed.name && each.state === "busy")).toBe(true),
		);
		abort.abort();
		await asked;
		await eventually(async () => {
			const mine = (await stack.client.sandboxes()).filter((each) => each.function === deployed.name);
			expect(mine.map(({ state }) => state)).toEqual([expect.stringMatching(/^(?:warm|frozen)$/)]);
		});
	});

	it("hears of its deadline shortly before, in time to wind up", async () => {
		const source = `def handler(event, context):
    context.cancelled.wait(20)
    return context.remaining_ms()`;
		const left = await (await python(source, { timeoutMs: 2000 })).result<number>();
		expect(left).toBeGreaterThan(0);
		expect(left).toBeLessThanOrEqual(200);
	});
});

describe("a start of Python", () => {
	it("is a prewarmed sandbox, specialised; then a warm one", async () => {
		await stack.client.command({ kind: "prewarm", floor: 2 });
		const deployed = await python(ECHO);
		const first = await deployed.record(await deployed.invoke());
		expect(first.start).toBe("prewarmed");
		expect((await deployed.record(await deployed.invoke())).start).toBe("warm");
		await stack.client.command({ kind: "prewarm", floor: "default" });
	});

	it.each([64, 1500])("with %i MiB takes the same prewarmed sandbox, and has its own limit", async (memoryMiB) => {
		const deployed = await python(ECHO, { memoryMiB });
		const { sandbox = "", usage } = await deployed.record(await deployed.invoke());
		expect(memoryLimitOf(stack.dataDir, sandbox)).toBe(memoryMiB * MIB);
		expect(usage?.peakMemoryBytes).toBeGreaterThan(MIB);
	});

	it("of threads is refused at 64 tasks, of files at 512, and it can still answer", async () => {
		const source = `import threading
def handler(event, context):
    done, threads, files = threading.Event(), 0, []
    try:
        while True:
            threading.Thread(target=done.wait, daemon=True).start()
            threads += 1
    except RuntimeError:
        done.set()
    try:
        while True:
            files.append(open("/dev/null"))
    except OSError as error:
        return {"threads": threads, "files": len(files), "errno": error.errno}`;
		const deployed = await python(source, { memoryMiB: 512 });
		const answer = await deployed.invoke();
		const { threads, files, errno } = json<{ threads: number; files: number; errno: number }>(answer.raw);
		expect([threads < 64, threads > 40, files < 512, files > 400, errno]).toEqual([true, true, true, true, 24]);
		expect((await deployed.record(answer)).limitsHit).toContain("pids");
	});
});

describe("a Python source that isn't right", () => {
	it("in its syntax is a failed build with file, line and column; the version before it goes on serving", async () => {
		const { name, deployed } = await packed({ "index.py": "def handler(event, context):\n    return 1" });
		const broken = await packed(
			{ "index.py": "def handler(event, context):\n    return 2", "lib/price.py": "x = 1\ny = (2 +\n" },
			{},
			name,
		);
		expect(json(broken.answer)).toMatchObject({
			status: 422,
			code: "build_failed",
			phase: "check",
			version: 2,
			diagnostics: [{ severity: "error", file: "lib/price.py", line: 2, column: 5, lineText: "y = (2 +", message: "'(' was never closed" }],
			issues: [{ field: "lib/price.py:2:5" }],
		});
		expect(json<{ detail: string }>(broken.answer).detail).toBe("lib/price.py:2:5: '(' was never closed");
		expect(await deployed.result()).toBe(1);
		// Not even one that is stuck on its way out.
		await eventually(async () => expect((await stack.client.sandboxes()).filter(({ state }) => state === "retiring")).toEqual([]));
	});

	it.each([
		["has a NUL", "def handler(event, context):\n    return '\0'", "build_failed", "null bytes"],
		["isn't the encoding it says", "# coding: nonsense\ndef handler(event, context): pass", "build_failed", "unknown encoding"],
		[
			"nests too deeply",
			`def handler(event, context): pass\nx = ${"(".repeat(5000)}${")".repeat(5000)}`,
			"build_failed",
			"too many nested parentheses",
		],
		["nests still more deeply", `def handler(event, context): pass\nx = ${"-".repeat(200_000)}1`, "build_failed", ""],
		["has no handler", "def handle(event, context): pass", "no_handler", "def handler(event, context)"],
	])("because it %s is told so", async (_what, source, code, message) => {
		const answer = await putFunction(stack, freshName(), { runtime: "python3", source });
		expect(json(answer)).toMatchObject({ status: 422, code });
		expect(json<{ detail: string }>(answer).detail).toContain(message);
	});

	it.each([
		["an if", "if True:\n    def handler(event, context): return 1"],
		["an import", "from operator import eq as handler"],
		["a lambda", "handler = lambda event, context: 1"],
		["a class", "class Handler:\n    def __call__(self, event, context): return 1\nhandler = Handler()"],
	])("is not one that has its handler by %s", async (_what, source) => {
		expect((await python(source)).version.state).toBe("ready");
	});

	it.each([
		[{ source: ECHO, filename: "index.py" }, "index.py is Python, and the runtime is node24"],
		[{ source: ECHO, filename: "index.ts", runtime: "python3" }, "index.ts is JavaScript or TypeScript"],
		[{ source: ECHO, filename: "index.rb", runtime: "python3" }, ".jsx or .py"],
	])("%o is refused before anything is stored", async (body, message) => {
		const answer = await putFunction(stack, freshName(), body);
		expect(json(answer)).toMatchObject({ status: 400, code: "invalid_manifest", issues: [{ field: "filename" }] });
		expect(json<{ detail: string }>(answer).detail).toContain(message);
	});

	it.each<[string, Record<string, string>, object, string, string]>([
		["no Python file", { "app.js": "1" }, {}, "no_handler", "looked for index.*, main.*, handler.*, src/index.*, src/main.* (py)"],
		["an entry that isn't Python", { "index.py": "", "a.js": "" }, { entry: "a.js" }, "no_handler", "isn't Python"],
		["a name too long for a layer", { "index.py": ECHO, [`${"d".repeat(80)}.py`]: "" }, {}, "archive_rejected", "too long a path"],
		["a name with a control character", { "index.py": ECHO, "a\x01b.py": "" }, {}, "archive_rejected", "control character"],
	])("in an archive with %s is told so", async (_what, files, manifest, code, message) => {
		const { answer } = await packed(files, manifest);
		expect(json(answer)).toMatchObject({ status: 422, code });
		expect(json<{ detail: string }>(answer).detail).toContain(message);
	});

	it("is not one whose installed packages hold a file for another Python: that is a warning", async () => {
		const { answer, deployed } = await packed({
			"index.py": ECHO,
			"requirements.txt": "# brought along\n",
			"old/py2.py": "print 'two'",
			"old-1.0.dist-info/RECORD": "old/py2.py,sha256=x,11\nold-1.0.dist-info/RECORD,,\n",
		});
		expect(answer.status).toBe(201);
		expect(deployed.version.build?.warnings).toMatchObject([{ severity: "warning", file: "old/py2.py", line: 1 }]);
		expect(await deployed.result({ a: 1 })).toEqual({ a: 1 });
	});

	it("that Python warns of is built, with the warning's place", async () => {
		const deployed = await python("def handler(event, context):\n    return event is 1");
		expect(deployed.version.build?.warnings).toMatchObject([{ severity: "warning", file: "index.py", line: 2 }]);
	});
});

describe("the same Python source again", () => {
	it("is the same image, and no build", async () => {
		const [one, two] = [await python(`${ECHO}# ${freshName()}`), await python(`${ECHO}# same`)];
		const again = await python(`${ECHO}# same`, { name: freshName() });
		expect(again.version.image?.layers).toEqual(two.version.image?.layers);
		expect(again.version.build?.layers).toContainEqual(expect.objectContaining({ name: "code", cached: true }));
		expect(one.version.image?.base).toEqual(two.version.image?.base);
		expect(header((await one.invoke({ a: 1 })).raw, "content-type")).toBe("application/json");
	});
});
