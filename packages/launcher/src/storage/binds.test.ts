import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostError } from "../host-error.js";
import { Binds } from "./binds.js";

let root: string;
const at = (...names: string[]) => join(root, ...names);
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "berth-binds-"));
	for (const name of ["data", "models", "above/data"]) mkdirSync(at(name), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("are the operator's names, and no others", () => {
	const binds = new Binds({ models: at("models") }, at("data"));
	expect(binds.names).toEqual(["models"]);
	expect(binds.directory("models")).toBeGreaterThan(2);
	expect(() => binds.directory("model")).toThrow("no directory of the name model");
});

test.each([
	["that isn't there", () => at("gone"), "can't be opened as a directory"],
	["that is a file", () => at("file"), "can't be opened as a directory"],
	["that is Berth's own data", () => at("data"), "data directory"],
	["that leads there by a link", () => at("link"), "data directory"],
	["that is in it", () => at("data", "launcher"), "data directory"],
	["that it is in", () => at(), "data directory"],
	["that everything is in", () => "/", "data directory"],
])("are refused for a directory %s", (_what, path, why) => {
	writeFileSync(at("file"), "");
	symlinkSync(at("data"), at("link"));
	mkdirSync(at("data", "launcher"));
	const open = () => new Binds({ models: path() }, at("data"));
	expect(open).toThrow(HostError);
	expect(open).toThrow(why);
});

test("stay the directories that were there at the start, whatever has their path later", () => {
	const binds = new Binds({ models: at("models") }, at("data"));
	const before = binds.directory("models");
	renameSync(at("models"), at("moved"));
	symlinkSync("/etc", at("models"));
	expect(binds.directory("models")).toBe(before);
});

test("a name that begins like the data directory's isn't in it", () => {
	mkdirSync(at("data-of-others"));
	expect(new Binds({ others: at("data-of-others") }, at("data")).names).toEqual(["others"]);
});
