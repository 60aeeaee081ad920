import { describe, expect, test } from "vitest";
import { readDockerfile } from "./dockerfile.js";

const read = (text: string) => readDockerfile(Buffer.from(text), "Dockerfile", "x.y");

function taken(text: string) {
	const result = read(text);
	if ("code" in result) throw new Error(result.message);
	return result;
}

describe("a Dockerfile", () => {
	test("becomes one instruction a line, each stage with our label, and knows where each stood", () => {
		const text = `\ufeff# syntax=anything
  from debian:12 AS Build
RUN a \\
  # a comment

  b \\  
c
FROM build
COPY --from=build --chown=0:0 /x /y
copy --from=0 /a /b
CMD ["x"]`;
		const { text: written, steps, images } = taken(text);
		expect(written.split("\n")).toEqual([
			"FROM debian:12 AS Build",
			"LABEL x.y=1",
			"RUN a   b c",
			"FROM build",
			"LABEL x.y=1",
			"COPY --from=build --chown=0:0 /x /y",
			"COPY --from=0 /a /b",
			'CMD ["x"]',
			"",
		]);
		expect(steps.map((step) => step?.line)).toEqual([2, undefined, 3, 8, undefined, 9, 10, 11]);
		expect(images.map(({ image, at }) => [image, at.line])).toEqual([["debian:12", 2]]);
	});

	test("names the images that it would have fetched: those that are no stage before", () => {
		const text =
			"FROM scratch\nCOPY --from=later /a /b\nCOPY --from=registry.example.com:5000/x@sha256:00 /a /b\nFROM a:1 AS later\nFROM later\nFROM b";
		expect(taken(text).images.map(({ image }) => image)).toEqual(["later", "registry.example.com:5000/x@sha256:00", "a:1", "b"]);
	});

	test("names what it copies from the stage that it is in: by that name the builder takes any image whose id begins so", () => {
		const text = "FROM a:1 AS ab1\nCOPY --from=AB1 / /x\nFROM a:1 AS cd2\nCOPY --from=ab1 / /x\nCOPY --from=cd2 / /y";
		expect(taken(text).images.map(({ image, at }) => [image, at.line])).toEqual([
			["a:1", 1],
			["AB1", 2],
			["a:1", 3],
			["cd2", 5],
		]);
	});

	test.each(["0", "1", "99999999999999999999"])("has a stage %s only where one is finished", (number) => {
		expect(read(`FROM scratch\nCOPY --from=${number} / /x`)).toMatchObject({
			message: `Dockerfile:2: there is no stage ${number} before this one.`,
		});
		expect(taken(`FROM scratch\nFROM scratch\nCOPY --from=0 / /x`).images).toEqual([]);
	});

	test("may add files of its source", () => {
		expect(taken("FROM scratch\nADD rootfs.tar.gz /\nADD ['a', '/b']\n").steps).toHaveLength(4);
	});

	test.each([
		["that the Engine would fetch", "ADD http://169.254.169.254/latest /x", /2: ADD is taken for files of the source/],
		["that a variable makes of something else", "ADD $URL /x", /ADD is taken/],
		["in JSON with another spelling", 'ADD ["http\\u003a//x", "/x"]', /ADD is taken/],
		["in two lines", "ADD ht\\\ntp://x /x", /ADD is taken/],
		["by an instruction for later", "ONBUILD ADD http://x /", /ONBUILD/],
		["by an instruction that nobody knows", "FETCH x", /"FETCH" isn't an instruction/],
		["by an instruction with another blank", "ADD\u00a0http://x /", /isn't an instruction/],
		["from an image by variable", "FROM $BASE", /FROM is followed/],
		["from an image in quotes", 'FROM "debian"', /FROM is followed/],
		["from an image for another processor", "FROM --platform=linux/arm64 debian", /--platform/],
		["from an image that a variable names", "COPY --from=$X /a /b", /without quotes, variables/],
		["from an image by a flag with quotes", 'COPY --fr"om"=evil /a /b', /without quotes, variables/],
		["from an image by a flag with a backslash", "COPY --fr\\om=evil /a /b", /without quotes, variables/],
		["from an image behind another blank", "COPY --chown=1\u00a0--from=evil /a /b", /without quotes, variables/],
	])("isn't taken for what it copies %s", (_, line, message) => {
		expect(read(`FROM scratch\n${line}\n`)).toMatchObject({ code: "build_failed", message: expect.stringMatching(message) });
	});

	test.each([
		["", /there is no FROM/],
		["FROM scratch\n# escape=`\nRUN x", /3|2: another escape/],
		["FROM scratch\nRUN a \\\\\nADD http://x /", /two backslashes/],
		["FROM scratch\nRUN a\u0000b", /control character/],
		["FROM scratch\nRUN a \\\n", undefined],
		["RUN", /isn't an instruction/],
	])("%j is read as it says, or not at all", (text, message) => {
		if (message === undefined) expect(taken(text).text).toBe("FROM scratch\nLABEL x.y=1\nRUN a\n");
		else expect(read(text)).toMatchObject({ message: expect.stringMatching(message) });
	});

	test("of more than a page or two, or of no text, isn't taken", () => {
		expect(read(`FROM scratch\nRUN ${"x".repeat(70_000)}`)).toMatchObject({ message: expect.stringMatching(/at most 65536 bytes/) });
		expect(readDockerfile(Buffer.from([0xff]), "Dockerfile", "x")).toMatchObject({ message: expect.stringMatching(/UTF-8/) });
	});
});
