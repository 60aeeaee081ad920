import { expect, test } from "vitest";
import { type SharedMeans, unsharedBetween } from "./shared-means.js";

const OURS: SharedMeans = {
	machine: "node_1",
	hasPeers: true,
	stack: "11111111",
	payloads: "https://s3/payloads/",
	images: "registry/berth",
	keys: ["aaaaaaaa"],
};
const theirs = (other: Partial<SharedMeans> = {}) => unsharedBetween(OURS, { ...OURS, machine: "node_2", ...other }, "node_2");

test("a machine that has something else than another one is refused by the setting to give", () => {
	expect(theirs()).toBeUndefined();
	expect(theirs({ stack: "22222222", payloads: "theirs", keys: ["bbbbbbbb"] })).toMatch(
		/stack 11111111 here, and of stack 22222222 for node_2.*BERTH_DURABLE_REDIS_URL and BERTH_FAST_REDIS_URL/,
	);
	expect(
		unsharedBetween(OURS, { machine: "node_2", hasPeers: true, payloads: OURS.payloads, images: OURS.images, keys: OURS.keys }, "b"),
	).toBe(undefined);
	expect(theirs({ payloads: "directories of b (/data)" })).toMatch(/directories of b .*: BERTH_PAYLOAD_STORE/);
	expect(theirs({ images: "" })).toMatch(/none for node_2: BERTH_IMAGE_REPOSITORY/);
	expect(theirs({ keys: ["bbbbbbbb"] })).toMatch(/aaaaaaaa here, and with bbbbbbbb by node_2: BERTH_SECRETS_KEY/);
	expect(theirs({ hasPeers: false })).toMatch(/and it isn't set up .*BERTH_INTERNAL_HOST/);
});

test("keys are changed one machine after another, each with both", () => {
	expect(theirs({ keys: ["bbbbbbbb", "aaaaaaaa"] })).toMatch(/BERTH_SECRETS_KEY/);
	expect(theirs({ keys: ["aaaaaaaa", "bbbbbbbb"] })).toBeUndefined();
	expect(
		unsharedBetween({ ...OURS, keys: ["aaaaaaaa", "bbbbbbbb"] }, { ...OURS, machine: "node_2", keys: ["bbbbbbbb", "aaaaaaaa"] }, "b"),
	).toBeUndefined();
});

test("what this very machine said before it was set up otherwise is no other machine's", () => {
	expect(unsharedBetween(OURS, { ...OURS, payloads: "directories" }, "gw_1")).toBeUndefined();
});
