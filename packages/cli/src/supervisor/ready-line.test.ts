import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { readyLine } from "./ready-line.js";

function listening() {
	const stdout = new PassThrough();
	const sink = new PassThrough();
	const progress: string[] = [];
	const ready = readyLine(stdout, sink, (said) => progress.push(said));
	const logged = () => {
		sink.end();
		return text(sink);
	};
	return { stdout, ready, progress, logged };
}

test("the line is found however it is cut, and everything else is logged", async () => {
	const { stdout, ready, logged } = listening();
	for (const chunk of ["start", 'ing\n{"rea', 'dy":true,"firstKey":"secret"}\naft', "er\n"]) stdout.write(chunk);
	expect(await ready).toEqual({ ready: true, firstKey: "secret" });
	stdout.end("end\n");
	await new Promise((resolve) => stdout.once("close", resolve));
	expect(await logged()).toBe("starting\nafter\nend\n");
});

test("what looks like it and isn't it is a log line", async () => {
	const { stdout, ready, logged } = listening();
	stdout.write('{"ready":false}\n{"ready":true\n{"level":"info"}\n{"ready":true,"port":1}\n');
	expect(await ready).toEqual({ ready: true, port: 1 });
	expect(await logged()).toBe('{"ready":false}\n{"ready":true\n{"level":"info"}\n');
});

test("progress is told while it starts, and no more after", async () => {
	const { stdout, ready, progress } = listening();
	stdout.write('{"progress":"one"}\n{"ready":true}\n{"progress":"two"}\n');
	await ready;
	expect(progress).toEqual(["one"]);
});

test("a line without an end isn't kept in memory for ever", async () => {
	const { stdout, logged } = listening();
	stdout.write("x".repeat(100_000));
	await new Promise((resolve) => setImmediate(resolve));
	expect((await logged()).length).toBe(100_000);
});
