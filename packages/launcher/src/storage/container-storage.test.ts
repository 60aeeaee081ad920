import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MIB } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Children } from "../children.js";
import { Binds } from "./binds.js";
import { ContainerStorage } from "./container-storage.js";
import { mountPoints } from "./foreign-mounts.js";
import { SandboxStorage } from "./sandbox-storage.js";
import { Volumes } from "./volumes.js";

const SANDBOX = `sb_${"0".repeat(26)}`;
const UID_BASE = 1_000_000_000;
const WORDS = [{ name: "words", readOnly: true }];

let root: string;
let storage: ContainerStorage;
const at = (...names: string[]) => join(root, ...names);
const mounted = () => mountPoints((place) => place.startsWith(root));

beforeEach(() => {
	root = mkdtempSync("/var/tmp/berth-containers-");
	for (const name of ["data", "words"]) mkdirSync(at(name));
	writeFileSync(at("words", "first"), "from the host");
	const volumes = new Volumes(at("data"), 16 * MIB, new Children());
	storage = new ContainerStorage({
		directory: at("data"),
		storage: new SandboxStorage(volumes, new Binds({ words: at("words") }, at("data"))),
		uidBase: UID_BASE,
	});
	storage.begin();
});
afterEach(async () => {
	await storage.close();
	expect(mounted()).toEqual([]);
	rmSync(root, { recursive: true });
});

describe("what a container has mounted", () => {
	it("is there until it is taken away", async () => {
		const [place = ""] = await storage.mount(SANDBOX, UID_BASE, WORDS);
		expect([mounted(), existsSync(join(place, "first"))]).toEqual([[place], true]);
		storage.unmount(SANDBOX);
		expect([mounted(), existsSync(at("data", "containers", SANDBOX))]).toEqual([[], false]);
	});

	it("isn't mounted for a worker that ended meanwhile: nobody would take it away", async () => {
		const mounting = storage.mount(SANDBOX, UID_BASE, WORDS);
		storage.unmount(SANDBOX);
		await expect(mounting).rejects.toThrow("isn't wanted any more");
		expect([mounted(), existsSync(at("data", "containers", SANDBOX))]).toEqual([[], false]);
	});

	it("of one that was taken away meanwhile isn't the next one's", async () => {
		const mounting = storage.mount(SANDBOX, UID_BASE, WORDS);
		storage.unmount(SANDBOX);
		const next = storage.mount(SANDBOX, UID_BASE, WORDS);
		await expect(mounting).rejects.toThrow("isn't wanted any more");
		const places = await next;
		expect(mounted()).toEqual(places);
	});

	it("can still be taken away when that has failed once", async () => {
		await storage.mount(SANDBOX, UID_BASE, WORDS);
		const other = at("data", "containers", SANDBOX, "mnt", "other");
		mkdirSync(other);
		expect(() => storage.unmount(SANDBOX)).toThrow("ENOTEMPTY");
		rmdirSync(other);
		storage.unmount(SANDBOX);
		expect(existsSync(at("data", "containers", SANDBOX))).toBe(false);
	});
});
