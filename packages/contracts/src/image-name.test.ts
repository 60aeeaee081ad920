import { describe, expect, test } from "vitest";
import { imageNameText, parseImageName } from "./image-name.js";

const DIGEST = `sha256:${"a".repeat(64)}`;

describe("an image's name", () => {
	test.each([
		["registry.example.com/team/hello:3", { host: "registry.example.com", repository: "team/hello", reference: "3" }],
		["127.0.0.1:5000/hello", { host: "127.0.0.1:5000", repository: "hello", reference: "latest" }],
		["[::1]:5000/a/b_c/d--e:V1.0", { host: "[::1]:5000", repository: "a/b_c/d--e", reference: "V1.0" }],
		[`host/a@${DIGEST}`, { host: "host", repository: "a", reference: DIGEST }],
	])("%s is read, and written as it was", (text, name) => {
		expect(parseImageName(text)).toEqual(name);
		expect(parseImageName(imageNameText(name))).toEqual(name);
	});

	// Each of these would be another path of the registry's API, or another host.
	test.each([
		"hello:3",
		"host/",
		"/a:1",
		"host/../v2/a:1",
		"host/a/../../b:1",
		"host/A:1",
		"host/a:",
		"host/a:x/y",
		"host/a:1?x=1",
		"host/a@sha256:abc",
		"host/a@../manifests/b",
		"user:pw@host/a:1",
		"http://host/a:1",
		"host /a:1",
		"host/a%2fb:1",
		"host:99999999/a:1",
		`host/${"a".repeat(600)}:1`,
	])("%s is none", (text) => expect(parseImageName(text)).toBeUndefined());
});
