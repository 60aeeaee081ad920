import { expect, test } from "vitest";
import { BuildOutput } from "./build-output.js";

function told(...messages: readonly object[]) {
	const said: string[] = [];
	const output = new BuildOutput({
		onStep: (number, cached) => said.push(`step ${number}${cached ? " cached" : ""}`),
		onOutput: (text) => said.push(text),
		onContainer: () => said.push("a container"),
	});
	for (const message of messages) output.take(JSON.stringify(message));
	output.end();
	return { said, output };
}

const stream = (text: string) => ({ stream: text });

test("steps are told with whether they were cached, and what they print in lines, however it is cut", () => {
	const { said, output } = told(
		...["Step 1/3 : FROM scratch", "\n", " ---> \n", "Step 2/3 : COPY . .", "\n ---> Using cache\n", " ---> 0123456789ab\n"].map(stream),
		...["Step 3/3 : RUN make\n", " ---> Running in 0123456789ab\n", "one\ntw", "o\n", "\u001b[91mred\u001b[0m\n", "last"].map(stream),
		{ aux: { ID: "sha256:1" } },
	);
	expect(said).toEqual(["step 1", "step 2 cached", "step 3", "a container", "one", "two", "red", "last"]);
	expect([output.id, output.error]).toEqual(["sha256:1", undefined]);
});

test("how it ended is in the builder's own words, not in what an instruction prints", () => {
	const { output } = told(stream('{"aux":{"ID":"sha256:2"}}\n'), {
		errorDetail: { code: 3, message: "The command 'x' returned …" },
		error: "x",
	});
	expect([output.id, output.error]).toEqual([undefined, "it ended with 3"]);
	expect(told({ errorDetail: { message: "COPY failed" }, error: "COPY failed" }).output.error).toBe("COPY failed");
});

test("a line without an end is told in pieces", () => {
	expect(told(stream("x".repeat(9000))).said.map(({ length }) => length)).toEqual([4000, 4000, 1000]);
});
